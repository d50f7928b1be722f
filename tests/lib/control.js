/*
 * control.js - the control socket: sockhopctl as an operator runs it, and lines as anybody writes them.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, chmodSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { whenClosing, within } from './client.js';
import { BUILD } from './server.js';

/* A path for a socket, in a folder of its own that anybody may use. Goes with the process. */
export function socketPath() {
  const folder = mkdtempSync(join(tmpdir(), 'sockhop-control-'));

  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o777);
  return join(folder, 'control');
}

/* Runs sockhopctl. Resolves with {status, stdout, stderr}. prefix: words before the command. */
export async function ctl(args, { prefix = [] } = {}) {
  const [program, ...words] = [...prefix, join(BUILD, 'sockhopctl'), ...args];
  const proc = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  const result = { stdout: '', stderr: '' };

  for (const name of ['stdout', 'stderr']) {
    proc[name].setEncoding('utf8');
    proc[name].on('data', (part) => (result[name] += part));
  }
  [result.status] = await within(once(proc, 'close'), `sockhopctl ${args.join(' ')}`, 40000);
  return result;
}

/* A client that writes what it likes: answers come one by one from next(). */
export class Lines {
  static async open(path) {
    const lines = new Lines();

    lines.socket = net.connect({ path, allowHalfOpen: true });
    lines.text = '';
    lines.socket.setEncoding('utf8');
    lines.socket.on('data', (part) => (lines.text += part));
    lines.socket.on('error', () => {});
    lines.gone = once(lines.socket, 'close');
    lines.ended = once(lines.socket, 'end');
    whenClosing(() => lines.socket.destroy());
    await within(once(lines.socket, 'connect'), 'connection to the control socket');
    return lines;
  }

  write(text) {
    this.socket.write(text);
  }

  ask(...command) {
    this.write(`${JSON.stringify({ command })}\n`);
    return this.next();
  }

  async next() {
    while (!this.text.includes('\n')) await within(once(this.socket, 'data'), 'an answer');
    const end = this.text.indexOf('\n');
    const line = this.text.slice(0, end);

    this.text = this.text.slice(end + 1);
    return JSON.parse(line);
  }
}
