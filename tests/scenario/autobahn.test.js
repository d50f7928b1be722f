/*
 * autobahn.test.js - the ground that the Autobahn test suite covers, group by group, as a table of our own:
 * what a client sends to a raw WebSocket endpoint that echoes, and what has to come back (RFC 6455, 7692).
 *
 * A row: its name, what is sent (frames, in the chunks given), then what is awaited: messages and pongs
 * in order, and how it ends: closed with 1000 as asked, or failed with a code.
 * UTF-8 is refused as soon as it cannot become any, 6.4 included. Plugin: peers (tests/plugins/peers.c).
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';

import { allGone, closeClients, startWith, whenClosing, within } from '../lib/client.js';
import { OPCODE, frame } from '../lib/frames.js';

const LIMIT_MS = 60000; /* a sanitizer build, and messages of 16 MiB */
const MIB = 1 << 20;
const CONFIG = `[engine]
max_http_buffer_size = 17m
permessage_deflate = yes
permessage_deflate_threshold = 0
[limits]
max_fragments = 1000000
max_queue = 64m
soft_queue = 64m
min_body_rate = 0
`;

let server;
before(async () => {
  server = await startWith(['peers'], { config: CONFIG });
});
after(() => server.stop());
afterEach(async () => {
  closeClients();
  await allGone(server);
});

/* ---- a client that shows every frame */

class Peer {
  static async open({ offer } = {}) {
    const peer = new Peer();
    const socket = net.connect({ host: '127.0.0.1', port: server.port, noDelay: true });
    let rest = Buffer.alloc(0);
    let head;

    Object.assign(peer, { socket, heard: [], parts: [], code: null, waiting: () => {} });
    whenClosing(() => socket.destroy());
    socket.on('error', () => {});
    peer.gone = new Promise((done) => socket.once('close', done));
    peer.gone.then(() => peer.waiting());
    const opened = new Promise((done) => {
      socket.on('data', (part) => {
        rest = Buffer.concat([rest, part]);
        if (head === undefined) {
          const end = rest.indexOf('\r\n\r\n');
          if (end < 0) return;
          head = rest.subarray(0, end).toString('latin1');
          rest = rest.subarray(end + 4);
          done(head);
        }
        rest = peer.take(rest);
        peer.waiting();
      });
    });
    socket.write(
      'GET /ws-echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        `${offer ? `Sec-WebSocket-Extensions: ${offer}\r\n` : ''}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    );
    peer.head = await within(opened, 'the 101');
    assert.match(peer.head, /^HTTP\/1\.1 101 /);
    peer.extension = /^sec-websocket-extensions: (.*)$/im.exec(peer.head)?.[1];
    return peer;
  }

  take(data) {
    for (;;) {
      let [length, from] = [data[1], 2];
      if (data.length < 2) return data;
      if (length === 126) {
        if (data.length < 4) return data;
        [length, from] = [data.readUInt16BE(2), 4];
      } else if (length === 127) {
        if (data.length < 10) return data;
        [length, from] = [Number(data.readBigUInt64BE(2)), 10];
      }
      if (data.length < from + length) return data;
      this.on(data[0], data.subarray(from, from + length));
      data = data.subarray(from + length);
    }
  }

  /* What a server sends is whole: no fragments; only a message has RSV1. */
  on(first, payload) {
    const opcode = first & 15;
    const isDeflated = (first & 0x40) !== 0;

    assert.equal(first & 0xb0, 0x80, 'FIN, and neither RSV2 nor RSV3');
    if (isDeflated) {
      assert.ok(this.extension && opcode < 8);
      const windowBits = Number(/server_max_window_bits=(\d+)/.exec(this.extension)?.[1] ?? 15);
      this.n_deflated = (this.n_deflated ?? 0) + 1;
      payload = inflateRawSync(Buffer.concat([payload, Buffer.from([0, 0, 255, 255])]), {
        finishFlush: constants.Z_SYNC_FLUSH,
        windowBits: Math.max(windowBits, 8),
      });
    }
    if (opcode === OPCODE.close) this.code = payload.length ? payload.readUInt16BE(0) : 0;
    else if (opcode === OPCODE.ping) this.write(frame(OPCODE.pong, payload)); /* a slow run takes longer than ping_interval */
    else this.heard.push([{ 1: 'text', 2: 'binary', 10: 'pong' }[opcode], Buffer.from(payload)]);
  }

  write(...bytes) {
    for (const part of bytes) this.socket.write(part);
  }

  async next() {
    const gone = () => this.socket.destroyed;

    while (this.heard.length === 0 && !gone())
      await within(new Promise((done) => (this.waiting = done)), `a frame; close code ${this.code}`, LIMIT_MS);
    return this.heard.shift();
  }

  /* Resolves with the code of the close frame; null: the connection went without one. */
  async closed() {
    await within(this.gone, 'the end', LIMIT_MS);
    return this.code;
  }
}

const message = (kind, data) => [kind, Buffer.from(data)];
const text = (data) => message('text', data);
const binary = (data) => message('binary', data);
const pong = (data = '') => message('pong', data);
const closing = (code = 1000, reason = '') => {
  const payload = Buffer.alloc(2);

  payload.writeUInt16BE(code);
  return frame(OPCODE.close, Buffer.concat([payload, Buffer.from(reason)]));
};
const part = (opcode, data, isFinal = false) => frame(opcode, data, { isFinal });
/* Each byte in a write of its own. */
const chopped = (bytes, size = 1) => Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));

