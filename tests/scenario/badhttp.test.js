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

/* ---- WebSocket's opening handshake */

const WS = '/socket.io/?EIO=4&transport=websocket';
const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const VERSION = 'Sec-WebSocket-Version: 13\r\n';
const UPGRADE = `Connection: Upgrade\r\nUpgrade: websocket\r\n${VERSION}${KEY}`;

const upgrade = (lines = UPGRADE, path = WS, start = 'GET') => `${start} ${path} HTTP/1.1\r\nHost: x\r\n${lines}\r\n`;

/* What is not Latin-1 would not be a byte. */
const latin1 = (text) => Buffer.from(text, 'latin1');

describe('the opening handshake of WebSocket', () => {
  let server;

  before(async () => (server = await startWith(['route', 'echo'], { config: '[log]\nlevel = debug\n' })));
  after(() => server.stop());

  const assertNothingRan = () => assert.ok(!server.log.some((line) => line.includes('route.unanswered')), 'a smuggled request was served');

  for (const [what, bytes, status] of [
    ['no key', upgrade(`Connection: Upgrade\r\nUpgrade: websocket\r\n${VERSION}`), 400],
    ['an empty key', upgrade(UPGRADE.replace(KEY, 'Sec-WebSocket-Key:\r\n')), 400],
    ['a key of 15 bytes', upgrade(UPGRADE.replace(KEY, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n')), 400],
    ['a key of 17 bytes', upgrade(UPGRADE.replace(KEY, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWE=\r\n')), 400],
    ['a key without padding', upgrade(UPGRADE.replace('==', '')), 400],
    ['a key of other letters', upgrade(UPGRADE.replace('dGhl', 'dG*l')), 400],
    ['a key beyond ASCII', upgrade(UPGRADE.replace('dGhl', 'dG\xe9l')), 400],
    ['a key of 8 KB', upgrade(UPGRADE.replace('dGhl', 'd'.repeat(8000))), 400],
    ['two keys', upgrade(UPGRADE + KEY), 400],
    ['a key and another', upgrade(`${UPGRADE}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n`), 400],
    ['no version', upgrade(UPGRADE.replace(VERSION, '')), 426],
    ['version 8', upgrade(UPGRADE.replace('13', '8')), 426],
    ['version 013', upgrade(UPGRADE.replace('13', '013')), 426],
    ['version 13, 8', upgrade(UPGRADE.replace('13', '13, 8')), 426],
    ['version of 100 digits', upgrade(UPGRADE.replace('13', '1'.repeat(100))), 426],
    ['an unknown transport', upgrade(UPGRADE, WS.replace('websocket', 'constructor')), 400],
    ['the transport of polling', upgrade(UPGRADE, ENGINE), 400],
    ['protocol version 3', upgrade(UPGRADE, WS.replace('4', '3')), 400],
    ['a sid that nobody has', upgrade(UPGRADE, `${WS}&sid=AAAAAAAAAAAAAAAAAAAA`), 400],
    ['a foreign Origin', upgrade(`${UPGRADE}Origin: http://evil\r\n`), 403],
  ])
    test(`C27: an upgrade with ${what} gets ${status}, and nothing behind it is served`, async () => {
      const tcp = await Tcp.open(server);

      await tcp.write(latin1(bytes + SMUGGLED));
      const answer = await tcp.response();
      assert.equal(answer.status, status);
      assert.equal(answer.headers.connection, 'close');
      assert.doesNotMatch(answer.text, /sockhop|evil|constructor|AAAA|\d\.\d/i); /* T61 */
      await tcp.ended();
      assert.equal(tcp.data.length, 0);
      await server.waitLog(/handshake\.refused code=\d+ reason="[^"]+"/);
      assertNothingRan();
      await allGone(server);
    });

  for (const [what, bytes] of [
    ['POST', upgrade(UPGRADE, WS, 'POST')],
    ['HTTP/1.0', upgrade().replace('HTTP/1.1', 'HTTP/1.0')],
    ['a body', `${upgrade(`${UPGRADE}Content-Length: 2\r\n`)}hi`],
    ['a chunked body', `${upgrade(`${UPGRADE}Transfer-Encoding: chunked\r\n`)}2\r\nhi\r\n0\r\n\r\n`],
    ['no Upgrade', upgrade(`Connection: Upgrade\r\n${VERSION}${KEY}`)],
    ['no Connection', upgrade(`Upgrade: websocket\r\n${VERSION}${KEY}`)],
    ['another Upgrade', upgrade(UPGRADE.replace('websocket', 'websockets'))],
    ['a Connection that says close', upgrade(UPGRADE.replace('Upgrade', 'close, Upgrade, keep-alive').replace('Upgrade: websocket', 'Upgrade: h2c'))],
  ])
    test(`an upgrade with ${what} is none, and what follows is HTTP`, async () => {
      const tcp = await Tcp.open(server);

      await tcp.write(latin1(bytes + GOOD));
      const answer = await tcp.response();
      assert.equal(answer.status, 400);
      if (answer.headers.connection === 'close') {
        await tcp.ended();
        assert.equal(tcp.data.length, 0);
      } else {
        assert.equal((await tcp.response()).text, HELLO);
      }
      await tcp.close();
      await allGone(server);
    });

  test('T28: what stands behind an upgrade is frames and never a request', async () => {
    const tcp = await Tcp.open(server);

    await tcp.write(latin1(upgrade() + SMUGGLED));
    assert.equal((await tcp.response()).status, 101);
    await tcp.ended(); /* G is no frame of a client */
    assert.doesNotMatch(tcp.data.toString('latin1'), /HTTP/);
    assertNothingRan();
    await allGone(server);
  });

  test('C20: an upgrade may have 100 headers, whichever stands last', async () => {
    const lines = UPGRADE.match(/.*\r\n/g);

    for (const n of [0, 93, 94, 95, 96, 2000])
      for (let last = 0; last < lines.length; last++) {
        const ordered = [...lines.filter((_, i) => i !== last), 'A:b\r\n'.repeat(n), lines[last]].join('');
        const tcp = await Tcp.open(server);

        await tcp.write(upgrade(ordered));
        const answer = await tcp.response();
        assert.equal(answer.status, 1 + lines.length + n <= 100 ? 101 : 431, `${n} more, ${lines[last]}`);
        await tcp.close();
      }
    await allGone(server);
  });

  /* What ws and others have fallen over. */
  const WORDS = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf', 'permessage-deflate', 'permessage-deflate; client_max_window_bits',
    'permessage-deflate; server_max_window_bits=8', 'x-webkit-deflate-frame', 'foo'];
  const SHAPES = [
    (word) => word, (word) => `${word}, ${word}`, (word) => `${word};${word}`, (word) => `${word}; ${word}=${word}`, (word) => `${word}; a="`,
    (word) => `${word}; a="\\`, (word) => `${word}; a="b\\"c"; d`, (word) => `${word};;`, (word) => `,${word},,`, (word) => `;${word}`, (word) => `${word}=`,
    (word) => `=${word}`, (word) => `"${word}"`, (word) => `${word}; a=b; a=b`, (word) => `${word}; ${word}; ${word}, ${word}; ${word}`,
    (word) => `${word};\t=\xff`, (word) => ` \t ${word} \t `, (word) => `${word}(comment)`, (word) => `${word}; ${'a=b; '.repeat(300)}`, (word) => `${word}, `.repeat(100),
  ];

  test('C18: 200 hostile lists of extensions, and of subprotocols, are all ignored', async () => {
    const values = WORDS.flatMap((word) => SHAPES.map((shape) => shape(word)));

    assert.equal(new Set(values).size, 200);
    await inParallel(values, async (value) => {
      const tcp = await Tcp.open(server);

      await tcp.write(latin1(upgrade(`${UPGRADE}Sec-WebSocket-Extensions: ${value}\r\nSec-WebSocket-Protocol: ${value}\r\n`)));
      const answer = await tcp.response();
      assert.equal(answer.status, 101, value);
      assert.equal(answer.headers['sec-websocket-extensions'], undefined);
      assert.equal(answer.headers['sec-websocket-protocol'], undefined);
      await tcp.close();
    });
    await allGone(server);
  });

  for (const name of ['Sec-WebSocket-Extensions', 'Sec-WebSocket-Protocol', 'Sec-WebSocket-Key', 'Sec-WebSocket-Version', 'Connection', 'Upgrade', 'Origin'])
    test(`C19: ${name} of blanks and commas gets an answer, whatever its length`, async () => {
      for (const [len, statuses] of [[15_000, [101, 400, 403, 426]], [65_536, [431]]])
        for (const unit of [' ', ',', ' ,', ',\t', ';', 'a,', 'a ']) {
          const tcp = await Tcp.open(server);

          await tcp.write(upgrade(`${UPGRADE}${name}: x${unit.repeat(len / unit.length)}x\r\n`));
          assert.ok(statuses.includes((await tcp.response()).status), `${len} "${unit}"`);
          await tcp.close();
        }
      await allGone(server);
    });
});

/* ---- C07, T11: queries, paths and headers that nobody should send */

/* Not UTF-8, as bytes. */
const NO_UTF8 = [
  ...Array.from({ length: 64 }, (_, i) => [0x80 + i]), /* continuations of nothing */
  ...[0xc0, 0xc1, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff].map((byte) => [byte]), /* in no UTF-8 */
  ...[0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf4].flatMap((byte) => [[byte], [byte, 0x41], [byte, 0xc3]]), /* cut short */
  ...[[0xe1, 0x80], [0xf1, 0x80], [0xf1, 0x80, 0x80], [0xe1, 0x80, 0x41], [0xf1, 0x80, 0x80, 0x41]],
  ...[[0xc0, 0x80], [0xc0, 0xaf], [0xc1, 0xbf], [0xe0, 0x80, 0x80], [0xe0, 0x80, 0xaf], [0xe0, 0x9f, 0xbf], [0xf0, 0x80, 0x80, 0xaf], [0xf0, 0x8f, 0xbf, 0xbf],
    [0xf8, 0x80, 0x80, 0x80, 0xaf], [0xfc, 0x80, 0x80, 0x80, 0x80, 0xaf]], /* longer than need be */
  ...[[0xed, 0xa0, 0x80], [0xed, 0xad, 0xbf], [0xed, 0xae, 0x80], [0xed, 0xaf, 0xbf], [0xed, 0xb0, 0x80], [0xed, 0xbf, 0xbf], [0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80]], /* surrogates */
  ...[[0xf4, 0x90, 0x80, 0x80], [0xf7, 0xbf, 0xbf, 0xbf], [0xf5, 0x80, 0x80, 0x80]], /* above 10FFFF */
  ...[[0xc3, 0xa9, 0xff], [0xff, 0xc3, 0xa9], [0xe2, 0x82, 0xac, 0xe2, 0x82], [0xef, 0xbf, 0xbe, 0xfe], [0xfe, 0xff, 0x00], [0xff, 0xfe, 0x41]],
];
const escaped = (bytes) => bytes.map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

describe('queries, paths and headers', () => {
  const path = (query) => `/socket.io/?${query}`;
  let server;

  before(async () => (server = await startWith(['route', 'echo'], { config: '[log]\nlevel = debug\n' })));
  after(() => server.stop());

  const ODD = ['', '%00', '4%00', '%', '%zz', '%4', '__proto__', 'constructor', 'toString', 'hasOwnProperty', '[object Object]'.replace(' ', '+'), 'null',
    'undefined', 'true', '-1', '1e9', '0x4', '04', '4.0', '+4', '%204', '%0d%0aX:1', '..%2f..%2fetc%2fpasswd', '%ff', '%ed%a0%80', 'a'.repeat(63), 'a'.repeat(64),
    'a'.repeat(65), 'a'.repeat(8000), '%61'.repeat(2600), '%F0%9F%92%A9', '\'";<>`{}|^\\'];

  const QUERIES = [
    ...ODD.flatMap((value) => [`EIO=4&transport=${value}`, `EIO=${value}&transport=polling`, `EIO=4&transport=polling&EIO=${value}`,
      `EIO=4&transport=polling&transport=${value}`, `transport=${value}&EIO=4&transport=polling`, `EIO=4&transport[]=${value}`, `EIO=4&transport[a]=${value}`,
      `EIO[]=4&transport=polling&EIO=${value}`, `EIO=4;transport=${value}`, `EIO=4&&transport==${value}`]),
    ...ODD.slice(1).flatMap((value) => [`EIO=4&transport=polling&sid=${value}`, `sid=${value}&EIO=4&transport=polling&sid=`, `EIO=4&transport=polling&sid=a&sid=${value}`]),
    '', '&', '=', '&&&&', '=&=', '?', '?EIO=4&transport=polling', 'eio=4&Transport=polling', '%45IO=3&transport=polling', 'EIO&transport', 'EIO=&transport=&sid=',
    `${'&'.repeat(8000)}`, `${'a&'.repeat(4000)}`, `${'='.repeat(8000)}`, `${'EIO=4&'.repeat(1300)}`, `${'transport=polling&'.repeat(450)}EIO=3`,
  ];

  test(`C07: ${QUERIES.length} odd queries are refused, and the server serves on`, async () => {
    await inParallel(QUERIES, async (query) => {
      for (const method of ['GET', 'POST']) {
        const tcp = await Tcp.open(server);

        await tcp.write(Buffer.concat([latin1(`${method} ${path(query)} HTTP/1.1\r\nHost: x\r\n${method === 'POST' ? 'Content-Length: 5\r\n' : ''}\r\n${method === 'POST' ? 'hello' : ''}`), GOOD]));
        const answer = await tcp.response();
        assert.equal(answer.status, 400, query.slice(0, 200));
        assert.match(answer.text, /^\{"code":[0-5],"message":"[A-Za-z ]+"\}$/, query.slice(0, 200));
        assert.equal((await tcp.response()).text, HELLO, 'the connection goes on');
        await tcp.close();
      }
    });
    await allGone(server);
  });

  test('C07: a target of 64 KB gets 414', async () => {
    for (const query of [`EIO=4&transport=${'a'.repeat(65536)}`, `EIO=4&transport=polling&sid=${'a'.repeat(65536)}`, `EIO=${'4'.repeat(65536)}&transport=polling`, 'a&'.repeat(32768)]) {
      const tcp = await Tcp.open(server);

      await tcp.write(`GET ${path(query)} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await assertRefused(tcp, 414);
    }
  });

  test('C07: what is odd but clear is understood', async () => {
    for (const query of ['EIO=4&transport=polling&__proto__=1&constructor=2&a&b=&=c&%zz=1', 'transport=polling&EIO=4', '&&EIO=4&&transport=polling&&',
      'EIO=4&EIO=4&transport=polling&transport=polling', '%45%49%4f=%34&%74ransport=%70olling', 'EIO=4&transport=polling&sid=', 'EIO=4&transport=polling&sid', `EIO=4&transport=polling&t=${'a'.repeat(8000)}`]) {
      const answer = await request(server, path(query));

      assert.equal(answer.status, 200, query);
      await request(server, `${ENGINE}&sid=${JSON.parse(answer.text.slice(1)).sid}`, { method: 'POST', body: '1' });
    }
    await allGone(server);
  });

  test(`T11: ${NO_UTF8.length} sequences that are no UTF-8 get no further than the path, the query or the header`, async () => {
    const ask = async (bytes) => {
      const tcp = await Tcp.open(server);

      await tcp.write(latin1(bytes));
      const answer = await tcp.response();
      await tcp.close();
      return answer;
    };
    const rest = ' HTTP/1.1\r\nHost: x\r\n\r\n';

    assert.ok(NO_UTF8.length >= 132);
    await inParallel(NO_UTF8, async (sequence) => {
      const raw = String.fromCharCode(...sequence);
      const code = escaped(sequence);

      for (const target of [`/${code}`, `/${code}.js`, `/test/${code}`, `/test/hello${code}`, `/socket.io/${code}`]) assert.equal((await ask(`GET ${target}${rest}`)).status, 404, target);
      for (const query of [`EIO=4&transport=${code}`, `EIO=${code}&transport=polling`, `EIO=4&transport=polling&sid=${code}`])
        assert.equal((await ask(`GET ${path(query)}${rest}`)).status, 400, query);
      if (sequence.includes(0)) return; /* never in a head */
      assert.equal((await ask(`GET /test/${raw}${rest}`)).status, 400);
      assert.equal((await ask(`GET /test/hello?${raw}${rest}`)).status, 400);
      assert.equal((await ask(`GET /test/hello HTTP/1.1\r\nHost: ${raw}\r\n\r\n`)).status, 400);
      assert.equal((await ask(`GET /test/hello HTTP/1.1\r\nHost: x\r\nX${raw}: a\r\n\r\n`)).status, 400);
      assert.equal((await ask(`GET ${ENGINE} HTTP/1.1\r\nHost: x\r\nOrigin: http://${raw}\r\n\r\n`)).status, 403);
      /* RFC 9110 5.5: any other value is opaque, and goes to whoever asks for it as it came */
      const agent = await ask(`GET /test/agent HTTP/1.1\r\nHost: x\r\nUser-Agent: a${raw}b\r\n\r\n`);
      assert.ok(agent.body.equals(latin1(`a${raw}b`)));
    });
    await allGone(server);
  });

  test('the log has no byte of what was sent', () => {
    for (const line of server.log) assert.doesNotMatch(line, /[\0-\x08\x0b-\x1f\x7f-\uffff]|__proto__|constructor|passwd/, line);
  });
});
