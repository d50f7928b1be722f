/*
 * async.test.js - what plugins do outside of their handlers: timers, watches of descriptors, jobs in
 * worker threads, posts; as clients, metrics and the log show it.
 *
 * Plugins: async, echo of the tests.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { allGone, ask, closeClients, connect, hear, heard, settle, startWith } from '../lib/client.js';
import { BUILD, runSockhop } from '../lib/server.js';

const PLUGINS = ['echo', 'async'];
const JOBS = (state) => `sockhop_plugin_jobs{plugin="async",state="${state}"}`;

const numbers = (n) => Array.from({ length: n }, (_, i) => [i + 1]);

afterEach(closeClients);

/* Nothing of the plugin's is under way. */
const idle = (server) =>
  server.waitMetrics((metrics) => metrics.get(JOBS('queued')) === 0 && metrics.get(JOBS('running')) === 0);

describe('timers', () => {
  let server;

  before(async () => (server = await startWith(PLUGINS)));
  after(() => server.stop());

  test('a timer of init() comes once the server runs', () => server.waitLog(/\basync\.timer\b/));

  test('a callback comes once, with what it was given', async () => {
    const socket = await connect(server);

    await ask(socket, 'once', 0, 'a', 1);
    assert.deepEqual(await hear(socket, 'ticked'), ['a', 1]);
  });

  test('callbacks come in the order of their times', async () => {
    const socket = await connect(server);

    for (const ms of [90, 30, 60, 0]) socket.emit('once', ms, ms);
    await hear(socket, 'ticked', 4);
    assert.deepEqual(heard(socket, 'ticked'), [[0], [30], [60], [90]]);
  });

  test('one that repeats does so until it cancels itself', async () => {
    const socket = await connect(server);

    await ask(socket, 'every', 1, 5);
    await hear(socket, 'ticked', 5);
    await server.waitMetrics((metrics) => metrics.get('sockhop_plugin_timers{plugin="async"}') === 0);
    await settle(socket);
    assert.deepEqual(heard(socket, 'ticked'), numbers(5));
  });

  test('cancelling one that is over says so', async () => {
    assert.deepEqual(await ask(await connect(server), 'cancel'), [0, -1]);
  });

  test('times that are none are refused and logged', async () => {
    const socket = await connect(server);

    for (const [event, ...args] of [['once', -1], ['once', 31622400001], ['every', 0, 1], ['every', -5, 1]]) {
      const [{ error }] = await ask(socket, event, ...args);
      assert.equal(error.code, 'bad_args');
    }
    await server.waitLog(/\btimer\.refused function=hop_timer_every plugin=async reason="no such time"/);
  });

  test('a client that has left is no trouble to its timers', async () => {
    const socket = await connect(server);

    await ask(socket, 'every', 1, 20);
    socket.disconnect();
    await server.waitMetrics((metrics) => metrics.get('sockhop_plugin_timers{plugin="async"}') === 0);
    await allGone(server);
  });
});

describe('watches', () => {
  test('what is written to a watched pipe is read', async () => {
    const server = await startWith(PLUGINS);
    const socket = await connect(server);

    for (let i = 1; i <= 3; i++) {
      await ask(socket, 'write', `text ${i}`);
      assert.deepEqual(await hear(socket, 'read', i), [`text ${i}`]);
    }
    assert.equal((await server.metrics()).get('sockhop_plugin_watches{plugin="async"}'), 1);
    await server.stop();
  });
});

describe('jobs', () => {
  let server;

  before(async () => (server = await startWith(PLUGINS)));
  after(() => server.stop());

  test('a job of init() runs once the server does', () => server.waitLog(/\basync\.job status=0/));

  test('a job works and its result is told', async () => {
    const socket = await connect(server);

    await ask(socket, 'square', 12);
    assert.deepEqual(await hear(socket, 'squared'), [12, 144]);
  });

  test('1,000 jobs over 4 workers are each done once', async () => {
    const socket = await connect(server);

    await ask(socket, 'many', 1000);
    assert.deepEqual(await hear(socket, 'done'), [1000, 500500]);
    await settle(socket);
    assert.equal(heard(socket, 'done').length, 1);
    await idle(server);
  });

  test('what a job posts comes before its end', async () => {
    const socket = await connect(server);

    await ask(socket, 'post');
    await hear(socket, 'squared');
    assert.deepEqual(socket.heard, [['posted', 1], ['posted', 2], ['posted', 3], ['squared', 7, 49]]);
  });

  test('workers that stall delay no client', async () => {
    const socket = await connect(server);
    const other = await connect(server);

    await ask(socket, 'stall', 4);
    await hear(socket, 'stalled', 4);
    for (let i = 0; i < 20; i++) assert.deepEqual(await ask(other, 'echo', i), [i]);
    await ask(socket, 'square', 3); /* this one has to wait */
    assert.equal((await server.metrics()).get(JOBS('running')), 4);
    assert.equal((await server.metrics()).get(JOBS('queued')), 1);
    assert.deepEqual(heard(socket, 'squared'), []);
    assert.deepEqual(await ask(socket, 'go'), [4]);
    await hear(socket, 'freed', 4);
    assert.deepEqual(await hear(socket, 'squared'), [3, 9]);
    await idle(server);
  });

  test('what has not begun can be cancelled, and ends once', async () => {
    const socket = await connect(server);

    await ask(socket, 'stall', 4);
    await hear(socket, 'stalled', 4);
    await ask(socket, 'queue', 100);
    assert.deepEqual(await ask(socket, 'drop'), [100, 0]);
    assert.deepEqual(await ask(socket, 'drop'), [0, 100]);
    while ((await ask(socket, 'dropped'))[1] < 100);
    await ask(socket, 'go');
    await hear(socket, 'freed', 4);
    await idle(server);
    assert.deepEqual(await ask(socket, 'dropped'), [0, 100]);
  });

  test('a job decides on an event', async () => {
    const socket = await connect(server);

    assert.deepEqual(await ask(socket, 'check', 'good', 1), []);
    assert.deepEqual(await hear(socket, 'checked'), ['good', 1]);
    assert.deepEqual(await ask(socket, 'check', 'bad'), [{ ok: false, error: { code: 'bad', message: 'so says the job' } }]);
    for (let i = 0; i < 50; i++) socket.emit('check', i);
    await hear(socket, 'checked', 51);
    assert.deepEqual(heard(socket, 'checked').slice(1), numbers(50).map(([i]) => [i - 1]));
  });

  test('who leaves while a job decides leaves nothing', async () => {
    const sockets = await Promise.all(Array.from({ length: 5 }, () => connect(server)));

    for (const socket of sockets) for (let i = 0; i < 20; i++) socket.emit('check', i);
    for (const socket of sockets) socket.disconnect();
    await idle(server);
    await allGone(server);
  });

  test('a post that is slow is named in the log', async () => {
    const socket = await connect(server);

    await ask(socket, 'slow-post');
    await hear(socket, 'slept');
    await server.waitLog(/\bplugin\.slow plugin=async hook="post" ms=/);
  });
});