const T = OPCODE.text;
const B = OPCODE.binary;
const C = OPCODE.more;
const PING = OPCODE.ping;
const PONG = OPCODE.pong;
const CLOSE = OPCODE.close;

/* expect: frames in order; end: the code of our close frame. Without it, the client closes with 1000 and
 * that comes back. What a connection is failed for may overtake the answer to what came before it: the
 * plugin answers in another thread. */
async function check({ send, expect = [], end }) {
  const peer = await Peer.open();

  peer.write(...send);
  if (end !== undefined) {
    assert.equal(await peer.closed(), end);
    for (const [i, [kind, data]] of peer.heard.entries()) assert.deepEqual([kind, data], expect[i]);
    return;
  }
  for (const [i, [kind, data]] of expect.entries()) {
    const got = await peer.next();
    assert.ok(got, `frame ${i}: the connection is over, code ${peer.code}`);
    assert.equal(got[0], kind, `frame ${i}`);
    assert.ok(got[1].equals(data), `frame ${i}: ${got[1].length} bytes, not the ${data.length} expected`);
  }
  peer.write(closing());
  assert.equal(await peer.closed(), 1000);
  assert.deepEqual(peer.heard, [], 'nothing else comes');
}

const groups = {};
const row = (group, name, what) => (groups[group] ??= []).push([name, what]);

/* ---- 1 framing */

for (const size of [0, 125, 126, 127, 128, 65535, 65536]) {
  row('1 framing', `text of ${size}`, { send: [frame(T, 'x'.repeat(size))], expect: [text('x'.repeat(size))] });
  row('1 framing', `bytes of ${size}`, { send: [frame(B, Buffer.alloc(size, 0xfe))], expect: [binary(Buffer.alloc(size, 0xfe))] });
}
row('1 framing', 'text of 65536 in chunks of 997', { send: chopped(frame(T, 'x'.repeat(65536)), 997), expect: [text('x'.repeat(65536))] });
row('1 framing', 'bytes of 65536 in chunks of 997', { send: chopped(frame(B, Buffer.alloc(65536, 0xfe)), 997), expect: [binary(Buffer.alloc(65536, 0xfe))] });

/* ---- 2 pings and pongs */

