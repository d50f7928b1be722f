/*
 * config.test.js - the command line and the conf files: what is accepted, what is refused and in
 * which words, and that the server then does as it was told.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, describe, test } from 'node:test';

import { ask, closeClients, connect, hear, heard, pluginDir, request, settle, startWith } from '../lib/client.js';
import { BUILD, runSockhop, shell, startServer, isValgrind } from '../lib/server.js';

afterEach(closeClients);

const top = mkdtempSync(join(tmpdir(), 'sockhop-config-'));
after(() => rmSync(top, { recursive: true, force: true }));

let n_folders = 0;

/* A folder with these files; resolves with what sockhop says about the first one. */
function write(files) {
  const folder = join(top, `${++n_folders}`);

  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return { folder, conf: join(folder, Object.keys(files)[0]) };
}

const DIRS = ['-o', `server.plugin_dir=${pluginDir()}`, '-o', `server.public=${join(BUILD, 'public')}`];

/* What -t says of a conf text. */
const check = (text, args = [], options = {}) => runSockhop(['-t', '-c', write({ 'a.ini': text }).conf, ...DIRS, ...args], options);

/* What -T prints: Map section.key -> value. */
function parse(text) {
  const keys = new Map();
  let section;

  for (const line of text.split('\n').map((one) => one.replace(/^[;#].*|\s[;#].*/, '').trim())) {
    if (line.startsWith('[')) keys.set((section = line.slice(1, -1)), '');
    else if (line) keys.set(`${section}.${line.split(' =')[0]}`, line.slice(line.indexOf('=') + 1).trim());
  }
  return keys;
}

async function print(files, args = [], options = {}) {
  const result = await runSockhop(['-T', '-c', write(files).conf, ...DIRS, ...args], options);

  assert.equal(result.stderr, '');
  assert.equal(result.status, 0);
  return parse(result.stdout);
}

describe('flags', { concurrency: 2 }, () => {
  test('--help and --version answer and end with 0', async () => {
    for (const flag of ['--help', '-h']) {
      const { status, stdout, stderr } = await runSockhop([flag]);

      assert.equal(status, 0);
      assert.equal(stderr, '');
      for (const word of ['-c', '-o', '-t', '-T', '--help', '--version', 'PORT', 'SECTION.KEY=VALUE']) assert.ok(stdout.includes(word), word);
      assert.ok(stdout.split('\n').every((line) => line.length <= 100));
    }
    for (const flag of ['--version', '-V']) assert.match((await runSockhop([flag])).stdout, /^sockhop \d+\.\d+\.\d+\n$/);
  });

  test('wrong usage ends with 2 and the way out', async () => {
    for (const args of [['-x'], ['--no-such-flag'], ['-c'], ['-o'], ['start'], ['-t', 'file.ini']]) {
      const { status, stdout, stderr } = await runSockhop(args);

      assert.equal(status, 2, args.join(' '));
      assert.equal(stdout, '');
      assert.match(stderr, /sockhop --help/);
    }
  });

  test('long names mean the same', async () => {
    const { conf } = write({ 'a.ini': '[plugin:echo]\n' });

    assert.equal((await runSockhop(['--test', `--config=${conf}`, ...DIRS])).status, 0);
    const { stdout } = await runSockhop(['--print-config', '--config', conf, ...DIRS, '--option', 'server.port=1234']);
    assert.equal(parse(stdout).get('server.port'), '1234');
  });

  test('-t says that a good file is good', async () => {
    const { conf } = write({ 'a.ini': '[plugin:echo]\n' });
    const { status, stdout, stderr } = await runSockhop(['-t', '-c', conf, ...DIRS]);

    assert.equal(status, 0);
    assert.equal(stdout, `${conf}: the configuration is good\n`);
    assert.equal(stderr, '');
  });

  test('-t opens no port', async (t) => {
    const taken = net.createServer().listen(0, '127.0.0.1');
    t.after(() => taken.close());
    await new Promise((done) => taken.once('listening', done));

    assert.equal((await check('', ['-o', `server.port=${taken.address().port}`])).status, 0);
  });

  test('T53: -t and -T work with any of stdin, stdout and stderr closed', { skip: isValgrind && 'valgrind needs them' }, async () => {
    const { conf } = write({ 'a.ini': '[plugin:echo]\n' });

    for (const closed of ['<&-', '<&- 2>&-', '<&- >&- 2>&-'])
      for (const flag of ['-t', '-T'])
        assert.equal((await runSockhop([flag, '-c', conf, ...DIRS], { prefix: shell(`exec ${closed}`) })).status, 0, closed);
    const full = await runSockhop(['-T', '-c', conf, ...DIRS], { prefix: shell('exec >/dev/full') });
    assert.equal(full.status, 1);
    assert.match(full.stderr, /cannot write: No space left/);
  });

  test('a conf file that cannot be read is named', async () => {
    for (const [path, words] of [[join(top, 'none.ini'), /none\.ini: .*No such file/], [top, /is a folder/], ['/dev/null', /no regular file/]]) {
      const { status, stderr } = await runSockhop(['-t', '-c', path]);

      assert.equal(status, 1);
      assert.match(stderr, words);
    }
  });
});

describe('-T', { concurrency: 2 }, () => {
  test('prints every key of the core and of the plugins in force', async () => {
    const keys = await print({ 'a.ini': '[server]\nthreads = 2\n[plugin:lobby]\n[plugin:auth]\nmax_length = 8\n[plugin:echo]\nenabled = no\n' });

    for (const [key, value] of Object.entries({
      'server.threads': '2', 'server.port': '8080', 'server.status': '', 'engine.path': '/socket.io', 'engine.ping_interval': '25s',
      'limits.max_head': '16k', 'log.level': 'info', 'plugin:auth.max_length': '8', 'plugin:auth.min_length': '3',
      'plugin:lobby.notices': 'yes', 'plugin:lobby.enabled': 'yes',
    }))
      assert.equal(keys.get(key), value, key);
    assert.ok(!keys.has('plugin:echo'));
  });

  test('prints where a value stood', async () => {
    const { conf } = write({ 'a.ini': '[server]\n\nthreads = 2\n' });
    const { stdout } = await runSockhop(['-T', '-c', conf, ...DIRS, '-o', 'server.port=1']);

    assert.ok(stdout.includes(`${conf}:3`), stdout);
    assert.match(stdout, /port = 1\b.*-o/);
  });

  /* Prints, reads what was printed, and prints again: both must be the same. */
  async function reprint(files, args = [], { inPlace = false } = {}) {
    const { folder, conf } = write(files);
    const first = await runSockhop(['-T', '-c', conf, ...DIRS, ...args]);

    assert.equal(first.status, 0, first.stderr);
    const copy = inPlace ? join(folder, 'copy.ini') : write({ 'copy.ini': '' }).conf;
    writeFileSync(copy, first.stdout);
    const checked = await runSockhop(['-t', '-c', copy]);
    assert.equal(checked.stderr, '');
    assert.equal(checked.status, 0);
    const [before, after] = [first, await runSockhop(['-T', '-c', copy])].map(({ stdout }) => parse(stdout));
    for (const keys of [before, after]) keys.delete('server.include'); /* a comment, once it has been done */
    assert.deepEqual(after, before);
    return after;
  }

  test('its output is a conf file of the same meaning', async () => {
    await reprint({ 'a.ini': '' });
    const keys = await reprint({
      'a.ini': '[server]\nlisten = ::1, 127.0.0.1\nport = 0\nthreads = auto\nstatus = [::1]:0\n[engine]\norigins = https://a.example, https://b.example:444\n'
        + '[limits]\nmax_queue = 2M\nhead_timeout = 1500ms\n[log]\nlevel = debug\n[plugin:auth]\n[plugin:lobby]\nnotices = no\n[plugin:skeleton]\ngreeting = good day to "you" = all\n',
    }, ['-o', 'limits.max_body=5']);
    assert.equal(keys.get('plugin:skeleton.greeting'), 'good day to "you" = all');
    assert.equal(keys.get('limits.max_body'), '5');
  });

  test('its output is a conf file of its own, includes and all, wherever it is put', async () => {
    const files = { 'a.ini': '[server]\ninclude = conf.d/*.conf\n[plugin:auth]\n', 'conf.d/b.conf': '[plugin:lobby]\nnotices = no\n' };

    for (const inPlace of [false, true]) {
      const keys = await reprint(files, [], { inPlace });
      assert.equal(keys.get('plugin:lobby.notices'), 'no');
    }
  });

  test('its output can be read again when values and paths are long, or look like comments', async () => {
    const greeting = 'g'.repeat(150);

    assert.equal((await reprint({ [`${'deep'.repeat(20)}/a.ini`]: `[plugin:skeleton]\ngreeting = ${greeting}\n` })).get('plugin:skeleton.greeting'), greeting);
    await reprint({ 'a.ini': '' }, ['-o', `plugin:skeleton.greeting=${greeting}`]);
    await reprint({ 'a.ini': '[plugin:skeleton]\ngreeting = a#b;c\n' });
  });
});

describe('-o and PORT', () => {
  test('-o overrides the file, the last one wins, and a section comes to be', async () => {
    const keys = await print({ 'a.ini': '[server]\nport = 1\n' },
      ['-o', 'server.port=2', '-o', 'server.port = 3', '-o', 'plugin:lobby.notices=no', '-o', 'plugin:auth.enabled=yes', '-o', 'engine.path=/a.b']);

    assert.equal(keys.get('server.port'), '3');
    assert.equal(keys.get('plugin:lobby.notices'), 'no');
    assert.ok(keys.has('plugin:auth'));
    assert.equal(keys.get('engine.path'), '/a.b');
    assert.ok(!(await print({ 'a.ini': '[plugin:echo]\n' }, ['-o', 'plugin:echo.enabled=no'])).has('plugin:echo'));
  });

  for (const [assignment, words] of [
    ['port=1', /-o: "port=1" is no assignment: write section\.key=value/],
    ['server.port', /is no assignment/],
    ['.port=1', /is no assignment/],
    ['server.=1', /is no assignment/],
    ['=', /is no assignment/],
    ['server.prot=1', /-o: server\.prot: unknown key; did you mean "port"\?/],
    ['sever.port=1', /-o: sever: unknown section; did you mean "server"\?/],
    ['server.port=x', /-o: server\.port: "x" is not a whole number/],
    ['server.include=a.ini', /-o: server\.include: .*put it into the file/],
    ['plugin:nowhere.enabled=yes', /-o: plugin:nowhere: no such file/],
    ['server.public=a\x01b', /a control byte/],
    ['plugin:skeleton.greeting=a ;b', /-o: plugin:skeleton\.greeting: .*";"/],
    ['server.public=/none', /\/none: No such file/],
  ])
    test(`-o ${JSON.stringify(assignment)} is refused`, async () => {
      const { status, stderr } = await check('', ['-o', assignment]);

      assert.equal(status, 1);
      assert.match(stderr, words);
      assert.equal(stderr.trimEnd().split('\n').length, 1);
    });

  test('PORT wins over file and -o, and is checked', async () => {
    const environment = (PORT) => ({ env: { PORT } });

    assert.equal((await print({ 'a.ini': '[server]\nport = 1\n' }, [], environment('9000'))).get('server.port'), '9000');
    assert.equal((await print({ 'a.ini': '[server]\nport = 1\n' }, [], environment(''))).get('server.port'), '1');
    for (const PORT of ['x', '-1', '65536', '80 ', '1e3']) {
      const { status, stderr } = await check('', [], environment(PORT));

      assert.equal(status, 1, PORT);
      assert.match(stderr, /PORT: .* is not a port: use 0 to 65535, or unset PORT/);
    }
  });

  test('the server listens where PORT says', async (t) => {
    const free = net.createServer().listen(0, '127.0.0.1');
    await new Promise((done) => free.once('listening', done));
    const { port } = free.address();
    await new Promise((done) => free.close(done));
    const server = await startServer({ config: '[server]\nport = 1\nlisten = 127.0.0.1\n[plugin:echo]\n', args: ['-o', 'server.port=2'], env: { PORT: `${port}` } });
    t.after(() => server.stop());

    assert.equal(server.port, port);
    assert.equal((await request(server, '/')).status, 200);
  });

  test('-o plugin:lobby.notices=no reaches the plugin', async (t) => {
    const server = await startServer({ config: '[plugin:auth]\n[plugin:lobby]\n[plugin:echo]\n', args: ['-o', 'plugin:lobby.notices=no'] });
    t.after(() => server.stop());
    const [ada, bob] = [await connect(server), await connect(server)];

    ada.emit('login', 'ada');
    await hear(ada, 'welcome');
    bob.emit('login', 'bob');
    await hear(bob, 'welcome');
    ada.emit('chat', 'hello');
    assert.deepEqual(await hear(bob, 'chat'), [{ sender: 'ada', message: 'hello' }]);
    ada.disconnect();
    await settle(bob);
    await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1);
    await settle(bob);
    assert.equal(heard(bob, 'userJoined').length + heard(bob, 'userLeft').length, 0);
  });
});

/* ---- what is refused: FILE:LINE: section.key: what, and the way out */

describe('a conf file', { concurrency: 2 }, () => {
  const long = 'x'.repeat(300);

  for (const [what, text, words] of [
    ['an unknown key, like one that is', '[server]\n\nprot = 1\n', ':3: server.prot: unknown key; did you mean "port"?'],
    ['a key with letters swapped', '[engine]\nping_intreval = 1s\n', ':2: engine.ping_intreval: unknown key; did you mean "ping_interval"?'],
    ['a key in capitals', '[server]\nPort = 1\n', ':2: server.Port: unknown key; did you mean "port"?'],
    ['a key like no other', '[log]\nbanana = 1\n', ':2: log.banana: unknown key; the section\'s keys are: level'],
    ['a key of another section', '[server]\nmax_head = 1k\n', ':2: server.max_head: unknown key'],
    ['an unknown key of a plugin', '[plugin:lobby]\nnotice = no\n', ':2: plugin:lobby.notice: unknown key; did you mean "notices"?'],
    ['an unknown section, like one that is', '[plugin:echo]\n[sever]\n', ':2: sever: unknown section; did you mean "server"?'],
    ['an unknown section, like no other', '[banana]\n', ':1: banana: unknown section: use server, engine, limits, log or plugin:NAME'],
    ['a plugin without plugin:', '[lobby]\n', ':1: lobby: unknown section'],
    ['a plugin of no name', '[plugin:]\n', ':1: plugin:: no name of a plugin'],
    ['a plugin with a path for a name', '[plugin:../echo]\n', ':1: plugin:../echo: no name of a plugin'],
    ['a plugin in capitals', '[plugin:Echo]\n', ':1: plugin:Echo: no name of a plugin: use small letters, digits, _ and -'],
    ['a section twice', '[server]\nport = 1\n\n[log]\n[server]\n', ':5: server: section appears twice (first at FILE:1): merge them'],
    ['a plugin twice', '[plugin:echo]\n[plugin:echo]\n', ':2: plugin:echo: section appears twice (first at FILE:1): merge them'],
    ['a key twice', '[server]\nport = 1\nport = 1\n', ':3: server.port: key appears twice (first at FILE:2): keep one'],
    ['a key in no section', 'port = 1\n', ':1: port: the key stands in no section'],
    ['a line that says nothing', '[server]\nport\n', ':2: "port" is neither "[section]" nor "key = value"'],
    ['a header without end', '[server\n', ':1: a section\'s line is "[name]" and nothing else'],
    ['words behind a header', '[server] port = 1\n', ':1: a section\'s line is "[name]" and nothing else'],
    ['a key without name', '[server]\n= 1\n', ':2: the key has no name'],
    ['a line that is too long', `[server]\npublic = ${long}\n`, ':2: the line has 309 bytes: at most'],
    ['a NUL', '[server]\npublic = a\0b\n', ':2: the line has a NUL byte'],
    ['a control byte', '[server]\npublic = a\x1bb\n', ':2: the line has a control byte'],
    ['Latin-1', Buffer.from('[server]\npublic = \xfc\n', 'latin1'), ':2: the line has bytes that are not UTF-8'],
    ['a number with letters', '[server]\nport = 80a\n', ':2: server.port: "80a" is not a whole number: use digits only'],
    ['an empty number', '[server]\nport =\n', ':2: server.port: "" is not a whole number'],
    ['a port that is none', '[server]\nport = 65536\n', ':2: server.port: "65536" is out of bounds: use 0 to 65535'],
    ['a negative port', '[server]\nport = -1\n', ':2: server.port: "-1" is out of bounds: use 0 to 65535'],
    ['a number of 30 digits', `[server]\nport = ${'9'.repeat(30)}\n`, 'is out of bounds: use 0 to 65535'],
    ['too many threads', '[server]\nthreads = 65\n', ':2: server.threads: "65" is not a number of threads: use auto, or 0 to 64'],
    ['a size with a wrong unit', '[limits]\nmax_head = 16kb\n', ':2: limits.max_head: "16kb" is not a size: use bytes, or k, M, G'],
    ['a size out of bounds', '[limits]\nmax_head = 2M\n', ':2: limits.max_head: "2M" is out of bounds: use 256 to 1M'],
    ['a time without number', '[limits]\nhead_timeout = s\n', ':2: limits.head_timeout: "s" is not a time: use ms, s, m, h, d'],
    ['a time that is too short', '[limits]\nhead_timeout = 1ms\n', ':2: limits.head_timeout: "1ms" is out of bounds: use 10ms to 1h'],
    ['a word that is no choice', '[log]\nlevel = loud\n', ':2: log.level: "loud" is not one of: error warn info debug'],
    ['a bool that is none', '[plugin:lobby]\nnotices = maybe\n', ':2: plugin:lobby.notices: "maybe" is not a bool: use yes or no'],
    ['enabled that is no bool', '[plugin:echo]\nenabled = maybe\n', ':2: plugin:echo.enabled: "maybe" is not a bool: use yes or no'],
    ['a host name to listen on', '[server]\nlisten = localhost\n', ':2: server.listen: "localhost" is not a numeric address: use one such as 127.0.0.1'],
    ['an address twice', '[server]\nlisten = ::1, 0::1\n', ':2: server.listen: "0::1" stands there twice'],
    ['no address', '[server]\nlisten = ,\n', ':2: server.listen: no address'],
    ['a status without port', '[server]\nstatus = 127.0.0.1\n', ':2: server.status: "127.0.0.1" is not ADDRESS:PORT'],
    ['a status of IPv6 without brackets', '[server]\nstatus = ::1:80\n', ':2: server.status: "::1:80" is not ADDRESS:PORT'],
    ['a path that is none', '[engine]\npath = socket.io\n', ':2: engine.path: "socket.io" must start with "/"'],
    ['a transport that nobody has', '[engine]\ntransports = polling, pigeon\n', ':2: engine.transports: "pigeon" is not a transport: use polling, websocket, or both'],
    ['an origin with a path', '[engine]\norigins = https://a.example/\n', ':2: engine.origins: "https://a.example/" is not an origin'],
    ['limits that contradict each other', '[limits]\nsoft_queue = 2M\n', ':2: limits.soft_queue: 2097152 is more than max_queue'],
    ['a plugin without file', '[plugin:echo]\n[plugin:nowhere]\n', ':2: plugin:nowhere: no such file DIR/nowhere.so: install it, fix plugin_dir, or set enabled = no'],
    ['a plugin\'s file that is missing', '[plugin:echo]\nfile = other.so\n', ': plugin:echo: no such file DIR/other.so'],
    ['a plugin\'s file that is a folder', '[plugin:echo]\nfile = /\n', ': plugin:echo: / is not a regular file'],
    ['a plugin\'s file that is no library', '[plugin:echo]\nfile = /etc/passwd\n', ': plugin:echo: /etc/passwd is no shared object: give the .so that the compiler has made'],
    ['a file of another plugin', '[plugin:echo]\nfile = auth.so\n', ':1: plugin:echo: DIR/auth.so holds the plugin "auth": name its section [plugin:auth]'],
    ['a plugin that lacks one it needs', '[plugin:lobby]\n', ':1: plugin:lobby: needs the plugin auth: add a section [plugin:auth], or turn lobby off with enabled = no'],
    ['a plugin that needs one that is off', '[plugin:lobby]\n[plugin:auth]\nenabled = no\n', ':1: plugin:lobby: needs the plugin auth, which is turned off at FILE:2'],
    ['plugins that need each other', '[plugin:circle_a]\n[plugin:circle_b]\n', 'plugins wait for each other (requires, wants): circle_'],
    ['a plugin that needs one nobody has', '[plugin:echo]\n[plugin:needy]\n', ':2: plugin:needy: needs the plugin nowhere'],
  ])
    test(`with ${what} is refused`, async () => {
      const { conf } = write({ 'a.ini': text });
      const { status, stdout, stderr } = await runSockhop(['-t', '-c', conf, ...DIRS]);
      const expected = words.replaceAll('FILE', conf).replaceAll('DIR', pluginDir());

      assert.equal(status, 1);
      assert.equal(stdout, '');
      assert.ok(stderr.startsWith('sockhop: '), stderr);
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
      assert.ok(stderr.includes(/^:\d/.test(words) ? conf + expected : expected), stderr);
    });

  test('refuses to start for the same reasons, with the same words', async () => {
    const { conf } = write({ 'a.ini': '[server]\nport = 0\nlissten = ::1\n' });
    const { status, stderr } = await runSockhop(['-c', conf, ...DIRS]);

    assert.equal(status, 1);
    assert.equal(stderr, `sockhop: ${conf}:3: server.lissten: unknown key; did you mean "listen"?\n`);
  });

  test('may have comments, blanks, a BOM and line ends of any kind', async () => {
    const text = '\ufeff; a comment\r\n# another\r\n\r\n  [ server ] ; here too\r\n\tport=1234\r\n   threads   =   2   ; two\r\npublic =\r\n[plugin:echo]';
    const { stdout } = await runSockhop(['-T', '-c', write({ 'a.ini': text }).conf, ...DIRS.slice(0, 2)]);
    const keys = parse(stdout);

    assert.equal(keys.get('server.port'), '1234');
    assert.equal(keys.get('server.threads'), '2');
    assert.equal(keys.get('server.public'), '');
    assert.ok(keys.has('plugin:echo'));
  });

  test('relative paths count from the file that they stand in', async () => {
    const { folder } = write({ 'e/a.ini': '[server]\npublic = ../page\n', 'page/index.html': 'page' });

    for (const [cwd, conf] of [['/', join(folder, 'e/a.ini')], [folder, 'e/a.ini'], [join(folder, 'e'), 'a.ini'], [join(folder, 'page'), '../e/a.ini']]) {
      const { status, stderr } = await runSockhop(['-t', '-c', conf, ...DIRS.slice(0, 2)], { cwd });

      assert.equal(status, 0, stderr);
    }
  });

  test('a page\'s folder that is missing stops the start', async () => {
    const { stderr, status } = await runSockhop(['-t', '-c', write({ 'a.ini': '[server]\npublic = none\n' }).conf, ...DIRS.slice(0, 2)]);

    assert.equal(status, 1);
    assert.match(stderr, /none: No such file or directory/);
  });
});

describe('include', { concurrency: 2 }, () => {
  test('takes files by pattern, in the order of their names', async () => {
    const files = {
      'a.ini': '[server]\ninclude = conf.d/*.conf, extra.ini\n[plugin:auth]\n',
      'conf.d/20.conf': '[plugin:echo]\n', 'conf.d/10.conf': '[plugin:lobby]\nnotices = no\n', 'conf.d/not.this': '[nonsense]\n',
      'extra.ini': '[log]\nlevel = debug\n',
    };
    const keys = await print(files);

    assert.deepEqual([...keys.keys()].filter((key) => /^plugin:\w+$/.test(key)), ['plugin:auth', 'plugin:lobby', 'plugin:echo']);
    assert.equal(keys.get('log.level'), 'debug');
    assert.equal(keys.get('plugin:lobby.notices'), 'no');
  });

  test('a pattern may match nothing, a name may not', async () => {
    assert.ok((await print({ 'a.ini': '[server]\ninclude = conf.d/*.conf, none*\n' })).has('server'));
    const { conf } = write({ 'a.ini': '[server]\n\ninclude = none.ini\n' });
    const { status, stderr } = await runSockhop(['-t', '-c', conf, ...DIRS]);
    assert.equal(status, 1);
    assert.match(stderr, /a\.ini:3: server\.include: .*none\.ini: cannot be opened: No such file/);
  });

  for (const [what, files, words] of [
    ['a mistake in it', { 'a.ini': '[server]\ninclude = *.conf\n', 'b.conf': '[server\n' }, /b\.conf:1: a section's line/],
    ['an unknown key in it', { 'a.ini': '[server]\ninclude = *.conf\n', 'b.conf': '[log]\n\nlevle = info\n' }, /b\.conf:3: log\.levle: unknown key; did you mean "level"\?/],
    ['a section that the first file has', { 'a.ini': '[server]\ninclude = *.conf\n', 'b.conf': '[server]\n' }, /b\.conf:1: server: section appears twice \(first at .*a\.ini:1\)/],
    ['itself', { 'a.ini': '[server]\ninclude = *.ini\n' }, /a\.ini has been read already: name it once/],
    ['a file twice', { 'a.ini': '[server]\ninclude = b.conf, ./b.conf\n', 'b.conf': '[log]\n' }, /b\.conf has been read already/],
    ['a folder', { 'a.ini': '[server]\ninclude = d\n', 'd/b.conf': '[log]\n' }, /a\.ini:2: server\.include: .*is a folder/],
  ])
    test(`${what} is refused`, async () => {
      const { status, stderr } = await runSockhop(['-t', '-c', write(files).conf, ...DIRS]);

      assert.equal(status, 1);
      assert.match(stderr, words);
    });
});

describe('plugins', () => {
  test('an empty section enables one, enabled = no disables it', async (t) => {
    const server = await startWith(['echo', 'auth'], { config: '[plugin:rooms]\nenabled = no\n' });
    t.after(() => server.stop());
    const metrics = await server.metrics();

    await server.waitLog(/plugin\.started plugin=echo version=\S+/);
    assert.deepEqual([...metrics.keys()].filter((name) => name.startsWith('sockhop_plugin_info')).map((name) => /plugin="(\w+)"/.exec(name)[1]), ['echo', 'auth']);
    assert.deepEqual(await ask(await connect(server), 'echo', 1), [1]);
  });

  for (const word of ['no', 'off', 'false', '0'])
    test(`enabled = ${word} turns off even what is not there`, async () => {
      assert.equal((await check(`[plugin:nowhere]\nenabled = ${word}\nanything = goes\n`)).status, 0);
    });

  test('file names another one', async () => {
    assert.ok((await print({ 'a.ini': `[plugin:echo]\nfile = ${join(pluginDir(), 'echo.so')}\n` })).has('plugin:echo'));
  });

  /* T12, and docs/DESIGN.md 5: what is refused when the file is opened, and what when it starts */
  for (const [name, at, words] of [
    ['bad_abi', 'check', /bad_abi\.so: built for plugin ABI \d+, this sockhop has \d+: rebuild it/],
    ['bad_minor', 'check', /bad_minor\.so: built for interface \d+\.\d+, this sockhop has \d+\.\d+: update sockhop or rebuild the plugin/],
    ['bad_entry', 'check', /bad_entry\.so exports no hop_plugin_entry: it is no plugin of sockhop/],
    ['bad_key', 'check', /bad_key\.so: its key table is wrong: far: it lies outside of the state/],
    ['bad_name', 'check', /bad_name\.so holds the plugin "other": name its section \[plugin:other\]/],
    ['bad_symbol', 'check', /bad_symbol\.so: hop_from_the_future is missing: built for a newer sockhop, this one has interface \d+\.\d+: update sockhop or rebuild/],
    ['bad_event', 'start', /plugin:bad_event: .*disconnecting.*reserved/],
    ['bad_check', 'check', /plugin:bad_check: no good/],
    ['bad_init', 'start', /plugin:bad_init: cannot open the pod bay doors/],
  ])
    test(`${name} is refused, by ${at === 'check' ? '-t and ' : ''}the start, with its reason and its place`, async () => {
      const { conf } = write({ 'a.ini': `[server]\nport = 0\n[plugin:echo]\n[plugin:${name}]\n` });

      for (const flags of at === 'check' ? [['-t'], ['-T'], []] : [[]]) {
        const { status, stdout, stderr } = await runSockhop([...flags, '-c', conf, ...DIRS]);
        const lines = stderr.trimEnd().split('\n');

        assert.equal(status, 1);
        assert.equal(lines.at(-1).slice(0, lines.at(-1).indexOf(`plugin:${name}`)), `sockhop: ${conf}:4: `);
        assert.match(lines.at(-1), words);
        assert.doesNotMatch(stderr, /listener\.open/);
        if (flags[0] !== '-T') assert.equal(stdout, '');
      }
    });
});
