/*
 * crowd.js - clients by the thousand: each a few hundred bytes of JavaScript over a bare TCP connection. And what they
 * do to a server that means no good: see ATTACKS.
 *
 * Called by: resources.test.js, bench/hostile.mjs. As a program, `node crowd.js PORT N [NAME]`, it logs N clients in,
 * prints "ready" and stays until it is killed: so that all of them are cut at once, or stop answering.
 */
import { once } from 'node:events';
import net from 'node:net';
import { pathToFileURL } from 'node:url';

export const CROWD = new URL(import.meta.url).pathname;

/* Addresses of loopback to connect from: no port is used twice within its minute. */
let n_connected = 0;
const from = () => `127.0.${1 + ((n_connected >> 8) % 200)}.${1 + (n_connected++ % 250)}`;

export function connectTo(port) {
  const socket = net.connect({ host: '127.0.0.1', port, localAddress: from(), noDelay: true });

  socket.on('error', () => {}); /* 'close' tells */
  return socket;
}

/* A masked frame, its mask 0: the payload is as it is. */
export function frame(text, opcode = 1) {
  const payload = Buffer.from(text);
  const n = payload.length;
  const head =
    n < 126 ? [0x80 | opcode, 0x80 | n] : n < 65536 ? [0x80 | opcode, 0xfe, n >> 8, n & 255] : [0x80 | opcode, 0xff, 0, 0, 0, 0, n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255];

  return Buffer.concat([Buffer.from(head), Buffer.alloc(4), payload]);
}

