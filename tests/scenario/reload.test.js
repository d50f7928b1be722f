/*
 * reload.test.js - plugins and configuration of a running server: SIGHUP reads the conf file again,
 * and clients notice nothing but what it changes.
 */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { afterEach, describe, test } from 'node:test';

import { allGone, ask, closeClients, connect, hear, heard, next, request, startWith } from '../lib/client.js';
import { install, ownPlugins } from '../lib/plugins.js';

const servers = new Set();

async function start(config, folder = ownPlugins('auth', 'lobby', 'echo', 'versions')) {
  const server = await startWith([], { config, args: ['-o', `server.plugin_dir=${folder}`] });

  servers.add(server);
  return server;
}

async function login(server, name, options) {
  const socket = await connect(server, options);
  const welcome = next(socket, 'welcome');

  socket.emit('login', name);
  await welcome;
  return socket;
}

const users = async (socket) => (await ask(socket, 'onlineUsers'))[0].users;

afterEach(async () => {
  closeClients();
  for (const server of servers) await server.stop();
  servers.clear();
});

const CHAT = '[plugin:auth]\n[plugin:lobby]\n[plugin:echo]\n';

describe('auth and lobby', () => {
  test('are reloaded while people chat: names, their order and every connection stay', async () => {
    const server = await start(CHAT);
    const anna = await login(server, 'anna');
    const bob = await login(server, 'bob', { transports: ['polling'] });
    const carl = await login(server, 'carl');

    assert.match(await server.reload(CHAT.replace('[plugin:auth]', '[plugin:auth]\nmin_length = 4')), /server\.reloaded plugins="auth 1\.0, lobby 1\.0" values=3 /);
    assert.deepEqual(await users(carl), ['anna', 'bob', 'carl']);
    anna.emit('chat', 'still here');
    for (const each of [anna, bob, carl]) assert.deepEqual(await hear(each, 'chat'), [{ sender: 'anna', message: 'still here' }]);
    const dan = await connect(server);
    assert.equal((await ask(dan, 'login', 'dan'))[0].error.code, 'name_bad'); /* the new key counts */
    assert.equal((await ask(dan, 'login', 'anna'))[0].error.code, 'name_exists');
    assert.equal((await ask(dan, 'login', 'daniel'))[0].ok, true);
    bob.disconnect();
    assert.deepEqual(await hear(anna, 'userLeft'), ['bob']);
    assert.deepEqual(await users(carl), ['anna', 'carl', 'daniel']);
    for (const each of [anna, carl]) assert.equal(each.connected, true);
  });

  test('are replaced together, whichever of them has changed: one keeps what the other has left there', async () => {
    const server = await start(CHAT);
    const anna = await login(server, 'anna');

    for (let i = 0; i < 3; i++) {
      assert.match(await server.reload(CHAT.replace('[plugin:lobby]', `[plugin:lobby]\nmax_message_bytes = ${100 + i}`)), /server\.reloaded plugins="auth 1\.0, lobby 1\.0" values=1 /);
      const bob = await login(server, `bob${i}`);
      bob.disconnect();
      assert.deepEqual(await hear(anna, 'userLeft', i + 1), [`bob${i}`]);
    }
    assert.deepEqual(heard(anna, 'userJoined').slice(-3), [['bob0'], ['bob1'], ['bob2']]);
    assert.match(await server.reload('[plugin:auth]\n[plugin:lobby]\nenabled = no\n[plugin:echo]\n'), /server\.reloaded plugins="auth 1\.0" values=1 /);
    const carl = await login(server, 'carl');
    carl.disconnect();
    assert.match(await server.reload(CHAT), /server\.reloaded plugins="auth 1\.0, lobby 1\.0" values=1 /);
    const joined = next(anna, 'userJoined');
    await login(server, 'dan');
    assert.deepEqual(await joined, ['dan']);
  });

  test('that fail to come leave nothing of theirs behind', async () => {
    const server = await start(CHAT);
    const anna = await login(server, 'anna');

    for (let i = 0; i < 20; i++)
      assert.match(await server.reload(`[plugin:auth]\n[plugin:lobby]\nmax_message_bytes = ${100 + i}\n[plugin:versions]\nfail = init\n`), /told to fail/);
    await login(server, 'bob');
    await ask(anna, 'echo');
    assert.deepEqual(heard(anna, 'userJoined').filter(([name]) => name === 'bob'), [['bob']]);
  });

  test('stay as they were where the new configuration does not allow the names that are in use', async () => {
    const loose = '[plugin:auth]\nblock_lookalikes = no\nrestriction = any\n[plugin:lobby]\n';
    const server = await start(loose);
    const anna = await login(server, 'paypal');

    await login(server, 'p\u0430ypal'); /* a Cyrillic a */
    assert.match(await server.reload('[plugin:auth]\nrestriction = any\n[plugin:lobby]\n'), /plugin\.change_failed .*names are in use/);
    assert.deepEqual(await users(anna), ['paypal', 'p\u0430ypal']);
    anna.emit('chat', 'on');
    assert.deepEqual(await hear(anna, 'chat'), [{ sender: 'paypal', message: 'on' }]);
    assert.match(await server.reload(loose), /server\.reloaded plugins="" /);
  });
});

