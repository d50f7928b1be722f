/*
 * control.test.js - the control socket and sockhopctl: each command, who may use it, and what bad requests
 * come to.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';

import { Tcp, ask, closeClients, connect, next, within } from '../lib/client.js';
import { Lines, ctl, socketPath } from '../lib/control.js';
import { ownPlugins } from '../lib/plugins.js';
import { BUILD, shell, startServer } from '../lib/server.js';

const servers = new Set();
const PLUGINS = '[plugin:auth]\n[plugin:lobby]\n[plugin:echo]\n[plugin:versions]\n[plugin:commands]\n';

async function start({ config = PLUGINS, path = socketPath(), args = [] } = {}) {
  const folder = ownPlugins('auth', 'lobby', 'echo', 'versions', 'commands');
  const server = await startServer({ config, args: ['-o', `server.plugin_dir=${folder}`, '-o', `server.control=${path}`, ...args] });

  server.path = path;
  server.ctl = (...words) => ctl(['-s', path, ...words]);
  server.json = async (...words) => JSON.parse((await server.ctl('-j', ...words)).stdout);
  servers.add(server);
  return server;
}

afterEach(async () => {
  closeClients();
  for (const server of servers) await server.stop();
  servers.clear();
});

/* ---- the commands */

describe('sockhopctl', () => {
  test('tells all commands, those of plugins too', async () => {
    const server = await start();
    const { status, stdout } = await server.ctl('help');

    assert.equal(status, 0);
    for (const line of [/^command +usage +help$/m, /^plugin reload +NAME +replace/m, /^commands say +TEXT\.\.\. +say it again$/m]) assert.match(stdout, line);
  });

  test('tells how it goes', async () => {
    const server = await start();
    const socket = await connect(server);

    assert.deepEqual((({ pid, sockets, sessions, plugins }) => ({ pid, sockets, sessions, plugins }))((await server.json('status')).data), {
      pid: server.proc.pid,
      sockets: 1,
      sessions: 1,
      plugins: 5,
    });
    assert.match((await server.ctl('status')).stdout, /^version: \d+\.\d+\.\d+$/m);
    assert.match((await server.ctl('metrics')).stdout, /^sockhop_sockets 1$/m);
    assert.match((await server.ctl('hooks')).stdout, /^versions\b|version +1/m);
    socket.disconnect();
  });

  test('tells who is connected, and disconnects', async () => {
    const server = await start();
    const [anna, bob] = [await connect(server), await connect(server)];
    const { data } = await server.json('sockets');

    assert.equal(data.total, 2);
    assert.deepEqual(data.sockets.map(({ id }) => id).sort(), [anna.id, bob.id].sort());
    assert.deepEqual((await server.json('sockets', '/', '1')).data.sockets.length, 1);
    assert.equal((await server.json('sockets', '/nowhere')).data.total, 0);
    assert.match((await server.ctl('sockets', '*', '0')).stderr, /from 1 to 10000/);
    const gone = next(anna, 'disconnect');
    assert.equal((await server.ctl('disconnect', anna.id)).status, 0);
    await gone;
    assert.match((await server.ctl('disconnect', anna.id)).stderr, /no socket of that id/);
    assert.ok(bob.connected);
  });

  test('tells and sets the log level', async () => {
    const server = await start();

    assert.equal((await server.ctl('log', 'level')).stdout, 'info\n');
    assert.equal((await server.ctl('log', 'level', 'debug')).stdout, 'debug\n');
    const socket = await connect(server);
    socket.emit('nobody handles this');
    await server.waitLog(/event\.ignored/);
    assert.match((await server.ctl('log', 'level', 'loud')).stderr, /error, warn, info or debug/);
  });

  test('says what is wrong with a command', async () => {
    const server = await start();

    for (const [words, error] of [
      [['plugni'], /no such command: see help/],
      [['plugin'], /plugin is followed by list, load, unload, reload/],
      [['plugin', 'lod'], /plugin is followed by/],
      [['plugin', 'load'], /usage: plugin load NAME/],
      [['plugin', 'list', 'x'], /usage: plugin list/],
      [['commands', 'sya'], /commands knows no such command, but say list/],
      [['commands'], /commands knows no such command/],
    ]) {
      const { status, stdout, stderr } = await server.ctl(...words);

      assert.deepEqual([status, stdout], [1, ''], words.join(' '));
      assert.match(stderr, error);
    }
  });

  test('says what is wrong with its options, or that no server is there', async () => {
    const path = socketPath();

    for (const [args, error] of [
      [[], /which command\?/],
      [['--nonsense'], /unrecognized option/],
      [['-w', '0', 'status'], /--wait is a number from 1 to 3600/],
      [['-s', path, 'status'], /no server runs there/],
      [['-s', 'x'.repeat(200), 'status'], /107 bytes at most/],
      [['-c', '/nonexistent.ini', 'status'], /nonexistent/],
    ]) {
      const { status, stderr } = await ctl(args);

      assert.equal(status, 2, args.join(' '));
      assert.match(stderr, error);
    }
    assert.match((await ctl(['--help'])).stdout, /Usage: sockhopctl/);
    assert.match((await ctl(['--version'])).stdout, /^sockhopctl \d/);
  });

  test('finds the socket in the conf file', async () => {
    const server = await start();

    writeFileSync(server.conf, `[server]\ncontrol = ${server.path}\n`);
    assert.equal((await ctl(['-c', server.conf, 'log', 'level'])).stdout, 'info\n');
    writeFileSync(server.conf, '[server]\n');
    assert.match((await ctl(['-c', server.conf, 'status'])).stderr, /server\.control is empty/);
  });
});

