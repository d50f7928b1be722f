/*
 * migration.test.js - a connection whose next request is for a session of another shard moves there:
 * DESIGN.md 3. One keep-alive connection pipelines requests of sessions on all shards, split at every
 * byte, closed on the way, upgraded on the way.
 *
 * Always with threads of their own: with threads = 0 there is nowhere to go.
 * ThreadSanitizer runs it too (T60): ./quickstart check.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { Polling, RawWebSocket, Tcp, allGone, closeClients, request, startWith } from '../lib/client.js';

afterEach(closeClients);

const MOVED = 'sockhop_connections_moved_total';
const CONFIG = '[engine]\nping_interval = 10m\n'; /* no pings among the packets */

const moved = async (server) => (await server.metrics()).get(MOVED);

/* The shard of a session stands in its sid's first byte. */
const shardOf = (polling) => Buffer.from(polling.sid, 'base64url')[0];

/* One joined polling session on each of n shards: [shard 0's, shard 1's, ...]. */
async function sessionOnEach(server, n) {
  const sessions = [];

  for (let i = 0; i < 20 * n && sessions.filter(Boolean).length < n; i++) {
    const polling = await Polling.open(server, { join: true });

    if (sessions[shardOf(polling)]) await polling.send('1');
    else sessions[shardOf(polling)] = polling;
  }
  assert.equal(sessions.filter(Boolean).length, n, 'connections are dealt to all shards');
  return sessions;
}

const getText = (polling) => `GET ${polling.path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const postText = (polling, body) =>
  `POST ${polling.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

/* POST and GET of an echo to each session, in one stream. */
const echoes = (sessions, word) =>
  sessions.map((polling, i) => postText(polling, `42["echo","${word}",${i}]`) + getText(polling)).join('');

/* Reads what echoes() gets. */
async function assertEchoes(tcp, sessions, word) {
  for (const i of sessions.keys()) {
    const post = await tcp.response();
    const get = await tcp.response();

    assert.deepEqual([post.status, post.text], [200, 'ok'], word);
    assert.deepEqual([get.status, get.text], [200, `42["echo","${word}",${i}]`], word);
  }
}

const leave = async (server, sessions) => {
  for (const polling of sessions) await polling.send('1');
  await allGone(server);
};

/* A masked text frame of a client. */
function frame(text) {
  const payload = Buffer.from(text);
  const mask = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, payload.map((byte, i) => byte ^ mask[i % 4])]);
}

/* Resolves with the next short text frame of the server, which is taken out. */
async function readFrame(tcp) {
  while (tcp.data.length < 2 || tcp.data.length < 2 + tcp.data[1]) await tcp.more('frame');
  const len = tcp.data[1];
  const text = tcp.data.subarray(2, 2 + len).toString();

  assert.equal(tcp.data[0], 0x81);
  tcp.data = tcp.data.subarray(2 + len);
  return text;
}

const upgradeText = (polling) =>
  `GET ${polling.path.replace('transport=polling', 'transport=websocket')} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n` +
  'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

