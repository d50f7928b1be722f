/*
 * polling.test.js - what long-polling costs the server when its clients mean ill: bodies that are too large or of the wrong
 * kind, requests that race, sids that are guessed (C04, C08, C25, T23, T24, T26).
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { ENGINE, Polling, RawWebSocket, TRANSPORTS, Tcp, allGone, closeClients, connect, hear, request, settle, startWith } from '../lib/client.js';
import { BUILD, startServer } from '../lib/server.js';

afterEach(closeClients);

const LONG = process.env.SOCKHOP_LONG === '1';
const MB = 1e6;

/* ---- what the process holds */

/* ASan keeps what was freed, and stacks, for a while: not long here, so that memory says something. */
const env = { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:quarantine_size_mb=1:thread_local_quarantine_size_kb=64:detect_stack_use_after_return=0` };

const statusBytes = (server, key) =>
  1024 * Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${server.proc.pid}/status`, 'utf8'))[1]);

/* Whether its memory is that of the server alone. */
function countsMemory() {
  const program = readFileSync(join(BUILD, 'sockhop')); /* under valgrind a script */

  return !['__tsan_', '__msan_', 'valgrind'].some((word) => program.includes(word));
}

const descriptors = (server) => readdirSync(`/proc/${server.proc.pid}/fd`).length;

/* Runs act: what the resident set has grown by once all are gone is under `most`, and no descriptor is left. */
async function staysFlat(t, server, most, act) {
  await allGone(server);
  const [rss, fds] = [statusBytes(server, 'VmRSS'), descriptors(server)];

  await act();
  closeClients();
  await allGone(server);
  await server.waitMetrics(() => descriptors(server) <= fds);
  const grown = statusBytes(server, 'VmRSS') - rss;
  t.diagnostic(`grown by ${Math.round(grown / 1024)} kB, peak ${Math.round((statusBytes(server, 'VmHWM') - rss) / 1024)} kB`);
  if (countsMemory()) assert.ok(grown < most, `grown by ${grown} bytes`);
}

const post = (path, headers, body = '') => `POST ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n${body}`;
const get = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

