/*
 * options.test.js - the options of [engine] as clients meet them: path, transports, cookie, CORS, compression,
 * the client's scripts (PROTOCOL.md 1.1, 1.2). Origins themselves: origins.test.js.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';

import { ENGINE, Polling, RawWebSocket, Tcp, TRANSPORTS, allGone, ask, closeClients, connect, request, startWith } from '../lib/client.js';

afterEach(closeClients);

/* A server of these lines of [engine] for the tests of a describe(). */
function serverWith(lines, plugins = ['echo']) {
  const holder = {};

  before(async () => (holder.server = await startWith(plugins, { config: `[engine]\n${lines}\n` })));
  after(() => holder.server.stop());
  return holder;
}

/* A socket.io-client whose engine tells the status it was refused with. */
async function refused(server, options) {
  const socket = await connect(server, { wait: false, ...options });
  const [error] = await new Promise((done) => socket.once('connect_error', (...args) => done(args)));

  return error;
}

describe('path and add_trailing_slash', () => {
  const yes = serverWith('path = /chat/io/');

  test('a path with a slash at its end is the same path', async () => {
    for (const transports of Object.values(TRANSPORTS)) {
      const socket = await connect(yes.server, { path: '/chat/io/', transports });

      assert.deepEqual(await ask(socket, 'echo', 1), [1]);
      socket.disconnect();
    }
    await allGone(yes.server);
  });

  test('a client without the slash gets 404 by every way in', async () => {
    const options = { path: '/chat/io', addTrailingSlash: false };

    for (const path of ['/chat/io', '/chat/io?EIO=4&transport=polling', '/chat%2fio', '/chat/io%2f?EIO=4&transport=polling']) {
      assert.equal((await request(yes.server, path)).status, 404, path);
      assert.equal((await request(yes.server, path, { method: 'POST', body: '1' })).status, 404, path);
    }
    assert.equal((await refused(yes.server, { ...options, transports: ['polling'] })).context.status, 404);
    assert.match((await refused(yes.server, { ...options, transports: ['websocket'] })).message, /websocket error/);
    await allGone(yes.server);
  });

  test('a path that only begins with ours is not ours', async () => {
    for (const path of ['/chat/iox?EIO=4&transport=polling', '/chat/?EIO=4&transport=polling', '/socket.io/?EIO=4&transport=polling'])
      assert.doesNotMatch((await request(yes.server, path)).text, /sid|code/, path);
  });

  describe('no', () => {
    const no = serverWith('add_trailing_slash = no');

    test('clients come with and without the slash', async () => {
      for (const addTrailingSlash of [true, false])
        for (const transports of Object.values(TRANSPORTS)) {
          const socket = await connect(no.server, { addTrailingSlash, transports });

          assert.deepEqual(await ask(socket, 'echo', 1), [1]);
          socket.disconnect();
        }
      assert.doesNotMatch((await request(no.server, '/socket.iox?EIO=4&transport=polling')).text, /sid|code/);
      await allGone(no.server);
    });
  });
});

describe('transports', () => {
  const polling = serverWith('transports = polling');
  const websocket = serverWith('transports = websocket');
  const still = serverWith('allow_upgrades = no');

  test('polling alone: no upgrades are on offer, a WebSocket gets 400', async () => {
    const session = await Polling.open(polling.server);

    assert.deepEqual(session.handshake.upgrades, []);
    await assert.rejects(RawWebSocket.open(polling.server), /400/);
    await assert.rejects(RawWebSocket.open(polling.server, { sid: session.sid }), /400/);
    await session.send('1');
    await allGone(polling.server);
  });

  test('websocket alone: polling gets 400 with code 0', async () => {
    const answer = await request(websocket.server, ENGINE);

    assert.equal(answer.status, 400);
    assert.deepEqual(JSON.parse(answer.text), { code: 0, message: 'Transport unknown' });
    (await connect(websocket.server)).disconnect();
    await allGone(websocket.server);
  });

  test('allow_upgrades = no: none are on offer, and a client that tries stays on polling', async () => {
    const session = await Polling.open(still.server, { join: true });

    assert.deepEqual(session.handshake.upgrades, []);
    await assert.rejects(RawWebSocket.open(still.server, { sid: session.sid }), /400/);
    await session.send('420["echo",1]');
    assert.equal(await session.packet(), '430[1]');
    await session.send('1');
    (await connect(still.server)).disconnect(); /* one that begins by WebSocket upgrades nothing */
    await allGone(still.server);
  });
});

describe('initial_packet', () => {
  const it = serverWith('initial_packet = hello, wörld');

  test('it comes behind open, on both transports', async () => {
    assert.equal((await request(it.server, ENGINE)).text.split('\x1e')[1], '4hello, wörld');
    const raw = await RawWebSocket.open(it.server);

    assert.equal((await raw.message())[0], '0');
    assert.equal(await raw.message(), '4hello, wörld');
    await raw.close();
  });
});

