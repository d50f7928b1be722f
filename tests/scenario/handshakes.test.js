/*
 * handshakes.test.js - plugins that decide about new sessions: refuse, take their time, name the session, add headers; and
 * that hear of refusals (docs/PROTOCOL.md 1.1: allowRequest, generateId, initial_headers, headers, connection_error).
 *
 * Plugin: doorman (tests/plugins/doorman.c).
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Socket } from 'engine.io-client';
import { io } from 'socket.io-client';

import { ENGINE, Polling, RawWebSocket, TRANSPORTS, Tcp, allGone, closeClients, connect, next, request, settle, startWith, within } from '../lib/client.js';
import { THREADS } from '../lib/server.js';

let server;

before(async () => {
  server = await startWith(['doorman', 'echo'], { config: '[engine]\norigins = https://a.example\ncookie = yes\n' });
});
after(() => server.stop());
afterEach(async () => {
  closeClients();
  await allGone(server);
});

const seen = async () => JSON.parse((await request(server, '/door')).text);
/* Resolves with all refusals that were told, once there are n: a shard tells logic behind its answer. */
async function told(n) {
  const errors = [];

  while (errors.length < n) errors.push(...(await seen()).errors);
  return errors;
}
const open = (query, headers) => request(server, `${ENGINE}&${query}`, { headers });
const FORBIDDEN = { code: 4, message: 'Forbidden' };

const post = (sid, body, headers) =>
  request(server, `${ENGINE}&sid=${sid}`, { method: 'POST', body, headers: { 'Content-Type': 'text/plain;charset=UTF-8', ...headers } });
const leave = (sid) => post(sid, '1');

