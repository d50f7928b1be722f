/*
 * badfiles.test.js - files that are no plugin, no longer one, or one for another server: each is refused
 * at the start with its place, the reason and the way out, and by a server that runs, which goes on as it was.
 * T41.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';

import { ask, closeClients, connect, pluginDir } from '../lib/client.js';
import { install, ownPlugins } from '../lib/plugins.js';
import { runSockhop, startServer } from '../lib/server.js';

afterEach(closeClients);

const MACHINE_AT = 18; /* e_machine of an ELF header */
const plugin = (name) => readFileSync(join(pluginDir(), `${name}.so`));
const patched = (from, to) => {
  const bytes = plugin('ask');
  const at = bytes.indexOf(from);

  assert.ok(at >= 0, `ask.so has no ${from}`);
  bytes.write(to, at);
  return bytes;
};
const otherMachine = () => {
  const bytes = plugin('echo');

  bytes.writeUInt16LE(bytes.readUInt16LE(MACHINE_AT) ^ 1, MACHINE_AT);
  return bytes;
};

/* [what, plugin, how it gets into the folder (default: its test plugin is copied), what is said of it] */
const FILES = [
  ['is not there', 'x', () => {}, /no such file .*x\.so: install it, fix plugin_dir, or set enabled = no$/],
  ['is empty', 'x', (path) => writeFileSync(path, ''), /x\.so is no shared object: give the \.so that the compiler has made$/],
  ['is a text', 'x', (path) => writeFileSync(path, '#include <sockhop/sockhop.h>\n'.repeat(100)), /x\.so is no shared object: give the \.so that the compiler has made$/],
  ['is cut off', 'x', (path) => writeFileSync(path, plugin('echo').subarray(0, -100)), /x\.so is cut off: copy or build it again$/],
  ['is for another machine', 'x', (path) => writeFileSync(path, otherMachine()), /x\.so is for another kind of machine: build it for this one$/],
  ['is a folder', 'x', (path) => mkdirSync(path), /x\.so is not a regular file: name the file itself, or install it anew$/],
  ['may be written by everybody', 'x', (path) => { writeFileSync(path, plugin('echo')); chmodSync(path, 0o777); }, /x\.so may be written by everybody: chmod o-w it$/],
  ['needs a library that is not there', 'x', (path) => writeFileSync(path, patched('libc.so.6\0', 'libx.so.6\0')), /cannot open .*x\.so: libx\.so\.6: .*: install what it needs, or rebuild it$/],
  ['is no plugin', 'bad_entry', null, /bad_entry\.so exports no hop_plugin_entry: it is no plugin of sockhop$/],
  ['is for another ABI', 'bad_abi', null, /built for plugin ABI \d+, this sockhop has \d+: rebuild it$/],
  ['is for a newer interface', 'bad_minor', null, /built for interface \d+\.\d+, this sockhop has \d+\.\d+: update sockhop or rebuild the plugin$/],
  ['calls what is not there', 'bad_symbol', null, /hop_from_the_future is missing: built for a newer sockhop, this one has interface \d+\.\d+: update sockhop or rebuild the plugin$/],
  ['holds another plugin', 'bad_name', null, /bad_name\.so holds the plugin "other": name its section \[plugin:other\]$/],
  ['has a wrong table of keys', 'bad_key', null, /bad_key\.so: its key table is wrong: far: it lies outside of the state: its author has to mend it$/],
  ['does not like its values', 'bad_check', null, /plugin:bad_check: no good$/],
  ['fails to start', 'bad_init', null, /plugin:bad_init: cannot open the pod bay doors$/],
  ['registers what may not be', 'bad_event', null, /hop_on\("disconnecting"\): a reserved event/],
  ['needs a plugin that is not there', 'needy', null, /needs the plugin nowhere: add a section \[plugin:nowhere\], or turn needy off with enabled = no$/],
];

for (const [what, name, make, wanted] of FILES)
  describe(`a file that ${what} is refused`, () => {
    const put = (folder) => (make ? make(join(folder, `${name}.so`)) : install(folder, name));

    test('at the start, with the place', async (t) => {
      const folder = ownPlugins('echo');
      const conf = join(mkdtempSync(join(tmpdir(), 'sockhop-conf-')), 'bad.ini');
      t.after(() => rmSync(join(conf, '..'), { recursive: true }));
      put(folder);
      writeFileSync(conf, `[server]\nport = 0\npublic =\nplugin_dir = ${folder}\n[plugin:echo]\n[plugin:${name}]\n`);
      for (const args of what === 'fails to start' || what === 'registers what may not be' ? [[]] : [['-t'], []]) {
        const { status, stderr } = await runSockhop(['-c', conf, ...args]);
        const line = stderr.trimEnd().split('\n').at(-1);

        assert.equal(status, 1);
        assert.match(line, new RegExp(`^sockhop: ${conf}:6: plugin:${name}: `));
        assert.match(line, wanted);
        if (process.env.SOCKHOP_SHOW) console.log(`- ${what}: ${line.replace(/^.*bad\.ini:6: /, '').replaceAll(`${folder}/`, '')}`);
      }
    });

    test('while the server runs, which goes on as it was', async () => {
      const folder = ownPlugins('echo');
      const server = await startServer({ config: '[plugin:echo]\n', args: ['-o', `server.plugin_dir=${folder}`] });

      try {
        const socket = await connect(server);
        put(folder);
        const line = await server.reload(`[plugin:echo]\n[plugin:${name}]\n`);
        assert.match(line, new RegExp(`server\\.reload_failed reason=".*plugin:${name}: `));
        assert.match(line.replace(/^.*? reason="(.*)"$/, '$1').replaceAll('\\"', '"'), wanted);
        assert.deepEqual(await ask(socket, 'echo', 1), [1]);
        assert.match(await server.reload('[plugin:echo]\n'), /server\.reloaded plugins=""/);
      } finally {
        await server.stop();
      }
    });
  });
