/*
 * lifecycle.test.js - start, stop, and what clients see of both; a port in use.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';

import {
  Polling, RawWebSocket, TRANSPORTS, Tcp, allGone, ask, closeClients, connect, hear, next, request, settle, startWith, within,
} from '../lib/client.js';
import { isValgrind } from '../lib/memory.js';
import { runSockhop, startServer } from '../lib/server.js';

afterEach(closeClients);

/* The path of a conf file without a word. */
function emptyConf(t) {
  const folder = mkdtempSync(join(tmpdir(), 'sockhop-conf-'));

  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'empty.ini'), '');
  return join(folder, 'empty.ini');
}

for (const signal of ['SIGTERM', 'SIGINT'])
  test(`${signal} ends it with status 0, whatever its clients are doing`, async () => {
    const server = await startWith(['auth', 'lobby', 'echo', 'rooms', 'route']);
    const sockets = await Promise.all(Object.values(TRANSPORTS).map((transports) => connect(server, { transports })));
    const left = sockets.map((socket) => next(socket, 'disconnect'));
    const half = await Tcp.open(server);
    const begun = await Tcp.open(server);
    const silent = await Tcp.open(server);
    const polling = await Polling.open(server, { join: true }); /* a session without a GET */
    const raw = await RawWebSocket.open(server, { join: true });
    const probed = await Polling.open(server, { join: true });
    const probe = await RawWebSocket.open(server, { sid: probed.sid });

    sockets[0].emit('login', 'ada');
    await hear(sockets[0], 'welcome');
    await half.write('GET /test/he');
    await begun.write('POST /test/body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc');
    probe.send('2probe');
    assert.equal(await probe.message(), '3probe');
    raw.send('42["blast",50,50000]');
    server.proc.kill(signal);
    for (const [reason] of await Promise.all(left)) assert.match(reason, /^transport (close|error)$/);
    const end = await within(server.gone, 'end of the server');
    assert.equal(end.status, 0, server.logText());
    await server.stop(); /* asserts that no sanitizer has complained */
    assert.ok(server.log.some((line) => line.includes('server.stopping')));
    assert.ok(server.log.some((line) => line.includes('server.stopped')));
    await Promise.all([half.ended(), begun.ended(), silent.ended(), probe.end()]);
    assert.equal((await raw.end()).code, 1001);
    assert.ok(polling.sid);
  });

test('what was sent before the stop arrives', async () => {
  const server = await startWith(['echo', 'rooms']);
  const raw = await RawWebSocket.open(server, { join: true });

  raw.ws._socket.pause();
  raw.send('42["big",400000]');
  const asker = await connect(server);
  asker.emit('shout', 'last words');
  await hear(asker, 'shouted');
  await settle(asker);
  server.proc.kill('SIGTERM');
  await server.waitLog(/server\.stopping/);
  raw.ws._socket.resume();
  const messages = [await raw.message(), await raw.message()]; /* two askers: in any order */
  messages.sort((a, b) => a.length - b.length);
  assert.equal(messages[0], '42["shouted","last words"]');
  assert.equal(messages[1].length, '42["big-back",""]'.length + 400000);
  assert.equal((await raw.end()).code, 1001);
  await within(server.gone, 'end of the server'); /* stop() would send a second signal */
  await server.stop();
});

/* However long it takes, one who takes nothing stays: it answers no ping, and its queue is long. */
const PATIENT = '[engine]\nping_interval = 1h\n[limits]\nmax_queue = 256M\nsoft_queue_time = 1h\n';

test('a client that takes nothing is cut at shutdown_timeout', async () => {
  const server = await startWith(['echo', 'rooms'], { config: `[server]\nshutdown_timeout = 300ms\n${PATIENT}` });
  const raw = await RawWebSocket.open(server, { join: true });
  const other = await connect(server);

  raw.ws._socket.pause();
  for (let i = 1; i <= 100; i++) {
    other.emit('blast', 1, 100000);
    await hear(other, 'blasted', i);
  }
  await server.stop();
  assert.ok(server.log.some((line) => line.includes('server.cut')));
});

test('a second signal does not wait', { skip: isValgrind && 'valgrind calls it a leak' }, async () => {
  const server = await startWith(['echo', 'rooms'], { config: `[server]\nshutdown_timeout = 10m\n${PATIENT}` });
  const raw = await RawWebSocket.open(server, { join: true });
  const other = await connect(server);

  raw.ws._socket.pause();
  for (let i = 1; i <= 100; i++) {
    other.emit('blast', 1, 100000);
    await hear(other, 'blasted', i);
  }
  server.proc.kill('SIGTERM');
  await server.waitLog(/server\.stopping/);
  server.is_killed = true; /* so that stop() asserts nothing */
  server.proc.kill('SIGINT');
  assert.equal((await within(server.gone, 'end of the server')).status, 1);
});

