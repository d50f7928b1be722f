/*
 * rooms.test.js - rooms as clients of each transport see them through the plugin rooms: who hears what,
 * when a room exists, and what is no room's name.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { RawWebSocket, TRANSPORTS, allGone, ask, closeClients, connect, hear, heard, settle, startWith } from '../lib/client.js';

afterEach(closeClients);

describe('rooms', () => {
  let server;

  before(async () => (server = await startWith(['echo', 'rooms'])));
  after(() => server.stop());

  /* One client of each transport: [polling, websocket, upgrade]. */
  const oneOfEach = () => Promise.all(Object.values(TRANSPORTS).map((transports) => connect(server, { transports })));

  const gauges = async () => {
    const metrics = await server.metrics();

    return [metrics.get('sockhop_sockets'), metrics.get('sockhop_rooms')];
  };

  test('say reaches the members but its sender, shout everybody, whatever their transports', async () => {
    const sockets = await oneOfEach();
    const [polling, websocket, upgrade] = sockets;

    for (const socket of [polling, websocket]) assert.deepEqual(await ask(socket, 'join', 'den'), []);
    for (const [i, socket] of sockets.entries()) {
      socket.emit('say', 'den', i, { deep: ['ünï', null] });
      socket.emit('shout', 'all', i);
    }
    for (const socket of sockets) await hear(socket, 'shouted', 3);
    await Promise.all(sockets.map(settle));
    const said = (...from) => from.map((i) => ['den', i, { deep: ['ünï', null] }]);
    const byNumber = (list) => list.toSorted((x, y) => x[1] - y[1]);
    assert.deepEqual(byNumber(heard(polling, 'said')), said(1, 2));
    assert.deepEqual(byNumber(heard(websocket, 'said')), said(0, 2)); /* who is no member may say */
    assert.deepEqual(heard(upgrade, 'said'), []);
    for (const socket of sockets)
      assert.deepEqual(byNumber(heard(socket, 'shouted')), [['all', 0], ['all', 1], ['all', 2]]);
    closeClients();
    await allGone(server);
  });

  test('hooks tell a join and a leave once; to do it twice is no event', async () => {
    for (const socket of await oneOfEach()) {
      await ask(socket, 'join', 'den');
      assert.deepEqual(await ask(socket, 'join', 'den'), []); /* no error, and nothing new */
      await ask(socket, 'leave', 'den');
      assert.equal((await ask(socket, 'leave', 'den'))[0].error.code, 'bad_room');
      await settle(socket);
      assert.deepEqual(heard(socket, 'joined'), [['den']]);
      assert.deepEqual(heard(socket, 'left'), [['den']]);
      socket.emit('say', 'den', 'into the void');
      socket.emit('leave', 'den'); /* no ack: the refusal is an event */
      assert.equal((await hear(socket, 'error'))[0].event, 'leave');
    }
    closeClients();
    await allGone(server);
  });

  test('a room exists from its first join to its last leave, or disconnect', async () => {
    const sockets = await oneOfEach();

    assert.deepEqual(await gauges(), [3, 0]);
    for (const socket of sockets) await ask(socket, 'join', 'one');
    await ask(sockets[0], 'join', 'two');
    assert.deepEqual(await gauges(), [3, 2]);
    await ask(sockets[0], 'leave', 'two');
    assert.deepEqual(await gauges(), [3, 1]);
    sockets[0].disconnect();
    sockets[1].io.engine.close();
    await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1);
    assert.deepEqual(await gauges(), [1, 1]);
    sockets[2].disconnect();
    await allGone(server);
  });

  test('a name has 1 to 128 bytes of UTF-8 and is compared byte by byte', async () => {
    const [ada, bob] = await oneOfEach();

    for (const name of ['', 'x'.repeat(129), 'ü'.repeat(65), null, 1, {}, ['den']])
      assert.equal((await ask(ada, 'join', name))[0].error.code, 'bad_room', JSON.stringify(name));
    assert.equal((await ask(ada, 'join'))[0].error.code, 'bad_room');
    const names = ['x'.repeat(128), 'ü'.repeat(64), 'den', 'Den', ' den', 'd\nen', '😀', '__proto__', '*'];
    for (const name of names) assert.deepEqual(await ask(ada, 'join', name), [], JSON.stringify(name));
    assert.deepEqual(await gauges(), [3, names.length]);
    for (const name of names) bob.emit('say', name, 'hello');
    await hear(ada, 'said', names.length);
    assert.deepEqual(heard(ada, 'said'), names.map((name) => [name, 'hello']));
    closeClients();
    await allGone(server);
  });

  test('a socket\'s own id is a room that nobody else needs to know of', async () => {
    const [ada, bob] = await oneOfEach();
    const [{ id, rooms }] = await ask(ada, 'whoami');

    assert.deepEqual([id, rooms], [ada.id, true]);
    bob.emit('say', ada.id, 'psst');
    assert.deepEqual(await hear(ada, 'said'), [ada.id, 'psst']);
    bob.emit('send', ada.id, 'direct', 1);
    assert.deepEqual(await hear(ada, 'sent'), ['direct', 1]);
    await settle(bob);
    assert.equal(heard(bob, 'said').length + heard(bob, 'sent').length, 0);
    closeClients();
    await allGone(server);
  });

  test('many rooms of many clients come and go', async () => {
    for (let round = 0; round < 3; round++) {
      const sockets = [...(await oneOfEach()), ...(await oneOfEach())];

      for (const socket of sockets) for (let i = 0; i < 50; i++) socket.emit('join', `room ${i}`);
      await Promise.all(sockets.map(settle));
      assert.deepEqual(await gauges(), [sockets.length, 50]);
      sockets[0].emit('say', 'room 7', round);
      for (const socket of sockets.slice(1)) assert.deepEqual(await hear(socket, 'said'), ['room 7', round]);
      for (const socket of sockets.slice(3)) for (let i = 0; i < 50; i++) socket.emit('leave', `room ${i}`);
      await Promise.all(sockets.map(settle));
      closeClients();
      await allGone(server);
    }
  });
});

