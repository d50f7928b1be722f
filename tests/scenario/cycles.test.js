/*
 * cycles.test.js - what must not add up: clients that come and go, refused connections, log lines
 * of a listener without descriptors; and a start without the usual descriptors.
 */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import http from 'node:http';
import { afterEach, describe, test } from 'node:test';

import { Polling, RawWebSocket, TRANSPORTS, Tcp, allGone, closeClients, connect, hear, request, settle, within } from '../lib/client.js';
import { countsMemory, statusBytes } from '../lib/memory.js';
import { ownPlugins } from '../lib/plugins.js';
import { AS_OURSELVES, THREADS, shell, startServer } from '../lib/server.js';

afterEach(closeClients);

const IS_LONG = process.env.SOCKHOP_LONG === '1'; /* and with it nothing else runs: times mean something */

const descriptors = (server) => readdirSync(`/proc/${server.proc.pid}/fd`).length;

/* CPU time of the server so far, ms. */
function cpuMs(server) {
  const fields = readFileSync(`/proc/${server.proc.pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');

  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/* ---- one visit: connect, log in, say something, leave; some in ways that nobody hopes for */

const stock = (transports, leave) => async (server, name) => {
  const socket = await connect(server, { transports });

  socket.emit('login', name);
  await hear(socket, 'welcome');
  socket.emit('chat', `from ${name}`);
  await settle(socket);
  leave(socket);
};

const VISITS = {
  'polling, disconnect': stock(TRANSPORTS.polling, (socket) => socket.disconnect()),
  'WebSocket, disconnect': stock(TRANSPORTS.websocket, (socket) => socket.disconnect()),
  'upgrade, disconnect': stock(TRANSPORTS.upgrade, (socket) => socket.disconnect()),
  'upgrade, close': stock(TRANSPORTS.upgrade, (socket) => socket.io.engine.close()),
  'WebSocket, reset': async (server, name) => {
    const raw = await RawWebSocket.open(server, { join: true });

    raw.send(`42["login","${name}"]`);
    while (!(await raw.message()).startsWith('42["welcome"'));
    raw.ws._socket.resetAndDestroy();
    await raw.end();
  },
  'polling, close in the middle of a GET': async (server, name) => {
    const polling = await Polling.open(server, { join: true });

    await polling.send(`42["login","${name}"]`);
    while (!(await polling.packet()).startsWith('42["welcome"'));
    await polling.send('1');
  },
  'an upgrade left half way': async (server, name) => {
    const polling = await Polling.open(server, { join: true });
    const raw = await RawWebSocket.open(server, { sid: polling.sid });

    await polling.send(`42["login","${name}"]`);
    raw.send('2probe');
    assert.equal(await raw.message(), '3probe');
    raw.ws.terminate();
    await polling.send('1');
  },
};

test('500 clients of all kinds come, log in and go: nothing is left, and names are free again', async (t) => {
  const server = await startServer();
  t.after(() => server.stop());
  const kinds = Object.values(VISITS);

  await kinds[0](server, 'first'); /* what is made once is made */
  await allGone(server);
  const before = descriptors(server);
  let n = 0;
  await Promise.all(
    Array.from({ length: 10 }, async (_, worker) => {
      while (n < 500) {
        const name = `user${worker}`; /* which its own last visit had, and may just be leaving */
        const i = n++;
        const visit = kinds[i % kinds.length];

        await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') < 20);
        await visit(server, `${name}x${i}`.slice(-10));
      }
    }),
  );
  await allGone(server);
  await server.waitMetrics(() => descriptors(server) <= before);
  const sockets = [await connect(server), await connect(server)];
  sockets[0].emit('login', 'user1x1');
  await hear(sockets[0], 'welcome');
  sockets[0].emit('onlineUsers');
  assert.deepEqual(await hear(sockets[0], 'onlineUsers'), [['user1x1']]);
  closeClients();
  await allGone(server);
});

describe('T46: out of descriptors', () => {
  test('old clients are served, the log has a line a second, and newcomers get in when there is room', async (t) => {
    const server = await startServer({ prefix: shell('ulimit -n 64') });
    t.after(() => server.stop());
    const [agent, file] = [0, 1].map(() => new http.Agent({ keepAlive: true, maxSockets: 1 }));
    t.after(() => [agent, file].forEach((one) => one.destroy()));
    const pauses = async () => Number(/^sockhop_accept_pauses_total (\d+)$/m.exec((await request(server, '/metrics', { agent, url: server.statusUrl })).text)[1]);
    const old = await Promise.all(Object.values(TRANSPORTS).slice(1).map((transports) => connect(server, { transports })));

    assert.equal(await pauses(), 0);
    assert.equal((await request(server, '/', { agent: file })).status, 200);
    await Promise.all(Array.from({ length: 150 }, () => Tcp.open(server)));
    await server.waitLog(/listener\.paused .*hint="raise the limit of open files/);
    const lines = () => server.log.filter((line) => line.includes('listener.paused'));
    const [cpu, from, first] = [cpuMs(server), Date.now(), lines().length];
    await within(
      (async () => {
        while (lines().length < first + 2) {
          for (const socket of old) await settle(socket);
          const page = await request(server, '/', { agent: file });
          assert.equal(page.status, 503, 'a file needs a descriptor; it is not one that does not exist');
          assert.equal(page.headers['retry-after'], '1');
          await new Promise((done) => server.proc.stderr.once('data', done)); /* the next line of the log */
        }
      })(),
      'two more lines',
    );
    const share = (cpuMs(server) - cpu) / (Date.now() - from);
    assert.ok(share <= (IS_LONG ? 0.05 : 0.1), `${share} of a CPU`);
    t.diagnostic(`without descriptors: ${(100 * share).toFixed(1)} % of a CPU`);
    assert.ok((await pauses()) > lines().length, 'most pauses are not worth a line');
    const times = lines().map((line) => Date.parse(line.split(' ')[0]));
    for (let i = 1; i < times.length; i++) assert.ok(times[i] - times[i - 1] >= 500, `${times}`); /* one may be written late */
    closeClients();
    const freed = Date.now();
    await settle(await connect(server));
    assert.ok(Date.now() - freed < (IS_LONG ? 1000 : 5000));
    assert.equal((await request(server, '/', { agent: file })).status, 200);
    closeClients();
    for (const one of [agent, file]) one.destroy();
    await allGone(server);
  });

  test('a client that is refused is told at once, not left hanging', async (t) => {
    const server = await startServer({ prefix: shell('ulimit -n 64') });
    t.after(() => server.stop());
    const crowd = await Promise.all(Array.from({ length: 80 }, () => Tcp.open(server)));

    await within(Promise.race(crowd.map((tcp) => tcp.gone)), 'a close');
    closeClients();
    await allGone(server);
  });

  test('too few to start is said as such', async () => {
    const env = { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:detect_leaks=0` }; /* it has no descriptor for that */

    await assert.rejects(startServer({ prefix: shell('ulimit -n 8'), env }), /status 1\n[^]*Too many open files/);
  });
});

