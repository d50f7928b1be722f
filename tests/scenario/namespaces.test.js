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

/* What connect_error says: {message, data}. */
async function refusal(server, options) {
  const socket = await connect(server, { wait: false, ...options });
  const [{ message, data }] = await next(socket, 'connect_error');

  socket.disconnect();
  return { message, data };
}

describe('dynamic namespaces', () => {
  let server;

  before(async () => (server = await startWith(['gate', 'spaces'], { config: '[limits]\nmax_namespaces = 4\n' })));
  after(() => server.stop());

  const namespaces = (n) => server.waitMetrics((metrics) => metrics.get('sockhop_namespaces') === n);

  test('a pattern makes those that a client asks for, and they go with their last client', async () => {
    const [one, two] = await Promise.all([connect(server), connect(server)]);
    const [made, gone] = await ask(one, 'counts');
    const sockets = [await join(one, '/n-a'), await join(two, '/n-a'), await join(one, '/n-12')];

    for (const socket of sockets) assert.equal((await ask(socket, 'whoami'))[0].nsp, socket.nsp);
    await namespaces(2);
    for (const socket of sockets.slice(0, 2)) socket.disconnect();
    await namespaces(1);
    assert.deepEqual((await ask(one, 'counts')).slice(0, 2), [made + 2, gone + 1]);
    one.io.engine.close();
    two.io.engine.close();
    await namespaces(0);
    await allGone(server);
  });

  test('an event to the pattern reaches all that came about by it, and nobody else', async () => {
    const main = await connect(server);
    const children = [await join(main, '/n-b'), await join(main, '/n-7')];

    main.emit('call', '/n-[a-z]+|/n-[0-9]{1,3}', 'all', Buffer.from('of you'));
    for (const child of children) assert.deepEqual(await hear(child, 'called'), ['all', Buffer.from('of you')]);
    assert.deepEqual(heard(main, 'called'), []);
    main.io.engine.close();
    await namespaces(0);
    await allGone(server);
  });

  test('a pattern fits the whole name or not at all', async () => {
    const main = await connect(server);

    for (const nsp of ['/n-', '/n-a1', '/x/n-a', '/n-a/b', '/n-1234', '/N-a']) {
      const other = also(main, nsp);

      assert.equal((await next(other, 'connect_error'))[0].message, 'Invalid namespace', nsp);
    }
    await namespaces(0);
    main.disconnect();
    await allGone(server);
  });

  test('a hook decides by the auth payload', async () => {
    const main = await connect(server);
    const guest = also(main, '/party', { auth: { invited: '/elsewhere' } });

    assert.equal((await next(guest, 'connect_error'))[0].message, 'Invalid namespace');
    guest.auth = { invited: '/party' };
    guest.connect();
    await next(guest, 'connect');
    assert.equal((await ask(guest, 'whoami'))[0].nsp, '/party');
    main.io.engine.close();
    await namespaces(0);
    await allGone(server);
  });

  test('one goes also when middleware refuses its only client', async () => {
    const main = await connect(server);
    const shut = also(main, '/n-shut');

    assert.equal((await next(shut, 'connect_error'))[0].message, 'closed');
    await namespaces(0);
    main.disconnect();
    await allGone(server);
  });

  test('T15: there are at most max_namespaces of them, whoever asks', async () => {
    const main = await connect(server);
    const other = await connect(server);

    for (const name of ['a', 'b', 'c', 'd']) await join(main, `/n-${name}`);
    assert.equal((await next(also(other, '/n-e'), 'connect_error'))[0].message, 'Too many namespaces');
    await join(other, '/n-a');
    await namespaces(4);
    const metrics = await server.metrics();
    assert.ok(metrics.get('sockhop_connects_refused_total{reason="limit"}') >= 1);
    main.io.engine.close();
    other.io.engine.close();
    await namespaces(0);
    await allGone(server);
  });

  test('T15: a client is in at most max_client_namespaces', async () => {
    const few = await startWith(['spaces'], { config: '[server]\nnamespaces = /a, /b, /c\n[limits]\nmax_client_namespaces = 3\n' });
    const main = await connect(few);
    const [a, b] = [await join(main, '/a'), await join(main, '/b')];
    const c = also(main, '/c');

    assert.equal((await next(c, 'connect_error'))[0].message, 'Too many namespaces');
    a.disconnect();
    c.connect();
    await next(c, 'connect');
    for (const socket of [b, c]) assert.deepEqual(await ask(socket, 'where'), [socket.nsp, socket.id]);
    main.io.engine.close();
    await allGone(few);
    await few.stop();
  });

  test('they stay where the conf file says so, and count', async () => {
    const config = '[engine]\ncleanup_empty_child_namespaces = no\n[limits]\nmax_namespaces = 1\n';
    const keeping = await startWith(['gate'], { config });
    const main = await connect(keeping);

    (await join(main, '/n-a')).disconnect();
    await ask(main, 'counts');
    assert.equal((await next(also(main, '/n-b'), 'connect_error'))[0].message, 'Too many namespaces');
    assert.equal((await keeping.metrics()).get('sockhop_namespaces'), 1);
    main.disconnect();
    await allGone(keeping);
    await keeping.stop();
  });
});

