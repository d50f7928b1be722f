/*
 * order.test.js - what is emitted to a client arrives in the order in which it was emitted, however
 * it was addressed: DESIGN.md 3 (order) and 4 (fan-out).
 *
 * Plugin order: `mix N F` emits to all, to rooms, to the asker and with exceptions, all in one turn,
 * with the asker's ack in the middle.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import {
  Polling, RawWebSocket, TRANSPORTS, allGone, ask, closeClients, connect, heard, next, settle, startWith, within,
} from '../lib/client.js';

afterEach(closeClients);

/* What one client hears of `mix n first`: numbers of steps, and 'ack N'. */
function mixed(n, first, { isAsker = false, hasAck = isAsker, a = true, b = true } = {}) {
  const list = [];

  for (let i = 0; i < n; i++) {
    const step = first + 7 * i;

    if (hasAck && i === Math.floor(n / 2)) list.push(`ack ${step}`);
    list.push(step);
    if (a) list.push(step + 1);
    if (isAsker) list.push(step + 2);
    if (b) list.push(step + 3);
    if (a || b) list.push(step + 4);
    if (!isAsker) list.push(step + 5);
    if (!b) list.push(step + 6);
  }
  return list;
}

/* Asks for a mix; the ack takes its place in what the socket heard. */
function mix(socket, n, first) {
  return within(
    new Promise((done) =>
      socket.emit('mix', n, first, (word, step) => {
        socket.heard.push([word, step]);
        done();
      }),
    ),
    'ack of mix',
  );
}

/* The steps and acks that a socket heard, as mixed() writes them. */
const sequence = (socket) =>
  socket.heard.filter(([name]) => name === 'step' || name === 'acked').map(([name, step]) => (name === 'step' ? step : `ack ${step}`));

/* The same for packets as they came over the wire. */
const wireSequence = (packets) =>
  packets.map((packet) => {
    const ack = /^43\d+\["acked",(\d+)\]$/.exec(packet);
    const step = /^42\["step",(\d+)\]$/.exec(packet);

    assert.ok(ack || step, `an unexpected packet: ${packet}`);
    return ack ? `ack ${ack[1]}` : Number(step[1]);
  });

