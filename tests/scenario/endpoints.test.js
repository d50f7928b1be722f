/*
 * endpoints.test.js - raw WebSocket and bare Engine.IO endpoints on paths of a plugin's own: what its callbacks are told,
 * what it may send, and that the guards of all other connections hold there too.
 *
 * Plugin: peers (tests/plugins/peers.c).
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Socket } from 'engine.io-client';

import { RawWebSocket, TRANSPORTS, Tcp, allGone, closeClients, connect, request, startWith, whenClosing, within } from '../lib/client.js';

const GAUGE = 'sockhop_peers{kind="websocket"}';
const ENGINE_GAUGE = 'sockhop_peers{kind="engine"}';
const open = (path, options) => RawWebSocket.open(server, { path, options });
let server;

before(async () => {
  server = await startWith(['peers', 'echo'], { config: '[engine]\nmax_http_buffer_size = 100000\n' });
});
after(() => server.stop());
afterEach(async () => {
  closeClients();
  await allGone(server);
  await server.waitMetrics((metrics) => metrics.get(GAUGE) === 0 && metrics.get(ENGINE_GAUGE) === 0);
});

/* A peer of /ws-talk that was made welcome. */
async function talk(query = '', options) {
  const peer = await open(`/ws-talk${query}`, options);

  assert.equal(await peer.message(), 'welcome');
  return peer;
}

/* Resolves with the answer to an order. */
async function order(peer, text) {
  peer.send(text);
  return peer.message();
}

test('a message comes back as it was: text, bytes, nothing, NUL, up to the limit', async () => {
  const peer = await open('/ws-echo');
  const messages = ['hello', '', 'a\0b', '😀'.repeat(25000), Buffer.from([0, 255, 128]), Buffer.alloc(0), Buffer.alloc(100000, 7)];

  for (const message of messages) peer.send(message);
  for (const message of messages) assert.deepEqual(await peer.message(), message);
  assert.equal((await server.metrics()).get(GAUGE), 1);
  assert.deepEqual(await peer.close(), { code: 1005, reason: '' });
});

test('messages arrive in order, of many peers at once', async () => {
  const peers = await Promise.all(Array.from({ length: 30 }, () => open('/ws-echo')));

  for (let n = 0; n < 50; n++) peers.forEach((peer, i) => peer.send(`${i}:${n}`));
  for (let n = 0; n < 50; n++) for (const [i, peer] of peers.entries()) assert.equal(await peer.message(), `${i}:${n}`);
});

test('on_open reads the opening request: query, headers; and the address', async () => {
  const peer = await talk('?a=%20b', { headers: { 'X-One': 'two' } });

  assert.equal(await order(peer, 'query'), 'a=%20b');
  assert.equal(await order(peer, 'header X-One'), 'two');
  assert.equal(await order(peer, 'header X-Two'), '-');
  assert.equal(await order(peer, 'address'), '127.0.0.1');
});

test('a plugin keeps a value on each peer', async () => {
  const [one, two] = [await talk(), await talk()];

  one.send('set 1');
  two.send('set 2');
  assert.equal(await order(one, 'get'), '1');
  assert.equal(await order(two, 'get'), '2');
});

test('a plugin may close in on_open, with code and reason', async () => {
  const peer = await open('/ws-talk?refuse');

  assert.deepEqual(await peer.end(), { code: 4001, reason: 'not you' });
  await server.waitLog(/peers\.closed code=4001 reason="not you"/);
});

test('hop_peer_close() sends what was sent before, then code and reason, and nothing behind them', async () => {
  const peer = await talk();

  peer.send('one', 'close 3000 bye now', 'two');
  assert.equal(await peer.message(), 'one');
  assert.deepEqual(await peer.end(), { code: 3000, reason: 'bye now' });
  assert.deepEqual(peer.messages, []);
  await server.waitLog(/peers\.closed code=3000 reason="bye now"/);
});

test('on_close tells the code and reason of the peer, 1005 for none, 1006 for a lost connection', async () => {
  const last = async () => order(await talk(), 'last');

  const one = await talk();
  one.ws.close(4321, 'grüße');
  assert.deepEqual(await one.end(), { code: 4321, reason: '' });
  await server.waitLog(/code=4321/);
  assert.equal(await last(), '4321 grüße');

  const two = await talk();
  two.ws.close();
  await two.end();
  await server.waitLog(/code=1005/);

  const three = await talk();
  three.ws.terminate();
  await three.end();
  await server.waitLog(/code=1006/);
});

