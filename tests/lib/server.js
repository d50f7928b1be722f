/*
 * server.js - starts the real sockhop for a test, and reads its log and its metrics.
 *
 * Called by: the scenario and browser tests. The environment says what to run: SOCKHOP_BUILD, the
 * build folder (default: build/ of the source tree), and SOCKHOP_THREADS, server.threads (default 2).
 * SOCKHOP_OPTIONS has more of the form section.key=value, with blanks between, for every server.
 * Started by root, the server becomes nobody, unless a test says otherwise.
 * Every wait has a deadline and, when that passes, fails with the server's log.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const REPO = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

export const BUILD = resolve(process.env.SOCKHOP_BUILD ?? join(REPO, 'build'));
export const THREADS = process.env.SOCKHOP_THREADS ?? '2';

export const IS_ROOT = process.getuid() === 0;
/* A build that counts lines writes its counts at the end, where only their owner may. */
const USER = existsSync(join(BUILD, 'core/main.gcno')) ? 'root' : 'nobody';
const AS_USER = IS_ROOT ? ['-o', `server.user=${USER}`] : [];
/* For tests that look into /proc/PID where the kernel asks for the same user. */
export const AS_OURSELVES = IS_ROOT ? ['-o', 'server.user=root'] : [];

/* What waits for the server waits longer for one under valgrind: there it is a script. */
export const isValgrind = existsSync(join(BUILD, 'sockhop')) && readFileSync(join(BUILD, 'sockhop')).includes('valgrind');
export const PATIENCE = isValgrind ? 4 : 1;
export const WAIT_MS = 15000 * PATIENCE; /* a sanitizer build on a busy machine */
const START_MS = 30000 * PATIENCE; /* on a busy machine */
const STOP_MS = 30000 * PATIENCE;
const POLL_MS = 20; /* between two looks at the metrics */

const DEFAULT_PLUGINS = '[plugin:auth]\n[plugin:lobby]\n[plugin:echo]\n';
const SERVER_KEYS = ['port = 0', 'status = 127.0.0.1:0'];
/* The last: valgrind's --track-fds, where the descriptor was opened and not inherited. */
const SANITIZER_REPORT =
  /(Address|Leak|Memory|Thread|UndefinedBehavior)Sanitizer|runtime error:|Open (?:file descriptor|AF_\w+ socket) \d+:.*\n==\d+== +at /;

const running = new Set(); /* so that no server outlives a test that failed */
process.on('exit', () => {
  for (const proc of running) proc.kill('SIGKILL');
});

