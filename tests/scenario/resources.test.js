/*
 * resources.test.js - clients that hold on to what they get: slow ones of all kinds, half-open ones, crowds that come,
 * leave and are cut; and clocks that jump. Nobody else may notice (threats.md T03-T05, T49, T50, C14, G14, G19).
 *
 * The quick part has short deadlines and small crowds; SOCKHOP_LONG=1 the real ones.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { afterEach, describe, test } from 'node:test';

import { RawWebSocket, Tcp, allGone, closeClients, connect, hear, pluginDir, settle, within } from '../lib/client.js';
import { CROWD, CYCLES, Light, SLOW } from '../lib/crowd.js';
import { Faults, faultable } from '../lib/faults.js';
import { countsMemory, statusBytes, watchMemory } from '../lib/memory.js';
import { THREADS, startServer } from '../lib/server.js';

const IS_LONG = process.env.SOCKHOP_LONG === '1';
const MIB = 1 << 20;
const CHAT = '[plugin:auth]\n[plugin:lobby]\nnotices = no\n[plugin:echo]\n';
const ANY_NUMBER = 'max_connections_per_address = 0\n';

afterEach(closeClients);

const delay = (ms) => new Promise((done) => setTimeout(done, ms));
const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))];

/* Honest clients that chat, one message after the other, each heard by all. */
class Honest {
  static async open(server, n = 5) {
    const honest = new Honest();

    honest.clients = await Promise.all(Array.from({ length: n }, (_, i) => connect(server, { transports: i % 2 ? ['websocket'] : ['polling', 'websocket'] })));
    for (const [i, socket] of honest.clients.entries()) {
      socket.on('disconnect', (reason) => (honest.lost = reason));
      socket.emit('login', `honest${i}`);
      await hear(socket, 'welcome');
    }
    return honest;
  }

  /* Chats until stop(); resolves with the times in ms that messages took to be heard by all. */
  chat() {
    const times = [];
    let isOver = false;

    const run = (async () => {
      for (let i = 0; !isOver; i++) {
        const began = performance.now();

        this.clients[i % this.clients.length].emit('chat', `m${i}`);
        await Promise.all(this.clients.map((socket) => within(new Promise((done) => socket.once('chat', done)), `message ${i}`)));
        times.push(performance.now() - began);
        for (const socket of this.clients) socket.heard.length = 0;
        await delay(5);
      }
    })();
    return {
      stop: async () => {
        isOver = true;
        await run;
        assert.equal(this.lost, undefined, 'an honest client was lost');
        return times;
      },
    };
  }
}

/* Loses no time over an attacker that is refused. */
const opened = (attack) => attack.then((it) => it, () => undefined);

describe('T03, T04, T08: slow clients', () => {
  /* [when they are cut, ms] with the short deadlines; the real ones are 10 s, 30 s (or too slow before that), 45 s */
  const SHORT = `[limits]\n${ANY_NUMBER}head_timeout = 1s\nbody_timeout = 1500ms\nmin_body_rate = 0\n[engine]\nconnect_timeout = 2s\n${CHAT}`;
  const REAL = `[limits]\n${ANY_NUMBER}${CHAT}`;
  const DEADLINE = IS_LONG
    ? { head: 10000, body: 30000, frame: 30000, silent: 10000, neverJoining: 45000 }
    : { head: 1000, body: 1500, frame: 1500, silent: 1000, neverJoining: 2000 };

  test(`${IS_LONG ? 1000 : 250} of five kinds are all gone by their deadline, and the honest ones chat on`, async (t) => {
    const server = await startServer({ config: IS_LONG ? REAL : SHORT });
    t.after(() => server.stop());
    const honest = await Honest.open(server);
    const quiet = honest.chat();

    await delay(IS_LONG ? 5000 : 500);
    const before = await quiet.stop();
    const chat = honest.chat();
    const n = IS_LONG ? 200 : 50;
    const slowest = {};

    await Promise.all(
      Object.entries(SLOW).map(async ([kind, attack]) => {
        for (let i = 0; i < n; i += 10)
          await Promise.all(
            Array.from({ length: 10 }, async () => {
              const began = Date.now();
              const it = await opened(attack(server.port));

              slowest[kind] ??= [];
              slowest[kind].push(it ? it.gone.then(() => Date.now() - began) : Promise.resolve(0));
            }),
          );
      }),
    );
    for (const [kind, gone] of Object.entries(slowest)) {
      const times = await within(Promise.all(gone), `the end of those of kind ${kind}`, DEADLINE[kind] + 30000);
      const [first, last] = [Math.min(...times), Math.max(...times)];

      assert.ok(last < DEADLINE[kind] + (IS_LONG ? 2000 : 10000), `${kind}: the last after ${last} ms`);
      assert.ok(first > 0, `${kind}: refused`);
      if (!['body', 'frame'].includes(kind)) assert.ok(first > DEADLINE[kind] * 0.9, `${kind}: the first after ${first} ms: too early`);
    }
    const times = await chat.stop();
    const [p99, quietP99] = [quantile(times, 0.99), quantile(before, 0.99)];
    t.diagnostic(`honest p99 ${p99.toFixed(1)} ms, quiet ${quietP99.toFixed(1)} ms`);
    if (IS_LONG) assert.ok(p99 <= Math.max(2 * quietP99, 50), `honest p99 ${p99} ms, quiet ${quietP99} ms`);
    closeClients();
    await allGone(server);
  });
});

