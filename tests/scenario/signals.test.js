/*
 * signals.test.js - signals while a chat goes on: SIGHUP a hundred times (T52), each of them a reload, also
 * without a free descriptor (C43), SIGTERM in the midst (T51), stops and other interruptions (T53). An acked message
 * reaches everybody once and in order, or, on polling at the very end, is cut off behind.
 * Starting and stopping in quiet is in lifecycle.test.js.
 */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { afterEach, describe, test } from 'node:test';

import { TRANSPORTS, Tcp, allGone, closeClients, connect, hear, heard, next, request, settle, within } from '../lib/client.js';
import { ownPlugins } from '../lib/plugins.js';
import { shell, startServer } from '../lib/server.js';

const LONG = process.env.SOCKHOP_LONG === '1';
const WINDOW = 8;

afterEach(closeClients);

const descriptors = (server) => readdirSync(`/proc/${server.proc.pid}/fd`).length;
const residentKiB = (server) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${server.proc.pid}/status`, 'utf8'))[1]);

/*
 * n clients, of all three kinds in turn, that chat without a pause, each with up to WINDOW messages that wait
 * for their ack. sent[i] and acked[i] count those of client i; the text of a message is "i:number".
 */
class Chat {
  static async open(server, n, kinds = Object.values(TRANSPORTS)) {
    const chat = new Chat();

    Object.assign(chat, { sockets: [], sent: Array(n).fill(0), acked: Array(n).fill(0), isOver: false, waiting: new Set() });
    for (let i = 0; i < n; i++) {
      const transports = kinds[i % kinds.length];
      const socket = await connect(server, { transports });

      socket.emit('login', `user${i}`);
      await hear(socket, 'welcome');
      socket.kind = transports.at(-1);
      chat.sockets.push(socket);
    }
    return chat;
  }

  start() {
    this.began = Date.now();
    this.sockets.forEach((_, i) => {
      for (let k = 0; k < WINDOW; k++) this.send(i);
    });
  }

  send(i) {
    if (this.isOver || !this.sockets[i].connected) return;
    this.sockets[i].emit('chat', `${i}:${this.sent[i]++}`, (answer) => {
      assert.deepEqual(answer, { ok: true });
      this.acked[i]++;
      for (const tell of this.waiting) tell();
      this.send(i);
    });
  }

  get total() {
    return this.acked.reduce((sum, n) => sum + n, 0);
  }

  /* Resolves when n more messages have been acked. */
  more(n) {
    const goal = this.total + n;

    return within(
      new Promise((done) => {
        const tell = () => {
          if (this.total < goal) return;
          this.waiting.delete(tell);
          done();
        };
        this.waiting.add(tell);
      }),
      `${n} more acks`,
      60000,
    );
  }

  /* No more is sent; resolves when all has been acked and has reached everybody. */
  async end() {
    this.isOver = true;
    const open = this.sent.reduce((sum, n) => sum + n, 0) - this.total;

    if (open > 0) await this.more(open);
    for (const socket of this.sockets) await hear(socket, 'chat', this.total);
    return this.total / ((Date.now() - this.began) / 1000);
  }

  /* Of one client: how many messages of each sender it heard. They came once and in order. */
  heardBy(socket) {
    const counts = Array(this.sockets.length).fill(0);

    for (const [{ sender, message }] of heard(socket, 'chat')) {
      const [i, number] = message.split(':').map(Number);

      assert.equal(sender, `user${i}`);
      assert.equal(number, counts[i]++, `${socket.kind}: message ${message} out of order, lost before or doubled`);
    }
    return counts;
  }

  assertWhole() {
    for (const socket of this.sockets) {
      assert.ok(socket.connected, socket.kind);
      assert.deepEqual(this.heardBy(socket), this.sent);
    }
  }
}

/* Sends a signal n times, each after some messages more, so that none is swallowed by the one before. */
async function storm(server, chat, n, ...signals) {
  for (let i = 0; i < n; i++) {
    for (const signal of signals) server.proc.kill(signal);
    await chat.more(5);
  }
}

/* ---- SIGHUP: the conf file is read again, and auth and lobby are replaced by themselves */

const conf = (maxLength) => `[plugin:auth]\nmax_length = ${maxLength}\n[plugin:lobby]\n[plugin:echo]\n`;
const own = () => ({ config: conf(10), args: ['-o', `server.plugin_dir=${ownPlugins('auth', 'lobby', 'echo')}`] });
const count = (server, regexp) => server.log.filter((line) => regexp.test(line)).length;

describe('T52: SIGHUP', () => {
  test('a hundred times under load loses no message, no client, no descriptor', async (t) => {
    const server = await startServer(own());
    t.after(() => server.stop());
    const chat = await Chat.open(server, 9);
    chat.start();
    await chat.more(300); /* caches are warm */
    const before = residentKiB(server);
    for (let i = 0; i < 100; i++) {
      server.writeConf(conf(11 + (i % 2)));
      await storm(server, chat, 1, 'SIGHUP');
    }
    const rate = await chat.end();

    chat.assertWhole();
    await server.reload(conf(10));
    assert.equal(count(server, /reload_failed|change_failed/), 0, server.logText());
    assert.ok(count(server, /server\.reloaded plugins="auth 1\.0, lobby 1\.0" values=9/) > 10, server.logText());
    for (const socket of chat.sockets) assert.deepEqual(await settle(socket), ['settle']);
    closeClients();
    await allGone(server);
    t.diagnostic(`${Math.round(rate)} messages/s, RSS ${before} -> ${residentKiB(server)} KiB`);
  });

  test('leaves no descriptor behind but one for each plugin that was replaced', async (t) => {
    const server = await startServer(own());
    t.after(() => server.stop());
    const socket = await connect(server);
    await settle(socket);
    const before = descriptors(server);

    await server.reload(conf(12)); /* from now on the code is that of copies */
    const copied = descriptors(server);
    for (let i = 0; i < 20; i++) {
      await server.reload(conf(11 + (i % 2)));
      await settle(socket);
    }
    assert.equal(descriptors(server), copied);
    assert.ok(copied - before <= 2, `${before} -> ${copied}`);
    assert.ok(socket.connected);
  });

  test('C43: without a free descriptor changes nothing, says so, and loses nobody', async (t) => {
    const server = await startServer({ ...own(), prefix: shell('ulimit -n 64'), config: '[server]\n[limits]\nhead_timeout = 10m ; the silent keep their descriptors\n[plugin:auth]\nmin_length = 5\n[plugin:lobby]\n[plugin:echo]\n' });
    t.after(() => server.stop());
    const chat = await Chat.open(server, 4, [TRANSPORTS.websocket]); /* polling would need descriptors */
    await Promise.all(Array.from({ length: 150 }, () => Tcp.open(server)));
    await server.waitLog(/listener\.paused/);
    server.writeConf(conf(10));
    chat.start();
    await storm(server, chat, 100, 'SIGHUP');
    await chat.end();
    chat.assertWhole();
    assert.equal(count(server, /server\.reloaded/), 0);
    await server.waitLog(/server\.reload_failed reason=".*Too many open files/);
    closeClients();
    await allGone(server);
    const late = await connect(server); /* the configuration is what it was */
    late.emit('login', 'four');
    await hear(late, 'loginNameBad');
    late.emit('login', 'fives');
    await hear(late, 'welcome');
  });
});

/* ---- SIGTERM */

test('T51: SIGTERM under load: everybody is closed, what was acked has reached everybody, status 0', async (t) => {
  const rates = [];

  for (let round = 0; round < (LONG ? 20 : 3); round++) {
    const server = await startServer();
    const chat = await Chat.open(server, 9);
    const closed = chat.sockets.map((socket) => next(socket, 'disconnect'));

    chat.start();
    await chat.more(200 + 37 * round);
    rates.push(chat.total / ((Date.now() - chat.began) / 1000));
    const began = Date.now();
    server.proc.kill('SIGTERM');
    for (const [reason] of await Promise.all(closed)) assert.match(reason, /^(transport close|transport error|io server disconnect)$/);
    const end = await within(server.gone, 'end of the server');
    const took = Date.now() - began;
    await server.stop(); /* asserts status 0 and that no sanitizer has complained */
    assert.equal(end?.status ?? 0, 0);
    assert.ok(took < 10000, `${took} ms`);
    assert.ok(server.log.some((line) => line.includes('server.stopped')));
    assert.ok(!server.log.some((line) => line.includes('server.cut')), 'nobody had to be cut');
    for (const socket of chat.sockets) {
      const counts = chat.heardBy(socket);

      if (socket.kind === 'websocket')
        counts.forEach((n, i) => assert.ok(n >= chat.acked[i], `${chat.acked[i]} of user${i} were acked, ${n} arrived`));
    }
    closeClients();
  }
  t.diagnostic(`${rates.length} rounds at ${rates.map(Math.round).join(', ')} messages/s`);
});

/* ---- what interrupts system calls, and what is blocked */

describe('T53', () => {
  test('being stopped and continued, and other signals, interrupt nothing for good', async (t) => {
    const server = await startServer();
    t.after(() => server.stop());
    const chat = await Chat.open(server, 6);

    chat.start();
    await storm(server, chat, 50, 'SIGSTOP', 'SIGCONT'); /* epoll_wait() ends with EINTR */
    await storm(server, chat, 20, 'SIGCHLD', 'SIGPIPE', 'SIGWINCH', 'SIGURG', 'SIGHUP', 'SIGCONT');
    await chat.end();
    chat.assertWhole();
    closeClients();
    await allGone(server);
  });

  for (const how of ['block', 'ignore'])
    test(`signals that the parent had it ${how} end it all the same`, async () => {
      for (const signal of ['SIGTERM', 'SIGINT']) {
        const server = await startServer({ prefix: ['env', `--${how}-signal=TERM,INT,HUP,PIPE,CHLD`] });

        assert.deepEqual(await settle(await connect(server)), ['settle']);
        assert.equal((await request(server, '/')).status, 200);
        closeClients();
        server.proc.kill(signal);
        assert.equal((await within(server.gone, 'end of the server')).status, 0);
        await server.stop();
      }
    });
});