describe('middleware', () => {
  let server;

  before(async () => (server = await startWith(['gate', 'kick'])));
  after(() => server.stop());

  test('what it does with a socket is there when it has connected', async () => {
    const socket = await connect(server, { auth: { name: 'ann' } });
    const [me] = await ask(socket, 'whoami');

    assert.deepEqual(me, { nsp: '/', id: socket.id, data: 'ann', early: true, left: false });
    assert.deepEqual(heard(socket, 'early'), [[1], [2]]);
    socket.disconnect();
    await allGone(server);
  });

  for (const transports of [['polling'], ['websocket']])
    test(`its refusal arrives with message and data over ${transports}`, async () => {
      assert.deepEqual(await refusal(server, { transports, query: { fail: 'no "way"' } }), { message: 'no "way"', data: undefined });
      assert.deepEqual(await refusal(server, { transports, query: { fail: 'ünï', code: 'E1' } }), { message: 'ünï', data: { code: 'E1' } });
      await allGone(server);
    });

  test('who was refused may try again on the same connection, and leaves nothing', async () => {
    const socket = await connect(server, { wait: false, auth: { wait: 'refuse' } });

    await next(socket, 'connect_error');
    socket.auth = {};
    socket.connect();
    await next(socket, 'connect');
    const [, , freed, connected] = await ask(socket, 'counts');
    assert.ok(freed >= 1);
    const again = await refusal(server, { query: { fail: 'no' } });
    assert.equal(again.message, 'no');
    const counts = await ask(socket, 'counts');
    assert.deepEqual(counts.slice(2), [freed + 1, connected]);
    socket.disconnect();
    await allGone(server);
  });

  test('it may take its time, and another thread decides', async () => {
    const socket = await connect(server, { auth: { wait: 'pass', name: 'late' } });

    assert.equal((await ask(socket, 'whoami'))[0].data, 'late');
    assert.deepEqual(heard(socket, 'early'), [[1], [2]]);
    assert.deepEqual(await refusal(server, { auth: { wait: 'refuse' } }), { message: 'not today', data: [7] });
    socket.disconnect();
    await allGone(server);
  });

  test('when nobody decides, the deadline refuses', async () => {
    assert.deepEqual(await refusal(server, { auth: { wait: 'never' } }), { message: 'timeout', data: undefined });
    await allGone(server);
  });

  test('a client that leaves meanwhile is forgotten', async () => {
    const raw = await RawWebSocket.open(server);
    const watcher = await connect(server);
    const [, , freed, connected] = await ask(watcher, 'counts');

    await raw.message();
    raw.send('40{"hold":true}');
    raw.send('41');
    raw.send('40{"hold":true}');
    await raw.close();
    for (let counts = []; counts[2] !== freed + 2; ) counts = await ask(watcher, 'counts');
    await ask(watcher, 'release');
    assert.deepEqual((await ask(watcher, 'counts')).slice(2), [freed + 2, connected]);
    watcher.disconnect();
    await allGone(server);
  });

  test('while it waits, broadcasts to its rooms do not reach it, and an event closes', async () => {
    const watcher = await connect(server);
    const raw = await RawWebSocket.open(server);

    await raw.message();
    raw.send('40{"hold":true}');
    while (!(await ask(watcher, 'release'))[0]);
    assert.match(await raw.message(), /^40\{"sid"/); /* its CONNECT's reply comes first */
    assert.equal(await raw.message(), '42["early",1]');
    assert.equal(await raw.message(), '42["early",2]');
    await raw.close();
    const eager = await RawWebSocket.open(server);
    await eager.message();
    eager.send('40{"hold":true}', '42["whoami"]');
    await eager.end();
    watcher.disconnect();
    await allGone(server);
  });

  test('it may close the transport of the very client', async () => {
    const socket = await connect(server, { wait: false, auth: { close: 1 } });

    await new Promise((done) => socket.io.once('close', done));
    socket.disconnect();
    await allGone(server);
  });

  test('a verdict that it may not return refuses, and is logged', async () => {
    assert.equal((await refusal(server, { auth: { bad: 1 } })).message, 'refused');
    await server.waitLog(/plugin\.bad_verdict plugin=gate hook=middleware/);
    await allGone(server);
  });

  test('a stop ends those that wait', async () => {
    const other = await startWith(['gate']);
    const raw = await RawWebSocket.open(other);

    await raw.message();
    raw.send('40{"hold":true}');
    raw.send('40/n-a,');
    assert.match(await raw.message(), /^40\/n-a/); /* the first has been taken as well */
    await other.stop();
  });
});

describe('the handshake', () => {
  let server;

  before(async () => (server = await startWith(['gate'])));
  after(() => server.stop());

  test('is the reference\'s, with what the client sent', async () => {
    const before = Date.now() - 5000;
    const socket = await connect(server, {
      transports: ['websocket'],
      query: { q: 'a b&ü', twice: ['1', '2'] },
      auth: { token: [1, { x: null }] },
      extraHeaders: { 'X-Thing': 'some thing', Origin: server.url },
    });
    const [handshake, q, auth] = await ask(socket, 'handshake');

    assert.deepEqual(Object.keys(handshake).sort(), ['address', 'auth', 'headers', 'issued', 'query', 'secure', 'time', 'url', 'xdomain']);
    assert.equal(handshake.headers['x-thing'], 'some thing');
    assert.equal(handshake.headers.host, `127.0.0.1:${server.port}`);
    assert.equal(handshake.address, '127.0.0.1');
    assert.deepEqual([handshake.secure, handshake.xdomain], [false, true]);
    assert.ok(handshake.issued >= before && handshake.issued <= Date.now() + 5000);
    assert.ok(Math.abs(Date.parse(handshake.time) - handshake.issued) < 1001, handshake.time);
    assert.match(handshake.url, /^\/socket\.io\/\?/);
    assert.equal(handshake.query.q, 'a b&ü');
    assert.equal(handshake.query.EIO, '4');
    assert.equal(handshake.query.transport, 'websocket');
    assert.deepEqual(handshake.auth, { token: [1, { x: null }] });
    assert.deepEqual([q, auth], ['a b&ü', handshake.auth]);
    const other = await join(socket, '/n-a');
    const [second] = await ask(other, 'handshake');
    assert.deepEqual(second.auth, {});
    assert.deepEqual(second.query, handshake.query);
    socket.io.engine.close();
    await allGone(server);
  });

  test('query and headers that are odd do no harm', async () => {
    const path = '/socket.io/?EIO=4&transport=websocket&q=1&q=%ff%41&q=2&=x&y&z=%zz%4&%00=n&a=%00b+c';
    const raw = await RawWebSocket.open(server, { path, options: { headers: { 'X-Latin': 'caf\xe9' } } });

    await raw.message();
    raw.send('40');
    await raw.message();
    await raw.message();
    await raw.message();
    raw.send('421["handshake"]');
    const [handshake, q] = JSON.parse((await raw.message()).slice(3));
    assert.deepEqual(handshake.query.q, ['1', '\ufffdA', '2']);
    assert.equal(q, '2');
    assert.deepEqual([handshake.query.y, handshake.query.z, handshake.query.a], ['', '%zz%4', '\0b c']);
    assert.equal(handshake.headers['x-latin'], 'café');
    assert.deepEqual(handshake.auth, {});
    await raw.close();
    await allGone(server);
  });
});

describe('clients of Engine.IO 3', () => {
  let server;

  before(async () => (server = await startWith(['gate', 'spaces'], { config: '[engine]\nallow_eio3 = yes\n' })));
  after(() => server.stop());

  const open = async (more = '') => {
    const raw = await RawWebSocket.open(server, { path: `/socket.io/?EIO=3&transport=websocket${more}` });
    const { sid } = JSON.parse((await raw.message()).slice(1));

    return { raw, sid };
  };

  test('are in the main namespace at once, and go by the id of their session', async () => {
    const { raw, sid } = await open();

    assert.equal(await raw.message(), '40');
    assert.equal(await raw.message(), '42["early",1]');
    assert.equal(await raw.message(), '42["early",2]');
    raw.send('421["where"]');
    assert.equal(await raw.message(), `431["/","${sid}"]`);
    raw.send('40/chat?token=a%20b&x=1,');
    assert.equal(await raw.message(), '40/chat,');
    raw.send('42/chat,2["where"]');
    assert.equal(await raw.message(), `43/chat,2["/chat","/chat#${sid}"]`);
    raw.send('42/chat,3["handshake"]');
    const [handshake] = JSON.parse((await raw.message()).slice(9));
    assert.deepEqual(handshake.auth, { token: 'a b', x: '1' });
    assert.equal(handshake.query.EIO, '3');
    raw.send('40/nowhere,');
    assert.equal(await raw.message(), '44/nowhere,"Invalid namespace"');
    raw.send('41/chat,', '421["where"]');
    assert.equal(await raw.message(), `431["/","${sid}"]`);
    await raw.close();
    await allGone(server);
  });

  test('are told the data of a refusal alone, or its message', async () => {
    const bare = await open('&fail=no%20way');
    assert.equal(await bare.raw.message(), '44"no way"');
    const data = await open('&fail=no&code=E1');
    assert.equal(await data.raw.message(), '44{"code":"E1"}');
    await bare.raw.close();
    await data.raw.close();
    await allGone(server);
  });
});