const odd = Buffer.from([0, 255, 254, 253, 252, 251, 0, 255]);
row('2 pings', 'empty', { send: [frame(PING)], expect: [pong()] });
row('2 pings', 'text', { send: [frame(PING, 'Hello, world!')], expect: [pong('Hello, world!')] });
row('2 pings', 'bytes', { send: [frame(PING, odd)], expect: [pong(odd)] });
row('2 pings', '125 bytes', { send: [frame(PING, Buffer.alloc(125, 0xfe))], expect: [pong(Buffer.alloc(125, 0xfe))] });
row('2 pings', '126 bytes', { send: [frame(PING, Buffer.alloc(126, 0xfe))], end: 1002 });
row('2 pings', '125 bytes, byte by byte', { send: chopped(frame(PING, Buffer.alloc(125, 0xfe))), expect: [pong(Buffer.alloc(125, 0xfe))] });
row('2 pings', 'a pong without a ping', { send: [frame(PONG)] });
row('2 pings', 'a pong with a payload', { send: [frame(PONG, 'unasked')] });
row('2 pings', 'a pong, then a ping', { send: [frame(PONG, 'unasked'), frame(PING, 'asked')], expect: [pong('asked')] });
const ten = Array.from({ length: 10 }, (_, i) => `payload-${i}`);
row('2 pings', 'ten', { send: ten.map((data) => frame(PING, data)), expect: ten.map(pong) });
row('2 pings', 'ten, byte by byte', { send: ten.flatMap((data) => chopped(frame(PING, data))), expect: ten.map(pong) });

/* ---- 3 reserved bits */

for (const bits of [1, 2, 3, 4, 5, 6, 7]) {
  const rsv = bits << 4;
  row('3 reserved', `${bits} in a text`, { send: [frame(T, 'x', { rsv })], end: 1002 });
  row('3 reserved', `${bits} behind a text`, { send: [frame(T, 'Hello'), frame(T, 'x', { rsv }), frame(PING)], expect: [text('Hello')], end: 1002 });
  row('3 reserved', `${bits} in bytes, byte by byte`, { send: [frame(T, 'Hello'), ...chopped(frame(B, odd, { rsv }))], expect: [text('Hello')], end: 1002 });
  row('3 reserved', `${bits} in a ping`, { send: [frame(PING, 'x', { rsv })], end: 1002 });
  row('3 reserved', `${bits} in a close`, { send: [frame(CLOSE, '', { rsv })], end: 1002 });
  row('3 reserved', `${bits} in a continuation`, { send: [part(T, 'x'), frame(C, 'y', { rsv })], end: 1002 });
}

/* ---- 4 opcodes */

for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
  row('4 opcodes', `${opcode}, empty`, { send: [frame(opcode)], end: 1002 });
  row('4 opcodes', `${opcode}, with a payload`, { send: [frame(opcode, 'reserved')], end: 1002 });
  row('4 opcodes', `${opcode}, behind a text`, { send: [frame(T, 'Hello'), frame(opcode, 'x'), frame(PING)], expect: [text('Hello')], end: 1002 });
  row('4 opcodes', `${opcode}, byte by byte`, { send: [frame(T, 'Hello'), ...chopped(frame(opcode, odd))], expect: [text('Hello')], end: 1002 });
}

/* ---- 5 fragments */

