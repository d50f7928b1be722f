/*
 * abort.test.js - clients that reset or close the connection after each byte of what they say, in bad
 * upgrades (threats.md C06), at each step of a login (C54), and just as the server ends them too: under
 * a sanitizer, a use after free of whoever was waiting would show. Then nothing is left, and the server
 * serves. SOCKHOP_LONG=1: both ends at every byte, instead of one or the other.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import {
  ENGINE, Polling, RawWebSocket, SEPARATOR, Tcp, allGone, ask, closeClients, connect, hear, heard, request, settle, startWith, within,
} from '../lib/client.js';

afterEach(closeClients);

const AT_ONCE = 20; /* clients */
const isLong = process.env.SOCKHOP_LONG === '1';

const mask = (opcode, text) => Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
const head = (line, ...headers) => Buffer.from(`${line} HTTP/1.1\r\nHost: x\r\n${headers.map((header) => `${header}\r\n`).join('')}\r\n`);
const post = (path, body) => Buffer.concat([head(`POST ${path}`, `Content-Length: ${body.length}`), Buffer.from(body)]);
const upgrade = (path) =>
  head(`GET ${path}`, 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==');

/* Says the first n bytes, then goes: by a reset, or by FIN and no more reading. */
async function leaveAfter(server, bytes, n, isReset) {
  const tcp = await Tcp.open(server);

  if (n) await tcp.write(bytes.subarray(0, n));
  await new Promise(setImmediate); /* the server may have had a look, or not */
  if (isReset) tcp.socket.resetAndDestroy();
  else tcp.socket.end(() => tcp.socket.destroy());
  await tcp.gone;
}

/* As many at once as is good; each is given its number. */
async function inGroups(n, one) {
  for (let from = 0; from < n; from += AT_ONCE)
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, n - from) }, (_, i) => one(from + i)));
}

/* One client for each length of what say() gives: one by a reset, the next by FIN. */
async function leaveEverywhere(server, say) {
  const { length } = await say();

  await inGroups(length + 1, async (n) => {
    if (isLong || n % 2 === 0) await leaveAfter(server, await say(), n, true);
    if (isLong || n % 2 === 1) await leaveAfter(server, await say(), n, false);
  });
}

const PLUGINS = ['auth', 'lobby', 'echo', 'rooms', 'ask', 'route'];

/* All is as it was, and the next one is served. */
async function assertWell(server) {
  await allGone(server);
  const socket = await connect(server, { transports: ['polling', 'websocket'] });

  assert.deepEqual(await settle(socket), ['settle']);
  socket.disconnect();
  await allGone(server);
}

describe('a client that leaves after each byte', () => {
  let server;

  before(async () => {
    /* sessions that a leaving client forgets are closed soon */
    const config = '[engine]\nping_interval = 500ms\nping_timeout = 2s\n';
    server = await startWith(PLUGINS, { config });
  });
  after(() => server.stop());

  test('of a handshake and a poll', async () => {
    await leaveEverywhere(server, async () => Buffer.concat([head(`GET ${ENGINE}`), head('GET /test/big'), head('GET /index.html')]));
    await assertWell(server);
  });

  test('of a POST, with a poll waiting behind it', async () => {
    await leaveEverywhere(server, async () => {
      const { path } = await Polling.open(server);
      return Buffer.concat([post(path, '40'), post(path, '42["login","someone"]\x1e42["join","den"]\x1e42["greet-all",3]'), head(`GET ${path}`), head(`GET ${path}`)]);
    });
    await assertWell(server);
  });

  test('of a chunked body', async () => {
    const body = Buffer.from('5\r\nabcde\r\n3;x=y\r\nfgh\r\n0\r\nTrailer: x\r\n\r\n');

    await leaveEverywhere(server, async () => Buffer.concat([head('POST /test/body', 'Transfer-Encoding: chunked'), body]));
    await assertWell(server);
  });

  test('of a WebSocket, from its handshake to its close', async () => {
    await leaveEverywhere(server, async () =>
      Buffer.concat([
        upgrade('/socket.io/?EIO=4&transport=websocket'), mask(1, '40'), mask(1, '42["login","somebody"]'), mask(1, '42["join","den"]'),
        mask(1, '42["shout",1]'), mask(1, '42["greet-all",2]'), mask(9, 'ping'), mask(1, '421["echo",2]'), mask(8, '\x03\xe8'),
      ]),
    );
    await assertWell(server);
  });

  test('of an upgrade', async () => {
    await leaveEverywhere(server, async () => {
      const { sid } = await Polling.open(server, { join: true });
      return Buffer.concat([upgrade(`/socket.io/?EIO=4&transport=websocket&sid=${sid}`), mask(1, '2probe'), mask(1, '5'), mask(1, '42["echo",1]')]);
    });
    await assertWell(server);
  });
});

