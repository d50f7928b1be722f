/*
 * endpoints.test.js - raw WebSocket endpoints on paths of a plugin's own: what its callbacks are told,
 * what it may send, and that the guards of all other connections hold there too.
 *
 * Plugin: peers (tests/plugins/peers.c).
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { RawWebSocket, Tcp, allGone, closeClients, connect, request, startWith } from '../lib/client.js';

const GAUGE = 'sockhop_peers{kind="websocket"}';
const open = (path, options) => RawWebSocket.open(server, { path, options });
let server;

before(async () => {
  server = await startWith(['peers', 'echo'], { config: '[engine]\nmax_http_buffer_size = 100000\n' });
});
after(() => server.stop());
afterEach(async () => {
  closeClients();
  await allGone(server);
  await server.waitMetrics((metrics) => metrics.get(GAUGE) === 0);
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
  const own = await startWith(['peers'], { config: '[engine]\nping_interval = 100\nping_timeout = 200\n' });

  try {
    const lively = await RawWebSocket.open(own, { path: '/ws-echo' });
    const dead = await RawWebSocket.open(own, { path: '/ws-echo', options: { autoPong: false } });
    let n_pings = 0;

    await Promise.all([
      new Promise((done) => lively.ws.on('ping', () => ++n_pings === 5 && done())),
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