const two = [part(T, 'frag'), part(C, 'ment', true)];
row('5 fragments', 'a ping in two', { send: [part(PING, 'frag'), part(C, 'ment', true)], end: 1002 });
row('5 fragments', 'a pong in two', { send: [part(PONG, 'frag'), part(C, 'ment', true)], end: 1002 });
row('5 fragments', 'a close in two', { send: [part(CLOSE, '\x03'), part(C, '\xe8', true)], end: 1002 });
row('5 fragments', 'a text in two', { send: two, expect: [text('fragment')] });
row('5 fragments', 'a text in two, in one write', { send: [Buffer.concat(two)], expect: [text('fragment')] });
row('5 fragments', 'a text in two, byte by byte', { send: chopped(Buffer.concat(two)), expect: [text('fragment')] });
const around = [two[0], frame(PING, 'between'), two[1]];
row('5 fragments', 'a ping between two', { send: around, expect: [pong('between'), text('fragment')] });
row('5 fragments', 'a ping between two, in one write', { send: [Buffer.concat(around)], expect: [pong('between'), text('fragment')] });
row('5 fragments', 'a ping between two, byte by byte', { send: chopped(Buffer.concat(around)), expect: [pong('between'), text('fragment')] });
for (const isFinal of [true, false]) {
  row('5 fragments', `a continuation of nothing, FIN ${isFinal}`, { send: [part(C, 'x', isFinal), frame(T, 'y')], end: 1002 });
  row('5 fragments', `the same, in one write, FIN ${isFinal}`, { send: [Buffer.concat([part(C, 'x', isFinal), frame(T, 'y')])], end: 1002 });
  row('5 fragments', `the same, byte by byte, FIN ${isFinal}`, { send: chopped(Buffer.concat([part(C, 'x', isFinal), frame(T, 'y')])), end: 1002 });
  row('5 fragments', `a continuation behind the end, FIN ${isFinal}`, { send: [...two, part(C, 'more', isFinal), frame(T, 'y')], expect: [text('fragment')], end: 1002 });
}
row('5 fragments', 'a text in a text', { send: [part(T, 'one'), frame(T, 'two')], end: 1002 });
row('5 fragments', 'bytes in a text', { send: [part(T, 'one'), part(C, 'two'), frame(B, 'three')], end: 1002 });
const many = [part(T, 'f1'), part(C, 'f2'), frame(PING, 'p1'), part(C, 'f3'), part(C, 'f4'), frame(PING, 'p2'), part(C, 'f5', true)];
row('5 fragments', 'five with pings', { send: many, expect: [pong('p1'), pong('p2'), text('f1f2f3f4f5')] });
row('5 fragments', 'five with pings, in one write', { send: [Buffer.concat(many)], expect: [pong('p1'), pong('p2'), text('f1f2f3f4f5')] });
row('5 fragments', 'five with pings, byte by byte', { send: chopped(Buffer.concat(many)), expect: [pong('p1'), pong('p2'), text('f1f2f3f4f5')] });
row('5 fragments', 'empty ones', { send: [part(B, ''), part(C, ''), part(C, '', true)], expect: [binary('')] });

/* ---- 6 UTF-8 */

