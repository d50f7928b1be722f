/*
 * abort.test.js - clients that reset the connection after each byte of what they say (threats.md
 * C06): under a sanitizer, a use after free of whoever was waiting would show. Then nothing is left,
 * and the server serves.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { ENGINE, Polling, RawWebSocket, Tcp, allGone, closeClients, connect, settle, startWith } from '../lib/client.js';

afterEach(closeClients);

const AT_ONCE = 20; /* clients */

const mask = (opcode, text) => Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
const head = (line, ...headers) => Buffer.from(`${line} HTTP/1.1\r\nHost: x\r\n${headers.map((header) => `${header}\r\n`).join('')}\r\n`);
const post = (path, body) => Buffer.concat([head(`POST ${path}`, `Content-Length: ${body.length}`), Buffer.from(body)]);
const upgrade = (path) =>
  head(`GET ${path}`, 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==');

/* Says the first n bytes, then goes: by a reset, or by FIN and no more reading. */
async function leaveAfter(server, bytes, n, isReset) {
  const tcp = await Tcp.open(server);

  if (n) await tcp.write(bytes.subarray(0, n));
  await new Promise(setImmediate); /* the server may have had a look, or not */
  if (isReset) tcp.socket.resetAndDestroy();
  else tcp.socket.end(() => tcp.socket.destroy());
  await tcp.gone;
}

/* One client for each length of what say() gives. */
async function leaveEverywhere(server, say) {
  const { length } = await say();

  for (let from = 0; from <= length; from += AT_ONCE)
    await Promise.all(
      Array.from({ length: Math.min(AT_ONCE, length + 1 - from) }, async (_, i) =>
        leaveAfter(server, await say(), from + i, (from + i) % 2 === 0),
      ),
    );
}

describe('a client that leaves after each byte', () => {
  let server;

  before(async () => {
    /* sessions that a leaving client forgets are closed soon */
    const config = '[engine]\nping_interval = 500ms\nping_timeout = 300ms\n';
    server = await startWith(['auth', 'lobby', 'echo', 'rooms', 'ask', 'route'], { config });
  });
  after(() => server.stop());

  /* All is as it was, and the next one is served. */
  async function assertWell() {
    await allGone(server);
    const socket = await connect(server, { transports: ['polling', 'websocket'] });

    assert.deepEqual(await settle(socket), ['settle']);
    socket.disconnect();
    await allGone(server);
  }

  test('of a handshake and a poll', async () => {
    await leaveEverywhere(server, async () => Buffer.concat([head(`GET ${ENGINE}`), head('GET /test/big'), head('GET /index.html')]));
    await assertWell();
  });

  test('of a POST, with a poll waiting behind it', async () => {
    await leaveEverywhere(server, async () => {
      const { path } = await Polling.open(server);
      return Buffer.concat([post(path, '40'), post(path, '42["login","someone"]\x1e42["join","den"]\x1e42["greet-all",3]'), head(`GET ${path}`), head(`GET ${path}`)]);
    });
    await assertWell();
  });

  test('of a chunked body', async () => {
    const body = Buffer.from('5\r\nabcde\r\n3;x=y\r\nfgh\r\n0\r\nTrailer: x\r\n\r\n');

    await leaveEverywhere(server, async () => Buffer.concat([head('POST /test/body', 'Transfer-Encoding: chunked'), body]));
    await assertWell();
  });

  test('of a WebSocket, from its handshake to its close', async () => {
    await leaveEverywhere(server, async () =>
      Buffer.concat([
        upgrade('/socket.io/?EIO=4&transport=websocket'), mask(1, '40'), mask(1, '42["login","somebody"]'), mask(1, '42["join","den"]'),
        mask(1, '42["shout",1]'), mask(1, '42["greet-all",2]'), mask(9, 'ping'), mask(1, '421["echo",2]'), mask(8, '\x03\xe8'),
      ]),
    );
    await assertWell();
  });

  test('of an upgrade', async () => {
    await leaveEverywhere(server, async () => {
      const { sid } = await Polling.open(server, { join: true });
      return Buffer.concat([upgrade(`/socket.io/?EIO=4&transport=websocket&sid=${sid}`), mask(1, '2probe'), mask(1, '5'), mask(1, '42["echo",1]')]);
    });
    await assertWell();
  });

  test('while everybody is sent to', async () => {
    const talker = await RawWebSocket.open(server, { join: true });
    let isOver = false;
    const talk = (async () => {
      while (!isOver) {
        talker.send('42["blast",3,2000]', '42["shout","x"]', '3');
        await talker.message();
        talker.messages.length = 0;
      }
    })();

    for (let i = 0; i < 150; i++) {
      const raw = await RawWebSocket.open(server, { join: true });
      raw.send('42["join","den"]', '42["login","passer-by"]');
      if (i % 3 === 0) raw.ws._socket.resetAndDestroy();
      else if (i % 3 === 1) raw.ws._socket.destroy();
      else raw.send('41');
      if (i % 3 === 2) raw.ws.terminate();
    }
    isOver = true;
    await talk;
    await talker.close();
    await assertWell();
  });
});
