/*
 * kick.test.js - the server ends a socket (HOP_CLOSE_SOCKET) or its connection (HOP_CLOSE_TRANSPORT):
 * what was emitted before arrives, over each transport and at each moment of an upgrade.
 *
 * Plugins: kick (`bye`, then the end), rooms (burst, join), echo.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import {
  Polling, RawWebSocket, SEPARATOR, TRANSPORTS, allGone, ask, closeClients, connect, hear, heard, next, settle, startWith,
} from '../lib/client.js';

afterEach(closeClients);

const FORCED = 'sockhop_sessions_closed_total{reason="forced server close"}';

/* The two ends, and the event that asks for each. */
const ENDS = { soft: 'kick', hard: 'kick-hard' };

describe('the server ends it', () => {
  let server;

  before(async () => (server = await startWith(['echo', 'rooms', 'kick'])));
  after(() => server.stop());

  for (const [choice, transports] of Object.entries(TRANSPORTS))
    for (const [end, event] of Object.entries(ENDS))
      test(`${end} over ${choice}: a burst and the last word arrive before the end`, async () => {
        const socket = await connect(server, { transports });
        const left = next(socket, 'disconnect');
        const [, before] = await ask(await connect(server), 'last-reason');

        socket.emit('join', 'den');
        socket.emit('burst', 300);
        socket.emit(event);
        socket.emit('echo', 'behind the end');
        const [reason] = await left;
        assert.match(reason, end === 'soft' ? /^io server disconnect$/ : /^transport (close|error)$/);
        assert.deepEqual(heard(socket, 'tick').map(([i]) => i), Array.from({ length: 300 }, (_, i) => i));
        assert.deepEqual(socket.heard.at(-1), ['bye', end]);
        assert.equal(heard(socket, 'echo').length, 0);
        const watcher = await connect(server);
        assert.deepEqual(await ask(watcher, 'last-reason'), [end === 'soft' ? 'server namespace disconnect' : 'forced server close', before + 1]);
        closeClients();
        await allGone(server);
      });

  test('soft while a client upgrades: the last word goes by whatever transport comes', async () => {
    for (const when of ['before the probe', 'after the probe', 'behind the upgrade']) {
      const polling = await Polling.open(server, { join: true });

      if (when === 'before the probe') await polling.send('42["kick"]');
      const raw = await RawWebSocket.open(server, { sid: polling.sid });
      raw.send('2probe');
      assert.equal(await raw.message(), '3probe');
      if (when === 'after the probe') await polling.send('42["kick"]');
      raw.send('5');
      if (when === 'behind the upgrade') raw.send('42["kick"]');
      assert.equal(await raw.message(), '42["bye","soft"]', when);
      assert.equal(await raw.message(), '41', when);
      await raw.close();
      await allGone(server);
    }
  });

  /* A client that has its "3probe" polls no more, so that the WebSocket is the only way left. */
  for (const when of ['after the probe', 'behind the upgrade'])
    test(`hard ${when}: the last word comes by the WebSocket, then its end`, async () => {
      const polling = await Polling.open(server, { join: true });
      const before = (await server.metrics()).get(FORCED);
      const closed = () => server.waitMetrics((metrics) => metrics.get(FORCED) === before + 1);
      const raw = await RawWebSocket.open(server, { sid: polling.sid });

      raw.send('2probe');
      assert.equal(await raw.message(), '3probe');
      if (when === 'after the probe') {
        await polling.send('42["burst",3]', '42["kick-hard"]');
        await closed();
      }
      raw.send('5');
      if (when === 'behind the upgrade') raw.send('42["burst",3]', '42["kick-hard"]');
      for (const word of ['"tick",0', '"tick",1', '"tick",2', '"bye","hard"']) assert.equal(await raw.message(), `42[${word}]`);
      assert.equal((await raw.end()).code, 1000);
      await closed();
      assert.equal((await polling.get()).status, 400);
      await allGone(server);
    });

  test('hard before the probe: who polls gets the last word by polling', async () => {
    const polling = await Polling.open(server, { join: true });
    const raw = await RawWebSocket.open(server, { sid: polling.sid });

    await polling.send('42["burst",2]', '42["kick-hard"]');
    await raw.end(); /* nothing to upgrade any more */
    const packets = [await polling.packet(), await polling.packet(), await polling.packet(), await polling.packet()];
    assert.deepEqual(packets, ['42["tick",0]', '42["tick",1]', '42["bye","hard"]', '1']);
    assert.equal((await polling.get()).status, 400);
    await allGone(server);
  });

  test('hard, and the client never upgrades after its probe: it may still poll', async () => {
    for (const isProbeGone of [true, false]) {
      const polling = await Polling.open(server, { join: true });
      const raw = await RawWebSocket.open(server, { sid: polling.sid });

      raw.send('2probe');
      assert.equal(await raw.message(), '3probe');
      await polling.send('42["kick-hard"]');
      await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 0);
      if (isProbeGone) {
        raw.ws.terminate();
        await raw.end();
      }
      assert.equal(await polling.packet(), '42["bye","hard"]');
      assert.equal(await polling.packet(), '1');
      await raw.end();
      await allGone(server);
    }
  });

  test('stock clients that are closed hard while they upgrade hear the last word and come back', async () => {
    for (let i = 0; i < 20; i++) {
      const socket = await connect(server, { transports: TRANSPORTS.upgrade, wait: false, reconnection: true, reconnectionDelay: 1 });

      await next(socket, 'connect');
      const left = next(socket, 'disconnect');
      for (let hop = 0; hop < i % 7; hop++) await new Promise(setImmediate); /* a little later each time */
      socket.emit('kick-hard');
      await left;
      if (!socket.connected) await next(socket, 'connect');
      await settle(socket);
      assert.deepEqual(heard(socket, 'bye'), [['hard']]);
      socket.disconnect();
    }
    await allGone(server);
  });

  test('one socket ends another by its id, whatever the other is doing', async () => {
    const chief = await connect(server);

    for (const transports of Object.values(TRANSPORTS)) {
      const socket = await connect(server, { transports });
      const left = next(socket, 'disconnect');

      await ask(socket, 'join', 'den');
      socket.emit('burst', 10);
      await hear(socket, 'tick', 1);
      assert.deepEqual(await ask(chief, 'kick-id', socket.id), [true]);
      assert.equal((await left)[0], 'io server disconnect');
      assert.deepEqual(await ask(chief, 'kick-id', 'nobody'), [false]);
      await server.waitMetrics((metrics) => metrics.get('sockhop_rooms') === 0 && metrics.get('sockhop_sockets') === 1);
      socket.disconnect();
    }
    chief.disconnect();
    await allGone(server);
  });

  test('a client that is ended between two polls finds its last packets there', async () => {
    const chief = await connect(server);

    for (const end of Object.keys(ENDS)) {
      const polling = await Polling.open(server, { join: true });

      await polling.send(['42["burst",2]', `42["${ENDS[end]}"]`].join(SEPARATOR));
      await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1);
      assert.equal(await polling.packet(), '42["tick",0]');
      assert.equal(await polling.packet(), '42["tick",1]');
      assert.equal(await polling.packet(), `42["bye","${end}"]`);
      assert.equal(await polling.packet(), end === 'soft' ? '41' : '1');
      if (end === 'soft') await polling.send('1');
    }
    chief.disconnect();
    await allGone(server);
  });
});
