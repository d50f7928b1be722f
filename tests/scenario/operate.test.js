/*
 * operate.test.js - the command in odd surroundings: reasons with their key, output that nobody takes,
 * descriptors that are closed. What conf files say is in config.test.js, stopping in lifecycle.test.js.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { WAIT_MS, request, within } from '../lib/client.js';
import { AS_OURSELVES, BUILD, startServer } from '../lib/server.js';

const SOCKHOP = join(BUILD, 'sockhop');
const HERE = ['-o', `server.plugin_dir=${join(BUILD, 'plugins/.libs')}`];
const NO_PAGE = ['-o', 'server.public='];

let folder; /* with x.ini, which includes d/echo.conf */
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'sockhop-operate-'));
  mkdirSync(join(folder, 'd'));
  writeFileSync(join(folder, 'x.ini'), '[server]\ninclude = d/*.conf\nport = 1234\npublic = d\n');
  writeFileSync(join(folder, 'd/echo.conf'), '[plugin:echo]\n');
});
after(() => rmSync(folder, { recursive: true, force: true }));

/* Resolves with {status, stdout, stderr} of a command that ends by itself. */
function run(args, { env = {}, cwd = folder, stdio } = {}) {
  const { PORT, ...inherited } = process.env;

  return spawnSync(SOCKHOP, args, { env: { ...inherited, ...env }, cwd, stdio, encoding: 'utf8', timeout: 30000 });
}

describe('checking', () => {
  test('-T prints what is in force, PORT and -o included, and where it was set', () => {
    const { status, stdout } = run(['-T', '-c', 'x.ini', ...HERE, '-o', 'log.level=warn'], { env: { PORT: '4321' } });

    assert.equal(status, 0);
    assert.match(stdout, /^port = 4321 ; PORT$/m);
    assert.match(stdout, /^level = warn ; -o$/m);
    assert.match(stdout, /^; include = d\/\*\.conf ; x\.ini:2$/m);
    assert.match(stdout, new RegExp(`^public = ${join(folder, 'd')} ; x\\.ini:4$`, 'm'));
    assert.match(stdout, /^\[plugin:echo\]$/m);
  });

  test('a folder of the page that is not there is named with its key', () => {
    for (const mode of [['-t'], []]) {
      const { status, stderr } = run([...mode, '-c', 'x.ini', ...HERE, ...AS_OURSELVES, '-o', 'server.public=/nowhere']);

      assert.equal(status, 1);
      assert.match(stderr, /^sockhop: -o: server\.public: \/nowhere: No such file or directory: name the folder/m);
    }
  });

  test('an unknown option is 2, what cannot be written is 1', () => {
    assert.equal(run(['--nonsense']).status, 2);
    assert.equal(run(['x.ini']).status, 2);
    assert.equal(run(['-c', 'missing.ini']).status, 1);
    for (const args of [['--help'], ['--version'], ['-t', '-c', 'x.ini', ...HERE], ['-T', '-c', 'x.ini', ...HERE]]) {
      const full = spawnSync('sh', ['-c', 'exec "$0" "$@" >/dev/full', SOCKHOP, ...args], { cwd: folder, encoding: 'utf8' });

      assert.equal(full.status, 1, args[0]);
      assert.match(full.stderr, /^sockhop: cannot write: /m);
    }
  });
});

describe('starting', () => {
  test('a port in use is named with its place and key', async () => {
    const other = net.createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address();
    const start = (key, env) => run(['-c', 'x.ini', ...HERE, ...NO_PAGE, ...AS_OURSELVES, ...key], { env });

    for (const [key, env, place] of [
      [['-o', `server.port=${port}`], {}, '-o: server.port'],
      [[], { PORT: String(port) }, 'PORT: server.port'],
      [['-o', 'server.port=0', '-o', `server.status=127.0.0.1:${port}`], {}, '-o: server.status'],
    ]) {
      const { status, stderr } = start(key, env);

      assert.equal(status, 1);
      assert.ok(stderr.includes(`sockhop: ${place}: cannot listen on 127.0.0.1 port ${port}: Address already in use`), stderr);
    }
    other.close();
  });

  test('16 addresses and the status port are opened', async () => {
    const listen = Array.from({ length: 16 }, (_, i) => `127.0.0.${i + 1}`).join();
    const server = await startServer({ args: [...NO_PAGE, '-o', `server.listen=${listen}`] });

    assert.equal((await server.metrics()).get('sockhop_sockets'), 0);
    await server.stop();
  });

  /* Where there is no log to read, the port tells that it runs. Other tests' servers take what is free on the
   * usual address. */
  const ADDRESS = '127.0.0.53';

  async function freePort() {
    const probe = net.createServer().listen(0, ADDRESS);
    await once(probe, 'listening');
    const { port } = probe.address();
    probe.close();
    await once(probe, 'close');
    return port;
  }

  async function served(port) {
    for (const deadline = Date.now() + WAIT_MS; ; ) {
      try {
        return await request({ url: `http://${ADDRESS}:${port}` }, '/socket.io/?EIO=4&transport=polling');
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await new Promise(setImmediate);
      }
    }
  }

  test('T53: without standard descriptors it starts, and nobody gets its log', async () => {
    const port = await freePort();
    const options = ['-c', 'x.ini', ...HERE, ...NO_PAGE, ...AS_OURSELVES, '-o', `server.listen=${ADDRESS}`, '-o', `server.port=${port}`];
    const proc = spawn('sh', ['-c', 'exec "$0" "$@" <&- >&- 2>&-', SOCKHOP, ...options], { cwd: folder, stdio: 'ignore' });
    const gone = once(proc, 'exit');

    await served(port);
    for (const fd of [0, 1, 2]) assert.equal(readlinkSync(`/proc/${proc.pid}/fd/${fd}`), '/dev/null');
    proc.kill('SIGTERM');
    assert.deepEqual(await within(gone, 'exit'), [0, null]);
  });

  test('a reader of the log that has gone does not end it, nor does SIGHUP', async () => {
    const port = await freePort();
    const args = ['-c', 'x.ini', ...HERE, ...NO_PAGE, ...AS_OURSELVES, '-o', `server.listen=${ADDRESS}`, '-o', `server.port=${port}`];
    const proc = spawn(SOCKHOP, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    proc.stderr.destroy(); /* before its first line */
    const gone = once(proc, 'exit');

    await served(port);
    for (const signal of ['SIGHUP', 'SIGPIPE']) {
      proc.kill(signal);
      assert.equal((await served(port)).status, 200, signal);
    }
    proc.kill('SIGTERM');
    assert.deepEqual(await within(gone, 'exit'), [0, null]);
  });
});
