/*
 * plugins.js - copies of plugins that a test may replace while the server runs.
 */
import { chmodSync, copyFileSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pluginDir } from './client.js';

/* As an installer does: another file under the same name. from: the plugin that it is a copy of. */
export function install(folder, name, from = name) {
  const path = join(folder, `${name}.so`);

  copyFileSync(join(pluginDir(), `${from}.so`), `${path}.new`);
  renameSync(`${path}.new`, path);
}

/* A folder with copies of these. The server may run as somebody else when it reads them again. Goes with the process. */
export function ownPlugins(...names) {
  const folder = mkdtempSync(join(tmpdir(), 'sockhop-own-'));

  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  for (const name of names) install(folder, name);
  return folder;
}