test('what must fail fails: bad text, codes and reasons, peers that have gone, registration after init()', async () => {
  const before = await talk();

  await before.close();
  await server.waitLog(/peers\.closed/);
  assert.equal(await order(await talk(), 'bad'), 'ok');
});

test('a message over the limit: 1009; text that is no UTF-8: 1007; both are told to the plugin', async () => {
  const big = await talk();
  big.send(Buffer.alloc(100001));
  assert.equal((await big.end()).code, 1009);
  await server.waitLog(/peers\.closed code=1009/);

  const bad = await talk();
  bad.ws.send(Buffer.from([0xff]), { binary: false });
  assert.equal((await bad.end()).code, 1007);
  await server.waitLog(/peers\.closed code=1007/);
});

test('a plain request gets 426, a bad handshake 400', async () => {
  const plain = await request(server, '/ws-echo');
  assert.equal(plain.status, 426);
  assert.equal(plain.headers.upgrade, 'websocket');
  assert.equal((await request(server, '/ws-echo', { method: 'POST', body: 'x' })).status, 413);

  const upgrade = async (lines) => {
    const tcp = await Tcp.open(server);
    await tcp.write(`GET /ws-echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${lines}\r\n\r\n`);
    return tcp.response();
  };
  assert.equal((await upgrade('Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==')).status, 426);
  assert.equal((await upgrade('Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhl')).status, 400);
});

test('T01: a page of another origin may not open one', async () => {
  await assert.rejects(open('/ws-echo', { origin: 'http://evil.example' }), /403/);
  const peer = await open('/ws-echo', { origin: server.url });
  assert.equal(await order(peer, 'mine'), 'mine');
});

test('a peer that reads nothing is closed, and others are served', async () => {
  const slow = await open('/ws-echo');
  const lively = await open('/ws-echo');

  slow.ws._socket.pause();
  const gone = slow.end();
  const payload = Buffer.alloc(100000);
  for (let i = 0; i < 200; i++) slow.ws.send(payload, () => {});
  await server.waitMetrics((metrics) => metrics.get(GAUGE) === 1, 15000);
  slow.ws._socket.resume();
  assert.equal((await gone).code, 1006);
  assert.equal(await order(lively, 'still here'), 'still here');
});

test('beside sockets of Socket.IO nothing gets mixed up', async () => {
  const peer = await open('/ws-echo');
  const socket = await connect(server);

  peer.send('42["echo",1]');
  assert.equal(await peer.message(), '42["echo",1]');
  assert.deepEqual(await socket.timeout(5000).emitWithAck('echo', 1), 1);
  assert.equal((await server.metrics()).get('sockhop_sockets'), 1);
});

test('a silent peer is pinged, and closed when it does not answer', async () => {
  const own = await startWith(['peers'], { config: '[engine]\nping_interval = 100ms\nping_timeout = 2s\n' });

  try {
    const lively = await RawWebSocket.open(own, { path: '/ws-echo' });
    const dead = await RawWebSocket.open(own, { path: '/ws-echo', options: { autoPong: false } });
    let n_pings = 0;

    await Promise.all([
      within(new Promise((done) => lively.ws.on('ping', () => ++n_pings === 5 && done())), 'five pings'),
      dead.end().then(({ code, reason }) => assert.deepEqual([code, reason], [1008, 'ping timeout'])),
    ]);
    lively.send('x');
    assert.equal(await lively.message(), 'x');
  } finally {
    closeClients();
    await own.stop();
  }
});

test('a server that stops says 1001, and tells the plugin of each', async () => {
  const own = await startWith(['peers']);
  const peers = await Promise.all(Array.from({ length: 5 }, () => RawWebSocket.open(own, { path: '/ws-talk' })));

  for (const peer of peers) assert.equal(await peer.message(), 'welcome');
  await Promise.all([own.stop(), ...peers.map(async (peer) => assert.equal((await peer.end()).code, 1001))]);
  assert.equal(own.log.filter((line) => /peers\.closed code=1001 reason="server shutting down"/.test(line)).length, 5);
});

/* ---- Engine.IO */