describe('cookie', () => {
  const off = serverWith('');
  const on = serverWith('cookie = yes');
  const set = serverWith('cookie = yes\ncookie_name = node\ncookie_path = /socket.io\ncookie_max_age = 1d\ncookie_secure = yes\ncookie_same_site = none');

  test('there is none by default', async () => {
    assert.equal((await request(off.server, ENGINE)).headers['set-cookie'], undefined);
  });

  test('the handshake by polling sets it to the sid, no other response does', async () => {
    const opened = await request(on.server, ENGINE);
    const { sid } = JSON.parse(opened.text.slice(1));
    const path = `${ENGINE}&sid=${sid}`;

    assert.deepEqual(opened.headers['set-cookie'], [`io=${sid}; Path=/; HttpOnly; SameSite=Lax`]);
    for (const answer of [await request(on.server, path, { method: 'POST', body: '40' }), await request(on.server, path), await request(on.server, `${ENGINE}&sid=x`)])
      assert.equal(answer.headers['set-cookie'], undefined);
    await request(on.server, path, { method: 'POST', body: '1' });
    await allGone(on.server);
  });

  test('a handshake by WebSocket sets none, nor does an upgrade', async () => {
    const session = await Polling.open(on.server);

    for (const sid of ['', `&sid=${session.sid}`]) {
      const tcp = await Tcp.open(on.server);

      await tcp.write(`GET /socket.io/?EIO=4&transport=websocket${sid} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
      const answer = await tcp.response();
      assert.equal(answer.status, 101);
      assert.equal(answer.headers['set-cookie'], undefined);
      await tcp.close();
    }
    await session.send('1');
    await allGone(on.server);
  });

  test('its keys are its attributes', async () => {
    const { text, headers } = await request(set.server, ENGINE);

    assert.deepEqual(headers['set-cookie'], [`node=${JSON.parse(text.slice(1)).sid}; Max-Age=86400; Path=/socket.io; Secure; HttpOnly; SameSite=None`]
      .map((line) => line.replace('; Secure; HttpOnly', '; HttpOnly; Secure')));
  });

  test('a client with withCredentials brings it back, and it is nobody\'s sid', async () => {
    const socket = await connect(on.server, { transports: ['polling'], withCredentials: true });

    assert.deepEqual(await ask(socket, 'echo', 1), [1]);
    const { status, text } = await request(on.server, ENGINE, { headers: { cookie: `io=${socket.io.engine.id}` } });
    assert.equal(status, 200);
    assert.notEqual(JSON.parse(text.slice(1)).sid, socket.io.engine.id);
    socket.disconnect();
  });
});

describe('CORS', () => {
  const listed = serverWith('origins = https://a.example\ncors_credentials = yes\ncors_allowed_headers = x-a, x-b\ncors_exposed_headers = x-c\ncors_max_age = 1m');
  const plain = serverWith('origins = https://a.example\ncors_max_age = 0');
  const origin = 'https://a.example';
  const preflight = { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-evil' } };

  test('the keys say what the answers say', async () => {
    const { status, headers } = await request(listed.server, ENGINE, preflight);

    assert.equal(status, 204);
    assert.equal(headers['access-control-allow-origin'], origin);
    assert.equal(headers['access-control-allow-credentials'], 'true');
    assert.equal(headers['access-control-allow-headers'], 'x-a, x-b');
    assert.equal(headers['access-control-max-age'], '60');
    assert.equal((await request(listed.server, ENGINE, { headers: { origin } })).headers['access-control-expose-headers'], 'x-c');
  });

  test('by default no credentials, and the headers that were asked for', async () => {
    const { status, headers } = await request(plain.server, ENGINE, preflight);

    assert.equal(status, 204);
    assert.equal(headers['access-control-allow-credentials'], undefined);
    assert.equal(headers['access-control-allow-headers'], 'x-evil');
    assert.equal(headers['access-control-max-age'], undefined);
    assert.equal(headers['access-control-expose-headers'], undefined);
  });

  test('the client\'s scripts are for everybody, and may be read by listed origins', async () => {
    for (const [from, allowed] of [[undefined, undefined], [origin, origin], ['https://evil.example', undefined]]) {
      const { status, headers } = await request(listed.server, '/socket.io/socket.io.esm.min.js', { headers: from ? { origin: from } : {} });

      assert.equal(status, 200);
      assert.equal(headers['access-control-allow-origin'], allowed);
      assert.match(headers.vary, /Origin/);
    }
  });
});

/* ---- compression */

describe('http_compression', () => {
  const on = serverWith('');
  const low = serverWith('http_compression_threshold = 0');
  const off = serverWith('http_compression = no');
  const LONG = 'a word and '.repeat(200);
  const unpack = { gzip: gunzipSync, deflate: inflateSync, undefined: (body) => body };

  /* The response that brings back text, as {encoding, text}. */
  async function poll(server, text, accept) {
    const session = await Polling.open(server, { join: true });

    await session.send(`420["echo",${JSON.stringify(text)}]`);
    const answer = await request(server, session.path, { headers: accept === undefined ? {} : { 'accept-encoding': accept } });
    const encoding = answer.headers['content-encoding'];

    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'text/plain; charset=UTF-8');
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.equal(Number(answer.headers['content-length']), answer.body.length);
    await session.send('1');
    return { encoding, length: answer.body.length, text: unpack[encoding](answer.body).toString() };
  }

  for (const [accept, encoding] of [
    ['gzip, deflate, br', 'gzip'], ['deflate', 'deflate'], ['gzip;q=0.5, deflate', 'deflate'], ['gzip;q=0.5, *;q=0.1', 'gzip'], ['*', 'gzip'],
    [undefined, undefined], ['', undefined], ['br', undefined], ['gzip;q=0', undefined], ['identity, gzip;q=0.5', undefined], ['*;q=0', undefined],
  ])
    test(`Accept-Encoding: ${accept ?? 'none'} gets ${encoding ?? 'it plain'}`, async () => {
      const answer = await poll(on.server, LONG, accept);

      assert.equal(answer.encoding, encoding);
      assert.equal(answer.text, `430[${JSON.stringify(LONG)}]`);
      if (encoding) assert.ok(answer.length < 200);
    });

  test('the threshold is 1024 bytes of the response', async () => {
    const overhead = '430[""]'.length;

    assert.equal((await poll(on.server, 'x'.repeat(1023 - overhead), 'gzip')).encoding, undefined);
    assert.equal((await poll(on.server, 'x'.repeat(1024 - overhead), 'gzip')).encoding, 'gzip');
    assert.equal((await poll(low.server, 'x'.repeat(60), 'gzip')).encoding, 'gzip');
  });

  test('no: it stays plain', async () => {
    assert.equal((await poll(off.server, LONG, 'gzip')).encoding, undefined);
  });

  test('the handshake and control packets stay plain, whatever the threshold', async () => {
    const answer = await request(low.server, ENGINE, { headers: { 'accept-encoding': 'gzip' } });

    assert.equal(answer.headers['content-encoding'], undefined);
    assert.equal(answer.text[0], '0');
  });

  test('what does not get smaller stays plain', async () => {
    assert.equal((await poll(low.server, 'é', 'gzip')).encoding, undefined);
  });

  test('stock clients read large messages by polling', async () => {
    const socket = await connect(on.server, { transports: ['polling'], extraHeaders: { 'accept-encoding': 'identity' } });
    const text = 'ü'.repeat(100000);

    assert.deepEqual(await ask(socket, 'echo', text), [text]);
    socket.disconnect();
    await allGone(on.server);
  });
});

/* ---- the client's scripts */

describe('client bundles', () => {
  const on = serverWith('path = /chat/');
  const off = serverWith('serve_client = no');
  const NAMES = ['socket.io.js', 'socket.io.min.js', 'socket.io.msgpack.min.js', 'socket.io.esm.min.js'].flatMap((name) => [name, `${name}.map`]);

  for (const name of NAMES)
    test(`${name}: version as ETag, 304, packed, fresh each time`, async () => {
      const get = (headers) => request(on.server, `/chat/${name}`, { headers });
      const { status, body, headers } = await get({});

      assert.equal(status, 200);
      assert.equal(headers.etag, '"4.8.4"');
      assert.equal(headers['cache-control'], 'public, max-age=0');
      for (const tag of ['"4.8.4"', 'W/"4.8.4"', '"4.8.3", W/"4.8.4"', '*']) {
        const again = await get({ 'if-none-match': tag, 'accept-encoding': 'gzip' });

        assert.equal(again.status, 304, tag);
        assert.equal(again.headers.etag, '"4.8.4"');
        assert.equal(again.headers['content-encoding'], undefined);
      }
      assert.equal((await get({ 'if-none-match': '"4.8.3"' })).status, 200);
      for (const [accept, encoding, unpack] of [['gzip', 'gzip', gunzipSync], ['gzip, deflate, br', 'br', brotliDecompressSync]]) {
        const packed = await get({ 'accept-encoding': accept });

        assert.equal(packed.headers['content-encoding'], encoding);
        assert.equal(packed.headers.etag, '"4.8.4"');
        assert.match(packed.headers.vary, /Accept-Encoding/);
        assert.ok(unpack(packed.body).equals(body));
      }
    });

  test('serve_client = no: none of them', async () => {
    for (const name of NAMES) assert.equal((await request(off.server, `/socket.io/${name}`)).status, 400, name);
  });
});

describe('other paths', () => {
  const it = serverWith('');

  test('destroyUpgrade: an upgrade elsewhere is answered at once, without one', async () => {
    const tcp = await Tcp.open(it.server);

    await tcp.write('GET /elsewhere.js HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
    assert.equal((await tcp.response()).status, 404);
    await tcp.close();
    await allGone(it.server);
  });
});