/* The text of a conf file with port and status chosen by the system, unless config names them. */
function confText(config = DEFAULT_PLUGINS) {
  const section = /^\[server\][^[]*/m.exec(config)?.[0];

  if (!section) return ['[server]', ...SERVER_KEYS, '', config, ''].join('\n');
  const missing = SERVER_KEYS.filter((line) => !new RegExp(`^${line.split(' ')[0]}\\s*=`, 'm').test(section));
  return `${config.replace(/^\[server\].*$/m, () => ['[server]', ...missing].join('\n'))}\n`;
}

/*
 * Starts a server and waits until it listens.
 *
 *   config   text of its conf file; default: plugins auth, lobby and echo
 *   args     further arguments; they come last, so that -o server.port=N wins
 *   env      further environment
 *   threads  server.threads; default SOCKHOP_THREADS
 *   prefix   words before the command: see shell()
 */
export async function startServer({ config, args = [], env = {}, threads = THREADS, prefix = [] } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'sockhop-test-'));
  const conf = join(folder, 'sockhop.ini');
  const options = [
    `server.plugin_dir=${join(BUILD, 'plugins/.libs')}`,
    `server.public=${join(BUILD, 'public')}`,
    `server.threads=${threads}`,
    ...(process.env.SOCKHOP_OPTIONS?.match(/\S+/g) ?? []),
  ].flatMap((option) => ['-o', option]);
  const { PORT, ...inherited } = process.env; /* PORT would win over the conf file */

  writeFileSync(conf, confText(config));
  chmodSync(folder, 0o755); /* a prefix may start it as somebody else */
  const [program, ...words] = [...prefix, join(BUILD, 'sockhop'), '-c', conf, ...AS_USER, ...options, ...args];
  const proc = spawn(program, words, { env: { ...inherited, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
  running.add(proc);

  const server = new Server(proc);
  server.conf = conf;
  server.gone.then(() => rmSync(folder, { recursive: true, force: true }));
  try {
    const [listener, status] = await Promise.all([
      server.waitLog(/\blistener\.open address=127\.0\.0\.1 port=(\d+)/, START_MS),
      server.waitLog(/\bstatus\.open address=127\.0\.0\.1 port=(\d+)/, START_MS),
    ]);
    server.port = Number(listener[1]);
    server.url = `http://127.0.0.1:${server.port}`;
    server.statusUrl = `http://127.0.0.1:${status[1]}`;
  } catch (error) {
    proc.kill('SIGKILL');
    throw Object.assign(error, { server }); /* its end and its log may be what a test asks for */
  }
  return server;
}

/* A prefix: the command line is run by a shell that has done words before. */
export const shell = (words) => ['sh', '-c', `${words}; exec "$@"`, 'sh'];

/* Whether these arguments start a server. */
const isStart = (args) => args.includes('-c') && !args.some((arg) => ['-t', '-T', '--test', '--print-config'].includes(arg));

/* Runs sockhop to its end. Resolves with {status, signal, stdout, stderr}. */
export async function runSockhop(args, { env = {}, cwd, prefix = [] } = {}) {
  const { PORT, ...inherited } = process.env;
  const [program, ...words] = [...prefix, join(BUILD, 'sockhop'), ...(isStart(args) ? AS_USER : []), ...args];
  const proc = spawn(program, words, { cwd, env: { ...inherited, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const result = { stdout: '', stderr: '' };
  const timer = setTimeout(() => proc.kill('SIGKILL'), START_MS);

  running.add(proc);
  for (const name of ['stdout', 'stderr']) {
    proc[name].setEncoding('utf8');
    proc[name].on('data', (part) => (result[name] += part));
  }
  [result.status, result.signal] = await once(proc, 'close');
  clearTimeout(timer);
  running.delete(proc);
  if (result.signal) assert.fail(`sockhop ${args.join(' ')}: ended by ${result.signal}\n${result.stderr}`);
  assert.doesNotMatch(result.stderr, SANITIZER_REPORT);
  result.stderr = result.stderr.replace(/^==\d+==.*\n/gm, ''); /* valgrind tells of descriptors that it was given */
  return result;
}

class Server {
  constructor(proc) {
    this.proc = proc;
    this.log = []; /* the lines of its stderr so far */
    this.lines = new EventEmitter().setMaxListeners(0);
    createInterface({ input: proc.stderr }).on('line', (line) => {
      if (/^--\d+-- /.test(line)) return; /* valgrind does not know openat2 */
      this.log.push(line);
      this.lines.emit('line', line);
    });
    /* 'close' comes after the last line has been read */
    this.gone = new Promise((done) => {
      proc.once('error', (error) => done({ error }));
      proc.once('close', (status, signal) => done({ status, signal }));
    }).then((end) => {
      running.delete(proc);
      this.end = end;
      this.lines.emit('end');
      return end;
    });
  }

  logText() {
    return this.log.slice(-200).join('\n');
  }

  /* Resolves with the match in the first line, past (from line number `from` on) or coming, that regexp fits. */
  async waitLog(regexp, ms = WAIT_MS, from = 0) {
    const find = () => this.log.slice(from).map((line) => regexp.exec(line)).find(Boolean);
    const stop = AbortSignal.timeout(ms);

    for (let match; ; ) {
      if ((match = find())) return match;
      if (this.end) assert.fail(`sockhop has ended without a line ${regexp}: ${this.endText()}`);
      await Promise.race([
        once(this.lines, 'line', { signal: stop }),
        once(this.lines, 'end', { signal: stop }),
      ]).catch(() => assert.fail(`no line ${regexp} within ${ms} ms:\n${this.logText()}`));
    }
  }

  /* Another conf file, at once: whoever reads it meets the old one or the new one. */
  writeConf(config) {
    writeFileSync(`${this.conf}.new`, confText(config));
    renameSync(`${this.conf}.new`, this.conf);
  }

  /*
   * Has it read its conf file again, with this text if one is given. Resolves with what it logs about that:
   * the line that says how it went.
   */
  async reload(config) {
    const from = this.log.length;

    if (config !== undefined) this.writeConf(config);
    this.proc.kill('SIGHUP');
    return (await this.waitLog(/.*(?:server\.reloaded|server\.reload_failed|plugin\.change_failed).*/, WAIT_MS, from))[0];
  }

  endText() {
    const { error, status, signal } = this.end;

    return `${error?.message ?? signal ?? `status ${status}`}\n${this.logText()}`;
  }

  /* Ends it as an operator would, and asserts that it ended well. Does nothing the second time. */
  async stop() {
    if (!this.end) {
      this.proc.kill('SIGTERM');
      const timer = setTimeout(() => this.proc.kill('SIGKILL'), STOP_MS);
      await this.gone;
      clearTimeout(timer);
    }
    if (this.is_killed) return;
    if (this.end.status !== 0) assert.fail(`sockhop did not stop cleanly: ${this.endText()}`);
    assert.doesNotMatch(this.log.join('\n'), SANITIZER_REPORT);
  }

  /* Ends it the hard way; stop() then asserts nothing. */
  async kill(signal = 'SIGKILL') {
    this.is_killed = true;
    this.proc.kill(signal);
    await this.gone;
  }

  /* Resolves with Map: name{labels} -> number. */
  async metrics() {
    const text = await get(`${this.statusUrl}/metrics`);
    const rows = text.split('\n').filter((line) => line && !line.startsWith('#'));

    return new Map(
      rows.map((line) => {
        const [, name, value] = /^([^\s{]+(?:\{.*\})?)\s+(\S+)/.exec(line);
        return [name, Number(value)];
      }),
    );
  }

  /* Resolves with the metrics as soon as pred(metrics) is true. */
  async waitMetrics(pred, ms = WAIT_MS) {
    const deadline = Date.now() + ms;

    for (;;) {
      const metrics = await this.metrics();
      if (pred(metrics)) return metrics;
      const lines = () => [...metrics].map(([name, value]) => `${name} ${value}`).join('\n');
      assert.ok(Date.now() < deadline, `metrics not as awaited within ${ms} ms: ${pred}\n${lines()}`);
      await delay(POLL_MS);
    }
  }
}

function get(url) {
  return new Promise((done, fail) => {
    const request = http.get(url, { agent: false, timeout: WAIT_MS }, (response) => {
      let text = '';

      response.setEncoding('utf8');
      response.on('data', (part) => (text += part));
      response.on('end', () => done(text));
      response.on('error', fail);
    });
    request.on('timeout', () => request.destroy(new Error(`${url}: no answer`)));
    request.on('error', fail);
  });
}
