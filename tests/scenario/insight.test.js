/*
 * insight.test.js - what sockhop tells of itself before it serves: --print-hooks, --config-doc, and what
 * it keeps to itself.
 *
 * Plugins: phases, hazard, echo of the tests.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { pluginDir } from '../lib/client.js';
import { runSockhop } from '../lib/server.js';

let folder;
before(() => (folder = mkdtempSync(join(tmpdir(), 'sockhop-conf-'))));
after(() => rmSync(folder, { recursive: true }));

/* Runs it on a conf file of that text. */
async function run(config, ...args) {
  const conf = join(folder, 'some.ini');

  writeFileSync(conf, `[server]\nport = 0\npublic =\nplugin_dir = ${pluginDir()}\n${config}`);
  return runSockhop(['-c', conf, ...args]);
}

/* The rows below a title, as arrays of words. */
function rowsOf(text, title) {
  const part = text.split('\n\n').find((table) => table.startsWith(title));

  return part ? part.split('\n').slice(2).map((line) => line.split(/ {2,}/)) : [];
}

describe('--print-hooks', () => {
  const CONF = '[plugin:echo]\n[plugin:phases]\n[plugin:hazard]\n';

  test('shows the handlers of each event in the order of their calls, before= and phases minded', async () => {
    const { status, stdout } = await run(`${CONF}before = phases\nwatch = yes\n`, '--print-hooks');
    const of = (event) => rowsOf(stdout, 'handlers of events').filter(([name]) => name === event);

    assert.equal(status, 0);
    assert.deepEqual(of('echo'), [
      ['echo', '1', 'guard', 'hazard', '/', 'any'],
      ['echo', '2', 'guard', 'hazard', '*', 'it'],
      ['echo', '3', 'guard', 'phases', '/', 'it'],
      ['echo', '4', 'handle', 'echo', '/', 'it'],
      ['echo', '5', 'observe', 'phases', '/', 'it'],
    ]);
    assert.deepEqual(of('*'), [['*', '1', 'guard', 'hazard', '/', 'any']]);
  });

  test('columns stand below their heads', async () => {
    const { stdout } = await run(CONF, '--print-hooks');
    const lines = stdout.split('\n\n')[0].split('\n');

    assert.deepEqual(lines.map((line) => line.trimEnd()), lines);
    for (const line of lines.slice(1)) assert.match(line.slice(lines[1].indexOf('VERSION') - 2), /^ {2}\S/);
  });

  test('shows plugins, hooks, middleware, handshakes, paths and interfaces', async () => {
    const { stdout } = await run('[plugin:auth]\n[plugin:lobby]\n[plugin:gate]\n[plugin:doorman]\n[plugin:route]\n[plugin:peers]\n', '--print-hooks');

    assert.deepEqual(rowsOf(stdout, 'plugins').map(([, name]) => name), ['auth', 'lobby', 'gate', 'doorman', 'route', 'peers']);
    assert.deepEqual(rowsOf(stdout, 'lifecycle').at(-1), ['namespace', '1', 'gate', '*']);
    assert.ok(rowsOf(stdout, 'asked').some(([what, , name]) => what === 'middleware' && name === 'gate'));
    assert.deepEqual(rowsOf(stdout, 'handshakes').at(-1), ['/socket.io', 'connection_error', '2', 'doorman']);
    assert.ok(rowsOf(stdout, 'paths').some((row) => row.join() === '/test/body,POST,route'));
    assert.ok(rowsOf(stdout, 'paths').some((row) => row.join() === '/ws-echo,WebSocket,peers'));
    assert.equal(rowsOf(stdout, 'interfaces')[0][0], 'auth');
  });

  test('opens no port, calls no ready(), stops the plugins', async () => {
    const { status, stderr } = await run(CONF, '--print-hooks');

    assert.equal(status, 0);
    assert.doesNotMatch(stderr, /listener\.open|hazard\.ready|server\.ready/);
  });

  test('a plugin that does not start is the error that a start would give', async () => {
    const { status, stdout, stderr } = await run('[plugin:bad_init]\n', '--print-hooks');

    assert.equal(status, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /plugin:bad_init: /);
  });
});

describe('--config-doc', () => {
  test('every key with its help, type, bounds, default, as text', async () => {
    const { status, stdout } = await run('[plugin:hazard]\n', '--config-doc');

    assert.equal(status, 0);
    assert.match(stdout, /^\[server\]\n/);
    assert.match(stdout, /\nwatchdog\n {4}[^\n]+\n {4}time, 0 to 1h; default 10s\n/);
    assert.match(stdout, /\nparser\n {4}[^\n]+\n {4}one of json, msgpack; default json\n/);
    assert.match(stdout, /\n\[plugin:hazard\]\ndoes what plugins must not\n/);
    assert.match(stdout, /\npin\n {4}a number that nobody must see\n {4}number, 1000 to 9999; default 1234; may be changed while the server runs; secret\n/);
    assert.equal((await run('[plugin:hazard]\n', '--config-doc=text')).stdout, stdout);
  });

  test('as a conf file, which means the defaults with or without its marks', async () => {
    const { stdout } = await run('[plugin:echo]\n[plugin:hazard]\n', '--config-doc=conf');
    const all = stdout.replace(/^;([a-z0-9_]+ =)/gm, '$1');
    const conf = join(folder, 'doc.ini');
    const options = ['-o', `server.plugin_dir=${pluginDir()}`, '-o', 'server.public=', '-c', conf];

    for (const text of [stdout, all]) {
      writeFileSync(conf, text);
      const { status, stderr } = await runSockhop(['-t', ...options]);
      assert.equal(status, 0, stderr);
    }
  });

  test('neither bad values nor turned-off plugins are in its way; other formats are refused', async () => {
    const { status, stdout } = await run('[plugin:hazard]\nenabled = no\npin = wrong\n[plugin:missing]\nenabled = no\n', '--config-doc');

    assert.equal(status, 0);
    assert.match(stdout, /\[plugin:hazard\]/);
    assert.equal((await run('', '--config-doc=xml')).status, 2);
    assert.equal((await run('[plugin:missing]\n', '--config-doc')).status, 1);
  });
});

describe('secret keys', () => {
  test('-T tells that one is set, not to what', async () => {
    const { status, stdout, stderr } = await run('[plugin:hazard]\ntoken = Sesame\npin = 4711\n', '-T');

    assert.equal(status, 0);
    assert.doesNotMatch(stdout + stderr, /Sesame|4711/);
    assert.match(stdout, /^; token = \(secret\) ; .*some\.ini:\d+$/m);
    assert.match((await run('[plugin:hazard]\n', '-T')).stdout, /^pin = 1234$/m);
  });

  test('an error does not quote one', async () => {
    for (const value of ['47114711', 'Sesame']) {
      const { status, stderr } = await run(`[plugin:hazard]\npin = ${value}\n`, '-t');

      assert.equal(status, 1);
      assert.match(stderr, /plugin:hazard\.pin: "\(secret\)" is /);
      assert.doesNotMatch(stderr, /4711|Sesame/);
    }
  });
});
