/*
 * plugins.test.js - plugins as their authors and their users meet them: shipped ones, those of
 * tests/plugins, and bad ones, which are refused with the reason.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { RawWebSocket, TRANSPORTS, allGone, ask, closeClients, connect, hear, heard, pluginDir, request, settle, startWith } from '../lib/client.js';
import { runSockhop } from '../lib/server.js';

afterEach(closeClients);

describe('echo', () => {
  let server;

  before(async () => (server = await startWith(['echo'])));
  after(() => server.stop());

  for (const [choice, transports] of Object.entries(TRANSPORTS))
    test(`answers in the ack, or as an event without one, over ${choice}`, async () => {
      const socket = await connect(server, { transports });

      assert.deepEqual(await ask(socket, 'echo', 1, 'two', { three: [3] }), [1, 'two', { three: [3] }]);
      socket.emit('echo', 1, 'two', { three: [3] });
      assert.deepEqual(await hear(socket, 'echo'), [1, 'two', { three: [3] }]);
      assert.deepEqual(await ask(socket, 'echo'), []);
      socket.disconnect();
      await allGone(server);
    });

  test('sends back exactly what came', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    for (const args of ['', ',1.10', ',123456789012345678901234567890,"\\u00e9"', ',{ "a" : 1 }', ',"\\ud800"']) {
      raw.send(`42["echo"${args}]`, `421["echo"${args}]`);
      assert.equal(await raw.message(), `42["echo"${args}]`);
      assert.equal(await raw.message(), `431[${args.slice(1)}]`);
    }
    await raw.close();
    await allGone(server);
  });
});

describe('skeleton', () => {
  let server;

  before(async () => (server = await startWith([], { config: '[plugin:skeleton]\ngreeting = good day\nmax_bytes = 10\n[log]\nlevel = debug\n' })));
  after(() => server.stop());

  test('greets, keeps the last note, refuses what is no note, and says goodbye in the log', async () => {
    const socket = await connect(server);

    assert.deepEqual(await hear(socket, 'greeting'), ['good day']);
    assert.deepEqual(await ask(socket, 'note', 'first'), [{ ok: true, notes: 1, before: null }]);
    assert.deepEqual(await ask(socket, 'note', 'second'), [{ ok: true, notes: 2, before: 'first' }]);
    assert.deepEqual(await ask(socket, 'note', 42), [{ ok: false, error: { code: 'bad_note', message: 'a note as text, please' } }]);
    assert.deepEqual(await ask(socket, 'note', '12345678901'), [{ ok: false, error: { code: 'too_long', message: 'longer than max_bytes' } }]);
    socket.emit('note', 7); /* no ack: told as an event */
    assert.deepEqual(await hear(socket, 'error'), [{ event: 'note', code: 'bad_note', message: 'a note as text, please' }]);
    socket.disconnect();
    await allGone(server);
    await server.waitLog(/skeleton\.left notes=2 reason="client namespace disconnect"/);
  });
});

describe('phases and verdicts', () => {
  let server;

  before(async () => (server = await startWith(['phases', 'echo', 'relay'])));
  after(() => server.stop());

  test('a guard refuses, handles, or lets pass; an observer sees what was handled', async () => {
    const socket = await connect(server);

    assert.deepEqual(await ask(socket, 'echo', 'forbidden'), [{ ok: false, error: { code: 'forbidden', message: 'not this word' } }]);
    assert.deepEqual(await ask(socket, 'echo', 'mine', 1), ['guarded']);
    assert.deepEqual(await ask(socket, 'echo', 'other', 1), ['other', 1]);
    socket.emit('echo', 'forbidden');
    assert.deepEqual(await hear(socket, 'error'), [{ event: 'echo', code: 'forbidden', message: 'not this word' }]);
    socket.emit('echo', 'mine');
    assert.deepEqual(await hear(socket, 'echo'), ['guarded']);
    const [n] = await ask(socket, 'observed');
    assert.equal(n, 5);
    socket.disconnect();
    await allGone(server);
  });

  test('the style guide\'s relay passes lines on to the others', async () => {
    const [ada, bob] = [await connect(server), await connect(server, { transports: ['polling'] })];

    assert.deepEqual(await ask(ada, 'line', 'hello'), [{ ok: true }]);
    assert.deepEqual(await hear(bob, 'line'), ['hello']);
    assert.deepEqual(await ask(bob, 'line', { no: 'line' }), [{ ok: false, error: { code: 'bad_line', message: 'a line of text, please' } }]);
    assert.deepEqual(await ask(bob, 'line', 'x'.repeat(5000)), [{ ok: false, error: { code: 'too_long', message: 'longer than max_bytes' } }]);
    await ask(bob, 'line', 'bye');
    assert.deepEqual(await hear(ada, 'line'), ['bye']);
    assert.equal(heard(ada, 'line').length, 1);
    closeClients();
    await allGone(server);
  });
});