const opening = (query) =>
  `GET /socket.io/?EIO=4&transport=websocket&${query} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

/* Resolves with the answer to a handshake for a WebSocket. */
async function upgradeHead(query) {
  const tcp = await Tcp.open(server);

  tcp.socket.write(opening(query));
  const answer = await tcp.response();
  await tcp.close();
  return answer;
}

describe('who may open a session', () => {
  test('a hook is asked once for a session: not by polls, packets or an upgrade', async () => {
    await seen();
    const socket = await connect(server, { transports: TRANSPORTS.upgrade, extraHeaders: { 'X-Ask': 'me' } });

    await settle(socket);
    if (socket.io.engine.transport.name !== 'websocket') await next(socket.io.engine, 'upgrade');
    await settle(socket);
    assert.deepEqual(await seen(), { asked: 1, set: 0, transport: 'polling', address: '127.0.0.1', header: 'me', errors: [] });
    await settle(await connect(server));
    assert.equal((await seen()).transport, 'websocket');
  });

  test('a refusal has its words, or Forbidden', async () => {
    const refused = await open('deny=not+you');

    assert.equal(refused.status, 403);
    assert.deepEqual(JSON.parse(refused.text), { code: 4, message: 'not+you' });
    const { headers } = await open('deny&first=come+back');
    assert.equal(headers['x-first'], 'come+back');
    assert.deepEqual(JSON.parse((await open('deny')).text), FORBIDDEN);
    assert.deepEqual(JSON.parse((await open('later=too+late')).text), { code: 4, message: 'too+late' });
    assert.deepEqual(JSON.parse((await open('deny=%22%5C%0A')).text), { code: 4, message: '%22%5C%0A' });
  });

  test('of a WebSocket too, and no session is left', async () => {
    const refused = await upgradeHead('deny=no%3Cb%3E');

    assert.equal(refused.status, 403);
    assert.match(refused.headers['content-type'], /^text\/plain/);
    assert.equal(refused.text, 'no%3Cb%3E');
    await assert.rejects(RawWebSocket.open(server, { path: '/socket.io/?EIO=4&transport=websocket&later=x' }), /403/);
    assert.equal((await server.metrics()).get('sockhop_sessions{transport="websocket"}'), 0);
  });

  test('a stock client is told, and may come when it is let in', async () => {
    const socket = io(server.url, { transports: ['polling'], query: { deny: 'x' }, reconnection: false, forceNew: true });
    const error = await within(new Promise((done) => socket.once('connect_error', done)), 'connect_error');

    assert.equal(error.context.status, 403);
    socket.disconnect();
    for (const transports of Object.values(TRANSPORTS)) await settle(await connect(server, { transports, query: { later: '' } }));
  });

  test('who decides nothing is refused by the deadline; a wrong verdict refuses, and is logged', async () => {
    assert.deepEqual(JSON.parse((await open('never')).text), { code: 4, message: 'timeout' });
    await server.waitLog(/WARN plugin\.defer_timeout plugin=doorman hook=handshake ms=100/);
    assert.deepEqual(JSON.parse((await open('wrong')).text), FORBIDDEN);
    await server.waitLog(/WARN plugin\.bad_verdict plugin=doorman hook=handshake verdict=1 hint="/);
  });

  test('a client that leaves meanwhile is forgotten at once, on both transports', async () => {
    const held = (n) => server.waitMetrics((metrics) => metrics.get('sockhop_handshakes_held') === n);
    const waiting = await Promise.all(Array.from({ length: 10 }, () => Tcp.open(server)));

    await seen();
    waiting.forEach((tcp, i) => tcp.socket.write(i % 2 ? `GET ${ENGINE}&never=3600000 HTTP/1.1\r\nHost: a\r\n\r\n` : opening('never=3600000')));
    await held(10);
    assert.equal((await seen()).asked, 10);
    for (const tcp of waiting) await tcp.close();
    await held(0);
  });

  test('so many may wait and no more, and the log says what to do', async () => {
    const small = await startWith(['doorman'], { config: '[limits]\nmax_handshakes = 3\n', threads: 0 });
    const waiting = await Promise.all(Array.from({ length: 3 }, () => Tcp.open(small)));

    for (const tcp of waiting) tcp.socket.write(`GET ${ENGINE}&never=60000 HTTP/1.1\r\nHost: a\r\n\r\n`);
    await small.waitMetrics((metrics) => metrics.get('sockhop_handshakes_held') === 3);
    const answer = await request(small, `${ENGINE}&never`);
    assert.equal(answer.status, 503);
    assert.equal(answer.headers['retry-after'], '10');
    await small.waitLog(/WARN handshake\.too_many path=\/socket\.io max_handshakes=3 hint="/);
    assert.equal((await small.metrics()).get('sockhop_handshakes_refused_total{reason="max_handshakes"}'), 1);
    await waiting[0].close();
    await small.waitMetrics((metrics) => metrics.get('sockhop_handshakes_held') === 2);
    assert.equal((await request(small, `${ENGINE}&deny`)).status, 403);
    await small.stop(); /* with two that wait */
  });

  test('what was sent behind a handshake that waits is not lost', async () => {
    const tcp = await Tcp.open(server);

    tcp.socket.write(`GET ${ENGINE}&later= HTTP/1.1\r\nHost: a\r\n\r\nGET ${ENGINE}&deny=second HTTP/1.1\r\nHost: a\r\n\r\n`);
    const [first, second] = [await tcp.response(), await tcp.response()];

    assert.equal(first.status, 200);
    assert.deepEqual(JSON.parse(second.text), { code: 4, message: 'second' });
    await leave(JSON.parse(first.text.slice(1)).sid);
  });

  test('frames that come right behind the handshake wait for the decision', async () => {
    const tcp = await Tcp.open(server);
    const frame = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x34, 0x30]); /* "40" */

    tcp.socket.write(
      Buffer.concat([
        Buffer.from(opening('later=')),
        frame,
      ]),
    );
    assert.equal((await tcp.response()).status, 101);
    while (!tcp.data.includes('40{"sid":"')) await tcp.more('CONNECT');
    await tcp.close();
  });
});

describe('the id of a session', () => {
  test('is what a hook says, with the shard behind it, over every transport', async () => {
    let n = 0;

    for (const transports of Object.values(TRANSPORTS)) {
      const socket = await connect(server, { transports, query: { id: `room-7_${n}` } });

      assert.match(socket.io.engine.id, new RegExp(`^room-7_${n++}\\.0[0-9a-f]$`));
      assert.ok(parseInt(socket.io.engine.id.slice(-2), 16) < Math.max(1, Number(THREADS)));
      await settle(socket);
    }
    assert.equal((await seen()).set, 0);
  });

  test('is free again when its session has gone, and refused while it is taken', async () => {
    await seen();
    const polling = await Polling.open(server, { query: '&id=twice', join: true });
    const others = [];
    let answer;

    /* Connections are dealt to the shards: one of the next is where the first was. */
    for (let i = 0; i < 8; i++) {
      answer = await open('id=twice');
      if (answer.status !== 200) break;
      others.push(JSON.parse(answer.text.slice(1)).sid);
    }
    assert.equal(answer.status, 400);
    assert.deepEqual(JSON.parse(answer.text), { code: 3, message: 'Bad request' });
    await server.waitLog(/WARN handshake\.id_taken/);
    assert.ok((await told(1)).some(({ code, reason }) => code === 3 && reason === "the plugin's id is taken"));
    for (const sid of others) await leave(sid);
    await polling.send('1');
    await leave(JSON.parse((await open('id=twice')).text.slice(1)).sid);
  });

  test('that is none is not taken, and a sid that only looks like one finds nobody', async () => {
    for (const id of ['a.b', '', 'a b', 'x'.repeat(65), 'ü']) {
      const polling = await Polling.open(server, { query: `&id=${encodeURIComponent(id)}` });

      assert.match(polling.sid, /^[\w-]{26}$/);
      assert.equal((await seen()).set, -1, id);
    }
    await Polling.open(server, { query: `&id=${'x'.repeat(64)}` });
    for (const sid of ['nobody.00', 'nobody.ff', 'nobody.zz', '.00', `${'x'.repeat(64)}.0`, `${'y'.repeat(64)}.00`, 'a.00.00'])
      assert.deepEqual(JSON.parse((await request(server, `${ENGINE}&sid=${sid}`)).text), { code: 1, message: 'Session ID unknown' }, sid);
  });
});

describe('headers', () => {
  test('of the first response, and of all', async () => {
    const first = await open('first=one&all=two&cookies');
    const { sid } = JSON.parse(first.text.slice(1));
    const later = [
      await post(sid, '40', { Origin: 'https://a.example' }),
      await request(server, `${ENGINE}&sid=${sid}`),
    ];

    assert.equal(first.headers['x-first'], 'one');
    assert.equal(first.headers['x-all'], 'two');
    assert.deepEqual(first.headers['set-cookie'].map((cookie) => cookie.split(/[=;]/)[0]), ['io', 'a', 'b']);
    for (const { headers, status } of later) {
      assert.equal(status, 200);
      assert.equal(headers['x-first'], undefined);
      assert.equal(headers['x-all'], 'two');
      assert.equal(headers['set-cookie'], undefined);
    }
    assert.equal(later[0].headers['access-control-allow-origin'], 'https://a.example');
    const upgrade = await upgradeHead(`sid=${sid}`);
    assert.equal(upgrade.status, 101);
    assert.equal(upgrade.headers['x-all'], 'two');
    assert.equal(upgrade.headers['x-first'], undefined);
    await leave(sid);
  });

  test('of a session that begins as a WebSocket', async () => {
    const answer = await upgradeHead('first=one&all=two');

    assert.equal(answer.status, 101);
    assert.equal(answer.headers['x-first'], 'one');
    assert.equal(answer.headers['x-all'], 'two');
  });
});

describe('refusals', () => {
  test('are told, of hooks and of the core', async () => {
    await seen();
    await open('deny=x');
    await request(server, `${ENGINE}&sid=nobody`);
    await request(server, '/socket.io/?EIO=2&transport=polling');
    await open('', { Origin: 'https://b.example' });
    const errors = await told(4); /* of several shards: in any order */

    assert.deepEqual(errors.map(({ code, message }) => `${code} ${message}`).sort(), [
      '1 Session ID unknown',
      '4 Forbidden',
      '4 x',
      '5 Unsupported protocol version',
    ]);
    assert.ok(errors.every(({ address, path }) => address === '127.0.0.1' && path === '/socket.io/'));
    assert.ok(errors.some(({ reason }) => /engine\.origins/.test(reason)));
  });
});

test('bare Engine.IO of an endpoint is asked about as well', async () => {
  const refused = await request(server, '/engine-door/?EIO=4&transport=polling&deny=x');

  assert.deepEqual(JSON.parse(refused.text), { code: 4, message: 'x' });
  const client = new Socket(server.url, { path: '/engine-door', transports: ['polling', 'websocket'], query: { id: 'bare', later: '' } });

  await within(new Promise((done) => client.once('open', done)), 'open');
  assert.match(client.id, /^bare\.0\d$/);
  client.send('hello');
  assert.equal(await within(new Promise((done) => client.once('message', done)), 'echo'), 'hello');
  client.close();
});
