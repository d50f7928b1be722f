/*
 * reload.mjs [CLIENTS [RELOADS]] - auth and lobby are replaced while clients chat: how long that takes, and
 * what anybody notices. A client or a message that is lost, doubled or out of order fails the run (load/fanout.c).
 *
 * Default: 10,000 clients, 20 reloads, while 5 messages a second go to all.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { BUILD, load, pinGenerator, table } from './peers.mjs';

const CLIENTS = Number(process.argv[2] ?? 10000);
const RELOADS = Number(process.argv[3] ?? 20);
const RATE = 5;

/* Files that whoever the server has become can read again. */
const folder = mkdtempSync(join(tmpdir(), 'sockhop-bench-'));
const conf = join(folder, 'bench.ini');
const write = (maxLength) => {
  writeFileSync(`${conf}.new`, `[server]\nport = 0\npublic =\nuser = nobody\nthreads = 0\nplugin_dir = ${folder}\n[plugin:auth]\nmax_length = ${maxLength}\n[plugin:lobby]\nnotices = no\n[plugin:echo]\n`);
  renameSync(`${conf}.new`, conf);
};
chmodSync(folder, 0o755);
for (const name of ['auth', 'lobby', 'echo']) copyFileSync(join(BUILD, 'plugins/.libs', `${name}.so`), join(folder, `${name}.so`));
write(10);

pinGenerator();
const server = spawn('taskset', ['-c', '0', join(BUILD, 'sockhop'), '-c', conf], { stdio: ['ignore', 'ignore', 'pipe'] });
const lines = createInterface({ input: server.stderr });
const said = [];
server.setMaxListeners(0);
const awaitLine = (regexp) =>
  new Promise((done, fail) => {
    const look = (line) => {
      const match = regexp.exec(line);

      if (!match) return;
      lines.off('line', look);
      done(match);
    };
    lines.on('line', look);
    server.once('exit', () => fail(new Error(`the server has ended:\n${said.slice(-20).join('\n')}`)));
  });
lines.on('line', (line) => said.push(line));
const rssKiB = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]);

try {
  const port = Number((await awaitLine(/listener\.open address=127\.0\.0\.1 port=(\d+)/))[1]);
  const seconds = 3 + RELOADS;
  const chat = load(['fanout', '--port', port, '--pid', server.pid, '--seconds', seconds, '--clients', CLIENTS, `64:64:1:${RATE}`]);
  let isOver = false;
  const over = chat.finally(() => (isOver = true));
  const swaps = [];
  const helds = [];
  let rss = 0;
  let n_written = 0;

  over.catch(() => {});
  while (!isOver) {
    /* once all are in: the values that go over say how many have logged in */
    write(11 + (n_written++ % 2));
    const reloaded = awaitLine(/server\.reloaded .* values=(\d+) held_us=(\d+) swap_us=(\d+)/);
    server.kill('SIGHUP');
    const [, n, held, swap] = await reloaded;

    if (Number(n) >= CLIENTS) {
      helds.push(Number(held));
      swaps.push(Number(swap));
      if (swaps.length === 2) rss = rssKiB();
    }
    if (swaps.length >= RELOADS) break;
    await new Promise((done) => setTimeout(done, 500));
  }
  const grown = rssKiB() - rss;
  const [result] = await over;
  const median = (all) => [...all].sort((a, b) => a - b)[all.length >> 1];
  const failed = said.filter((line) => /reload_failed|change_failed/.test(line)).length;

  table([
    ['clients', 'reloads', 'failed', 'values each', 'pause, median ms', 'worst ms', 'events waited, worst ms', 'p99 of messages, ms', 'RSS grown, KiB'],
    [CLIENTS, swaps.length, failed, CLIENTS, (median(swaps) / 1000).toFixed(1), (Math.max(...swaps) / 1000).toFixed(1), (Math.max(...helds) / 1000).toFixed(1), (result.p99_us / 1000).toFixed(1), grown],
  ]);
  console.log('no client and no message was lost, doubled or out of order');
  if (failed || swaps.length < 2) process.exitCode = 1;
} finally {
  server.removeAllListeners('exit');
  if (server.exitCode === null) {
    server.kill('SIGTERM');
    await once(server, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
}
