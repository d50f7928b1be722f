/*
 * article.test.js - the article's contract, event by event, over all three transport choices.
 *
 * What its own client relies on: login, welcome, loginNameBad, loginNameExists, onlineUsers,
 * userJoined, userLeft, chat. Plugins: auth, lobby, echo.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { Polling, RawWebSocket, TRANSPORTS, allGone, ask, closeClients, connect, hear, heard, settle } from '../lib/client.js';
import { startServer } from '../lib/server.js';

afterEach(closeClients);

/* Connects and logs in. */
async function join(server, name, options) {
  const socket = await connect(server, options);

  socket.emit('login', name);
  await hear(socket, 'welcome');
  return socket;
}

async function leave(server, ...sockets) {
  for (const socket of sockets) socket.disconnect();
  await allGone(server);
}

for (const [choice, transports] of Object.entries(TRANSPORTS)) {
  describe(`the article's contract over ${choice}`, () => {
    const options = { transports };
    let server;

    before(async () => (server = await startServer()));
    after(() => server.stop());

    test('a login is welcomed, then everyone hears who joined, the newcomer too', async () => {
      const ada = await connect(server, options);

      ada.emit('login', 'ada');
      assert.deepEqual(await hear(ada, 'userJoined'), ['ada']);
      assert.deepEqual(ada.heard, [['welcome'], ['userJoined', 'ada']]);
      const bob = await connect(server, options);
      bob.emit('login', 'bob');
      assert.deepEqual(await hear(ada, 'userJoined', 2), ['bob']);
      assert.deepEqual(await hear(bob, 'userJoined'), ['bob']);
      assert.deepEqual(bob.heard, [['welcome'], ['userJoined', 'bob']]);
      await leave(server, ada, bob);
    });

    test('one who has not logged in hears the others all the same', async () => {
      const guest = await connect(server, options);
      const ada = await join(server, 'ada', options);

      assert.deepEqual(await hear(guest, 'userJoined'), ['ada']);
      ada.emit('chat', 'hello');
      assert.deepEqual(await hear(guest, 'chat'), [{ sender: 'ada', message: 'hello' }]);
      await leave(server, ada, guest);
    });

    test('a bad name is sent back as loginNameBad', async () => {
      const bad = ['', 'ab', 'abcdefghijk', 12345, null, true, {}, { length: 5 }, ['a', 'b', 'c'], ['abc'], 1.5, 'a\u0000bc',
        ' abc', 'abc ', 'a  bc', 'a\nbc', '\u202eabc', 'a\u200bbc', '😀😀'];
      const socket = await connect(server, options);

      for (const name of bad) socket.emit('login', name);
      socket.emit('login');
      await settle(socket);
      const answers = heard(socket, 'loginNameBad');
      assert.deepEqual(answers, [...bad.map((name) => [name]), [null]]);
      assert.equal(socket.heard.length, bad.length + 1); /* and nothing else */
      socket.emit('login', 'fine'); /* it may try again */
      await hear(socket, 'welcome');
      await leave(server, socket);
    });

    test('a name has 3 to 10 characters, and an emoji is one', async () => {
      for (const name of ['abc', 'abcdefghij', '😀😀😀', '😀😀😀😀😀😀😀😀😀😀', 'Ünïcödé', 'a b c'])
        await leave(server, await join(server, name, options));
      const socket = await connect(server, options);
      socket.emit('login', '😀'.repeat(11));
      assert.deepEqual(await hear(socket, 'loginNameBad'), ['😀'.repeat(11)]);
      await leave(server, socket);
    });

    test('a name that is taken is sent back as loginNameExists, however it is written', async () => {
      const ada = await join(server, 'Ada', options);
      const other = await connect(server, options);

      for (const name of ['Ada', 'ADA', 'ada', 'Ａｄａ']) other.emit('login', name);
      await hear(other, 'loginNameExists', 4);
      assert.deepEqual(heard(other, 'loginNameExists'), [['Ada'], ['ADA'], ['ada'], ['Ａｄａ']]);
      other.emit('login', 'adam');
      await hear(other, 'welcome');
      await leave(server, ada, other);
    });

    test('a second login changes nothing', async () => {
      const ada = await join(server, 'ada', options);

      ada.emit('login', 'grace');
      assert.deepEqual(await hear(ada, 'loginNameExists'), ['grace']);
      ada.emit('login', 'ada');
      ada.emit('login', 'x');
      await hear(ada, 'loginNameExists', 3);
      ada.emit('onlineUsers');
      assert.deepEqual(await hear(ada, 'onlineUsers'), [['ada']]);
      assert.equal(heard(ada, 'userJoined').length, 1);
      const grace = await join(server, 'grace', options); /* not taken by the attempt */
      await leave(server, ada, grace);
    });

    test('onlineUsers lists the names in the order of login, to its asker alone', async () => {
      const sockets = [];

      for (const name of ['zoe', 'adam', 'mia']) sockets.push(await join(server, name, options));
      sockets[1].emit('onlineUsers');
      assert.deepEqual(await hear(sockets[1], 'onlineUsers'), [['zoe', 'adam', 'mia']]);
      await settle(sockets[0]);
      assert.equal(heard(sockets[0], 'onlineUsers').length, 0);
      sockets[0].disconnect();
      await hear(sockets[1], 'userLeft');
      sockets[1].emit('onlineUsers');
      assert.deepEqual(await hear(sockets[1], 'onlineUsers', 2), [['adam', 'mia']]);
      const guest = await connect(server, options);
      guest.emit('onlineUsers');
      assert.deepEqual(await hear(guest, 'onlineUsers'), [['adam', 'mia']]);
      await leave(server, guest, ...sockets);
    });

    test('chat reaches everyone with its sender, whatever the message is', async () => {
      const messages = ['hi', 'ünï😀', '<b>&"\\', 'x'.repeat(10000), 42, -1.5, true, [], [1, [2]], {}, { a: { b: null } }, '0', ' '];
      const ada = await join(server, 'ada', options);
      const bob = await join(server, 'bob', options);

      for (const message of messages) ada.emit('chat', message);
      for (const socket of [ada, bob]) {
        await hear(socket, 'chat', messages.length);
        assert.deepEqual(heard(socket, 'chat'), messages.map((message) => [{ sender: 'ada', message }]));
      }
      await leave(server, ada, bob);
    });

    test('an empty chat is ignored', async () => {
      const ada = await join(server, 'ada', options);

      for (const message of ['', null, false, 0]) ada.emit('chat', message);
      ada.emit('chat');
      ada.emit('chat', 'not empty');
      await hear(ada, 'chat');
      await settle(ada);
      assert.equal(heard(ada, 'chat').length, 1);
      await leave(server, ada);
    });

    test('chat before login reaches nobody', async () => {
      const ada = await join(server, 'ada', options);
      const guest = await connect(server, options);

      guest.emit('chat', 'who am I');
      guest.emit('chat', { a: 1 });
      await settle(guest);
      await settle(ada);
      assert.equal(heard(ada, 'chat').length + heard(guest, 'chat').length, 0);
      await leave(server, ada, guest);
    });

    test('those who stay hear userLeft, and the name is free', async () => {
      const ada = await join(server, 'ada', options);
      const bob = await join(server, 'bob', options);

      bob.disconnect();
      assert.deepEqual(await hear(ada, 'userLeft'), ['bob']);
      const again = await join(server, 'bob', options);
      again.io.engine.close(); /* without a word of Socket.IO */
      assert.deepEqual(await hear(ada, 'userLeft', 2), ['bob']);
      const guest = await connect(server, options);
      guest.disconnect(); /* nobody's name */
      await settle(ada);
      assert.equal(heard(ada, 'userLeft').length, 2);
      await leave(server, ada);
    });

    test('names that JavaScript knows are names like others', async () => {
      const names = ['__proto__', 'toString', 'valueOf'];
      const sockets = [];

      for (const name of names) sockets.push(await join(server, name, options));
      sockets[0].emit('onlineUsers');
      assert.deepEqual(await hear(sockets[0], 'onlineUsers'), [names]);
      sockets[0].emit('chat', 'hello');
      assert.deepEqual(await hear(sockets[2], 'chat'), [{ sender: '__proto__', message: 'hello' }]);
      await leave(server, ...sockets);
    });

    test('who asks for an ack is told', async () => {
      const ada = await connect(server, options);

      assert.deepEqual(await ask(ada, 'chat', 'early'), [{ ok: false, error: { code: 'not_logged_in', message: 'log in first' } }]);
      assert.equal((await ask(ada, 'login', 'x'))[0].error.code, 'name_bad');
      assert.deepEqual(await ask(ada, 'login', 'ada'), [{ ok: true }]);
      assert.equal((await ask(ada, 'login', 'ada'))[0].ok, false);
      assert.deepEqual(await ask(ada, 'chat', 'hello'), [{ ok: true }]);
      assert.equal((await ask(ada, 'chat', ''))[0].error.code, 'empty');
      assert.deepEqual(await ask(ada, 'onlineUsers'), [{ ok: true, users: ['ada'] }]);
      await leave(server, ada);
    });
  });
}

