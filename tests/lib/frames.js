/*
 * frames.js - a WebSocket written by hand over TCP: says what no library would, a million times, and
 * counts what comes back.
 *
 * Called by: the scenario tests. Every wait has a deadline and says what did not come.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';

import { WAIT_MS, whenClosing, within } from './client.js';

export const OPCODE = { more: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };
const FIN = 0x80;

/* One masked frame; isFinal false: a fragment, more of the message follows. */
export function frame(opcode, payload = '', { isFinal = true, rsv = 0 } = {}) {
  const bytes = Buffer.from(payload);
  const mask = Buffer.from([0x5a, 0xa5, 0x3c, 0xc3]);
  const head = [(isFinal ? FIN : 0) | rsv | opcode];

  if (bytes.length < 126) head.push(0x80 | bytes.length);
  else if (bytes.length < 0x10000) head.push(0x80 | 126, bytes.length >> 8, bytes.length & 0xff);
  else head.push(0x80 | 127, 0, 0, 0, 0, bytes.length >>> 24, (bytes.length >> 16) & 0xff, (bytes.length >> 8) & 0xff, bytes.length & 0xff);
  return Buffer.concat([Buffer.from(head), mask, bytes.map((byte, i) => byte ^ mask[i % 4])]);
}

/* The same bytes n times. */
export const repeat = (bytes, n) => Buffer.alloc(bytes.length * n, bytes);

export class Frames {
  /* Resolves with an open WebSocket, in the main namespace unless join is false. */
  static async open(server, { join = true } = {}) {
    const it = new Frames();

    Object.assign(it, { messages: [], n_messages: 0, n_pongs: 0, rest: Buffer.alloc(0), closeCode: null, isOver: false });
    it.socket = net.connect({ host: '127.0.0.1', port: server.port, noDelay: true });
    whenClosing(() => it.socket.destroy());
    it.socket.on('error', () => {}); /* a reset: closed tells */
    it.gone = new Promise((done) =>
      it.socket.once('close', () => {
        it.isOver = true;
        done();
      }),
    );
    it.socket.write(
      `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nConnection: Upgrade\r\n` +
        'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    let head = Buffer.alloc(0);
    while (head.indexOf('\r\n\r\n') < 0) head = Buffer.concat([head, (await within(once(it.socket, 'data'), 'the 101'))[0]]);
    assert.match(head.toString('latin1'), /^HTTP\/1\.1 101 /);
    it.socket.on('data', (part) => it.#take(part));
    it.#take(head.subarray(head.indexOf('\r\n\r\n') + 4));
    assert.match(await it.message(), /^0\{"sid":/);
    if (join) {
      await it.text('40');
      assert.match(await it.message(), /^40\{"sid":/);
    }
    return it;
  }

  #take(part) {
    const data = this.rest.length ? Buffer.concat([this.rest, part]) : part;
    let at = 0;

    while (at + 2 <= data.length) {
      let length = data[at + 1];
      let head = 2;
      if (length === 126 && at + 4 <= data.length) [length, head] = [data.readUInt16BE(at + 2), 4];
      else if (length === 127 && at + 10 <= data.length) [length, head] = [Number(data.readBigUInt64BE(at + 2)), 10];
      else if (length >= 126) break;
      if (at + head + length > data.length) break;
      this.#frame(data[at] & 0x0f, data.subarray(at + head, at + head + length));
      at += head + length;
    }
    this.rest = data.subarray(at);
  }

  #frame(opcode, payload) {
    if (opcode === OPCODE.close) this.closeCode = payload.length ? payload.readUInt16BE(0) : 0;
    else if (opcode === OPCODE.pong) this.n_pongs++;
    else if (payload.length === 1 && payload[0] === 0x32) this.socket.write(frame(OPCODE.text, '3')); /* ping, pong */
    else {
      this.n_messages++;
      this.onMessage ? this.onMessage(payload.toString()) : this.messages.push(payload.toString());
    }
  }

  /* Resolves when the bytes are with the kernel, or the connection is over. */
  write(bytes, ms = WAIT_MS) {
    return within(Promise.race([new Promise((done) => this.socket.write(bytes, () => done())), this.gone]), 'bytes to be taken', ms);
  }

  text(...messages) {
    return this.write(Buffer.concat(messages.map((message) => frame(OPCODE.text, message))));
  }

  /* Resolves with the next message. */
  async message(ms = WAIT_MS) {
    await this.until(() => this.messages.length > 0, 'message', ms);
    return this.messages.shift();
  }

  /* Resolves as soon as pred() is true, looked at whenever something has come. */
  async until(pred, what, ms = WAIT_MS) {
    const stop = AbortSignal.timeout(ms);

    while (!pred()) {
      assert.ok(!this.isOver, `${what}: the connection is over, close code ${this.closeCode}`);
      await Promise.race([once(this.socket, 'data', { signal: stop }), this.gone]).catch(() => {
        if (!pred()) throw new Error(`${what}: not within ${ms} ms; ${this.n_messages} messages came`);
      });
    }
  }

  /* Resolves with the close code, null for none, when the connection is over. */
  async closed(ms = WAIT_MS) {
    await within(this.gone, 'end of the connection', ms);
    return this.closeCode;
  }

  async close() {
    if (!this.isOver) this.socket.end(frame(OPCODE.close, Buffer.from([0x03, 0xe8])));
    return this.closed();
  }
}