test('stopping while clients come and go leaves nothing behind', async () => {
  for (let round = 0; round < 5; round++) {
    const server = await startServer();
    let isOver = false;
    const comers = Array.from({ length: 8 }, async (_, i) => {
      while (!isOver) {
        try {
          const socket = await connect(server, { transports: Object.values(TRANSPORTS)[i % 3], timeout: 2000 });
          socket.emit('login', `user${i}`);
          await new Promise((done) => {
            for (const event of ['welcome', 'disconnect', 'loginNameExists']) socket.once(event, done);
            if (!socket.connected) done();
          });
          if (i % 2) socket.disconnect();
          else socket.io.engine.close();
        } catch {
          await new Promise(setImmediate); /* it is stopping, and says so in many ways */
        }
      }
    });

    for (let i = 0; i < 3 + round; i++) await request(server, '/', { url: server.statusUrl }).catch(() => {});
    await server.stop();
    isOver = true;
    closeClients();
    await within(Promise.all(comers), 'end of the clients', 40000);
  }
});

test('readyz and metrics are on the status address alone', async (t) => {
  const server = await startServer();
  t.after(() => server.stop());
  const ready = await request(server, '/readyz', { url: server.statusUrl });

  assert.equal(ready.status, 200);
  assert.equal(ready.text, 'ready\n');
  const metrics = await request(server, '/metrics', { url: server.statusUrl });
  assert.equal(metrics.status, 200);
  assert.match(metrics.headers['content-type'], /^text\/plain; version=0\.0\.4/);
  assert.match(metrics.text, /^# TYPE sockhop_connections gauge$/m);
  for (const path of ['/metrics', '/readyz']) assert.doesNotMatch((await request(server, path)).text, /sockhop_connections|^ready/);
  assert.equal((await request(server, '/', { url: server.statusUrl })).status, 404);
  assert.equal((await request(server, '/socket.io/?EIO=4&transport=polling', { url: server.statusUrl })).status, 404);
  await allGone(server);
});

test('events are counted by plugin and verdict', async (t) => {
  const server = await startServer();
  t.after(() => server.stop());
  const socket = await connect(server);

  socket.emit('login', 'ada');
  socket.emit('chat', 'hi');
  await hear(socket, 'chat');
  await ask(socket, 'chat', '');
  const rows = [...(await server.metrics())].filter(([name]) => name.includes('plugin='));
  const of = (plugin) => rows.filter(([name]) => name.includes(`plugin="${plugin}"`));
  assert.ok(of('auth').length > 0 && of('lobby').length > 0, JSON.stringify(rows));
  assert.ok(of('lobby').some(([name, value]) => /verdict="reject"/.test(name) && value === 1), JSON.stringify(rows));
  socket.disconnect();
  await allGone(server);
});

test('a port in use is told with the way out', async (t) => {
  const server = await startServer();
  t.after(() => server.stop());
  const { status, stderr } = await runSockhop(['-c', emptyConf(t), '-o', `server.port=${server.port}`, '-o', 'server.public=']);

  assert.equal(status, 1);
  assert.match(stderr, /another program listens there; stop it or choose another port/);
  const socket = await connect(server); /* which is served as before */
  assert.deepEqual(await settle(socket), ['settle']);
});

for (const how of ['stopped', 'killed'])
  test(`a stock client comes back to a server that was ${how} and started again`, async (t) => {
    const first = await startServer();
    const sockets = await Promise.all(
      Object.values(TRANSPORTS).map((transports) =>
        connect(first, { transports, reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 }),
      ),
    );

    for (const [i, socket] of sockets.entries()) {
      socket.emit('login', `user${i}`);
      await hear(socket, 'welcome');
    }
    const gone = sockets.map((socket) => next(socket, 'disconnect'));
    const back = sockets.map((socket) => next(socket, 'connect'));
    if (how === 'killed') await first.kill();
    else await first.stop();
    await Promise.all(gone);
    const second = await startServer({ args: ['-o', `server.port=${first.port}`] });
    t.after(() => second.stop());
    await Promise.all(back);
    for (const [i, socket] of sockets.entries()) {
      socket.emit('login', `user${i}`); /* the name is free: the new server knows nobody */
      await hear(socket, 'welcome', 2);
    }
    closeClients();
    await allGone(second);
  });
