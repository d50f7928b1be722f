/*
 * clients.test.js - the clients that are out there, each over each transport, against the profile
 * `smoke` of the plugin conformance (docs/CONFORMANCE.md): npm's socket.io-client of major versions 2,
 * 3 and 4, and Debian's python3-socketio, with and without MessagePack.
 *
 * Each client has a table's row; what is asked of one is asked of all.
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, afterEach, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { io as io4 } from 'socket.io-client';
import io2 from 'socket.io-client-2';
import { io as io3 } from 'socket.io-client-3';
import { io as io40 } from 'socket.io-client-4.0';
import msgpack from 'socket.io-msgpack-parser';

import { TRANSPORTS, WAIT_MS, allGone, closeClients, startWith, whenClosing, within } from '../lib/client.js';

const SMOKE = '[engine]\nallow_eio3 = yes\n';

/* eio: the Engine.IO protocol. */
const CLIENTS = [
  { name: 'socket.io-client 2.x', io: io2, eio: 3 },
  { name: 'socket.io-client 3.x', io: io3, eio: 4 },
  { name: 'socket.io-client 4.0', io: io40, eio: 4 },
  { name: 'socket.io-client 4.x', io: io4, eio: 4 },
];

afterEach(closeClients);

/* Values of all kinds, as a list of arguments; with bytes at two depths where it is binary. */
const VALUES = [1, -2.5, 'zwei', '😀\u2028', null, true, [], {}, { drei: [[{}], [null]] }];
const BYTES = [Buffer.from([0, 1, 2, 255]), { deep: [{ bytes: Buffer.alloc(300, 'x') }, 'text'] }, 5];

/* The same with every kind of bytes a client may give as hexadecimal text. */
function plain(value) {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return `bytes ${Buffer.from(value).toString('hex')}`;
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]));
  return value;
}

const once = (socket, event) => within(new Promise((done) => socket.once(event, (...args) => done(args))), `event ${event}`);

const ask = (socket, event, ...args) =>
  within(new Promise((done) => socket.emit(event, ...args, (...answer) => done(answer))), `ack of ${event}`);

/* A connected client of a row; its manager's other namespaces: socket.io.socket(name). */
async function open(server, { io, parser }, { choice, nsp = '', ...options }) {
  const socket = io(server.url + nsp, {
    transports: TRANSPORTS[choice],
    forceNew: true,
    reconnection: false,
    ...(parser && { parser }),
    ...options,
  });

  whenClosing(() => {
    socket.io.skipReconnect = true;
    socket.io.engine?.close(); /* with all of its namespaces */
  });
  await once(socket, 'connect');
  if (choice === 'upgrade' && socket.io.engine.transport.name === 'polling') await once(socket.io.engine, 'upgrade');
  return socket;
}

/* What every client is asked, over every transport. */
const PROMISES = {
  'events arrive as they were sent': async (server, client, how) => {
    const socket = await open(server, client, how);
    const back = once(socket, 'message-back');

    socket.emit('message', ...VALUES);
    assert.deepEqual(await back, VALUES);
    const big = once(socket, 'big-back');

    socket.emit('big', 100000);
    assert.equal((await big)[0].length, 100000);
  },

  'acks go both ways': async (server, client, how) => {
    const socket = await open(server, client, how);
    const question = once(socket, 'question');
    const answer = once(socket, 'answer');

    assert.deepEqual(await ask(socket, 'message-with-ack', ...VALUES), VALUES);
    socket.emit('ask', 'why', { not: 1 });
    const [, , reply] = await question;

    reply('because', VALUES);
    assert.deepEqual(await answer, ['because', VALUES]);
  },

  'binary goes both ways, in events and in acks': async (server, client, how) => {
    const socket = await open(server, client, how);
    const back = once(socket, 'message-back');
    const question = once(socket, 'question');
    const answer = once(socket, 'answer');

    socket.emit('message', ...BYTES);
    assert.deepEqual(plain(await back), plain(BYTES));
    assert.deepEqual(plain(await ask(socket, 'message-with-ack', ...BYTES)), plain(BYTES));
    socket.emit('ask', ...BYTES);
    const asked = await question;

    asked.pop()(...BYTES);
    assert.deepEqual(plain(asked), plain(BYTES));
    assert.deepEqual(plain(await answer), plain(BYTES));
  },

  'namespaces share one connection': async (server, client, how) => {
    const socket = await open(server, client, { ...how, query: { colour: 'blue & green' } });
    const custom = socket.io.socket('/custom');

    await once(custom, 'connect');
    for (const [one, nsp] of [[socket, '/'], [custom, '/custom']]) {
      const [who] = await ask(one, 'whoami');

      assert.equal(who.id, one.id);
      assert.equal(who.nsp, nsp);
      assert.equal(who.query.EIO, String(client.eio));
      assert.equal(who.query.colour, 'blue & green');
    }
    const left = once(custom, 'disconnect');

    custom.disconnect();
    assert.equal((await left)[0], 'io client disconnect');
    assert.deepEqual(await ask(socket, 'message-with-ack', 'still here'), ['still here']);
  },

  'a refused namespace says why, and the others stay': async (server, client, how) => {
    const socket = await open(server, client, how);
    const refusals = [
      ['/nowhere', 'Invalid namespace', undefined],
      ['/denied', 'not authorized', { code: 'E_DENIED' }],
    ];

    for (const [name, message, data] of refusals) {
      const other = socket.io.socket(name);
      const refused = once(other, client.eio === 3 ? 'error' : 'connect_error');

      const [error] = await refused;
      if (client.eio === 3) {
        assert.deepEqual(error, data ?? message);
      } else {
        assert.equal(error.message, message);
        assert.deepEqual(error.data, data);
      }
      other.disconnect();
    }
    assert.deepEqual(await ask(socket, 'message-with-ack', 'still here'), ['still here']);
  },

  'whoever is disconnected stays away': async (server, client, how) => {
    const socket = await open(server, client, { ...how, reconnection: true, reconnectionDelay: 10 });
    const left = once(socket, 'disconnect');

    socket.emit('kick');
    assert.equal((await left)[0], 'io server disconnect');
    assert.equal(socket.connected, false);
  },

  'whoever loses the connection comes back': async (server, client, how) => {
    const socket = await open(server, client, { ...how, reconnection: true, reconnectionDelay: 10 });
    const { id } = socket;
    const left = once(socket, 'disconnect');
    const back = once(socket, 'connect');

    socket.emit('kick-hard');
    assert.equal((await left)[0], 'transport close');
    await back;
    assert.notEqual(socket.id, id);
    assert.deepEqual(await ask(socket, 'message-with-ack', 'back'), ['back']);
  },
};

