/*
 * badconfig.test.js - T40: wrong conf files by the hundred. Each is refused by -t and by the start with
 * status 1, nothing on stdout, and one line on stderr: the place, the key, what is wrong, the way out.
 * What conf files mean when they are right is in config.test.js.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';

import { IS_ROOT, runSockhop } from '../lib/server.js';

const top = mkdtempSync(join(tmpdir(), 'sockhop-bad-'));
after(() => rmSync(top, { recursive: true, force: true }));

let n_folders = 0;
let n_bad = 0;

/* A folder with these files; returns the path of the first. */
function write(files) {
  const folder = join(top, `${++n_folders}`);

  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return join(folder, Object.keys(files)[0]);
}

/* Asserts that both refuse it. words: what the line holds; FILE and FOLDER stand for the paths. */
async function assertRefused(conf, words, flags = [['-t'], []]) {
  n_bad++;
  for (const mode of flags) {
    const { status, stdout, stderr } = await runSockhop([...mode, '-c', conf, '-o', 'server.public=']);
    const lines = stderr.trimEnd().split('\n');
    const expected = words.replaceAll('FILE', conf).replaceAll('FOLDER', dirname(conf));

    assert.equal(status, 1, `${mode}: status`);
    assert.equal(stdout, '');
    assert.equal(lines.length, 1, stderr);
    assert.ok(lines[0].startsWith('sockhop: ') && lines[0].includes(expected), `${stderr}\nlacks ${expected}`);
  }
}

/* ---- the values of every key that is no text */

const bad = {
  number: ['x', '', '1.5', '1 2', '99999999999999999999'],
  size: ['', '-1', '1kb', '99999999999999999999'],
  time: ['', '-1s', '1w', '99999999999d'],
  bool: ['maybe', '', 'YES'],
};
const complaint = {
  number: /^"[^"]*" is (not a whole number: use digits only|out of bounds: use -?\d+ to \d+)$/,
  size: /^"[^"]*" is (not a size: use bytes, or k, M, G|out of bounds: use \d+[kMG]? to \d+[kMG]?)/,
  time: /^"[^"]*" is (not a time: use ms, s, m, h, d|out of bounds: use \d+\w* to \d+\w+)/,
  bool: /^"[^"]*" is not a bool: use yes or no$/,
};

/* The kind that a default value looks like. Sizes may have no unit: the complaint tells. */
function kindOf(value) {
  if (/^\d+$/.test(value)) return 'number';
  if (/^\d+[kMG]$/.test(value)) return 'size';
  if (/^\d+(ms|s|m|h|d)$/.test(value)) return 'time';
  return /^(yes|no)$/.test(value) ? 'bool' : 'text';
}

describe('T40: every key', () => {
  test('that is no text refuses what is not of its kind, with its place and what to use', async (t) => {
    const { stdout, status } = await runSockhop(['-T', '-c', write({ 'a.ini': '' }), '-o', 'server.public=']);
    const kinds = new Set();
    let section;
    let n = 0;

    assert.equal(status, 0);
    for (const line of stdout.split('\n')) {
      const [, key, value] = /^([a-z_]+) = (\S*)$/.exec(line) ?? [];
      const kind = value === undefined ? 'text' : kindOf(value);

      section = /^\[(.*)\]$/.exec(line)?.[1] ?? section;
      if (kind === 'text') continue;
      for (const wrong of bad[kind]) {
        const conf = write({ 'a.ini': `[${section}]\n${key} = ${wrong}\n` });
        const refused = await runSockhop(['-t', '-c', conf, '-o', 'server.public=']);
        const place = `sockhop: ${conf}:2: ${section}.${key}: `;

        assert.equal(refused.status, 1, `${key} = ${wrong}`);
        assert.equal(refused.stdout, '');
        assert.ok(refused.stderr.startsWith(place), refused.stderr);
        const reason = refused.stderr.trimEnd().slice(place.length);
        assert.ok((kind === 'number' ? [complaint.number, complaint.size, complaint.time] : [complaint[kind]]).some((fits) => fits.test(reason)), refused.stderr);
        n++;
      }
      kinds.add(kind);
    }
    assert.equal(kinds.size, 4);
    assert.ok(n >= 120, `${n}`);
    n_bad += n;
    t.diagnostic(`${n} bad values refused`);
  });
});

