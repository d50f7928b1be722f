/*
 * slow.test.js - slow receivers and a slow plugin: DESIGN.md 3 (back-pressure), threats.md T05.
 *
 * A client that does not take what it is sent is cut off and counted, and costs the server a bounded
 * queue; the others lose nothing. A plugin that holds the logic thread delays events and nothing else.
 * Plugins: rooms (blast, drop, whoami), echo, kick (last-reason), slow (sleep).
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, describe, test } from 'node:test';

import { Polling, RawWebSocket, TRANSPORTS, allGone, ask, closeClients, connect, hear, heard, next, settle, startWith, within } from '../lib/client.js';
import { countsMemory, statusBytes } from '../lib/memory.js';

afterEach(closeClients);

const SLOW = 'sockhop_sessions_closed_total{reason="slow consumer"}';
const DROPPED = 'sockhop_volatile_dropped_total';
const CHUNK = 40000; /* of text in one event */
const MIB = 1 << 20;

/* The kernel takes some 10 MiB for a receiver that does not read; a server without limits, all. */
const BLAST_MAX = 64 * MIB;

const limits = (keys) => `[limits]\n${Object.entries(keys).map(([key, value]) => `${key} = ${value}\n`).join('')}`;
const count = async (server, name) => (await server.metrics()).get(name);

/* Joined, and from now on nothing is read from its connection. */
async function neverReading(server) {
  const raw = await RawWebSocket.open(server, { join: true });

  raw.ws.pause();
  return raw;
}

/*
 * Broadcasts in rounds of 5 events, each round only when the readers have heard the last one, until
 * isOver(). Resolves with the number of events.
 */
async function blastUntil(sockets, isOver, size = CHUNK) {
  let n = 0;

  while (!(await isOver())) {
    assert.ok(n * size < BLAST_MAX, `after ${n} events of ${size} bytes it is not over`);
    sockets[0].emit('blast', 5, size);
    n += 5;
    await Promise.all(sockets.map((socket) => hear(socket, 'blasted', n)));
    for (const socket of sockets) /* texts are checked and dropped: a test must not hoard them */
      for (const event of socket.heard)
        if (typeof event[2] === 'string') event[2] = /^x*$/.test(event[2]) ? event[2].length : 'wrong';
  }
  return n;
}

/* Everything, in order, once. */
function assertHeardAll(socket, n, size = CHUNK) {
  const all = heard(socket, 'blasted');

  assert.equal(all.length, n);
  for (const [i, [number, length]] of all.entries()) assert.deepEqual([number, length], [i % 5, size]);
}

const READERS = [{ transports: TRANSPORTS.websocket }, { transports: TRANSPORTS.polling }];
const PLUGINS = ['echo', 'rooms', 'kick'];

