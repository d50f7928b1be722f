/*
 * socketio.test.js - Socket.IO on the wire: docs/PROTOCOL.md 1.5 and what stock clients see of it.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { Polling, RawWebSocket, TRANSPORTS, allGone, ask, closeClients, connect, hear, next, settle, startWith } from '../lib/client.js';

afterEach(closeClients);

const closedBy = (reason) => `sockhop_sessions_closed_total{reason="${reason}"}`;

describe('Socket.IO', () => {
  let server;

  before(async () => (server = await startWith(['echo', 'rooms', 'kick', 'ask'], { config: '[log]\nlevel = debug\n' })));
  after(() => server.stop());

  /* ---- CONNECT */

  test('CONNECT is answered with a sid that is not the session\'s', async () => {
    const raw = await RawWebSocket.open(server);
    const { sid } = JSON.parse((await raw.message()).slice(1));

    raw.send('40');
    const [, text] = /^40(\{.*\})$/.exec(await raw.message());
    assert.deepEqual(Object.keys(JSON.parse(text)), ['sid']);
    assert.match(JSON.parse(text).sid, /^[\w-]{20}$/);
    assert.notEqual(JSON.parse(text).sid, sid);
    await raw.close();
    await allGone(server);
  });

  test('CONNECT may carry an object, in any spelling of the main namespace', async () => {
    for (const packet of ['40{}', '40{"token":"a"}', '40/,', '40/,{"a":1}']) {
      const raw = await RawWebSocket.open(server);

      await raw.message();
      raw.send(packet);
      assert.match(await raw.message(), /^40\{"sid":"[\w-]+"\}$/, packet);
      await raw.close();
    }
    await allGone(server);
  });

  test('another namespace is refused, and the connection stays up', async () => {
    const raw = await RawWebSocket.open(server);

    await raw.message();
    raw.send('40/admin,');
    assert.equal(await raw.message(), '44/admin,{"message":"Invalid namespace"}');
    raw.send('40/with?query,{"a":1}');
    assert.match(await raw.message(), /^44\/with[^,]*,\{"message":"Invalid namespace"\}$/);
    raw.send('40');
    assert.match(await raw.message(), /^40\{/);
    raw.send('40/admin,');
    assert.equal(await raw.message(), '44/admin,{"message":"Invalid namespace"}');
    raw.send('42["echo",1]');
    assert.equal(await raw.message(), '42["echo",1]');
    await raw.close();
    await allGone(server);
  });

  test('a stock client is told that a namespace is invalid', async () => {
    const socket = await connect(server);
    const other = socket.io.socket('/nowhere');
    const refused = next(other, 'connect_error');

    other.connect();
    assert.equal((await refused)[0].message, 'Invalid namespace');
    assert.ok(socket.connected);
    socket.disconnect();
    await allGone(server);
  });

  /* ---- events and acks */

  for (const [choice, transports] of Object.entries(TRANSPORTS))
    test(`events and acks keep their arguments over ${choice}`, async () => {
      const lists = [
        [], [null], [1, -2.5, 1e21], ['', 'ünï😀\u2028', '\u0000'], [true, false], [[], {}, [[{}]], { a: { b: [1] } }], ['"\\\u001f'],
        [{ _placeholder: false, num: 0 }], ['x'.repeat(100000)], Array.from({ length: 1000 }, (_, i) => i),
      ];
      const socket = await connect(server, { transports });

      for (const [i, list] of lists.entries()) {
        assert.deepEqual(await ask(socket, 'echo', ...list), list);
        socket.emit('echo', ...list);
        assert.deepEqual(await hear(socket, 'echo', i + 1), list);
      }
      socket.disconnect();
      await allGone(server);
    });

  test('ack ids are answered as they came', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    for (const id of ['0', '1', '17', '9007199254740991', '007', '00']) {
      raw.send(`42${id}["echo","a"]`);
      assert.equal(await raw.message(), `43${id}["a"]`);
    }
    raw.send('42/,5["echo"]');
    assert.equal(await raw.message(), '435[]');
    await raw.close();
    await allGone(server);
  });

  test('an event that nobody handles is ignored', async () => {
    const socket = await connect(server);

    socket.emit('nobody', 1);
    for (const name of ['connection', 'error', 'message', '__proto__', 'toString', '😀', '']) socket.emit(name, 1);
    assert.deepEqual(await settle(socket), ['settle']);
    socket.disconnect();
    await allGone(server);
  });

  test('an event may have a number for its name', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    raw.send('42[7,"x"]', '42[-1.5]', '42["echo",1]');
    assert.equal(await raw.message(), '42["echo",1]');
    await raw.close();
    await allGone(server);
  });

  test('the server asks, and the client\'s ack arrives', async () => {
    const socket = await connect(server);

    socket.on('question', (...args) => args.pop()('the answer', ...args));
    socket.emit('ask', 'what', 42);
    assert.deepEqual(await hear(socket, 'answer'), ['the answer', 'what', 42]);
    socket.disconnect();
    await allGone(server);
  });

  test('acks of nothing, of strangers, and doubled ones are ignored', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    raw.send('430[]', '43999["x"]', '43[]', '43');
    raw.send('42["ask","q"]');
    const [, id] = /^42(\d+)\["question","q"\]$/.exec(await raw.message());
    raw.send(`43${id}["a"]`, `43${id}["again"]`, '42["echo",1]');
    assert.equal(await raw.message(), '42["answer","a"]');
    assert.equal(await raw.message(), '42["echo",1]');
    await raw.close();
    await allGone(server);
  });

  /* ---- DISCONNECT */

  test('after DISCONNECT nothing comes, and the client may join again with another sid', async () => {
    const raw = await RawWebSocket.open(server);

    await raw.message();
    raw.send('40');
    const first = await raw.message();
    raw.send('42["join","den"]');
    assert.equal(await raw.message(), '42["joined","den"]');
    raw.send('41');
    await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 0 && metrics.get('sockhop_rooms') === 0);
    raw.send('40');
    const second = await raw.message();
    assert.match(second, /^40\{/);
    assert.notEqual(second, first);
    raw.send('42["echo",1]');
    assert.equal(await raw.message(), '42["echo",1]');
    await raw.close();
    await allGone(server);
  });

  test('an event behind DISCONNECT closes, as for a namespace that was not joined', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    raw.send('41', '42["echo",1]');
    await raw.end();
    await allGone(server);
  });

  for (const [choice, transports] of Object.entries(TRANSPORTS)) {
    test(`the server disconnects a socket over ${choice}: what was sent before arrives, and it does not come back`, async () => {
      const socket = await connect(server, { transports, reconnection: true });
      const left = next(socket, 'disconnect');

      socket.emit('kick');
      assert.deepEqual((await left)[0], 'io server disconnect');
      assert.deepEqual(socket.heard, [['bye', 'soft']]);
      socket.disconnect();
      await allGone(server);
    });

    test(`the server closes a transport over ${choice}: what was sent before arrives, and the client comes back`, async () => {
      const socket = await connect(server, { transports, reconnection: true, reconnectionDelay: 10 });
      const left = next(socket, 'disconnect');

      socket.emit('kick-hard');
      assert.match((await left)[0], /^transport (close|error)$/);
      assert.deepEqual(socket.heard, [['bye', 'hard']]);
      if (!socket.connected) await next(socket, 'connect');
      assert.deepEqual(await settle(socket), ['settle']);
      socket.disconnect();
      await allGone(server);
    });

    test(`plugins learn why a socket over ${choice} left`, async () => {
      const watcher = await connect(server);
      const reasonOf = async (act) => {
        const socket = await connect(server, { transports });
        const [, before] = await ask(watcher, 'last-reason');

        act(socket);
        for (;;) {
          const [reason, n] = await ask(watcher, 'last-reason');
          if (n > before) return reason;
        }
      };

      assert.equal(await reasonOf((socket) => socket.disconnect()), 'client namespace disconnect');
      assert.equal(await reasonOf((socket) => socket.io.engine.close()), 'transport close');
      assert.equal(await reasonOf((socket) => socket.emit('kick')), 'server namespace disconnect');
      assert.equal(await reasonOf((socket) => socket.emit('kick-hard')), 'forced server close');
      assert.equal(await reasonOf((socket) => socket.io.engine.write('9bad')), 'parse error');
      closeClients();
      await allGone(server);
    });
  }

  test('everybody may be disconnected at once, from inside one\'s handler', async () => {
    const sockets = await Promise.all(
      Array.from({ length: 30 }, (_, i) => connect(server, { transports: i % 2 ? ['websocket'] : ['polling'] })),
    );
    const left = sockets.map((socket) => next(socket, 'disconnect'));

    sockets[7].emit('kick-all');
    for (const [reason] of await Promise.all(left)) assert.equal(reason, 'io server disconnect');
    closeClients();
    await allGone(server);
  });

  /* ---- rooms */

  test('a room is heard by its members without the sender, and goes with the last', async () => {
    const [ada, bob, eve] = await Promise.all([connect(server), connect(server, { transports: ['polling'] }), connect(server)]);

    await ask(ada, 'join', 'den');
    await ask(bob, 'join', 'den');
    ada.emit('say', 'den', { hello: 1 });
    assert.deepEqual(await hear(bob, 'said'), ['den', { hello: 1 }]);
    await Promise.all([settle(ada), settle(eve)]);
    assert.ok(![...ada.heard, ...eve.heard].some(([name]) => name === 'said'));
    assert.equal((await server.metrics()).get('sockhop_rooms'), 1);
    await ask(ada, 'leave', 'den');
    await ask(bob, 'leave', 'den');
    assert.equal((await server.metrics()).get('sockhop_rooms'), 0);
    assert.equal((await ask(ada, 'leave', 'den'))[0].error.code, 'bad_room');
    const [{ id, address, rooms }] = await ask(ada, 'whoami');
    assert.deepEqual({ id, address, rooms }, { id: ada.id, address: '127.0.0.1', rooms: true });
    eve.emit('send', ada.id, 'direct');
    assert.deepEqual(await hear(ada, 'sent'), ['direct']);
    assert.equal((await ask(eve, 'send', 'nobody'))[0].error.code, 'nobody');
    closeClients();
    await allGone(server);
  });

  /* ---- what is refused (PROTOCOL.md 1.5) */

  const REFUSED = [
    ['an unknown type', '47'], ['a type that is no digit', '4x'], ['an event without payload', '42'], ['a payload that is no array', '42{}'],
    ['a text payload', '42"echo"'], ['an empty array', '42[]'], ['a name null', '42[null]'], ['a name that is an object', '42[{}]'],
    ['a name that is an array', '42[["echo"]]'], ['a name true', '42[true]'], ['bad JSON', '42["echo",]'], ['two values', '42["echo"][1]'],
    ['half an array', '42["echo"'], ['a NaN', '42["echo",NaN]'], ['a comment', '42["echo"/**/]'], ['a control byte in a string', '42["echo","\u0001"]'],
    ['a leading zero', '42["echo",01]'], ['an ack id that is no number', '421x["echo"]'], ['an ack id of 17 digits', '4212345678901234567["echo"]'],
    ['an ack id of 2^53', '429007199254740992["echo"]'], ['an ack with an object', '431{}'], ['attachments on an event', '421-["echo"]'],
    ['11 attachments', '4511-["echo"]'], ['a placeholder out of range', '451-["echo",{"_placeholder":true,"num":1}]'],
    ['a placeholder without a number', '451-["echo",[{"_placeholder":true}]]'], ['a binary event with a reserved name', '451-["connect"]'],
    ['attachments that are not counted', '45["echo"]'], ['a binary ack with an object', '461-1{}'], ['CONNECT_ERROR', '44{"message":"x"}'],
    ['a second CONNECT', '40'], ['an event of a namespace it did not join', '42/other,["echo"]'], ['DISCONNECT of one it did not join', '41/other,'],
    ['JSON of depth 65', `42["echo",${'['.repeat(64)}${']'.repeat(64)}]`], ['10,001 values', `42["echo"${',1'.repeat(10001)}]`],
    ...['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener'].map((name) => [`the event ${name}`, `42["${name}"]`]),
    ['a reserved name in escapes', '42["disc\\u006fnnect"]'],
  ];

  for (const [what, packet] of REFUSED)
    test(`${what} closes the connection, and the log says why`, async () => {
      const raw = await RawWebSocket.open(server, { join: true });
      const n = server.log.length;

      raw.send(packet);
      await raw.end();
      await allGone(server);
      assert.match(server.log.slice(n).join('\n'), /sio\.refused id=\S+ reason="[^"]+"/);
    });

  test('refusals close a polling session too', async () => {
    for (const [, packet] of REFUSED.slice(0, 6)) {
      const polling = await Polling.open(server, { join: true });
      const held = polling.get();

      assert.equal((await polling.post(packet)).status, 200); /* as the reference */
      assert.equal((await held).text, '1');
      assert.equal((await polling.get()).status, 400);
    }
    await allGone(server);
  });

  test('a first packet that is not CONNECT closes', async () => {
    for (const packet of ['42["echo"]', '41', '430[]']) {
      const raw = await RawWebSocket.open(server);

      await raw.message();
      raw.send(packet);
      await raw.end();
    }
    await allGone(server);
  });

  test('a CONNECT with a payload that is no object closes', async () => {
    for (const packet of ['40[]', '40"x"', '40{', '40 1', '40null']) {
      const raw = await RawWebSocket.open(server);

      await raw.message();
      raw.send(packet);
      await raw.end();
    }
    await allGone(server);
  });

  test('what follows a refused packet in one payload is not run', async () => {
    const watcher = await connect(server);
    const polling = await Polling.open(server, { join: true });

    await polling.send('42["shout","before"]', '42', '42["shout","after"]');
    await hear(watcher, 'shouted');
    await settle(watcher);
    assert.deepEqual(watcher.heard, [['shouted', 'before']]);
    await polling.get(); /* takes what is left */
    watcher.disconnect();
    await allGone(server);
  });

  test('JSON of depth 64 and 10,000 values is taken', async () => {
    const raw = await RawWebSocket.open(server, { join: true });
    const deep = `42["echo",${'['.repeat(63)}${']'.repeat(63)}]`;
    const wide = `42["echo"${',1'.repeat(9998)}]`;

    raw.send(deep);
    assert.equal(await raw.message(), deep);
    raw.send(wide);
    assert.equal(await raw.message(), wide);
    await raw.close();
    await allGone(server);
  });

  test('closes are counted by their reason', async () => {
    const metrics = await server.metrics();

    assert.ok(metrics.get(closedBy('parse error')) > 20);
    assert.ok(metrics.get(closedBy('forced server close')) > 3);
    assert.ok(metrics.get(closedBy('transport close')) > 20);
  });
});