describe('T53: closed descriptors', () => {
  for (const closed of ['<&-', '>&-', '<&- >&-'])
    test(`it serves with ${closed}, and nobody's bytes go there`, async (t) => {
      const server = await startServer({ prefix: shell(`exec ${closed}`), args: AS_OURSELVES });
      t.after(() => server.stop());
      const socket = await connect(server);

      assert.deepEqual(await settle(socket), ['settle']);
      assert.equal((await request(server, '/')).status, 200);
      for (const fd of closed.match(/[<>]/g).map((mark) => '<>'.indexOf(mark)))
        assert.match(readFileSync(`/proc/${server.proc.pid}/fdinfo/${fd}`, 'utf8'), /flags:\s+0100002/);
    });

  test('it serves when its log goes nowhere', async (t) => {
    const server = await startServer();
    t.after(() => server.kill());

    server.proc.stderr.destroy(); /* each line is a broken pipe from now on */
    for (let i = 0; i < 3; i++) {
      const tcp = await Tcp.open(server);
      await tcp.write('bad\r\n\r\n');
      assert.equal((await tcp.response()).status, 400);
    }
    assert.deepEqual(await settle(await connect(server)), ['settle']);
    server.proc.kill('SIGTERM');
    assert.equal((await within(server.gone, 'end of the server')).status, 0);
  });
});

test(`threads = ${THREADS} is what it runs with`, async (t) => {
  const server = await startServer();
  t.after(() => server.stop());

  await server.waitLog(new RegExp(`server\\.ready .*threads=${THREADS}\\b`));
  await server.metrics(); /* answered by logic, which has started the others before */
  assert.ok(readdirSync(`/proc/${server.proc.pid}/task`).length >= 1 + Number(THREADS));
});

/* ---- plugins that are replaced again and again */

test('a reload, and another: memory and descriptors stay as they are', async (t) => {
  const conf = (i) => `[plugin:auth]\nmax_length = ${10 + (i % 2)}\n[plugin:lobby]\n[plugin:echo]\n`;
  const server = await startServer({ config: conf(0), args: ['-o', `server.plugin_dir=${ownPlugins('auth', 'lobby', 'echo')}`] });
  t.after(() => server.stop());
  const clients = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const socket = await connect(server);

      socket.emit('login', `user${i}`);
      await hear(socket, 'welcome');
      return socket;
    }),
  );
  const reload = async (n) => {
    for (let i = 0; i < n; i++) assert.match(await server.reload(conf(i + 1)), /server\.reloaded plugins="auth \S+ lobby \S+" values=20 /);
  };

  await reload(30); /* what is made once is made */
  const before = { descriptors: descriptors(server), rss: statusBytes(server, 'VmRSS') };
  const n = IS_LONG ? 1000 : 100;
  await reload(n);
  const grown = statusBytes(server, 'VmRSS') - before.rss;
  t.diagnostic(`${n} reloads: ${(grown / n).toFixed(0)} bytes each`);
  assert.equal(descriptors(server), before.descriptors);
  if (countsMemory()) assert.ok(grown <= 128 * 1024, `${grown} bytes more`);
  for (const socket of clients) assert.deepEqual(await settle(socket), ['settle']);
});
