/*
 * eio3.test.js - clients of Socket.IO 2.x, which speak Engine.IO 3, over each transport
 * (docs/PROTOCOL.md 1.3): npm's socket.io-client 2.5, and below it engine.io-client 3.
 */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { after, afterEach, before, describe, test } from 'node:test';

import {
  Polling, RawWebSocket, TRANSPORTS, allGone, ask, closeClients, connect, hear, next, request, startWith, whenClosing, within,
} from '../lib/client.js';

const require = createRequire(import.meta.url);
const io2 = require('socket.io-client-2');

afterEach(closeClients);

const PATH3 = '/socket.io/?EIO=3&transport=polling';
const EIO3 = '[engine]\nallow_eio3 = yes\n';

/* As connect() of lib/client.js: connected, and upgraded where that is its way. */
async function connect2(server, { transports, nsp = '/', wait = true, ...options } = {}) {
  const socket = io2(`${server.url}${nsp}`, { transports, forceNew: true, reconnection: false, ...options });

  whenClosing(() => socket.close());
  socket.heard = [];
  socket.bell = new EventEmitter().setMaxListeners(0);
  const { onevent } = socket; /* 2.x has no onAny() */
  socket.onevent = (packet) => {
    onevent.call(socket, packet);
    socket.heard.push(packet.data);
    socket.bell.emit('ring');
  };
  if (!wait) return socket;
  await within(
    new Promise((done, fail) => {
      socket.once('connect', done);
      for (const event of ['connect_error', 'error']) socket.once(event, (reason) => fail(new Error(`${event}: ${reason}`)));
    }),
    'connect',
  );
  if (transports.length > 1 && socket.io.engine.transport.name === 'polling')
    await within(new Promise((done) => socket.io.engine.once('upgrade', done)), 'upgrade');
  return socket;
}

const TEXTS = ['', 'plain', 'é', '日本', '😀', 'a😀b\u2028\u0000"\\n\n', 'x'.repeat(100_000), '😀'.repeat(20_000)];
const bytes = (n) => Buffer.from(Array.from({ length: n }, (_, i) => (i * 7) & 255));

describe('clients of Socket.IO 2.x', () => {
  let server;

  before(async () => (server = await startWith(['auth', 'lobby', 'echo', 'ask'], { config: `[server]\nnamespaces = /other\n${EIO3}` })));
  after(() => server.stop());

  for (const [name, transports] of Object.entries(TRANSPORTS))
    describe(`by ${name}`, () => {
      test('a client connects, its id is that of its session, and it leaves nothing behind', async () => {
        const socket = await connect2(server, { transports });

        assert.equal(socket.id, socket.io.engine.id);
        assert.equal(socket.io.engine.transport.name, transports.at(-1));
        socket.close();
        await allGone(server);
      });

      test('events come back as they were, whatever their characters', async () => {
        const socket = await connect2(server, { transports });

        for (const [i, text] of TEXTS.entries()) {
          socket.emit('echo', text, { n: i, list: [null, true, 1.5] });
          assert.deepEqual(await hear(socket, 'echo', i + 1), [text, { n: i, list: [null, true, 1.5] }]);
        }
        socket.close();
        await allGone(server);
      });

      test('acks go both ways', async () => {
        const socket = await connect2(server, { transports });

        assert.deepEqual(await ask(socket, 'echo', 'é', 2), ['é', 2]);
        socket.on('question', (...args) => args.pop()(...args, 'yes'));
        socket.emit('ask', '😀', 1);
        assert.deepEqual(await hear(socket, 'answer'), ['😀', 1, 'yes']);
        socket.close();
        await allGone(server);
      });

      test('bytes come back as they were, in events and in acks, few and many', async () => {
        for (const options of [{}, { forceBase64: true }]) {
          const socket = await connect2(server, { transports, ...options });

          for (const [i, n] of [0, 1, 3, 600, 200_000].entries()) {
            const data = { a: [bytes(n), 'é', { b: bytes(5) }] };

            socket.emit('echo', data, 'and');
            assert.deepEqual(await hear(socket, 'echo', i + 1), [data, 'and']);
            assert.deepEqual(await ask(socket, 'echo', bytes(n), bytes(2)), [bytes(n), bytes(2)]);
          }
          socket.close();
        }
        await allGone(server);
      });

      test('many events in one go keep their order', async () => {
        const socket = await connect2(server, { transports });

        for (let i = 0; i < 1000; i++) socket.emit('echo', i, i % 10 ? 'x' : bytes(i % 7));
        await hear(socket, 'echo', 1000);
        assert.deepEqual(socket.heard.map(([, i]) => i), Array.from({ length: 1000 }, (_, i) => i));
        socket.close();
        await allGone(server);
      });

      test('a namespace beside "/": events, acks, its own end', async () => {
        const root = await connect2(server, { transports });
        const other = root.io.socket('/other', { query: 'token=a%20b' });

        whenClosing(() => other.close());
        await next(other, 'connect');
        assert.equal(other.id, `/other#${root.io.engine.id}`);
        assert.deepEqual(await ask(root, 'echo', 1), [1]);
        other.close();
        assert.deepEqual(await ask(root, 'echo', 2), [2]);
        root.close();
        await allGone(server);
      });

      test('an unknown namespace is refused, and the rest goes on', async () => {
        const root = await connect2(server, { transports });
        const unknown = root.io.socket('/unknown');

        whenClosing(() => unknown.close());
        const [error] = await next(unknown, 'error');
        assert.equal(error, 'Invalid namespace');
        assert.deepEqual(await ask(root, 'echo', 1), [1]);
        unknown.close(); /* else this client waits for it, and keeps its connection */
        root.close();
        await allGone(server);
      });

      test('a client comes back when its connection was cut', async () => {
        const socket = await connect2(server, { transports, reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 20 });
        const id = socket.id;
        const isBack = next(socket, 'connect');

        socket.io.engine.close();
        await isBack;
        assert.notEqual(socket.id, id);
        assert.deepEqual(await ask(socket, 'echo', 'back'), ['back']);
        socket.close();
        await allGone(server);
      });

      test('old and new clients meet in one room', async () => {
        const old = await connect2(server, { transports });
        const today = await connect(server, { transports });

        for (const [socket, user] of [[old, `old${transports.length}${name[0]}`], [today, `new${transports.length}${name[0]}`]]) {
          socket.emit('login', user);
          await hear(socket, 'welcome');
        }
        old.emit('chat', 'from the old 😀');
        today.emit('chat', 'from the new é');
        for (const socket of [old, today]) {
          await hear(socket, 'chat', 2);
          assert.deepEqual(
            socket.heard.filter(([event]) => event === 'chat').map(([, { message }]) => message).sort(),
            ['from the new é', 'from the old 😀'],
          );
        }
        old.close();
        today.close();
        await allGone(server);
      });
    });
});

