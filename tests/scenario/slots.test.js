/*
 * slots.test.js - what plugins keep on sockets, rooms, memberships, namespaces, users and the
 * server: there for as long as its object is, destroyed once. The plugin is tests/plugins/keeper.c.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { allGone, ask, closeClients, connect, hear, startWith } from '../lib/client.js';

const NOTHING = { socket: 0, server: 0, namespace: 0, room: 0, member: 0, user: 0 };
const set = async (socket, kind, what, text) => (await ask(socket, 'set', kind, what, text))[0];
const get = async (socket, kind, what = '') => (await ask(socket, 'get', kind, what))[0];
const freed = async (socket) => (await ask(socket, 'freed'))[0];
const since = (now, then) => Object.fromEntries(Object.entries(now).map(([kind, n]) => [kind, n - then[kind]]));

describe('values', () => {
  let server, eve, before_;

  before(async () => (server = await startWith(['keeper'])));
  after(() => server.stop());
  afterEach(async () => {
    closeClients();
    await allGone(server);
  });

  const begin = async () => {
    eve = await connect(server);
    before_ = await freed(eve);
  };
  const freedNow = async () => since(await freed(eve), before_);

  test('of a socket are its own, replaced once, and go with it', async () => {
    await begin();
    const bob = await connect(server);

    assert.equal(await set(bob, 'socket', '', 'his'), true);
    assert.equal(await get(eve, 'socket'), null);
    assert.equal(await set(bob, 'socket', '', 'his second'), true);
    assert.deepEqual(await freedNow(), { ...NOTHING, socket: 1 });
    assert.equal(await get(bob, 'socket'), 'his second');
    bob.disconnect();
    await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1);
    assert.deepEqual(await freedNow(), { ...NOTHING, socket: 2 });
  });

  test('of a room are for all who look, and go with its last member, behind the leave hooks', async () => {
    await begin();
    const bob = await connect(server);

    assert.equal(await set(eve, 'room', 'den', 'too early'), false);
    for (const each of [eve, bob]) assert.deepEqual(await ask(each, 'join', 'den'), [true]);
    assert.equal(await set(bob, 'room', 'den', 'warm'), true);
    assert.equal(await get(eve, 'room', 'den'), 'warm');
    await ask(bob, 'leave', 'den');
    assert.equal(await get(eve, 'room', 'den'), 'warm');
    await ask(eve, 'leave', 'den');
    assert.deepEqual(await freedNow(), { ...NOTHING, room: 1 });
    assert.deepEqual((await hear(eve, 'left', 2)).slice(0, 3), ['den', null, 'warm']);
    await ask(eve, 'join', 'den');
    assert.equal(await get(eve, 'room', 'den'), null);
  });

  test('of a membership are there in its leave hooks, and gone behind them', async () => {
    await begin();
    const bob = await connect(server);

    assert.equal(await set(bob, 'member', 'den', 'too early'), false);
    for (const each of [eve, bob]) await ask(each, 'join', 'den');
    assert.equal(await set(bob, 'member', 'den', 'owner'), true);
    assert.equal(await get(eve, 'member', 'den'), null);
    await ask(bob, 'leave', 'den');
    assert.deepEqual(await hear(eve, 'left'), ['den', 'owner', null]);
    assert.deepEqual(await freedNow(), { ...NOTHING, member: 1 });
    await ask(bob, 'join', 'den');
    assert.equal(await get(bob, 'member', 'den'), null);
    await set(bob, 'member', 'den', 'again');
    bob.disconnect();
    assert.deepEqual(await hear(eve, 'left', 2), ['den', 'again', null]);
    assert.deepEqual(await freedNow(), { ...NOTHING, member: 2 });
  });

  test('of a namespace that a client has made go with its last client', async () => {
    await begin();
    const bob = await connect({ url: `${server.url}/tenant-a` });

    assert.equal(await set(eve, 'namespace', '/tenant-b', 'nobody there'), false);
    assert.equal(await set(bob, 'namespace', '/tenant-a', 'ours'), true);
    assert.equal(await set(eve, 'namespace', '/', 'everybody'), true);
    assert.equal(await get(eve, 'namespace', '/tenant-a'), 'ours');
    bob.disconnect();
    await server.waitMetrics((metrics) => metrics.get('sockhop_namespaces') === 0);
    assert.deepEqual(await freedNow(), { ...NOTHING, namespace: 1 });
    assert.equal(await get(eve, 'namespace', '/tenant-a'), null);
    assert.equal(await get(eve, 'namespace', '/'), 'everybody');
    await set(eve, 'namespace', '/', null);
  });

  test('of a user are in each of its sockets, and go when it ends, not when they do', async () => {
    await begin();
    const [bob, tab] = [await connect(server), await connect(server)];

    assert.equal(await set(bob, 'user', '', 'nobody yet'), false);
    for (const each of [bob, tab]) await ask(each, 'be', 'bob');
    assert.equal(await set(bob, 'user', '', 'likes tea'), true);
    assert.equal(await get(tab, 'user'), 'likes tea');
    assert.deepEqual(await ask(tab, 'whose'), ['bob', 2]);
    assert.deepEqual(await ask(eve, 'whose'), [null, 0]);
    bob.disconnect();
    await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 2);
    assert.deepEqual(await ask(tab, 'whose'), ['bob', 1]);
    await ask(tab, 'nobody');
    assert.equal(await get(tab, 'user'), null);
    await ask(tab, 'be', 'bob');
    assert.equal(await get(tab, 'user'), 'likes tea');
    assert.deepEqual(await ask(eve, 'end', 'bob'), [true]);
    assert.deepEqual(await ask(tab, 'whose'), [null, 0]);
    assert.equal(await get(tab, 'user'), null);
    assert.deepEqual(await freedNow(), { ...NOTHING, user: 1 });
  });

  test('of the server are one in all', async () => {
    await begin();
    const bob = await connect(server);

    assert.equal(await set(eve, 'server', '', 'one'), true);
    assert.equal(await get(bob, 'server'), 'one');
    assert.equal(await set(bob, 'server', '', null), true);
    assert.deepEqual(await freedNow(), { ...NOTHING, server: 1 });
  });
});

test('a server that stops destroys what is left of each kind', async () => {
  const server = await startWith(['keeper']);
  const socket = await connect(server);

  await ask(socket, 'join', 'den');
  await ask(socket, 'be', 'me');
  for (const [kind, what] of [['socket', ''], ['server', ''], ['namespace', '/'], ['room', 'den'], ['member', 'den'], ['user', '']])
    assert.equal(await set(socket, kind, what, 'x'), true);
  await server.stop(); /* a leak fails it, in a build that looks for leaks */
});
