/*
 * floods.test.js - one client sends far too much of everything (threats.md C10, C13, C17, C21, C24, C34,
 * C48, C50, T06, T08, T09, T15, T16): it gets the documented answer, the server's memory stays where
 * it was, and an honest client is served meanwhile and afterwards.
 *
 * Fewer of each in the quick run, as many as threats.md says with SOCKHOP_LONG=1.
 * Plugins: echo, rooms (shout, join, leave, whoami), ask (greet: an ack that the client owes).
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { Polling, SEPARATOR, Tcp, allGone, ask, closeClients, connect, hear, request, startWith } from '../lib/client.js';
import { Frames, OPCODE, frame, repeat } from '../lib/frames.js';
import { countsMemory, isThreadSanitized, watchMemory } from '../lib/memory.js';
import { shell } from '../lib/server.js';

const LONG = process.env.SOCKHOP_LONG === '1';
const WAIT_MS = LONG ? 600000 : 120000;
const MIB = 1 << 20;
const PLUGINS = ['echo', 'rooms', 'ask'];
const REASON = (reason) => `sockhop_sessions_closed_total{reason="${reason}"}`;
const GROWTH = 6 * MIB; /* of a flood: what one client may make the server hold, and what malloc keeps */

/* n in a long run, a tenth or so in a quick one. */
const many = (n, quick = n / 10) => (LONG ? n : quick);

afterEach(closeClients);

/* An honest client: asks again and again, one question at a time, until stop(). */
async function honest(server) {
  const socket = await connect(server);
  let isOver = false;
  let n = 0;
  const work = (async () => {
    while (!isOver) {
      assert.deepEqual(await ask(socket, 'echo', n, 'honest'), [n, 'honest']);
      n++;
    }
  })();

  const failed = new Promise((_, fail) => work.catch(fail));
  failed.catch(() => {}); /* served() and stop() tell */
  return {
    /* Resolves when it was served once more, as often as one likes. */
    async served(times = 1) {
      for (const from = n; n < from + times; ) await Promise.race([new Promise(setImmediate), failed]);
    },
    async stop() {
      isOver = true;
      await work;
      assert.ok(n > 0);
      socket.disconnect();
    },
  };
}

/* Runs flood() beside an honest client; memory may grow by `growth`, and nothing is left in the end. */
async function flooded(server, flood, growth = GROWTH) {
  const other = await honest(server);

  await other.served();
  const memory = watchMemory(server);
  await flood(other);
  await other.served(3);
  if (countsMemory()) assert.ok(memory.grown() < growth, `grew by ${(memory.grown() / MIB).toFixed(1)} MiB`);
  await other.stop();
  closeClients();
  await allGone(server);
}

const metric = async (server, name) => (await server.metrics()).get(name);

