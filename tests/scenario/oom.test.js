/*
 * oom.test.js - allocations that fail, each at its n-th (threats.md G10, STYLE.md 6).
 *
 * What has a size that a client chose costs that client its connection, and nobody else anything. What is small ends
 * the process by its own abort, with a line that says so; a start that a library could not allocate for ends with
 * status 1 and a reason. Never any other signal. Not with a sanitizer, which allocates itself: the plain build.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ENGINE, Polling, RawWebSocket, Tcp, allGone, closeClients, pluginDir, request, within } from '../lib/client.js';
import { Faults, isSanitized } from '../lib/faults.js';
import { IS_ROOT, THREADS, startServer } from '../lib/server.js';
import { Bystander, VISITS, outcome } from '../lib/visits.js';

const IS_LONG = process.env.SOCKHOP_LONG === '1';
const options = { skip: isSanitized && 'a sanitizer allocates by itself' };
const LARGE = 16384; /* core/base/mem.h: MEM_LARGE */
const BIG = 300000;

const CONFIG = `[limits]
max_head = 128k
max_target = 64k
[plugin:auth]
[plugin:lobby]
notices = no
max_message_bytes = 1m
[plugin:echo]
[plugin:rooms]
[plugin:route]
`;

const text = 'x'.repeat(BIG);
const values = `[${Array.from({ length: 9000 }, (_, i) => i).join()}]`.slice(1, -1);

/* Resolves when a packet comes that begins so; a client that was cut off is as good. */
async function until(client, start) {
  while (!(await (client.message ?? client.packet).call(client)).startsWith(start));
}

const webSocket = (act) => async (server) => {
  const raw = await RawWebSocket.open(server, { join: true });

  raw.ws.on('message', (data) => data.toString() === '2' && raw.ws.send('3'));
  await act(raw);
  await raw.close();
};

const polling = (act, how) => async (server) => {
  const client = await Polling.open(server, { join: true, ...how });

  try {
    await act(client, server);
  } finally {
    await client.send('1').catch(() => {});
    await client.get().catch(() => {}); /* what it is still told, if its session has ended */
  }
};

let n_acked = 0; /* messages to everybody that the server says it has sent */