describe('T50: half-open clients', () => {
  test('a crowd that answers no more is found by its pings, and its names are free', async (t) => {
    const server = await startServer({ config: `[engine]\nping_interval = 1s\nping_timeout = 1s\n[plugin:auth]\n[plugin:lobby]\n[plugin:echo]\n` });
    t.after(() => server.stop());
    const socket = await connect(server);
    const child = spawn(process.execPath, [CROWD, String(server.port), '20', 'ghost'], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));

    await within(once(child.stdout, 'data'), 'the crowd', 30000);
    await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 21);
    child.kill('SIGSTOP'); /* its kernel still takes what comes, and says nothing */
    const began = Date.now();
    await hear(socket, 'userLeft', 20);
    const took = Date.now() - began;
    assert.ok(took < (IS_LONG ? 3500 : 15000), `${took} ms`);
    assert.equal((await server.metrics()).get('sockhop_sockets'), 1);
    socket.emit('login', 'ghost3');
    await hear(socket, 'welcome');
    closeClients();
    child.kill('SIGKILL');
    await allGone(server);
  });
});

describe('T49: clocks', faultable, () => {
  const now = () => Number(process.hrtime.bigint()) / 1e9; /* CLOCK_MONOTONIC */

  /* A server whose clock is ahead by so many seconds, while the day changes. */
  async function keepsTime(t, shift) {
    const faults = new Faults();
    t.after(() => faults.close());
    faults.shift('monotonic', shift);
    const server = await startServer({
      config: `[limits]\nhead_timeout = 1s\n[engine]\nping_interval = 200ms\nping_timeout = 5s\n${CHAT}`,
      env: faults.env,
    });
    t.after(() => server.stop());
    const socket = await connect(server);
    let n_pings = 0;

    socket.io.on('ping', () => n_pings++);
    socket.on('disconnect', (reason) => (socket.lost = reason));
    for (const day of [0, 86400, -86400, 0]) {
      faults.shift('realtime', day);
      const [began, before] = [Date.now(), n_pings];
      const tcp = await Tcp.open(server);

      await within(tcp.gone, 'the end of a silent connection');
      const took = Date.now() - began;
      assert.ok(took > 900, `after ${took} ms already`);
      await within((async () => { while (n_pings < before + 4) await delay(20); })(), 'pings');
      assert.ok(n_pings - before < (Date.now() - began) / 200 + 3, `${n_pings - before} pings in ${Date.now() - began} ms`);
      assert.deepEqual(await settle(socket), ['settle']);
      assert.equal(socket.lost, undefined);
    }
    socket.disconnect();
    await allGone(server);
  }

  test('pings and deadlines keep their time when milliseconds pass 2^32, after 400 days, and whatever the day is', (t) =>
    Promise.all([keepsTime(t, 2 ** 32 / 1000 - now() - 2), keepsTime(t, 400 * 86400)]));
});

describe('T05, G19: clients that never read', () => {
  test('100 of them under a broadcast of 200 MB: cut in time, 1.5 MB each at most, the readers lose nothing', { skip: !IS_LONG && 'only with SOCKHOP_LONG=1; its parts are in slow.test.js' }, async (t) => {
    const server = await startServer({ config: `[limits]\n${ANY_NUMBER}[plugin:echo]\n[plugin:rooms]\n`, args: ['-o', `server.plugin_dir=${pluginDir()}`] });
    t.after(() => server.stop());
    const SIZE = 40000, EVENTS = 5000, VICTIMS = 100;
    const readers = [await connect(server), await connect(server, { transports: ['polling'] })];
    const got = readers.map(() => 0);

    for (const [i, reader] of readers.entries()) {
      reader.offAny();
      reader.on('blasted', (number, text) => {
        assert.equal(text.length, SIZE);
        assert.equal(number, got[i]++ % 5);
      });
    }
    const round = async () => {
      const goal = got[0] + 5;

      readers[0].emit('blast', 5, SIZE);
      await within((async () => { while (got.some((n) => n < goal)) await delay(1); })(), 'a round');
    };
    for (let i = 0; i < 20; i++) await round();
    const victims = await Promise.all(Array.from({ length: VICTIMS }, () => RawWebSocket.open(server, { join: true })));
    for (const victim of victims) victim.ws.pause();
    const memory = watchMemory(server);
    const began = Date.now();
    let cutAfter;
    for (let n = 0; n < EVENTS; n += 5) {
      await round();
      if (!cutAfter && n % 100 === 0 && (await server.metrics()).get('sockhop_sessions_closed_total{reason="slow consumer"}') === VICTIMS) cutAfter = Date.now() - began;
    }
    await server.waitMetrics((metrics) => metrics.get('sockhop_sessions_closed_total{reason="slow consumer"}') === VICTIMS, 11000);
    cutAfter ??= Date.now() - began;
    const each = memory.grown() / VICTIMS;
    t.diagnostic(`${((EVENTS * SIZE) / 1e6).toFixed(0)} MB to each, the last cut after ${cutAfter} ms, ${(each / MIB).toFixed(2)} MiB for each that never reads`);
    assert.ok(cutAfter <= 11000);
    if (countsMemory()) assert.ok(each <= 1.5 * MIB);
    closeClients();
    await allGone(server);
  });
});

