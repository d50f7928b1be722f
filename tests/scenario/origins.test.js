/*
 * origins.test.js - whose pages may talk to the server, by polling, by WebSocket and by preflight (C02, T01, T02).
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { ENGINE, Polling, RawWebSocket, Tcp, allGone, closeClients, startWith } from '../lib/client.js';

afterEach(closeClients);

const HOST = 'chat.example:8080'; /* the Host that is asked for: a name, as a browser has it */
const WS = '/socket.io/?EIO=4&transport=websocket';
const WS_LINES = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

/* One request on a connection of its own; origins: none, one or several. */
async function ask(server, method, path, origins, lines = '', body = '') {
  const tcp = await Tcp.open(server);
  const length = method === 'POST' ? `Content-Length: ${body.length}\r\n` : '';

  await tcp.write(`${method} ${path} HTTP/1.1\r\nHost: ${HOST}\r\n${origins.map((origin) => `Origin: ${origin}\r\n`).join('')}${lines}${length}\r\n${body}`);
  const answer = await tcp.response();
  await tcp.close();
  return answer;
}

const cors = ({ headers }) => Object.keys(headers).filter((name) => name.startsWith('access-control-'));

const SAME = ['http://chat.example:8080', 'https://chat.example:8080', 'HTTP://CHAT.example:8080', 'http://Chat.Example:8080'];

const FOREIGN = {
  'another host': ['http://evil.example'],
  'null': ['null'],
  'Null': ['Null'],
  'an empty one': [''],
  'our host, another port': ['http://chat.example:444'],
  'our host without port': ['http://chat.example'],
  'our host by https without port': ['https://chat.example'],
  'our host, a port with a letter': ['http://chat.example:08080x'],
  'our host and a dot': ['http://chat.example.:8080'],
  'a host that begins with ours': ['http://chat.example.evil:8080'],
  'a host that ends with ours': ['http://evilchat.example:8080'],
  'a subdomain of ours': ['http://evil.chat.example:8080'],
  'our host as the user': ['http://chat.example:8080@evil.example'],
  'our host in the path': ['http://evil.example/chat.example:8080'],
  'our host and a path': ['http://chat.example:8080/'],
  'our host and a query': ['http://chat.example:8080?x'],
  'our host and a fragment': ['http://chat.example:8080#x'],
  'our host and a backslash': ['http://chat.example:8080\\@evil.example'],
  'our host without scheme': ['chat.example:8080'],
  'our host, another scheme': ['ws://chat.example:8080'],
  'our host, an extension': ['chrome-extension://chat.example:8080'],
  'a file': ['file://'],
  'a star': ['*'],
  'an address': ['http://127.0.0.1:8080'],
  'two in a list': ['http://chat.example:8080, http://evil.example'],
  'two in a list by a blank': ['http://chat.example:8080 http://evil.example'],
  'two, ours first': ['http://chat.example:8080', 'http://evil.example'],
  'two, ours last': ['http://evil.example', 'http://chat.example:8080'],
  'two of ours': ['http://chat.example:8080', 'http://chat.example:8080'],
  'one of 8 KB': [`http://${'a'.repeat(8185)}`],
  'ours with 8 KB behind': [`http://chat.example:8080${'0'.repeat(8000)}`],
  'bytes beyond ASCII': ['http://chät.example:8080'],
};

/* What its method is answered that comes with an Origin and without a session, when the Origin is let in. */
const METHODS = [['GET', 200], ['POST', 400], ['OPTIONS', 400], ['PUT', 400]];

describe('T01 T02 C02: no origins but our own host', () => {
  let server;

  before(async () => (server = await startWith(['echo'])));
  after(() => server.stop());

  for (const origin of [[], ...SAME.map((one) => [one])])
    test(`${origin[0] ?? 'no Origin'} is let in, without CORS`, async () => {
      for (const [method, status] of METHODS) {
        const answer = await ask(server, method, ENGINE, origin);

        assert.equal(answer.status, status, method);
        assert.deepEqual(cors(answer), []);
        if (status === 200) await ask(server, 'POST', `${ENGINE}&sid=${JSON.parse(answer.text.slice(1)).sid}`, origin, '', '1');
      }
      assert.equal((await ask(server, 'GET', WS, origin, WS_LINES)).status, 101);
      await allGone(server);
    });

  for (const [what, origins] of Object.entries(FOREIGN))
    test(`Origin: ${what} gets 403 by every way in, and no CORS`, async () => {
      const polling = await Polling.open(server);
      const preflight = 'Access-Control-Request-Method: POST\r\n';

      for (const answer of [
        ...(await Promise.all(METHODS.map(([method]) => ask(server, method, ENGINE, origins)))),
        await ask(server, 'OPTIONS', ENGINE, origins, preflight),
        await ask(server, 'OPTIONS', polling.path, origins, preflight),
        await ask(server, 'GET', polling.path, origins),
        await ask(server, 'POST', polling.path, origins, '', '42["echo",1]'),
        await ask(server, 'GET', WS, origins, WS_LINES),
        await ask(server, 'GET', `${WS}&sid=${polling.sid}`, origins, WS_LINES),
      ]) {
        assert.equal(answer.status, 403);
        assert.deepEqual(cors(answer), []);
      }
      await polling.send('1'); /* the session was none of their business */
      await allGone(server);
    });
});

