/*
 * pitfalls.test.js - a plugin that crashes, stalls or leaks, in every kind of call: the log names it and the
 * kind (T42, T43), and nothing of what it has started outlives it.
 *
 * Plugin: pitfall of the tests.
 */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { afterEach, describe, test } from 'node:test';

import WebSocket from 'ws';

import { allGone, ask, closeClients, connect, hear, next, request, within } from '../lib/client.js';
import { ctl, socketPath } from '../lib/control.js';
import { ownPlugins } from '../lib/plugins.js';
import { BUILD, PATIENCE, isValgrind, startServer } from '../lib/server.js';

const isSanitized = /^SAFE_CFLAGS =.*-fsanitize/m.test(readFileSync(`${BUILD}/Makefile`, 'utf8'));

afterEach(closeClients);

async function start(where, what, section = '') {
  const path = socketPath();
  const server = await startServer({
    config: `[server]\nslow_ms = 30\n[plugin:echo]\n[plugin:pitfall]\nwhere = ${where}\nwhat = ${what}\n${section}`,
    args: ['-o', `server.plugin_dir=${ownPlugins('echo', 'pitfall')}`, '-o', `server.control=${path}`],
  }).catch((error) => error.server);

  server.ctl = (...words) => ctl(['-s', path, ...words]);
  server.section = (live) => `[plugin:echo]\n[plugin:pitfall]\nwhere = ${where}\nwhat = ${what}\nlive = ${live}\n`;
  return server;
}

/* A client that answers questions. */
async function client(server, options) {
  const socket = await connect(server, { wait: false, ...options });

  socket.on('question', (answer) => answer());
  return socket;
}