/* ---- C46: what would be a pattern, a path or a format elsewhere is a name like any other here */

const LITERAL = [
  '%s%n%x', '%25', '100%', '___', '_a_', '***', 'a*b', '[a-z]', '?..', '...', '../..', '/etc', '/*/', 'a/b', '://', ':::', '##+', '+/+', '#/#', '$SYS',
  'a:b', 'a;b', '\\..', '{a,b}', '(.*)', '^.*$', '|cat', '`id`', '$(id)', '~~~', '!!!', '<b>', '"x"', "'or'", '--x',
];

describe('C46: names are compared, never matched', () => {
  let server;

  before(async () => (server = await startWith(['echo', 'rooms', 'auth', 'lobby'])));
  after(() => server.stop());

  test('a room of such a name has its members alone', async () => {
    const names = [...LITERAL, '*', '#', '+', '%', '/', '.', '..', 'den', 'a', 'ab', 'a+b'];
    const [speaker, everywhere] = [await connect(server), await connect(server)];
    const members = [];

    for (const name of names) {
      const socket = await connect(server);

      members.push(socket);
      assert.deepEqual(await ask(socket, 'join', name), []);
      assert.deepEqual(await ask(everywhere, 'join', name), []);
    }
    assert.equal((await server.metrics()).get('sockhop_rooms'), names.length);
    for (const name of names) speaker.emit('say', name, `to ${name}`);
    await hear(everywhere, 'said', names.length);
    for (const [i, socket] of members.entries()) {
      await settle(socket);
      assert.deepEqual(heard(socket, 'said'), [[names[i], `to ${names[i]}`]]);
    }
    closeClients();
    await allGone(server);
  });

  test('users of such names are somebody each, and speak for nobody else', async () => {
    const reader = await connect(server);
    const users = [];

    reader.emit('login', 'reader');
    await hear(reader, 'welcome');
    for (const name of LITERAL) {
      const socket = await connect(server);

      assert.deepEqual(await ask(socket, 'login', name), [{ ok: true }], name);
      users.push(socket);
    }
    const [{ users: listed }] = await ask(reader, 'onlineUsers');
    assert.deepEqual(listed, ['reader', ...LITERAL]);
    for (const [i, socket] of users.entries()) assert.deepEqual(await ask(socket, 'chat', LITERAL[i]), [{ ok: true }]);
    await hear(reader, 'chat', LITERAL.length);
    assert.deepEqual(heard(reader, 'chat').map(([{ sender, message }]) => [sender, message]), LITERAL.map((name) => [name, name]));
    const late = await connect(server);
    for (const name of LITERAL) assert.equal((await ask(late, 'login', name))[0].error.code, 'name_exists', name);
    users[LITERAL.indexOf('***')].disconnect(); /* it alone leaves */
    await hear(reader, 'userLeft');
    assert.deepEqual((await ask(reader, 'onlineUsers'))[0].users, ['reader', ...LITERAL].filter((name) => name !== '***'));
    assert.deepEqual(await ask(late, 'login', '***'), [{ ok: true }]);
    closeClients();
    await allGone(server);
  });
});

/* Attachments of no byte join these when there are attachments. */
test('C32: nothing at all is sent to 1,000 clients, over and over', async (t) => {
  const server = await startWith(['echo', 'rooms'], { config: '[engine]\nping_interval = 1h\n' }); /* however slowly */
  t.after(() => server.stop());
  const ROUNDS = 5;
  const raws = [];
  const sockets = await Promise.all(Object.values(TRANSPORTS).map((transports) => connect(server, { transports })));

  while (raws.length < 1000) raws.push(...(await Promise.all(Array.from({ length: 50 }, () => RawWebSocket.open(server, { join: true })))));
  for (let round = 0; round < ROUNDS; round++) {
    sockets[round % 3].emit('shout'); /* no argument */
    sockets[round % 3].emit('shout', '');
    await hear(sockets[round % 3], 'shouted', 2 * round + 2);
  }
  const expected = Array.from({ length: ROUNDS }, () => [[], ['']]).flat();
  for (const socket of sockets) {
    await hear(socket, 'shouted', expected.length);
    assert.deepEqual(heard(socket, 'shouted'), expected);
  }
  for (const raw of raws) {
    for (const args of expected) assert.equal(await raw.message(), `42${JSON.stringify(['shouted', ...args])}`);
    assert.equal(raw.messages.length, 0);
  }
  closeClients();
  await allGone(server);
});