/* ---- what a file may hold */

const line = (n) => `k = ${'x'.repeat(n - 4)}`; /* n bytes */
const many = (n, text) => Array.from({ length: n }, (_, i) => text(i)).join('');

describe('T40: a file', { concurrency: 2 }, () => {
  for (const [what, text, words] of [
    ['of zeros', Buffer.alloc(100), 'FILE:1: the line has a NUL byte: save the file as UTF-8 text'],
    ['with a NUL in a key', '[server]\npo\0rt = 1\n', 'FILE:2: the line has a NUL byte'],
    ['with a NUL in a section', '[ser\0ver]\n', 'FILE:1: the line has a NUL byte'],
    ['with a NUL in a comment', '[log]\n; \0\n', 'FILE:2: the line has a NUL byte'],
    ['with a NUL behind all', '[log]\nlevel = info\n\0', 'FILE:3: the line has a NUL byte'],
    ['in UTF-16', Buffer.from('\ufeff[server]\nport = 1\n', 'utf16le'), 'FILE:1: the line has a NUL byte'],
    ['in UTF-16, big end first', Buffer.from('\ufeff[server]\n', 'utf16le').swap16(), 'FILE:1: the line has a NUL byte'],
    ['in Latin-1', Buffer.from('[server]\npublic = \xe4\n', 'latin1'), 'FILE:2: the line has bytes that are not UTF-8'],
    ['with an overlong slash', Buffer.from('[server]\npublic = \xc0\xaf\n', 'latin1'), 'FILE:2: the line has bytes that are not UTF-8'],
    ['with half a character', Buffer.from('[server]\npublic = \xe2\x82\n', 'latin1'), 'FILE:2: the line has bytes that are not UTF-8'],
    ['with a surrogate', Buffer.from('[server]\npublic = \xed\xa0\x80\n', 'latin1'), 'FILE:2: the line has bytes that are not UTF-8'],
    ['beyond Unicode', Buffer.from('[server]\npublic = \xf4\x90\x80\x80\n', 'latin1'), 'FILE:2: the line has bytes that are not UTF-8'],
    ['that is gzipped', Buffer.from('1f8b0800000000000003', 'hex'), 'FILE:1: the line has'],
    ['that is a program', Buffer.from('\x7fELF\x02\x01\x01\0\0\0', 'latin1'), 'FILE:1: the line has a NUL byte'],
    ['with a BOM twice', '\ufeff\ufeff[server]\n', 'FILE:1: "\ufeff[server]" is neither "[section]" nor "key = value"'],
    ['with a BOM in its midst', '[log]\n\ufeff[server]\n', 'FILE:2: "\ufeff[server]" is neither'],
    ['with an escape sequence', '[server]\npublic = \x1b[2J\n', 'FILE:2: the line has a control byte'],
    ['with a backspace', '[server]\npublic = a\bb\n', 'FILE:2: the line has a control byte'],
    ['with a vertical tab', '[server]\nport = 1\v\n', 'FILE:2: the line has a control byte'],
    ['with DEL', '[server]\npublic = \x7f\n', 'FILE:2: the line has a control byte'],
    ['with line ends of old Macs', '[server]\rport = 1\r', 'FILE:1: the line has a control byte'],
    ['with a CR in a line', '[server]\npublic = a\rb\n', 'FILE:2: the line has a control byte'],
    ['with a line of 199 bytes', `[log]\n${line(199)}\n`, 'FILE:2: the line has 199 bytes: at most 198'],
    ['with a line of 200 bytes', `[log]\n${line(200)}\n`, 'FILE:2: the line has 200 bytes: at most 198'],
    ['with a line of 200 bytes and CRLF', `[log]\r\n${line(200)}\r\n`, 'FILE:2: the line has 200 bytes: at most 198'],
    ['with a line of 100,000 bytes', `[log]\n${line(100000)}`, 'FILE:2: the line has 100000 bytes: at most 198'],
    ['with a comment of 199 bytes', `;${'x'.repeat(198)}\n`, 'FILE:1: the line has 199 bytes: at most 198'],
    ['with 199 blanks', `${' '.repeat(199)}\n`, 'FILE:1: the line has 199 bytes: at most 198'],
    ['with a section of 199 bytes', `[${'x'.repeat(197)}]\n`, 'FILE:1: the line has 199 bytes: at most 198'],
    ['of more than 1 MiB', '; comment\n'.repeat(110000), 'FILE: larger than 1048576 bytes: is it a conf file?'],
    ['of one line of more than 1 MiB', 'x'.repeat((1 << 20) + 1), 'FILE: larger than 1048576 bytes'],
    ['with 1,001 sections', many(1001, (i) => `[plugin:p${i}]\nenabled = no\n`), 'FILE:2001: plugin:p1000: more than 1000 sections'],
    ['with 1,001 keys', `[server]\n${many(1001, (i) => `k${i} = 1\n`)}`, 'FILE:1002: server: more than 1000 keys'],
    ['without "="', '[server]\nport 80\n', 'FILE:2: "port 80" is neither "[section]" nor "key = value"'],
    ['with a word alone', 'server\n', 'FILE:1: "server" is neither'],
    ['with "=" alone', '[server]\n=\n', 'FILE:2: the key has no name: write "key = value"'],
    ['with ":" alone', '[server]\n:\n', 'FILE:2: the key has no name'],
    ['with a key of blanks', '[server]\n  = 1\n', 'FILE:2: the key has no name'],
    ['with a quoted key', '[server]\n"port" = 1\n', 'FILE:2: server."port": unknown key'],
    ['with a quoted value', '[server]\nport = "1"\n', 'FILE:2: server.port: ""1"" is not a whole number: use digits only'],
    ['with a value of two lines', '[server]\nlisten = 127.0.0.1,\n  ::1\n', 'FILE:3: '],
    ['with a line that goes on behind a backslash', '[server]\nport = \\\n80\n', 'FILE:3: "80" is neither'],
    ['with an open section', '[server\nport = 1\n', 'FILE:1: a section\'s line is "[name]" and nothing else'],
    ['with a section closed only', 'server]\n', 'FILE:1: "server]" is neither'],
    ['with a section of no name', '[]\n', 'FILE:1: the section has no name: write "[name]"'],
    ['with a section of blanks', '[ \t ]\n', 'FILE:1: the section has no name'],
    ['with a section in a section', '[[server]]\n', 'FILE:1: a section\'s line is "[name]" and nothing else'],
    ['with two sections in a line', '[server] [log]\n', 'FILE:1: a section\'s line is'],
    ['with a section in capitals', '[SERVER]\n', 'FILE:1: SERVER: unknown section'],
    ['with a section twice, spaced', '[server]\n[log]\n[ server ]\n', 'FILE:3: server: section appears twice (first at FILE:1): merge them'],
    ['with a key twice, spaced', '[server]\nport=1\n\tport\t=\t1\n', 'FILE:3: server.port: key appears twice (first at FILE:2): keep one'],
    ['with a key twice, once ":"', '[server]\nport = 1\nport : 1\n', 'FILE:3: server.port: key appears twice'],
    ['in TOML', 'title = "sockhop"\n[server]\n', 'FILE:1: title: the key stands in no section: put it below "[server]" or another'],
    ['in YAML', 'server:\n  port: 80\n', 'FILE:1: server: the key stands in no section'],
    ['in JSON', '{"server": {"port": 80}}\n', 'FILE:1: {"server": the key stands in no section'],
    ['in XML', '<server port="80"/>\n', 'FILE:1: <server port: the key stands in no section'],
    ['of a shell', '#!/bin/sh\nexport PORT=80\n', 'FILE:2: export PORT: the key stands in no section'],
    ['with a merge conflict', '[server]\n<<<<<<< HEAD\nport = 1\n=======\nport = 2\n>>>>>>> other\n', 'FILE:2: "<<<<<<< HEAD" is neither'],
    ['with a key of another section', '[engine]\nport = 80\n', 'FILE:2: engine.port: unknown key'],
    ['with a key of a plugin that has none', '[log]\n[plugin:echo]\nenabled = no\nfile\n', 'FILE:4: "file" is neither'],
    ['with an include in the wrong section', '[log]\ninclude = x\n', 'FILE:2: log.include: unknown key'],
    ['with a plugin\'s name of 33 letters', `[plugin:${'a'.repeat(33)}]\n`, 'FILE:1: plugin:'],
    ['with a plugin in a path', '[plugin:a/../b]\n', 'FILE:1: plugin:a/../b: no name of a plugin: use small letters, digits, _ and -'],
    ['with a plugin that begins with a digit', '[plugin:1a]\n', 'FILE:1: plugin:1a: no name of a plugin'],
    ['with a plugin and a blank', '[plugin: echo]\n', 'FILE:1: plugin: echo: no name of a plugin'],
    ['with another prefix', '[module:echo]\n', 'FILE:1: module:echo: unknown section'],
    ['with too many addresses', `[server]\nlisten = ${many(17, (i) => `127.0.0.${i + 1},`)}\n`, 'FILE:2: '],
    ['with an address and a port', '[server]\nlisten = 127.0.0.1:80\n', 'FILE:2: server.listen: "127.0.0.1:80" is not a numeric address: use one such as 127.0.0.1 or ::1'],
    ['with a short address', '[server]\nlisten = 127.1\n', 'FILE:2: server.listen: "127.1" is not a numeric address'],
    ['with an address in brackets', '[server]\nlisten = [::1]\n', 'FILE:2: server.listen: "[::1]" is not a numeric address'],
    ['with an address of an interface', '[server]\nlisten = fe80::1%lo\n', 'FILE:2: server.listen: "fe80::1%lo" is not a numeric address'],
    ['with a very long address', `[server]\nlisten = ${'1'.repeat(180)}\n`, 'is not a numeric address'],
    ['with all addresses as *', '[server]\nlisten = *\n', 'FILE:2: server.listen: "*" is not a numeric address'],
    ['with a status of a name', '[server]\nstatus = localhost:1\n', 'FILE:2: server.status: "localhost:1" is not ADDRESS:PORT: use one such as 127.0.0.1:9090 or [::1]:9090'],
    ['with a status of a port', '[server]\nstatus = 9090\n', 'FILE:2: server.status: "9090" is not ADDRESS:PORT'],
    ['with a path of dots', '[engine]\npath = /a/../b\n', 'FILE:2: engine.path: "/a/../b" must not have'],
    ['with a path and a query', '[engine]\npath = /a?b\n', 'FILE:2: engine.path: "/a?b" may have letters, digits and'],
    ['with an origin without scheme', '[engine]\norigins = example.org\n', 'FILE:2: engine.origins: "example.org" is not an origin: use *, or one such as https://example.org'],
    ['with an origin in capitals', '[engine]\norigins = https://Example.org\n', 'FILE:2: engine.origins: "https://Example.org" is not an origin'],
    ['with a pattern for an origin', '[engine]\norigins = https://*.example.org\n', 'is not an origin'],
    ['with threads of none', '[server]\nthreads = -1\n', 'FILE:2: server.threads: "-1" is not a number of threads: use auto, or 0 to 64'],
    ['with a level in capitals', '[log]\nlevel = INFO\n', 'FILE:2: log.level: "INFO" is not one of: error warn info debug'],
    ['whose limits contradict each other', '[limits]\nmax_target = 64k\n', 'FILE:2: limits.max_target: 65536 is more than max_head, which is 16384: lower it, or raise max_head'],
    ['with a user that nobody has', '[server]\nuser = no-such-user\n', 'FILE:2: server.user: no user "no-such-user" on this system: create it, or name another'],
  ])
    test(`${what} is refused`, async () => assertRefused(write({ 'a.ini': text }), words, what.startsWith('with a user') ? [['-t']] : undefined));

  test('of 198 bytes a line, 1 MiB, 1,000 sections, 1,000 disabled keys is accepted', async () => {
    for (const text of [
      `[plugin:a]\nenabled = no\n${line(198)}\n`,
      `[plugin:a]\r\nenabled = no\r\n${line(198)}\r\n`,
      `;${'x'.repeat(197)}\n`,
      ';'.padEnd(128, 'x').concat('\n').repeat(8128).slice(0, 1 << 20),
      many(999, (i) => `[plugin:p${i}]\nenabled = no\n`), /* and -o makes one */
      `[plugin:a]\nenabled = no\n${many(999, (i) => `k${i} = 1\n`)}`,
      '', '\n', '\r\n', ';', '#', '\ufeff', '\ufeff\r\n', '[server]', '[log]\nlevel=info', ' [log]\n level : info ; a comment\n',
    ]) {
      const { status, stderr } = await runSockhop(['-t', '-c', write({ 'a.ini': text }), '-o', 'server.public=']);

      assert.equal(stderr, '', text.slice(0, 60));
      assert.equal(status, 0);
    }
  });
});