describe('bodies', () => {
  let server;

  before(async () => (server = await startWith(['route', 'echo'], { env })));
  after(() => server.stop());

  const TOO_MUCH = 'x'.repeat(MB + 1);
  const CHUNKS = `${MB.toString(16)}\r\n${'x'.repeat(MB)}\r\n1\r\nx\r\n0\r\n\r\n`;

  /* How a body is sent that is a byte too long. */
  const FORMS = {
    'all of it': (path) => post(path, `Content-Length: ${TOO_MUCH.length}\r\n`, TOO_MUCH),
    'none of it': (path) => post(path, `Content-Length: ${TOO_MUCH.length}\r\n`),
    'in chunks': (path) => post(path, 'Transfer-Encoding: chunked\r\n', CHUNKS),
  };

  for (const [what, form] of Object.entries(FORMS))
    test(`C04 C25: 100 POSTs of 1,000,001 bytes, ${what}: 413, and no memory is kept`, async (t) => {
      const once = async (path) => {
        const tcp = await Tcp.open(server);

        await tcp.write(form(path));
        const answer = await tcp.response();
        assert.equal(answer.status, 413);
        await tcp.ended();
      };

      const many = async (n) => {
        const polling = await Polling.open(server, { join: true });

        for (let i = 0; i < n; i++) await once('/test/body');
        for (let i = 0; i < n; i++) await once(polling.path);
        await polling.send('42["echo","alive"]'); /* the session was told, and lives */
        assert.equal(await polling.packet(), '42["echo","alive"]');
        await polling.send('1');
      };

      for (let i = 0; i < 4; i++) await many(5); /* what is made once is made, in each thread */
      await staysFlat(t, server, 2 * 2 ** 20, () => many(50));
    });

  test('C04: 100 at once cost no more than is announced to be too much: nothing', async (t) => {
    await allGone(server);
    const peak = statusBytes(server, 'VmHWM');
    const crowd = await Promise.all(Array.from({ length: 100 }, () => Tcp.open(server)));

    await Promise.all(crowd.map((tcp) => tcp.write(FORMS['all of it']('/test/body'))));
    for (const tcp of crowd) assert.equal((await tcp.response()).status, 413);
    closeClients();
    await allGone(server);
    const grown = statusBytes(server, 'VmHWM') - peak;
    t.diagnostic(`peak grown by ${Math.round(grown / 1024)} kB`);
    if (countsMemory()) assert.ok(grown < 2 * 2 ** 20, `peak grown by ${grown} bytes`);
  });

  const OCTETS = LONG ? 10_000 : 1_000;

  test(`C08: ${OCTETS} POSTs of octet-stream are refused, and nothing piles up`, async (t) => {
    const headers = { 'Content-Type': 'application/octet-stream' };
    const many = async (n) => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
      const refused = async (path) => {
        const body = Buffer.from([4, 0xff, 0]);
        assert.equal((await request(server, path, { agent, method: 'POST', headers, body })).status, 400);
      };

      try {
        await refused(ENGINE);
        await Promise.all(Array.from({ length: 8 }, async () => {
          for (let path; n-- > 0; await refused(path)) {
            path = `${ENGINE}&sid=${JSON.parse((await request(server, ENGINE, { agent })).text.slice(1)).sid}`;
            await refused(path);
          }
        }));
      } finally {
        agent.destroy();
      }
    };

    await many(200);
    await staysFlat(t, server, 2 * 2 ** 20, () => many(OCTETS));
  });

  test('C25: what is counted is what was read', async () => {
    const polling = await Polling.open(server, { join: true });
    const echo = (text) => `42["echo","${text}"]`;
    const fits = echo('y'.repeat(MB - 13));

    assert.equal(fits.length, MB);
    for (const body of [`${fits.length.toString(16)}\r\n${fits}\r\n0\r\n\r\n`, fits.match(/[^]{1,250000}/g).map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('') + '0\r\n\r\n']) {
      const tcp = await Tcp.open(server);
      await tcp.write(post(polling.path, 'Transfer-Encoding: chunked\r\n', body));
      assert.equal((await tcp.response()).text, 'ok');
      assert.equal(await polling.packet(), fits);
      await tcp.close();
    }
    /* one that says less than it sends has sent two requests, and the second is none */
    const tcp = await Tcp.open(server);
    await tcp.write(post(polling.path, `Content-Length: ${echo('a').length}\r\n`, `${echo('a')}${echo('b')}\r\n\r\n`));
    assert.equal((await tcp.response()).text, 'ok');
    assert.equal((await tcp.response()).status, 400);
    await tcp.ended();
    assert.equal(await polling.packet(), echo('a'));
    /* one that says nothing has sent no body, and that is no payload */
    const other = await Polling.open(server, { join: true });
    const bare = await Tcp.open(server);
    await bare.write(post(other.path, '', `${echo('c')}\r\n\r\n`));
    assert.equal((await bare.response()).text, 'ok');
    assert.equal((await bare.response()).status, 400);
    assert.equal((await other.get()).status, 400);
    const raw = await RawWebSocket.open(server, { join: true });
    raw.send(fits);
    assert.equal(await raw.message(), fits);
    raw.send(`${fits} `);
    assert.equal((await raw.end()).code, 1009);
    await polling.send('42["echo","alive"]');
    assert.equal(await polling.packet(), '42["echo","alive"]', 'b has not come');
    await polling.send('1');
    await allGone(server);
  });
});