describe('frames that no client may send', () => {
  let server;

  before(async () => (server = await startWith(PLUGINS, { config: '[log]\nlevel = debug\n' })));
  after(() => server.stop());

  /* Writes bytes, which must end the connection with that code, log line and counter. */
  async function refused(bytes, code, reason) {
    await flooded(server, async () => {
      const before = await metric(server, REASON('transport error'));
      const n_lines = server.log.length;
      const raw = await Frames.open(server);

      raw.write(bytes).catch(() => {}); /* it may be cut off before the last of them */
      assert.equal(await raw.closed(), code);
      const line = new RegExp(`websocket\\.refused code=${code} reason="${reason}"`);
      await server.waitLog(line);
      assert.equal(server.log.slice(n_lines).filter((text) => line.test(text)).length, 1);
      assert.equal(await metric(server, REASON('transport error')), before + 1);
      if (reason === 'too many control frames') assert.ok(raw.n_pongs <= 100, `${raw.n_pongs} pongs`);
    });
  }

  const ROWS = [
    ['T06: pings', () => repeat(frame(OPCODE.ping), many(1e6)), 1008, 'too many control frames'],
    ['T06: pings of 125 bytes', () => repeat(frame(OPCODE.ping, 'x'.repeat(125)), many(1e6, 2e4)), 1008, 'too many control frames'],
    ['T06, C24: pongs', () => repeat(frame(OPCODE.pong), many(1e6)), 1008, 'too many control frames'],
    ['C21, C34, T08: fragments of one byte', () => Buffer.concat([frame(OPCODE.text, '4', { isFinal: false }), repeat(frame(OPCODE.more, 'x', { isFinal: false }), many(1e6))]), 1008, 'too many fragments'],
    ['C21, C34, T08: empty fragments', () => Buffer.concat([frame(OPCODE.text, '', { isFinal: false }), repeat(frame(OPCODE.more, '', { isFinal: false }), many(1e6))]), 1008, 'too many fragments'],
    ['C34: fragments beyond a message\'s limit', () => Buffer.concat([frame(OPCODE.binary, Buffer.alloc(60000), { isFinal: false }), repeat(frame(OPCODE.more, Buffer.alloc(60000), { isFinal: false }), 40)]), 1009, 'message too big'],
    ['C17: a length of 2^62', () => Buffer.from([0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]), 1009, 'message too big'],
    ['C17: a length of 2^63', () => Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]), 1002, 'bad length field'],
    ['C17: a length of 2^64 - 1', () => Buffer.from([0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4]), 1002, 'bad length field'],
    ['C05: RSV1', () => frame(OPCODE.text, '4x', { rsv: 0x40 }), 1002, 'RSV bits without an extension'],
    ['C05: RSV2', () => frame(OPCODE.text, '4x', { rsv: 0x20 }), 1002, 'RSV bits without an extension'],
    ['C05: RSV3', () => frame(OPCODE.ping, '', { rsv: 0x10 }), 1002, 'RSV bits without an extension'],
  ];

  for (const [name, bytes, code, reason] of ROWS) test(`${name}: ${code}`, () => refused(bytes(), code, reason));

  test('C21, T08: 1,024 fragments of one byte are one message', () =>
    flooded(server, async () => {
      const raw = await Frames.open(server);
      const text = `42["echo","${'x'.repeat(1024 - 11)}"]`.slice(0, 1022) + '"]';

      assert.equal(text.length, 1024);
      await raw.write(Buffer.concat([...text].map((byte, i) => frame(i ? OPCODE.more : OPCODE.text, byte, { isFinal: i === 1023 }))));
      assert.equal(await raw.message(), text);
    }));

  test('T06: 100 pings a second are answered one by one, also to who reads late', () =>
    flooded(server, async () => {
      const raw = await Frames.open(server);

      raw.socket.pause();
      await raw.write(repeat(frame(OPCODE.ping, 'p'), 100));
      raw.socket.resume();
      await raw.until(() => raw.n_pongs === 100, '100 pongs');
      await raw.text('42["echo",1]');
      assert.equal(await raw.message(), '42["echo",1]');
    }));
});