/* Each with its own parser, and those that can with the other one. 2.x has a MessagePack of its own, which the
 * Node server of today does not speak either. */
for (const parser of [undefined, msgpack])
  describe(parser ? 'npm, with the MessagePack parser' : 'npm', () => {
    let server;

    before(async () => (server = await startWith(['conformance'], { config: `${SMOKE}parser = ${parser ? 'msgpack' : 'json'}\n` })));
    after(() => server.stop());

    for (const client of CLIENTS.filter(({ eio }) => !parser || eio === 4))
      for (const choice of Object.keys(TRANSPORTS))
        describe(`${client.name} over ${choice}`, () => {
          for (const [promise, run] of Object.entries(PROMISES))
            test(promise, async () => {
              await run(server, { ...client, parser }, { choice });
              closeClients();
              await allGone(server);
            });
        });
  });

test('another path is served, and the default one is not', async () => {
  const server = await startWith(['conformance'], { config: '[engine]\npath = /a/b\n' });
  const [, , , client] = CLIENTS;
  const socket = await open(server, client, { choice: 'upgrade', path: '/a/b' });

  assert.deepEqual(await ask(socket, 'message-with-ack', 'here'), ['here']);
  const stray = io4(server.url, { forceNew: true, reconnection: false, transports: ['websocket'] });
  await once(stray, 'connect_error');
  stray.disconnect();
  closeClients();
  await server.stop();
});

/* ---- Python: tests/lib/client.py does all of it, and prints what it heard. It may be gone before its last
 * packet: what it leaves behind ends by the heartbeat. */

const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3'; /* Debian's, which has the package */
const hasPython = spawnSync(PYTHON, ['-c', 'import socketio, aiohttp, requests, websocket, msgpack']).status === 0;

for (const parser of ['default', 'msgpack'])
  describe(`python3-socketio, parser ${parser}`, { skip: !hasPython && 'the package python3-socketio is not installed' }, () => {
    let server;

    before(async () => {
      const config = `${SMOKE}ping_interval = 4s\nping_timeout = 5s\nparser = ${parser === 'default' ? 'json' : parser}\n`;

      server = await startWith(['conformance'], { config });
    });
    after(() => server.stop());

    for (const flavour of ['sync', 'async'])
      for (const choice of Object.keys(TRANSPORTS))
        test(`${flavour}, over ${choice}: events, acks, binary, namespaces, and back again`, async () => {
          const script = new URL('../lib/client.py', import.meta.url).pathname;
          const { stdout } = await promisify(execFile)(PYTHON, [script, flavour, choice, server.url, parser], { timeout: 4 * WAIT_MS });
          const said = JSON.parse(stdout);
          const bytes = ['bytes 000102ff', { deep: ['bytes 7879'] }];

          assert.equal(said.transport, choice === 'polling' ? 'polling' : 'websocket');
          assert.deepEqual(said.event, [1, 'zwei', { drei: [null, true] }]);
          assert.deepEqual(said.ack, said.event);
          assert.deepEqual(said.binary, bytes);
          assert.deepEqual(said.binary_ack, bytes);
          assert.deepEqual(said.question, ['why', 'bytes 000102ff']);
          assert.deepEqual(said.answer, ['because', 'bytes 000102ff']);
          assert.deepEqual([said.whoami.nsp, said.whoami.id], ['/custom', said.custom_sid]);
          assert.equal(said.refused, 'Invalid namespace');
          assert.notEqual(said.sid_again, said.sid);
          assert.deepEqual(said.again, ['back']);
          await allGone(server);
        });
  });
