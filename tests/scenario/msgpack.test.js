/*
 * msgpack.test.js - engine.parser = msgpack: stock clients with socket.io-msgpack-parser (docs/PROTOCOL.md 1.4), what is
 * kept of their data, and who is refused.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import parser from 'socket.io-msgpack-parser';

import { Polling, RawWebSocket, TRANSPORTS, allGone, ask, closeClients, connect, hear, heard, request, startWith } from '../lib/client.js';

const PLUGINS = ['auth', 'lobby', 'echo', 'rooms', 'binary', 'spaces'];
const { Decoder, Encoder } = parser;
const encode = (packet) => new Encoder().encode(packet)[0];
const decode = (bytes) => {
  const decoder = new Decoder();
  let packet;

  decoder.on('decoded', (decoded) => (packet = decoded));
  decoder.add(bytes);
  return packet;
};
let server;

before(async () => (server = await startWith(PLUGINS, { config: '[server]\nnamespaces = /custom\n[engine]\nparser = msgpack\n[log]\nlevel = debug\n' })));
after(() => server.stop());
afterEach(async () => {
  closeClients();
  await allGone(server);
});

for (const [choice, transports] of Object.entries(TRANSPORTS))
  describe(`MessagePack over ${choice}`, () => {
    const join = (options) => connect(server, { transports, parser, ...options });

    test('events and acks bring every list of arguments back', async () => {
      const socket = await join();
      const lists = [
        [], [null, true, false, 0, -1, 127, 128, 255, 256, 65536, 2 ** 32, 2 ** 53 - 1, -(2 ** 31) - 1, 0.1, 1e-300], ['', 'a', 'ä€😀"\\\n\0', 'x'.repeat(70000)],
        [{ a: [{ b: {} }], '': [] }], [Buffer.from('abc')], [{ deep: [Buffer.alloc(0), { b: Buffer.alloc(70000, 7) }] }, 'text', Buffer.from([0, 255])],
        [{ _placeholder: true, num: 0 }], Array.from({ length: 10 }, (_, i) => Buffer.from([i])), [Array.from({ length: 70000 }, (_, i) => i % 100).slice(0, 9000)],
      ];

      for (const [i, list] of lists.entries()) {
        assert.deepEqual(await ask(socket, 'echo', ...list), list);
        socket.emit('echo', ...list);
        assert.deepEqual(await hear(socket, 'echo', i + 1), list);
      }
    });

    test('what JSON has no word for becomes what JSON.stringify() makes of it', async () => {
      const socket = await join();
      const when = new Date(1234567890123);

      assert.deepEqual(await ask(socket, 'echo', when, undefined, { a: undefined, b: 1 }, NaN, -Infinity), [when.toJSON(), null, { b: 1 }, null, null]);
      assert.deepEqual(await ask(socket, 'echo', new Uint8Array([1, 2]).buffer), [Buffer.from([1, 2])]);
    });

    test('the server asks, and a client answers', async () => {
      const socket = await join();

      socket.on('question', (...args) => args.pop()({ answer: [Buffer.from('it')] }, ...args));
      socket.emit('question', Buffer.from('what'));
      assert.deepEqual(await hear(socket, 'answer'), [{ answer: [Buffer.from('it')] }, Buffer.from('what')]);
    });

    test('the article\'s contract, rooms, and namespaces', async () => {
      const [ann, bob, custom] = [await join(), await join(), await connect(server, { transports, parser, wait: false })];

      ann.emit('login', 'ann');
      await hear(ann, 'welcome');
      bob.emit('login', 'bob');
      await hear(ann, 'userJoined', 2);
      bob.emit('chat', 'hi');
      assert.deepEqual(await hear(ann, 'chat'), [{ sender: 'bob', message: 'hi' }]);
      for (const socket of [ann, bob]) await ask(socket, 'join', 'den');
      bob.emit('say', 'den', Buffer.from('x'));
      assert.deepEqual(await hear(ann, 'said'), ['den', Buffer.from('x')]);
      const other = custom.io.socket('/custom');
      await new Promise((done, fail) => {
        other.once('connect', done);
        other.once('connect_error', fail);
      });
      assert.equal((await ask(other, 'where'))[0], '/custom');
      other.disconnect();
      const none = custom.io.socket('/none');
      assert.equal((await new Promise((done) => none.once('connect_error', done))).message, 'Invalid namespace');
      none.disconnect();
      bob.disconnect();
      await hear(ann, 'userLeft');
      assert.equal(heard(ann, 'chat').length, 1);
    });
  });

describe('who does not speak it', () => {
  const ends = async (payload, isBinary = true) => {
    const raw = await RawWebSocket.open(server);

    await raw.message(); /* open */
    raw.ws.send(payload, { binary: isBinary });
    return raw.end();
  };

  test('text ends the session: the parser of all clients is the server\'s', async () => {
    await ends('40', false);
    await server.waitLog(/sio\.refused .* reason="text, and engine\.parser is msgpack"/);
    const socket = await connect(server, { wait: false });
    await new Promise((done) => socket.io.once('close', done));
  });

  test('what is no packet ends the session, and nobody else notices', async () => {
    const honest = await connect(server, { parser });

    for (const bytes of [
      Buffer.alloc(0), Buffer.from([0xc1]), Buffer.from([0xdf, 255, 255, 255, 255]), encode([1]), encode({ type: 9, nsp: '/' }), encode({ type: 0, nsp: 7 }),
      encode({ type: 2, nsp: '/', data: ['e'] }), encode({ type: 0, nsp: '/', data: [1] }),
      encode({ type: 4, nsp: '/', data: 'x' }), Buffer.concat([encode({ type: 0, nsp: '/' }), Buffer.from([0])]),
      Buffer.concat([Buffer.from('83a474797065', 'hex'), Buffer.from('02a36e7370a12fa464617461', 'hex'), Buffer.alloc(2000, 0x91), Buffer.from([0x90])]),
    ])
      await ends(bytes);
    assert.deepEqual(await ask(honest, 'echo', 1), [1]);
  });

  test('a namespace that can be none is told so, in MessagePack', async () => {
    for (const nsp of ['', 'chat', '/a,b', '/a\0', '/none?x', 'x'.repeat(200)]) {
      const raw = await RawWebSocket.open(server);

      await raw.message(); /* open */
      raw.ws.send(encode({ type: 0, nsp }));
      const answer = decode(await raw.message());
      assert.deepEqual([answer.type, answer.data], [4, { message: 'Invalid namespace' }], nsp);
      await raw.close();
    }
  });

  test('over polling too: base64, and a packet of several namespaces\' names', async () => {
    const polling = await Polling.open(server);

    await polling.send(`b${encode({ type: 0, nsp: '/' }).toString('base64')}`);
    const answer = await request(server, polling.path);
    assert.match(answer.text, /^b[\w+/]+=*$/);
    await polling.send(`b${encode({ type: 2, nsp: '/a,b', data: ['e'] }).toString('base64')}`);
    await server.waitLog(/sio\.refused .* reason="packet for a namespace that was not joined"/);
  });
});
