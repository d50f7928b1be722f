/*
 * privileges.test.js - who the server is while it serves, what is left of root and of its surroundings,
 * and what a plugin's code can still do (T45, T53). Most of it needs a test that runs as root.
 */
import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, afterEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { ask, closeClients, connect, hear, pluginDir, request, settle, startWith, within } from '../lib/client.js';
import { AS_OURSELVES, BUILD, IS_ROOT, THREADS, runSockhop, startServer } from '../lib/server.js';

const { EPERM } = constants.errno;
const SCENARIOS = resolve(fileURLToPath(import.meta.url), '..');
const PROGRAM = readFileSync(join(BUILD, 'sockhop'), 'latin1'); /* under valgrind a script */
const has = (word) => PROGRAM.includes(word);
const hasAddressSanitizer = has('__asan_');
const hasHelperThread = has('__tsan_'); /* of ThreadSanitizer, older than main() */
const countsLines = has('__gcov_');
const noFilter = /built without libseccomp/.test(spawnSync(join(BUILD, 'sockhop'), ['-t', '-c', '/dev/null', '-o', 'server.seccomp=yes']).stderr)
  || (await runSockhop(['-t', '-c', tiny(), '-o', 'server.public=', '-o', 'server.seccomp=yes'])).status !== 0;

const skipUnlessRoot = IS_ROOT ? false : 'only root can become somebody else';
const skipUnlessFilter = noFilter ? 'built without libseccomp' : has('exec valgrind') ? 'valgrind makes calls of its own' : false;
const asRoot = { skip: skipUnlessRoot };
/* Counts are written at the end, where nobody may not write. */
const asNobody = { skip: skipUnlessRoot || (countsLines && 'a build that counts lines stays root') };

afterEach(closeClients);

const folders = [];
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

function makeFolder(mode = 0o755) {
  const folder = mkdtempSync(join(tmpdir(), 'sockhop-priv-'));

  folders.push(folder);
  chmodSync(folder, mode);
  return folder;
}

/* The path of a conf file. */
function tiny(text = '') {
  const path = join(mkdtempSync(join(tmpdir(), 'sockhop-priv-')), 'x.ini');

  process.on('exit', () => rmSync(resolve(path, '..'), { recursive: true, force: true }));
  writeFileSync(path, text);
  return path;
}

const NO_PAGE = ['-o', 'server.public='];

/* Of each thread: Map name -> value, both as /proc/PID/status writes them. */
async function threads(server) {
  await server.waitLog(/server\.ready/);
  await server.metrics(); /* answered by logic, which has started the others before */
  const { pid } = server.proc;
  const tasks = hasHelperThread ? [pid] : readdirSync(`/proc/${pid}/task`);

  if (!hasHelperThread && !has('exec valgrind')) assert.ok(tasks.length >= 1 + Number(THREADS));
  return tasks.map((task) => new Map(
    readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8').split('\n').filter(Boolean).map((line) => line.split(/:\s*/)),
  ));
}

const CAPABILITIES = ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'];

function assertPowerless(status, { bounding = true } = {}) {
  for (const set of CAPABILITIES) assert.match(status.get(set), /^0+$/, set);
  if (bounding) assert.match(status.get('CapBnd'), /^0+$/);
  assert.equal(status.get('NoNewPrivs'), '1');
}

const same = (id) => Array(4).fill(id).join('\t'); /* real, effective, saved, of the file system */

/* ---- root */

