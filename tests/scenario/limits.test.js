/*
 * limits.test.js - what an operator bounds for all clients together: connections, the rate of bodies,
 * memory. Whoever is over a limit is told or closed; the others notice nothing. Plugins: echo, rooms.
 * Loopback has no limit by address: that one is with test_gate.c and test_listener.c.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { ENGINE, Polling, Tcp, allGone, ask, closeClients, connect, request, settle, startWith, within } from '../lib/client.js';
import { BUILD } from '../lib/server.js';

afterEach(closeClients);

const REFUSED = (key) => `sockhop_connections_refused_total{reason="${key}"}`;
const limits = (keys) => `[limits]\n${Object.entries(keys).map(([key, value]) => `${key} = ${value}\n`).join('')}`;
const count = async (server, name) => (await server.metrics()).get(name);
const refusalLines = (server) => server.log.filter((line) => line.includes('listener.refused'));

const MIB = 1 << 20;

/* A number of /proc/PID/status in bytes: VmRSS, VmHWM. */
const statusBytes = (server, key) =>
  1024 * Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${server.proc.pid}/status`, 'utf8'))[1]);

/* Whether memory says something: a sanitizer or valgrind holds back what was freed. */
function countsMemory() {
  const program = readFileSync(join(BUILD, 'sockhop')); /* under valgrind a script */

  return !['__asan_', '__tsan_', '__msan_', 'valgrind'].some((word) => program.includes(word));
}

/* Bytes over TCP behind the opening handshake of a WebSocket. */
async function openWebSocket(server) {
  const tcp = await Tcp.open(server);

  await tcp.write(
    'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  );
  assert.equal((await tcp.response()).status, 101);
  return tcp;
}

/* Nobody is left, and nobody is still counted. */
async function allLeft(server) {
  await allGone(server);
  assert.equal(await count(server, 'sockhop_addresses'), 0);
}

describe('connections in all', () => {
  const MAX = 20;
  let server;

  before(async () => {
    server = await startWith(['echo'], { config: limits({ max_connections: MAX }) });
  });
  after(() => server.stop());

  test('T47 T07: at the limit everybody is served, one above it gets 503, and its place is free when one has left', async () => {
    for (let round = 1; round <= 3; round++) {
      const idle = await Promise.all(Array.from({ length: MAX - 2 }, () => Tcp.open(server)));
      const chatter = await connect(server);
      const last = await Tcp.open(server); /* the limit: with the chatter MAX */

      await last.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.equal((await last.response()).status, 200);
      for (let i = 0; i < 3; i++) {
        const late = await Tcp.open(server);
        const answer = await late.response();

        assert.equal(answer.status, 503);
        assert.ok(Number(answer.headers['retry-after']) > 0);
        assert.equal(answer.headers.connection, 'close');
        await late.ended();
      }
      await assert.rejects(connect(server), /xhr|websocket|close/i);
      assert.equal(await count(server, REFUSED('max_connections')), 4 * round);
      assert.deepEqual(await ask(chatter, 'echo', 'still here'), ['still here']);
      await server.waitLog(/WARN listener\.refused reason=max_connections address=127\.0\.0\.1 clients=\d+ .*limits\.max_connections/);

      await idle[0].close(); /* a place */
      const connections = (n) => (metrics) => metrics.get('sockhop_connections') === n; /* the status port's is one */
      await server.waitMetrics(connections(MAX));
      assert.deepEqual(await settle(await connect(server)), ['settle']);
      closeClients();
      await server.waitMetrics(connections(1));
    }
  });

  test('T47: a flood of refused clients leaves nothing open and logs at most a line a second', async () => {
    const started = Date.now();
    const idle = await Promise.all(Array.from({ length: MAX }, () => Tcp.open(server)));
    const before = await count(server, REFUSED('max_connections'));
    const n_lines = refusalLines(server).length;

    for (let i = 0; i < 20; i++) {
      const flood = await Promise.all(Array.from({ length: 20 }, () => Tcp.open(server)));
      await Promise.all(flood.map((tcp) => tcp.ended()));
    }
    const metrics = await server.metrics();
    assert.equal(metrics.get(REFUSED('max_connections')) - before, 400);
    assert.equal(metrics.get('sockhop_connections'), MAX + 1);
    await server.waitLog(/listener\.refused/);
    assert.ok(refusalLines(server).length - n_lines <= (Date.now() - started) / 1000 + 1);
    await Promise.all(idle.map((tcp) => tcp.close()));
    await server.waitMetrics((now) => now.get('sockhop_connections') === 1);
    await settle(await connect(server));
    closeClients();
    await allLeft(server);
  });
});

describe('the rate of a body', () => {
  let server;

  before(async () => {
    server = await startWith(['echo']); /* the defaults: 500 bytes a second, 30 s in all */
  });
  after(() => server.stop());

  const post = (sid, framing) => `POST ${ENGINE}&sid=${sid} HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`;

  /* With the head of a text message of 60,000 bytes. */
  async function openMessage() {
    const tcp = await openWebSocket(server);

    await tcp.write(Buffer.from([0x81, 0xfe, 60000 >> 8, 60000 & 0xff, 0, 0, 0, 0]));
    return tcp;
  }

  async function openPost(framing = 'Content-Length: 60000') {
    const polling = await Polling.open(server, { join: true });
    const tcp = await Tcp.open(server);

    await tcp.write(post(polling.sid, framing));
    return tcp;
  }

  /* Sends size bytes now and then, and more often than needed, until isOver(). */
  async function trickle(tcp, size, isOver) {
    while (!isOver() && !tcp.isEnded) {
      tcp.socket.write('4'.repeat(size));
      await delay(size > 100 ? 200 : 500);
    }
  }

  test('T04 T08: a body or a message that trickles is cut off long before its total time, one that comes at its pace is not', async () => {
    const started = Date.now();
    const slowPosts = await Promise.all([openPost(), openPost(), openPost('Transfer-Encoding: chunked')]);
    const fastPost = await openPost();
    const [slowMessage, fastMessage] = await Promise.all([openMessage(), openMessage()]);
    let n_slow = slowPosts.length + 1;
    const isOver = () => n_slow === 0;

    await slowPosts[2].write('ea60\r\n'); /* a chunk of 60,000 */
    const ends = slowPosts.map(async (tcp, i) => {
      const sending = i === 1 ? Promise.resolve() : trickle(tcp, 10, isOver); /* the second sends nothing */
      const answer = await tcp.response();

      assert.equal(answer.status, 408);
      n_slow--;
      await tcp.ended();
      await sending;
    });
    const messageEnd = (async () => {
      const sending = trickle(slowMessage, 10, isOver);

      await slowMessage.ended();
      assert.ok(slowMessage.data.includes(Buffer.from([0x88, 2, 1008 >> 8, 1008 & 0xff])), 'no close frame 1008');
      n_slow--;
      await sending;
    })();
    const pace = [trickle(fastPost, 500, isOver), trickle(fastMessage, 500, isOver)]; /* 2,500 a second */
    await within(Promise.all([...ends, messageEnd, ...pace]), 'end of what is slow', 60000);
    assert.ok(Date.now() - started < 29000, 'not sooner than by the total deadline');

    assert.ok(!fastPost.isEnded && !fastMessage.isEnded);
    assert.equal(fastPost.data.length, 0);
    const chatter = await connect(server);
    await settle(chatter);
    closeClients();
    await allLeft(server);
  });
});

describe('before a namespace is joined', () => {
  const N = 200;
  let server;

  before(async () => {
    server = await startWith(['echo'], { config: limits({ min_body_rate: 0, body_timeout: '10m' }) });
  });
  after(() => server.stop());

  test('C42: a million bytes that are only announced cost nothing, on either transport', async () => {
    const sessions = await Promise.all(Array.from({ length: N }, () => Polling.open(server)));
    const posts = await Promise.all(sessions.map(() => Tcp.open(server)));
    const sockets = await Promise.all(Array.from({ length: N }, () => openWebSocket(server)));
    const rss = statusBytes(server, 'VmRSS');

    await Promise.all(posts.map((tcp, i) => tcp.write(`POST ${sessions[i].path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n4`)));
    await Promise.all(sockets.map((tcp) => tcp.write(Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40, 0, 0, 0, 0, 0x34]))));
    await settle(await connect(server)); /* it has read them */
    const grown = statusBytes(server, 'VmRSS') - rss;
    if (countsMemory(server)) assert.ok(grown < N * 2 * 10000, `grew by ${grown} bytes`); /* a reader has 5 kB, a head less */
    for (const tcp of [...posts, ...sockets]) assert.ok(!tcp.isEnded);
    closeClients();
    await allLeft(server);
  });

  for (const [what, packet] of [['an event', '42["echo","x"]'], ['an ack', '430[]'], ['a disconnect', '41']])
    test(`C42: ${what} is refused with the session, and whatever stands behind it`, async () => {
      const polling = await Polling.open(server);
      const answer = await polling.post(Array.from({ length: 100 }, () => packet).join('\x1e'));

      assert.equal(answer.status, 200); /* as the reference: the session has ended */
      assert.equal((await polling.get()).text, '1');
      assert.deepEqual(JSON.parse((await polling.post('40')).text), { code: 1, message: 'Session ID unknown' });
      await allLeft(server);
    });
});

/* Asks again and again, one question after the other, until stop(); resolves with how many were answered. */
function chat(socket) {
  let isOver = false;
  const chatting = (async () => {
    let n = 0;

    for (; !isOver; n++) assert.deepEqual(await ask(socket, 'echo', n, 'x'.repeat(200)), [n, 'x'.repeat(200)]);
    return n;
  })();

  return () => ((isOver = true), chatting);
}

describe('memory in all', () => {
  const MAX = 64 * MIB;
  const SHED = 'sockhop_shed_total';
  const BODY = 1000000;
  let server;

  before(async () => {
    /* Deadlines that do not help: what ends is ended by the cap. */
    server = await startWith(['echo', 'rooms'], {
      config: limits({
        max_memory: '64M', min_body_rate: 0, head_timeout: '10m', body_timeout: '10m', soft_queue: '1M', soft_queue_time: '10m',
        attachment_timeout: '10m',
      }),
    });
  });
  after(() => server.stop());

  /* A joined session with a connection that stays open. */
  const sessions = [];
  async function openHolder() {
    const polling = await Polling.open(server, { join: true });
    const tcp = await Tcp.open(server);

    sessions.push(polling);
    tcp.post = (length) => `POST ${polling.path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;
    return tcp;
  }

  /* Their goodbyes; those too are refused while memory is tight. */
  async function leaveAll() {
    for (const polling of sessions.splice(0))
      for (let status = 503; status === 503; ) {
        ({ status } = await polling.post('1').catch(() => ({ status: 503 })));
        if (status === 503) await delay(20);
      }
  }

  const written = (tcp, bytes) => Promise.race([tcp.gone, new Promise((done) => tcp.socket.write(bytes, done))]);

  /* All but the last byte of a body. */
  async function holdBody(tcp) {
    await written(tcp, tcp.post(BODY));
    await written(tcp, Buffer.alloc(BODY - 1, '4'));
  }

  /* Three answers are asked for and none is fetched. */
  async function holdAnswers(tcp) {
    for (let n = 0; n < 3; n++) {
      const body = `42${n}["echo","${'y'.repeat(300000)}"]`;

      await written(tcp, tcp.post(body.length) + body);
      await tcp.response().catch(() => {}); /* the session has been closed */
    }
  }

  /* One of two attachments. */
  const half = Buffer.from(`452-["echo"]\x1eb${Buffer.alloc(600000).toString('base64')}`);
  async function holdAttachment(tcp) {
    await written(tcp, Buffer.concat([Buffer.from(tcp.post(half.length)), half]));
    await tcp.response().catch(() => {});
  }

  /* All at once, but for a look at what has come before each: the chat goes on here too. */
  async function holdAll(holders, hold) {
    const held = [];

    for (const holder of holders) {
      held.push(hold(holder));
      await new Promise(setImmediate);
    }
    await Promise.all(held);
  }

  for (const [what, hold] of [
    ['a body that never ends', holdBody],
    ['a packet that lacks an attachment', holdAttachment],
    ['answers that they do not fetch', holdAnswers],
  ])
    test(`T47: 150 clients with ${what} do not pass the cap; the chat goes on, and all is served afterwards`, async () => {
      const chatters = [await connect(server), await connect(server)];
      const stops = chatters.map(chat);
      const shed = await count(server, SHED);

      const holders = await Promise.all(Array.from({ length: 150 }, openHolder));
      await holdAll(holders, hold);
      const metrics = await server.waitMetrics((now) => now.get('sockhop_shed_total') > shed);
      assert.ok(metrics.get(SHED) - shed < 150);
      await server.waitLog(/WARN memory\.full closed=\d+ held=\d{7,} used=\d+ max=67108864 hint="/);
      for (const stop of stops) assert.ok((await stop()) > 0);
      for (const socket of chatters) assert.ok(socket.connected);
      if (countsMemory()) {
        const most = statusBytes(server, 'VmHWM');
        assert.ok(most < 2 * MAX, `${(most / MIB).toFixed(1)} MiB resident`);
      }
      closeClients();
      await leaveAll();
      await allLeft(server);
      assert.deepEqual(await settle(await connect(server)), ['settle']);
      closeClients();
      await allLeft(server);
    });

  test('T47: above nine tenths newcomers are refused, but not for long: whoever holds the most goes', async () => {
    const chatters = [await connect(server), await connect(server)];
    const stops = chatters.map(chat);
    const inside = await Tcp.open(server);
    const isTight = async () => {
      const tcp = await Tcp.open(server);

      await tcp.write('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
      const { status, headers } = await tcp.response();
      if (status === 503) assert.ok(Number(headers['retry-after']) > 0);
      return status === 503;
    };
    const holders = await Promise.all(Array.from({ length: 90 }, openHolder));
    const before = await server.metrics();

    for (let i = 0, more = 2; more > 0; i++) { /* 2 MB more than it takes, that it lasts */
      await holdBody(holders[i]);
      await server.metrics(); /* so that what was sent has been read */
      if (more < 2 || (await isTight())) more--;
    }
    assert.ok(await isTight());
    let metrics = await server.metrics();
    assert.equal(metrics.get(SHED), before.get(SHED));
    assert.ok(metrics.get(REFUSED('max_memory')) > before.get(REFUSED('max_memory')));
    await server.waitLog(/WARN listener\.refused reason=max_memory .*limits\.max_memory/);

    await inside.write(`GET ${ENGINE} HTTP/1.1\r\nHost: a\r\n\r\n`); /* nor do those inside open more */
    assert.equal((await inside.response()).status, 503);
    assert.equal((await server.metrics()).get('sockhop_sessions{transport="polling"}'), holders.length);

    const started = Date.now();
    while (await isTight()) {
      assert.ok(Date.now() - started < 60000, 'newcomers are kept out');
      await delay(100);
    }
    metrics = await server.metrics();
    assert.ok(metrics.get(SHED) - before.get(SHED) > 0);
    assert.ok(metrics.get(SHED) - before.get(SHED) < 30, 'more than it takes');
    for (const stop of stops) assert.ok((await stop()) > 0);
    for (const socket of chatters) assert.ok(socket.connected);
    closeClients();
    await leaveAll();
    await allLeft(server);
  });
});

describe('memory full of sessions that say nothing', { skip: !countsMemory() && 'filling it takes minutes with a sanitizer' }, () => {
  const INTERVAL = 12000, TIMEOUT = 3000;
  const POLLING = 'sockhop_sessions{transport="polling"}';
  const handshake = `GET ${ENGINE} HTTP/1.1\r\nHost: a\r\n`;
  let server;

  before(async () => {
    server = await startWith(['echo'], {
      config: `[engine]\nping_interval = ${INTERVAL}ms\nping_timeout = ${TIMEOUT}ms\nconnect_timeout = 10m\n${limits({ max_memory: '16M' })}`,
    });
  });
  after(() => server.stop());

  let n_refused = 0;

  /* Handshakes on one connection until one is refused. */
  async function fill() {
    const tcp = await Tcp.open(server);

    while (!tcp.isEnded && !tcp.data.includes(' 503 ')) {
      tcp.data = Buffer.alloc(0);
      tcp.socket.write(`${handshake}\r\n`.repeat(100));
      await Promise.race([tcp.gone, delay(2)]);
    }
    if (tcp.data.includes(' 503 ')) n_refused++;
    await tcp.close();
  }

  test('T47 T08: they end by their deadline, a part of them at once, however many newcomers knock; the chat goes on', async () => {
    const chatter = await connect(server);
    const stop = chat(chatter);

    await within(Promise.all([fill(), fill(), fill(), fill()]), 'end of the room for sessions', 120000);
    const filled = Date.now();
    const n_bare = await count(server, POLLING);
    assert.ok(n_bare > 5000, `${n_bare} sessions`);

    let n_entered = 0;
    const knock = async () => {
      const tcp = await Tcp.open(server).catch(() => null);

      if (!tcp) return;
      tcp.socket.write(`${handshake}Connection: close\r\n\r\n`);
      const { status } = await tcp.response().catch(() => ({ status: 0 }));
      if (status === 503) n_refused++;
      if (status === 200) n_entered++;
      tcp.socket.destroy();
    };
    const knockUntil = async (isOver) => {
      while (!(await isOver())) {
        assert.ok(Date.now() - filled < 60000, `newcomers are kept out: ${n_refused} refused, ${await count(server, POLLING)} sessions`);
        await Promise.all(Array.from({ length: 10 }, knock));
      }
    };
    let n_seen = 0;
    await knockUntil(async () => {
      const isOver = (await count(server, 'sockhop_shed_total')) > 0;

      if (!isOver && n_entered > n_seen) await fill(); /* what requests took is free again */
      n_seen = n_entered;
      return isOver;
    });
    await knockUntil(() => n_entered >= n_seen + 20);
    assert.ok(n_refused > 0);
    assert.ok((await count(server, POLLING)) > 1000, 'all were closed');
    await server.waitLog(/WARN memory\.(tight|full) closed=\d+ held=\d+ used=\d+ max=16777216 hint="/);

    await server.waitMetrics((now) => now.get(POLLING) <= n_entered, Math.max(0, filled + INTERVAL + TIMEOUT - Date.now()) + 15000);
    assert.deepEqual(await settle(await connect(server)), ['settle']);
    assert.ok((await stop()) > 0);
    assert.ok(chatter.connected);
    closeClients();
    await allGone(server, 60000); /* the newcomers did not join either */
  });
});
