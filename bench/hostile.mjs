/*
 * hostile.mjs [ATTACK...] - what honest clients notice while others attack.
 *
 * 50 honest clients chat at a fixed rate; the time from when a message was due to when its sender hears it is its
 * latency. First quiet, then under each attack of ATTACKS, with a server of its own each. Honest and hostile clients are
 * processes of their own. A lost honest client, or message, fails the run. BENCH_SECONDS: how long each attack is.
 *
 * p99 is the median of the windows' 99th percentiles, since whatever else the machine does comes in gusts; "worst" is
 * the largest latency of all, gusts included.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setPriority } from 'node:os';

import { CYCLES, Light, LightPolling, SLOW, connectTo, frame } from '../tests/lib/crowd.js';
import { pinGenerator, startPeer, table } from './peers.mjs';

const SECONDS = Number(process.env.BENCH_SECONDS ?? 12);
const WINDOW = 100; /* messages: two seconds */
const HONEST = 50;
const EVERY_MS = 1000; /* a message of each: 50 a second in all, 2,500 deliveries */
const SELF = new URL(import.meta.url).pathname;

const rssKiB = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
const TICKS_PER_S = Number(execFileSync('getconf', ['CLK_TCK']));
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S; /* utime + stime */
}
const delay = (ms) => new Promise((done) => setTimeout(done, ms));
const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))];

/* ---- the honest: chat for so many seconds, then say how it was */