/* Nobody forgets a session here, and those who stay are not hurried by pings. */
describe('a client that leaves, and others that stay', () => {
  let server;

  before(async () => (server = await startWith(PLUGINS)));
  after(() => server.stop());

  test('while everybody is sent to', async () => {
    const talker = await RawWebSocket.open(server, { join: true });
    let isOver = false;
    const talk = (async () => {
      while (!isOver) {
        talker.send('42["blast",3,2000]', '42["shout","x"]', '3');
        await talker.message();
        talker.messages.length = 0;
      }
    })();

    for (let i = 0; i < 150; i++) {
      const raw = await RawWebSocket.open(server, { join: true });
      raw.send('42["join","den"]', '42["login","passer-by"]');
      if (i % 3 === 0) raw.ws._socket.resetAndDestroy();
      else if (i % 3 === 1) raw.ws._socket.destroy();
      else raw.send('41');
      if (i % 3 === 2) raw.ws.terminate();
    }
    isOver = true;
    await talk;
    await talker.close();
    await assertWell(server);
  });

  /* C06: what CVE-2022-41940 was. Each of these is refused, if it gets that far. */
  test('C06: of 1,000 and more bad upgrades', async () => {
    const WS = '/socket.io/?EIO=4&transport=websocket';
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
    const both = ['Connection: Upgrade', 'Upgrade: websocket'];
    const { sid } = await Polling.open(server);
    const BAD = [
      ['wrong version', head(`GET ${WS}`, ...both, 'Sec-WebSocket-Version: 12', key), 426],
      ['no key', head(`GET ${WS}`, ...both, 'Sec-WebSocket-Version: 13'), 400],
      ['bad key', head(`GET ${WS}`, ...both, 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: abc'), 400],
      ['unknown sid', upgrade(`${WS}&sid=${'A'.repeat(sid.length)}`), 400],
      ['no transport', upgrade('/socket.io/?EIO=4'), 400],
      ['polling', upgrade(ENGINE), 400],
      ['POST', Buffer.from(upgrade(`${WS}&sid=${sid}`).toString().replace('GET', 'POST')), 400],
      ['EIO=3', upgrade(WS.replace('4', '3')), 400],
      ['Origin', head(`GET ${WS}`, ...both, 'Sec-WebSocket-Version: 13', key, 'Origin: http://evil.example'), 403],
    ];
    let n = 0;

    for (const [name, bytes, status] of BAD) {
      const tcp = await Tcp.open(server);

      await tcp.write(bytes);
      assert.equal((await tcp.response()).status, status, name);
      await tcp.close();
      await inGroups(bytes.length + 1, async (at) => {
        await leaveAfter(server, bytes, at, true);
        if (isLong) await leaveAfter(server, bytes, at, false);
      });
      n += bytes.length + 1;
    }
    assert.ok(n >= 1000, `${n} bad upgrades`);
    await request(server, `${ENGINE}&sid=${sid}`, { method: 'POST', body: '1' });
    await assertWell(server);
  });

  /* C09: a WebSocket more than there may be, cut after each byte. */
  test('C09: of a second WebSocket, before, during and after the upgrade', async () => {
    const ws = (sid) => upgrade(`/socket.io/?EIO=4&transport=websocket&sid=${sid}`);

    for (const when of ['before', 'during', 'after']) {
      const { length } = Buffer.concat([ws('A'.repeat(26)), mask(1, '2probe'), mask(1, '5')]);

      await inGroups(isLong ? length + 1 : length / 3, async (i) => {
        const polling = await Polling.open(server, { join: true });
        const raw = await RawWebSocket.open(server, { sid: polling.sid });

        if (when !== 'before') {
          raw.send('2probe');
          assert.equal(await raw.message(), '3probe');
        }
        if (when === 'after') raw.send('5', '421["echo","on it"]');
        if (when === 'after') assert.equal(await raw.message(), '431["on it"]');
        await leaveAfter(server, Buffer.concat([ws(polling.sid), mask(1, '2probe'), mask(1, '5')]), isLong ? i : 3 * i, i % 2 === 0);
        if (when === 'before') raw.send('2probe');
        if (when === 'before') assert.equal(await raw.message(), '3probe');
        if (when !== 'after') raw.send('5');
        raw.send('422["echo","still here"]');
        assert.equal(await raw.message(), '432["still here"]');
        await raw.close();
      });
    }
    await assertWell(server);
  });
});

/* ---- the steps of a login, and the ways to leave */

/* Over either transport: say() and the next message; leave() in one of the ways. */
const LEAVES = {
  RST: (client) => cut(client, (tcp) => tcp.resetAndDestroy()),
  FIN: (client) => cut(client, (tcp) => tcp.end(() => tcp.destroy())),
  async 'close packet'({ say }) {
    await say('1');
  },
  async 'DISCONNECT, then RST'(client) {
    if (client.hasJoined) await client.say('41');
    await LEAVES.RST(client);
  },
};

/* Over polling, a poll is cut, and again: the server may have had an answer for it. */
async function cut({ tcp, polling, say }, end) {
  if (tcp) {
    end(tcp);
    return;
  }
  for (let status = 200; status === 200; ({ status } = await say('3'))) {
    const held = await Tcp.open(polling.server);

    await held.write(head(`GET ${polling.path}`));
    end(held.socket);
  }
}

/* Says that it goes, and polls what is left for it, so that the server need not keep it. */
async function forget({ tcp, polling, say }) {
  for (let status = tcp ? 400 : 200; status === 200; ) {
    const answer = within(polling.get(), 'the last poll');

    await say('1');
    ({ status } = await answer);
  }
  tcp?.destroy();
}

/* What a client of the article does, in steps; at: the step behind which it leaves. */
const STEPS = [
  ['the handshake', async () => {}],
  ['CONNECT', async (client) => {
    await client.say('40');
    client.hasJoined = true;
  }],
  ['its reply', async (client) => assert.match(await client.hear(), /^40/)],
  ['login', async (client) => client.say(`42["login","${client.name}"]`)],
  ['welcome', async (client) => assert.equal(await client.hear(), '42["welcome"]')],
  ['userJoined', async (client) => assert.equal(await client.hear(), `42["userJoined","${client.name}"]`)],
  ['onlineUsers', async (client) => client.say('42["onlineUsers"]')],
  ['its answer', async (client) => assert.match(await client.hear(), /^42\["onlineUsers"/)],
  ['chat', async (client) => client.say('42["chat","hello"]')],
];

async function openBy(transport, server) {
  if (transport === 'polling') {
    const polling = await Polling.open(server);
    return { polling, say: (...packets) => polling.post(packets.join(SEPARATOR)), hear: () => polling.packet() };
  }
  const raw = await RawWebSocket.open(server);
  await raw.message(); /* open */
  return { tcp: raw.ws._socket, say: async (...packets) => raw.send(...packets), hear: () => raw.message() };
}

describe('a client leaves at each step of a login', () => {
  let server;

  before(async () => (server = await startWith(['auth', 'lobby', 'echo'])));
  after(() => server.stop());

  for (const transport of ['polling', 'websocket'])
    test(`C54: over ${transport}: its name is free again, and each who joined is told to have left`, async () => {
      const witness = await connect(server);

      witness.emit('login', 'witness');
      await hear(witness, 'welcome');
      for (const [way, leave] of Object.entries(LEAVES))
        for (const [at, [step]] of STEPS.entries()) {
          const client = await openBy(transport, server);

          client.name = `ghost ${at}`;
          for (const [, act] of STEPS.slice(0, at + 1)) await act(client);
          await leave(client);
          await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1 && metrics.get('sockhop_sessions{transport="polling"}') === 0, 15000);
          await settle(witness);
          const joined = heard(witness, 'userJoined').map(([name]) => name);
          const left = heard(witness, 'userLeft').map(([name]) => name);
          assert.deepEqual(joined.slice(1), left, `${way} behind ${step}`);
          assert.deepEqual(await ask(witness, 'onlineUsers'), [{ ok: true, users: ['witness'] }]);
        }
      assert.ok(heard(witness, 'userLeft').length >= 4 * Object.keys(LEAVES).length, 'some had got in');
      witness.disconnect();
      await allGone(server);
    });

  test('C54: login twice, disconnect twice: nothing is doubled, nobody else is hurt', async () => {
    const [ada, bob] = [await connect(server), await connect(server)];

    ada.emit('login', 'ada');
    await hear(ada, 'welcome');
    bob.emit('login', 'bob');
    await hear(bob, 'welcome');
    ada.emit('login', 'ada');
    ada.emit('login', 'eve');
    await hear(ada, 'loginNameExists', 2);
    ada.emit('chat', 'once');
    await Promise.all([settle(ada), settle(bob)]);
    for (const socket of [ada, bob]) assert.equal(heard(socket, 'chat').length, 1);
    const raw = await RawWebSocket.open(server, { join: true });
    raw.send('42["login","twice"]', '41', '41', '1', '1');
    await raw.end();
    await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 2, 15000);
    await settle(bob);
    assert.deepEqual(heard(bob, 'userLeft'), [['twice']]);
    assert.deepEqual(await ask(bob, 'onlineUsers'), [{ ok: true, users: ['ada', 'bob'] }]);
    ada.disconnect();
    bob.disconnect();
    await allGone(server);
  });

  test('C48: what only the server may say, empty names: the client that says it is closed, or not heard', async () => {
    const SAID = ['44', '44{"message":"x"}', '0', '2', '40', '4', '42', '42[]', '42[null]', '42[{}]', '4', '45', '46', '42["connect"]', '42["disconnect"]', '42["disconnecting"]', '42["connect_error"]', '42["newListener"]', '42["removeListener"]', '42["welcome"]', '42["userJoined","x"]', '42["userLeft","bob"]', '42["onlineUsers",[]]', '42[""]', '42["login",""]', '42["join",""]', '430[]', '43[]', '3probe', '5', '6'];
    const bob = await connect(server);

    bob.emit('login', 'bob');
    await hear(bob, 'welcome');
    for (const transport of ['polling', 'websocket'])
      for (const said of SAID) {
        const client = await openBy(transport, server);

        await client.say('40');
        await client.say(said);
        await forget(client);
        await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1, 15000);
      }
    await settle(bob);
    for (const event of ['userJoined', 'userLeft'])
      assert.deepEqual(heard(bob, event).filter(([name]) => name !== 'bob'), []);
    assert.deepEqual(await ask(bob, 'onlineUsers'), [{ ok: true, users: ['bob'] }]);
    bob.disconnect();
    await allGone(server);
  });
});