describe('packets without end', () => {
  let server;

  before(async () => (server = await startWith(PLUGINS)));
  after(() => server.stop());

  test('C24, T06: pongs that nobody asked for: one timer for the session, and it goes on', () =>
    flooded(server, async () => {
      const raw = await Frames.open(server);
      const timers = await metric(server, 'sockhop_timers');

      await raw.write(repeat(frame(OPCODE.text, '3'), many(1e6)), WAIT_MS);
      assert.ok((await metric(server, 'sockhop_timers')) <= timers + 1); /* the metrics' own connection */
      await raw.text('42["echo","after"]');
      assert.equal(await raw.message(WAIT_MS), '42["echo","after"]');
    }));

  test('noops: the session goes on', () =>
    flooded(server, async () => {
      const raw = await Frames.open(server);

      await raw.write(repeat(frame(OPCODE.text, '6'), many(1e6)), WAIT_MS);
      await raw.text('42["echo","after"]');
      assert.equal(await raw.message(WAIT_MS), '42["echo","after"]');
    }));

  test('noops in one POST, as many as its limit allows: ok, and the session goes on', () =>
    flooded(server, async (other) => {
      const polling = await Polling.open(server, { join: true });
      const n = many(500000, 100000);
      const posted = request(server, polling.path, { method: 'POST', body: `6${`${SEPARATOR}6`.repeat(n - 1)}` });

      await other.served(2);
      const answer = await posted;
      assert.deepEqual([answer.status, answer.text], [200, 'ok']);
      await polling.send('42["echo","after"]');
      assert.equal(await polling.packet(), '42["echo","after"]');
    }));

  test('T15: CONNECTs of unknown namespaces are refused one by one, each name cut at 128 bytes', () =>
    flooded(server, async () => {
      const raw = await Frames.open(server);
      const n = many(1e5);
      const window = 2000;
      const name = `/${'n'.repeat(200)}`;
      let n_good = 0;

      raw.onMessage = (text) => {
        const is = text.startsWith(`44${name.slice(0, 128)},`) || /^44\/n\d+,/.test(text);
        if (is && text.endsWith(',{"message":"Invalid namespace"}')) n_good++;
      };
      for (let i = 0; i < n; i += window) {
        await raw.write(Buffer.concat(Array.from({ length: window }, (_, j) => frame(OPCODE.text, `40${j % 10 ? `/n${i + j}` : name},`))), WAIT_MS);
        await raw.until(() => n_good === i + window, `${i + window} refusals`, WAIT_MS);
      }
      raw.onMessage = null;
      await raw.text('42["echo","after"]');
      assert.equal(await raw.message(), '42["echo","after"]');
    }));

  test('T15: CONNECTs in one POST of a client that never polls: it is cut off as slow', () =>
    flooded(server, async (other) => {
      const polling = await Polling.open(server, { join: true });
      const before = await metric(server, REASON('slow consumer'));
      const body = Array.from({ length: many(1e5, 4e4) }, (_, i) => `40/${i % 10}`).join(SEPARATOR);
      const posted = request(server, polling.path, { method: 'POST', body });

      await other.served(2);
      assert.equal((await posted).text, 'ok');
      await server.waitMetrics((metrics) => metrics.get(REASON('slow consumer')) === before + 1, WAIT_MS);
      assert.equal((await polling.get()).status, 400);
    }));

  test('a client that joins and leaves without end leaves nothing behind', () =>
    flooded(server, async () => {
      const raw = await Frames.open(server, { join: false });
      let answer;

      raw.onMessage = (text) => {
        if (text.startsWith('43')) answer = text; /* an answer to a CONNECT whose stay is over is not sent */
      };
      await raw.write(repeat(Buffer.concat([frame(OPCODE.text, '40'), frame(OPCODE.text, '41')]), many(1e5)), WAIT_MS);
      await raw.text('40', '421["echo","in"]', '41');
      await raw.text('40', '422["echo","in again"]');
      await raw.until(() => answer === '432["in again"]', 'the last answer', WAIT_MS);
      await raw.text('41');
      await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1, WAIT_MS); /* the honest one */
    }));

  test('T16: a client that joins as many rooms as it likes is in limits.max_rooms of them', () =>
    flooded(server, async () => {
      const raw = await Frames.open(server);
      let n_refused = 0;
      let n_joined = 0;

      raw.onMessage = (text) => {
        if (/^42\["joined",/.test(text)) n_joined++;
        if (/^42\["error",\{"event":"join","code":"bad_room"/.test(text)) n_refused++;
      };
      for (let i = 0; i < 3000; i += 500) {
        await raw.write(Buffer.concat(Array.from({ length: 500 }, (_, j) => frame(OPCODE.text, `42["join","room ${i + j}"]`))));
        await raw.until(() => n_joined + n_refused === i + 500, `${i + 500} answers`);
      }
      assert.deepEqual([n_joined, n_refused], [1000, 2000]);
      assert.equal(await metric(server, 'sockhop_rooms'), 1000);
    }));

  test('T16: rooms that come and go, each with a name of its own, leave nothing', () =>
    flooded(server, async () => {
      const raw = await Frames.open(server);
      const n = many(1e6, 2e4);
      const window = 1000;
      let n_left = 0;

      raw.onMessage = (text) => (n_left += /^42\["left",/.test(text));
      for (let i = 0; i < n; i += window) {
        await raw.write(
          Buffer.concat(Array.from({ length: window }, (_, j) => ['join', 'leave'].map((what) => frame(OPCODE.text, `42["${what}","room ${i + j}"]`))).flat()),
          WAIT_MS,
        );
        await raw.until(() => n_left === i + window, `${i + window} leaves`, WAIT_MS);
      }
      assert.equal(await metric(server, 'sockhop_rooms'), 0);
    }));

  test('events with acks: all are answered, in order', () =>
    flooded(server, async () => {
      const raw = await Frames.open(server);
      const n = many(1e5);
      const window = 2000;
      let n_acks = 0;

      raw.onMessage = (text) => (n_acks += text === `43${n_acks}["x"]`);
      for (let i = 0; i < n; i += window) {
        await raw.write(Buffer.concat(Array.from({ length: window }, (_, j) => frame(OPCODE.text, `42${i + j}["echo","x"]`))), WAIT_MS);
        await raw.until(() => n_acks === i + window, `${i + window} acks`, WAIT_MS);
      }
    }));

  test('T05: events whose answers are never read end as slow, within the queue\'s limit', () =>
    flooded(
      server,
      async () => {
        const raw = await Frames.open(server);
        const before = await metric(server, REASON('slow consumer'));
        const text = frame(OPCODE.text, `42["echo","${'x'.repeat(1000)}"]`);

        raw.socket.pause();
        for (let n = 0; (await metric(server, REASON('slow consumer'))) === before; n += 1000) {
          assert.ok(n < 100000, 'never cut off');
          await Promise.race([raw.write(repeat(text, 1000), WAIT_MS), server.waitMetrics((metrics) => metrics.get(REASON('slow consumer')) > before, WAIT_MS)]);
        }
      },
      GROWTH + 4 * MIB,
    ));

  test('C03, C48: events that nobody handles, and acks of nothing, do nothing', () =>
    flooded(server, async () => {
      const raw = await Frames.open(server);
      const n = many(1e5);

      await raw.write(repeat(Buffer.concat(['42["nobody",1]', '42["error"]', '42["",{}]', '43999["x"]', '430[]', '4312[{"a":[1]}]'].map((text) => frame(OPCODE.text, text))), n / 5), WAIT_MS);
      await raw.text('421["echo","after"]');
      assert.equal(await raw.message(WAIT_MS), '431["after"]');
      assert.equal(await metric(server, 'sockhop_acks_pending'), 0);
    }));

  test('C50: the same ack id, again and again: each gets its own answer, nothing stays', () =>
    flooded(server, async () => {
      const raw = await Frames.open(server);
      const n = many(1e5);
      const window = 2000;
      let n_acks = 0;

      raw.onMessage = (text) => (n_acks += text === '437["x"]');
      for (let i = 0; i < n; i += window) {
        await raw.write(repeat(frame(OPCODE.text, '427["echo","x"]'), window), WAIT_MS);
        await raw.until(() => n_acks === i + window, `${i + window} acks`, WAIT_MS);
      }
      assert.equal(await metric(server, 'sockhop_acks_pending'), 0);
    }));
});

describe('T09, C10, C36: one message that is too much', () => {
  let server;

  /* C36: the threads get a stack of 128 kB. */
  const prefix = isThreadSanitized ? [] : shell('ulimit -s 128');

  before(async () => (server = await startWith(PLUGINS, { config: '[log]\nlevel = debug\n', prefix })));
  after(() => server.stop());

  const digits = '7'.repeat(999000);
  const ROWS = [
    ['arrays 64 deep', `42["echo",${'['.repeat(63)}${']'.repeat(63)}]`, null],
    ['arrays 65 deep', `42["echo",${'['.repeat(64)}${']'.repeat(64)}]`, 'JSON deeper than max_json_depth'],
    ['arrays 5,000 deep', `42["echo",${'['.repeat(5000)}${']'.repeat(5000)}]`, 'JSON deeper than max_json_depth'],
    ['200,000 open brackets', `42["echo",${'['.repeat(200000)}`, 'JSON deeper than max_json_depth'],
    ['200,000 open objects', `42["echo",${'{"a":'.repeat(190000)}`, 'JSON deeper than max_json_depth'],
    ['1 MB of {}', `42["echo"${',{}'.repeat(333000)}]`, 'JSON with more than max_json_values'],
    ['10,000 values', `42["echo"${',1'.repeat(9998)}]`, null],
    ['10,001 values', `42["echo"${',1'.repeat(9999)}]`, 'JSON with more than max_json_values'],
    ['a number of 1 MB', `42["echo",${digits}]`, 'payload is not JSON'],
    ['an attachment count of 1 MB', `45${digits}-["a"]`, 'too many attachments'],
    ['C13: 11 attachments', '4511-["a"]', 'too many attachments'],
    ['an ack id of 1 MB', `42${digits}["a"]`, 'ack id above 2\\^53-1'],
    ['an ack of 1 MB of digits', `43${digits}[]`, 'ack id above 2\\^53-1'],
    ['a namespace of 1 MB', `42/${digits},["a"]`, 'packet for a namespace that was not joined'],
    ['an event\'s name of 1 MB', `42["${digits}"]`, 'event name longer than 1024 bytes'],
    ['spaces of 1 MB', `42[${' '.repeat(999000)}"echo"]`, null],
    ['a text of 1 MB', `42["echo","${digits}"]`, null],
  ];
  const opened = { WebSocket: (text) => overFrames(text), POST: (text) => overPolling(text) };

  async function overFrames(text) {
    const raw = await Frames.open(server);

    await raw.write(Buffer.concat([frame(OPCODE.text, text), frame(OPCODE.text, '42["echo","next"]')]));
    return { closed: () => raw.closed(), next: async () => { for (;;) if ((await raw.message()) === '42["echo","next"]') return; } };
  }

  async function overPolling(text) {
    const polling = await Polling.open(server, { join: true });

    await polling.send(text);
    return {
      closed: async () => { for (;;) { const { status, text } = await polling.get(); if (status === 400) return; assert.equal(text, '1'); } },
      next: async () => { await polling.send('42["echo","next"]'); for (;;) if ((await polling.packet()) === '42["echo","next"]') return; },
    };
  }

  for (const [how, send] of Object.entries(opened))
    test(`by ${how}`, () =>
      flooded(server, async () => {
        for (const [name, text, reason] of ROWS) {
          const n_lines = server.log.length;
          const client = await send(text).catch((error) => assert.fail(`${name}: ${error.message}`));
          const refusal = () => server.log.slice(n_lines).find((line) => line.includes('sio.refused'));

          if (reason === null) {
            await client.next().catch((error) => assert.fail(`${name}: ${error.message}`));
            assert.equal(refusal(), undefined, name);
          } else {
            await client.closed().catch((error) => assert.fail(`${name}: ${error.message}`));
            assert.match(await refusalLine(refusal, name), new RegExp(`reason="${reason}"`), name);
          }
        }
      }, 24 * MIB));

  /* The log comes by another way than the close. */
  async function refusalLine(refusal, name) {
    for (const until = Date.now() + 15000; Date.now() < until; await new Promise(setImmediate)) if (refusal()) return refusal();
    assert.fail(`${name}: no refusal in the log`);
  }
});

describe('a burst and the turns in between', () => {
  let server;

  /* One packet a turn: others have plenty of chances. Turns take longer with a sanitizer. */
  const N_BURST = countsMemory() ? 400000 : 100000;
  before(async () => (server = await startWith(PLUGINS, { config: '[limits]\nmax_turn_packets = 1\n' })));
  after(() => server.stop());

  /* send(first, last): starts a burst that begins and ends with these events. */
  async function heardInBetween(send) {
    const other = await Frames.open(server);
    const { finish, isDone } = await send('42["shout","first"]', '42["shout","last"]');

    finish(); /* the burst's last bytes, and at once: */
    other.socket.write(frame(OPCODE.text, '421["echo","other"]'));
    const heard = [await other.message(WAIT_MS), await other.message(WAIT_MS), await other.message(WAIT_MS)];
    assert.deepEqual(heard.filter((text) => text !== '42["shouted","first"]'), ['431["other"]', '42["shouted","last"]']);
    await isDone();
    closeClients();
    await allGone(server);
  }

  test(`a POST of ${N_BURST} packets: others are served before its last one`, () =>
    heardInBetween(async (first, last) => {
      const polling = await Polling.open(server, { join: true });
      const body = [first, ...Array(N_BURST).fill('6'), last].join(SEPARATOR);
      const tcp = await Tcp.open(server);
      const head = `POST ${polling.path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;

      await tcp.write(head + body.slice(0, -1));
      return {
        finish: () => tcp.socket.write(body.slice(-1)),
        isDone: async () => assert.equal((await tcp.response()).text, 'ok'),
      };
    }));

  test(`${(N_BURST * 3) / 8} frames: others are served before the last one`, () =>
    heardInBetween(async (first, last) => {
      const raw = await Frames.open(server);
      const burst = Buffer.concat([frame(OPCODE.text, first), repeat(frame(OPCODE.text, '6'), (N_BURST * 3) / 8), frame(OPCODE.text, last)]);

      return { finish: () => raw.socket.write(burst), isDone: () => {} };
    }));

  test('the answers to a burst of events and requests come in order', async () => {
    const sockets = [await connect(server), await connect(server, { transports: ['polling'] })];
    const n = 500;

    for (const socket of sockets) for (let i = 0; i < n; i++) socket.emit('echo', i);
    for (const socket of sockets) {
      await hear(socket, 'echo', n);
      assert.deepEqual(socket.heard.map(([, i]) => i), Array.from({ length: n }, (_, i) => i));
    }
    closeClients();
    await allGone(server);
  });
});
