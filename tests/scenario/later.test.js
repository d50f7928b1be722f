/*
 * later.test.js - handlers that decide later, as clients see it: order, verdicts, deadlines, and what
 * becomes of events whose client leaves meanwhile.
 *
 * Plugins: later, echo of the tests.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { RawWebSocket, TRANSPORTS, allGone, ask, closeClients, connect, hear, heard, settle, startWith } from '../lib/client.js';

afterEach(closeClients);

for (const [choice, transports] of Object.entries(TRANSPORTS))
  describe(`verdicts that come later, over ${choice}`, () => {
    let server;

    before(async () => (server = await startWith(['echo', 'later'])));
    after(() => server.stop());

    test('an event goes on, stops or is refused as was decided', async () => {
      const socket = await connect(server, { transports });

      assert.deepEqual(await ask(socket, 'work', 0, { a: [1] }), []);
      assert.deepEqual(await hear(socket, 'worked'), [0, { a: [1] }]);
      assert.deepEqual(await ask(socket, 'work', 0, { blob: Buffer.from([1, 2, 3]) }), []);
      assert.deepEqual(await hear(socket, 'worked', 2), [0, { blob: Buffer.from([1, 2, 3]) }]);
      assert.deepEqual(await ask(socket, 'work', 2), [{ ok: false, error: { code: 'late', message: 'so sorry' } }]);
      socket.emit('work', 2);
      assert.deepEqual(await hear(socket, 'error'), [{ event: 'work', code: 'late', message: 'so sorry' }]);
      socket.emit('work', 1);
      await settle(socket);
      assert.equal(heard(socket, 'worked').length, 2);
    });

    test('guards put other arguments in place of the client\'s, one after the other', async () => {
      const socket = await connect(server, { transports });

      for (const args of [[], [1, { two: 'three' }], [{ blob: Buffer.from([5, 6]) }, Buffer.alloc(0), null]]) {
        const n = heard(socket, 'noted').length + 1;
        socket.emit('swap', ...args);
        assert.deepEqual(await hear(socket, 'noted', n), ['swapped', args, Buffer.from([1, 2])]);
      }
      assert.ok((await server.metrics()).get('sockhop_plugin_events_total{plugin="later",verdict="replace"}') > 0);
    });

    test('a deferred event goes on with what a thread gives it', async () => {
      const socket = await connect(server, { transports });

      assert.deepEqual(await ask(socket, 'work', 4, 'gone', Buffer.from([1])), []);
      assert.deepEqual(await hear(socket, 'worked'), ['late', Buffer.from([7, 8, 9])]);
    });

    test('nobody decides: the deadline does', async () => {
      const socket = await connect(server, { transports });
      const [{ error }] = await ask(socket, 'work', 3);

      assert.equal(error.code, 'timeout');
    });

    test('later events of the socket wait, in order; those of others do not', async () => {
      const socket = await connect(server, { transports });
      const other = await connect(server, { transports });

      socket.emit('hold');
      for (let i = 0; i < 20; i++) socket.emit(i % 3 ? 'note' : 'work', i % 3 ? i : 0, i);
      await settle(other); /* waits for nobody */
      assert.deepEqual(socket.heard, []);
      let released = 0;
      while (released === 0) [released] = await ask(other, 'release'); /* once the hold is there */
      await settle(socket);
      const order = socket.heard.filter(([name]) => name === 'noted' || name === 'worked').map((words) => words.at(-1));
      assert.deepEqual(order, Array.from({ length: 20 }, (_, i) => i));
      closeClients();
      await allGone(server);
    });

    test('an ack may be answered later, also to one that has left', async () => {
      const socket = await connect(server, { transports });

      assert.deepEqual(await ask(socket, 'answer', 1, 'two'), [1, 'two']);
      socket.emit('answer', 1, () => {});
      socket.disconnect();
      await allGone(server);
    });

    test('who leaves while others decide leaves nothing', async () => {
      const witness = await connect(server, { transports });
      const [seen] = await ask(witness, 'observed');
      const sockets = await Promise.all(Array.from({ length: 5 }, () => connect(server, { transports })));

      for (const socket of sockets) {
        socket.emit('hold');
        for (let i = 0; i < 3; i++) socket.emit('work', 0);
      }
      while ((await ask(witness, 'release'))[0] === 0); /* some are held by now, some not yet */
      for (const socket of sockets) socket.disconnect();
      await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1);
      await ask(witness, 'release');
      assert.ok((await ask(witness, 'observed'))[0] >= seen);
      closeClients();
      await allGone(server);
    });
  });

describe('limits of waiting', () => {
  test('who sends more than limits.max_waiting behind a deferred event is closed', async () => {
    const server = await startWith(['echo', 'later'], { config: '[limits]\nmax_waiting = 8k\n' });
    const raw = await RawWebSocket.open(server, { join: true });
    const other = await connect(server);

    raw.send('42["hold"]');
    for (let i = 0; i < 100; i++) raw.send(`42["note","${'x'.repeat(500)}"]`);
    await raw.end();
    await settle(other);
    closeClients();
    await allGone(server);
    await server.stop();
  });

  test('a server that stops while much is deferred ends all of it', async () => {
    const server = await startWith(['echo', 'later']);
    const sockets = await Promise.all(Array.from({ length: 5 }, () => connect(server)));

    for (const socket of sockets) for (const word of ['hold', 'note', 'note']) socket.emit(word, 1);
    for (const socket of sockets) socket.emit('work', 0);
    await settle(await connect(server));
    await server.stop(); /* fails on a leak or a signal */
  });
});