/* ---- plugins */

describe('plugins', () => {
  const names = async (server) => (await server.json('plugin', 'list')).data.map(({ name }) => name);

  test('are listed, unloaded, loaded and reloaded while a client is there', async () => {
    const server = await start();
    const socket = await connect(server);

    assert.deepEqual(await names(server), ['auth', 'lobby', 'echo', 'versions', 'commands']);
    assert.deepEqual(await ask(socket, 'version'), ['1.0', '', 1]);
    assert.deepEqual((await server.json('plugin', 'reload', 'versions')).data.plugins, 'versions 1.0');
    assert.deepEqual(await ask(socket, 'version'), ['1.0', '', 2]);
    assert.equal((await server.ctl('plugin', 'unload', 'versions')).status, 0);
    assert.deepEqual(await names(server), ['auth', 'lobby', 'echo', 'commands']);
    assert.equal((await server.ctl('plugin', 'load', 'versions')).status, 0);
    assert.deepEqual(await ask(socket, 'version'), ['1.0', '', 1]);
    assert.ok(socket.connected);
  });

  test('that cannot be changed stay, and it says why', async () => {
    const server = await start({ config: `${PLUGINS}[plugin:skeleton]\nenabled = no\n` });

    for (const [words, error] of [
      [['unload', 'auth'], /lobby needs auth: unload it first/],
      [['unload', 'nobody'], /no plugin nobody is loaded/],
      [['load', 'auth'], /auth is loaded: reload it instead/],
      [['load', 'nobody'], /no section \[plugin:nobody\]/],
      [['load', '../x"\n'], /no section/],
      [['reload', ''], /no plugin {2}is loaded/],
      [['load', 'skeleton'], /\[plugin:skeleton\] says enabled = no: change that first/],
    ])
      assert.match((await server.ctl('plugin', ...words)).stderr, error);
    assert.equal((await names(server)).length, 5);
  });

  test('are changed one request at a time', async () => {
    const server = await start();
    const socket = await connect(server);

    socket.emit('hold'); /* so that the change has to wait, until it is refused after 5 s */
    await ask(await connect(server), 'echo');
    const first = server.ctl('plugin', 'reload', 'versions');
    await server.waitLog(/control\.plugin/);
    assert.match((await server.ctl('plugin', 'reload', 'echo')).stderr, /being changed already: try again/);
    const second = server.ctl('reload');
    assert.match((await first).stdout, /^plugins: versions 1\.0$/m);
    assert.match((await second).stdout, /^plugins: $/m);
  });

  test('whoever asked and has gone is no harm', async () => {
    const server = await start();
    const socket = await connect(server);
    const lines = await Lines.open(server.path);

    socket.emit('hold');
    await ask(await connect(server), 'echo');
    lines.write('{"command": ["plugin", "reload", "versions"]}\n{"command": ["status"]}\n');
    await server.waitLog(/control\.plugin/);
    lines.socket.destroy();
    await server.waitLog(/plugin\.started plugin=versions.*[^]*plugin\.started plugin=versions|plugin\.stopped plugin=versions/);
    assert.equal((await server.ctl('status')).status, 0);
  });

  test('the conf file is read again: what it changed, what needs a restart, or what is wrong', async () => {
    const server = await start();

    server.writeConf(`[limits]\nmax_connections = 77\n${PLUGINS.replace('[plugin:versions]\n', '[plugin:versions]\nword = b\n')}`);
    assert.deepEqual((({ plugins, restart_needed }) => [plugins, restart_needed])((await server.json('reload')).data), ['versions 1.0', 'limits.max_connections']);
    server.writeConf('[plugin:auth]\nnonsense = 1\n');
    assert.match((await server.ctl('reload')).stderr, /auth\.nonsense: unknown key/);
  });
});