describe('T45: started as root', () => {
  test('it refuses to stay so, and names both ways out', asRoot, async () => {
    for (const [text, place] of [['', ''], ['[server]\n', 'FILE:1: '], ['[log]\n[server]\n\nuser =\n', 'FILE:4: ']]) {
      const conf = tiny(text);
      const { status, stdout, stderr } = spawnSync(join(BUILD, 'sockhop'), ['-c', conf], { encoding: 'utf8', timeout: 30000 });

      assert.equal(status, 1);
      assert.equal(stdout, '');
      assert.equal(stderr.split('\n', 1)[0], `sockhop: ${place.replace('FILE', conf)}server.user: started as root: name the user to become, such as nobody `
        + '(server.user = nobody), or stay root on purpose (server.user = root)');
    }
  });

  for (const [user, uid, gid, groups] of [
    ['nobody', '65534', '65534', '65534'],
    ['65534', '65534', '65534', '65534'],
    ['nobody:daemon', '65534', '1', ''],
    ['1234:4321', '1234', '4321', ''],
  ])
    test(`as ${user} it has that user and its groups alone, in every thread`, asNobody, async (t) => {
      const server = await startServer({ args: ['-o', `server.user=${user}`] });
      t.after(() => server.stop());

      for (const status of await threads(server)) {
        assert.equal(status.get('Uid'), same(uid));
        assert.equal(status.get('Gid'), same(gid));
        assert.equal(status.get('Groups').trim(), groups);
        assertPowerless(status);
      }
      await server.waitLog(new RegExp(`privileges\\.dropped uid=${uid} gid=${gid}$`));
      assert.deepEqual(await settle(await connect(server)), ['settle']);
      assert.equal((await request(server, '/')).status, 200);
    });

  test('it has the groups of which the user is a member', asNobody, async (t) => {
    const members = readFileSync('/etc/group', 'utf8').split('\n').map((line) => line.split(':')).find((line) => line[3] && !line[3].includes('root'));
    if (!members) return t.skip('no group on this system has members');
    const [, , gid, names] = members;
    const server = await startServer({ args: ['-o', `server.user=${names.split(',')[0]}`] });
    t.after(() => server.stop());

    for (const status of await threads(server)) assert.ok(status.get('Groups').trim().split(' ').includes(gid), status.get('Groups'));
  });

  test('it listens on a port below 1024 first', asNobody, async (t) => {
    let server;

    for (let tries = 0; !server; tries++) {
      const port = 600 + Math.floor(Math.random() * 400);
      server = await startServer({ args: ['-o', `server.port=${port}`] }).catch((error) => {
        if (tries > 20 || !/Address already in use/.test(error)) throw error;
      });
    }
    t.after(() => server.stop());
    assert.ok(server.port < 1024);
    for (const status of await threads(server)) assertPowerless(status);
    assert.deepEqual(await settle(await connect(server)), ['settle']);
  });

  test('it stays root where the operator says so, and says so too', asRoot, async (t) => {
    for (const user of ['root', '0']) {
      const server = await startServer({ args: ['-o', `server.user=${user}`] });

      t.after(() => server.stop());
      await server.waitLog(/WARN privileges\.kept user=root hint=/);
      for (const status of await threads(server)) {
        assert.equal(status.get('Uid'), same('0'));
        assert.equal(status.get('NoNewPrivs'), '1');
      }
    }
  });

  test('it has no way back: a plugin cannot be root again, nor read what root may', asNobody, async (t) => {
    const server = await startWith(['escape', 'echo']);
    t.after(() => server.stop());
    const socket = await connect(server);

    for (const status of await threads(server)) assertPowerless(status); /* one is the plugin's, from before */
    assert.deepEqual(await ask(socket, 'try', 'setuid'), [EPERM]);
    assert.deepEqual(await ask(socket, 'try', 'mount'), [EPERM]);
    assert.deepEqual(await ask(socket, 'try', 'shadow'), [constants.errno.EACCES]);
  });

  test('the page may lie in a folder that others may not enter', asNobody, async (t) => {
    const outside = makeFolder(0o700);
    cpSync(join(BUILD, 'public/'), join(outside, 'public'), { recursive: true, dereference: true });
    chmodSync(join(outside, 'public'), 0o755);
    const server = await startServer({ args: ['-o', `server.public=${join(outside, 'public')}`] });
    t.after(() => server.stop());

    const page = await request(server, '/');
    assert.equal(page.status, 200);
    const [, script] = /src="\.?([^"]+\.js)"/.exec(page.text);
    assert.equal((await request(server, script.replace(/^\/?/, '/'))).status, 200);
  });

  test('a page that the user may not read stops the start, with the way out', asNobody, async () => {
    for (const [folder, file] of [[0o700, 0o644], [0o755, 0o600]]) {
      const page = join(makeFolder(), 'page');

      mkdirSync(page, { mode: folder });
      writeFileSync(join(page, 'index.html'), 'page', { mode: file });
      const { status, stderr } = await runSockhop(['-c', tiny('[server]\nport = 0\n'), '-o', `server.public=${page}`]);
      assert.equal(status, 1);
      assert.ok(stderr.includes(`sockhop: -o: server.public: ${page}: uid 65534, which server.user names, may not read it: make it readable (chmod -R a+rX ${page}), or name another user`), stderr);
    }
  });
});

