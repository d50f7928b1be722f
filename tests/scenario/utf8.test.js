/*
 * utf8.test.js - bytes that are no UTF-8, through every entry that a client has (threats.md T11): text
 * frames whole and in fragments, POST bodies, event names, headers, paths and queries.
 *
 * Plugin: echo.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { ENGINE, Polling, Tcp, allGone, ask, closeClients, connect, request, startWith } from '../lib/client.js';
import { Frames, OPCODE, frame } from '../lib/frames.js';

afterEach(closeClients);

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/* By the ways in which RFC 3629 can be broken. */
const BAD = [
  ...range(0x80, 0xbf).map((byte) => [byte]), /* a continuation of nothing */
  ...[0xc0, 0xc1, ...range(0xf5, 0xff)].flatMap((byte) => [[byte], [byte, 0x80, 0x80, 0x80]]), /* never used */
  ...range(0xc2, 0xf4).map((byte) => [byte, 0x20]), /* a first byte alone */
  ...range(0xe0, 0xef).map((byte) => [byte, byte === 0xe0 ? 0xa0 : 0x80]), /* cut after the second */
  ...range(0xf0, 0xf4).map((byte) => [byte, 0x8f + (byte === 0xf0), 0x80]), /* after the third */
  [0xe0, 0x80, 0x80], [0xe0, 0x9f, 0xbf], [0xf0, 0x80, 0x80, 0x80], [0xf0, 0x8f, 0xbf, 0xbf], /* longer than need be */
  [0xed, 0xa0, 0x80], [0xed, 0xad, 0xbf], [0xed, 0xae, 0x80], [0xed, 0xbf, 0xbf], [0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80], /* surrogates */
  [0xf4, 0x90, 0x80, 0x80], [0xf7, 0xbf, 0xbf, 0xbf], [0xf8, 0x88, 0x80, 0x80, 0x80], [0xfc, 0x84, 0x80, 0x80, 0x80, 0x80], /* above U+10FFFF */
  [0xff, 0xfe], [0xfe, 0xff], /* marks of other encodings */
].map((bytes) => Buffer.from(bytes));

const around = (text, bytes, rest) => Buffer.concat([Buffer.from(text), bytes, Buffer.from(rest)]);
let server;

before(async () => {
  assert.ok(BAD.length >= 132, `${BAD.length} sequences`);
  server = await startWith(['echo']);
});
after(() => server.stop());

/* Runs check() for each sequence, some at a time; then the server serves, and holds nothing. */
async function forEach(check) {
  for (let i = 0; i < BAD.length; i += 20)
    await Promise.all(BAD.slice(i, i + 20).map((bytes) => check(bytes).catch((error) => assert.fail(`${bytes.toString('hex')}: ${error.message}`))));
  const socket = await connect(server);
  assert.deepEqual(await ask(socket, 'echo', 'ü€😀', '\ud800'), ['ü€😀', '\ud800']); /* half a pair in escapes is data */
  closeClients();
  await allGone(server);
}

for (const [what, from, to] of [['an argument', '42["echo","', '"]'], ['an event\'s name', '42["', '"]'], ['a namespace', '40/', ',']])
  test(`T11: a text frame with ${what}: 1007`, () =>
    forEach(async (bytes) => {
      const raw = await Frames.open(server);

      await raw.write(frame(OPCODE.text, around(from, bytes, to)));
      assert.equal(await raw.closed(), 1007);
    }));

test('T11: the same in fragments, cut within the bytes: 1007', () =>
  forEach(async (bytes) => {
    const raw = await Frames.open(server);
    const text = around('42["echo","', bytes, '"]');
    const cut = 11 + Math.floor(bytes.length / 2);

    await raw.write(Buffer.concat([frame(OPCODE.text, text.subarray(0, cut), { isFinal: false }), frame(OPCODE.ping), frame(OPCODE.more, text.subarray(cut))]));
    assert.equal(await raw.closed(), 1007);
  }));

test('T11: a close frame\'s reason: 1007', () =>
  forEach(async (bytes) => {
    const raw = await Frames.open(server);

    await raw.write(frame(OPCODE.close, Buffer.concat([Buffer.from([0x03, 0xe8]), bytes])));
    assert.equal(await raw.closed(), 1007);
  }));

test('T11: a POST: 400, and the session has ended', () =>
  forEach(async (bytes) => {
    const polling = await Polling.open(server, { join: true });

    assert.equal((await polling.post(around('42["echo","', bytes, '"]'))).status, 400);
    assert.equal((await polling.get()).status, 400);
  }));

/* The answer's status, whatever is said. */
async function say(bytes) {
  const tcp = await Tcp.open(server);

  await tcp.write(bytes);
  const { status } = await tcp.response();
  await tcp.close();
  return status;
}

test('T11: a path, a query, a header\'s name, as they are: 400', () =>
  forEach(async (bytes) => {
    assert.equal(await say(around('GET /', bytes, ' HTTP/1.1\r\nHost: x\r\n\r\n')), 400);
    assert.equal(await say(around(`GET ${ENGINE}&sid=`, bytes, ' HTTP/1.1\r\nHost: x\r\n\r\n')), 400);
    assert.equal(await say(around('GET / HTTP/1.1\r\nHost: x\r\nX-', bytes, ': x\r\n\r\n')), 400);
  }));

test('T11: a header\'s value is bytes that nobody reads as text: served', () =>
  forEach(async (bytes) => {
    assert.equal(await say(around('GET / HTTP/1.1\r\nHost: x\r\nX-Text: ', bytes, '\r\nConnection: close\r\n\r\n')), 200);
    assert.equal(await say(around('GET / HTTP/1.1\r\nHost: x\r\nCookie: a=', bytes, '\r\nConnection: close\r\n\r\n')), 200);
    assert.equal(await say(around(`GET ${ENGINE} HTTP/1.1\r\nHost: x\r\nOrigin: http://`, bytes, '\r\n\r\n')), 403);
  }));

test('T11: a path and a query in escapes: no such file, no such session', () =>
  forEach(async (bytes) => {
    const escaped = [...bytes].map((byte) => `%${byte.toString(16)}`).join('');

    assert.ok([400, 404].includes((await request(server, `/${escaped}`)).status));
    assert.equal((await request(server, `${ENGINE}&sid=${escaped}`)).status, 400);
  }));