test('values on sockets, rooms, memberships, namespaces, users and the server outlive the code', async () => {
  const folder = ownPlugins('keeper');
  const server = await start('[plugin:keeper]\n', folder);
  const [bob, tab] = [await connect(server), await connect(server)];
  const tenant = await connect({ url: `${server.url}/tenant-a` });
  const kinds = [['socket', ''], ['server', ''], ['namespace', '/tenant-a'], ['room', 'den'], ['member', 'den'], ['user', '']];
  const look = async (socket) => Promise.all(kinds.map(async ([kind, what]) => (await ask(socket, 'get', kind, what))[0]));

  await ask(bob, 'join', 'den');
  for (const each of [bob, tab]) await ask(each, 'be', 'bob');
  for (const [kind, what] of kinds) assert.deepEqual(await ask(bob, 'set', kind, what, `${kind} of bob`), [true]);
  await ask(tab, 'set', 'socket', '', 'the tab');
  const before = await look(bob);
  for (let i = 0; i < 5; i++) {
    install(folder, 'keeper');
    assert.match(await server.reload(), /server\.reloaded plugins="keeper 1\.0" values=7 /);
    assert.deepEqual(await look(bob), before);
    assert.deepEqual(await look(tab), ['the tab', 'server of bob', 'namespace of bob', 'room of bob', null, 'user of bob']);
    assert.deepEqual(await ask(tab, 'whose'), ['bob', 2]);
    assert.deepEqual(await ask(bob, 'freed'), [{ socket: 0, server: 0, namespace: 0, room: 0, member: 0, user: 0 }]); /* the new code has freed none */
  }
  await ask(bob, 'leave', 'den');
  assert.deepEqual(await hear(tab, 'left'), ['den', 'member of bob', 'room of bob']);
  for (const each of [bob, tab, tenant]) each.disconnect();
  await allGone(server);
});

