/*
 * http.test.js - HTTP/1.1 as browsers and their enemies speak it: static files, limits, deadlines,
 * keep-alive, pipelining, request bodies to a plugin's route.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync, gzipSync } from 'node:zlib';

import { ENGINE, Tcp, closeClients, request, startWith, within } from '../lib/client.js';
import { startServer } from '../lib/server.js';

afterEach(closeClients);

const LONG = process.env.SOCKHOP_LONG === '1';
const SECRET = 'planted: nobody may read this';
const PAGE = '<!doctype html><title>The page</title>\n';
const SCRIPT = `/* a script */ ${'let x;'.repeat(100)}\n`;
const BIG = Buffer.alloc(700_000, 'The file is longer than any buffer. ');

/* The folder that is served stands beside a file that must not be. */
const outside = mkdtempSync(join(tmpdir(), 'sockhop-http-'));
const folder = join(outside, 'public');
process.on('exit', () => rmSync(outside, { recursive: true, force: true }));

function plant(name, content) {
  const path = join(folder, name);

  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, content);
}

function plantAll() {
  mkdirSync(join(outside, 'private'));
  for (const name of ['secret.txt', 'secret', 'private/secret.txt']) writeFileSync(join(outside, name), SECRET);
  plant('index.html', PAGE);
  plant('index.html.gz', gzipSync(PAGE));
  plant('plain.css', 'a {}\n');
  plant('script.js', SCRIPT);
  plant('script.js.gz', gzipSync(SCRIPT));
  plant('assets/page-5X2QAZ7K.js', SCRIPT);
  plant('assets/page-5X2QAZ7K.js.map', '{}');
  plant('assets/page-short.js', SCRIPT);
  plant('big.bin', BIG);
  plant('empty.txt', '');
  plant('a b.txt', 'blank\n');
  plant('größe.txt', 'umlaut\n');
  plant('sub/file.txt', 'below\n');
  for (const name of ['.env', '.git/config', 'sub/.hidden', '.well-known/x.txt', '..data/x.txt']) plant(name, SECRET);
  plant('folder.js/file.txt', 'below\n');
  symlinkSync('../secret.txt', join(folder, 'link.txt'));
  symlinkSync('../secret', join(folder, 'link'));
  symlinkSync('..', join(folder, 'up'));
  symlinkSync('plain.css', join(folder, 'inner.css'));
  symlinkSync('/dev/zero', join(folder, 'zero.txt'));
  execFileSync('mkfifo', [join(folder, 'fifo.txt')]);
}

before(plantAll);

const get = (path, headers = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
const post = (headers, body = '') => `POST /test/body HTTP/1.1\r\nHost: x\r\n${headers}\r\n${body}`;

/* One connection, bytes as they are: resolves with the first response. */
async function ask(server, bytes, options) {
  const tcp = await Tcp.open(server);

  await tcp.write(bytes);
  const answer = await tcp.response(options);
  await tcp.close();
  return answer;
}

/* All that the server says until it closes. */
async function untilEnd(tcp) {
  await tcp.ended();
  return tcp.data.toString('latin1');
}

/* The server closes behind its answer, whatever else was sent. */
async function assertLast(tcp, status) {
  const answer = await tcp.response();

  assert.equal(answer.status, status);
  assert.equal(answer.headers.connection, 'close');
  assert.equal(await untilEnd(tcp), '', 'nothing follows');
}

describe('HTTP', () => {
  let server;

  before(async () => {
    server = await startWith(['echo', 'route'], {
      config: '[log]\nlevel = debug\n',
      args: ['-o', `server.public=${folder}`],
    });
  });
  after(() => server.stop());

  /* ---- static files */

  test('index.html is served for every path that is no file', async () => {
    for (const path of ['/', '/index.html', '/room/7', '/room/7?x=1', '/sub', '/sub/', '/sub/none', '/a.b/c', '/login.php', '/%C3%BC',
      '/a%20b', '/secret', '/etc/passwd', '/folder.js/', '/?/../secret.txt', '/socket.iox', '/test', '/test/']) {
      const answer = await ask(server, get(path));

      assert.equal(answer.status, 200, path);
      assert.equal(answer.text, PAGE, path);
      assert.equal(answer.headers['content-type'], 'text/html; charset=utf-8');
      assert.equal(answer.headers['cache-control'], 'no-cache');
    }
  });

  test('what looks like a script or a picture and is none is not found', async () => {
    for (const path of ['/none.js', '/none.css', '/a/none.png', '/none.PNG', '/socket.io.js', '/none.js.map', '/folder.js', '/favicon.ico'])
      assert.equal((await request(server, path)).status, 404, path);
  });

  test('files have their types', async () => {
    const types = {
      css: 'text/css; charset=utf-8', gif: 'image/gif', html: 'text/html; charset=utf-8', ico: 'image/x-icon', jpg: 'image/jpeg',
      jpeg: 'image/jpeg', js: 'text/javascript; charset=utf-8', mjs: 'text/javascript; charset=utf-8',
      json: 'application/json; charset=utf-8', map: 'application/json; charset=utf-8', png: 'image/png',
      svg: 'image/svg+xml; charset=utf-8', txt: 'text/plain; charset=utf-8', woff2: 'font/woff2', webp: 'image/webp',
      wasm: 'application/wasm', mp3: 'audio/mpeg', webmanifest: 'application/manifest+json; charset=utf-8',
      PNG: 'image/png', unknown: 'application/octet-stream', 'tar.gz': 'application/octet-stream',
    };

    for (const [extension, type] of Object.entries(types)) {
      plant(`types/file.${extension}`, extension);
      const answer = await request(server, `/types/file.${extension}`);

      assert.equal(answer.status, 200, extension);
      assert.equal(answer.headers['content-type'], type);
      assert.equal(answer.headers['x-content-type-options'], 'nosniff');
      assert.equal(answer.text, extension);
    }
    plant('types/none', 'none');
    assert.equal((await request(server, '/types/none')).headers['content-type'], 'application/octet-stream');
  });

  test('names are decoded once, and may have blanks and letters of any script', async () => {
    assert.equal((await request(server, '/a%20b.txt')).text, 'blank\n');
    assert.equal((await request(server, '/gr%C3%B6%c3%9fe.txt')).text, 'umlaut\n');
    assert.equal((await request(server, '/sub/%66ile.txt')).text, 'below\n');
    assert.equal((await request(server, '/sub/file.txt?v=1&x=../..')).text, 'below\n');
    assert.equal((await request(server, '/a%2520b.txt')).status, 404);
    assert.equal((await request(server, '/a+b.txt')).status, 404);
  });

  test('an empty file and one larger than all buffers arrive whole', async () => {
    const empty = await request(server, '/empty.txt');

    assert.equal(empty.status, 200);
    assert.equal(empty.headers['content-length'], '0');
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 3; i++) {
      const big = await request(server, '/big.bin', { agent });
      assert.ok(big.body.equals(BIG));
    }
    agent.destroy();
  });

  test('a receiver that gives up in the middle of a file is no problem', async () => {
    for (let i = 0; i < 20; i++) {
      const tcp = await Tcp.open(server);

      await tcp.write(get('/big.bin'));
      await tcp.more('the beginning');
      tcp.socket.resetAndDestroy();
    }
    assert.equal((await request(server, '/')).status, 200);
  });

  test('ETag: 304 while a file is the same, its new content and tag when it has changed', async () => {
    plant('changes.txt', 'old\n');
    const first = await request(server, '/changes.txt');
    const etag = first.headers.etag;

    assert.match(etag, /^"[^"]+"$/);
    for (const value of [etag, `W/${etag}`, `"other", ${etag}`, `"a" , W/"b",${etag}`, '*']) {
      const same = await request(server, '/changes.txt', { headers: { 'If-None-Match': value } });

      assert.equal(same.status, 304, value);
      assert.equal(same.headers.etag, etag);
      assert.equal(same.headers['cache-control'], first.headers['cache-control']);
      assert.equal(same.text, '');
    }
    for (const value of ['"other"', 'W/"other"', etag.slice(1, -1), '', '"']) {
      const other = await request(server, '/changes.txt', { headers: { 'If-None-Match': value } });

      assert.equal(other.status, 200, value);
      assert.equal(other.text, 'old\n');
    }
    plant('changes.txt', 'new\n');
    utimesSync(join(folder, 'changes.txt'), 1, 1);
    const changed = await request(server, '/changes.txt', { headers: { 'If-None-Match': etag } });
    assert.equal(changed.status, 200);
    assert.equal(changed.text, 'new\n');
    assert.notEqual(changed.headers.etag, etag);
  });

  test('a 304 keeps the connection, and the next answer is whole', async () => {
    const { etag } = (await request(server, '/plain.css')).headers;
    const tcp = await Tcp.open(server);

    await tcp.write(get('/plain.css', `If-None-Match: ${etag}\r\n`) + get('/plain.css'));
    assert.equal((await tcp.response()).status, 304);
    assert.equal((await tcp.response()).text, 'a {}\n');
    await tcp.close();
  });

  test('a gzip copy goes to those who take gzip, with a tag of its own', async () => {
    const plain = await request(server, '/script.js');
    const zipped = await request(server, '/script.js', { headers: { 'Accept-Encoding': 'gzip, deflate, br' } });

    assert.equal(plain.headers['content-encoding'], undefined);
    assert.equal(plain.headers.vary, 'Accept-Encoding');
    assert.equal(plain.text, SCRIPT);
    assert.equal(zipped.headers['content-encoding'], 'gzip');
    assert.equal(zipped.headers.vary, 'Accept-Encoding');
    assert.equal(zipped.headers['content-type'], 'text/javascript; charset=utf-8');
    assert.equal(gunzipSync(zipped.body).toString(), SCRIPT);
    assert.notEqual(zipped.headers.etag, plain.headers.etag);
    const same = await request(server, '/script.js', { headers: { 'Accept-Encoding': 'gzip', 'If-None-Match': zipped.headers.etag } });
    assert.equal(same.status, 304);
    assert.equal(same.headers.vary, 'Accept-Encoding');

    for (const [accepted, encoding] of [
      ['GZIP', 'gzip'], ['br;q=1, gzip;q=0.5', 'gzip'], ['*', 'gzip'], ['deflate,x-gzip', 'gzip'], ['gzip;q=0.001', 'gzip'],
      ['gzip;q=0', undefined], ['gzip; q=0.000', undefined], ['*;q=0', undefined], ['gzip;q=0, *', undefined], ['br', undefined],
      ['identity', undefined], ['', undefined], ['gzipped', undefined],
    ])
      assert.equal((await request(server, '/script.js', { headers: { 'Accept-Encoding': accepted } })).headers['content-encoding'], encoding, accepted);
  });

  test('without a gzip copy nothing varies', async () => {
    const answer = await request(server, '/plain.css', { headers: { 'Accept-Encoding': 'gzip' } });

    assert.equal(answer.headers['content-encoding'], undefined);
    assert.equal(answer.headers.vary, undefined);
    assert.equal(answer.text, 'a {}\n');
  });

  test('the page has its gzip copy on every path', async () => {
    const answer = await request(server, '/room/7', { headers: { 'Accept-Encoding': 'gzip' } });

    assert.equal(gunzipSync(answer.body).toString(), PAGE);
    assert.equal(answer.headers['content-type'], 'text/html; charset=utf-8');
  });

  test('a name with a hash is immutable, others are asked for again', async () => {
    const cache = async (path) => (await request(server, path)).headers['cache-control'];

    assert.equal(await cache('/assets/page-5X2QAZ7K.js'), 'public, max-age=31536000, immutable');
    assert.equal(await cache('/assets/page-5X2QAZ7K.js.map'), 'public, max-age=31536000, immutable');
    assert.equal(await cache('/assets/page-short.js'), 'public, max-age=0');
    assert.equal(await cache('/plain.css'), 'public, max-age=0');
    assert.equal(await cache('/'), 'no-cache');
    assert.equal(await cache('/none.js'), undefined);
  });

  test('HEAD says what GET would, without the body', async () => {
    const tcp = await Tcp.open(server);

    for (const path of ['/', '/script.js', '/big.bin', '/none.js', '/test/hello', '/room/7', '/empty.txt']) {
      await tcp.write(get(path).replace('GET', 'HEAD'));
      const head = await tcp.response({ isHead: true });
      assert.equal(tcp.data.length, 0, path);
      await tcp.write(get(path));
      const whole = await tcp.response();
      for (const answer of [head, whole]) delete answer.headers.date;
      assert.equal(head.status, whole.status);
      assert.deepEqual(head.headers, whole.headers);
      assert.equal(Number(head.headers['content-length']), whole.body.length);
    }
    await tcp.close();
  });

  test('a file takes no other method', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND']) {
      const answer = await request(server, '/plain.css', { method, body: method === 'POST' ? 'text' : undefined });

      assert.equal(answer.status, 405, method);
      assert.equal(answer.headers.allow, 'GET, HEAD');
    }
    assert.equal((await request(server, '/plain.css', { method: 'TRACE' })).status, 405);
    assert.equal((await ask(server, 'CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n')).status, 501);
    assert.equal((await ask(server, 'BREW / HTTP/1.1\r\nHost: x\r\n\r\n')).status, 501);
  });

  /* ---- T29: the way out of the folder */

  const FORBIDDEN = [
    '/.env', '/%2eenv', '/%2Eenv', '/.git/config', '/.git%2fconfig', '/sub/.hidden', '/.well-known/x.txt', '/..data/x.txt', '/.', '/..', '/...',
    '/../secret.txt', '/./index.html', '/sub/./file.txt', '/sub/../plain.css', '/sub//file.txt', '//plain.css', '//', '///etc/passwd',
    '/link.txt', '/up/secret.txt', '/up/public/plain.css', '/inner.css', '/fifo.txt', '/zero.txt', '/folder.js',
    '/plain.css%00', '/plain.css%00.html', '/%00', '/plain%0a.css', '/plain%0d%0a.css', '/plain.css%7f', '/sub%2ffile.txt', '/%2fplain.css',
    '/sub%5cfile.txt', '/%', '/%2', '/%zz', '/%2%65', '/%c0%ae%c0%ae/secret.txt', '/%e0%80%ae./secret.txt', '/%ff', '/%ed%a0%80.txt',
    '/plain.css/x.css', `/${'a'.repeat(1100)}`, `/${'a/'.repeat(600)}`, `/${'a'.repeat(300)}.js`, '/script.js.gz/', '/con.txt:stream.txt',
  ];

  for (const path of FORBIDDEN)
    test(`T29: ${path.slice(0, 60)} is not found`, async () => {
      const tcp = await Tcp.open(server);

      await tcp.write(get(path) + get('/test/hello'));
      const answer = await tcp.response();
      assert.equal(answer.status, path === '/script.js.gz/' ? 200 : 404);
      if (answer.status === 404) assert.equal(answer.text, 'Not Found\n');
      assert.equal((await tcp.response()).text, 'hello\n', 'the connection goes on');
      await tcp.close();
    });

  test('T29: no spelling of dots and slashes leads out of the folder', async () => {
    const dots = ['..', '%2e%2e', '.%2e', '%2E.', '%252e%252e', '..%00', '%c0%ae%c0%ae', '%u002e%u002e', '%ef%bc%8e%ef%bc%8e', '..;', '..%20', '...', '%e2%80%a5'];
    const slashes = ['/', '%2f', '%5c', '\\', '%255c', '%252f', '%c0%af', '%e0%80%af', '//', '/./', '%ef%bc%8f'];
    const tcp = await Tcp.open(server);
    let n = 0;

    for (const dot of dots)
      for (const slash of slashes)
        for (const start of ['/', '/sub/', '/up/'])
          for (const end of ['secret.txt', 'secret', 'private/secret.txt']) {
            const path = start + (dot + slash).repeat(start === '/' ? 1 : 2) + end;

            await tcp.write(get(path));
            const answer = await tcp.response();
            assert.ok(answer.status === 404 || (answer.status === 200 && answer.text === PAGE), `${path}: ${answer.status}`);
            n++;
          }
    assert.ok(n > 1000);
    await tcp.close();
  });

  test('T29: an absolute target is a path too, and must fit Host', async () => {
    assert.equal((await ask(server, 'GET http://x/plain.css HTTP/1.1\r\nHost: x\r\n\r\n')).text, 'a {}\n');
    assert.equal((await ask(server, 'GET http://x HTTP/1.1\r\nHost: x\r\n\r\n')).text, PAGE);
    assert.equal((await ask(server, 'GET http://x/../secret.txt HTTP/1.1\r\nHost: x\r\n\r\n')).status, 404);
    for (const target of ['http://y/plain.css', 'http://x@y/', 'http:///plain.css', 'file:///etc/passwd', 'plain.css', '../secret.txt', '?x'])
      assert.equal((await ask(server, `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`)).status, 400, target);
  });

  /* ---- headers that protect */

  test('pages have a policy without unsafe sources, and everything is nosniff', async () => {
    const page = await request(server, '/');
    const policy = page.headers['content-security-policy'];

    assert.match(policy, /(^|; )default-src 'self'(;|$)/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.match(policy, /base-uri 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
    assert.equal(page.headers['referrer-policy'], 'no-referrer');
    for (const path of ['/', '/plain.css', '/none.js', '/test/hello', '/test/none', ENGINE, '/socket.io/?EIO=9']) {
      const { headers } = await request(server, path);

      assert.equal(headers['x-content-type-options'], 'nosniff', path);
      assert.equal(headers.server, undefined);
      assert.equal(headers['x-powered-by'], undefined);
      assert.match(headers.date, /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/);
    }
  });

  test('T61: answers that refuse tell nothing of the server or the request', async () => {
    for (const bytes of [get('/none-of-this.js'), get('/.env-none-of-this'), 'none-of-this\r\n\r\n', get('/none-of-this'.padEnd(9000, 'x'))]) {
      const answer = await ask(server, bytes);

      assert.ok(answer.status >= 400);
      assert.doesNotMatch(JSON.stringify(answer.headers) + answer.text, /none-of-this|sockhop|\d+\.\d+\.\d+|\/tmp|public/i);
    }
  });

  test('T61: the metrics are not on the public port', async () => {
    for (const path of ['/metrics', '/readyz']) assert.equal((await request(server, path)).text, PAGE);
    assert.equal((await request(server, '/', { url: server.statusUrl })).status, 404);
    assert.equal((await request(server, ENGINE, { url: server.statusUrl })).status, 404);
  });

  /* ---- routes of a plugin */

  test('a plugin answers its paths', async () => {
    const hello = await request(server, '/test/hello');

    assert.equal(hello.text, 'hello\n');
    assert.equal(hello.headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal((await request(server, '/test/query?a=1&b=%20')).text, 'a=1&b=%20');
    assert.equal((await request(server, '/test/query')).text, '');
    assert.equal((await request(server, '/test/agent', { headers: { 'User-Agent': 'tester/1' } })).text, 'tester/1');
    assert.equal((await request(server, '/test/agent')).status, 404);
    assert.equal((await request(server, '/test/twice')).text, 'first\n');
    assert.equal((await request(server, '/test/big')).text, 'x'.repeat(300_000));
    assert.equal((await request(server, '/test/forgets')).status, 500);
    await server.waitLog(/route\.unanswered plugin=route path=\/test\/forgets/);
  });

  test('a plugin is asked with its own method only', async () => {
    const answer = await request(server, '/test/hello', { method: 'POST', body: 'text' });

    assert.equal(answer.status, 405);
    assert.equal(answer.headers.allow, 'GET, HEAD');
    assert.equal((await request(server, '/test/body')).headers.allow, 'POST');
  });

  test('a request body reaches a plugin whole', async () => {
    for (const size of [0, 1, 1000, 100_000, 1_000_000]) {
      const body = Buffer.alloc(size, 'sockhop \0\x01\xff');
      const answer = await request(server, '/test/body', { method: 'POST', body });

      assert.equal(answer.status, 200);
      assert.ok(answer.body.equals(body));
      assert.equal(answer.headers['content-type'], 'application/octet-stream');
    }
  });

  const CHUNKED = 'Transfer-Encoding: chunked\r\n';

  for (const [what, body, text] of [
    ['one chunk', '5\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['several', '3\r\nhel\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n', 'hello'],
    ['none', '0\r\n\r\n', ''],
    ['leading zeros and capital digits', '0000A\r\n0123456789\r\n00\r\n\r\n', '0123456789'],
    ['extensions', '5;a=b\r\nhello\r\n3;c="d e"\r\nyou\r\n0;last\r\n\r\n', 'helloyou'],
    ['trailers, which are dropped', '5\r\nhello\r\n0\r\nUser-Agent: trailer\r\nHost: y\r\n\r\n', 'hello'],
    ['line ends and zeros as data', '8\r\n0\r\n\r\n0\r\n\r\n0\r\n\r\n', '0\r\n\r\n0\r\n'],
  ])
    test(`a chunked body: ${what}, also one byte at a time`, async () => {
      const tcp = await Tcp.open(server);

      await tcp.write(post(CHUNKED, body));
      assert.equal((await tcp.response()).text, text);
      await tcp.writeSlowly(post(CHUNKED, body));
      assert.equal((await tcp.response()).text, text);
      await tcp.write(get('/test/hello'));
      assert.equal((await tcp.response()).text, 'hello\n');
      await tcp.close();
    });

  test('a large chunked body arrives whole, one over the limit gets 413', async () => {
    const piece = 'x'.repeat(50_000);
    const chunk = `${piece.length.toString(16)}\r\n${piece}\r\n`;
    const whole = await ask(server, post(CHUNKED, `${chunk.repeat(20)}0\r\n\r\n`));

    assert.equal(whole.status, 200);
    assert.equal(whole.text, piece.repeat(20));
    const tcp = await Tcp.open(server);
    await tcp.write(post(CHUNKED, `${chunk.repeat(20)}1\r\nx\r\n0\r\n\r\n`));
    await assertLast(tcp, 413);
  });

  test('nothing of one request is left in the next', async () => {
    const tcp = await Tcp.open(server);

    await tcp.write(post('Content-Length: 5\r\nUser-Agent: a\r\n', 'first') + get('/test/agent') + post('Content-Length: 0\r\n') + get('/test/query'));
    assert.equal((await tcp.response()).text, 'first');
    assert.equal((await tcp.response()).status, 404);
    assert.equal((await tcp.response()).text, '');
    assert.equal((await tcp.response()).text, '');
    await tcp.close();
  });

  /* ---- keep-alive and pipelining */

  test('a connection serves many requests, as long as both sides want', async () => {
    const before = (await server.metrics()).get('sockhop_connections_accepted_total');
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

    for (let i = 0; i < 50; i++) {
      const answer = await request(server, i % 2 ? '/plain.css' : '/test/hello', { agent });
      assert.equal(answer.status, 200);
      assert.notEqual(answer.headers.connection, 'close');
    }
    agent.destroy();
    const after = (await server.metrics()).get('sockhop_connections_accepted_total');
    assert.equal(after - before, 2, 'one for them all, and one for this question');
  });

  test('who asks for close, or speaks HTTP/1.0, gets a close', async () => {
    for (const bytes of [
      get('/test/hello', 'Connection: close\r\n'), get('/plain.css', 'Connection: x, CLOSE\r\n'), 'GET /plain.css HTTP/1.0\r\n\r\n',
      'GET /test/hello HTTP/1.0\r\nHost: x\r\n\r\n', 'GET /plain.css HTTP/1.0\r\nConnection: close\r\n\r\n',
    ]) {
      const tcp = await Tcp.open(server);

      await tcp.write(bytes + get('/test/hello'));
      await assertLast(tcp, 200);
    }
    const tcp = await Tcp.open(server);
    await tcp.write('GET /plain.css HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    const answer = await tcp.response();
    assert.equal(answer.headers.connection.toLowerCase(), 'keep-alive');
    await tcp.write(get('/test/hello'));
    assert.equal((await tcp.response()).text, 'hello\n');
    await tcp.close();
  });

  const PIPELINE = [
    [get('/test/query?1'), '1'],
    [get('/plain.css'), 'a {}\n'],
    [post('Content-Length: 3\r\n', 'two'), 'two'],
    [get('/test/big'), 'x'.repeat(300_000)],
    [get('/none.js'), 'Not Found\n'],
    [post(CHUNKED, '2\r\nch\r\n4\r\nunks\r\n0\r\n\r\n'), 'chunks'],
    [get('/big.bin'), BIG.toString()],
    [get('/test/none'), PAGE],
    ['\r\n' + get('/test/hello'), 'hello\n'],
    [get('/test/hello').replace('GET', 'PUT'), 'Method Not Allowed\n'],
    [get('/test/query?last'), 'last'],
  ];

  for (const [what, pieces] of [
    ['in one segment', (bytes) => [bytes]],
    ['in pieces of 7 bytes', (bytes) => bytes.match(/[^]{1,7}/g)],
  ])
    test(`pipelined requests ${what} are answered in order`, async () => {
      const tcp = await Tcp.open(server);

      for (const piece of pieces(PIPELINE.map(([bytes]) => bytes).join(''))) await tcp.write(piece);
      for (const [bytes, text] of PIPELINE) assert.ok((await tcp.response()).text === text, bytes);
      await tcp.close();
    });

  test('500 pipelined requests are answered in order', async () => {
    const tcp = await Tcp.open(server);
    const paths = Array.from({ length: 500 }, (_, i) => (i % 3 ? `/test/query?${i}` : '/plain.css'));

    await tcp.write(paths.map((path) => get(path)).join(''));
    for (const path of paths) assert.equal((await tcp.response()).text, path === '/plain.css' ? 'a {}\n' : path.slice(12));
    await tcp.close();
  });

  test('a pipeline that is never read does not grow without end', async () => {
    const tcp = await Tcp.open(server);

    tcp.socket.pause();
    tcp.socket.write(get('/test/big').repeat(2000)); /* 600 MB of answers */
    const metrics = await server.waitMetrics((now) => now.get('sockhop_queued_bytes') > 0);
    assert.ok(metrics.get('sockhop_queued_bytes') < 2_000_000);
    await tcp.close();
    await server.waitMetrics((now) => now.get('sockhop_queued_bytes') === 0);
  });

  /* ---- Expect */

  test('Expect: 100-continue is answered before the body', async () => {
    const tcp = await Tcp.open(server);

    for (let i = 0; i < 2; i++) {
      await tcp.write(post('Content-Length: 5\r\nExpect: 100-continue\r\n'));
      assert.equal((await tcp.response()).status, 100);
      await tcp.write('hello');
      assert.equal((await tcp.response()).text, 'hello');
      await tcp.write(post(`${CHUNKED}Expect: 100-Continue\r\n`));
      assert.equal((await tcp.response()).status, 100);
      await tcp.write('5\r\nhello\r\n0\r\n\r\n');
      assert.equal((await tcp.response()).text, 'hello');
    }
    await tcp.close();
  });

  test('Expect: 100-continue: a body that is here, or none, is not asked for', async () => {
    const tcp = await Tcp.open(server);

    await tcp.write(post('Content-Length: 5\r\nExpect: 100-continue\r\n', 'hello'));
    assert.equal((await tcp.response()).text, 'hello');
    await tcp.write(get('/test/hello', 'Expect: 100-continue\r\n'));
    assert.equal((await tcp.response()).text, 'hello\n');
    await tcp.close();
  });

  test('Expect: 100-continue is not said to a body that will be refused', async () => {
    const tcp = await Tcp.open(server);

    await tcp.write(post('Content-Length: 1000001\r\nExpect: 100-continue\r\n'));
    await assertLast(tcp, 413);
    assert.equal((await ask(server, post('Content-Length: 5\r\nExpect: a-miracle\r\n'))).status, 417);
    assert.equal((await ask(server, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n')).status, 413);
  });

  /* ---- T07: what never ends; both sides of each limit are in badhttp.test.js */

  for (const [what, start, rest, status] of [
    ['a target', 'GET /', 'x', 414],
    ['a header', 'GET / HTTP/1.1\r\nX: ', 'x', 431],
    ['a header name', 'GET / HTTP/1.1\r\n', 'x', 431],
    ['headers', 'GET / HTTP/1.1\r\n', 'X: x\r\n', 431],
    ['a chunked body', post(CHUNKED), `2710\r\n${'x'.repeat(10_000)}\r\n`, 413],
    ['a chunk extension', post(CHUNKED, '5;'), 'x', 400],
    ['trailers', post(CHUNKED, '0\r\n'), 'X: x\r\n', 400],
    ['a method', '', 'X', 400],
  ])
    test(`T07: ${what} without end gets ${status}, and the answer arrives`, async () => {
      const tcp = await Tcp.open(server);

      await tcp.write(start + rest.repeat(Math.ceil(2_000_000 / rest.length)));
      await assertLast(tcp, status);
    });

  /* ---- malformed requests: see badhttp.test.js */

  const field = (line) => `GET /test/hello HTTP/1.1\r\nHost: x\r\n${line}\r\n\r\n`;

  test('a good request before a malformed one is still answered', async () => {
    const tcp = await Tcp.open(server);

    await tcp.write(get('/test/big') + get('/test/hello') + field('X : a') + get('/test/hello'));
    assert.equal((await tcp.response()).text.length, 300_000);
    assert.equal((await tcp.response()).text, 'hello\n');
    await assertLast(tcp, 400);
  });

  test('C06: a connection reset at any byte leaves nothing behind', async () => {
    const bytes = post(CHUNKED, '5\r\nhello\r\n0\r\n\r\n');

    for (let i = 1; i <= bytes.length; i++) {
      const tcp = await Tcp.open(server);

      await tcp.write(bytes.slice(0, i));
      tcp.socket.resetAndDestroy();
    }
    await server.waitMetrics((metrics) => metrics.get('sockhop_connections') === 1 && metrics.get('sockhop_queued_bytes') === 0);
  });

  /* ---- the client bundle */

  test('the built page and the client bundle are served', async (t) => {
    const built = await startServer({ config: '[plugin:echo]\n' });
    t.after(() => built.stop());
    const page = await request(built, '/');
    const assets = [...page.text.matchAll(/(?:src|href)="\/?([^"]*assets\/[^"]+)"/g)].map(([, path]) => `/${path}`);

    assert.ok(assets.length >= 2, page.text);
    for (const path of assets) {
      const answer = await request(built, path);
      assert.equal(answer.status, 200, path);
      assert.equal(answer.headers['cache-control'], 'public, max-age=31536000, immutable');
    }
    for (const name of ['socket.io.js', 'socket.io.min.js', 'socket.io.esm.min.js', 'socket.io.msgpack.min.js']) {
      const script = await request(built, `/socket.io/${name}`);
      assert.equal(script.status, 200);
      assert.equal(script.headers['content-type'], 'text/javascript; charset=utf-8');
      assert.match(script.text, new RegExp(`sourceMappingURL=${name}\\.map`));
      assert.equal((await request(built, `/socket.io/${name}`, { headers: { 'If-None-Match': script.headers.etag } })).status, 304);
      const zipped = await request(built, `/socket.io/${name}`, { headers: { 'Accept-Encoding': 'gzip' } });
      assert.equal(zipped.headers['content-encoding'], 'gzip');
      assert.ok(gunzipSync(zipped.body).equals(script.body));
      const map = await request(built, `/socket.io/${name}.map`);
      assert.equal(map.headers['content-type'], 'application/json; charset=utf-8');
      assert.ok(JSON.parse(map.text).sources.length > 0);
    }
    assert.equal((await request(built, '/socket.io/other.js')).status, 400);
  });
});

/* ---- T03, T04: the total deadlines */

describe('HTTP deadlines', () => {
  const config = '[limits]\nhead_timeout = 1s\nbody_timeout = 1s\nkeep_alive = 1500ms\n';
  let server;

  before(async () => (server = await startWith(['route'], { config, args: ['-o', `server.public=${folder}`] })));
  after(() => server.stop());

  /* Writes a byte now and then, until the server has answered. */
  async function trickle(tcp, byte) {
    while (tcp.data.length === 0 && !tcp.isEnded) {
      await tcp.write(byte).catch(() => {});
      await delay(20);
    }
  }

  for (const [what, bytes, byte] of [
    ['a head that stops', get('/test/hello').slice(0, -2)],
    ['one byte', 'G'],
    ['a head that never ends', 'GET / HTTP/1.1\r\nX: ', 'x'],
    ['a body that stops', post('Content-Length: 10\r\n', 'hello')],
    ['a body that never comes', post('Content-Length: 10\r\n')],
    ['a body that trickles', post('Content-Length: 10000\r\n'), 'x'],
    ['a chunked body that trickles', post('Transfer-Encoding: chunked\r\n', '2710\r\n'), 'x'],
    ['a chunk size that trickles', post('Transfer-Encoding: chunked\r\n', '1\r\nx\r\n'), '0'],
  ])
    test(`T03 T04: ${what} gets 408 and a close`, async () => {
      const tcp = await Tcp.open(server);

      await tcp.write(bytes);
      if (byte) await within(trickle(tcp, byte), 'the answer');
      await assertLast(tcp, 408);
    });

  test('T03: the time of a head runs again for the next request', async () => {
    const tcp = await Tcp.open(server);

    for (let i = 0; i < 3; i++) {
      await tcp.write(get('/test/hello'));
      assert.equal((await tcp.response()).text, 'hello\n');
    }
    await tcp.write('GET /');
    await assertLast(tcp, 408);
  });

  test('T03: who says nothing is closed without a word', async () => {
    const silent = await Tcp.open(server);
    const idle = await Tcp.open(server);
    const empty = await Tcp.open(server);

    await idle.write(get('/test/hello'));
    await empty.write('\r\n');
    assert.equal((await idle.response()).text, 'hello\n');
    for (const tcp of [silent, idle, empty]) assert.equal(await untilEnd(tcp), '');
  });

  test('a receiver that reads slowly, but reads, gets its file', async () => {
    const tcp = await Tcp.open(server);
    let size = 0;

    tcp.socket.removeAllListeners('data');
    await tcp.write(get('/big.bin', 'Connection: close\r\n'));
    tcp.socket.on('data', (part) => {
      size += part.length;
      tcp.socket.pause();
      setTimeout(() => tcp.socket.resume(), 20);
    });
    await tcp.ended();
    assert.ok(size > BIG.length);
  });
});

/* ---- T03: slowloris */

const SLOW = LONG ? { n: 1000, timeout: 10 } : { n: 200, timeout: 2 };

test(`T03: ${SLOW.n} heads that trickle are gone by their deadline, and others are served meanwhile`, async (t) => {
  const server = await startWith(['route'], { config: `[limits]\nhead_timeout = ${SLOW.timeout}s\n` });
  t.after(() => server.stop());
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const latency = async () => {
    const from = performance.now();

    assert.equal((await request(server, '/test/hello', { agent })).text, 'hello\n');
    return performance.now() - from;
  };
  const p99 = (times) => times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)].toFixed(1);
  const quiet = [];
  const busy = [];
  const lives = [];

  for (let i = 0; i < 300; i++) quiet.push(await latency());
  const crowd = await Promise.all(Array.from({ length: SLOW.n }, async () => {
    const from = performance.now();
    const tcp = await Tcp.open(server);
    tcp.gone.then(() => lives.push(performance.now() - from));
    await tcp.write('GET / HTTP/1.1\r\nX: ');
    return tcp;
  }));
  const drip = setInterval(() => crowd.forEach((tcp) => tcp.isEnded || tcp.socket.write('x')), LONG ? 1000 : 100);
  while (lives.length < SLOW.n && busy.length < 1e6) busy.push(await latency());
  clearInterval(drip);
  assert.equal(lives.length, SLOW.n);
  for (const tcp of crowd) assert.equal((await tcp.response()).status, 408);
  const longest = Math.max(...lives) / 1000;
  assert.ok(longest < SLOW.timeout + 5, `${longest} s`); /* with room for a busy machine */
  t.diagnostic(`gone after ${longest.toFixed(1)} s at most; p99 of ${busy.length} others ${p99(busy)} ms, quiet ${p99(quiet)} ms`);
  agent.destroy();
  closeClients();
  await server.waitMetrics((metrics) => metrics.get('sockhop_connections') === 1);
});
