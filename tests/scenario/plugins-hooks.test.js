/*
 * plugins-hooks.test.js - hooks that undo what they are told of: those after them, in the same
 * plugin or another, are not told what is true no more. Plugins: auth, lobby, and bouncer of the tests.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { TRANSPORTS, allGone, ask, closeClients, connect, hear, heard, next, startWith } from '../lib/client.js';

afterEach(closeClients);

for (const [choice, transports] of Object.entries(TRANSPORTS))
  describe(`hooks that undo, over ${choice}`, () => {
    let server;

    before(async () => (server = await startWith(['auth', 'bouncer', 'lobby'])));
    after(() => server.stop());

    const seen = async (socket) => (await ask(socket, 'seen'))[0];

    test('a login that a hook answers with a disconnect is told to no later hook', async () => {
      const witness = await connect(server, { transports });

      for (let i = 1; i <= 3; i++) {
        const banned = await connect(server, { transports });

        banned.emit('login', 'banned');
        assert.deepEqual(await next(banned, 'disconnect', (reason) => reason === 'io server disconnect').then(([reason]) => reason), 'io server disconnect');
        assert.deepEqual(heard(banned, 'welcome'), [[]]);
        assert.deepEqual(await hear(witness, 'userLeft', i), ['banned']); /* the name was in use */
      }
      assert.equal(heard(witness, 'userJoined').length, 0);
      assert.equal(await seen(witness), 'logout banned, logout banned, logout banned');
      witness.emit('onlineUsers');
      assert.deepEqual(await hear(witness, 'onlineUsers'), [[]]);
      closeClients();
      await allGone(server);
    });

    test('a join that a hook undoes is told to no later hook', async () => {
      const witness = await connect(server, { transports });
      const closed = await connect(server, { transports });

      assert.deepEqual(await ask(witness, 'enter', 'open'), [0]);
      assert.deepEqual(await ask(witness, 'enter', 'full'), [0]);
      assert.equal(await seen(witness), 'join open, leave full');
      closed.emit('enter', 'open');
      closed.emit('enter', 'closed');
      await next(closed, 'disconnect');
      assert.equal(await seen(witness), 'join open, leave closed, leave open');
      closeClients();
      await allGone(server);
    });

    test('a leave that a hook undoes is told to no later hook, but for the last one', async () => {
      const prisoner = await connect(server, { transports });
      const witness = await connect(server, { transports });

      await seen(witness);
      await ask(prisoner, 'enter', 'jail');
      assert.deepEqual(await ask(prisoner, 'exit', 'jail'), [0]);
      assert.equal(await seen(witness), 'join jail, join jail');
      assert.deepEqual(await ask(prisoner, 'exit', 'jail'), [0]);
      assert.equal(await seen(witness), 'join jail');
      prisoner.disconnect();
      await server.waitMetrics((metrics) => metrics.get('sockhop_rooms') === 0);
      assert.equal(await seen(witness), 'leave jail');
      closeClients();
      await allGone(server);
    });
  });