const greek = Buffer.from('κ\u1f79σμε'); /* characters of 2, 3, 2, 2 and 2 bytes */
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const hex = (digits) => Buffer.from(digits.replace(/ /g, ''), 'hex');
row('6 UTF-8', 'empty fragments', { send: [part(T, ''), part(C, ''), part(C, '', true)], expect: [text('')] });
row('6 UTF-8', 'an empty one at the end', { send: [part(T, greek), part(C, '', true)], expect: [text(greek)] });
row('6 UTF-8', 'whole', { send: [frame(T, greek)], expect: [text(greek)] });
row('6 UTF-8', 'in fragments between characters', { send: [part(T, greek.subarray(0, 2)), part(C, greek.subarray(2), true)], expect: [text(greek)] });
row('6 UTF-8', 'a fragment for each byte', { send: [...chopped(greek).map((byte, i) => part(i ? C : T, byte)), part(C, '', true)], expect: [text(greek)] });
row('6 UTF-8', 'byte by byte', { send: chopped(frame(T, greek)), expect: [text(greek)] });
const broken = Buffer.concat([greek, hex('eda080'), Buffer.from('edited')]);
row('6 UTF-8', 'not valid', { send: [frame(T, broken)], end: 1007 });
row('6 UTF-8', 'not valid, a fragment for each byte', { send: [...chopped(broken).map((byte, i) => part(i ? C : T, byte)), part(C, '', true)], end: 1007 });
/* fail fast: what follows never comes */
for (const bytes of [broken, Buffer.concat([greek, hex('f4908080'), Buffer.from('edited')])]) {
  const bad = greek.length + 2; /* the second byte decides */
  row('6 UTF-8', `fails at the byte in a fragment: ${bytes.toString('hex')}`, { send: [part(T, bytes.subarray(0, greek.length)), part(C, bytes.subarray(greek.length, bad + 1))], end: 1007 });
  row('6 UTF-8', `fails at the byte in a frame: ${bytes.toString('hex')}`, { send: [frame(T, bytes).subarray(0, 6 + bad)], end: 1007 });
}
const VALID = [
  ...[2, 5, 7, 9, 11].map((n) => greek.subarray(0, n)),
  ...['hello$world', 'hello¢world', 'hello€world', 'hello\u{24b62}world'].map((word) => Buffer.from(word)),
  ...['00', 'c280', 'e0a080', 'f0908080', '7f', 'dfbf', 'efbfbf', 'f48fbfbf', 'ed9fbf', 'ee8080', 'efbfbd'].map(hex),
  ...range(0, 16).flatMap((plane) => [0xfffe, 0xffff].map((last) => Buffer.from(String.fromCodePoint(plane * 0x10000 + last)))),
  ...range(0xfff9, 0xfffd).map((code) => Buffer.from(String.fromCodePoint(code))),
];
const INVALID = [
  ...[1, 3, 4, 6, 8, 10].map((n) => greek.subarray(0, n)), /* cut within a character */
  ...['f888808080', 'fc8480808080', 'f7bfbfbf', 'fbbfbfbfbf', 'fdbfbfbfbfbf', 'f4908080'].map(hex), /* too long, too high */
  ...range(1, 7).map((n) => hex('80bf'.repeat(4)).subarray(0, n)), Buffer.from([0xbf]), Buffer.from(range(0x80, 0xbf)), /* continuations of nothing */
  ...[[0xc0, 0xdf], [0xe0, 0xef], [0xf0, 0xf7], [0xf8, 0xfb], [0xfc, 0xfd]].map(([from, to]) => Buffer.from(range(from, to).flatMap((byte) => [byte, 0x20]))), /* lonely first bytes */
  ...['c0', 'e080', 'f08080', 'f8808080', 'fc80808080', 'df', 'efbf', 'f7bfbf', 'fbbfbfbf', 'fdbfbfbfbf'].map(hex), /* the last byte is missing */
  hex('c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf'), /* all of them */
  ...['fe', 'ff', 'fefeffff'].map(hex), /* bytes that never occur */
  ...['c0af', 'e080af', 'f08080af', 'f8808080af', 'fc80808080af', 'c1bf', 'e09fbf', 'f08fbfbf', 'f887bfbfbf', 'fc83bfbfbfbf'].map(hex), /* longer than need be */
  ...['c080', 'e08080', 'f0808080', 'f880808080', 'fc8080808080'].map(hex), /* NUL, the same */
  ...['eda080', 'edadbf', 'edae80', 'edafbf', 'edb080', 'edbe80', 'edbfbf'].map(hex), /* surrogates */
  ...['eda080edb080', 'eda080edbfbf', 'edadbfedb080', 'edadbfedbfbf', 'edae80edb080', 'edae80edbfbf', 'edafbfedb080', 'edafbfedbfbf'].map(hex), /* pairs */
];
for (const bytes of VALID) row('6 UTF-8', `valid: ${bytes.toString('hex')}`, { send: [frame(T, bytes)], expect: [text(bytes)] });
for (const bytes of INVALID) row('6 UTF-8', `not valid: ${bytes.toString('hex').slice(0, 40)}`, { send: [frame(T, bytes)], end: 1007 });

/* ---- 7 the closing handshake */

row('7 closing', 'a message, then close', { send: [frame(T, 'Hello')], expect: [text('Hello')] });
row('7 closing', 'two closes', { send: [closing(), closing()], end: 1000 });
row('7 closing', 'a ping behind the close', { send: [closing(), frame(PING)], end: 1000 });
row('7 closing', 'a text behind the close', { send: [closing(), frame(T, 'late')], end: 1000 });
row('7 closing', 'the rest of a message behind the close', { send: [part(T, 'frag'), closing(), part(C, 'ment', true)], end: 1000 });
row('7 closing', 'a long message, then close, ping and text', { send: [Buffer.concat([frame(T, 'x'.repeat(256 * 1024)), closing(), frame(PING), frame(T, 'late')])], expect: [text('x'.repeat(256 * 1024))], end: 1000 });
row('7 closing', 'without a code', { send: [frame(CLOSE)], end: 0 });
row('7 closing', 'one byte', { send: [frame(CLOSE, 'x')], end: 1002 });
row('7 closing', 'a code', { send: [closing()], end: 1000 });
row('7 closing', 'code and reason', { send: [closing(1000, 'Hello World!')], end: 1000 });
row('7 closing', 'the longest reason', { send: [closing(1000, '*'.repeat(123))], end: 1000 });
row('7 closing', 'a longer one', { send: [closing(1000, '*'.repeat(124))], end: 1002 });
row('7 closing', 'a reason that is no UTF-8', { send: [frame(CLOSE, Buffer.concat([hex('03e8'), broken]))], end: 1007 });
for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
  row('7 closing', `code ${code}`, { send: [closing(code)], end: code });