/* What a client does that makes the server allocate as much as it likes. */
const ACTIONS = {
  'an event, acked': webSocket(async (raw) => {
    raw.send(`421["echo","${text}"]`);
    await until(raw, '431["xxx');
  }),
  'an event with attachments': webSocket(async (raw) => {
    raw.send(`452-3["echo","${text}",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, Buffer.alloc(50000), Buffer.alloc(60000));
    await until(raw, '462-3["xxx');
    for (const length of [50000, 60000]) assert.equal((await raw.message()).length, length);
  }),
  'an event in fragments': webSocket(async (raw) => {
    raw.ws.send(`42["echo","${text.slice(1)}`, { fin: false });
    raw.ws.send('x"]', { fin: true });
    await until(raw, '42["echo","xxx');
  }),
  'a message to everybody': webSocket(async (raw) => {
    raw.send('42["login","loud"]');
    await until(raw, '42["welcome"');
    raw.send(`422["chat","${text}"]`);
    await until(raw, '432[{"ok":true}]');
    n_acked++;
  }),
  'thousands of values': webSocket(async (raw) => {
    raw.send(`42["echo",${values}]`);
    await until(raw, '42["echo",0,1,');
  }),
  'an ack': webSocket(async (raw) => {
    raw.send(`431["${text}"]`, '42["echo","done"]');
    await until(raw, '42["echo","done"');
  }),
  'a name': webSocket(async (raw) => {
    raw.send(`42["login","${text}"]`);
    await until(raw, '42["loginNameBad"');
  }),
  'a body': polling(async (client) => {
    await client.send(`42["echo","${text}"]`);
    await until(client, '42["echo","xxx');
  }),
  'a body in base64': polling(async (client) => {
    await client.post(`b${Buffer.from(text).toString('base64')}`);
    throw new Error('it has no place for that');
  }),
  'a body of many packets': polling(async (client) => {
    await client.send(Array(60000).fill('6').join('\x1e'));
    await client.send('42["echo","done"]');
    await until(client, '42["echo","done"');
  }),
  'a form, answered by a script': polling(
    async (client) => {
      await client.send(`42["echo","${text}"]`);
      await until(client, '42["echo","xxx');
    },
    { jsonp: 0 },
  ),
  'what it has not polled': polling(async (client) => {
    await client.send(`42["echo","${text.slice(0, 100000)}"]`);
    await client.send(`42["echo","${text.slice(0, 100000)}"]`);
    await client.send('3');
    await until(client, '42["echo","xxx');
    await until(client, '42["echo","xxx');
  }),
  'a body for a plugin': async (server) => {
    const answer = await request(server, '/test/body', { method: 'POST', body: text, headers: { 'Content-Type': 'text/plain' } });

    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
  },
  'a head': async (server) => {
    const answer = await request(server, `/?${text.slice(0, 60000)}`, { headers: { 'X-Long': text.slice(0, 30000) } });

    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
  },
  'requests behind one that is not answered yet': polling(async (client, server) => {
    const tcp = await Tcp.open(server);
    const get = `GET ${client.path} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const page = `GET /robots.txt HTTP/1.1\r\nHost: x\r\nX-Long: ${text.slice(0, 20000)}\r\n\r\n`;

    await tcp.write(get);
    await client.send('3'); /* the poll is there */
    await tcp.write(page + page);
    await client.send('42["echo","done"]');
    assert.equal((await tcp.response()).status, 200);
    assert.equal((await tcp.response()).status, 404);
    assert.equal((await tcp.response()).status, 404);
    tcp.close();
  }),
  'a first message right behind the handshake': async (server) => {
    const tcp = await Tcp.open(server);
    const mask = Buffer.alloc(4); /* of zeros: the payload is as it is */
    const payload = Buffer.from(`42["echo","${text.slice(0, 40000)}"]`);
    const frame = (data) => {
      const head = data.length < 126 ? Buffer.of(0x81, 0x80 | data.length) : Buffer.of(0x81, 0xfe, data.length >> 8, data.length & 255);
      return Buffer.concat([head, mask, data]);
    };

    await tcp.write(
      Buffer.concat([
        Buffer.from(
          'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
            'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
        ),
        frame(Buffer.from('40')),
        frame(payload),
      ]),
    );
    while (!tcp.data.includes('42["echo","xxx')) await tcp.more('echo');
    tcp.close();
  },
};

describe(`G10: sizes that a client chooses, threads = ${THREADS}`, options, () => {
  test('no memory for them costs that client its connection, and nobody else anything', async (t) => {
    const faults = new Faults({ memory: true });
    const server = await startServer({ config: CONFIG, env: faults.env, args: ['-o', `server.plugin_dir=${pluginDir()}`] });
    const others = [await RawWebSocket.open(server, { join: true }), await RawWebSocket.open(server, { join: true })];
    const count = { cells: 0, lost: 0 };
    const failures = [];

    for (const raw of others) {
      raw.n_chats = 0;
      raw.ws.on('message', (data) => {
        if (data.toString() === '2') raw.ws.send('3');
        raw.n_chats += data.toString().startsWith('42["chat"');
      });
    }
    const check = async () => {
      assert.ok(!server.end, `the server has ended: ${server.end && server.endText()}`);
      for (const raw of others) {
        raw.send('42["echo","here"]');
        await until(raw, '42["echo","here"');
        assert.ok(raw.n_chats >= n_acked, 'a message was acked and not delivered');
      }
    };
    faults.write('malloc', 'min_size', LARGE + 1);
    for (const [what, act] of Object.entries(ACTIONS)) {
      await outcome(act(server)); /* once to make what is made once */
      const before = faults.seen('malloc');
      await outcome(act(server));
      const most = faults.seen('malloc') - before;

      assert.ok(most > 0, `${what}: no allocation of a size that it chose`);
      for (let n = 1; n <= most + 1; n++) {
        faults.arm('malloc', 'ENOMEM', n);
        const error = await outcome(act(server));
        faults.disarm('malloc');
        count.cells++;
        count.lost += error !== undefined;
        try {
          await check();
        } catch (failure) {
          failures.push(`${what}, allocation ${n} of ${most} (${faults.read('malloc', 'size')} bytes): ${failure.message.slice(0, 1200)}`);
          assert.deepEqual(failures, []);
        }
        if (n <= most && faults.injected('malloc') > 0) assert.match(server.log.join('\n'), /WARN mem\.refused bytes=\d+/);
      }
    }
    t.diagnostic(`${count.cells} cells survived, ${count.lost} clients lost`);
    closeClients();
    await allGone(server, 60000);
    await server.stop();
    faults.close();
  });
});

/* ---- small ones */

/* Not by name: glibc's look-up of users crashes without memory (2.36: nss_database.c, its assertion). */
const AS_NUMBERS = IS_ROOT ? ['-o', 'server.user=65534:65534'] : [];
const SMALL_CONFIG = '[plugin:auth]\n[plugin:lobby]\nnotices = no\n[plugin:echo]\n';

/* n of 1..max: all of them, or `few` that are spread over them. */
const spread = (max, few) =>
  IS_LONG || max <= few ? Array.from({ length: max }, (_, i) => i + 1) : Array.from({ length: few }, (_, i) => 1 + Math.floor((i * (max - 1)) / (few - 1)));

/* Runs cell(n) for each, three at a time; resolves with the counts of what they said. */
async function runCells(all, cell) {
  const count = {}, failures = [];

  all = [...all];
  await Promise.all(
    Array.from({ length: 3 }, async () => {
      for (let n; (n = all.pop()) !== undefined && failures.length < 5; )
        try {
          const result = await cell(n);
          count[result] = (count[result] ?? 0) + 1;
        } catch (failure) {
          failures.push(`allocation ${n}: ${failure.message.slice(0, 1500)}`);
        }
    }),
  );
  assert.deepEqual(failures, []);
  return count;
}

/* What an end of the server that was short of memory may look like. */
function judgeEnd(server) {
  const log = server.log.join('\n');

  if (server.end.status === 1) {
    assert.match(log, /^sockhop: .*\w{4}|ERROR loop\.failed what=/m);
    return 'refused';
  }
  if (process.getuid() === 0 && server.end.signal && (log === '' || log.includes('nss_'))) return 'lookup';
  if (server.end.status === 127) {
    assert.match(log, /memory/, 'the dynamic linker says so too');
    return 'unlinked';
  }
  assert.equal(server.end.signal, 'SIGABRT', server.endText());
  assert.match(log, /ERROR mem\.exhausted bytes=\d+/);
  return 'aborted';
}

describe(`G10: small allocations, threads = ${THREADS}`, options, () => {
  async function start(arm = () => {}) {
    const faults = new Faults({ memory: true });

    arm(faults);
    const server = await startServer({ config: SMALL_CONFIG, env: faults.env, args: AS_NUMBERS }).catch((error) => {
      if (!error.server?.end) throw error;
      return error.server;
    });
    await Promise.race([server.waitLog(/server\.ready/).catch(() => {}), server.gone]);
    return { server, faults };
  }

  test('at the start: it ends with a reason, by status 1 or its own abort, or it serves', async (t) => {
    const { server: quiet, faults: counted } = await start();
    const most = counted.seen('malloc');

    await quiet.stop();
    counted.close();
    const count = await runCells(spread(most, 60), async (n) => {
      const { server, faults } = await start((at) => at.arm('malloc', 'ENOMEM', n));

      try {
        if (server.end) return judgeEnd(server);
        faults.disarm('malloc');
        assert.equal((await request(server, ENGINE)).status, 200);
        await server.stop();
        return 'served';
      } finally {
        faults.close();
      }
    });
    assert.ok((count.lookup ?? 0) <= 3, 'glibc itself, when root looks a user up: getpwnam() uses what it could not allocate');
    t.diagnostic(`of ${most} allocations of a start: ${JSON.stringify(count)}`);
    assert.ok(count.aborted > 0);
  });

  test('while it serves: it ends by its own abort with a line that says why, or goes on', async (t) => {
    const visit = (server) => Promise.all(Object.entries(VISITS).map(([kind, act]) => outcome(act(server, kind).catch(ended(server)))));
    /* a server that has ended says nothing any more: that is judged by its end */
    const ended = (server) => async (error) => {
      if (!/nothing within/.test(error.message)) await server.metrics().catch(() => server.gone);
      throw error;
    };
    const { server: quiet, faults: counted } = await start();
    const before = counted.seen('malloc');

    await visit(quiet);
    const most = counted.seen('malloc') - before;
    await quiet.stop();
    counted.close();
    const count = await runCells(spread(most, 60), async (n) => {
      const { server, faults } = await start();

      try {
        faults.arm('malloc', 'ENOMEM', n);
        await Promise.race([visit(server), server.gone]);
        faults.disarm('malloc');
        if (server.end) return judgeEnd(server);
        assert.deepEqual((await visit(server)).filter(Boolean), []);
        await server.stop();
        return 'served';
      } finally {
        faults.close();
      }
    });
    t.diagnostic(`of ${most} allocations of a visit: ${JSON.stringify(count)}`);
    assert.ok(count.aborted > 0);
  });
});
