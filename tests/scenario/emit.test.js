/*
 * emit.test.js - what a plugin does with many clients at once, as real clients see it: asking all of a
 * room, finding, moving and closing them; send(), socket.data, catch-alls, events between servers.
 *
 * Plugins: crowd, rooms, echo of the tests.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { RawWebSocket, TRANSPORTS, allGone, ask, closeClients, connect, hear, heard, next, settle, startWith } from '../lib/client.js';

afterEach(closeClients);

/* n clients that answer `question` with their number and what they were asked. */
async function crowdOf(server, n, transports) {
  const sockets = await Promise.all(Array.from({ length: n }, () => connect(server, { transports })));

  sockets.forEach((socket, i) => socket.on('question', (...args) => args.pop()(i, ...args)));
  return sockets;
}

const sorted = (sockets) => sockets.map(({ id }) => id).sort();

for (const [choice, transports] of Object.entries(TRANSPORTS))
  describe(`many at once, over ${choice}`, () => {
    let server;

    before(async () => (server = await startWith(['echo', 'rooms', 'crowd'])));
    after(() => server.stop());

    test('a broadcast with acks collects every answer, by socket', async () => {
      const sockets = await crowdOf(server, 4, transports);

      sockets[0].emit('poll', 'all', 10000, 'why?', { deep: [1.5, null] });
      const [given, missing] = await hear(sockets[0], 'polled');
      assert.deepEqual(missing, {});
      assert.deepEqual(given, Object.fromEntries(sockets.map(({ id }, i) => [id, [i, 'why?', { deep: [1.5, null] }]])));
      closeClients();
      await allGone(server);
    });

    test('a broadcast with acks keeps partial answers when its time is up, and names who did not answer', async () => {
      const sockets = await crowdOf(server, 4, transports);

      sockets[1].off('question');
      sockets[2].off('question');
      sockets[2].on('question', () => sockets[2].disconnect());
      sockets[0].emit('poll', 'others', 700);
      const [given, missing] = await hear(sockets[0], 'polled');
      assert.deepEqual(given, { [sockets[3].id]: [3] });
      assert.deepEqual(Object.values(missing).sort(), ['disconnected', 'timeout']);
      assert.equal(missing[sockets[1].id], 'timeout');
      closeClients();
      await allGone(server);
    });

    test('a broadcast with acks does not wait for those who leave', async () => {
      const sockets = await crowdOf(server, 3, transports);

      for (const socket of sockets.slice(1)) {
        socket.off('question');
        socket.on('question', () => socket.io.engine.close());
      }
      sockets[0].emit('poll', 'others', 3600000);
      const [given, missing] = await hear(sockets[0], 'polled');
      assert.deepEqual(given, {});
      assert.deepEqual(Object.values(missing), ['disconnected', 'disconnected']);
      closeClients();
      await allGone(server);
    });

    test('a broadcast with acks to nobody calls back with none', async () => {
      const [socket] = await crowdOf(server, 1, transports);

      socket.emit('poll', 'an empty room', 3600000);
      assert.deepEqual(await hear(socket, 'polled'), [{}, {}]);
    });

    test('an answer is relayed as its client wrote it', async () => {
      const asker = await connect(server, { transports });
      const raw = await RawWebSocket.open(server, { join: true });
      const id = await ask(asker, 'who', 'others').then(([[found]]) => found);

      asker.emit('poll-raw', id, 'q');
      const [, ackId] = /^42(\d+)\["question","q"\]$/.exec(await raw.message());
      raw.send(`43${ackId}[18446744073709552000,{"a" : 1e0}]`);
      assert.deepEqual(await hear(asker, 'answered'), [id, 18446744073709552000, { a: 1 }]);
      await raw.close();
    });

    test('all sockets of a room are found, moved and closed', async () => {
      const sockets = await crowdOf(server, 5, transports);
      const [chief, ...others] = sockets;

      assert.deepEqual(await ask(chief, 'who', 'all'), [sorted(sockets)]);
      assert.deepEqual(await ask(chief, 'who', 'others'), [sorted(others)]);
      for (const socket of sockets.slice(0, 3)) await ask(socket, 'join', 'den');
      assert.deepEqual(await ask(chief, 'enter', 'den', 'attic'), [3]);
      assert.deepEqual(await ask(chief, 'who', 'attic'), [sorted(sockets.slice(0, 3))]);
      await hear(sockets[2], 'joined', 2);
      assert.deepEqual(await ask(sockets[2], 'my-rooms'), [[sockets[2].id, 'den', 'attic']]);
      assert.deepEqual(await ask(chief, 'exit', 'all', 'den'), [3]);
      assert.deepEqual(await ask(chief, 'who', 'den'), [[]]);
      assert.deepEqual(await ask(chief, 'enter', others[3].id, 'cellar'), [1]);
      const soft = next(others[3], 'disconnect');
      assert.deepEqual(await ask(chief, 'end', 'cellar', 'soft'), [1]);
      assert.deepEqual((await soft)[0], 'io server disconnect');
      const hard = others.slice(0, 2).map((socket) => next(socket, 'disconnect'));
      chief.emit('end', 'attic', 'hard'); /* itself as well */
      for (const left of hard) assert.match((await left)[0], /^transport (close|error)$/);
      await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1);
      closeClients();
      await allGone(server);
    });

    test('send() of a plugin is the event message', async () => {
      const [sender, receiver] = await crowdOf(server, 2, transports);

      sender.send('hello', [1]);
      assert.deepEqual(await hear(receiver, 'message'), ['hello', [1]]);
      await settle(sender);
      assert.deepEqual(heard(sender, 'message'), []);
    });

    test('socket.data belongs to one socket', async () => {
      const [one, other] = await crowdOf(server, 2, transports);

      assert.deepEqual(await ask(one, 'set', 'nick', 'ann'), [{ nick: 'ann' }]);
      assert.deepEqual(await ask(one, 'set', 'age', 7), [{ nick: 'ann', age: 7 }]);
      assert.deepEqual(await ask(other, 'set', 'nick', 'ben'), [{ nick: 'ben' }]);
      closeClients();
      await allGone(server);
    });

    test('catch-alls see every event, in and out, and may refuse', async () => {
      const socket = await connect(server, { transports });

      await ask(socket, 'seen');
      await settle(socket);
      socket.emit('nobody handles this');
      await ask(socket, 'join', 'den');
      assert.deepEqual(await ask(socket, 'forbidden'), [{ ok: false, error: { code: 'forbidden', message: 'by the catch-all' } }]);
      const [ins, outs] = await ask(socket, 'seen');
      assert.deepEqual(ins, ['echo', 'nobody handles this', 'join']);
      assert.deepEqual(outs, ['joined']);
    });

    test('a server event reaches this server, which answers', async () => {
      const socket = await connect(server, { transports });

      socket.emit('tell', 1, { two: [] });
      assert.deepEqual(await hear(socket, 'told'), [1, { two: [] }]);
      closeClients();
      await allGone(server);
    });
  });

