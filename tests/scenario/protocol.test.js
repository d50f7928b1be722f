/*
 * protocol.test.js - Engine.IO on the wire: docs/PROTOCOL.md 1.2 and 1.3, by plain HTTP, raw
 * WebSockets and bytes over TCP.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import {
  ENGINE, Polling, RawWebSocket, SEPARATOR, Tcp, allGone, closeClients, connect, heard, next, request, within,
} from '../lib/client.js';
import { startServer } from '../lib/server.js';

afterEach(closeClients);

const ERRORS = ['Transport unknown', 'Session ID unknown', 'Bad handshake method', 'Bad request', 'Forbidden', 'Unsupported protocol version'];

function assertError(answer, code) {
  assert.equal(answer.status, code === 4 ? 403 : 400);
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.deepEqual(JSON.parse(answer.text), { code, message: ERRORS[code] });
}

/* The answer to an upgrade that is refused. */
async function refusedUpgrade(server, path, headers = {}) {
  const tcp = await Tcp.open(server);
  const lines = {
    Host: new URL(server.url).host, Connection: 'Upgrade', Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', ...headers,
  };

  await tcp.write(`GET ${path} HTTP/1.1\r\n${Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
  const answer = await tcp.response();
  tcp.close();
  return answer;
}

const closedBy = (reason) => `sockhop_sessions_closed_total{reason="${reason}"}`;

/* Runs act and resolves when one more session than before has been closed for reason. */
async function closes(server, reason, act) {
  const before = (await server.metrics()).get(closedBy(reason));

  await act();
  await server.waitMetrics((metrics) => metrics.get(closedBy(reason)) === before + 1);
}

describe('Engine.IO', () => {
  let server;

  before(async () => (server = await startServer()));
  after(() => server.stop());

  test('a polling handshake tells the five fields of the open packet', async () => {
    const answer = await request(server, ENGINE);

    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'text/plain; charset=UTF-8');
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.equal(answer.text[0], '0');
    const { sid, ...rest } = JSON.parse(answer.text.slice(1));
    assert.match(sid, /^[\w-]{20,}$/);
    assert.deepEqual(rest, { upgrades: ['websocket'], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000 });
    await closes(server, 'transport close', () => request(server, `${ENGINE}&sid=${sid}`, { method: 'POST', body: '1' }));
    await allGone(server);
  });

  test('a WebSocket handshake offers no upgrades', async () => {
    const raw = await RawWebSocket.open(server);
    const { sid, ...rest } = JSON.parse((await raw.message()).slice(1));

    assert.match(sid, /^[\w-]{20,}$/);
    assert.deepEqual(rest, { upgrades: [], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000 });
    await raw.close();
    await allGone(server);
  });

  for (const [what, path, code, options] of [
    ['no transport', '/socket.io/?EIO=4', 0],
    ['a transport that nobody has', '/socket.io/?EIO=4&transport=carrier-pigeon', 0],
    ['a transport of JavaScript', '/socket.io/?EIO=4&transport=__proto__', 0],
    ['a session that nobody has', `${ENGINE}&sid=AAAAAAAAAAAAAAAAAAAA`, 1],
    ['a sid of the wrong form', `${ENGINE}&sid=..%2F..%2Fetc`, 1],
    ['a very long sid', `${ENGINE}&sid=${'a'.repeat(3000)}`, 1],
    ['a POST without session', ENGINE, 2, { method: 'POST', body: '' }],
    ['a PUT without session', ENGINE, 2, { method: 'PUT', body: '' }],
    ['a WebSocket transport without upgrade', '/socket.io/?EIO=4&transport=websocket', 3],
    ['no protocol version', '/socket.io/?transport=polling', 5],
    ['version 3, which is off', '/socket.io/?EIO=3&transport=polling', 5],
    ['version 5', '/socket.io/?EIO=5&transport=polling', 5],
    ['a version that only begins with 4', '/socket.io/?EIO=40&transport=polling', 5],
    ['a foreign Origin', ENGINE, 4, { headers: { Origin: 'http://evil.example' } }],
  ])
    test(`${what}: error ${code}`, async () => assertError(await request(server, path, options), code));

  for (const [what, path, code, headers] of [
    ['an unknown transport', '/socket.io/?EIO=4&transport=x', 0],
    ['an unknown session', '/socket.io/?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAA', 1],
    ['upgrade to polling', ENGINE, 3],
    ['no protocol version', '/socket.io/?transport=websocket', 5],
    ['a foreign Origin', '/socket.io/?EIO=4&transport=websocket', 4, { Origin: 'http://evil.example' }],
  ])
    test(`an upgrade with ${what} is refused in words`, async () => {
      const answer = await refusedUpgrade(server, path, headers);

      assert.equal(answer.status, code === 4 ? 403 : 400);
      assert.equal(answer.headers.connection, 'close');
      assert.match(answer.headers['content-type'], /^text\/html/);
      assert.equal(answer.text, ERRORS[code]);
    });

  test('WebSocket upgrades are checked', async () => {
    const path = '/socket.io/?EIO=4&transport=websocket';

    for (const [headers, status] of [
      [{ 'Sec-WebSocket-Version': '8' }, 426],
      [{ 'Sec-WebSocket-Key': 'short' }, 400],
      [{ 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ=!' }, 400],
    ]) {
      const answer = await refusedUpgrade(server, path, headers);
      assert.equal(answer.status, status);
      if (status === 426) assert.equal(answer.headers['sec-websocket-version'], '13');
    }
    await allGone(server);
  });

  test('an Origin of the same host is let in, by polling and by WebSocket', async () => {
    const origin = server.url;
    const answer = await request(server, ENGINE, { headers: { Origin: origin } });

    assert.equal(answer.status, 200);
    const { sid } = JSON.parse(answer.text.slice(1));
    await request(server, `${ENGINE}&sid=${sid}`, { method: 'POST', body: '1' });
    await (await RawWebSocket.open(server, { options: { origin } })).close();
    await allGone(server);
  });

  test('a POST is answered ok, and packets come separated by 1e', async () => {
    const polling = await Polling.open(server, { join: true });
    const post = await polling.post(['42["echo",1]', '42["echo","two"]', '4217["echo",3]'].join(SEPARATOR));

    assert.equal(post.status, 200);
    assert.equal(post.text, 'ok');
    assert.match(post.headers['content-type'], /^text\/html/);
    assert.equal(post.headers['cache-control'], 'no-store');
    const packets = [await polling.packet(), await polling.packet(), await polling.packet()];
    assert.deepEqual(packets, ['42["echo",1]', '42["echo","two"]', '4317[3]']);
    await polling.send('1');
    await allGone(server);
  });

  test('a GET waits for the next packet', async () => {
    const polling = await Polling.open(server, { join: true });
    const get = polling.get();

    await polling.send('42["echo","awaited"]');
    const answer = await get;
    assert.equal(answer.headers['content-type'], 'text/plain; charset=UTF-8');
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.equal(answer.text, '42["echo","awaited"]');
    await polling.send('1');
    await allGone(server);
  });

  test('of two GETs at once the later gets 400, and the session closes', async () => {
    const polling = await Polling.open(server, { join: true });
    const first = await Tcp.open(server);

    await first.write(`GET ${polling.path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await polling.send('3'); /* a round trip on the session's shard */
    let later;
    await closes(server, 'transport error', async () => (later = await polling.get()));
    const earlier = await first.response();
    assert.deepEqual([earlier.status, later.status].sort(), [200, 400]);
    if (earlier.status === 200) assert.equal(earlier.text, '1');
    assertError(await polling.get(), 1);
    await first.close();
    await allGone(server);
  });

  test('of two POSTs at once the later gets 400, and the session closes', async () => {
    const polling = await Polling.open(server, { join: true });
    const first = await Tcp.open(server);

    await first.write(`POST ${polling.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\nExpect: 100-continue\r\n\r\n`);
    assert.equal((await first.response()).status, 100); /* it has begun */
    await first.write('42["ec');
    await closes(server, 'transport error', async () => assert.equal((await polling.post('42["echo",2]')).status, 400));
    assertError(await polling.get(), 1);
    await first.close();
    await allGone(server);
  });

  test('an octet-stream POST gets 400, and the session closes', async () => {
    const polling = await Polling.open(server, { join: true });

    await closes(server, 'transport error', async () => {
      const answer = await polling.post('42["echo",1]', { 'Content-Type': 'application/octet-stream' });
      assert.equal(answer.status, 400);
    });
    assertError(await polling.get(), 1);
    await allGone(server);
  });

  test('a POST over maxPayload gets 413, and the session survives', async () => {
    const polling = await Polling.open(server, { join: true });

    const refusal = await polling.post(`42["echo","${'x'.repeat(1000000)}"]`);

    assert.deepEqual([refusal.status, refusal.text], [413, '']);
    await polling.send('42["echo","alive"]');
    assert.equal(await polling.packet(), '42["echo","alive"]');
    const fits = `42["echo","${'y'.repeat(1000000 - 13)}"]`; /* 1,000,000 to the byte */
    await polling.send(fits);
    assert.equal(await polling.packet(), fits);
    await polling.send('1');
    await allGone(server);
  });

  test('a GET that its client gives up closes the session', async () => {
    const polling = await Polling.open(server, { join: true });
    const tcp = await Tcp.open(server);

    await tcp.write(`GET ${polling.path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await polling.send('3');
    await closes(server, 'transport error', () => tcp.close());
    assertError(await polling.get(), 1);
    await allGone(server);
  });

  test('another method on a session gets 500', async () => {
    const polling = await Polling.open(server);

    assert.equal((await request(server, polling.path, { method: 'DELETE' })).status, 500);
    await polling.send('1');
    await allGone(server);
  });

  test('plain HTTP to a session of WebSocket is a bad request', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    assertError(await request(server, `${ENGINE}&sid=${raw.handshake.sid}`), 3);
    raw.send('42["echo","still here"]');
    assert.equal(await raw.message(), '42["echo","still here"]');
    await raw.close();
    await allGone(server);
  });

  test('a close packet ends the session', async () => {
    const polling = await Polling.open(server, { join: true });
    const held = polling.get();

    await closes(server, 'transport close', () => polling.send('1'));
    assert.equal((await held).text, '6');
    assertError(await polling.get(), 1);
    const raw = await RawWebSocket.open(server, { join: true });
    await closes(server, 'transport close', () => raw.send('1'));
    await raw.end();
    await allGone(server);
  });

  test('an unknown packet type closes with parse error, a ping of a client with transport error', async () => {
    for (const [packet, reason] of [['x', 'parse error'], ['', 'parse error'], ['4', 'parse error'], ['2', 'transport error']]) {
      const raw = await RawWebSocket.open(server, { join: true });

      await closes(server, reason, () => raw.send(packet));
      assert.equal((await raw.end()).code, 1008);
    }
    const polling = await Polling.open(server, { join: true });
    const held = polling.get();
    await closes(server, 'parse error', () => polling.post('x'));
    assert.equal((await held).text, '1');
    await allGone(server);
  });

  test('open, upgrade, noop and pongs that nobody asked for are ignored', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    raw.send('0', '5', '6', '3', '3probe', '42["echo",1]');
    assert.equal(await raw.message(), '42["echo",1]');
    await raw.close();
    await allGone(server);
  });

  /* ---- the upgrade */

  test('the upgrade: probe, noop to the waiting GET, 5, then all goes by WebSocket', async () => {
    const polling = await Polling.open(server, { join: true });
    const held = polling.get();
    const raw = await RawWebSocket.open(server, { sid: polling.sid });

    raw.send('2probe');
    assert.equal(await raw.message(), '3probe');
    assert.equal((await held).text, '6');
    await polling.send('42["echo","by polling"]'); /* until 5, polling is good */
    raw.send('5', '42["echo","by WebSocket"]');
    assert.equal(await raw.message(), '42["echo","by polling"]');
    assert.equal(await raw.message(), '42["echo","by WebSocket"]');
    assertError(await polling.get(), 3);
    await raw.close();
    await allGone(server);
  });

  test('the upgrade loses and doubles nothing under traffic', async () => {
    for (let round = 0; round < 5; round++) {
      const polling = await Polling.open(server, { join: true });
      const got = [];
      let sent = 0;
      const send = (by) => by.send(...Array.from({ length: 5 }, () => `42["echo",${sent++}]`));
      let isPolling = true;
      const take = (packet) => packet.startsWith('42') && got.push(JSON.parse(packet.slice(2))[1]);
      const polls = (async () => {
        while (isPolling) {
          const answer = await polling.get();
          if (answer.status !== 200) break;
          answer.text.split(SEPARATOR).forEach(take);
          if (answer.text.includes('6') && !isPolling) break;
        }
      })();

      await send(polling);
      const raw = await RawWebSocket.open(server, { sid: polling.sid });
      raw.send('2probe');
      await send(polling);
      assert.equal(await raw.message(), '3probe');
      await send(polling);
      isPolling = false; /* a client pauses here: its GET ends, by a packet or a noop */
      await polls;
      raw.send('5');
      await send(raw);
      while (got.length < sent) take(await raw.message());
      assert.deepEqual(got, Array.from({ length: sent }, (_, i) => i));
      assert.equal(raw.messages.length, 0);
      await raw.close();
    }
    await allGone(server);
  });

  test('the stock client upgrades under traffic and gets everything once, in order', async () => {
    const socket = await connect(server, { transports: ['polling', 'websocket'], wait: false });
    let sent = 0;

    const upgraded = next(socket.io.engine, 'upgrade'); /* may come before 'connect' */
    let isUpgraded = false;
    upgraded.then(() => (isUpgraded = true));
    await next(socket, 'connect');
    while (!isUpgraded || sent < 100) {
      if (sent < heard(socket, 'echo').length + 20) socket.emit('echo', sent++);
      else await next(socket.bell, 'ring');
    }
    while (heard(socket, 'echo').length < sent) await next(socket.bell, 'ring');
    assert.deepEqual(heard(socket, 'echo').map(([n]) => n), Array.from({ length: sent }, (_, i) => i));
    socket.disconnect();
    await allGone(server);
  });

  test('a second WebSocket for one session is closed, and the session stays', async () => {
    const raw = await RawWebSocket.open(server, { join: true });
    const second = await RawWebSocket.open(server, { sid: raw.handshake.sid });

    await second.end();
    raw.send('42["echo","mine"]');
    assert.equal(await raw.message(), '42["echo","mine"]');
    await raw.close();

    const polling = await Polling.open(server, { join: true });
    const probe = await RawWebSocket.open(server, { sid: polling.sid });
    await (await RawWebSocket.open(server, { sid: polling.sid })).end();
    probe.send('2probe');
    assert.equal(await probe.message(), '3probe');
    probe.send('5');
    probe.send('42["echo","mine"]');
    assert.equal(await probe.message(), '42["echo","mine"]');
    await probe.close();
    await allGone(server);
  });

  test('a probe that goes wrong is closed, and polling goes on', async () => {
    const polling = await Polling.open(server, { join: true });

    for (const wrong of ['2', '42["echo",1]', 'x', Buffer.from('2probe')]) {
      const probe = await RawWebSocket.open(server, { sid: polling.sid });
      probe.send(wrong);
      await probe.end();
    }
    const probe = await RawWebSocket.open(server, { sid: polling.sid });
    probe.send('2probe');
    assert.equal(await probe.message(), '3probe');
    await probe.close();
    await polling.send('42["echo","polling"]');
    let packet;
    while ((packet = await polling.packet()) === '6');
    assert.equal(packet, '42["echo","polling"]');
    await polling.send('1');
    await allGone(server);
  });

  /* ---- WebSocket */

  for (const [what, bytes, code] of [
    ['an unmasked frame', [0x81, 0x01, 0x33], 1002],
    ['a reserved bit', [0xc1, 0x81, 0, 0, 0, 0, 0x33], 1002],
    ['an unknown opcode', [0x83, 0x81, 0, 0, 0, 0, 0x33], 1002],
    ['a continuation of nothing', [0x80, 0x81, 0, 0, 0, 0, 0x33], 1002],
    ['a fragmented ping', [0x09, 0x81, 0, 0, 0, 0, 0x33], 1002],
    ['a ping of 126 bytes', [0x89, 0xfe, 0, 126, 0, 0, 0, 0], 1002],
    ['a close of one byte', [0x88, 0x81, 0, 0, 0, 0, 3], 1002],
    ['a close with code 1005', [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xed], 1002],
    ['bad UTF-8', [0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 1007],
    ['a close reason of bad UTF-8', [0x88, 0x83, 0, 0, 0, 0, 0x03, 0xe8, 0xff], 1007],
    ['a message that is too long', [0x81, 0xff, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x41, 0, 0, 0, 0, 0x34], 1009],
    ['a length of 63 bits', [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0x34], 1009],
  ])
    test(`${what} closes the WebSocket with ${code}`, async () => {
      const raw = await RawWebSocket.open(server, { join: true });

      raw.ws._socket.write(Buffer.from(bytes));
      assert.equal((await raw.end()).code, code);
      await allGone(server);
    });

  test('close codes are echoed', async () => {
    for (const code of [1000, 1001, 1011, 1012, 1013, 1014, 3000, 4999]) {
      const raw = await RawWebSocket.open(server, { join: true });

      raw.ws._sender.close(code, 'bye', true, () => {});
      raw.ws._closeFrameSent = true; /* what ws.close() notes too; it takes fewer codes */
      assert.equal((await raw.end()).code, code);
    }
    await allGone(server);
  });

  test('a fragmented message with a ping in between is one message', async () => {
    const raw = await RawWebSocket.open(server, { join: true });
    const pong = next(raw.ws, 'pong');

    raw.ws.send('42["ec', { fin: false });
    raw.ws.ping('between');
    raw.ws.send('ho","frag', { fin: false });
    raw.ws.send('ments"]', { fin: true });
    assert.equal((await pong)[0].toString(), 'between');
    assert.equal(await raw.message(), '42["echo","fragments"]');
    await raw.close();
    await allGone(server);
  });

  test('a message may come byte for byte', async () => {
    const raw = await RawWebSocket.open(server, { join: true });
    const text = '42["echo","bytes"]';

    for (const byte of Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)])) {
      raw.ws._socket.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    assert.equal(await raw.message(), text);
    await raw.close();
    await allGone(server);
  });

  test('a message of maxPayload is taken, one byte more is not', async () => {
    const raw = await RawWebSocket.open(server, { join: true });
    const message = `42["echo","${'z'.repeat(1000000 - 13)}"]`;

    assert.equal(message.length, 1000000);
    raw.send(message);
    assert.equal(await raw.message(), message);
    raw.send(`${message} `);
    assert.equal((await raw.end()).code, 1009);
    await allGone(server);
  });

  test('binary that nobody waits for closes with parse error', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    await closes(server, 'parse error', () => raw.send(Buffer.from('x')));
    await raw.end();
    await allGone(server);
  });

  test('frames that come with the upgrade request are not lost', async () => {
    const tcp = await Tcp.open(server);
    const mask = (text) => Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);

    await tcp.write(
      Buffer.concat([
        Buffer.from(
          'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
            'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
        ),
        mask('40'),
        mask('42["echo",1]'),
      ]),
    );
    const answer = await tcp.response();
    assert.equal(answer.status, 101);
    assert.equal(answer.headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
    while (!tcp.data.includes('42["echo",1]')) await tcp.more('echo');
    await tcp.close();
    await allGone(server);
  });

  /* ---- the client bundle */

  const BUNDLE = ['socket.io.js', 'socket.io.min.js', 'socket.io.esm.min.js', 'socket.io.msgpack.min.js'];

  for (const name of BUNDLE.flatMap((file) => [file, `${file}.map`]))
    test(`the bundle file ${name} is served with its ETag`, async () => {
      const path = `/socket.io/${name}`;
      const answer = await request(server, path);

      assert.equal(answer.status, 200);
      assert.match(answer.headers['content-type'], name.endsWith('.map') ? /^application\/json/ : /^(text|application)\/javascript/);
      assert.match(answer.headers.etag, /^(W\/)?"[^"]+"$/);
      assert.ok(answer.body.length > 1000);
      for (const tag of [answer.headers.etag, answer.headers.etag.replace(/^(W\/)?/, 'W/'), '*', `"x", ${answer.headers.etag}`]) {
        const again = await request(server, path, { headers: { 'If-None-Match': tag } });
        assert.equal(again.status, 304, tag);
        assert.equal(again.headers.etag, answer.headers.etag);
        assert.equal(again.body.length, 0);
      }
      const head = await request(server, path, { method: 'HEAD' });
      assert.equal(head.status, 200);
      assert.equal(Number(head.headers['content-length']), answer.body.length);
    });

  test('a bundle file that nobody has is no file', async () => {
    const answer = await request(server, '/socket.io/socket.io.evil.js');

    assertError(answer, 0);
  });
});

/* ---- with short times */

describe('Engine.IO heartbeat', () => {
  /* ping_timeout and connect_timeout: what a client has on a busy machine */
  const config = '[engine]\nping_interval = 300ms\nping_timeout = 2s\nupgrade_timeout = 300ms\nconnect_timeout = 2s\n[plugin:echo]\n';
  let server;

  before(async () => (server = await startServer({ config })));
  after(() => server.stop());

  test('the server pings, and one that answers stays', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    assert.equal(raw.handshake.pingInterval, 300);
    assert.equal(raw.handshake.pingTimeout, 2000);
    for (let i = 0; i < 4; i++) {
      assert.equal(await raw.message(), '2');
      raw.send('3');
    }
    raw.send('42["echo",1]');
    let message;
    while ((message = await raw.message()) === '2') raw.send('3');
    assert.equal(message, '42["echo",1]');
    await raw.close();
    await allGone(server);
  });

  test('one that does not answer is closed with ping timeout', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    await closes(server, 'ping timeout', () => raw.end());
    const polling = await Polling.open(server, { join: true });
    await closes(server, 'ping timeout', async () => assert.equal((await polling.get()).text, '2'));
    await allGone(server);
  });

  test('a probe that never comes to its end is closed, and polling goes on', async () => {
    const polling = await Polling.open(server, { join: true });
    const probe = await RawWebSocket.open(server, { sid: polling.sid });
    let isOpen = true;

    probe.closed.then(() => (isOpen = false));
    while (isOpen) if ((await polling.get()).text.includes('2')) await polling.send('3');
    await polling.send('42["echo","alive"]');
    while ((await polling.packet()) !== '42["echo","alive"]');
    await polling.send('1');
    await allGone(server);
  });

  test('one that joins no namespace is closed', async () => {
    const raw = await RawWebSocket.open(server);

    raw.ws.on('message', (data) => data.toString() === '2' && raw.send('3'));
    await closes(server, 'connect timeout', () => raw.end());
    await allGone(server);
  });

  test('the stock client lives through many pings', async () => {
    for (const transports of [['polling'], ['websocket']]) {
      const socket = await connect(server, { transports });

      for (let i = 0; i < 3; i++) await next(socket.io, 'ping');
      assert.ok(socket.connected);
      socket.disconnect();
    }
    await allGone(server);
  });
});

test('with polling alone no WebSocket is taken, and no upgrade offered', async (t) => {
  const server = await startServer({ config: '[engine]\ntransports = polling\n[plugin:echo]\n' });
  t.after(() => server.stop());
  const polling = await Polling.open(server);

  assert.deepEqual(polling.handshake.upgrades, []);
  assert.equal((await refusedUpgrade(server, '/socket.io/?EIO=4&transport=websocket')).status, 400);
  await polling.send('1');
});

test('with allow_upgrades = no none is offered, and none taken', async (t) => {
  const server = await startServer({ config: '[engine]\nallow_upgrades = no\n[plugin:echo]\n' });
  t.after(() => server.stop());
  const polling = await Polling.open(server);

  assert.deepEqual(polling.handshake.upgrades, []);
  assert.equal((await refusedUpgrade(server, `/socket.io/?EIO=4&transport=websocket&sid=${polling.sid}`)).status, 400);
  await polling.send('1');
  await (await RawWebSocket.open(server)).close(); /* one of its own is fine */
});

test('origins in the configuration are let in with CORS headers', async (t) => {
  const server = await startServer({ config: '[engine]\norigins = https://chat.example\ncors_credentials = yes\n[plugin:echo]\n' });
  t.after(() => server.stop());
  const headers = { Origin: 'https://chat.example' };
  const answer = await request(server, ENGINE, { headers });

  assert.equal(answer.status, 200);
  assert.equal(answer.headers['access-control-allow-origin'], 'https://chat.example');
  assert.equal(answer.headers['access-control-allow-credentials'], 'true');
  assert.equal(answer.headers.vary, 'Origin');
  assert.equal((await request(server, ENGINE, { headers: { Origin: 'https://chat.example.evil' } })).status, 403);
  await (await RawWebSocket.open(server, { options: { origin: 'https://chat.example' } })).close();
  await within(assert.rejects(RawWebSocket.open(server, { options: { origin: 'https://evil.example' } })), 'refusal');
});

describe('the log at level debug says why a session was closed', () => {
  let server;

  before(async () => (server = await startServer({ args: ['-o', 'log.level=debug'] })));
  after(() => server.stop());

  for (const [packet, reason, detail] of [
    ['42{}', 'parse error', 'payload is not an array'],
    ['42[null]', 'parse error', 'event name is neither a string nor a number'],
    ['4x', 'parse error', '\\S.*'],
    ['44', 'forced server close', 'CONNECT_ERROR from a client'],
    ['x', 'parse error', 'unknown packet type'],
  ])
    test(`when it sent ${packet}`, async () => {
      const raw = await RawWebSocket.open(server, { join: true });
      const polling = await Polling.open(server, { join: true });

      raw.send(packet);
      await raw.end();
      await polling.post(packet);
      for (const [transport, { sid }] of [['websocket', raw.handshake], ['polling', polling]]) {
        const words = `id=${sid.slice(0, 8)} reason="${reason}" transport=${transport} detail="${detail}"`;
        await server.waitLog(new RegExp(`session\\.closed ${words}`), 15000);
      }
    });
});