describe('the heartbeat of Engine.IO 3', () => {
  let server;

  before(async () => (server = await startWith(['echo'], { config: `${EIO3}ping_interval = 100ms\nping_timeout = 2s\n` })));
  after(() => server.stop());

  for (const [name, transports] of Object.entries(TRANSPORTS))
    test(`by ${name} the client pings, and is answered`, async () => {
      const socket = await connect2(server, { transports });

      for (let i = 0; i < 3; i++) await next(socket, 'pong');
      assert.deepEqual(await ask(socket, 'echo', 1), [1]);
      socket.close();
      await allGone(server);
    });

  test('a client that says nothing is closed after both times', async () => {
    const { sid } = await Polling.open(server, { version: 3 });
    const raw = await RawWebSocket.open(server, { path: '/socket.io/?EIO=3&transport=websocket' });

    await raw.end();
    await server.waitMetrics((metrics) => metrics.get('sockhop_sessions_closed_total{reason="ping timeout"}') >= 2);
    assert.equal((await request(server, `${PATH3}&sid=${sid}`)).status, 400);
    await allGone(server);
  });
});

describe('Engine.IO 3 on the wire', () => {
  let server;

  before(async () => (server = await startWith(['echo'], { config: EIO3 })));
  after(() => server.stop());

  test('a GET without b64=1 that has bytes is an octet-stream', async () => {
    const polling = await Polling.open(server, { version: 3 });
    const event = '51-["echo",{"_placeholder":true,"num":0}]';
    const body = Buffer.concat([
      Buffer.from([0, ...[...String(event.length + 1)].map(Number), 255]), Buffer.from(`4${event}`), Buffer.from([1, 4, 255, 4, 0, 128, 255]),
    ]);

    assert.equal(await polling.packet(), '40');
    assert.equal((await polling.post(body, { 'Content-Type': 'application/octet-stream' })).text, 'ok');
    const answer = await polling.get();
    assert.equal(answer.headers['content-type'], 'application/octet-stream');
    assert.deepEqual(answer.body, body);
    await polling.send('1');
    await allGone(server);
  });

  test('without allow_eio3 a client of 2.x is told so', async () => {
    const strict = await startWith(['echo']);
    const answer = await request(strict, PATH3);

    assert.equal(answer.status, 400);
    assert.deepEqual(JSON.parse(answer.text), { code: 5, message: 'Unsupported protocol version' });
    for (const transports of [['polling'], ['websocket']]) {
      const socket = await connect2(strict, { transports, wait: false });
      await next(socket, 'connect_error');
    }
    await strict.stop();
  });
});

describe('JSONP', () => {
  let server;

  before(async () => (server = await startWith(['echo'], { config: EIO3 })));
  after(() => server.stop());

  for (const version of [3, 4])
    test(`version ${version}: events and bytes go by scripts and forms`, async () => {
      const jsonp = await Polling.open(server, { version, jsonp: 7 });

      if (version === 4) await jsonp.send('40');
      assert.match(await jsonp.packet(), version === 4 ? /^40\{/ : /^40$/);
      for (const text of TEXTS.slice(0, -2)) {
        const event = `42["echo",${JSON.stringify(text)}]`;
        await jsonp.send(event);
        assert.equal(await jsonp.packet(), event);
      }
      const binary = ['451-["echo",{"_placeholder":true,"num":0}]', version === 3 ? 'b4AIA/' : 'bAIA/'];
      await jsonp.send(...binary);
      for (const packet of binary) assert.equal(await jsonp.packet(), packet);
      await jsonp.send('1');
      await allGone(server);
    });
});