const connected = async (server) => {
  const socket = await client(server);

  await next(socket, 'connect');
  return socket;
};
const all = async (server) => (await connected(server)).emit('all', () => {});
const endpoint = (server) => {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/pits`);

  socket.on('error', () => {});
  socket.on('open', () => socket.send('x'));
};

/* [where it falls in, what leads there, the kind and the name that the log has for it] */
const PITS = [
  ['init', () => {}, 'hook', 'init'],
  ['check', () => {}, 'hook', 'check'],
  ['ready', () => {}, 'hook', 'ready'],
  ['event', all, 'event', 'all'],
  ['any', all, 'event', '\\*|all'],
  ['outgoing', all, 'hook', 'outgoing'],
  ['server_event', all, 'server_event', 'pit'],
  ['join', all, 'hook', 'join'],
  ['leave', all, 'hook', 'leave'],
  ['post', all, 'hook', 'post'],
  ['timer', all, 'hook', 'timer'],
  ['watch', all, 'hook', 'watch'],
  ['job', all, 'hook', 'job'],
  ['ack', all, 'hook', 'ack'],
  ['connect', client, 'hook', 'connect'],
  ['disconnect', async (server) => (await connected(server)).disconnect(), 'hook', 'disconnect'],
  ['middleware', client, 'hook', 'middleware'],
  ['namespace', async (server) => (await connected(server)).io.socket('/any'), 'hook', 'namespace'],
  ['handshake', client, 'hook', 'handshake'],
  ['free_slot', async (server) => (await connected(server)).disconnect(), 'hook', 'free_slot'],
  ['route', (server) => request(server, '/pit').catch(() => {}), 'route', '/pit'],
  ['command', (server) => server.ctl('pitfall', 'pit'), 'command', 'pit'],
  ['endpoint', endpoint, 'endpoint', '/pits'],
  ['save', async (server) => { await connected(server); server.ctl('plugin', 'reload', 'pitfall'); }, 'hook', 'save'],
  ['restore', async (server) => { await connected(server); server.ctl('plugin', 'reload', 'pitfall'); }, 'hook', 'restore'],
  ['changed', (server) => server.reload(server.section(1)).catch(() => {}), 'hook', 'changed'],
  ['free', (server) => server.ctl('plugin', 'unload', 'pitfall'), 'hook', 'free'],
];

describe('T42: a crash is reported with the plugin and the kind of call', { skip: isSanitized || isValgrind }, () => {
  for (const [where, lead, kind, name] of PITS)
    test(where, async () => {
      const server = await start(where, 'crash');

      server.is_killed = true;
      await lead(server);
      const end = await within(server.gone, () => `the end:\n${server.logText()}`, 10000 * PATIENCE);
      assert.equal(end.signal, 'SIGSEGV');
      assert.match(server.logText(), new RegExp(`^server\\.crashed signal=SIGSEGV .*plugin=pitfall ${kind}="(${name})"`, 'm'));
    });

  test('in the work of a job, which is in a thread of its own: the backtrace names the file', async () => {
    const server = await start('work', 'crash');

    server.is_killed = true;
    await all(server);
    assert.equal((await within(server.gone, 'the end', 10000 * PATIENCE)).signal, 'SIGSEGV');
    assert.match(server.logText(), /^server\.crashed signal=SIGSEGV .*thread=worker/m);
    assert.match(server.logText(), /pitfall\.so/);
  });
});

test('T43: a call that takes too long is named, whatever its kind', async () => {
  const server = await start('all', 'sleep');
  const socket = await connected(server);

  await ask(socket, 'all');
  await hear(socket, 'over');
  await request(server, '/pit');
  assert.equal((await server.ctl('pitfall', 'pit')).status, 0);
  await next(socket.io.socket('/any'), 'connect');
  socket.disconnect();
  await server.waitLog(/plugin\.slow plugin=pitfall hook="?free_slot/);
  await server.reload(server.section(1));
  const other = await connected(server);
  assert.equal((await server.ctl('plugin', 'reload', 'pitfall')).status, 0);
  endpoint(server);
  await server.waitLog(/plugin\.slow plugin=pitfall endpoint="?\/pits/);
  other.disconnect();
  closeClients();
  for (const [where, , kind, name] of PITS)
    if (!['init', 'check', 'ready', 'free'].includes(where)) /* where nobody waits */
      assert.match(server.logText(), new RegExp(`plugin\\.slow plugin=pitfall ${kind}="?(${name})"? ms=`), where);
  const metrics = await server.metrics();
  assert.ok(metrics.get('sockhop_plugin_call_seconds_count{plugin="pitfall"}') > metrics.get('sockhop_plugin_call_seconds_bucket{plugin="pitfall",le="0.01"}'));
  await server.stop();
});

test('what a plugin leaves running goes with it', { skip: isValgrind && 'its own descriptors are not ours to close' }, async () => {
  const server = await start('nowhere', 'leak');
  const [socket, other] = [await connected(server), await connected(server)];
  const descriptors = () => readdirSync(`/proc/${server.proc.pid}/fd`).length;

  await ask(socket, 'leak');
  other.emit('defer', () => {});
  await ask(await connected(server), 'echo', 1);
  assert.ok((await server.metrics()).get('sockhop_plugin_timers{plugin="pitfall"}') >= 10);
  assert.ok((await server.metrics()).get('sockhop_plugin_watches{plugin="pitfall"}') >= 10);
  assert.equal((await server.ctl('plugin', 'unload', 'pitfall')).status, 0);
  const metrics = await server.metrics();
  assert.ok(![...metrics.keys()].some((key) => key.includes('pitfall')), [...metrics.keys()].filter((key) => key.includes('pitfall')).join('\n'));
  assert.ok(socket.connected && other.connected);
  const raw = new WebSocket(`ws://127.0.0.1:${server.port}/pits`);
  assert.match((await next(raw, 'error'))[0].message, /Unexpected server response/, 'nobody is at its endpoint');
  assert.deepEqual(await ask(socket, 'echo', 1), [1]);
  const counts = [];
  for (let i = 0; i < 4; i++) {
    assert.equal((await server.ctl('plugin', 'load', 'pitfall')).status, 0);
    const again = new WebSocket(`ws://127.0.0.1:${server.port}/pits`);
    await next(again, 'open');
    again.terminate();
    while ((await server.metrics()).get('sockhop_peers{kind="websocket"}') > 0); /* one that has such clients stays */
    await ask(socket, 'all');
    assert.equal((await server.ctl('plugin', 'unload', 'pitfall')).status, 0);
    counts.push(descriptors());
  }
  assert.equal(counts[3], counts[1], 'of what the server holds for it nothing adds up');
  closeClients();
  await allGone(server);
  await server.stop();
});
