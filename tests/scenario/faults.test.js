/*
 * faults.test.js - system calls that fail or do one byte only, each at its n-th call (threats.md G11).
 *
 * A cell is function x errno x n. At the start, the server says what failed and ends with status 1, or runs. While
 * it runs, the client that the call was for may lose its connection, and nobody else; a call that was only
 * interrupted or cut short costs nobody anything. Afterwards a new client is served and nothing is left.
 * SOCKHOP_LONG=1 runs every n; else a sample.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ENGINE, Polling, Tcp, allGone, closeClients, request, within } from '../lib/client.js';
import { Faults, faultable } from '../lib/faults.js';
import { THREADS, startServer } from '../lib/server.js';
import { Bystander, VISITS, outcome } from '../lib/visits.js';

const IS_LONG = process.env.SOCKHOP_LONG === '1';
const HARMLESS = ['EINTR', 'EAGAIN', 'short'];

/* n of 1..max: all of them, or a few that are spread over them. */
const spread = (max, few) =>
  IS_LONG || max <= few ? Array.from({ length: max }, (_, i) => i + 1) : Array.from({ length: few }, (_, i) => 1 + Math.floor((i * (max - 1)) / (few - 1 || 1)));

const CONFIG = `[limits]
head_timeout = 1m
keep_alive = 1m
[engine]
connect_timeout = 10s
ping_interval = 5s
ping_timeout = 5s
[plugin:auth]
[plugin:lobby]
notices = no
[plugin:echo]
`;

/* ---- cells of a running server */

class Cells {
  constructor(options) {
    this.options = options;
    this.n = 0;
    this.n_lost = 0;
    this.failures = [];
  }

  async start() {
    this.faults = new Faults();
    this.server = await startServer({ config: CONFIG, env: this.faults.env });
    this.bystander = await Bystander.open(this.server);
  }

  async stop() {
    await this.allGone();
    await this.server.stop();
    this.faults.close();
  }

  /* How often a visit calls a function. */
  async count(name) {
    const before = this.faults.seen(name);

    await this.visit();
    return this.faults.seen(name) - before;
  }

  visit() {
    const name = `u${this.n++}`;

    return Promise.all([...Object.entries(VISITS).map(([kind, visit]) => outcome(visit(this.server, name + kind[0]))), this.bystander.check(name)]);
  }

  async run(name, error, n, times = 1) {
    const { faults } = this;

    faults.arm(name, error, n, times);
    const outcomes = await this.visit();
    faults.disarm(name);
    const injected = faults.injected(name);
    const lost = outcomes.filter(Boolean);
    const allowed = HARMLESS.includes(error) ? 0 : injected;
    this.hasLost = lost.length > 0;
    this.n_lost += lost.length;
    this.n_injected = (this.n_injected ?? 0) + (injected > 0);
    assert.ok(lost.length <= allowed, `${injected} calls failed, ${lost.length} clients lost: ${lost.map((one) => one.message).join('; ')}`);
    await this.recover();
  }

  /* Whoever was lost goes, and the next clients are served. */
  async recover() {
    const { server } = this;

    if (this.bystander.isLost) this.bystander = await Bystander.open(server);
    await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1 && metrics.get('sockhop_connections') <= 2, 20000);
    if (this.hasLost || this.n % 10 === 0) assert.deepEqual((await this.visit()).filter(Boolean), [], 'the next clients');
  }

  /* A session whose client never learnt of it has a while to join; and its last packets are kept for a while. */
  allGone() {
    closeClients();
    return allGone(this.server, 60000);
  }

  /* As run(), but a failure is kept for later, with a new server for the next cell. */
  async tryRun(name, error, n, times) {
    try {
      await this.run(name, error, n, times);
      assert.ok(!this.server.end, 'the server has ended');
    } catch (failure) {
      this.failures.push(`${name} ${error} n=${n} times=${times ?? 1}: ${failure.message.slice(0, 1500)}`);
      closeClients();
      await this.server.kill();
      if (this.failures.length > 5) throw new Error(this.failures.join('\n'));
      await this.start();
    }
  }
}