describe('server.user', { concurrency: 2 }, () => {
  for (const [user, words] of [
    ['no-such-user', 'no user "no-such-user" on this system: create it, or name another, such as nobody'],
    ['Nobody', 'no user "Nobody" on this system'],
    ['12x', 'no user "12x" on this system'],
    ['-1', 'no user "-1" on this system'],
    ['4294967295', 'no user "4294967295" on this system'],
    ['99999999999999999999', 'no user "99999999999999999999" on this system'],
    [':nogroup', 'no user "" on this system'],
    ['4000000001', 'user 4000000001 has no account that tells its group: write 4000000001:GROUP'],
    ['nobody:', 'no group "" on this system: create it, or name another'],
    ['nobody:no-such-group', 'no group "no-such-group" on this system: create it, or name another'],
    ['nobody:4294967295', 'no group "4294967295" on this system'],
    ['nobody:nogroup:more', 'no group "nogroup:more" on this system'],
    ['root:nogroup', 'root stays as it is, groups and all: write root alone'],
  ])
    test(`${JSON.stringify(user)} is refused by -t and by the start`, async () => {
      const conf = tiny(`[server]\nuser = ${user}\n`);

      for (const flags of [['-t'], ['-T'], []]) {
        const { status, stderr } = await runSockhop([...flags, '-c', conf, ...NO_PAGE, ...(flags[0] ? [] : ['-o', `server.user=${user}`])]);

        assert.equal(status, 1);
        assert.ok(stderr.includes(`${flags[0] ? `${conf}:2` : '-o'}: server.user: ${words}`), stderr);
        assert.doesNotMatch(stderr, /listener\.open/);
      }
    });

  for (const user of ['', 'nobody', 'root', '65534', 'nobody:nogroup', '4000000001:4000000001'])
    test(`${JSON.stringify(user)} is accepted by -t`, async () => {
      assert.equal((await runSockhop(['-t', '-c', tiny(`[server]\nuser = ${user}\n`), ...NO_PAGE])).status, 0);
    });
});

/* ---- others */

describe('T45: started by somebody else', () => {
  const setpriv = (...words) => ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', ...words];
  const canRun = !IS_ROOT || spawnSync('setpriv', [...setpriv('test', '-r', join(BUILD, 'public'), '-a', '-x', join(BUILD, 'sockhop'))].slice(1)).status === 0;
  const skip = (canRun ? false : 'nobody may not enter the build folder') || (IS_ROOT && countsLines && 'a build that counts lines');

  test('it stays who it is, whatever server.user says, without any capability', { skip }, async (t) => {
    for (const user of ['', 'nobody', 'daemon', 'root']) {
      const server = await startServer({ prefix: IS_ROOT ? setpriv() : [], args: ['-o', `server.user=${user}`] });

      t.after(() => server.stop());
      for (const status of await threads(server)) {
        assert.equal(status.get('Uid'), same(IS_ROOT ? '65534' : `${process.getuid()}`));
        assertPowerless(status, { bounding: false });
      }
      assert.equal(server.log.some((line) => line.includes('INFO privileges.user_ignored')), !['', ...(IS_ROOT ? ['nobody'] : [])].includes(user));
      assert.deepEqual(await settle(await connect(server)), ['settle']);
    }
  });

  test('capabilities that it was given serve to listen and go then', { skip: skipUnlessRoot || skip || (hasAddressSanitizer && 'LeakSanitizer cannot trace it') }, async (t) => {
    const given = setpriv('--inh-caps=+net_bind_service', '--ambient-caps=+net_bind_service');
    let server;

    for (let tries = 0; !server; tries++) {
      const port = 200 + Math.floor(Math.random() * 300);
      server = await startServer({ prefix: given, args: ['-o', `server.port=${port}`] }).catch((error) => {
        if (tries > 20 || !/Address already in use/.test(error)) throw error;
      });
    }
    t.after(() => server.stop());
    for (const status of await threads(server)) assertPowerless(status, { bounding: false });
    assert.deepEqual(await settle(await connect(server)), ['settle']);
  });
});

/* ---- the filter */