/* ---- what may stand where a file should */

describe('T40: in the place of a file', { concurrency: 2 }, () => {
  const path = (name) => join(dirname(write({ 'd/x': '' })), name);

  test('nothing', async () => assertRefused(path('none.ini'), 'FILE: cannot be opened: No such file or directory: name the conf file with -c'));
  test('an empty name', async () => assertRefused('', 'cannot be opened: No such file or directory'));
  test('a name of 300 letters', async () => assertRefused(path('x'.repeat(300)), 'cannot be opened: File name too long'));
  test('a folder', async () => assertRefused(dirname(write({ 'a.ini': '' })), 'is a folder, not a conf file'));
  test('a device', async () => assertRefused('/dev/zero', '/dev/zero: is no regular file, not a conf file'));
  test('a link to nothing', async () => {
    symlinkSync('nowhere', path('link.ini'));
    await assertRefused(join(top, `${n_folders}`, 'd/link.ini'), 'FILE: cannot be opened: No such file');
  });
  test('a link to itself', async () => {
    const conf = path('loop.ini');

    symlinkSync('loop.ini', conf);
    await assertRefused(conf, 'FILE: cannot be opened: Too many levels of symbolic links');
  });
  test('something below a file', async () => assertRefused(join(write({ 'a.ini': '' }), 'b.ini'), 'cannot be opened: Not a directory'));
  test('a FIFO, for which it does not wait', async () => {
    const conf = path('fifo.ini');

    assert.equal(spawnSync('mkfifo', [conf]).status, 0);
    await assertRefused(conf, 'FILE: is no regular file, not a conf file');
  });
  test('a socket', async () => {
    const conf = path('s.ini');

    assert.equal(spawnSync(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(conf)}, () => process.exit())`]).status, 0);
    spawnSync(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(conf)}, () => process.kill(process.pid, 'SIGKILL'))`]);
    await assertRefused(conf, 'FILE: cannot be opened: No such device or address');
  });
  test('a file that may not be read', { skip: IS_ROOT && 'root may read everything' }, async () => {
    const conf = write({ 'a.ini': '' });

    chmodSync(conf, 0);
    await assertRefused(conf, 'FILE: cannot be opened: Permission denied');
  });
});

