/*
 * lib.mjs - what the benchmarks share: a server under test, many light clients, medians.
 *
 * A client speaks Engine.IO and Socket.IO by hand over one WebSocket, so that the generator costs
 * little. Server and generator are pinned to different cores where taskset exists.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const REPO = resolve(HERE, '..');
const BUILD = resolve(process.env.SOCKHOP_BUILD ?? join(REPO, 'build'));
const require = createRequire(join(REPO, 'tests/package.json'));
const WebSocket = require('ws');
const TICKS_PER_S = Number(execFileSync('getconf', ['CLK_TCK']));

const hasTaskset = (() => {
  try {
    execFileSync('taskset', ['-c', '1', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

/* Put this process, the generator, on the second core. */
export function pinGenerator() {
  if (hasTaskset) execFileSync('taskset', ['-apc', '1', String(process.pid)], { stdio: 'ignore' });
}

const commands = {
  sockhop: [
    join(BUILD, 'sockhop'),
    '-c', join(REPO, 'conf/quickstart.ini'),
    '-o', 'server.port=0', '-o', 'server.threads=0', '-o', 'plugin:lobby.notices=no',
    '-o', `server.plugin_dir=${join(BUILD, 'plugins/.libs')}`, '-o', 'server.public=',
  ],
  'socket.io': [process.execPath, join(HERE, 'peer.cjs')],
};
export const NAMES = Object.keys(commands);

/* Start one of NAMES; resolves with {port, pid, rssKiB(), cpuSeconds(), stop()}. */
export async function startPeer(name) {
  const command = hasTaskset ? ['taskset', '-c', '0', ...commands[name]] : commands[name];
  const { PORT, ...env } = process.env;
  const proc = spawn(command[0], command.slice(1), { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const port = await new Promise((done, fail) => {
    for (const stream of [proc.stdout, proc.stderr])
      createInterface({ input: stream }).on('line', (line) => {
        const match = /listener\.open address=127\.0\.0\.1 port=(\d+)/.exec(line);
        if (match) done(Number(match[1]));
      });
    proc.once('exit', () => fail(new Error(`${name} did not start`)));
  });
  const pid = proc.pid;

  return {
    port,
    rssKiB: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]),
    cpuSeconds: () => {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S; /* utime + stime */
    },
    stop: async () => {
      proc.removeAllListeners('exit');
      proc.kill('SIGTERM');
      await once(proc, 'exit');
    },
  };
}

/* One logged-in client. onChat(text) is called for each `chat` packet. */
export class Client {
  constructor(port, name, onChat) {
    this.ready = new Promise((done, fail) => {
      const ws = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`, {
        perMessageDeflate: false,
        skipUTF8Validation: true,
      });
      this.ws = ws;
      ws.on('error', fail);
      ws.on('message', (data) => {
        const text = data.toString();
        if (text.startsWith('42["chat"')) onChat?.(text);
        else if (text === '2') ws.send('3');
        else if (text.startsWith('0')) ws.send('40');
        else if (text.startsWith('40')) ws.send(`42["login","${name}"]`);
        else if (text.startsWith('42["welcome"')) done(this);
        else if (text.startsWith('42["login')) fail(new Error(`${name}: ${text}`));
      });
    });
  }

  chat(text) {
    this.ws.send(`42["chat",${JSON.stringify(text)}]`);
  }

  close() {
    this.ws.terminate();
  }
}

/* n more logged-in clients, 64 at a time. */
export async function connect(port, clients, n, onChat) {
  const goal = clients.length + n;

  while (clients.length < goal) {
    const batch = Array.from({ length: Math.min(64, goal - clients.length) }, (_, i) =>
      new Client(port, `user${clients.length + i}`, onChat));
    clients.push(...(await Promise.all(batch.map((client) => client.ready))));
  }
}

export const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

export function table(rows) {
  const width = rows[0].map((_, i) => Math.max(...rows.map((row) => String(row[i]).length)));
  for (const row of rows) console.log(row.map((cell, i) => String(cell).padEnd(width[i])).join('  '));
}