describe('limits of asking', () => {
  test('an emit that would wait for more acks than limits.max_acks is refused', async () => {
    const server = await startWith(['echo', 'crowd'], { config: '[limits]\nmax_acks = 3\n' });
    const sockets = await crowdOf(server, 4);

    assert.equal((await ask(sockets[0], 'poll', 'all', 1000))[0].error.code, 'bad_poll');
    sockets[0].emit('poll', 'others', 10000);
    assert.equal(Object.keys((await hear(sockets[0], 'polled'))[0]).length, 3);
    closeClients();
    await allGone(server);
    await server.stop();
  });

  test('answers above limits.max_answers are dropped, and named so', async () => {
    const server = await startWith(['echo', 'crowd'], { config: '[limits]\nmax_answers = 64k\n' });
    const sockets = await crowdOf(server, 4);

    for (const socket of sockets.slice(1)) {
      socket.off('question');
      socket.on('question', (answer) => answer('x'.repeat(40000)));
    }
    for (let i = 1; i <= 3; i++) {
      sockets[0].emit('poll', 'others', 10000);
      const [given, missing] = await hear(sockets[0], 'polled', i);
      assert.equal(Object.keys(given).length, 1);
      assert.deepEqual(Object.values(missing), ['dropped', 'dropped']);
    }
    closeClients();
    await allGone(server);
    await server.stop();
  });

  test('a server that stops tells who asked', async () => {
    const server = await startWith(['echo', 'crowd']);
    const sockets = await crowdOf(server, 3);

    for (const socket of sockets) socket.off('question');
    sockets[0].emit('poll', 'all', 3600000);
    await settle(sockets[0]);
    await server.stop(); /* fails on a leak or a signal */
  });
});