/* What can fail while clients are served, how, and at how many n of the sample. */
const RUNNING = [
  ['accept4', ['EMFILE', 'ECONNABORTED', 'EINTR', 'EAGAIN', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'EPROTO', 'EPERM'], 1],
  ['recv', ['ECONNRESET', 'EINTR', 'EAGAIN', 'short', 'ETIMEDOUT', 'ENOMEM'], 3],
  ['sendmsg', ['EPIPE', 'EAGAIN', 'EINTR', 'short', 'ECONNRESET', 'ENOBUFS', 'ENOMEM'], 2],
  ['epoll_ctl', ['ENOMEM', 'ENOSPC'], 5],
  ['epoll_wait', ['EINTR', 'short'], 2],
  ['read', ['EINTR', 'EAGAIN'], 2],
  ['setsockopt', ['EINVAL', 'ENOBUFS'], 1],
  ['shutdown', ['ENOTCONN', 'ENOBUFS'], 1],
  ['syscall', ['EMFILE', 'EINTR', 'EAGAIN', 'ENOENT', 'EACCES', 'ENOSYS', 'EPERM', 'ENOMEM', 'EIO'], 1],
  ['fstat', ['EIO', 'ENOMEM'], 1],
  ['pread', ['EIO', 'EINTR', 'short'], 1],
  ['getrandom', ['EINTR', 'short'], 1],
];

describe(`G11: calls that fail while clients are served, threads = ${THREADS}`, faultable, () => {
  test('the client concerned is lost at most, all others are served, nothing is left', async (t) => {
    const cells = new Cells();
    let n_cells = 0;

    await cells.start();
    await cells.visit();
    for (const [name, errors, few] of RUNNING) {
      const most = await cells.count(name);

      for (const error of errors)
        for (const n of spread(most, few)) {
          await cells.tryRun(name, error, n);
          n_cells++;
        }
      /* and over and over, where that is no more than slow */
      if (['recv', 'sendmsg', 'pread', 'getrandom'].includes(name)) {
        await cells.tryRun(name, 'short', 1, Infinity);
        n_cells++;
      }
    }
    assert.deepEqual(cells.failures, []);
    t.diagnostic(`${n_cells} cells survived, ${cells.n_injected} of them with a failed call, ${cells.n_lost} clients lost`);
    await cells.stop();
  });
});

describe(`G11: what one call alone cannot show, threads = ${THREADS}`, faultable, () => {
  const until = async (pred, what) => {
    for (const deadline = Date.now() + 15000; !pred(); await new Promise((done) => setTimeout(done, 5))) assert.ok(Date.now() < deadline, what);
  };

  test('a listener that the kernel does not take back is offered again', async () => {
    const faults = new Faults();
    const server = await startServer({ config: CONFIG, env: faults.env });
    const bystander = await Bystander.open(server);

    assert.equal(await bystander.check('before'), undefined);
    faults.arm('epoll_ctl', 'ENOSPC'); /* nobody else joins the set before the pause is over */
    faults.arm('accept4', 'EMFILE');
    const refused = await Tcp.open(server);
    await until(() => faults.injected('epoll_ctl') === 1, 'the listener was not offered');
    refused.close();
    assert.equal(await outcome(VISITS.websocket(server, 'after')), undefined);
    assert.equal(await bystander.check('after'), undefined);
    closeClients();
    await allGone(server);
    await server.stop();
    faults.close();
  });

  test('without random numbers there are no ids: it ends by its own abort, and says why', async () => {
    const faults = new Faults();
    const server = await startServer({ config: CONFIG, env: faults.env });

    faults.arm('getrandom', 'EIO');
    for (let i = 0; i < 100 && !server.end; i++) await outcome(request(server, ENGINE)); /* some ids' worth is at hand */
    const { signal } = await within(server.gone, 'the end');
    assert.equal(signal, 'SIGABRT');
    assert.match(server.log.join('\n'), /ERROR random\.failed reason="Input\/output error"/);
    faults.close();
  });
});

/* ---- cells of the start and of the stop */

