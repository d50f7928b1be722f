/*
 * meddling.test.js - plugins that emit, join, close and kick from inside their hooks and handlers,
 * whatever the client is doing meanwhile: upgrading, leaving, answering (C15, C41); crowds that
 * come and go in one turn; one socket in very many rooms (C26). Plugin: meddler.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import {
  Polling, RawWebSocket, TRANSPORTS, allGone, ask, closeClients, connect, hear, heard, next, settle, startWith, within,
} from '../lib/client.js';

afterEach(closeClients);

const HOOKS = ['connect', 'disconnect', 'join', 'leave', 'answer'];
const ACTS = ['emit', 'join', 'soft', 'hard', 'others'];

/* Runs fn with a server of which one hook does that. */
async function withMeddler(hook, act, fn) {
  const server = await startWith(['echo', 'rooms'], { config: `[plugin:meddler]\n${hook} = ${act}\n` });

  try {
    await fn(server);
    closeClients();
    await allGone(server);
  } finally {
    closeClients();
    await server.stop();
  }
}

/* A round trip, or its end. */
function echoOrEnd(socket) {
  return within(
    new Promise((done) => {
      socket.emit('echo', 'settle', done);
      socket.once('disconnect', done);
    }),
    'echo or end',
  );
}

/* A client's life by hand, which may end at any point: ends are as good as answers here. */
async function liveByHand(server, { isUpgrading }) {
  const polling = await Polling.open(server);
  const path = `/socket.io/?EIO=4&transport=websocket&sid=${polling.sid}`;
  const raw = isUpgrading ? await RawWebSocket.open(server, { path }) : null;
  const say = (...packets) => polling.post(packets.join('\x1e'));

  raw?.send('2probe');
  await say('40', '42["owe"]', '42["join","den"]');
  raw?.send('5', '42["join","lair"]', '42["leave","den"]', '42["do","emit"]', '430[]', '42["leave","lair"]', '41');
  if (!raw) await say('42["join","lair"]', '42["leave","den"]', '430[]', '41');
  await say('1');
  if (raw) {
    raw.send('1');
    await raw.end();
  }
  for (let status = 200; status === 200; ) ({ status } = await polling.get());
}

describe('C15, C41: a plugin meddles in a hook', () => {
  for (const hook of HOOKS)
    test(`${hook}: emits, joins, closes, closes all, kicks the others`, async () => {
      for (const act of ACTS)
        await withMeddler(hook, act, async (server) => {
          const wait = { wait: false };
          const bystander = await connect(server, wait);

          await within(new Promise((done) => bystander.once(hook === 'connect' && ['soft', 'hard'].includes(act) ? 'disconnect' : 'connect', done)), 'a bystander');
          for (const transports of Object.values(TRANSPORTS)) {
            const socket = await connect(server, { transports, ...wait });

            socket.on('owed', (answer) => answer());
            socket.emit('owe');
            socket.emit('join', 'den');
            socket.emit('leave', 'den');
            socket.emit('join', 'den');
            if (hook === 'connect' && act === 'hard') await next(socket, 'disconnect');
            else if (['soft', 'hard'].includes(act) && hook !== 'disconnect') await next(socket, 'disconnect');
            else await echoOrEnd(socket); /* the one before may kick it as it goes */
            socket.disconnect();
          }
          await liveByHand(server, { isUpgrading: false });
          await liveByHand(server, { isUpgrading: true });
          await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') <= 1);
        });
    });

  test('inside a handler, with each transport and while it upgrades', async () => {
    await withMeddler('connect', 'nothing', async (server) => {
      for (const transports of Object.values(TRANSPORTS))
        for (const act of ['emit', 'join']) {
          const socket = await connect(server, { transports, wait: false });

          await next(socket, 'connect');
          assert.deepEqual(await ask(socket, 'do', act), [true]);
          assert.deepEqual(heard(socket, 'meddled'), act === 'emit' ? [['you'], ['all']] : [['room']]);
          socket.disconnect();
        }
      for (const transports of Object.values(TRANSPORTS))
        for (const act of ['soft', 'hard']) {
          const socket = await connect(server, { transports, wait: false });

          await next(socket, 'connect');
          const left = next(socket, 'disconnect');
          socket.emit('do', act, () => assert.fail('an ack behind the end'));
          socket.emit('echo', 'too late');
          await left;
          assert.deepEqual(heard(socket, 'meddled'), [[act]]);
          assert.deepEqual(heard(socket, 'echo'), []);
        }
      await server.waitMetrics((metrics) => metrics.get('sockhop_rooms') === 0 && metrics.get('sockhop_sockets') === 0);
      const chief = await connect(server);
      const others = await Promise.all(Array.from({ length: 20 }, () => connect(server)));
      const left = others.map((socket) => next(socket, 'disconnect'));
      assert.deepEqual(await ask(chief, 'do', 'others'), [true]);
      for (const [reason] of await Promise.all(left)) assert.equal(reason, 'io server disconnect');
    });
  });
});