describe('limits of jobs', () => {
  test('limits.max_jobs of a plugin wait, and server.workers run', async () => {
    const server = await startWith(PLUGINS, { config: '[server]\nworkers = 2\n[limits]\nmax_jobs = 30\n' });
    const socket = await connect(server);

    await ask(socket, 'stall', 3);
    await hear(socket, 'stalled', 2);
    assert.deepEqual(await ask(socket, 'fill'), [29]);
    await server.waitLog(/\bjob\.too_many plugin=async max_jobs=30/);
    assert.equal((await server.metrics()).get(JOBS('running')), 2);
    assert.equal((await server.metrics()).get(JOBS('queued')), 30);
    while (heard(socket, 'freed').length < 3) {
      await ask(socket, 'go');
      await settle(socket);
    }
    await idle(server);
    await server.stop();
  });
});

describe('the end', () => {
  test('a stop asks what runs to end, cancels what waits, and frees the plugin behind them', async () => {
    const server = await startWith(PLUGINS);
    const socket = await connect(server);

    for (let i = 0; i < 6; i++) await ask(socket, 'linger');
    await hear(socket, 'lingers', 4);
    await ask(socket, 'every', 1, 1000000);
    await server.stop();
    const words = server.log.map((line) => /\basync\.(lingered status=\d|free)/.exec(line)?.[1]).filter(Boolean);
    assert.equal(words.at(-1), 'free');
    assert.deepEqual(words.slice(0, -1).sort(), [...Array(4).fill('lingered status=0'), ...Array(2).fill('lingered status=1')]);
  });

  test('a job that does not end is named, costs its plugin the free(), and the server its good status', async () => {
    const server = await startWith(PLUGINS, { config: '[server]\njobs_timeout = 100ms\n' });
    const socket = await connect(server);

    await ask(socket, 'hang');
    await hear(socket, 'hangs');
    server.proc.kill('SIGTERM');
    const { status } = await server.gone;
    assert.equal(status, 1);
    await server.waitLog(/\bjob\.stuck plugin=async\b/);
    assert.doesNotMatch(server.logText(), /async\.free|server\.stopped/);
  });

  test('a stop with work under way leaks nothing', async () => {
    const server = await startWith(PLUGINS);
    const socket = await connect(server);

    for (let i = 0; i < 50; i++) socket.emit('check', i);
    for (let i = 0; i < 50; i++) socket.emit('post');
    await ask(socket, 'many', 500);
    await server.stop();
  });
});

const folder = mkdtempSync(join(tmpdir(), 'sockhop-async-'));
const conf = join(folder, 'sockhop.ini');
writeFileSync(conf, '[server]\nseccomp = yes\npublic =\nuser = nobody\n');
const hasFilter = (await runSockhop(['-t', '-c', conf])).status === 0;
rmSync(folder, { recursive: true });
const program = readFileSync(join(BUILD, 'sockhop'), 'latin1'); /* under valgrind a script */
const skip = !hasFilter ? 'no filter here' : /exec valgrind|__tsan_/.test(program) ? 'calls of its own' : false;

describe('a server with less rights', () => {
  test('workers are made behind the filter of system calls', { skip }, async () => {
    const server = await startWith(PLUGINS, { config: '[server]\nseccomp = yes\n' });
    const socket = await connect(server);
    await ask(socket, 'many', 100);
    assert.deepEqual(await hear(socket, 'done'), [100, 5050]);
    await ask(socket, 'every', 1, 3);
    await hear(socket, 'ticked', 3);
    await ask(socket, 'write', 'x');
    assert.deepEqual(await hear(socket, 'read'), ['x']);
    await server.stop();
  });
});