for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
  row('7 closing', `code ${code}, which may not be sent`, { send: [closing(code)], end: 1002 });

/* ---- 9 limits */

const fragments = (opcode, data, size) => Array.from({ length: Math.ceil(data.length / size) }, (_, i) => part(i ? C : opcode, data.subarray(i * size, (i + 1) * size), (i + 1) * size >= data.length));
for (const [opcode, as] of [[T, text], [B, binary]]) {
  for (const size of [64 << 10, 256 << 10, MIB, 4 * MIB, 8 * MIB, 16 * MIB])
    row('9 limits', `${as.name} of ${size}`, { send: [frame(opcode, Buffer.alloc(size, '*'))], expect: [as(Buffer.alloc(size, '*'))] });
  for (const size of [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, MIB, 4 * MIB])
    row('9 limits', `${as.name} of 4 MiB in fragments of ${size}`, { send: [Buffer.concat(fragments(opcode, Buffer.alloc(4 * MIB, '*'), size))], expect: [as(Buffer.alloc(4 * MIB, '*'))] });
  for (const size of [64, 128, 256, 512, 1024, 2048])
    row('9 limits', `${as.name} of 1 MiB in writes of ${size}`, { send: chopped(frame(opcode, Buffer.alloc(MIB, '*')), size), expect: [as(Buffer.alloc(MIB, '*'))] });
  for (const size of [0, 16, 64, 256, 1024, 4096])
    row('9 limits', `1,000 of ${as.name}, ${size} each`, { send: [Buffer.concat(Array.from({ length: 1000 }, () => frame(opcode, Buffer.alloc(size, '*'))))], expect: Array.from({ length: 1000 }, () => as(Buffer.alloc(size, '*'))) });
}

/* ---- 10 fragments of a size that divides nothing */

row('10 others', '65536 in fragments of 1300', { send: fragments(T, Buffer.alloc(65536, '*'), 1300), expect: [text('*'.repeat(65536))] });

for (const [group, rows] of Object.entries(groups))
  test(`${group}: ${rows.length} rows`, async () => {
    const width = group.startsWith('9') ? 2 : 20;

    for (let i = 0; i < rows.length; i += width)
      await Promise.all(
        rows.slice(i, i + width).map(async ([name, what]) => {
          try {
            await check(what);
          } catch (error) {
            throw new Error(`${name}: ${error.message}`, { cause: error });
          }
        }),
      );
  });

/* ---- 12 and 13: deflated messages */

const SIZES = [16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072];
const FRAGMENTED = [[8192, 256], [16384, 256], [32768, 256], [65536, 256], [131072, 256], [131072, 1024], [131072, 4096], [131072, 32768]];
const CASES = [...SIZES.map((size) => [size, 0]), ...FRAGMENTED];
const ANSWER = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

/* Kinds of content: bytes that repeat near and far, text of several languages, noise. */
function pattern(n, make) {
  let state = 1;

  return Buffer.from(Array.from({ length: n }, (_, i) => make(i, () => (state = (state * 1103515245 + 12345) & 0x7fffffff) >> 16)));
}
const CONTENT = {
  'JSON as text': [T, Buffer.from(JSON.stringify(Array.from({ length: 4000 }, (_, i) => ({ id: i, name: `user ${(i * 7919) % 1000}`, text: 'Grüße, κόσμε' }))))],
  'a picture as bytes': [B, pattern(262144, (i, random) => ((i % 512) + (i >> 9) + (random() & 3)) & 255)],
  'a book as bytes': [B, pattern(200000, (i, random) => 97 + ((random() & 7) * (i % 5)) % 26)],
  'a page as text': [T, Buffer.from(Array.from({ length: 3000 }, (_, i) => `<li class="c${i % 17}">пункт ${i}</li>`).join('\n'))],
  'noise as bytes': [B, pattern(262144, (_, random) => random() & 255)],
};

