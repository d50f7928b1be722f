/*
 * shards.test.js - a request goes to the shard of its session, and its connection with it
 * (DESIGN.md 3): one connection pipelines requests of sessions on several shards.
 *
 * With threads = 0 there is one shard; then nothing moves, and the answers are the same.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { Polling, Tcp, allGone, closeClients, startWith } from '../lib/client.js';
import { THREADS } from '../lib/server.js';

afterEach(closeClients);

const SHARDS = Math.max(1, Number(THREADS) || 1);
const shardOf = (polling) => Buffer.from(polling.sid, 'base64url')[0];
const MOVED = 'sockhop_connections_moved_total';

/* Sessions, one on each shard, joined. */
async function oneOnEach(server) {
  const found = new Map();

  for (let i = 0; found.size < SHARDS; i++) {
    assert.ok(i < 200, 'sessions come on all shards');
    const polling = await Polling.open(server, { join: true });
    if (found.has(shardOf(polling))) await polling.send('1');
    else found.set(shardOf(polling), polling);
  }
  return [...found.keys()].sort().map((shard) => found.get(shard));
}

const get = ({ path }) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const post = ({ path }, body) => `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

describe('requests of sessions on all shards', () => {
  let server;

  before(async () => (server = await startWith(['echo'])));
  after(() => server.stop());

  test('are answered in their order on one connection', async () => {
    const sessions = await oneOnEach(server);
    const moved = (await server.metrics()).get(MOVED);
    const tcp = await Tcp.open(server);
    const rounds = 50;
    let requests = '';

    for (let i = 0; i < rounds; i++)
      for (const session of sessions) requests += post(session, `42["echo",${i},"${session.sid}"]`) + get(session);
    await tcp.write(requests);
    for (let i = 0; i < rounds; i++)
      for (const session of sessions) {
        assert.equal((await tcp.response()).text, 'ok');
        assert.equal((await tcp.response()).text, `42["echo",${i},"${session.sid}"]`);
      }
    if (SHARDS > 1) assert.ok((await server.metrics()).get(MOVED) >= moved + rounds);
    for (const session of sessions) await session.send('1');
    await tcp.close();
    await allGone(server);
  });

  test('are answered wherever the stream is split', async () => {
    const sessions = await oneOnEach(server);
    const tcp = await Tcp.open(server);
    const stream = (i) => sessions.map((session) => post(session, `42["echo",${i}]`) + get(session)).join('');
    const length = stream(100).length;

    for (let at = 1; at < length; at++) {
      const text = stream(at);
      await tcp.write(text.slice(0, at));
      await new Promise(setImmediate); /* a turn of the loop, so that they are two segments */
      await tcp.write(text.slice(at));
      for (let i = 0; i < sessions.length; i++) {
        assert.equal((await tcp.response()).text, 'ok', `split at ${at}`);
        assert.equal((await tcp.response()).text, `42["echo",${at}]`);
      }
    }
    await tcp.writeSlowly(stream('"slowly"'));
    for (let i = 0; i < sessions.length; i++) {
      assert.equal((await tcp.response()).text, 'ok');
      assert.equal((await tcp.response()).text, '42["echo","slowly"]');
    }
    for (const session of sessions) await session.send('1');
    await tcp.close();
    await allGone(server);
  });

  test('move with a body that arrives later, and with requests behind them', async () => {
    const sessions = await oneOnEach(server);
    const [first, last] = [sessions[0], sessions.at(-1)];
    const tcp = await Tcp.open(server);
    const body = `42["echo","${'b'.repeat(200000)}"]`;
    const whole = post(first, '3') + post(last, body) + get(last) + post(first, '42["echo",1]') + get(first);

    for (let at = 0; at < whole.length; at += 30011) await tcp.write(whole.slice(at, at + 30011));
    for (const text of ['ok', 'ok', body, 'ok', '42["echo",1]']) assert.equal((await tcp.response()).text, text);
    for (const session of sessions) await session.send('1');
    await tcp.close();
    await allGone(server);
  });

  test('a client that leaves during the move harms nobody', async () => {
    const sessions = await oneOnEach(server);

    for (let i = 0; i < 150; i++) {
      const tcp = await Tcp.open(server);
      const text = sessions.map((session) => post(session, '3')).join('').repeat(2);
      const half = post(sessions[i % sessions.length], '3').slice(0, -1); /* a body that never ends */
      if (i % 3 === 0) tcp.socket.write(text);
      else if (i % 3 === 1) tcp.socket.write(text.slice(0, i * 3));
      else tcp.socket.write(half.slice(0, half.indexOf('\r\n\r\n') + 2));
      if (i % 2) tcp.socket.resetAndDestroy();
      else await tcp.close();
    }
    for (const session of sessions) {
      /* one whose half a POST was given up may have ended; the server lives, and says so */
      const answer = await session.post('42["echo","alive"]');
      assert.ok(answer.status === 200 || answer.status === 400);
      if (answer.status === 200) await session.send('1');
    }
    await allGone(server);
  });

  test('an upgrade moves too, with the frames behind it', async () => {
    const mask = (text) => Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);

    for (let i = 0; i < 3 * SHARDS; i++) {
      const polling = await Polling.open(server, { join: true });
      const tcp = await Tcp.open(server);
      const head =
        `GET /socket.io/?EIO=4&transport=websocket&sid=${polling.sid} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n` +
        'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

      await tcp.write(Buffer.concat([Buffer.from(head), mask('2probe'), mask('5'), mask('42["echo",1]')]));
      assert.equal((await tcp.response()).status, 101);
      while (!tcp.data.includes('42["echo",1]')) await tcp.more('echo');
      assert.deepEqual(tcp.data, Buffer.concat([Buffer.from([0x81, 6]), Buffer.from('3probe'), Buffer.from([0x81, 12]), Buffer.from('42["echo",1]')]));
      await tcp.close();
    }
    await allGone(server);
  });

  test('unknown and foreign sids are answered where they come', async () => {
    const [session] = await oneOnEach(server);
    const tcp = await Tcp.open(server);
    const bytes = Buffer.from(session.sid, 'base64url');

    for (const shard of [0, 1, 2, 63, 64, 255]) {
      if (shard === shardOf(session)) continue;
      bytes[0] = shard;
      await tcp.write(get({ path: session.path.replace(session.sid, bytes.toString('base64url')) }));
      const answer = await tcp.response();
      assert.equal(answer.status, 400);
      assert.equal(JSON.parse(answer.text).code, 1);
    }
    await tcp.close();
    closeClients();
    await allGone(server);
  });
});