describe('both ends at once', () => {
  let server;

  before(async () => (server = await startWith(['echo', 'rooms', 'kick'])));
  after(() => server.stop());

  /* What the client says in the same segment as its request to be ended, or right behind it. */
  const ENDS = {
    'close packet': async (client) => client.say('1'),
    DISCONNECT: async (client) => client.say('41'),
    'DISCONNECT and CONNECT': async (client) => client.say('41', '40'),
    'bad packet': async (client) => client.say('x'),
    ...LEAVES,
  };

  for (const transport of ['polling', 'websocket'])
    test(`over ${transport}: the server ends it, and it ends itself, in the same turn`, async () => {
      const before = await server.metrics();
      const closed = (metrics) => [...metrics].filter(([name]) => name.startsWith('sockhop_sessions_closed_total')).reduce((sum, [, n]) => sum + n, 0);
      let n = 0;

      for (const kick of ['kick', 'kick-hard'])
        for (const end of Object.values(ENDS))
          await inGroups(isLong ? 200 : 10, async () => {
            const client = await openBy(transport, server);

            client.hasJoined = true;
            n++;
            await client.say('40', '42["join","den"]', '42["burst",3]');
            const kicked = client.say(`42["${kick}"]`);
            await end(client);
            await kicked;
            await forget(client);
          });
      await allGone(server);
      assert.equal(closed(await server.metrics()) - closed(before), n); /* each once */
    });
});
