/*
 * random.test.js - every function of the plugin interface is called at random, from every kind of call, with
 * arguments of which many are wrong: the server goes on, and no sanitizer complains.
 *
 * Plugin: random of the tests. 100,000 calls, a million with SOCKHOP_LONG=1; SOCKHOP_SEED repeats a run.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, test } from 'node:test';

import WebSocket from 'ws';

import { ask, closeClients, connect, request } from '../lib/client.js';
import { ctl, socketPath } from '../lib/control.js';
import { ownPlugins } from '../lib/plugins.js';
import { BUILD, startServer } from '../lib/server.js';

const GOAL = process.env.SOCKHOP_LONG === '1' ? 1000000 : 100000;
const EXPORTS = readFileSync(new URL('../exports.txt', import.meta.url), 'utf8').trim().split('\n');
const isThreadSanitized = /^SAFE_CFLAGS =.*-fsanitize=\S*thread/m.test(readFileSync(`${BUILD}/Makefile`, 'utf8'));

afterEach(closeClients);

test('calls at random harm nobody', { timeout: 1200000, skip: isThreadSanitized && 'workers of the plugin read what it writes, on purpose' }, async (t) => {
  const seed = Number(process.env.SOCKHOP_SEED ?? Date.now() % 1000000);
  const path = socketPath();
  const server = await startServer({
    config: `[limits]\nmax_namespaces = 50\n[plugin:echo]\n[plugin:random]\nseed = ${seed}\n`,
    args: ['-o', `server.plugin_dir=${ownPlugins('echo', 'random')}`, '-o', `server.control=${path}`],
  });
  const rolled = async () => Number((await request(server, '/rolled')).text);
  const control = (...words) => ctl(['-s', path, ...words]);
  const raws = [];
  let isOver = false;

  t.diagnostic(`SOCKHOP_SEED=${seed}`);
  const names = (await request(server, '/names')).text.trim().split('\n');
  assert.deepEqual(EXPORTS.filter((name) => !names.includes(name)), [], 'every function is tried');

  /* Clients come as fast as they are thrown out. */
  const people = Array.from({ length: 6 }, async (_, i) => {
    while (!isOver) {
      const socket = await connect(server, { wait: false, transports: i % 2 ? ['websocket'] : ['polling', 'websocket'], auth: { i }, query: { i } });

      socket.onAny((event, ...args) => typeof args.at(-1) === 'function' && args.at(-1)('answer', Buffer.from([i])));
      for (let k = 0; k < 40 && !isOver; k++) {
        socket.emit('roll', 100);
        socket.timeout(1000).emit('any', { i }, Buffer.from([k]), () => {});
        if (k % 10 === 0) {
          socket.io.socket(`/r${(i + k) % 7}`);
          request(server, '/random').catch(() => {});
          request(server, '/socket.io/?EIO=4&transport=none').catch(() => {});
          const raw = new WebSocket(`ws://127.0.0.1:${server.port}/raw`);
          raw.on('error', () => {});
          raw.on('open', () => raw.send('x'));
          raws.push(raw);
          if (raws.length > 5) raws.shift().terminate();
        }
        await new Promise((done) => setTimeout(done, 10)); /* as people do */
      }
      socket.disconnect();
      for (const each of Object.values(socket.io.nsps)) each.disconnect();
    }
  });

  let total = 0; /* of the codes before the one at hand */
  for (let i = 1, now = 0; total + now < GOAL; i++) {
    await control('random', 'roll');
    await new Promise((done) => setTimeout(done, 100)); /* between two looks */
    now = await rolled();
    assert.ok(server.end === undefined, server.end && server.endText());
    if (i % 10 !== 0) continue;
    const { stderr, status } = await control('plugin', 'reload', 'random');

    assert.doesNotMatch(stderr, /no server|closed the connection/);
    total += status === 0 ? now : 0; /* the new code counts anew */
  }
  isOver = true;
  await Promise.all(people);
  closeClients();
  for (const raw of raws) raw.terminate();
  while ((await server.metrics()).get('sockhop_peers{kind="websocket"}') > 0); /* a plugin with such clients stays */

  /* Whatever it has left is the server's to clear away. */
  const gone = await control('plugin', 'unload', 'random');
  assert.equal(gone.status, 0, gone.stderr);
  const socket = await connect(server);
  assert.deepEqual(await ask(socket, 'echo', 1), [1]);
  socket.disconnect();
  await server.stop();
});