/* ---- commands of plugins */

describe("a plugin's command", () => {
  test('answers at once, later, or with an error', async () => {
    const server = await start();

    assert.deepEqual(await server.json('commands', 'say', 'a b', 'ü"\n'), { ok: true, data: ['a b', 'ü"\n'] });
    assert.deepEqual(await server.json('commands', 'nothing'), { ok: true, data: null });
    assert.deepEqual((await server.ctl('commands', 'nothing')).stdout, '');
    assert.deepEqual(await server.json('commands', 'fail', 'rain'), { ok: false, error: 'because of rain' });
    assert.match((await server.json('commands', 'fail', `x${'\u00fc'.repeat(400)}`)).error, /^because of x\u00fc{200,}$/);
    assert.deepEqual(await server.json('commands', 'silent'), { ok: false, error: 'the plugin gave no answer' });
    assert.match((await server.json('commands', 'bytes')).error, /cannot be written as JSON/);
    assert.deepEqual(await server.json('commands', 'job', '20'), { ok: true, data: 'worked' });
    assert.match((await server.json('commands', 'never', '20')).error, /not answered in time/);
    await server.waitLog(/plugin\.defer_timeout plugin=commands command=never/);
    assert.deepEqual((await server.json('commands', 'twice')).data, 0);
    assert.deepEqual((await server.json('commands', 'twice')).data, 1);
  });

  test('is printed as a table that no control byte gets out of', async () => {
    const server = await start();

    assert.equal((await server.ctl('commands', 'list', '2')).stdout, 'number  text\n0       \\x1b[31m\n1       \\x1b[31m\n');
    assert.equal((await server.ctl('commands', 'say', 'x\x07\u009b')).stdout, 'x\\x07\\x9b\n');
  });

  test('is waited for when its plugin is replaced, and given up after five seconds', async () => {
    const server = await start();
    const slow = server.json('commands', 'job', '300');
    const never = server.json('commands', 'never', '60000');

    while (!(await server.json('plugin', 'list')).data.some(({ name, calls }) => name === 'commands' && calls >= 2));
    assert.equal((await server.json('plugin', 'reload', 'commands')).ok, true);
    assert.deepEqual(await slow, { ok: true, data: 'worked' });
    assert.match((await never).error, /being changed: it has not answered in time/);
    assert.deepEqual((await server.json('commands', 'say', 'new')).data, ['new']);
  });

  test('goes with its plugin', async () => {
    const server = await start();

    await server.ctl('plugin', 'unload', 'commands');
    assert.match((await server.ctl('commands', 'say')).stderr, /no such command/);
    assert.ok(!(await server.ctl('help')).stdout.includes('commands say'));
    await server.ctl('plugin', 'load', 'commands');
    assert.equal((await server.ctl('commands', 'say')).status, 0);
  });

  test('that is awaited when the server stops is answered, or its connection closed', async () => {
    const server = await start();
    const never = server.ctl('-w', '20', 'commands', 'never', '60000');

    while (!(await server.json('plugin', 'list')).data.some(({ name, calls }) => name === 'commands' && calls >= 1));
    await server.stop();
    assert.notEqual((await never).status, 0);
  });
});