describe('a plugin', () => {
  const VERSIONS = '[plugin:versions]\nword = a\n';

  test('whose file is another is replaced: its events, routes and what it has counted', async () => {
    const folder = ownPlugins('versions');
    const server = await start(VERSIONS, folder);
    const socket = await connect(server);

    assert.deepEqual(await ask(socket, 'version'), ['1.0', 'a', 1]);
    assert.equal((await request(server, '/version')).text, '1.0');
    install(folder, 'versions', 'versions2');
    assert.match(await server.reload('[plugin:versions]\nword = b\n'), /server\.reloaded plugins="versions 2\.0"/);
    assert.deepEqual(await ask(socket, 'version'), ['2.0', 'b', 2]);
    assert.equal((await request(server, '/version')).text, '2.0');
    install(folder, 'versions');
    await server.reload();
    assert.deepEqual(await ask(socket, 'version'), ['1.0', 'b', 3]);
    assert.equal((await request(server, '/version')).text, '1.0');
  });

  test('is left alone where neither its section nor its file has changed', async () => {
    const folder = ownPlugins('versions', 'echo');
    const server = await start(`${VERSIONS}[plugin:echo]\n`, folder);

    assert.match(await server.reload(), /server\.reloaded plugins="" values=0/);
    install(folder, 'echo');
    assert.match(await server.reload(), /server\.reloaded plugins="echo 1\.0"/);
  });

  test('whose section has come is loaded, whose section has gone is unloaded, and comes again', async () => {
    const folder = ownPlugins('versions', 'echo');
    const server = await start('[plugin:echo]\n', folder);
    const socket = await connect(server);

    const page = (await request(server, '/version')).text;
    assert.notEqual(page, '1.0');
    assert.match(await server.reload(`[plugin:echo]\n${VERSIONS}fail = init\n`), /told to fail/);
    assert.equal((await request(server, '/version')).text, page);
    assert.match(await server.reload(`[plugin:echo]\n${VERSIONS}`), /server\.reloaded plugins="versions 1\.0"/);
    assert.deepEqual(await ask(socket, 'version'), ['1.0', 'a', 1]);
    assert.equal((await request(server, '/version')).text, '1.0');
    await server.reload('[plugin:echo]\n');
    assert.equal((await request(server, '/version')).text, page);
    socket.emit('version', () => assert.fail('nobody is there to answer'));
    assert.deepEqual(await ask(socket, 'echo', 1), [1]);
    await server.reload(`[plugin:echo]\n${VERSIONS}`);
    assert.deepEqual(await ask(socket, 'version'), ['1.0', 'a', 1]);
    assert.equal((await request(server, '/version')).text, '1.0');
  });

  test('with all the slots that there are is replaced, one with more is refused', async () => {
    const server = await start('[plugin:versions]\nslots = 64\n');

    for (let i = 0; i < 5; i++)
      assert.match(await server.reload(`[plugin:versions]\nslots = 64\nword = ${i}\n`), /server\.reloaded plugins="versions/);
    await ask(await connect(server), 'version');
    assert.match(await server.reload('[plugin:versions]\nslots = 65\n'), /all 64 slots are taken/);
    assert.match(await server.reload('[plugin:versions]\nslots = 3\n'), /server\.reloaded plugins="versions/);
  });

  test('may change what is being saved', async () => {
    const meddler = '[plugin:versions]\nmeddle = yes\n';
    const server = await start(meddler);
    const sockets = [];

    for (let i = 0; i < 5; i++) sockets.push(await connect(server));
    const gone = next(sockets[1], 'disconnect');
    assert.deepEqual(await ask(sockets[0], 'marks'), ['marked', 'a member']);
    assert.match(await server.reload(`${meddler}word = b\n`), /server\.reloaded plugins="versions/);
    await gone;
    assert.deepEqual(await ask(sockets[0], 'marks'), [null, null]);
    for (const socket of sockets.slice(2)) assert.deepEqual(await ask(socket, 'marks'), ['marked', 'a member']);
    await server.reload('[plugin:versions]\n');
  });

  test('that comes and goes leaves nothing behind that adds up', async () => {
    const server = await start('[plugin:echo]\n');
    const count = () => ({
      descriptors: readdirSync(`/proc/${server.proc.pid}/fd`).length,
      mapped: readFileSync(`/proc/${server.proc.pid}/maps`, 'utf8').split('\n').filter((line) => /versions/.test(line)).length,
    });
    const cycle = async () => {
      assert.match(await server.reload(`[plugin:echo]\n${VERSIONS}`), /server\.reloaded plugins="versions/);
      assert.match(await server.reload('[plugin:echo]\n'), /server\.reloaded plugins="versions/);
    };

    await cycle();
    const before = count();
    for (let i = 0; i < 20; i++) await cycle();
    assert.deepEqual(count(), before);
  });

  test('has a namespace that is open only while its own middleware looks at newcomers', async () => {
    const server = await start('[plugin:echo]\n');
    const enter = async (auth) => (await connect(server)).io.socket('/versions', { auth });
    const refusal = async (auth) => (await next(await enter(auth), 'connect_error'))[0].message;

    assert.equal(await refusal({}), 'Invalid namespace');
    assert.match(await server.reload(`[plugin:echo]\n${VERSIONS}fail = init\n`), /told to fail/);
    assert.equal(await refusal({}), 'Invalid namespace');
    await server.reload(`[plugin:echo]\n${VERSIONS}`);
    assert.equal(await refusal({}), 'no token');
    const inside = await enter({ token: 1 });
    await next(inside, 'connect');
    await server.reload(`[plugin:echo]\n[plugin:versions]\nword = b\n`);
    assert.equal(await refusal({}), 'no token');
    await next(await enter({ token: 1 }), 'connect');
    await server.reload('[plugin:echo]\n');
    assert.ok(inside.connected);
    assert.equal(await refusal({ token: 1 }), 'Invalid namespace');
    await server.reload(`[plugin:echo]\n${VERSIONS}`);
    assert.equal(await refusal({}), 'no token');
  });

  for (const where of ['init', 'restore'])
    test(`that fails in ${where} leaves the old one, which goes on`, async () => {
      const server = await start(VERSIONS);
      const socket = await connect(server);

      await ask(socket, 'version');
      assert.match(await server.reload(`[plugin:versions]\nword = b\nfail = ${where}\n`), /told to fail/);
      assert.deepEqual(await ask(socket, 'version'), ['1.0', 'a', 2]);
      assert.equal((await request(server, '/version')).text, '1.0');
      assert.match(await server.reload('[plugin:versions]\nword = b\n'), /server\.reloaded plugins="versions 1\.0"/);
      assert.deepEqual(await ask(socket, 'version'), ['1.0', 'b', 3]);
    });

  test('that is replaced hears that the answers which it awaits are dropped', async () => {
    const server = await start(VERSIONS);
    const socket = await connect(server);
    const question = next(socket, 'question');

    await ask(socket, 'ask');
    const answer = (await question).at(-1);
    await server.reload('[plugin:versions]\nword = b\n');
    answer('too late');
    assert.deepEqual(await ask(socket, 'dropped'), [1]);
  });

  test('is told of keys that may change while it runs, and stays', async () => {
    const server = await start(`${VERSIONS}text = x\n`);
    const socket = await connect(server);
    const live = () => ask(socket, 'live');
    const reload = (keys) => server.reload(`${VERSIONS}${keys}`);

    await ask(socket, 'version');
    let isHeld = true;
    (await connect(server)).emit('hold', () => (isHeld = false));
    assert.deepEqual(await live(), ['x', 1, '']);
    assert.match(await reload('text = y\nnumber = 7\n'), /server\.reloaded plugins=""/);
    assert.match((await server.waitLog(/plugin\.changed plugin=versions keys="(.*)"/))[1], /^text, number$/);
    assert.deepEqual(await live(), ['y', 7, 'text,number,']);
    await reload('number = 7\n');
    assert.deepEqual(await live(), ['', 7, 'text,']);
    assert.match(await reload('text = z\nnumber = 11\n'), /reload_failed.*versions\.number.*11/);
    assert.match(await reload('text = z\nunheard_of = 1\n'), /reload_failed.*unheard_of/);
    assert.match(await reload('text = z\n[plugin:echo]\nfile = versions.so\n'), /reload_failed.*echo/);
    assert.deepEqual(await live(), ['', 7, 'text,']);
    for (let i = 0; i < 20; i++) await reload(`text = ${i}\nnumber = 3\n`);
    assert.deepEqual(await live(), ['19', 3, 'text,']);
    assert.ok(isHeld, 'what it has deferred was left alone');
    assert.match(await server.reload('[plugin:versions]\nword = b\ntext = w\n'), /server\.reloaded plugins="versions 1\.0"/);
    assert.deepEqual(await live(), ['w', 1, '']);
    assert.deepEqual(await ask(socket, 'version'), ['1.0', 'b', 2]);
  });

  test('that cannot be replaced, for it keeps what it cannot save, does not even notice', async () => {
    const server = await start(`${VERSIONS}stuck = yes\n`);
    const socket = await connect(server);
    const question = next(socket, 'question');

    await ask(socket, 'ask');
    const answer = (await question).at(-1);
    assert.match(await server.reload('[plugin:versions]\nword = b\n[log]\nlevel = debug\n[limits]\nmax_connections = 77\n'), /cannot save/);
    assert.deepEqual(await ask(socket, 'dropped'), [0]);
    assert.deepEqual(await ask(socket, 'version'), ['1.0', 'a', 1]);
    answer('in time');
    socket.emit('nobody handles this');
    await ask(socket, 'version');
    assert.ok(!server.log.some((line) => /event\.ignored|server\.restart_needed/.test(line)), 'nothing else was applied');
  });

  test('made from the skeleton can be replaced: what it keeps stays', async () => {
    const server = await start('[plugin:skeleton]\ngreeting = hi\n', ownPlugins('skeleton'));
    const socket = await connect(server);

    assert.deepEqual(await ask(socket, 'note', 'one'), [{ ok: true, notes: 1, before: null }]);
    assert.match(await server.reload('[plugin:skeleton]\ngreeting = hello\nmax_bytes = 3\n'), /server\.reloaded plugins="skeleton 1\.0" values=1/);
    assert.deepEqual(await ask(socket, 'note', 'two'), [{ ok: true, notes: 2, before: 'one' }]);
    await hear(await connect(server), 'greeting');
  });

  test('that is replaced has no timers any more, the new one has, and one that fails to come never had', async () => {
    const server = await start(VERSIONS);
    const socket = await connect(server);

    await hear(socket, 'tick', 2);
    await server.reload('[plugin:versions]\nword = b\nfail = restore\n'); /* its init() has started a timer as well */
    const from = heard(socket, 'tick').length;
    await hear(socket, 'tick', from + 3);
    const metrics = await server.metrics();
    assert.equal([...metrics].filter(([name]) => /timers.*versions/.test(name)).reduce((sum, [, n]) => sum + n, 0), 1, [...metrics.keys()].filter((name) => /timers/.test(name)).join());
    await server.reload('[plugin:versions]\nword = b\n');
    await hear(socket, 'tick', heard(socket, 'tick').length + 3);
    assert.equal([...(await server.metrics())].filter(([name]) => /timers.*versions/.test(name)).reduce((sum, [, n]) => sum + n, 0), 1);
  });

  test('whose job runs is waited for: it is told of the end, then it is replaced', async () => {
    const server = await start(VERSIONS);
    const socket = await connect(server);
    const order = [];

    assert.deepEqual(await ask(socket, 'work'), ['begun']);
    socket.on('worked', (version) => order.push(`worked ${version}`));
    const worked = next(socket, 'worked');
    await server.reload('[plugin:versions]\nword = b\n').then(() => order.push('reloaded'));
    await worked;
    assert.equal(order.length, 2); /* the event and the log line come by different ways */
    assert.deepEqual(await ask(socket, 'version'), ['1.0', 'b', 1]);
  });

  test('that has deferred an event is waited for; then the event is refused, and what came meanwhile goes to the new code', async () => {
    const server = await start(VERSIONS);
    const [socket, other] = [await connect(server), await connect(server)];
    const held = ask(socket, 'hold');
    const answered = [];

    assert.deepEqual(await ask(other, 'version'), ['1.0', 'a', 1]);
    const reloaded = server.reload('[plugin:versions]\nword = b\n');
    await server.waitLog(/server\.reloading/);
    const meanwhile = ask(other, 'version').then((answer) => answered.push(answer));
    assert.equal((await held)[0].error.code, 'reloading');
    assert.match(await reloaded, /server\.reloaded plugins="versions 1\.0"/);
    await meanwhile;
    assert.deepEqual(answered, [['1.0', 'b', 2]]);
  });

  test('that is waited for when the server stops stays, and what waits for it comes to its end', async () => {
    const server = await start(VERSIONS);
    const [socket, other] = [await connect(server), await connect(server)];
    const packets = (metrics) => metrics.get('sockhop_packets_total{direction="in"}');
    const reach = async (send) => {
      const before = packets(await server.metrics());

      send();
      await server.waitMetrics((metrics) => packets(metrics) > before); /* it has been read */
      await server.metrics(); /* and logic has had a turn since */
    };
    let answer;

    await reach(() => socket.emit('hold'));
    server.writeConf('[plugin:versions]\nword = b\n');
    server.proc.kill('SIGHUP');
    await server.waitLog(/server\.reloading/);
    await reach(() => (answer = ask(other, 'version')));
    server.proc.kill('SIGTERM');
    assert.deepEqual(await answer, ['1.0', 'a', 1]);
    await server.waitLog(/plugin\.change_failed reason="the server stops"/);
    await server.gone; /* a second signal would cut it short */
  });

  test('that keeps a newcomer waiting refuses it, so that it can go', async () => {
    const server = await start(VERSIONS);
    const newcomer = await connect(server, { wait: false, auth: { hold: true } });
    const refused = next(newcomer, 'connect_error');

    await server.waitMetrics((metrics) => metrics.get('sockhop_sessions{transport="websocket"}') === 1);
    await connect(server);
    assert.match(await server.reload('[plugin:versions]\nword = b\n'), /server\.reloaded/);
    assert.match((await refused)[0].message, /reloading/);
  });
});

describe('the conf file', () => {
  test('with a mistake changes nothing, and the log names its place', async () => {
    const server = await start(CHAT);
    const socket = await login(server, 'anna');

    for (const [text, reason] of [
      ['[plugin:auth]\nmin_lenght = 4\n[plugin:lobby]\n', /sockhop\.ini:\d+: plugin:auth\.min_lenght: .*min_length/],
      ['[plugin:auth]\nmin_length = 40\n[plugin:lobby]\n', /above max_length/],
      ['[plugin:lobby]\n', /needs the plugin auth/],
      ['[plugin:auth]\n[plugin:lobby]\n[plugin:nowhere]\n', /no such file/],
      ['[server]\nport = nine\n[plugin:auth]\n', /server\.port/],
      ['[plugin:auth]\n[plugin:auth]\n', /twice|again|already/],
      ['nonsense\n', /sockhop\.ini:\d+/],
      ['[log]\nlevel = debug\n', /turns no plugin on/],
    ])
      assert.match(await server.reload(text), reason);
    rmSync(server.conf);
    assert.match(await server.reload(), /server\.reload_failed .*sockhop\.ini/);
    assert.deepEqual(await users(socket), ['anna']);
    assert.match(await server.reload(CHAT), /server\.reloaded plugins="" /);
  });

  test('has keys that need a restart: they are named; the log level is not one of them', async () => {
    const server = await start(CHAT);

    await server.reload(`[limits]\nmax_connections = 77\n[log]\nlevel = debug\n${CHAT}`);
    assert.match((await server.waitLog(/server\.restart_needed keys="([^"]*)"/))[1], /^limits\.max_connections$/);
    const socket = await connect(server);
    socket.emit('nobody handles this');
    await server.waitLog(/event\.ignored/);
  });

  test('is read again and again while people chat', async () => {
    const server = await start(CHAT);
    const anna = await login(server, 'anna');

    for (let i = 0; i < 20; i++) {
      server.writeConf(`[plugin:auth]\nmax_length = ${10 + (i % 2)}\n[plugin:lobby]\n`);
      server.proc.kill('SIGHUP');
      anna.emit('chat', i + 1);
    }
    await server.reload(CHAT);
    anna.emit('chat', 'end');
    await hear(anna, 'chat', 21);
    assert.deepEqual(heard(anna, 'chat').map(([{ message }]) => message), [...Array.from({ length: 20 }, (_, i) => i + 1), 'end']);
  });
});
