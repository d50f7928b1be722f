/*
 * hazards.test.js - plugins that hang or crash: the log says which one, and in what, with a backtrace,
 * and the process ends, so that whoever supervises it starts another (T42, T43).
 *
 * Plugins: hazard, echo of the tests. What sanitizers report themselves is left to them.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, describe, test } from 'node:test';

import { allGone, ask, closeClients, connect, startWith, within } from '../lib/client.js';
import { BUILD, PATIENCE, isValgrind } from '../lib/server.js';

const isSanitized = /^SAFE_CFLAGS =.*-fsanitize/m.test(readFileSync(`${BUILD}/Makefile`, 'utf8'));
const WATCHDOG_MS = 1000 * PATIENCE;

afterEach(closeClients);

/* A server whose end the test is about. */
async function startDoomed({ watch = false, watchdog = 0, args = [] } = {}) {
  const server = await startWith(['echo'], {
    config: `[server]\nwatchdog = ${watchdog}\n[plugin:hazard]\nwatch = ${watch ? 'yes' : 'no'}\n`,
    args,
  });
  server.is_killed = true; /* it does not end well */
  return server;
}

const ended = (server) => within(server.gone, () => `the server's end:\n${server.logText()}`, 10000 * PATIENCE);

/* The report's lines behind its head. */
function reportOf(server) {
  const at = server.log.findIndex((line) => line.startsWith('server.crashed signal='));

  assert.ok(at >= 0, `no report:\n${server.logText()}`);
  return server.log.slice(at);
}

describe('T42: a plugin that crashes', { skip: isSanitized || isValgrind }, () => {
  const CRASHES = { segfault: 'SIGSEGV', fpe: 'SIGFPE', abort: 'SIGABRT', overflow: 'SIGSEGV' };
  const PLACES = {
    do: 'plugin=hazard event="do"',
    join: 'plugin=hazard hook="join"',
  };

  for (const [what, signal] of Object.entries(CRASHES))
    for (const [where, who] of Object.entries(PLACES))
      test(`${what} in ${where}: the report names signal, plugin and place, and the process dies of it`, async () => {
        const server = await startDoomed();
        const socket = await connect(server);

        socket.emit(where, what, 0);
        const end = await ended(server);
        const [head, plugins, title, ...frames] = reportOf(server);

        assert.equal(end.signal, signal);
        assert.ok(head.startsWith(`server.crashed signal=${signal} `), head);
        assert.ok(head.includes(` thread=logic ${who}`), head);
        assert.equal(/the stack is full/.test(head), what === 'overflow', head);
        assert.match(plugins, /plugins=".*hazard 6\.6.*"/);
        assert.match(title, /backtrace/);
        assert.ok(frames.some((frame) => /hazard\.so/.test(frame)), frames.join('\n'));
      });

  test('in a post: the backtrace names the file', async () => {
    const server = await startDoomed();
    const socket = await connect(server);

    socket.emit('post', 'segfault', 0);
    assert.equal((await ended(server)).signal, 'SIGSEGV');
    const [head, , , ...frames] = reportOf(server);
    assert.match(head, /thread=logic/);
    assert.ok(frames.some((frame) => /hazard\.so/.test(frame)), frames.join('\n'));
  });

  test('in a thread of its own: no other plugin is blamed', async () => {
    const server = await startDoomed();
    const socket = await connect(server);

    socket.emit('thread', 'segfault', 0);
    assert.equal((await ended(server)).signal, 'SIGSEGV');
    const [head, , , ...frames] = reportOf(server);
    assert.match(head, /thread=other/);
    assert.doesNotMatch(head, /plugin=/);
    assert.ok(frames.some((frame) => /hazard\.so/.test(frame)), frames.join('\n'));
  });

  test('in init(): the start fails with the report', async () => {
    const server = await startDoomed({ args: ['-o', 'plugin:hazard.in_init=segfault'] }).catch((error) => error.server);

    assert.equal((await ended(server)).signal, 'SIGSEGV');
    assert.match(reportOf(server)[0], /plugin=hazard hook="init"/);
  });

  test('behind the system call filter too', async (t) => {
    const server = await startDoomed({ args: ['-o', 'server.seccomp=yes'] }).catch((error) => error.server);
    if (/without libseccomp/.test(server.logText())) return t.skip('built without libseccomp');
    const socket = await connect(server);

    socket.emit('do', 'segfault', 0);
    assert.equal((await ended(server)).signal, 'SIGSEGV');
    assert.ok(reportOf(server).some((line) => /hazard\.so/.test(line)), server.logText());
  });

  test('a signal from outside is reported as one, without an address', async () => {
    const server = await startDoomed();

    server.proc.kill('SIGABRT');
    assert.equal((await ended(server)).signal, 'SIGABRT');
    assert.match(reportOf(server)[0], /^server\.crashed signal=SIGABRT thread=logic version=/);
  });
});