for (const threads of ['2', '3'])
  describe(`with ${threads} shards`, () => {
    const n = Number(threads);
    let server;

    before(async () => (server = await startWith(['echo'], { config: CONFIG, threads })));
    after(() => server.stop());

    test('one connection serves sessions of all shards in turn, and counts its moves', async () => {
      const sessions = await sessionOnEach(server, n);
      const tcp = await Tcp.open(server);
      const rounds = 20, before = await moved(server);

      for (let round = 0; round < rounds; round++) {
        await tcp.write(echoes(sessions, `round ${round}`));
        await assertEchoes(tcp, sessions, `round ${round}`);
      }
      const moves = (await moved(server)) - before;
      assert.ok(moves === rounds * n || moves === rounds * n - 1, `${moves} moves`); /* it may begin on the first's shard */
      await tcp.close();
      await leave(server, sessions);
    });

    test('all of that may be pipelined in one piece', async () => {
      const sessions = await sessionOnEach(server, n);
      const tcp = await Tcp.open(server);
      const rounds = Array.from({ length: 20 }, (_, i) => `round ${i}`);

      await tcp.write(rounds.map((word) => echoes(sessions, word)).join(''));
      for (const word of rounds) await assertEchoes(tcp, sessions, word);
      await tcp.close();
      await leave(server, sessions);
    });

    test('requests split at every byte are served alike', async () => {
      const sessions = await sessionOnEach(server, n);
      const watchers = await sessionOnEach(server, n);
      const tcp = await Tcp.open(server);
      const bytes = Buffer.from(echoes(sessions, 'split'));

      for (let at = 1; at < bytes.length; at++) {
        await tcp.write(bytes.subarray(0, at));
        await new Promise(setImmediate); /* the shards are idle: they read it now */
        if (at % 16 === 0) await watchers[at % n].send('3'); /* and have read it by now */
        await tcp.write(bytes.subarray(at));
        await assertEchoes(tcp, sessions, 'split');
      }
      await tcp.close();
      await leave(server, [...sessions, ...watchers]);
    });

    test('requests of one byte a piece are served alike', async () => {
      const sessions = await sessionOnEach(server, n);
      const tcp = await Tcp.open(server);

      await tcp.writeSlowly(echoes(sessions, 'slow'));
      await assertEchoes(tcp, sessions, 'slow');
      await tcp.close();
      await leave(server, sessions);
    });

    test('a long body and a long answer move too', async () => {
      const sessions = await sessionOnEach(server, n);
      const tcp = await Tcp.open(server);
      const text = 'x'.repeat(300000);

      for (const polling of [...sessions, ...sessions]) {
        await tcp.write(postText(polling, `42["echo","${text}"]`) + getText(polling));
        assert.equal((await tcp.response()).text, 'ok');
        assert.equal((await tcp.response()).text, `42["echo","${text}"]`);
      }
      await tcp.close();
      await leave(server, sessions);
    });

    test('requests to sessions and to files may alternate', async () => {
      const sessions = await sessionOnEach(server, n);
      const tcp = await Tcp.open(server);
      const other = 'GET /socket.io/?EIO=4&transport=nobody HTTP/1.1\r\nHost: x\r\n\r\n';

      await tcp.write([...sessions, ...sessions].map((polling, i) => postText(polling, `42["echo",${i}]`) + getText(polling) + other).join(''));
      for (let i = 0; i < 2 * n; i++) {
        assert.equal((await tcp.response()).text, 'ok');
        assert.equal((await tcp.response()).text, `42["echo",${i}]`);
        assert.equal((await tcp.response()).status, 400);
      }
      await tcp.close();
      await leave(server, sessions);
    });

    test('a connection closed at any byte of its way leaves nothing, and the others are served', async () => {
      const keeper = await sessionOnEach(server, n);
      const length = echoes(keeper, 'gone').length;
      const waysToGo = [(tcp) => tcp.socket.end(), (tcp) => tcp.socket.destroy(), (tcp) => tcp.socket.resetAndDestroy()];

      for (let at = 1, i = 0; at <= length; at += 8, i++) {
        const victims = await sessionOnEach(server, n);
        const tcp = await Tcp.open(server);

        /* It sits on the last one's shard, so that each request of the stream makes it move. */
        await tcp.write(postText(victims[n - 1], '3'));
        assert.equal((await tcp.response()).text, 'ok');
        await tcp.write(echoes(victims, 'gone').slice(0, at));
        waysToGo[i % waysToGo.length](tcp);
        await tcp.gone;
        /* What was whole may have been served; a session whose request was cut off has ended. */
        for (const polling of victims) assert.ok([200, 400].includes((await polling.post('1')).status));
      }
      for (const polling of keeper) {
        await polling.send('42["echo","kept"]');
        assert.equal(await polling.packet(), '42["echo","kept"]');
      }
      await leave(server, keeper);
    });

    test('a poll held for a session of another shard ends that session when its client goes', async () => {
      for (let i = 0; i < 2 * n; i++) {
        const polling = await Polling.open(server, { join: true });
        const tcp = await Tcp.open(server);

        await tcp.write(getText(polling));
        if (i % 2) await polling.send('3'); /* surely held */
        tcp.socket.resetAndDestroy();
        await allGone(server);
      }
    });

    test('an upgrade that arrives on another shard goes on there, with what came behind it', async () => {
      const sessions = await sessionOnEach(server, n);
      const upgrades = async () => (await server.metrics()).get('sockhop_upgrades_total');
      const before = await upgrades(), movesBefore = await moved(server);
      const tcps = [];

      for (const [i, polling] of sessions.entries()) {
        const tcp = await Tcp.open(server);
        const neighbour = sessions[(i + 1) % n];

        if (i < n - 1) { /* the last one's neighbour has left polling */
          await tcp.write(postText(neighbour, '3'));
          assert.equal((await tcp.response()).text, 'ok');
        }
        await polling.send('42["echo","queued"]');
        await tcp.write(Buffer.concat([Buffer.from(upgradeText(polling)), frame('2probe'), frame('5'), frame('42["echo","over"]')]));
        assert.equal((await tcp.response()).status, 101);
        const frames = [await readFrame(tcp), await readFrame(tcp), await readFrame(tcp)];
        assert.deepEqual(frames, ['3probe', '42["echo","queued"]', '42["echo","over"]']);
        tcps.push(tcp);
      }
      assert.equal((await upgrades()) - before, n);
      assert.ok((await moved(server)) - movesBefore >= n - 1);
      for (const tcp of tcps) await tcp.close();
      await allGone(server);
    });

    test('an upgrade split at every byte of its way is served alike', async () => {
      const settled = await sessionOnEach(server, n);
      const length = Buffer.byteLength(upgradeText(settled[0])) + frame('2probe').length + frame('42["echo",1]').length;

      for (let at = 1; at < length; at++) {
        const polling = await Polling.open(server, { join: true });
        const tcp = await Tcp.open(server);
        const bytes = Buffer.concat([Buffer.from(upgradeText(polling)), frame('2probe'), frame('5'), frame('42["echo",1]')]);

        await tcp.write(postText(settled[(shardOf(polling) + 1) % n], '3')); /* to another shard */
        assert.equal((await tcp.response()).text, 'ok');
        await tcp.write(bytes.subarray(0, at));
        await new Promise(setImmediate);
        await tcp.write(bytes.subarray(at));
        assert.equal((await tcp.response()).status, 101);
        assert.equal(await readFrame(tcp), '3probe');
        assert.equal(await readFrame(tcp), '42["echo",1]');
        await tcp.close();
      }
      await leave(server, settled);
    });

    test('stock WebSockets upgrade whatever shard their connection is dealt to', async () => {
      for (let i = 0; i < 4 * n; i++) {
        const polling = await Polling.open(server, { join: true });
        const raw = await RawWebSocket.open(server, { sid: polling.sid });

        raw.send('2probe', '5', '42["echo",2]');
        assert.equal(await raw.message(), '3probe');
        assert.equal(await raw.message(), '42["echo",2]');
        await raw.close();
      }
      await allGone(server);
    });

    test('a sid of a shard that is not there, or of nobody there, is unknown', async () => {
      const polling = await Polling.open(server);
      const bytes = Buffer.from(polling.sid, 'base64url');

      for (const shard of [0, 1, n - 1, n, n + 1, 64, 255]) {
        bytes[0] = shard;
        const sid = bytes.toString('base64url');
        if (sid === polling.sid) continue;
        const answer = await request(server, `/socket.io/?EIO=4&transport=polling&sid=${sid}`);
        assert.deepEqual(JSON.parse(answer.text), { code: 1, message: 'Session ID unknown' });
      }
      await polling.send('1');
      await allGone(server);
    });
  });

test('with threads = 0 no connection ever moves', async (t) => {
  const server = await startWith(['echo'], { config: CONFIG, threads: '0' });
  t.after(() => server.stop());
  const sessions = [await Polling.open(server, { join: true }), await Polling.open(server, { join: true })];
  const tcp = await Tcp.open(server);

  await tcp.write(echoes(sessions, 'still'));
  await assertEchoes(tcp, sessions, 'still');
  await tcp.close();
  assert.equal(await moved(server), 0);
  await leave(server, sessions);
});