const upgradeHead = (query = '') =>
  `GET /socket.io/?EIO=4&transport=websocket${query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

/* A WebSocket client. onMessage(text) gets each message that is no ping. */
export class Light {
  constructor(port, { query, onMessage, answersPings = true } = {}) {
    Object.assign(this, { onMessage, answersPings, rest: Buffer.alloc(0), isOpen: false, isOver: false, waiting: [], got: [] });
    this.socket = connectTo(port);
    this.socket.write(upgradeHead(query));
    this.socket.on('data', (part) => this.#take(part));
    this.gone = new Promise((done) =>
      this.socket.once('close', () => {
        this.isOver = true;
        for (const { fail } of this.waiting.splice(0)) fail(new Error('the connection is over'));
        done();
      }),
    );
  }

  #take(part) {
    let data = this.rest.length ? Buffer.concat([this.rest, part]) : part;

    if (!this.isOpen) {
      const end = data.indexOf('\r\n\r\n');

      this.rest = data;
      if (end < 0) return;
      if (!data.subarray(0, 12).equals(Buffer.from('HTTP/1.1 101'))) {
        this.status = data.subarray(9, 12).toString();
        this.socket.destroy();
        return;
      }
      this.isOpen = true;
      data = data.subarray(end + 4);
    }
    while (data.length >= 2) {
      let [head, n] = [2, data[1] & 127];

      if (n === 126 && data.length >= 4) [head, n] = [4, data.readUInt16BE(2)];
      else if (n === 127 && data.length >= 10) [head, n] = [10, Number(data.readBigUInt64BE(2))];
      else if (n >= 126) break;
      if (data.length < head + n) break;
      if ((data[0] & 15) === 1) this.#message(data.toString('utf8', head, head + n));
      data = data.subarray(head + n);
    }
    this.rest = Buffer.from(data);
  }

  #message(text) {
    if (text === '2') {
      if (this.answersPings) this.send('3');
      return;
    }
    if (this.onMessage) this.onMessage(text);
    const i = this.waiting.findIndex(({ start }) => text.startsWith(start));
    if (i >= 0) this.waiting.splice(i, 1)[0].done(text);
    else if (!this.onMessage) this.got.push(text);
  }

  /* Resolves with the first message that begins so, come or to come. */
  until(start) {
    const i = this.got.findIndex((text) => text.startsWith(start));

    if (i >= 0) return Promise.resolve(this.got.splice(0, i + 1)[i]);
    if (this.isOver) return Promise.reject(new Error('the connection is over'));
    return new Promise((done, fail) => this.waiting.push({ start, done, fail }));
  }

  send(text) {
    this.socket.write(frame(text));
  }

  async join() {
    this.send('40'); /* behind the head of its handshake: the server takes it then */
    await this.until('40{');
    return this;
  }

  async login(name) {
    await this.join();
    this.send(`42["login","${name}"]`);
    await this.until('42["welcome"');
    return this;
  }

  /* Gone without a word; a RST, so that no port waits. */
  cut() {
    this.socket.resetAndDestroy();
  }
}

/* One connection that polls: requests one after the other. */
export class LightPolling {
  constructor(port) {
    this.rest = Buffer.alloc(0);
    this.socket = connectTo(port);
    this.socket.on('data', (part) => {
      this.rest = Buffer.concat([this.rest, part]);
      this.#look();
    });
    this.socket.on('close', () => this.fail?.(new Error('the connection is over')));
  }

  #look() {
    const end = this.rest.indexOf('\r\n\r\n');
    if (end < 0 || !this.done) return;
    const head = this.rest.toString('latin1', 0, end);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    if (this.rest.length < end + 4 + length) return;
    const text = this.rest.toString('utf8', end + 4, end + 4 + length);
    this.rest = this.rest.subarray(end + 4 + length);
    const { done, fail } = this;
    this.done = this.fail = undefined;
    if (head.startsWith('HTTP/1.1 200')) done(text);
    else fail(new Error(`${head.slice(0, 20)} ${text}`));
  }

  #ask(method, body) {
    const path = `/socket.io/?EIO=4&transport=polling${this.sid ? `&sid=${this.sid}` : ''}`;

    return new Promise((done, fail) => {
      Object.assign(this, { done, fail });
      this.socket.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\n${body === undefined ? '' : `Content-Type: text/plain;charset=UTF-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`}\r\n${body ?? ''}`);
    });
  }

  async open() {
    this.sid = JSON.parse((await this.#ask('GET')).slice(1)).sid;
    return this;
  }

  send(body) {
    return this.#ask('POST', body);
  }

  async until(start) {
    for (;;) {
      const packets = (await this.#ask('GET')).split('\x1e');

      if (packets.includes('2')) await this.send('3');
      if (packets.some((packet) => packet.startsWith(start))) return;
    }
  }
}

/* ---- visits: come, log in, leave */

export const CYCLES = {
  websocket: async (port, name) => {
    const client = await new Light(port).login(name);

    client.send('1');
    client.cut();
  },
  polling: async (port, name) => {
    const client = await new LightPolling(port).open();

    await client.send('40');
    await client.until('40{');
    await client.send(`42["login","${name}"]`);
    await client.until('42["welcome"');
    await client.send('1');
    client.socket.resetAndDestroy();
  },
  upgrade: async (port, name) => {
    const polling = await new LightPolling(port).open();
    const client = new Light(port, { query: `&sid=${polling.sid}` });

    client.send('2probe');
    await client.until('3probe');
    client.send('5');
    await client.login(name);
    client.send('1');
    client.cut();
    polling.socket.resetAndDestroy();
  },
};

/* ---- attacks: each opens one hostile connection, which goes on by itself. Resolves with {gone, stop()}. */

function hostile(socket, step, every_ms) {
  const gone = new Promise((done) => socket.once('close', done));
  const timer = step && setInterval(step, every_ms);

  gone.then(() => clearInterval(timer));
  socket.resume();
  return { gone, stop: () => socket.resetAndDestroy(), socket };
}

export const SLOW = {
  /* a head, a byte at a time */
  async head(port, every_ms = 200) {
    const socket = connectTo(port);
    const text = 'GET / HTTP/1.1\r\nX-Slow: ';
    let i = 0;

    return hostile(socket, () => socket.write(text[i++] ?? 'x'), every_ms);
  },
  /* a body, a byte at a time */
  async body(port, every_ms = 200) {
    const polling = await new LightPolling(port).open();

    polling.socket.write(`POST /socket.io/?EIO=4&transport=polling&sid=${polling.sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n4`);
    return hostile(polling.socket, () => polling.socket.write('x'), every_ms);
  },
  /* a frame, a byte at a time, of one who answers pings (and has not joined: broadcasts would be work of another kind) */
  async frame(port, every_ms = 200) {
    const client = new Light(port);

    await client.until('0{');

    client.socket.write(frame('x'.repeat(100000)).subarray(0, 20));
    return hostile(client.socket, () => client.socket.write('x'), every_ms);
  },
  /* nothing at all */
  async silent(port) {
    return hostile(connectTo(port));
  },
  /* a session that joins no namespace */
  async neverJoining(port) {
    const client = new Light(port);

    await client.until('0{');
    return hostile(client.socket);
  },
};

/* ---- the program */

async function main(port, n, name) {
  const clients = [];

  while (clients.length < n) {
    const batch = Array.from({ length: Math.min(100, n - clients.length) }, (_, i) => new Light(port).login(`${name}${clients.length + i}`));
    clients.push(...(await Promise.all(batch)));
  }
  console.log('ready');
  await once(process.stdin.resume(), 'end');
  process.exit(0);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(Number(process.argv[2]), Number(process.argv[3]), process.argv[4] ?? 'u');
