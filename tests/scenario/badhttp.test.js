/*
 * badhttp.test.js - HTTP as an enemy speaks it, against the real server: the table of tests/data/badhttp.json, which
 * tests/unit/test_badhttp.c gives to the codec; WebSocket handshakes, queries and bytes that nobody should send.
 * With SOCKHOP_LONG=1 each request is cut at every byte, else at a few.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, describe, test } from 'node:test';

import { ENGINE, Tcp, allGone, closeClients, request, startWith } from '../lib/client.js';

afterEach(closeClients);

const LONG = process.env.SOCKHOP_LONG === '1';
const AT_ONCE = 16; /* connections */

/* ---- the table */

const table = JSON.parse(readFileSync(new URL('../data/badhttp.json', import.meta.url), 'utf8'));

function expand(piece) {
  if (Array.isArray(piece)) return piece.slice(0, -1).map(expand).join('').repeat(piece.at(-1));
  return piece[0] === '@' && piece.slice(1) in table.pieces ? table.pieces[piece.slice(1)] : piece;
}

const rows = (name) => table[name].map(([expected, what, ...pieces]) => ({ expected, what, bytes: Buffer.from(pieces.map(expand).join(''), 'latin1') }));

const GOOD = Buffer.from('GET /test/hello HTTP/1.1\r\nHost: x\r\n\r\n');
const HELLO = 'hello\n';
/* Would it be served, the log would say so: route.unanswered. */
const SMUGGLED = Buffer.from('GET /test/forgets HTTP/1.1\r\nHost: x\r\n\r\n');

/* Where to cut: everywhere, or near the ends and at a few places that differ from row to row. */
function cuts(len, row) {
  const all = Array.from({ length: len - 1 }, (_, i) => i + 1);

  if (LONG && len <= 2048) return all;
  const n = LONG ? 200 : 4;
  const some = Array.from({ length: n }, (_, i) => 1 + ((i * 7919 + row * 31 + Math.floor((i * len) / n)) % (len - 1)));
  return len - 1 <= n ? all : [...new Set([1, len - 1, ...some])];
}

async function inParallel(items, action) {
  const queue = [...items];

  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let item; (item = queue.shift()) !== undefined; ) await action(item);
  }));
}

/* Each way in which a row is sent: [what comes first, with its good request or without, what comes then]. */
function ways(bytes, row) {
  return [
    { bytes: [bytes] },
    { bytes: [GOOD, bytes], hasGood: true, isWhole: true },
    ...cuts(bytes.length, row).map((at) => ({ bytes: [Buffer.concat([GOOD, bytes.subarray(0, at)]), bytes.subarray(at)], hasGood: true, at })),
  ];
}

/* Sends it; what comes behind the cut waits until the good request is answered, so what comes before it has been read. */
async function send(server, way, behind) {
  const tcp = await Tcp.open(server);
  const pieces = way.isWhole ? [Buffer.concat(way.bytes)] : way.bytes;
  const last = Buffer.concat([pieces.at(-1), behind]);

  await tcp.write(pieces.length > 1 ? pieces[0] : last);
  if (way.hasGood) assert.equal((await tcp.response()).text, HELLO);
  if (pieces.length > 1) await tcp.write(last);
  return tcp;
}

const REASONS = {
  400: 'Bad Request', 413: 'Content Too Large', 414: 'URI Too Long', 417: 'Expectation Failed', 431: 'Request Header Fields Too Large',
  501: 'Not Implemented', 505: 'HTTP Version Not Supported',
};

/* The refusal, nothing else, and the end. T61: it tells nothing. */
async function assertRefused(tcp, status) {
  const answer = await tcp.response();

  assert.equal(answer.status, status);
  assert.equal(answer.text, `${REASONS[status]}\n`);
  assert.deepEqual(Object.keys(answer.headers).sort(), ['connection', 'content-length', 'content-type', 'date', 'x-content-type-options']);
  assert.equal(answer.headers.connection, 'close');
  await tcp.ended();
  assert.equal(tcp.data.toString('latin1'), '', 'nothing follows');
}

describe('the table', () => {
  const refusals = {}; /* status -> number of connections that were refused */
  let server;
  let n_sent = 0;

  before(async () => (server = await startWith(['route'], { config: '[log]\nlevel = debug\n' })));
  after(() => server.stop());

  [...rows('refused'), ...rows('server')].forEach(({ expected, what, bytes }, row) =>
    test(`C27 C31 T28: ${what}: ${expected}, and the end`, async () => {
      await inParallel(ways(bytes, row), async (way) => {
        const tcp = await send(server, way, SMUGGLED);

        n_sent++;
        refusals[expected] = (refusals[expected] ?? 0) + 1;
        await assertRefused(tcp, expected).catch((error) => assert.fail(`cut at ${way.at ?? 'no byte'}: ${error.message}`));
      });
    }));

  rows('served').forEach(({ expected, what, bytes }, row) =>
    test(`C25 C31 T07: ${what} is served`, async () => {
      await inParallel(ways(bytes, row), async (way) => {
        const tcp = await send(server, way, GOOD);

        n_sent++;
        for (const piece of [...expected, HELLO]) {
          let answer = await tcp.response();
          if (answer.status === 100) answer = await tcp.response(); /* its body came behind the cut */
          assert.equal(answer.status, 200, `cut at ${way.at ?? 'no byte'}`);
          assert.ok(answer.body.equals(Buffer.from(expand(piece), 'latin1')), answer.text.slice(0, 1000));
          assert.equal(answer.headers.connection?.toLowerCase() === 'close', false);
        }
        assert.equal(tcp.data.length, 0);
        await tcp.close();
      });
    }));

  test('T28: the log says why, once for each, and nothing that was smuggled has run', async (t) => {
    const counted = () => {
      const found = {};

      for (const line of server.log) {
        const [, status] = /\bhttp\.refused status=(\d+) reason="[^"]+" peer=127\.0\.0\.1\b/.exec(line) ?? [];
        if (status) found[status] = (found[status] ?? 0) + 1;
      }
      return found;
    };

    await server.waitMetrics(() => Object.entries(refusals).every(([status, n]) => counted()[status] >= n));
    assert.deepEqual(counted(), refusals);
    const total = Object.values(refusals).reduce((sum, n) => sum + n);
    assert.equal((await server.metrics()).get('sockhop_http_errors_total'), total);
    assert.ok(!server.log.some((line) => line.includes('route.unanswered')), 'a smuggled request was served');
    await allGone(server);
    t.diagnostic(`${n_sent} connections, ${total} refusals`);

    /* it would have been seen */
    const tcp = await Tcp.open(server);
    await tcp.write(SMUGGLED);
    assert.equal((await tcp.response()).status, 500);
    await server.waitLog(/route\.unanswered .*path=\/test\/forgets/);
  });
});
