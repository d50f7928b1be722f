/*
 * wire.js - one TCP connection of which the test says every byte: HTTP requests in a row, then,
 * after an upgrade, WebSocket frames. Nothing here waits or judges: callbacks tell what came, in
 * order, as soon as it is here.
 *
 * Called by: model.test.js.
 */
import net from 'node:net';

import { OPCODE, frame } from './frames.js';

const CRLF2 = Buffer.from('\r\n\r\n');
const NOTHING = Buffer.alloc(0);

/* A text message in n fragments. */
export function fragments(text, n) {
  const size = Math.max(1, Math.ceil(text.length / n));
  const parts = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [''];

  return Buffer.concat(parts.map((part, i) => frame(i ? OPCODE.more : OPCODE.text, part, { isFinal: i === parts.length - 1 })));
}

/* The bytes of a request. body: text or bytes; isChunked: in chunks of a few bytes. */
export function requestBytes(method, path, { headers = [], body, isChunked = false } = {}) {
  const lines = [`${method} ${path} HTTP/1.1`, 'Host: x', ...headers];
  let data = body === undefined ? NOTHING : Buffer.from(body);

  if (isChunked) {
    const chunks = [];
    for (let at = 0; at < data.length; at += 7) {
      const part = data.subarray(at, at + 7);
      chunks.push(`${part.length.toString(16)}\r\n`, part, '\r\n');
    }
    data = Buffer.concat([...chunks, '0\r\n\r\n'].map((chunk) => Buffer.from(chunk)));
    lines.push('Transfer-Encoding: chunked');
  } else if (body !== undefined) {
    lines.push(`Content-Length: ${data.length}`);
  }
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), data]);
}

export const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];

function parseHead(text) {
  const [first, ...lines] = text.split('\r\n');

  return {
    status: Number(first.split(' ')[1]),
    headers: Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    ),
  };
}

export class Wire {
  static open(port) {
    return new Promise((done, fail) => {
      const wire = new Wire();

      Object.assign(wire, { data: NOTHING, due: [], isWebSocket: false, isOver: false, isGone: false });
      wire.socket = net.connect({ host: '127.0.0.1', port, noDelay: true }, () => done(wire));
      wire.socket.on('data', (part) => wire.onData(part));
      wire.socket.on('error', (error) => {
        fail(error); /* counts only before it is open */
      });
      wire.socket.on('close', () => wire.onEnd());
      wire.socket.on('end', () => wire.onEnd());
    });
  }

  /* Sends a request, or a part of one. onAnswer is called with {status, headers, text}, or with null when none came. */
  request(bytes, onAnswer) {
    this.due.push(onAnswer);
    if (this.isGone) setImmediate(() => this.cutAll());
    else this.socket.write(bytes);
  }

  write(bytes) {
    if (!this.isGone) this.socket.write(bytes);
  }

  /* Leaves without a word and hears nothing more: by RST, or by FIN. */
  abort(isReset) {
    if (this.isOver || this.isGone) return; /* node loops for ever at its exit over a socket that is reset behind its end() */
    this.isOver = true; /* from now on nothing is told, but that no answer will come */
    this.cutAll();
    if (isReset) this.socket.resetAndDestroy();
    else this.socket.end();
  }

  onData(part) {
    if (this.isOver) return;
    this.data = this.data.length ? Buffer.concat([this.data, part]) : part;
    while (!this.isOver && (this.isWebSocket ? this.takeFrame() : this.takeResponse()));
  }

  takeResponse() {
    const end = this.data.indexOf(CRLF2);

    if (end < 0) return false;
    const head = parseHead(this.data.subarray(0, end).toString('latin1'));
    const total = end + 4 + (head.status === 101 ? 0 : Number(head.headers['content-length'] ?? 0));
    if (this.data.length < total) return false;
    const text = this.data.subarray(end + 4, total).toString();
    this.data = this.data.subarray(total);
    const onAnswer = this.due.shift();
    if (!onAnswer) throw new Error(`an answer to nothing: ${head.status} ${text}`);
    if (head.status === 101) this.isWebSocket = true;
    this.isLast = head.headers.connection === 'close';
    onAnswer({ ...head, text });
    return true;
  }

  takeFrame() {
    const { data } = this;

    if (data.length < 2) return false;
    const short = data[1] & 127;
    const from = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (data.length < from) return false;
    const length = short < 126 ? short : short === 126 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2));
    if (data.length < from + length) return false;
    this.data = data.subarray(from + length);
    this.onFrame(data[0] & 15, data.subarray(from, from + length));
    return true;
  }

  onEnd() {
    if (this.isGone) return;
    this.isGone = true;
    if (!this.isOver) {
      this.cutAll();
      this.onGone?.();
    }
    this.socket.destroy();
  }

  cutAll() {
    for (const onAnswer of this.due.splice(0)) onAnswer(null);
  }
}
