/*
 * names.test.js - what people choose to be called and to say reaches neither the log (T22) nor anybody's
 * rights (C46, C47, T27) nor another meaning (C11, T13).
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import {
  ENGINE, Polling, RawWebSocket, TRANSPORTS, Tcp, allGone, ask, closeClients, connect, heard, next, request, settle,
  startWith,
} from '../lib/client.js';

afterEach(closeClients);

/* T22: what a client might write into a log: lines of its own, escapes for a terminal, halves of characters. */
const NASTY = [
  'a\r\nb', 'a\nERROR forged', '\x1b[2J\x1b[31m', '\x1b]0;title\x07', 'a\u2028b', 'a\u2029b', '\u0085', '\x9b2J', '\x7f',
  '\0', '\b\b\b', '\u202egnihton', '"quoted" key=value', '\\', '%s%n%n', '\ud800', 'x'.repeat(100000),
];
const LOG_LINE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (ERROR|WARN|INFO|DEBUG) [a-z]+(\.[a-z_]+)+( [a-z_]+=("([^"\\]|\\.)*"|[^\s"]*))*$/;
const MAX_LINE = 1024; /* characters */

describe('T22: the log', () => {
  test('has only lines of our own, whatever clients send', async () => {
    const server = await startWith(['auth', 'lobby', 'echo', 'rooms', 'order'], {
      args: ['-o', 'log.level=debug'],
      config: '[engine]\nping_interval = 500ms\nping_timeout = 2s\n', /* handshakes that nobody goes on with end soon */
    });

    for (const nasty of NASTY) {
      const socket = await connect(server, { transports: ['websocket'] });

      for (const event of ['login', 'chat', 'join', 'leave']) {
        socket.emit(event, nasty);
        socket.emit(event, [nasty], { [nasty]: nasty });
      }
      await settle(socket);
      socket.emit(nasty.slice(0, 1000), nasty); /* ends some */
      socket.disconnect();
      const coded = encodeURIComponent(nasty.replace(/[\ud800-\udfff]/g, ''));
      for (const path of [`/${coded}`, `/?${coded}`, `${ENGINE}&sid=${coded}`, `${ENGINE}&${coded}`])
        await request(server, path.slice(0, 9000));
      for (const bytes of [`GET /${nasty} HTTP/1.1\r\nHost: x\r\n\r\n`, `${nasty} / HTTP/1.1\r\n\r\n`, `GET / HTTP/1.1\r\nHost: ${nasty}\r\n\r\n`,
        `GET ${ENGINE} HTTP/1.1\r\nHost: x\r\nOrigin: ${nasty}\r\nUser-Agent: ${nasty}\r\nX-Forwarded-For: ${nasty}\r\n\r\n`]) {
        const tcp = await Tcp.open(server);
        await tcp.write(bytes).catch(() => {});
        await tcp.close();
      }
      const raw = await RawWebSocket.open(server);
      raw.send('40', `2["${nasty}`, `0/${nasty},{}`, nasty);
      raw.ws.close(1000, nasty.slice(0, 20));
      await raw.end();
      const { path } = await Polling.open(server);
      await request(server, path, { method: 'POST', body: `4${nasty}` });
      await request(server, path); /* the last words of a session that was closed, or its unknown sid */
    }
    closeClients();
    await allGone(server);
    await server.stop();
    assert.ok(server.log.length > NASTY.length * 5, 'the log did say something');
    for (const line of server.log.filter((each) => !/^==\d+==/.test(each))) { /* those are valgrind's */
      assert.match(line, LOG_LINE);
      assert.doesNotMatch(line, /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]|^(?!\d{4}-)/, line);
      assert.ok(line.length <= MAX_LINE, `${line.length} characters: ${line.slice(0, 200)}`);
    }
  });
});

