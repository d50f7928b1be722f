/*
 * peers.mjs - the servers that are measured, each pinned to the first processor, and the generator
 * (load/), pinned to the second.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const REPO = resolve(HERE, '..');
export const BUILD = resolve(process.env.SOCKHOP_BUILD ?? join(REPO, 'build'));

const hasTaskset = (() => {
  try {
    execFileSync('taskset', ['-c', '1', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false; /* one processor */
  }
})();
const pinned = (cpu, command) => (hasTaskset ? ['taskset', '-c', cpu, ...command] : command);

/* Put this process on the generator's processor. */
export function pinGenerator() {
  if (hasTaskset) execFileSync('taskset', ['-apc', '1', String(process.pid)], { stdio: 'ignore' });
}

const sockhop = (threads, options = []) => [
  join(BUILD, 'sockhop'),
  '-c', join(REPO, 'conf/bench.ini'),
  ...[`server.plugin_dir=${join(BUILD, 'plugins/.libs')}`, `server.threads=${threads}`, ...options].flatMap((each) => ['-o', each]),
];
const NOTICES = 'plugin:lobby.notices=yes';

/* Name -> command. The key "with notices" tells all who comes and goes. */
const COMMANDS = {
  sockhop: sockhop(0),
  'sockhop, notices': sockhop(0, [NOTICES]),
  'threads = 1': sockhop(1),
  'threads = 2': sockhop(2),
  limit: [join(BUILD, 'bench/limit'), 'each'],
  batch: [join(BUILD, 'bench/limit'), 'batch'],
  'socket.io': [process.execPath, join(HERE, 'peer.cjs')],
  'socket.io, notices': [process.execPath, join(HERE, 'peer.cjs'), '--notices'],
  nchan: [join(HERE, 'nchan')],
};

export const commandOf = (name) => pinned('0', COMMANDS[name]);

/* Whether the peer can be had here: nchan is a package of its own. */
export function isThere(name) {
  if (name !== 'nchan') return true;
  try {
    execFileSync(COMMANDS.nchan[0], ['--check'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/* Start one of COMMANDS; resolves with {port, pid, stop()}. env: for the server alone. */
export async function startPeer(name, env = {}) {
  const [program, ...args] = commandOf(name);
  const { PORT, ...own } = process.env;
  const proc = spawn(program, args, { env: { ...own, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = [];
  const port = await new Promise((done, fail) => {
    for (const stream of [proc.stdout, proc.stderr])
      createInterface({ input: stream }).on('line', (line) => {
        const match = /listener\.open address=127\.0\.0\.1 port=(\d+)/.exec(line);
        if (said.length < 20) said.push(line);
        if (match) done(Number(match[1]));
      });
    proc.once('exit', () => fail(new Error(`${name} did not start:\n${said.join('\n')}`)));
  });

  return {
    port,
    pid: proc.pid,
    stop: async () => {
      proc.removeAllListeners('exit');
      if (proc.exitCode !== null || proc.signalCode) return;
      proc.kill('SIGTERM');
      await once(proc, 'exit');
    },
  };
}

/* Run the generator; resolves with the objects that it prints. */
export async function load(args) {
  const [program, ...rest] = pinned('1', [join(BUILD, 'bench/load/load'), ...args.map(String)]);
  const proc = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';

  proc.stdout.on('data', (data) => (output += data));
  proc.stderr.on('data', (data) => (errors += data));
  const [code] = await once(proc, 'close');
  if (code !== 0) throw new Error(`load ${args.join(' ')}: ${errors.trim() || `status ${code}`}`);
  return output.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

export function table(rows) {
  const width = rows[0].map((_, i) => Math.max(...rows.map((row) => String(row[i]).length)));
  for (const row of rows) console.log(row.map((cell, i) => String(cell).padEnd(width[i])).join('  ').trimEnd());
}