test('C08: those who leave their connection open are closed', async (t) => {
  const server = await startWith(['echo'], { config: '[limits]\nkeep_alive = 1s\n' });
  t.after(() => server.stop());
  const crowd = await Promise.all(Array.from({ length: 100 }, async () => [await Polling.open(server), await Tcp.open(server)]));

  for (const [polling, tcp] of crowd) {
    await tcp.write(post(polling.path, 'Content-Type: application/octet-stream\r\nContent-Length: 1\r\n', 'b'));
    assert.equal((await tcp.response()).status, 400);
  }
  await Promise.all(crowd.map(([, tcp]) => tcp.ended())); /* keep_alive */
  await allGone(server);
});

/* ---- races */

describe('T26: two requests of a kind at once', () => {
  const PAIRS = LONG ? 1000 : 50;
  let server;

  before(async () => (server = await startWith(['echo'])));
  after(() => server.stop());

  /* Two connections, which begin at once and end at once; resolves with both answers. */
  async function race(begin, end) {
    const pair = await Promise.all([Tcp.open(server), Tcp.open(server)]);

    await Promise.all(pair.map((tcp) => tcp.write(begin)));
    if (end) await Promise.all(pair.map((tcp) => tcp.write(end)));
    const answers = await Promise.all(pair.map((tcp) => tcp.response()));
    await Promise.all(pair.map((tcp) => tcp.close()));
    return answers;
  }

  async function assertClosed(polling) {
    const answer = await polling.get();

    assert.equal(answer.status, 400);
    assert.equal(JSON.parse(answer.text).code, 1);
  }

  test(`${PAIRS} pairs of GETs: one gets 400, and the session closes`, async () => {
    for (let i = 0; i < PAIRS; i++) {
      const polling = await Polling.open(server, { join: true });
      const answers = await race(get(polling.path));

      assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 400]);
      assert.equal(answers.find(({ status }) => status === 200).text, '1');
      await assertClosed(polling);
    }
    await allGone(server);
  });

  test(`${PAIRS} pairs of POSTs: one or both get 400, and the session closes`, async () => {
    const body = '42["echo","x"]';

    for (let i = 0; i < PAIRS; i++) {
      const polling = await Polling.open(server, { join: true });
      const head = post(polling.path, `Content-Length: ${body.length}\r\n`);
      const answers = await race(head + body.slice(0, 5), body.slice(5));

      /* The first may be complete before the second begins: then both are fine. */
      if (answers.every(({ status }) => status === 200)) {
        assert.deepEqual(answers.map(({ text }) => text), ['ok', 'ok']);
        await polling.send('1');
        continue;
      }
      assert.ok(answers.every(({ status }) => status === 200 || status === 400), JSON.stringify(answers));
      await assertClosed(polling);
    }
    await allGone(server);
  });
});

/* ---- sids */