/* ---- the socket */

describe('the control socket', () => {
  test('takes requests one after the other, whatever their pieces, and answers all before it closes', async () => {
    const server = await start();
    const lines = await Lines.open(server.path);

    for (const byte of '{"command": ["log", "level"]}\n') lines.write(byte);
    assert.deepEqual(await lines.next(), { ok: true, data: 'info' });
    lines.socket.end(Array.from({ length: 200 }, (_, i) => `${JSON.stringify({ command: ['commands', 'say', `${i}`] })}\n`).join('') + '{"command": ["commands", "job", "20"]}\n');
    for (let i = 0; i < 200; i++) assert.deepEqual(await lines.next(), { ok: true, data: [`${i}`] });
    assert.deepEqual(await lines.next(), { ok: true, data: 'worked' });
    await within(lines.gone, 'end');
  });

  test('answers what is no request, and goes on', async () => {
    const server = await start();
    const lines = await Lines.open(server.path);

    for (const line of ['', 'x', '{', '[]', '{}', '"x"', 'null', '{"command": "status"}', '{"command": []}', '{"command": [1]}', '{"command": ["a\\u0000b"]}', `{"command": ${JSON.stringify(Array(65).fill('x'))}}`, '\u0000', `${'['.repeat(3000)}`]) {
      lines.write(`${line}\n`);
      const { ok, error } = await lines.next();

      assert.equal(ok, false, line);
      assert.match(error, /a request is a line/, line);
    }
    assert.equal((await lines.ask('log', 'level')).data, 'info');
  });

  test('closes after a line that is too long', async () => {
    const server = await start();
    const lines = await Lines.open(server.path);

    assert.deepEqual((await lines.ask('commands', 'say', 'x'.repeat(65000))).data[0].length, 65000);
    lines.write('x'.repeat(70000));
    assert.match((await lines.next()).error, /65536 bytes at most/);
    await within(lines.ended, 'end');
    assert.equal((await server.ctl('status')).status, 0);
  });

  test('does not wait for a client that does not read', async () => {
    const server = await start();
    const lines = await Lines.open(server.path);

    lines.socket.pause();
    lines.write('{"command": ["metrics"]}\n'.repeat(200));
    const socket = await connect(server);
    assert.deepEqual(await ask(socket, 'echo', 1), [1]);
    assert.equal((await server.ctl('status')).status, 0);
    lines.socket.resume();
    for (let i = 0; i < 200; i++) assert.equal((await lines.next()).ok, true);
  });

  test('has sixteen clients at most', async () => {
    const server = await start();
    const clients = [];

    for (let i = 0; i < 16; i++) clients.push(await Lines.open(server.path));
    await clients[15].ask('status');
    assert.match((await (await Lines.open(server.path)).next()).error, /16 clients control it already/);
    clients[0].socket.end();
    await within(clients[0].gone, 'end');
    assert.equal((await server.ctl('status')).status, 0);
  });

  test('keeps no place for clients that have gone, whatever they have asked', async () => {
    const server = await start();

    for (let i = 0; i < 20; i++) {
      const lines = await Lines.open(server.path);

      lines.write('{"command": ["commands", "never", "3600000"]}\n');
      while (!(await server.json('plugin', 'list')).data?.some(({ name, calls }) => name === 'commands' && calls > i));
      lines.socket.destroy();
    }
    assert.equal((await server.ctl('status')).status, 0);
  });

  test('lets an operator in when no descriptor is left, and does not spin', async () => {
    const path = socketPath();
    const server = await startServer({ prefix: shell('ulimit -n 64'), config: '[limits]\nhead_timeout = 10m\n[plugin:echo]\n', args: ['-o', `server.control=${path}`] });
    const cpu = () => readFileSync(`/proc/${server.proc.pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ').slice(11, 13).reduce((sum, n) => sum + Number(n), 0);

    servers.add(server);
    await Promise.all(Array.from({ length: 150 }, () => Tcp.open(server)));
    await server.waitLog(/listener\.paused/);
    assert.equal((await ctl(['-s', path, 'log', 'level'])).stdout, 'info\n');
    for (let i = 0; i < 3; i++) await Lines.open(path); /* for the second and third none is left */
    const before = cpu();
    await new Promise((done) => setTimeout(done, 1000)); /* what is tested is that nothing happens in it */
    assert.ok(cpu() - before < 50, `${cpu() - before} of 100 ticks`);
    closeClients();
    assert.equal((await ctl(['-s', path, 'status'])).status, 0);
  });

  test('sockhopctl goes on where it was stopped', async () => {
    const server = await start();
    const proc = spawn(join(BUILD, 'sockhopctl'), ['-s', server.path, 'commands', 'job', '500']);
    let text = '';

    proc.stdout.on('data', (part) => (text += part));
    while (!(await server.json('plugin', 'list')).data.some(({ name, calls }) => name === 'commands' && calls >= 1));
    proc.kill('SIGSTOP');
    proc.kill('SIGCONT');
    await once(proc, 'close');
    assert.equal(text, 'worked\n');
  });

  test('is for root, the server\'s user and who started it alone', async (t) => {
    const server = await start();
    const mode = lstatSync(server.path).mode & 0o777;

    assert.equal(mode, 0o600);
    if (process.getuid() !== 0) return t.skip('only root can be somebody else');
    const other = spawnSync('setpriv', ['--reuid=12345', '--regid=12345', '--clear-groups', 'true']);
    if (other.status !== 0) return t.skip('no setpriv');
    const as = (user) => ctl(['-s', server.path, 'status'], { prefix: ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups'] });
    assert.match((await as(12345)).stderr, /Permission denied: root and the server's own user may control it/);
    spawnSync('chmod', ['0666', server.path]); /* the peer is looked at, whatever the mode says */
    const refused = await as(12345);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /only root and the server's own user/);
    await server.waitLog(/control\.refused uid=12345/);
  });

  test('that another server has left behind is replaced; one in use and other files are not', async () => {
    const path = socketPath();
    const first = await start({ path });

    const config = '[plugin:echo]\n';
    await assert.rejects(start({ path, config }), /another server listens there: stop it, or name another path/);
    first.proc.kill('SIGKILL');
    await first.gone;
    servers.delete(first);
    assert.ok(existsSync(path));
    const second = await start({ path });
    assert.equal((await second.ctl('status')).status, 0);
    await second.stop();
    const file = socketPath();
    writeFileSync(file, 'precious');
    await assert.rejects(start({ path: file, config }), /is no socket: name another path/);
    await assert.rejects(start({ path: '/nonexistent/x', config }), /server\.control: cannot listen at \/nonexistent\/x: No such file/);
    await assert.rejects(start({ path: `/tmp/${'x'.repeat(120)}`, config }), /107 bytes at most/);
  });
});