describe('crowds', () => {
  let server;

  before(async () => (server = await startWith(['echo', 'rooms', 'meddler'], { config: '[limits]\nmax_rooms = 10000\n' })));
  after(() => server.stop());

  test('join, leave and die in the turn of the broadcast: each hears exactly what it was there for', async () => {
    const N = 60;
    const sockets = [];
    let n = 0;

    for (let i = 0; i < N; i++) {
      sockets[i] = await connect(server, { transports: Object.values(TRANSPORTS)[i % 3] });
      assert.deepEqual(await ask(sockets[i], 'index'), [i]);
    }
    const asker = sockets.find((_, i) => i % 3 && i % 5);
    const ends = sockets.map((socket, i) => i % 5 === 0 && next(socket, 'disconnect'));
    await ask(asker, 'churn');
    await Promise.all(ends);
    for (const [i, socket] of sockets.entries()) {
      const isGone = i % 5 === 0;
      const last = i % 3 === 0 || isGone ? i : N - 1; /* it left, or was made to */

      if (!isGone) await hear(socket, 'done');
      assert.deepEqual(heard(socket, 'step'), Array.from({ length: last - i + 1 }, (_, k) => [i + k]), `socket ${i}`);
      assert.equal(heard(socket, 'done').length, isGone ? 0 : 1);
      n += last - i + 1;
    }
    assert.ok(n > N);
    closeClients();
    await allGone(server);
  });

  test('clients that are cut while the crowd churns disturb nobody', async () => {
    for (let round = 0; round < 5; round++) {
      const sockets = await Promise.all(Array.from({ length: 20 }, () => RawWebSocket.open(server, { join: true })));
      const stayers = await Promise.all(Array.from({ length: 4 }, () => connect(server)));

      for (const [i, raw] of sockets.entries()) {
        if (i % 2) raw.send('42["churn"]');
        if (i % 4 === 0) raw.ws._socket.resetAndDestroy();
        else if (i % 4 === 1) raw.ws._socket.destroy();
        else if (i % 4 === 2) raw.send('41', '40', '1');
      }
      for (const socket of stayers)
        if (socket.connected && !heard(socket, 'done').length) await echoOrEnd(socket);
      closeClients();
      await allGone(server);
    }
  });

  test('C26: a socket in 10,000 rooms hears a broadcast to all of them once, leaves, goes', async () => {
    const socket = await connect(server);
    const other = await connect(server);

    assert.deepEqual(await ask(socket, 'rooms', 10001), [10000]); /* limits.max_rooms */
    assert.deepEqual(await ask(other, 'rooms', 100), [100]);
    assert.equal((await server.metrics()).get('sockhop_rooms'), 10000);
    for (const asker of [socket, other]) await ask(asker, 'everywhere', 10000);
    for (const one of [socket, other]) {
      await settle(one);
      assert.equal(heard(one, 'once').length, 2);
    }
    assert.deepEqual(await ask(socket, 'unroom', 5000), [5000]);
    await ask(other, 'everywhere', 10000);
    await settle(socket);
    assert.equal(heard(socket, 'once').length, 3);
    other.disconnect();
    socket.disconnect(); /* still in 5,000 */
    await allGone(server);

    const polling = await Polling.open(server, { join: true });
    await polling.send('42["rooms",10000]', '42["everywhere",10000]', '1');
    await allGone(server);
  });
});