describe('sids', () => {
  const CHARS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  let server;

  before(async () => (server = await startServer({ config: '[log]\nlevel = debug\n[plugin:auth]\n[plugin:lobby]\n[plugin:echo]\n' })));
  after(() => server.stop());

  /* Asks for each sid, a hundred at a time; none is known. */
  async function assertUnknown(sids) {
    const tcp = await Tcp.open(server);

    for (let i = 0; i < sids.length; i += 100) {
      const some = sids.slice(i, i + 100);

      await tcp.write(some.map((sid) => get(`${ENGINE}&sid=${sid}`)).join(''));
      for (const sid of some) {
        const answer = await tcp.response();
        assert.equal(answer.status, 400, sid);
        assert.equal(answer.text, '{"code":1,"message":"Session ID unknown"}');
      }
    }
    await tcp.close();
  }

  const GUESSES = LONG ? 100_000 : 4_000;

  test(`T23: ${GUESSES} guesses hit none of 50 sessions`, async () => {
    const sessions = await Promise.all(Array.from({ length: 50 }, () => Polling.open(server, { join: true })));
    const real = Buffer.from(sessions[0].sid, 'base64url');
    const guess = (n) => {
      const bytes = randomBytes(real.length);

      bytes[0] = n % 3; /* the shard's number, which is no secret */
      return bytes.toString('base64url');
    };

    assert.equal(guess(0).length, sessions[0].sid.length);
    await Promise.all(Array.from({ length: 4 }, () => assertUnknown(Array.from({ length: GUESSES / 4 }, (_, n) => guess(n)))));
    for (const polling of sessions) await polling.send('1');
    await allGone(server);
  });

  test('T23: a sid with one character changed, added or left out is another', async () => {
    const polling = await Polling.open(server, { join: true });
    const { sid } = polling;
    const near = [];

    for (let i = 0; i < sid.length; i++) {
      for (const c of CHARS) if (c !== sid[i]) near.push(sid.slice(0, i) + c + sid.slice(i + 1));
      near.push(sid.slice(0, i) + sid.slice(i + 1));
    }
    near.push(...['A', '=', '==', '%00', '%20', '.', '/', '%2e', '%41'].map((end) => sid + end), `%20${sid}`, `%00${sid}`, `+${sid}`, sid.toLowerCase(), sid.toUpperCase(),
      Buffer.from(sid, 'base64url').toString('base64').replaceAll('+', '%2B'), Buffer.from(sid, 'base64url').toString('hex'));
    await assertUnknown(near.filter((one) => one !== sid));
    await polling.send('42["echo","still mine"]');
    assert.equal(await polling.packet(), '42["echo","still mine"]');
    await polling.send('1');
    await allGone(server);
  });

  test('T24: a client cannot choose its sid, nor that of another', async () => {
    const chosen = 'A'.repeat((await Polling.open(server)).sid.length);

    await assertUnknown([chosen]);
    for (const path of [`${ENGINE}&sid=`, `${ENGINE}&id=${chosen}&session=${chosen}&pid=${chosen}`]) {
      const tcp = await Tcp.open(server);

      await tcp.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nCookie: io=${chosen}; sid=${chosen}\r\nX-Session-Id: ${chosen}\r\n\r\n`);
      const answer = await tcp.response();
      assert.equal(answer.status, 200);
      assert.equal(answer.headers['set-cookie'], undefined);
      assert.notEqual(JSON.parse(answer.text.slice(1)).sid, chosen);
      await request(server, `${ENGINE}&sid=${JSON.parse(answer.text.slice(1)).sid}`, { method: 'POST', body: '1' });
    }
    await assertUnknown([chosen]);
  });

  test('T23 T24: a sid is told to its client alone, neither to another nor to the log', async () => {
    const watcher = await connect(server);
    const seen = [];
    const secrets = [];

    watcher.io.engine.on('data', (data) => seen.push(String(data)));
    watcher.emit('login', 'watcher');
    await hear(watcher, 'welcome');
    for (const [kind, transports] of Object.entries(TRANSPORTS)) {
      const socket = await connect(server, { transports });

      secrets.push(socket.io.engine.id);
      assert.notEqual(socket.id, socket.io.engine.id);
      socket.emit('login', kind);
      await hear(socket, 'welcome');
      socket.emit('chat', `from ${kind}`);
      await settle(socket);
      await hear(watcher, 'chat', secrets.length);
      socket.disconnect();
    }
    for (const bad of [`${ENGINE}&sid=${watcher.io.engine.id}&EIO=3`, `${ENGINE}&sid=${watcher.io.engine.id}`]) {
      const answer = await request(server, bad); /* a poll of a WebSocket's session */

      secrets.push(watcher.io.engine.id);
      assert.ok(!answer.text.includes(watcher.io.engine.id), 'an error tells no sid');
    }
    await settle(watcher);
    closeClients();
    await allGone(server);
    assert.ok(seen.some((data) => data.includes('from polling')));
    await server.waitLog(/\bsession\.closed id=\S+/);
    for (const secret of secrets) {
      assert.ok(secret.length >= 20);
      assert.ok(!seen.some((data) => data.includes(secret)), 'another client has seen it');
      assert.ok(!server.log.some((line) => line.includes(secret)), 'the log has it');
    }
  });
});
