/*
 * deflate.test.js - permessage-deflate between real clients: off unless the operator wants it, one frame for all
 * receivers of a broadcast, nothing kept by idle connections.
 *
 * Plugins: echo, peers.
 */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { RawWebSocket, allGone, ask, closeClients, connect, startWith } from '../lib/client.js';

afterEach(closeClients);

const ON = '[engine]\npermessage_deflate = yes\n';
const LONG = 'all work and no play '.repeat(500);

/* Runs body with a server of its own. */
async function withServer(config, body) {
  const server = await startWith(['echo', 'peers'], { config });

  try {
    await body(server);
    closeClients();
    await allGone(server);
  } finally {
    closeClients();
    await server.stop();
  }
}

const open = (server, options) => RawWebSocket.open(server, { path: '/ws-echo', options });
/* What came over TCP since the last time. */
function traffic(raw) {
  const before = raw.bytes ?? 0;

  raw.bytes = raw.ws._socket.bytesRead;
  return raw.bytes - before;
}

test('off by default: an offer is not answered, and all goes as it is', () =>
  withServer('', async (server) => {
    const raw = await open(server);

    assert.equal(raw.ws.extensions, '');
    raw.send(LONG);
    assert.equal(await raw.message(), LONG);
    assert.ok(traffic(raw) > LONG.length);
  }));

test('on: long messages are deflated both ways, short ones are not', () =>
  withServer(ON, async (server) => {
    const raw = await open(server);

    assert.equal(raw.ws.extensions, 'permessage-deflate');
    traffic(raw);
    raw.send(LONG);
    assert.equal(await raw.message(), LONG);
    assert.ok(traffic(raw) < LONG.length / 10);
    raw.send('x'.repeat(1023));
    assert.equal((await raw.message()).length, 1023);
    assert.ok(traffic(raw) > 1023);
    raw.ws.send(Buffer.from(LONG), { compress: false });
    assert.deepEqual(await raw.message(), Buffer.from(LONG));
    assert.ok(traffic(raw) < LONG.length / 10);
  }));

test('on: one that offers nothing gets all as it is', () =>
  withServer(ON, async (server) => {
    const raw = await open(server, { perMessageDeflate: false });

    assert.equal(raw.ws.extensions, '');
    raw.send(LONG);
    assert.equal(await raw.message(), LONG);
    assert.ok(traffic(raw) > LONG.length);
  }));

test('the threshold counts', () =>
  withServer(`${ON}permessage_deflate_threshold = 64\n`, async (server) => {
    const raw = await open(server);

    traffic(raw);
    raw.send('x'.repeat(200));
    assert.equal((await raw.message()).length, 200);
    assert.ok(traffic(raw) < 100);
  }));

test('Socket.IO: events and attachments arrive, over a WebSocket from the start and after an upgrade', () =>
  withServer(ON, async (server) => {
    for (const transports of [['websocket'], ['polling', 'websocket']]) {
      const socket = await connect(server, { transports, perMessageDeflate: { threshold: 0 } });

      assert.deepEqual(await ask(socket, 'echo', LONG), [LONG]);
      assert.deepEqual(await ask(socket, 'echo', { n: 1, text: LONG }), [{ n: 1, text: LONG }]);
    }
  }));

test('a message that inflates beyond max_http_buffer_size: 1009', () =>
  withServer(`${ON}max_http_buffer_size = 10000\n`, async (server) => {
    const raw = await open(server);

    raw.send('x'.repeat(10001));
    assert.equal((await raw.end()).code, 1009);
  }));

test('a malformed offer is refused with 400', () =>
  withServer(ON, async (server) => {
    const options = { perMessageDeflate: false, headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate; =' } };

    await assert.rejects(open(server, options), /400/);
  }));
