/*
 * namespaces.test.js - several namespaces over one connection, as stock clients see them and as
 * docs/PROTOCOL.md 1.6 has them; T15.
 */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { after, afterEach, before, describe, test } from 'node:test';

import { RawWebSocket, TRANSPORTS, allGone, ask, closeClients, connect, hear, heard, next, startWith } from '../lib/client.js';

afterEach(closeClients);

/* Another namespace over the connection of `socket`: it keeps what it hears, as those of connect() do. */
function also(socket, nsp, options) {
  const other = socket.io.socket(nsp, options);

  other.heard = [];
  other.bell = new EventEmitter().setMaxListeners(0);
  other.onAny((...args) => {
    other.heard.push(args);
    other.bell.emit('ring');
  });
  return other; /* it connects by itself */
}

async function join(socket, nsp, options) {
  const other = also(socket, nsp, options);

  await next(other, 'connect');
  return other;
}

describe('static namespaces', () => {
  let server;

  before(async () => (server = await startWith(['spaces', 'kick'], { config: '[server]\nnamespaces = /news, /ünï\n' })));
  after(() => server.stop());

  for (const [choice, transports] of Object.entries(TRANSPORTS))
    test(`one connection is in several over ${choice}, each with an id of its own`, async () => {
      const main = await connect(server, { transports });
      const spaces = await Promise.all(['/chat', '/news', '/ünï'].map((nsp) => join(main, nsp)));

      for (const socket of [main, ...spaces]) assert.deepEqual(await ask(socket, 'where'), [socket.nsp, socket.id]);
      assert.equal(new Set([main, ...spaces].map(({ id }) => id)).size, 4);
      main.disconnect();
      for (const socket of spaces) assert.deepEqual(await ask(socket, 'where'), [socket.nsp, socket.id]);
      for (const socket of spaces) socket.disconnect();
      await allGone(server);
    });

  test('a client need not join the main namespace', async () => {
    const raw = await RawWebSocket.open(server);

    await raw.message();
    raw.send('40/chat,');
    assert.match(await raw.message(), /^40\/chat,\{"sid":"[\w-]{20}"\}$/);
    raw.send('42/chat,1["where"]');
    assert.match(await raw.message(), /^43\/chat,1\["\/chat","[\w-]{20}"\]$/);
    raw.send('42["where"]');
    await raw.end();
    await allGone(server);
  });

  test('handlers, targets and rooms are those of their namespace', async () => {
    const [one, two] = await Promise.all([connect(server), connect(server)]);
    const [chat, chatToo, news] = [await join(one, '/chat'), await join(two, '/chat'), await join(one, '/news')];

    one.emit('talk', 'main');
    chat.emit('talk', 'chat');
    news.emit('talk', 'news'); /* nobody handles it there */
    for (const [socket, word] of [[one, 'main'], [two, 'main'], [chat, 'chat'], [chatToo, 'chat']])
      assert.deepEqual(await hear(socket, 'talk'), [word]);
    await ask(chat, 'join', 'den');
    assert.deepEqual(heard(chat, 'joined'), [['den']]);
    chatToo.emit('tell', 'den', 1, 2);
    assert.deepEqual(await hear(chat, 'told'), [1, 2]);
    one.emit('call', '/news', 'up');
    one.emit('call', '/nowhere', 'up');
    assert.deepEqual(await hear(news, 'called'), ['up']);
    for (const socket of [one, two, chat, chatToo, news]) await ask(socket, 'where');
    assert.deepEqual(heard(news, 'talk'), []);
    assert.deepEqual([heard(one, 'talk').length, heard(chat, 'talk').length, heard(chatToo, 'told').length], [1, 1, 0]);
    one.io.engine.close();
    two.io.engine.close();
    await allGone(server);
  });

  test('a client leaves one namespace, comes back, and the others do not notice', async () => {
    const main = await connect(server);
    const chat = await join(main, '/chat');
    const id = chat.id;

    await ask(chat, 'join', 'den');
    chat.disconnect();
    chat.connect();
    await next(chat, 'connect');
    assert.notEqual(chat.id, id);
    main.emit('call', '/chat', 'back');
    chat.emit('tell', 'den', 'nobody');
    assert.deepEqual(await hear(chat, 'called'), ['back']);
    await ask(chat, 'where');
    assert.deepEqual(heard(chat, 'told'), []);
    assert.deepEqual(heard(main, 'called'), []);
    main.io.engine.close();
    await allGone(server);
  });

  test('all sockets of a connection go with it, each with its hooks', async () => {
    const watcher = await connect(server);
    const [arrived, left] = await ask(watcher, 'arrivals');
    const main = await connect(server);

    await join(main, '/chat');
    await join(main, '/news');
    assert.deepEqual(await ask(watcher, 'arrivals'), [arrived + 3, left]);
    main.io.engine.close();
    await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1);
    assert.deepEqual(await ask(watcher, 'arrivals'), [arrived + 3, left + 3]);
    watcher.disconnect();
    await allGone(server);
  });

  test('an event for a namespace that was not joined closes', async () => {
    for (const packet of ['42/news,["where"]', '41/news,', '43/news,1[]']) {
      const raw = await RawWebSocket.open(server, { join: true });

      raw.send('40/chat,');
      await raw.message();
      raw.send(packet);
      await raw.end();
    }
    await allGone(server);
  });

  test('an unknown one is refused, and those that were joined stay', async () => {
    const main = await connect(server);
    const chat = await join(main, '/chat');
    const other = also(main, '/nowhere');

    assert.equal((await next(other, 'connect_error'))[0].message, 'Invalid namespace');
    assert.deepEqual(await ask(chat, 'where'), ['/chat', chat.id]);
    main.io.engine.close();
    await allGone(server);
  });
});