/* As a client without context takeover sends it; text is cut between characters. */
function slice([opcode, content], n, size) {
  let from = (n * size) % content.length;
  let piece = Buffer.concat([content, content]).subarray(from, from + size);

  if (opcode === T) piece = Buffer.from(piece.toString().replaceAll('\ufffd', ''));
  return piece;
}

function deflated(opcode, payload, fragment, windowBits = 15) {
  const options = { windowBits, finishFlush: constants.Z_SYNC_FLUSH };
  const bytes = deflateRawSync(payload, options);
  const body = bytes.subarray(0, bytes.length - 4);

  if (!fragment) return frame(opcode, body, { rsv: 0x40 });
  return Buffer.concat(
    chopped(body, fragment).map((piece, i, all) => frame(i ? C : opcode, piece, { isFinal: i === all.length - 1, rsv: i ? 0 : 0x40 })),
  );
}

async function exchange(offer, answer, content, [size, fragment], { n = 20, windowBits } = {}) {
  const peer = await Peer.open({ offer });

  assert.equal(peer.extension, answer);
  for (let i = 0; i < n; i++) {
    const payload = slice(content, i, size);
    peer.write(deflated(content[0], payload, fragment, windowBits));
    const [kind, data] = (await peer.next()) ?? [];
    assert.equal(kind, content[0] === T ? 'text' : 'binary', `message ${i} of ${size}; close code ${peer.code}`);
    assert.ok(data.equals(payload), `message ${i} of ${size}`);
  }
  peer.write(closing());
  assert.equal(await peer.closed(), 1000);
  return peer.n_deflated ?? 0;
}

for (const [name, content] of Object.entries(CONTENT))
  test(`12 deflated: ${name}, ${CASES.length} rows`, async () => {
    const counts = await Promise.all(CASES.map((row) => exchange('permessage-deflate', ANSWER, content, row)));

    if (content[0] !== T) return; /* what does not shrink comes as it is */
    for (const [i, n] of counts.entries()) if (CASES[i][0] >= 1024) assert.equal(n, 20, `${CASES[i]}: all come deflated`);
  });

for (const [offer, answer, windowBits] of [
  ['permessage-deflate', ANSWER],
  ['permessage-deflate; server_no_context_takeover', ANSWER],
  ['permessage-deflate; server_max_window_bits=9; client_max_window_bits=9', `${ANSWER}; server_max_window_bits=9`, 9],
  ['permessage-deflate; server_max_window_bits=15; client_max_window_bits', ANSWER],
  ['permessage-deflate; server_no_context_takeover; server_max_window_bits=9', `${ANSWER}; server_max_window_bits=9`],
  ['permessage-deflate; server_no_context_takeover; server_max_window_bits=15', ANSWER],
  ['permessage-deflate; unknown=1, permessage-deflate; server_max_window_bits=8, permessage-deflate', `${ANSWER}; server_max_window_bits=8`],
])
  test(`13 offers: ${offer}: ${CASES.length} rows`, () =>
    Promise.all(CASES.map((row) => exchange(offer, answer, CONTENT['JSON as text'], row, { windowBits }))));

test('13 offers that are declined, and then RSV1 is refused', async () => {
  for (const offer of ['permessage-deflate; unknown', 'permessage-deflate; server_max_window_bits=16', 'permessage-deflate; server_no_context_takeover=1', 'x-something']) {
    const peer = await Peer.open({ offer });

    assert.equal(peer.extension, undefined);
    peer.write(deflated(T, Buffer.from('Hello')));
    assert.equal(await peer.closed(), 1002);
  }
});

test('a bomb is refused as it inflates: 1009; what does not inflate: 1007; a deflated ping: 1002', async () => {
  const refused = async (...bytes) => {
    const peer = await Peer.open({ offer: 'permessage-deflate' });

    peer.write(...bytes);
    return peer.closed();
  };

  assert.equal(await refused(deflated(B, Buffer.alloc(18 * MIB))), 1009);
  assert.equal(await refused(frame(B, 'not deflated', { rsv: 0x40 })), 1007);
  assert.equal(await refused(deflated(T, hex('ff'))), 1007);
  assert.equal(await refused(frame(PING, '', { rsv: 0x40 })), 1002);
});