describe('a name', () => {
  let server;

  before(async () => (server = await startWith(['auth', 'lobby', 'echo', 'rooms', 'kick'])));
  after(() => server.stop());

  /* C46: to others such a name might be a pattern, a path or a property. */
  const NAMES = ['%%%', '___', '***', '...', '../..', 'a/b/c', '#+#', '+/+', 'a:b', '$SYS', '?.?', '[a-z]', '^.*$', '"; --', "' OR 1", '__proto__',
    'toString', 'valueOf', 'null', 'undefined', 'NaN', 'true', 'admin', 'all'];

  test(`C46, T13: is a name, and nothing else (${NAMES.length} of them)`, async () => {
    const sockets = [];

    for (const name of NAMES) {
      const socket = await connect(server, { transports: ['websocket'] });
      sockets.push(socket);
      assert.deepEqual(await ask(socket, 'login', name), [{ ok: true }], name);
      socket.emit('chat', name);
      await settle(socket);
      assert.deepEqual(heard(socket, 'chat'), [[{ sender: name, message: name }]]);
    }
    sockets[0].emit('onlineUsers');
    const [names] = await next(sockets[0], 'onlineUsers');
    assert.deepEqual([...names].sort(), [...NAMES].sort());
    for (const [i, socket] of sockets.entries()) await ask(socket, 'join', NAMES[i]);
    sockets[0].emit('say', '***', 'to that room alone');
    for (const socket of sockets) await settle(socket);
    assert.deepEqual(sockets.map((socket) => heard(socket, 'said').length), NAMES.map((name) => Number(name === '***')));
    closeClients();
    await allGone(server);
  });

  for (const [choice, transports] of Object.entries(TRANSPORTS))
    test(`C47: who is sent away over ${choice} gets nothing any more, and is in no room`, async () => {
      const owner = await connect(server);
      const victim = await connect(server, { transports });
      const { id } = victim;

      await ask(victim, 'join', 'den');
      await ask(victim, 'login', 'victim');
      await ask(owner, 'join', 'den');
      const left = next(victim, 'disconnect');
      owner.emit('say', 'den', 'before');
      owner.emit('kick-id', id);
      for (let i = 0; i < 100; i++) owner.emit('say', 'den', 'behind', i);
      owner.emit('shout', 'behind');
      assert.equal((await left)[0], 'io server disconnect');
      assert.deepEqual(heard(victim, 'said'), [['den', 'before']]);
      assert.equal(heard(victim, 'shouted').length, 0);
      const [there] = await ask(owner, 'kick-id', id);
      assert.equal(there, false, 'the socket is known no more');
      assert.deepEqual(await ask(owner, 'login', 'victim'), [{ ok: true }], 'its name is free');

      victim.connect(); /* it may come again, and is in no room */
      await next(victim, 'connect');
      victim.heard.length = 0;
      owner.emit('say', 'den', 'secret');
      await settle(owner);
      await settle(victim);
      assert.equal(heard(victim, 'said').length, 0);
      closeClients();
      await allGone(server);
    });

  test('T27: each request of a session is checked anew, the upgrade too', async () => {
    const headers = { Origin: 'https://evil.example' };
    const polling = await Polling.open(server, { join: true });

    assert.equal((await request(server, polling.path, { headers })).status, 403);
    assert.equal((await request(server, polling.path, { method: 'POST', headers, body: '42["login","stolen"]' })).status, 403);
    await assert.rejects(RawWebSocket.open(server, { sid: polling.sid, options: { headers } }), /403/);
    await polling.send('421["login","still"]'); /* whose session it is has lost nothing */
    assert.equal(await polling.packet(), '42["welcome"]');
  });

  test('C11: a placeholder is data without attachments, and with them names one of them', async () => {
    const raw = await RawWebSocket.open(server, { join: true });
    const nums = ['-1', '0', '0.5', '"0"', '"splice"', '2147483648', '1e400', 'null', '{}', '[]', 'true'];

    for (const num of nums) {
      const payload = `{"_placeholder":true,"num":${num}}`;
      raw.send(`42["echo",${payload}]`);
      let packet;
      do packet = await raw.message();
      while (packet.startsWith('42["userLeft"')); /* of the test before */
      assert.equal(packet, `42["echo",${payload}]`);
    }
    for (const num of nums.filter((text) => text !== '0'))
      for (const wrap of [(one) => one, (one) => `{"a":[1,${one}]}`, (one) => `{"_placeholder":true,"num":0,"x":${one}}`]) {
        const binary = await RawWebSocket.open(server, { join: true });
        binary.send(`451-["echo",${wrap(`{"_placeholder":true,"num":${num}}`)}]`);
        assert.equal((await binary.end()).code, 1008);
      }
  });
});