describe('the hard limit', () => {
  let server;

  before(async () => {
    server = await startWith(PLUGINS, { config: limits({ max_queue: '400k', soft_queue: '400k', soft_queue_time: '1h' }) });
  });
  after(() => server.stop());

  for (const [what, open] of [['WebSocket that never reads', neverReading], ['client that never polls', (at) => Polling.open(at, { join: true })]])
    test(`a ${what} is cut off above it, and the readers get everything in order`, async () => {
      const readers = await Promise.all(READERS.map((options) => connect(server, options)));
      const before = await count(server, SLOW);
      const victims = await Promise.all(Array.from({ length: 5 }, () => open(server)));
      const n = await blastUntil(readers, async () => (await count(server, SLOW)) === before + victims.length);

      for (const reader of readers) assertHeardAll(reader, n);
      assert.equal((await ask(readers[0], 'last-reason'))[0], 'transport error'); /* the reference's word */
      for (const victim of victims) {
        if (victim instanceof Polling) {
          assert.deepEqual(JSON.parse((await victim.get()).text), { code: 1, message: 'Session ID unknown' });
          continue;
        }
        victim.ws.resume(); /* what the kernel had taken, then the end */
        await victim.end();
        const all = victim.messages.filter((text) => text.startsWith('42["blasted"'));
        for (const [i, text] of all.entries()) assert.ok(text.startsWith(`42["blasted",${i % 5},"xx`), 'a gap');
      }
      closeClients();
      await allGone(server);
    });

  test('the server\'s memory stays within what the limits allow', async () => {
    const readers = [await connect(server)];
    const isMeasured = countsMemory();

    await blastUntil(readers, () => heard(readers[0], 'blasted').length >= 50); /* all buffers have been used once */
    readers[0].heard.length = 0;
    const rss = statusBytes(server, 'VmRSS');
    const n_victims = 20;
    const before = await count(server, SLOW);
    for (let i = 0; i < n_victims; i++) await neverReading(server);
    await blastUntil(readers, async () => (await count(server, SLOW)) === before + n_victims);
    const grown = statusBytes(server, 'VmHWM') - rss;
    if (isMeasured) assert.ok(grown < n_victims * 1.5 * MIB, `grew by ${(grown / MIB).toFixed(1)} MiB`);
    closeClients();
    await allGone(server);
  });

  test('one event above the limit reaches whoever takes it', async () => {
    const readers = await Promise.all(READERS.map((options) => connect(server, options)));

    for (const reader of readers) {
      reader.emit('big', 500000);
      assert.equal((await hear(reader, 'big-back'))[0].length, 500000);
    }
    closeClients();
    await allGone(server);
  });
});

test('a client that leaves too many packets is cut off, however small they are', async (t) => {
  const server = await startWith(PLUGINS, { config: limits({ max_queue_frames: 500 }) });
  t.after(() => server.stop());
  const reader = await connect(server);
  const polling = await Polling.open(server, { join: true });

  for (let i = 0; i < 50; i++) reader.emit('shout', i);
  await hear(reader, 'shouted', 50);
  assert.equal(await count(server, SLOW), 0);
  for (let i = 50; i < 600; i++) reader.emit('shout', i);
  await hear(reader, 'shouted', 600);
  assert.deepEqual(heard(reader, 'shouted').map(([i]) => i), Array.from({ length: 600 }, (_, i) => i));
  await server.waitMetrics((metrics) => metrics.get('sockhop_sessions_closed_total{reason="slow consumer"}') === 1);
  assert.equal((await polling.get()).status, 400);
  reader.disconnect();
  await allGone(server);
});

describe('the soft limit', () => {
  const SOFT = 100000;
  const SOFT_MS = 2000; /* less, and on a busy machine those who poll as fast as they can are cut off too */
  let server;

  before(async () => {
    server = await startWith(PLUGINS, { config: limits({ max_queue: '1G', soft_queue: SOFT, soft_queue_time: `${SOFT_MS}ms` }) });
  });
  after(() => server.stop());

  for (const [what, open] of [['WebSocket that never reads', neverReading], ['client that never polls', (at) => Polling.open(at, { join: true })]])
    test(`a ${what} is cut off once it was above it for its time, and the readers get everything in order`, async () => {
      const readers = await Promise.all(READERS.map((options) => connect(server, options)));
      const before = await count(server, SLOW);
      const victims = [await open(server), await open(server)];
      let most = 0;

      const n = await blastUntil(readers, async () => {
        let metrics = await server.metrics();
        const [n_cut, queued] = [metrics.get(SLOW), metrics.get('sockhop_queued_bytes')];
        most = Math.max(most, queued);
        if (queued > victims.length * SOFT) /* one is above it at least */
          metrics = await server.waitMetrics((now) => now.get('sockhop_sessions_closed_total{reason="slow consumer"}') > n_cut);
        return metrics.get(SLOW) === before + victims.length;
      });
      assert.ok(most < BLAST_MAX, 'far below the hard limit');
      await server.waitMetrics((metrics) => metrics.get('sockhop_queued_bytes') === 0);
      for (const reader of readers) assertHeardAll(reader, n);
      closeClients();
      await allGone(server);
    });

  test('a client that is back below it in time goes on, and has lost nothing', async () => {
    const reader = await connect(server);
    const polling = await Polling.open(server, { join: true });

    for (const from = performance.now(); performance.now() < from + 2 * SOFT_MS; ) { /* its time begins anew each time */
      reader.heard.length = 0;
      reader.emit('blast', 5, CHUNK); /* twice the limit */
      await hear(reader, 'blasted', 5);
      for (let i = 0; i < 5; i++) assert.equal(await polling.packet(), `42["blasted",${i},"${'x'.repeat(CHUNK)}"]`);
    }
    closeClients();
    await allGone(server);
  });
});