describe('emit order', () => {
  let server;

  before(async () => (server = await startWith(['echo', 'order'])));
  after(() => server.stop());

  for (const [choice, transports] of Object.entries(TRANSPORTS)) {
    test(`ack, rooms, direct, except and broadcast of one turn arrive as emitted over ${choice}`, async () => {
      const roles = [{ isAsker: true }, {}, { b: false }, { a: false }, { a: false, b: false }];
      const sockets = await Promise.all(roles.map(() => connect(server, { transports })));

      for (const [i, { a = true, b = true }] of roles.entries()) {
        if (!a) await ask(sockets[i], 'part', 'a');
        if (!b) await ask(sockets[i], 'part', 'b');
      }
      for (const n of [1, 2, 200]) {
        for (const socket of sockets) socket.heard.length = 0;
        await mix(sockets[0], n, n * 10000);
        await Promise.all(sockets.map(settle));
        for (const [i, socket] of sockets.entries())
          assert.deepEqual(sequence(socket), mixed(n, n * 10000, roles[i]), `client ${i} of ${n}`);
      }
      closeClients();
      await allGone(server);
    });

    test(`a join or a leave counts from its place among the emits over ${choice}`, async () => {
      const socket = await connect(server, { transports });
      const other = await connect(server, { transports });
      const expected = [], expectedOther = [];

      for (let turn = 0; turn < 40; turn++) {
        const in_a = turn % 2 === 0, in_b = turn % 3 === 0; /* all of it without waiting */

        socket.emit(in_a ? 'enter' : 'part', 'a');
        socket.emit(in_b ? 'enter' : 'part', 'b');
        mix(socket, 3, turn * 100).catch(() => {});
        expected.push(...mixed(3, turn * 100, { isAsker: true, a: in_a, b: in_b }));
        expectedOther.push(...mixed(3, turn * 100));
      }
      await settle(socket);
      await settle(other);
      assert.deepEqual(sequence(socket), expected);
      assert.deepEqual(sequence(other), expectedOther);
      closeClients();
      await allGone(server);
    });
  }

  test('mixes that are asked for while stock clients upgrade arrive whole and in order', async () => {
    const clients = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const socket = await connect(server, { transports: TRANSPORTS.upgrade, wait: false });
        const upgraded = new Promise((done) => socket.io.once('open', () => socket.io.engine.once('upgrade', done)));

        await next(socket, 'connect');
        return { socket, upgraded };
      }),
    );
    let is_over = false, n = 0;
    const all_upgraded = within(Promise.all(clients.map(({ upgraded }) => upgraded)), 'upgrades').then(() => (is_over = true));

    while (!is_over || n < 20) { /* one after the other, until every client has changed over */
      await mix(clients[n % clients.length].socket, 5, n * 1000);
      n++;
    }
    await all_upgraded;
    await Promise.all(clients.map(({ socket }) => settle(socket)));
    for (const [i, { socket }] of clients.entries())
      assert.deepEqual(
        sequence(socket),
        Array.from({ length: n }, (_, turn) => mixed(5, turn * 1000, { isAsker: turn % clients.length === i })).flat(),
      );
    closeClients();
    await allGone(server);
  });

  /* Where in the upgrade a mix is asked for; nobody polls, so all of it waits for the WebSocket. */
  for (const where of ['before the probe', 'after the probe', 'behind the upgrade packet'])
    test(`a mix ${where} arrives whole over the WebSocket`, async () => {
      const other = await connect(server);
      const polling = await Polling.open(server, { join: true });
      const n = 50, packet = `427["mix",${n},0]`;

      if (where === 'before the probe') await polling.send(packet);
      const raw = await RawWebSocket.open(server, { sid: polling.sid });
      raw.send('2probe');
      assert.equal(await raw.message(), '3probe');
      if (where === 'after the probe') await polling.send(packet);
      raw.send('5');
      if (where === 'behind the upgrade packet') raw.send(packet);
      const expected = mixed(n, 0, { isAsker: true });
      const packets = [];
      while (packets.length < expected.length) packets.push(await raw.message());
      assert.deepEqual(wireSequence(packets), expected);
      raw.send('428["echo"]');
      assert.equal(await raw.message(), '438[]'); /* and nothing twice */
      await settle(other);
      assert.deepEqual(sequence(other), mixed(n, 0));
      other.disconnect();
      await raw.close();
      await allGone(server);
    });

  test('a poll that is held through the upgrade takes the first part, the WebSocket the rest', async () => {
    const polling = await Polling.open(server, { join: true });
    const held = polling.get();

    await polling.send('3'); /* so that the poll is there */
    const raw = await RawWebSocket.open(server, { sid: polling.sid });
    await polling.send('421["mix",20,0]');
    const first = (await held).text.split('\x1e');
    assert.deepEqual(wireSequence(first), mixed(20, 0, { isAsker: true }));
    raw.send('2probe');
    assert.equal(await raw.message(), '3probe');
    assert.equal((await polling.get()).text, '6'); /* the client's poll is let go */
    await polling.send('422["mix",20,1000]');
    const polled = []; /* by a client that polls on all the same; noops let it go meanwhile */
    while (polled.length < mixed(20, 1000, { isAsker: true }).length) {
      const packet = await polling.packet();
      if (packet !== '6') polled.push(packet);
    }
    assert.deepEqual(wireSequence(polled), mixed(20, 1000, { isAsker: true }));
    await polling.send('423["mix",20,2000]');
    raw.send('5', '424["mix",20,3000]');
    const rest = [];
    const expected = [...mixed(20, 2000, { isAsker: true }), ...mixed(20, 3000, { isAsker: true })];
    while (rest.length < expected.length) rest.push(await raw.message());
    assert.deepEqual(wireSequence(rest), expected);
    await raw.close();
    await allGone(server);
  });

  test('many turns, two rooms, five clients that all ask at once: each sequence is exact', async () => {
    const roles = [{}, { b: false }, { a: false }, { a: false, b: false }, {}];
    const choices = ['websocket', 'polling', 'websocket', 'upgrade', 'polling'];
    const sockets = await Promise.all(choices.map((choice) => connect(server, { transports: TRANSPORTS[choice] })));
    const turns = 30, n = 4, span = 7 * n;

    for (const [i, { a = true, b = true }] of roles.entries()) {
      if (!a) await ask(sockets[i], 'part', 'a');
      if (!b) await ask(sockets[i], 'part', 'b');
    }
    const asked = [];
    for (let turn = 0; turn < turns; turn++) {
      for (const [i, socket] of sockets.entries()) asked.push(mix(socket, n, (turn * sockets.length + i) * span));
      if (turn % 5 === 0) await new Promise(setImmediate); /* so that not all of it leaves in one piece */
    }
    await Promise.all(asked);
    await Promise.all(sockets.map(settle));

    /* Every client hears every mix, so all agree on their order; within it each step is known. */
    const order = heard(sockets[0], 'step').map(([step]) => step).filter((step) => step % span === 0);
    assert.equal(order.length, turns * sockets.length);
    for (const [i, socket] of sockets.entries()) {
      const own = order.filter((first) => (first / span) % sockets.length === i);

      assert.deepEqual(own, own.toSorted((x, y) => x - y), 'the asker\'s own order');
      assert.deepEqual(
        sequence(socket),
        order.flatMap((first) => mixed(n, first, { ...roles[i], isAsker: (first / span) % sockets.length === i })),
        `client ${i}`,
      );
    }
    closeClients();
    await allGone(server);
  });
});
