/*
 * client.js - the clients of the scenario tests: socket.io-client, and below it polling by plain
 * HTTP, a WebSocket, and bytes over TCP. Every wait has a deadline and says what did not come.
 *
 * Called by: the scenario tests.
 */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { io } from 'socket.io-client';
import WebSocket from 'ws';

import { BUILD, WAIT_MS, startServer } from './server.js';

export { WAIT_MS };

/* The three choices that a client has. */
export const TRANSPORTS = {
  polling: ['polling'],
  websocket: ['websocket'],
  upgrade: ['polling', 'websocket'],
};

/* Every client that was opened, as a function that ends it. A failed test must not fail the next. */
const openClients = new Set();
export const whenClosing = (close) => openClients.add(close);
export function closeClients() {
  for (const close of openClients) close();
  openClients.clear();
}

/* Resolves as promise does, or fails after ms with what: words, or what makes them. */
export function within(promise, what, ms = WAIT_MS) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${typeof what === 'function' ? what() : what}: nothing within ${ms} ms`)), ms);
  });

  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/* Resolves with the arguments of the next event that fits. */
export function next(emitter, event, fits = () => true) {
  return within(
    new Promise((done) => {
      const listener = (...args) => {
        if (!fits(...args)) return;
        emitter.off(event, listener);
        done(args);
      };
      emitter.on(event, listener);
    }),
    `event ${event}`,
  );
}

/* ---- the server with test plugins */

/* A folder with the plugins of the server and those of the tests. Goes with the process. */
let pluginFolder;
export function pluginDir() {
  if (pluginFolder) return pluginFolder;
  pluginFolder = mkdtempSync(join(tmpdir(), 'sockhop-plugins-'));
  process.on('exit', () => rmSync(pluginFolder, { recursive: true, force: true }));
  for (const folder of ['plugins/.libs', 'tests/plugins/.libs'])
    for (const name of readdirSync(join(BUILD, folder)))
      if (name.endsWith('.so')) symlinkSync(join(BUILD, folder, name), join(pluginFolder, name));
  return pluginFolder;
}

/* startServer() with both kinds of plugins; plugins: names, each with its section empty. */
export function startWith(plugins, { config = '', args = [], ...rest } = {}) {
  return startServer({
    config: `${config}\n${plugins.map((name) => `[plugin:${name}]\n`).join('')}`,
    args: ['-o', `server.plugin_dir=${pluginDir()}`, ...args],
    ...rest,
  });
}

const GAUGES = ['sockets', 'rooms', 'memberships', 'acks_pending', 'queued_bytes', 'incomplete_packets', 'incomplete_bytes'];

/* Resolves when nothing of any client is left. The question itself is one connection. */
export function allGone(server, ms = WAIT_MS) {
  return server.waitMetrics(function nothingIsLeft(metrics) {
    return (
      GAUGES.every((name) => metrics.get(`sockhop_${name}`) === 0) &&
      metrics.get('sockhop_sessions{transport="polling"}') === 0 &&
      metrics.get('sockhop_sessions{transport="websocket"}') === 0 &&
      metrics.get('sockhop_connections') <= 1 &&
      metrics.get('sockhop_timers') <= 1
    );
  }, ms);
}

/* ---- socket.io-client */

/*
 * A stock client that keeps what it hears: heard is [[event, ...args], ...] in order. Connected
 * when this resolves, unless wait is false. It does not come back by itself, unless told so.
 */
export async function connect(server, { transports = ['websocket'], wait = true, ...options } = {}) {
  const socket = io(server.url, { transports, forceNew: true, reconnection: false, ...options });

  openClients.add(() => socket.disconnect());
  socket.heard = [];
  socket.bell = new EventEmitter().setMaxListeners(0);
  socket.onAny((...args) => {
    socket.heard.push(args);
    socket.bell.emit('ring');
  });
  if (!wait) return socket;
  await within(
    new Promise((done, fail) => {
      socket.once('connect', done);
      socket.once('connect_error', fail);
      socket.io.once('close', (reason) => fail(new Error(`closed before connect: ${reason}`)));
    }),
    'connect',
  );
  if (transports.length > 1 && socket.io.engine.transport.name === 'polling')
    await within(
      new Promise((done, fail) => {
        socket.io.engine.once('upgrade', done);
        socket.io.engine.once('close', (reason) => fail(new Error(`closed before the upgrade: ${reason}`)));
      }),
      'upgrade',
    );
  return socket;
}

/* All that socket heard so far of one event: the arguments of each. */
export const heard = (socket, event) =>
  socket.heard.filter(([name]) => name === event).map(([, ...args]) => args);

/* Resolves with the n-th (from 1) arguments of an event, heard or to come. */
export async function hear(socket, event, n = 1) {
  while (heard(socket, event).length < n)
    await within(
      once(socket.bell, 'ring'),
      () => `event ${event}, number ${n}; heard ${JSON.stringify(socket.heard).slice(0, 500)}`,
    );
  return heard(socket, event)[n - 1];
}

/* Resolves with what the server acks. */
export function ask(socket, event, ...args) {
  return within(new Promise((done) => socket.emit(event, ...args, (...answer) => done(answer))), `ack of ${event}`);
}

/* A round trip: whatever was sent to or by the socket before has arrived. Needs plugin echo. */
export const settle = (socket) => ask(socket, 'echo', 'settle');

/* ---- HTTP: one request, one connection, unless an agent is given */

/* T61: whatever a test is refused, the answer tells neither version nor path nor sid. */
function discreet(answer) {
  if (answer.status < 400) return answer;
  for (const name of ['server', 'x-powered-by', 'via']) assert.equal(answer.headers[name], undefined);
  assert.doesNotMatch(answer.text, /sockhop|\/(dev|etc|home|opt|proc|root|tmp|usr|var)\/|\d+\.\d+\.\d+|[\w-]{27}/i);
  return answer;
}

/* Resolves with {status, headers, body, text}. */
export function request(server, path, { method = 'GET', headers = {}, body, agent = false, url } = {}) {
  return within(
    new Promise((done, fail) => {
      const outgoing = http.request(`${url ?? server.url}${path}`, { method, headers, agent }, (incoming) => {
        const parts = [];

        incoming.on('data', (part) => parts.push(part));
        incoming.on('error', fail);
        incoming.on('end', () => {
          const whole = Buffer.concat(parts);
          try {
            done(discreet({ status: incoming.statusCode, headers: incoming.headers, body: whole, text: whole.toString() }));
          } catch (error) {
            fail(error);
          }
        });
      });
      outgoing.on('error', fail);
      outgoing.end(body);
    }),
    `${method} ${path}`,
  );
}

/* ---- Engine.IO by polling */

export const ENGINE = '/socket.io/?EIO=4&transport=polling';
export const SEPARATOR = '\x1e';

/* A payload of Engine.IO 3 as text, "LENGTH:PACKET" for each, and its packets. */
export const pack3 = (packets) => packets.map((packet) => `${packet.length}:${packet}`).join('');
export function unpack3(text) {
  const packets = [];

  for (let at = 0; at < text.length;) {
    const colon = text.indexOf(':', at);
    const end = colon + 1 + Number(text.slice(at, colon));

    packets.push(text.slice(colon + 1, end));
    at = end;
  }
  return packets;
}

/* What a page gets from a script: it is one call, with one string. */
function runScript(text, index) {
  let payload;

  Function('___eio', text)({ [index]: (string) => (payload = string) });
  return payload;
}

/* A form as a browser posts it for engine.io-client. */
const asForm = (payload) => new URLSearchParams({ d: payload.replace(/\\n/g, '\\\n').replace(/\n/g, '\\n') }).toString();

/* A session without the comfort of a client. */
export class Polling {
  /* version: of Engine.IO; jsonp: the index of its callback, for scripts and forms; query: more of it. */
  static async open(server, { join: mayJoin = false, version = 4, jsonp, query = '' } = {}) {
    const path = `/socket.io/?EIO=${version}&transport=polling${jsonp === undefined ? '' : `&j=${jsonp}`}${query}`;
    const polling = Object.assign(new Polling(), { server, version, jsonp, waiting: [] });
    const answer = await request(server, path);

    assert.equal(answer.status, 200);
    const [open, ...waiting] = polling.read(answer);
    assert.equal(open[0], '0');
    Object.assign(polling, { handshake: JSON.parse(open.slice(1)), waiting });
    polling.sid = polling.handshake.sid;
    polling.path = `${path}&sid=${polling.sid}`;
    openClients.add(() => polling.send('1').catch(() => {}));
    if (mayJoin) {
      await polling.send('40');
      assert.match(await polling.packet(), /^40\{"sid":"[^"]+"\}$/);
    }
    return polling;
  }

  /* The packets of a response. */
  read({ headers, text }) {
    const payload = this.jsonp === undefined ? text : runScript(text, this.jsonp);

    assert.equal(headers['content-type'], `text/${this.jsonp === undefined ? 'plain' : 'javascript'}; charset=UTF-8`);
    return this.version === 3 ? unpack3(payload) : payload.split(SEPARATOR);
  }

  get() {
    return request(this.server, this.path);
  }

  post(body, headers = { 'Content-Type': 'text/plain;charset=UTF-8' }) {
    return request(this.server, this.path, { method: 'POST', headers, body });
  }

  async send(...packets) {
    const payload = this.version === 3 ? pack3(packets) : packets.join(SEPARATOR);
    const answer = await (this.jsonp === undefined
      ? this.post(payload)
      : this.post(asForm(payload), { 'Content-Type': 'application/x-www-form-urlencoded' }));

    assert.equal(answer.status, 200);
    assert.equal(answer.text, 'ok');
  }

  /* Resolves with the next packet; pings are answered. */
  async packet() {
    while (this.waiting.length === 0) {
      const answer = await this.get();

      assert.equal(answer.status, 200, answer.text);
      for (const packet of this.read(answer)) {
        if (packet === '2' && this.version === 4) await this.send('3');
        else this.waiting.push(packet);
      }
    }
    return this.waiting.shift();
  }
}

/* ---- Engine.IO by WebSocket */

export class RawWebSocket {
  /*
   * path: of the WebSocket; default: a session of its own; pongs: pings are answered, and are no messages.
   * Resolves when it is open.
   */
  static async open(server, { sid, path, options, join: mayJoin = false, pongs = false } = {}) {
    const raw = new RawWebSocket();
    const query = path ?? `/socket.io/?EIO=4&transport=websocket${sid ? `&sid=${sid}` : ''}`;

    raw.messages = [];
    raw.ws = new WebSocket(server.url.replace('http', 'ws') + query, options);
    raw.ws.on('message', (data, isBinary) => {
      if (pongs && !isBinary && data.toString() === '2') raw.send('3');
      else raw.messages.push(isBinary ? data : data.toString());
    });
    openClients.add(() => raw.ws.terminate());
    raw.closed = new Promise((done) => {
      raw.ws.once('close', (code, reason) => done({ code, reason: reason.toString() }));
    });
    await within(
      new Promise((done, fail) => {
        raw.ws.once('open', done);
        raw.ws.once('error', fail);
      }),
      'WebSocket open',
    );
    raw.ws.on('error', () => {}); /* closed tells */
    if (mayJoin) {
      raw.handshake = JSON.parse((await raw.message()).slice(1));
      raw.ws.send('40');
      let packet;
      while ((packet = await raw.message()) === '2') raw.send('3'); /* due already, on a busy machine */
      assert.match(packet, /^40\{"sid":"[^"]+"\}$/);
    }
    return raw;
  }

  send(...messages) {
    for (const message of messages) this.ws.send(message);
  }

  /* Resolves with the next message. */
  async message() {
    while (this.messages.length === 0) {
      await within(
        Promise.race([
          new Promise((done) => this.ws.once('message', done)),
          this.closed.then(({ code }) => {
            if (this.messages.length === 0) throw new Error(`closed with ${code}`);
          }),
        ]),
        'WebSocket message',
      );
    }
    return this.messages.shift();
  }

  /* Resolves with {code, reason}. */
  end() {
    return within(this.closed, 'WebSocket close');
  }

  close() {
    this.ws.close();
    return this.end();
  }
}

/* ---- bytes over TCP */

export class Tcp {
  static async open(server, { url = server.url } = {}) {
    const tcp = new Tcp();
    const { hostname, port } = new URL(url);

    tcp.data = Buffer.alloc(0);
    tcp.isEnded = false;
    tcp.socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
    openClients.add(() => tcp.socket.destroy());
    tcp.socket.on('data', (part) => (tcp.data = Buffer.concat([tcp.data, part])));
    tcp.socket.on('end', () => (tcp.isEnded = true));
    tcp.socket.on('error', () => (tcp.isEnded = true));
    tcp.socket.on('close', () => (tcp.isEnded = true)); /* destroyed by a test's end, too */
    tcp.gone = new Promise((done) => tcp.socket.once('close', done));
    await within(new Promise((done) => tcp.socket.once('connect', done)), 'TCP connect');
    return tcp;
  }

  /* Resolves when the bytes are with the kernel. */
  write(bytes) {
    return within(new Promise((done) => this.socket.write(bytes, done)), 'TCP write');
  }

  /* One byte at a time, each in a segment of its own as far as the kernel goes along. */
  async writeSlowly(bytes) {
    for (const byte of Buffer.from(bytes)) {
      await this.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
  }

  async more(what) {
    if (this.isEnded) assert.fail(`${what}: the connection has ended; it said ${this.data}`);
    const events = ['data', 'end', 'error', 'close'];
    let listener;

    await within(
      new Promise((done) => {
        listener = done;
        for (const event of events) this.socket.on(event, listener);
      }),
      what,
    ).finally(() => events.forEach((event) => this.socket.off(event, listener)));
  }

  /* Resolves with {status, headers, text, body}: the next response, which is taken out. */
  async response({ isHead = false } = {}) {
    let end;

    while ((end = this.data.indexOf('\r\n\r\n')) < 0) await this.more('response head');
    const [first, ...lines] = this.data.subarray(0, end).toString('latin1').split('\r\n');
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const status = Number(first.split(' ')[1]);
    const hasBody = !isHead && status >= 200 && status !== 304;
    const total = end + 4 + (hasBody ? Number(headers['content-length'] ?? 0) : 0);

    while (this.data.length < total) await this.more('response body');
    const body = this.data.subarray(end + 4, total);
    this.data = this.data.subarray(total);
    return discreet({ status, headers, body, text: body.toString() });
  }

  /* Resolves when the server has closed. */
  ended() {
    return within(this.gone, 'end of the connection');
  }

  close() {
    this.socket.destroy();
    return this.gone;
  }
}