describe('volatile events', () => {
  let server;

  before(async () => (server = await startWith(PLUGINS)));
  after(() => server.stop());

  /* Sends volatile events to the room of all but the sender, until isOver(). */
  async function dropUntil(sender, reader, isOver) {
    const text = 'v'.repeat(CHUNK);
    let n = 0;

    while (!(await isOver())) {
      assert.ok(n * CHUNK < BLAST_MAX, `after ${n} volatile events it is not over`);
      for (let i = 0; i < 5; i++) sender.emit('drop', 'den', n++, text);
      await hear(reader, 'said', n);
      for (const event of reader.heard) event.length = Math.min(event.length, 3); /* without the text */
    }
    return n;
  }

  test('a WebSocket that does not read loses volatile events, and only those', async () => {
    const sender = await connect(server);
    const reader = await connect(server);
    const blocked = await RawWebSocket.open(server, { join: true });

    for (const socket of [sender, reader]) await ask(socket, 'join', 'den');
    blocked.send('42["join","den"]');
    assert.equal(await blocked.message(), '42["joined","den"]');
    blocked.ws.pause();
    const n = await dropUntil(sender, reader, async () => (await count(server, DROPPED)) >= 100);
    for (let i = 0; i < 3; i++) sender.emit('say', 'den', `kept ${i}`);
    await hear(reader, 'said', n + 3);
    const numbers = heard(reader, 'said').map(([, number]) => number);
    assert.deepEqual(numbers, [...Array.from({ length: n }, (_, i) => i), 'kept 0', 'kept 1', 'kept 2']); /* the reader lost none */

    blocked.ws.resume();
    const got = [];
    while (got.at(-1) !== 'kept 2') got.push(JSON.parse((await blocked.message()).slice(2))[2]);
    assert.deepEqual(got.slice(-3), ['kept 0', 'kept 1', 'kept 2']);
    const volatile = got.slice(0, -3);
    assert.ok(volatile.length < n && volatile[0] === 0);
    assert.equal(n - volatile.length, await count(server, DROPPED));
    for (let i = 1; i < volatile.length; i++) assert.ok(volatile[i] > volatile[i - 1], 'in order');
    assert.equal(await count(server, SLOW), 0);

    const last = await dropUntil(sender, Object.assign(reader, { heard: [] }), () => heard(reader, 'said').length > 0);
    for (let i = 0; i < last; i++) assert.equal(JSON.parse((await blocked.message()).slice(2))[2], i); /* ready again: all of them */
    closeClients();
    await allGone(server);
  });

  test('a client between two polls loses volatile events, one that polls gets them', async () => {
    const sender = await connect(server);
    const polling = await Polling.open(server, { join: true });
    const before = await count(server, DROPPED);

    await ask(sender, 'join', 'den');
    await polling.send('42["join","den"]');
    assert.equal(await polling.packet(), '42["joined","den"]');
    for (let i = 0; i < 10; i++) sender.emit('drop', 'den', i);
    await settle(sender);
    await server.waitMetrics((metrics) => metrics.get('sockhop_volatile_dropped_total') >= 10);
    assert.equal((await count(server, DROPPED)) - before, 10);
    sender.emit('say', 'den', 'kept');
    assert.equal(await polling.packet(), '42["said","den","kept"]');
    const held = polling.get();
    await polling.send('3'); /* the poll is there */
    sender.emit('drop', 'den', 'taken');
    assert.equal((await held).text, '42["said","den","taken"]');
    closeClients();
    await allGone(server);
  });
});