describe('routes', () => {
  let server;

  before(async () => (server = await startWith(['route'])));
  after(() => server.stop());

  test('a plugin answers its paths', async () => {
    const hello = await request(server, '/test/hello');

    assert.equal(hello.status, 200);
    assert.equal(hello.text, 'hello\n');
    assert.equal(hello.headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal((await request(server, '/test/query?a=b%20c&d')).text, 'a=b%20c&d');
    assert.equal((await request(server, '/test/agent', { headers: { 'User-Agent': 'tester' } })).text, 'tester');
    assert.equal((await request(server, '/test/agent')).status, 404);
    assert.equal((await request(server, '/test/big')).body.length, 300000);
    const head = await request(server, '/test/hello', { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, '6', 0]);
    await allGone(server);
  });

  test('bodies come whole, binary ones too', async () => {
    const body = Buffer.from(Array.from({ length: 200000 }, (_, i) => i % 256));
    const answer = await request(server, '/test/body', { method: 'POST', body });

    assert.equal(answer.headers['content-type'], 'application/octet-stream');
    assert.ok(answer.body.equals(body));
    assert.equal((await request(server, '/test/body', { method: 'POST', body: '' })).body.length, 0);
    assert.equal((await request(server, '/test/body', { method: 'POST', body: Buffer.alloc(1000001) })).status, 413);
    await allGone(server);
  });

  test('the wrong method is told the right one', async () => {
    const answer = await request(server, '/test/body');

    assert.equal(answer.status, 405);
    assert.equal(answer.headers.allow, 'POST');
  });

  test('a handler that forgets to answer, or answers twice, costs its client one answer', async () => {
    assert.equal((await request(server, '/test/forgets')).status, 500);
    const twice = await request(server, '/test/twice');
    assert.deepEqual([twice.status, twice.text], [200, 'first\n']);
    await allGone(server);
  });
});

describe('asking a client', () => {
  let server;

  before(async () => (server = await startWith(['echo'], { config: '[plugin:ask]\ntimeout = 2s\n' })));
  after(() => server.stop());

  test('its ack arrives, or its time passes, once each', async () => {
    const socket = await connect(server);

    socket.on('question', (n, answer) => n % 2 && answer(n));
    socket.emit('greet-all', 20);
    await hear(socket, 'answer', 10);
    await hear(socket, 'unanswered', 10);
    assert.deepEqual(heard(socket, 'answer').map(([n]) => n), [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    await server.waitMetrics((metrics) => metrics.get('sockhop_acks_pending') === 0);
    socket.disconnect();
    await allGone(server);
  });

  test('an ack that comes late is ignored', async () => {
    const socket = await connect(server);
    let answer;

    socket.on('question', (...args) => (answer = args.pop()));
    socket.emit('ask', 'slowly');
    await hear(socket, 'unanswered');
    answer('too late');
    await settle(socket);
    assert.equal(heard(socket, 'answer').length, 0);
    socket.disconnect();
    await allGone(server);
  });

  test('a client that leaves fails what it was asked, at once', async () => {
    const socket = await connect(server);
    const watcher = await connect(server);
    const [before] = await ask(watcher, 'gone');

    socket.emit('greet-all', 7);
    await hear(socket, 'question', 7);
    socket.disconnect();
    await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1);
    assert.deepEqual(await ask(watcher, 'gone'), [before + 7]);
    watcher.disconnect();
    await allGone(server);
  });
});

describe('a plugin that misbehaves', () => {
  let server;

  before(async () => (server = await startWith(['slow', 'echo'])));
  after(() => server.stop());

  test('a slow handler is named in the log, and kills no connection', async () => {
    const [socket, other] = [await connect(server), await connect(server)];
    const slept = ask(socket, 'sleep', 200);

    assert.deepEqual(await settle(other), ['settle']);
    await slept;
    await server.waitLog(/slow.*plugin=slow|plugin=slow.*slow/);
    closeClients();
    await allGone(server);
  });

  test('calls from the wrong thread are refused, and told', async () => {
    const socket = await connect(server);

    assert.deepEqual(await ask(socket, 'wrong-thread'), [true]);
    await server.waitLog(/api\.wrong_thread/);
    socket.disconnect();
    await allGone(server);
  });

  test('a handler registered too late is refused', async () => {
    const socket = await connect(server);

    assert.deepEqual(await ask(socket, 'late-on'), [-1]);
    socket.emit('late', 1);
    assert.deepEqual(await settle(socket), ['settle']);
    socket.disconnect();
    await allGone(server);
  });

  test('posts from another thread run in their order', async () => {
    const socket = await connect(server);

    socket.emit('post', 500);
    await hear(socket, 'posted', 500);
    assert.deepEqual(heard(socket, 'posted').map(([i]) => i), Array.from({ length: 500 }, (_, i) => i));
    socket.disconnect();
    await allGone(server);
  });
});

describe('bad plugins are refused with the place and the reason', () => {
  let folder;

  before(() => (folder = mkdtempSync(join(tmpdir(), 'sockhop-conf-'))));
  after(() => rmSync(folder, { recursive: true }));

  async function refusal(plugins, args) {
    writeFileSync(join(folder, 'bad.ini'), `[server]\nport = 0\n${plugins.map((name) => `[plugin:${name}]\n`).join('')}`);
    const { status, stderr } = await runSockhop([
      '-c', join(folder, 'bad.ini'), '-o', `server.plugin_dir=${pluginDir()}`, '-o', 'server.public=', ...args,
    ]);

    assert.equal(status, 1);
    return stderr.trimEnd().replace(`sockhop: ${folder}/`, '').split('\n').at(-1);
  }

  for (const [plugins, wanted] of [
    [['bad_abi'], /^bad\.ini:3: plugin:bad_abi: .*bad_abi\.so: built for plugin ABI \d+, this sockhop has \d+: rebuild it$/],
    [['bad_entry'], /^bad\.ini:3: plugin:bad_entry: .* exports no hop_plugin_entry/],
    [['bad_key'], /^bad\.ini:3: plugin:bad_key: .*its key table is wrong: far: /],
    [['bad_minor'], /^bad\.ini:3: plugin:bad_minor: .*built for interface \d+\.\d+, this sockhop has \d+\.\d+/],
    [['bad_name'], /^bad\.ini:3: plugin:bad_name: .* holds the plugin "other"/],
    [['bad_symbol'], /^bad\.ini:3: plugin:bad_symbol: .*hop_from_the_future is missing/],
    [['echo', 'needy'], /^bad\.ini:4: plugin:needy: needs the plugin nowhere/],
    [['circle_a', 'circle_b'], /plugins wait for each other .*circle_a -> circle_b -> circle_a/],
  ])
    test(`${plugins.join(' and ')}, by -t and at the start`, async () => {
      assert.match(await refusal(plugins, ['-t']), wanted);
      assert.match(await refusal(plugins, []), wanted);
    });

  for (const [plugin, wanted] of [
    ['bad_event', /^bad\.ini:4: plugin:bad_event: hop_on\("disconnecting"\): a reserved event/],
    ['bad_init', /^bad\.ini:4: plugin:bad_init: cannot open the pod bay doors$/],
  ])
    test(`${plugin}, at the start, with those before it released`, async () => assert.match(await refusal(['echo', plugin], []), wanted));
});

test('plugins of a folder that was moved away are told by their path', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sockhop-conf-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'main.ini'), '[plugin:echo]\n');
  const { status, stderr } = await runSockhop(['-c', join(folder, 'main.ini'), '-o', 'server.plugin_dir=/nowhere', '-o', 'server.public=', '-t']);

  assert.equal(status, 1);
  assert.match(stderr, /plugin:echo: no such file \/nowhere\/echo\.so/);
});