describe('T40: include', { concurrency: 2 }, () => {
  for (const [what, files, words] of [
    ['of nothing', { 'a.ini': '[server]\ninclude = none.ini\n' }, 'FILE:2: server.include: FOLDER/none.ini: cannot be opened: No such file'],
    ['of itself', { 'a.ini': '[server]\ninclude = a.ini\n' }, 'FILE:2: server.include: FOLDER/a.ini has been read already: name it once'],
    ['of itself by a detour', { 'a.ini': '[server]\ninclude = ../d/a.ini\n' }, 'has been read already: name it once'],
    ['of itself by a pattern', { 'a.ini': '[server]\ninclude = [a].ini\n' }, 'has been read already: name it once'],
    ['of a file twice', { 'a.ini': '[server]\ninclude = b.ini, b.*\n', 'b.ini': '' }, 'FILE:2: server.include: FOLDER/b.ini has been read already'],
    ['of a folder', { 'a.ini': '[server]\ninclude = b\n', 'b/c.ini': '' }, 'FILE:2: server.include: FOLDER/b: is a folder, not a conf file'],
    ['of a folder by a pattern', { 'a.ini': '[server]\ninclude = b*\n', 'b/c.ini': '' }, 'FOLDER/b: is a folder'],
    ['of a device', { 'a.ini': '[server]\ninclude = /dev/null\n' }, 'FILE:2: server.include: /dev/null: is no regular file'],
    ['of one that includes', { 'a.ini': '[server]\ninclude = b.ini\n', 'b.ini': '[server]\ninclude = c.ini\n', 'c.ini': '' }, 'FOLDER/b.ini:1: server: section appears twice (first at FILE:1): merge them'],
    ['of one that has NUL bytes', { 'a.ini': '[server]\ninclude = b.ini\n', 'b.ini': '\0' }, 'FOLDER/b.ini:1: the line has a NUL byte'],
    ['of one that is too long', { 'a.ini': '[server]\ninclude = b.ini\n', 'b.ini': ';\n'.repeat(1 << 20) }, 'FILE:2: server.include: FOLDER/b.ini: larger than 1048576 bytes'],
    ['of one with a key in no section, which does not go on with ours', { 'a.ini': '[server]\ninclude = b.ini\n', 'b.ini': 'port = 1\n' }, 'FOLDER/b.ini:1: port: the key stands in no section'],
    ['of one with an unknown key', { 'a.ini': '[server]\ninclude = b.ini\n', 'b.ini': '[log]\n\n\nlevle = info\n' }, 'FOLDER/b.ini:4: log.levle: unknown key; did you mean "level"?'],
    ['of one with a plugin that we have', { 'a.ini': '[server]\ninclude = b.ini\n[plugin:a]\nenabled = no\n', 'b.ini': '[plugin:a]\n' }, 'FOLDER/b.ini:1: plugin:a: section appears twice (first at FILE:3)'],
  ])
    test(`${what} is refused`, async () => {
      const named = Object.fromEntries(Object.entries(files).map(([name, text]) => [`d/${name}`, text]));

      await assertRefused(write(named), words);
    });

  test('of itself by another name is refused', async () => {
    const conf = write({ 'a.ini': '[server]\ninclude = b.ini, c.ini\n', 'c.ini': '' });

    linkSync(conf, join(dirname(conf), 'b.ini'));
    await assertRefused(conf, 'FILE:2: server.include: FOLDER/b.ini has been read already: name it once');
  });
});

test('T40: there were more than 200 of them', (t) => {
  assert.ok(n_bad >= 200, `${n_bad}`);
  t.diagnostic(`${n_bad} bad configurations refused`);
});