describe('the lobby beyond the article', () => {
  let server;

  before(async () => (server = await startServer()));
  after(() => server.stop());

  test('of a hundred clients that claim one name at once exactly one is welcome', async () => {
    const sockets = await Promise.all(
      Array.from({ length: 100 }, (_, i) => connect(server, { transports: i % 4 ? ['websocket'] : ['polling'] })),
    );

    for (const socket of sockets) socket.emit('login', 'highlander');
    for (const socket of sockets) socket.emit('login', 'Highlanderr');
    await Promise.all(sockets.map(settle));
    const welcomed = sockets.filter((socket) => heard(socket, 'welcome').length > 0);
    assert.equal(welcomed.length, 1);
    assert.equal(heard(welcomed[0], 'welcome').length, 1);
    for (const socket of sockets) {
      const isFirst = socket === welcomed[0];
      assert.deepEqual(heard(socket, 'loginNameExists'), [[isFirst ? 'Highlanderr' : 'highlander']]);
      assert.equal(heard(socket, 'loginNameBad').length, isFirst ? 0 : 1); /* 11 characters */
    }
    await leave(server, ...sockets);
  });

  for (const kind of ['WebSocket', 'polling'])
    test(`a message is passed on byte for byte over ${kind}`, async () => {
      const messages = [
        '12345678901234567890123456789', '1.10', '1E400', '-0.0000001e-7', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"',
        '"\\/\\u00e9"', '{"b":1,"a":2,"a":3}', '{"__proto__":{"x":1},"constructor":null}', '[ 1 , 2 ]', '"\u2028"',
      ];
      const client = await (kind === 'polling' ? Polling.open(server, { join: true }) : RawWebSocket.open(server, { join: true }));
      const receive = () => (kind === 'polling' ? client.packet() : client.message());

      await client.send('42["login","raw"]');
      assert.equal(await receive(), '42["welcome"]');
      assert.equal(await receive(), '42["userJoined","raw"]');
      for (const message of messages) await client.send(`42["chat",${message}]`);
      for (const message of messages) assert.equal(await receive(), `42["chat",{"sender":"raw","message":${message}}]`);
      await client.send('41');
      if (kind === 'WebSocket') await client.close();
      else await client.send('1');
      await allGone(server);
    });

  test('zeros of any spelling are empty too', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    raw.send('42["login","raw"]');
    await raw.message();
    await raw.message();
    raw.send('42["chat",0]', '42["chat",-0]', '42["chat",0.00]', '42["chat",0e5]', '42["chat",""]', '42["chat"]', '42["chat",1]');
    assert.equal(await raw.message(), '42["chat",{"sender":"raw","message":1}]');
    await raw.close();
    await allGone(server);
  });

  test('a flood of logins and leaves leaves nothing behind', async () => {
    for (let round = 0; round < 5; round++) {
      const sockets = await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          const socket = await connect(server, { transports: i % 2 ? ['websocket'] : ['polling'] });
          socket.emit('login', `user${i}`);
          return socket;
        }),
      );
      for (const [i, socket] of sockets.entries()) {
        if (i % 3) await hear(socket, 'welcome');
        if (i % 2) socket.disconnect();
        else socket.io.engine.close();
      }
      await allGone(server);
    }
  });
});

test('notices = no keeps joins and leaves quiet', async (t) => {
  const server = await startServer({ config: '[plugin:auth]\n[plugin:lobby]\nnotices = no\n[plugin:echo]\n' });
  t.after(() => server.stop());
  const ada = await join(server, 'ada');
  const bob = await join(server, 'bob');

  bob.disconnect();
  await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1);
  ada.emit('chat', 'alone');
  await hear(ada, 'chat');
  assert.deepEqual(ada.heard, [['welcome'], ['chat', { sender: 'ada', message: 'alone' }]]);
  await leave(server, ada);
});