async function honest(port, seconds) {
  const times = [];
  let n_sent = 0;
  let n_lost = 0;
  let isOver = false;
  const clients = await Promise.all(
    Array.from({ length: HONEST }, async (_, i) => {
      const name = `honest${i}`;
      const client = await new Light(port).login(name);

      client.onMessage = (text) => {
        if (!text.startsWith(`42["chat",{"sender":"${name}"`)) return;
        times.push(performance.now() - Number(/"message":"(\S+)/.exec(text)[1]));
      };
      client.gone.then(() => (n_lost += !isOver));
      return client;
    }),
  );
  console.log('ready');
  await once(process.stdin, 'data');
  const from = performance.now();
  for (let n = 0; n < (seconds * 1000 * HONEST) / EVERY_MS; n++) {
    const due = from + (n * EVERY_MS) / HONEST;

    while (performance.now() < due) await delay(Math.max(0, due - performance.now()));
    clients[n % HONEST].send(`42["chat","${due} a message of the usual length, which is some sixty bytes"]`);
    n_sent++;
  }
  for (const deadline = performance.now() + 10000; times.length < n_sent && performance.now() < deadline && !n_lost; ) await delay(10);
  isOver = true;
  const windows = Array.from({ length: Math.floor(times.length / WINDOW) }, (_, i) => quantile(times.slice(i * WINDOW, (i + 1) * WINDOW), 0.99));
  console.log(JSON.stringify({ p50: quantile(times, 0.5), p99: quantile(windows, 0.5), worst: Math.max(...times), n_lost, n_missing: n_sent - times.length }));
  process.exit(0);
}

/* ---- the hostile: each of these goes on for ever. */

/* n of them at any time: who is cut off comes back. */
const crowd = (n, open) => async (port) => {
  const one = async () => {
    for (;;) {
      await open(port).then((it) => it?.gone, () => {});
      await delay(50);
    }
  };

  for (let i = 0; i < n; i++) {
    one();
    if (i % 50 === 49) await delay(20);
  }
};

/* Writes as fast as the connection takes it, until it is cut. */
async function pour(client, bytes) {
  while (!client.isOver) {
    if (!client.socket.write(bytes)) await Promise.race([once(client.socket, 'drain').catch(() => {}), client.gone]);
    await new Promise(setImmediate);
  }
}

const pings = Buffer.concat(Array(5000).fill(frame('', 9)));
const wide = `[${Array(9990).fill('{}').join()}]`.slice(1, -1);

const ATTACKS = {
  'slow heads': crowd(1000, SLOW.head),
  'slow bodies': crowd(1000, SLOW.body),
  'slow frames': crowd(1000, SLOW.frame),
  'silent': crowd(1000, SLOW.silent),
  'never joining': crowd(1000, SLOW.neverJoining),
  'ping flood': crowd(20, async (port) => pour(await new Light(port).join(), pings)),
  'noops': crowd(10, async (port) => {
    const polling = await new LightPolling(port).open();

    for (;;) await polling.send(Array(100000).fill('6').join('\x1e'));
  }),
  '1 MB of JSON': crowd(5, async (port) => pour(await new Light(port).join(), frame(`42["x","${'y'.repeat(950000)}",${wide}]`))),
  'connect storm': crowd(50, async (port) => {
    for (let i = 0; ; i++) {
      const socket = connectTo(port);

      await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => {});
      socket.resetAndDestroy();
    }
  }),
  'login storm': crowd(20, async (port) => {
    for (let i = 0; ; i++) await Object.values(CYCLES)[i % 3](port, `s${Math.random().toString(36).slice(2, 10)}`);
  }),
  'never reading': async (port) => {
    const loud = await new Light(port, { onMessage: () => {} }).login('loudest');

    await crowd(100, async () => {
      const client = await new Light(port).join();

      client.socket.pause();
      return client;
    })(port);
    setInterval(() => loud.send(`42["chat","${'z'.repeat(16000)}"]`), 20);
  },
};

/* ---- the run */

function start(role, ...args) {
  const child = spawn(process.execPath, [SELF, role, ...args.map(String)], { stdio: ['pipe', 'pipe', 'inherit'] });

  child.text = '';
  child.stdout.on('data', (part) => (child.text += part));
  child.over = once(child, 'exit');
  return child;
}

async function measure(port, seconds) {
  const child = start('honest', port, seconds);

  while (!child.text.includes('ready')) await Promise.race([once(child.stdout, 'data'), child.over]);
  child.stdin.write('go\n');
  await child.over;
  return JSON.parse(child.text.trim().split('\n').pop());
}

async function run(attack) {
  const server = await startPeer('sockhop');
  const quiet = await measure(server.port, SECONDS / 2);
  const before = rssKiB(server.pid);
  const attacker = start('attack', attack, server.port);
  let most = before;
  const watch = setInterval(() => (most = Math.max(most, rssKiB(server.pid))), 100);

  await delay(1500); /* it is under way */
  const [cpu, began] = [cpuSeconds(server.pid), performance.now()];
  const under = await measure(server.port, SECONDS);
  const share = (cpuSeconds(server.pid) - cpu) / ((performance.now() - began) / 1000);
  clearInterval(watch);
  attacker.kill('SIGKILL');
  await attacker.over;
  await server.stop();
  return { quiet, under, share, grown: most - before };
}

async function main(names) {
  const ms = (value) => value.toFixed(1);
  const rows = [['attack', 'p99 quiet, ms', 'p50, ms', 'p99, ms', 'ratio', 'worst, ms', 'server CPU', 'memory, MB', 'honest lost', 'messages lost']];
  let hasFailed = false;

  for (const name of names.length ? names : Object.keys(ATTACKS)) {
    const { quiet, under, share, grown } = await run(name);

    rows.push([name, ms(quiet.p99), ms(under.p50), ms(under.p99), (under.p99 / quiet.p99).toFixed(2), ms(under.worst), `${(100 * share).toFixed(0)} %`, (grown / 1024).toFixed(1), quiet.n_lost + under.n_lost, quiet.n_missing + under.n_missing]);
    hasFailed ||= quiet.n_lost + under.n_lost + quiet.n_missing + under.n_missing > 0;
  }
  table(rows);
  if (hasFailed) {
    console.error('hostile: honest clients or their messages were lost');
    process.exitCode = 1;
  }
}

/* Two windows of each part at least, or there is no median of them. */
if (!(SECONDS >= 8)) {
  console.error(`hostile: BENCH_SECONDS=${process.env.BENCH_SECONDS} is too short: each attack takes 8 s at least`);
  process.exit(2);
}
pinGenerator();
const [role, ...args] = process.argv.slice(2);
if (role === 'honest') await honest(Number(args[0]), Number(args[1]));
else if (role === 'attack') {
  setPriority(19); /* beside the honest on its core: those are to measure the server, not us */
  await ATTACKS[args[0]](Number(args[1]));
} else await main(process.argv.slice(2));