describe('crowds', () => {
  const descriptors = (server) => readdirSync(`/proc/${server.proc.pid}/fd`).length;

  /* Least squares: bytes a cycle. */
  function slope(points) {
    const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
    const [x0, y0] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
    const up = points.reduce((sum, [x, y]) => sum + (x - x0) * (y - y0), 0);

    return up / points.reduce((sum, [x]) => sum + (x - x0) ** 2, 0);
  }

  test(`${IS_LONG ? '100,000' : '2,000'} come, log in and leave by all transports: memory is flat, every table at 0`, async (t) => {
    const N = IS_LONG ? 100000 : 2000;
    const server = await startServer({ config: `[limits]\n${ANY_NUMBER}${CHAT}` });
    t.after(() => server.stop());
    const kinds = Object.values(CYCLES);
    const points = [];
    let n = 0;

    await kinds[0](server.port, 'first'); /* what is made once is made */
    await allGone(server);
    const before = descriptors(server);
    await Promise.all(
      Array.from({ length: 20 }, async (_, worker) => {
        while (n < N) {
          const i = n++;

          await within(kinds[i % kinds.length](server.port, `w${worker}n${i % 1000}`), `cycle ${i}`);
          if (i % (N / 40) === 0 && i > N / 5) points.push([i, statusBytes(server, 'VmRSS')]);
        }
      }),
    );
    await allGone(server);
    await server.waitMetrics(() => descriptors(server) <= before);
    const bytes = slope(points);
    t.diagnostic(`slope of ${N} cycles: ${bytes.toFixed(2)} bytes each`);
    if (countsMemory() && IS_LONG) assert.ok(bytes < 8, `${bytes} bytes a cycle`);
  });

  /* T48 */
  test(`${IS_LONG ? '10,000' : '500'} are cut at once, and come back`, async (t) => {
    const N = IS_LONG ? 10000 : 500;
    const server = await startServer({ config: `[limits]\n${ANY_NUMBER}${CHAT}` });
    t.after(() => server.stop());
    const stays = await connect(server);
    const open = async () => {
      const child = spawn(process.execPath, [CROWD, String(server.port), String(N), 'user'], { stdio: ['pipe', 'pipe', 'inherit'] });
      t.after(() => child.kill('SIGKILL'));

      await within(once(child.stdout, 'data'), 'the crowd', 120000);
      return child;
    };

    for (let round = 0; round < 2; round++) {
      const child = await open(); /* with the same names */

      assert.equal((await server.metrics()).get('sockhop_sockets'), N + 1);
      child.kill('SIGKILL');
      const began = Date.now();
      await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1, 60000);
      t.diagnostic(`${N} were gone after ${Date.now() - began} ms`);
      assert.deepEqual(await settle(stays), ['settle']);
    }
    closeClients();
    await allGone(server);
  });
});

test(`C14: ${IS_LONG ? '100,000' : '3,000'} acks that never come leave nothing, by time and by the end of their client`, async (t) => {
  const N = IS_LONG ? 100000 : 3000;
  const server = await startServer({ config: '[plugin:echo]\n[plugin:ask]\ntimeout = 3s\n', args: ['-o', `server.plugin_dir=${pluginDir()}`] });
  t.after(() => server.stop());
  const pending = (metrics) => metrics.get('sockhop_acks_pending');
  const ask = async () => {
    const client = await new Light(server.port, { onMessage: () => {} }).join();

    for (let n = 0; n < N; n += 1000) client.send('42["greet-all",1000]');
    return client;
  };

  let client = await ask();
  let most = 0;
  await server.waitMetrics((metrics) => ((most = Math.max(most, pending(metrics))), pending(metrics) > 0), 30000);
  await server.waitMetrics((metrics) => pending(metrics) === 0 && metrics.get('sockhop_packets_total{direction="in"}') > N / 1000, 60000);
  client.cut();
  client = await ask();
  await server.waitMetrics((metrics) => pending(metrics) > 0, 30000);
  client.cut();
  await server.waitMetrics((metrics) => pending(metrics) === 0, 60000);
  await allGone(server);
});