describe('T43: a plugin that holds the thread of all', () => {
  const STUCK = /server\.stuck plugin=(\S+) (\w+)="([^"]*)"/;

  for (const what of ['sleep', 'loop'])
    for (const [where, kind, name] of [['do', 'event', 'do'], ['join', 'hook', 'join']])
      test(`${what} in ${where}: a warning, then an error with its name, then SIGABRT`, async () => {
        const server = await startDoomed({ watchdog: WATCHDOG_MS });
        const socket = await connect(server);

        socket.emit(where, what, 600000);
        const end = await ended(server);
        const lines = server.log.filter((line) => /server\.(stalled|stuck)/.test(line));

        assert.equal(end.signal, 'SIGABRT');
        assert.match(lines[0], new RegExp(`WARN server\\.stalled plugin=hazard ${kind}="${name}"`));
        assert.deepEqual(STUCK.exec(lines[1])?.slice(1), ['hazard', kind, name], server.logText());
        if (isSanitized || isValgrind) return;
        const [head, , , ...frames] = reportOf(server);
        assert.match(head, /signal=SIGABRT thread=logic plugin=hazard/);
        assert.ok(frames.some((frame) => /hazard\.so/.test(frame)), frames.join('\n'));
      });

  test('a guard of all events is named with the event where others handle it, else with *', async () => {
    const server = await startDoomed({ watch: true, watchdog: WATCHDOG_MS });
    const socket = await connect(server);

    socket.emit('watched', 'sleep', 600000);
    assert.deepEqual((await server.waitLog(STUCK)).slice(1, 4), ['hazard', 'event', '*']);
    await ended(server);
  });

  test('behind the system call filter too', { skip: isValgrind && 'it needs calls of its own' }, async (t) => {
    const server = await startDoomed({ watchdog: WATCHDOG_MS, args: ['-o', 'server.seccomp=yes'] }).catch((error) => error.server);
    if (/without libseccomp/.test(server.logText())) return t.skip('built without libseccomp');
    const socket = await connect(server);

    socket.emit('do', 'sleep', 600000);
    assert.equal((await ended(server)).signal, 'SIGABRT');
    assert.match(server.logText(), STUCK);
  });

  test('a server that is idle, or slow within the limit, lives on', async () => {
    const server = await startDoomed({ watchdog: 600 * PATIENCE });
    const socket = await connect(server);

    server.is_killed = false;
    for (let i = 0; i < 6; i++) await ask(socket, 'do', 'sleep', 300); /* turns of half the limit */
    await ask(socket, 'fine');
    assert.match(server.logText(), /plugin\.slow plugin=hazard event="do"/);
    assert.doesNotMatch(server.logText(), /server\.stuck/);
    socket.disconnect();
    await allGone(server);
    await server.stop();
  });

  test('a process that was stopped is not stuck', async () => {
    const server = await startDoomed({ watchdog: 300 * PATIENCE });
    const socket = await connect(server);

    server.is_killed = false;
    for (let i = 0; i < 3; i++) {
      server.proc.kill('SIGSTOP');
      await new Promise((done) => setTimeout(done, 900 * PATIENCE)); /* what is tested is that time passes */
      server.proc.kill('SIGCONT');
      await ask(socket, 'fine');
    }
    assert.doesNotMatch(server.logText(), /server\.(stuck|stalled)/);
    socket.disconnect();
    await allGone(server);
    await server.stop();
  });

  test('watchdog = 0 watches nobody', async () => {
    const server = await startDoomed({ watchdog: 0 });
    const socket = await connect(server);

    server.is_killed = false;
    await ask(socket, 'do', 'sleep', 1000);
    await ask(socket, 'fine');
    assert.doesNotMatch(server.logText(), /server\.(stuck|stalled)/);
    socket.disconnect();
    await server.stop();
  });
});

describe('what the operator sees of calls', () => {
  let server;

  before(async () => (server = await startWith(['echo', 'hazard'], { config: '[server]\nslow_ms = 200\n' })));
  after(() => server.stop());

  test('a histogram of each plugin counts its calls by their time', async () => {
    const socket = await connect(server);
    const bucket = (le) => `sockhop_plugin_call_seconds_bucket{plugin="hazard",le="${le}"}`;
    const count = 'sockhop_plugin_call_seconds_count{plugin="hazard"}';
    const before_ = await server.metrics();

    await ask(socket, 'do', 'sleep', 150);
    const metrics = await server.metrics();
    assert.equal(metrics.get(count), before_.get(count) + 1);
    assert.equal(metrics.get(bucket('0.1')), before_.get(bucket('0.1')));
    assert.equal(metrics.get(bucket('+Inf')), metrics.get(count));
    assert.ok(metrics.get('sockhop_plugin_call_seconds_sum{plugin="hazard"}') >= 0.15);
    socket.disconnect();
    await allGone(server);
  });

  test('server.slow_ms says from when on a call is named in the log', async () => {
    const socket = await connect(server);

    await ask(socket, 'do', 'sleep', 100);
    assert.doesNotMatch(server.logText(), /plugin\.slow/);
    await ask(socket, 'do', 'sleep', 250);
    await server.waitLog(/plugin\.slow plugin=hazard event="do" ms=2\d\d/);
    socket.disconnect();
    await allGone(server);
  });

  test('ready() runs once listeners are open and before the server says so, and registers nothing', () => {
    const at = (regexp) => server.log.findIndex((line) => regexp.test(line));

    assert.ok(at(/listener\.open/) >= 0 && at(/listener\.open/) < at(/hazard\.ready late_on=-1/));
    assert.ok(at(/hazard\.ready/) < at(/server\.ready/));
    return server.waitLog(/hazard\.posted/);
  });
});