describe('a plugin that holds the logic thread', () => {
  /*
   * Its clients would be gone after 1 + 3 s, if anybody waited for the plugin. Less, and they are when the
   * machine is busy: those whose pongs lie unread are pinged again after ping_timeout, and have
   * ping_interval to take note.
   */
  const ENGINE = '[engine]\nping_interval = 1s\nping_timeout = 3s\n';
  const SLEEP = 4500;
  let server;

  before(async () => {
    server = await startWith(['echo', 'slow', 'rooms'], { threads: '2', config: `${ENGINE}${limits({ max_lane: '64k' })}` });
  });
  after(() => server.stop());

  /* Opens an idle client and counts its pings. */
  async function pinged(options) {
    const socket = await connect(server, options);

    socket.n_pings = 0;
    socket.io.on('ping', () => socket.n_pings++);
    socket.on('disconnect', (reason) => (socket.end = reason));
    return socket;
  }

  test('delays events; pings go on, and nobody is cut off', async () => {
    const idle = await Promise.all(Object.values(TRANSPORTS).flatMap((transports) => [pinged({ transports }), pinged({ transports })]));
    const busy = await connect(server);

    for (const socket of idle) socket.n_pings = 0;
    const slept = ask(busy, 'sleep', SLEEP);
    const late = ask(busy, 'echo', 'late');
    await slept;
    for (const socket of idle) {
      assert.ok(socket.n_pings >= 2, `${socket.n_pings} pings in ${SLEEP} ms`);
      assert.equal(socket.end, undefined);
    }
    assert.deepEqual(await late, ['late']);
    await server.waitLog(/plugin\.slow plugin=slow event="sleep" ms=\d{3,}/);
    closeClients();
    await allGone(server);
  });

  test('fills the lane: reading stops, nothing is lost, nobody is cut off', async () => {
    /* Not polling: its polls lie unread, so that its own clock would end it. */
    const idle = await Promise.all(['websocket', 'upgrade', 'websocket', 'upgrade'].map((choice) => pinged({ transports: TRANSPORTS[choice] })));
    const sleeper = await connect(server);
    const text = 'x'.repeat(60000);
    const n = 700; /* 42 MB: more than the kernel holds */
    const floods = await Promise.all([1, 2].map(() => RawWebSocket.open(server, { join: true, pongs: true })));
    const sent = floods.map(() => 0);
    let isOver = false;
    const n_lines = server.log.length;
    const slept = ask(sleeper, 'sleep', SLEEP);

    while (!server.log.slice(n_lines).some((line) => line.includes('slow.sleeps'))) await within(once(server.lines, 'line'), 'the sleep');
    /* One after the other, as the kernel takes them: pings are answered between. */
    const sending = floods.map(async ({ ws }, i) => {
      while (sent[i] < n && !isOver) {
        await new Promise((done) => ws.send(`42${sent[i]++}["whoami","${text}"]`, done));
        await new Promise(setImmediate); /* what the kernel takes at once is done without a look at what came */
      }
    });
    await slept;
    isOver = true;
    for (const number of sent) assert.ok(number < n, 'the server did not stop reading');
    await within(Promise.all(sending), 'reading again');
    for (const [i, { ws, messages }] of floods.entries()) {
      while (messages.length < sent[i]) await next(ws, 'message');
      assert.deepEqual(messages.map((packet) => /^43(\d+)\[\{"id":/.exec(packet)?.[1]), Array.from({ length: sent[i] }, (_, k) => `${k}`));
    }
    for (const socket of idle) assert.equal(socket.end, undefined);
    assert.equal(await count(server, 'sockhop_sessions_closed_total{reason="ping timeout"}'), 0);
    for (const raw of floods) await raw.close();
    closeClients();
    await allGone(server);
  });
});