/* Which calls the start makes, and how they can fail. */
const STARTING = [
  ['open', ['EMFILE', 'ENOENT', 'EACCES'], 4],
  ['read', ['EIO', 'EINTR', 'short'], 3],
  ['fstat', ['EIO'], 2],
  ['eventfd', ['EMFILE', 'ENOMEM'], 3],
  ['epoll_create1', ['EMFILE', 'ENOMEM'], 3],
  ['epoll_ctl', ['ENOMEM', 'ENOSPC'], 6],
  ['socket', ['EMFILE', 'EACCES'], 2],
  ['socketpair', ['EMFILE'], 1],
  ['setsockopt', ['EINVAL'], 2],
  ['bind', ['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL'], 2],
  ['listen', ['EADDRINUSE'], 2],
  ['getsockname', ['ENOBUFS'], 2],
  ['fcntl', ['EINVAL'], 2],
  ['getrandom', ['EINTR', 'short'], 2],
  ['pthread_create', ['EAGAIN'], 2],
  ['write', ['EINTR', 'short'], 2],
];
const STOPPING = [
  ['epoll_wait', ['EINTR'], 2],
  ['epoll_ctl', ['ENOMEM'], 2],
  ['read', ['EINTR', 'EAGAIN'], 2],
  ['write', ['EINTR', 'EAGAIN', 'EIO'], 2],
  ['sendmsg', ['EPIPE', 'EAGAIN', 'short'], 2],
  ['shutdown', ['ENOTCONN'], 1],
  ['recv', ['ECONNRESET', 'EINTR'], 1],
];

describe(`G11: calls that fail at the start and the stop, threads = ${THREADS}`, faultable, () => {
  /* Starts with the n-th call armed: resolves with 'ran' or 'refused'. */
  async function start(name, error, n) {
    const faults = new Faults();
    let server;

    if (name) faults.arm(name, error, n);
    try {
      server = await startServer({ config: CONFIG, env: faults.env });
      await server.waitLog(/server\.ready/);
    } catch (failure) {
      const text = failure.message;

      faults.close();
      /* either way a person reads what failed */
      assert.match(text, /status 1\n/, `${name} ${error} n=${n}`);
      assert.match(text, /^sockhop: .*\w{4}|ERROR loop\.failed what=\S+ reason="/m, `${name} ${error} n=${n}`);
      return { result: 'refused' };
    }
    return { result: 'ran', server, faults };
  }

  test('at the start: it says what failed and ends with status 1, or it serves', async (t) => {
    const { server: quiet, faults: counted } = await start();
    const most = Object.fromEntries(STARTING.map(([name]) => [name, counted.seen(name)]));
    const count = { ran: 0, refused: 0 };

    await quiet.stop();
    counted.close();
    const cells = STARTING.flatMap(([name, errors, few]) => errors.flatMap((error) => spread(most[name], few).map((n) => [name, error, n])));
    const failures = [];
    const worker = async () => {
      for (let cell; (cell = cells.pop()); )
        try {
          const { result, server, faults } = await start(...cell);

          count[result]++;
          if (result === 'refused') continue;
          faults.disarm(cell[0]);
          assert.equal((await request(server, '/socket.io/?EIO=4&transport=polling')).status, 200);
          await server.stop();
          faults.close();
        } catch (failure) {
          failures.push(`${cell.join(' ')}: ${failure.message.slice(0, 1500)}`);
        }
    };
    await Promise.all([worker(), worker(), worker()]);
    assert.deepEqual(failures, []);
    assert.ok(count.refused > 0 && count.ran > 0);
    t.diagnostic(`${count.ran} starts coped, ${count.refused} said why they did not`);
  });

  test('at the stop: it ends with status 0, whatever its last calls say', async () => {
    for (const [name, errors, few] of STOPPING)
      for (const error of errors)
        for (const n of spread(IS_LONG ? 6 : few, few)) {
          const { server, faults } = await start();
          const bystander = await Bystander.open(server);
          const polling = await Polling.open(server, { join: true });
          const held = polling.get().catch(() => {});

          assert.equal(await bystander.check('ready'), undefined);
          faults.arm(name, error, n);
          await server.stop();
          await held;
          faults.close();
          closeClients();
        }
  });
});