/* An open engine.io-client that keeps what it hears. */
async function engine(path, transports, options = {}) {
  const client = new Socket(server.url, { path, transports, ...options });

  whenClosing(() => client.close());
  Object.assign(client, { binaryType: 'nodebuffer', messages: [] });
  client.gone = new Promise((done) => client.once('close', (reason) => done(reason)));
  client.on('message', (data) => client.messages.push(data));
  await within(new Promise((done, fail) => client.once('open', done).once('error', fail)), 'open');
  if (transports.length > 1) await within(new Promise((done) => client.once('upgrade', done)), 'upgrade');
  client.message = async () => {
    while (client.messages.length === 0) await within(new Promise((done) => client.once('message', done)), 'message');
    return client.messages.shift();
  };
  return client;
}

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  test(`Engine.IO, ${name}: messages come back as they were`, async () => {
    const client = await engine('/engine/', transports);
    const messages = ['hello', '', 'a\0b', '😀'.repeat(5000), Buffer.from([0, 255, 128]), Buffer.alloc(0), Buffer.alloc(20000, 7)];

    for (const message of messages) client.send(message);
    for (const message of messages) assert.deepEqual(await client.message(), message === '' ? undefined : message); /* as it decodes "4" */
    assert.equal((await server.metrics()).get(ENGINE_GAUGE), 1);
    client.close();
    assert.equal(await client.gone, 'forced close');
  });

  test(`Engine.IO, ${name}: on_open reads the request, on_close tells the end`, async () => {
    const client = await engine('/talk', transports, { query: { a: 'b' }, extraHeaders: { 'X-One': 'two' } });

    assert.equal(await client.message(), 'welcome');
    client.send('query');
    assert.match(await client.message(), /^a=b&EIO=4&transport=/);
    client.send('header X-One');
    assert.equal(await client.message(), 'two');
    client.send('one');
    client.send('close 3000 enough');
    client.send('two');
    assert.equal(await client.message(), 'one');
    assert.match(await within(client.gone, 'close'), /transport close|transport error/);
    assert.deepEqual(client.messages, []);
    await server.waitLog(/peers\.closed code=0 reason="forced server close"/);
  });
}

test('Engine.IO: a session belongs to its path', async () => {
  const path = '/engine/?EIO=4&transport=polling';
  const answer = await request(server, path);
  const { sid, upgrades, maxPayload } = JSON.parse(answer.text.slice(1));

  assert.deepEqual([upgrades, maxPayload], [['websocket'], 100000]);
  for (const other of ['/talk', '/socket.io']) {
    const refused = await request(server, `${path.replace('/engine', other)}&sid=${sid}`);
    assert.deepEqual([refused.status, refused.text], [400, '{"code":1,"message":"Session ID unknown"}']);
  }
  assert.equal((await request(server, `${path}&sid=${sid}`, { method: 'POST', body: '4x' })).text, 'ok');
  assert.equal((await request(server, `${path}&sid=${sid}`)).text, '4x');
  await request(server, `${path}&sid=${sid}`, { method: 'POST', body: '1' });
});

test('Engine.IO: the handshake is checked as under the Socket.IO path', async () => {
  const refused = async (query, options, path = '/engine/') => {
    const answer = await request(server, `${path}?${query}`, options);
    return [answer.status, JSON.parse(answer.text).code];
  };

  assert.deepEqual(await refused('EIO=4&transport=carrier'), [400, 0]);
  assert.deepEqual(await refused('EIO=9&transport=polling'), [400, 5]);
  assert.deepEqual(await refused('EIO=4&transport=polling', { headers: { Origin: 'http://evil.example' } }), [403, 4]);
  assert.deepEqual(await refused('EIO=4&transport=polling', { method: 'POST', body: 'x' }), [400, 2]);
});

test('Engine.IO: a server that stops tells the plugin of each', async () => {
  const own = await startWith(['peers']);
  const open = (path) => request(own, `${path}/?EIO=4&transport=polling`);

  await Promise.all([open('/talk'), open('/talk'), open('/engine')]);
  await own.waitMetrics((metrics) => metrics.get(ENGINE_GAUGE) === 3);
  await own.stop();
  assert.equal(own.log.filter((line) => /peers\.closed code=1001 reason="server shutting down"/.test(line)).length, 2);
});