describe('T45: server.seccomp', () => {
  test('is refused with the way out where it is not built in', { skip: noFilter ? false : 'it is built in' }, async () => {
    const { status, stderr } = await runSockhop(['-t', '-c', tiny('[server]\nseccomp = yes\n'), ...NO_PAGE]);

    assert.equal(status, 1);
    assert.match(stderr, /:2: server\.seccomp: this sockhop was built without libseccomp: build it with, or set seccomp = no\n$/);
  });

  test('is off by default, and then calls are filtered by nobody', async (t) => {
    const server = await startWith(['escape']);
    t.after(() => server.stop());
    const socket = await connect(server);

    for (const call of has('exec valgrind') ? ['socket', 'code'] : ['socket', 'fork', 'code']) assert.deepEqual(await ask(socket, 'try', call), [0], call);
    assert.deepEqual(await ask(socket, 'try', 'unlink'), [constants.errno.ENOENT]);
  });

  test('leaves a plugin what serving needs, and EPERM for all else', { skip: skipUnlessFilter }, async (t) => {
    for (const args of [[], AS_OURSELVES]) {
      const server = await startWith(['escape', 'echo'], { args: ['-o', 'server.seccomp=yes', ...args] });
      t.after(() => server.stop());
      const socket = await connect(server);
      const calls = ['execve', 'mount', 'unshare', 'socket', 'setuid', 'bpf', 'io_uring', 'unlink'];

      if (!hasHelperThread) for (const status of await threads(server)) assert.equal(status.get('Seccomp'), '2');
      /* what LeakSanitizer needs at the end is open in its builds */
      if (!hasAddressSanitizer && !hasHelperThread) calls.push('fork', 'ptrace', 'kill', 'code');
      for (const call of calls) assert.deepEqual(await ask(socket, 'try', call), [EPERM], call);
      assert.deepEqual(await settle(socket), ['settle']);
      await server.waitLog(/privileges\.filtered$/);
    }
  });

  test('lets the whole chat of the article pass', { skip: skipUnlessFilter }, async () => {
    const { NODE_TEST_CONTEXT, ...env } = process.env; /* a run of its own */
    const run = promisify(execFile)(process.execPath, ['--test', '--test-reporter=tap', join(SCENARIOS, 'article.test.js')], {
      env: { ...env, SOCKHOP_OPTIONS: `${env.SOCKHOP_OPTIONS ?? ''} server.seccomp=yes` },
    });
    const { stdout } = await within(run.catch((error) => assert.fail(error.stdout)), 'the article scenario', 240000);

    assert.ok(Number(/^# pass (\d+)$/m.exec(stdout)[1]) >= 20, stdout);
    assert.match(stdout, /^# fail 0$/m);
  });

  test('lets files be served, and a plugin\'s threads be', { skip: skipUnlessFilter }, async (t) => {
    const server = await startServer({ args: ['-o', 'server.seccomp=yes'] });
    t.after(() => server.stop());

    for (const path of ['/', '/nowhere', '/favicon.svg', '/nowhere.js']) {
      const { status } = await request(server, path, { headers: { 'Accept-Encoding': 'gzip' } });
      assert.equal(status, path === '/nowhere.js' ? 404 : 200, path);
    }
    const socket = await connect(server);
    socket.emit('login', 'ádá');
    await hear(socket, 'welcome');
  });
});

/* ---- stdin and stdout */

test('T53: stdin and stdout are let go once it serves; the log stays', async (t) => {
  const options = ['server.public=', `server.plugin_dir=${pluginDir()}`, `server.threads=${THREADS}`].flatMap((option) => ['-o', option]);
  const args = ['-c', tiny('[server]\nport = 0\n[plugin:echo]\n'), ...options, ...AS_OURSELVES];
  const proc = spawn(join(BUILD, 'sockhop'), args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, PORT: '0' } });
  const gone = once(proc, 'exit');
  t.after(() => proc.kill('SIGKILL'));
  let log = '';
  let output = '';

  proc.stdin.on('error', () => {}); /* nobody reads it */
  proc.stderr.setEncoding('utf8').on('data', (part) => (log += part));
  proc.stdout.setEncoding('utf8').on('data', (part) => (output += part));
  await within(once(proc.stdout, 'end'), 'end of stdout'); /* while the server runs */
  while (!log.includes('server.ready')) await within(once(proc.stderr, 'data'), 'server.ready');
  for (const fd of [0, 1]) assert.equal(readlinkSync(`/proc/${proc.pid}/fd/${fd}`), '/dev/null');
  assert.match(readlinkSync(`/proc/${proc.pid}/fd/2`), /^(pipe|socket):/);
  const port = /listener\.open address=127\.0\.0\.1 port=(\d+)/.exec(log)[1];
  assert.deepEqual(await settle(await connect({ url: `http://127.0.0.1:${port}` })), ['settle']);
  closeClients();
  proc.kill('SIGTERM');
  assert.deepEqual(await within(gone, 'exit'), [0, null]);
  assert.equal(output, '');
  assert.match(log, /server\.stopped\n/);
});