describe('T02 C02: listed origins', () => {
  const LISTED = 'https://listed.example';
  const PREFLIGHT = 'Access-Control-Request-Method: POST\r\n';
  let server;

  before(async () => (server = await startWith(['echo'], { config: '[engine]\norigins = https://listed.example, http://other.example:81\ncors_credentials = yes\n' })));
  after(() => server.stop());

  function assertCors(answer, origin) {
    assert.equal(answer.headers['access-control-allow-origin'], origin);
    assert.equal(answer.headers['access-control-allow-credentials'], 'true');
    assert.match(answer.headers.vary, /^Origin(,|$)/);
  }

  for (const origin of [LISTED, 'HTTPS://LISTED.EXAMPLE:443', 'http://other.example:81'])
    test(`${origin} may poll, ask before, and come by WebSocket`, async () => {
      const opened = await ask(server, 'GET', ENGINE, [origin]);
      const path = `${ENGINE}&sid=${JSON.parse(opened.text.slice(1)).sid}`;

      assert.equal(opened.status, 200);
      assertCors(opened, origin);
      for (const where of [ENGINE, path, '/socket.io/']) {
        const answer = await ask(server, 'OPTIONS', where, [origin], `${PREFLIGHT}Access-Control-Request-Headers: x-token, Content-Type\r\n`);
        assert.equal(answer.status, 204, where);
        assertCors(answer, origin);
        assert.equal(answer.headers['access-control-allow-methods'], 'GET, POST');
        assert.equal(answer.headers['access-control-allow-headers'], 'x-token, Content-Type');
        assert.match(answer.headers['access-control-max-age'], /^\d+$/);
        assert.equal(answer.headers['content-length'], undefined);
        assert.equal(answer.text, '');
      }
      const posted = await ask(server, 'POST', path, [origin], '', '40');
      assert.equal(posted.text, 'ok');
      assertCors(posted, origin);
      const polled = await ask(server, 'GET', path, [origin]);
      assert.match(polled.text, /^40/);
      assertCors(polled, origin);
      const refused = await ask(server, 'GET', `${ENGINE}&sid=none`, [origin]);
      assert.equal(refused.status, 400);
      assertCors(refused, origin); /* its page may read why */
      await ask(server, 'POST', path, [origin], '', '1');
      assert.equal((await ask(server, 'GET', WS, [origin], WS_LINES)).status, 101);
      await allGone(server);
    });

  for (const [what, origins] of Object.entries({
    ...FOREIGN, 'the listed one by http': ['http://listed.example'], 'the listed one by http, with the port of https': ['http://listed.example:443'],
    'the listed one, another port': ['https://listed.example:444'],
    'the listed one twice': [LISTED, LISTED], 'the listed one and a foreign one': [LISTED, 'http://evil.example'],
    'a subdomain of the listed one': ['https://a.listed.example'], 'the listed one and a dot': ['https://listed.example.'],
  }))
    test(`Origin: ${what} gets 403 and no CORS, also beside a list`, async () => {
      for (const [method, lines] of [['GET', ''], ['POST', ''], ['OPTIONS', ''], ['OPTIONS', PREFLIGHT]]) {
        const answer = await ask(server, method, ENGINE, origins, lines);

        assert.equal(answer.status, 403);
        assert.deepEqual(cors(answer), []);
      }
      assert.equal((await ask(server, 'GET', WS, origins, WS_LINES)).status, 403);
    });

  test('what a cache may keep says that it depends on the Origin', async () => {
    for (const origins of [[], SAME.slice(0, 1), [LISTED], ['http://evil.example']]) {
      const answer = await ask(server, 'OPTIONS', ENGINE, origins);

      assert.match(answer.headers.vary ?? '', /^Origin(,|$)/, `${origins}`);
    }
  });

  test('an OPTIONS that is no preflight is none', async () => {
    for (const [origins, lines, status] of [
      [[], PREFLIGHT, 400], [[LISTED], '', 400], [SAME.slice(0, 1), PREFLIGHT, 400], [[LISTED], PREFLIGHT, 204],
    ])
      assert.equal((await ask(server, 'OPTIONS', ENGINE, origins, lines)).status, status, `${origins} ${lines}`);
    /* what is no list of names is not repeated */
    for (const names of ['x y', 'x;y', '"x"', 'x\tz', 'é', `x${'-'.repeat(2000)}`, '<script>']) {
      const answer = await ask(server, 'OPTIONS', ENGINE, [LISTED], `${PREFLIGHT}Access-Control-Request-Headers: ${names}\r\n`);

      assert.equal(answer.status, 204);
      assert.equal(answer.headers['access-control-allow-headers'], undefined, names);
    }
  });
});

describe('T02 C02: origins = *', () => {
  let server;

  before(async () => (server = await startWith(['echo'], { config: '[engine]\norigins = *\n' })));
  after(() => server.stop());

  for (const origin of ['http://anybody.example', 'https://chat.example.evil:1', 'null'])
    test(`${origin} is let in, without credentials`, async () => {
      for (const [method, lines, status] of [['GET', '', 200], ['OPTIONS', 'Access-Control-Request-Method: POST\r\n', 204]]) {
        const answer = await ask(server, method, ENGINE, [origin], lines);

        assert.equal(answer.status, status);
        assert.equal(answer.headers['access-control-allow-origin'], origin);
        assert.equal(answer.headers['access-control-allow-credentials'], undefined);
        assert.match(answer.headers.vary, /^Origin(,|$)/);
        if (method === 'GET') await ask(server, 'POST', `${ENGINE}&sid=${JSON.parse(answer.text.slice(1)).sid}`, [origin], '', '1');
      }
      await (await RawWebSocket.open(server, { options: { origin } })).close();
      await allGone(server);
    });

  test('two Origins, or one of 8 KB, are still none', async () => {
    for (const origins of [['http://a', 'http://b'], [`http://${'a'.repeat(8185)}`]])
      assert.equal((await ask(server, 'GET', ENGINE, origins)).status, 403);
    await allGone(server);
  });
});
