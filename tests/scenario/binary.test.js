/*
 * binary.test.js - binary data in events and acks (docs/PROTOCOL.md 1.5): packets with attachments
 * both ways, what a relay keeps, what is refused, what half a packet may cost.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { Polling, RawWebSocket, TRANSPORTS, allGone, ask, closeClients, connect, hear, heard, startWith } from '../lib/client.js';
import { Frames, OPCODE, frame } from '../lib/frames.js';

afterEach(closeClients);

const PLUGINS = ['echo', 'rooms', 'binary'];
const DEBUG = '[log]\nlevel = debug\n';
const holder = (num) => `{"_placeholder":true,"num":${num}}`;
const bytes = (n) => Buffer.from(Array.from({ length: n }, (_, i) => i & 255));

for (const [choice, transports] of Object.entries(TRANSPORTS))
  describe(`binary data over ${choice}`, () => {
    let server;

    before(async () => (server = await startWith(PLUGINS)));
    after(() => server.stop());

    /* What comes back is Buffers. */
    const LISTS = [
      [Buffer.from('abc')], [Buffer.alloc(0)], [1, bytes(256), 'two'], [{ a: [Buffer.from('x'), { b: Buffer.from('y') }] }, null, Buffer.from('z')],
      [[Buffer.from('a')], { _placeholder: false, num: 3 }, Buffer.from('b')], [bytes(125), bytes(126), bytes(127)], [bytes(65535), bytes(65536)],
      [bytes(511), bytes(512), bytes(513), bytes(4096), bytes(4097)], [bytes(300000), 'a text between', bytes(1), bytes(400000)],
      Array.from({ length: 10 }, (_, i) => bytes(i)), [{ '"': Buffer.from('q') }, '\u0000', '\ud83d\ude00', 1e21, Buffer.from('r')],
    ];

    test('events and acks bring every list of arguments back', async () => {
      const socket = await connect(server, { transports });

      for (const [i, list] of LISTS.entries()) {
        assert.deepEqual(await ask(socket, 'echo', ...list), list);
        socket.emit('echo', ...list);
        assert.deepEqual(await hear(socket, 'echo', i + 1), list);
      }
      socket.disconnect();
      await allGone(server);
    });

    test('a typed array and an ArrayBuffer arrive as their bytes', async () => {
      const socket = await connect(server, { transports });

      assert.deepEqual(await ask(socket, 'echo', new Uint8Array([1, 2, 3]), new Uint8Array([9, 8]).buffer), [Buffer.from([1, 2, 3]), Buffer.from([9, 8])]);
      assert.deepEqual(await ask(socket, 'what', new Uint8Array([1, 2, 3]), 'x', [Buffer.from([4])], Buffer.alloc(0)), [3, [3, null, null, 0], 10]);
      socket.disconnect();
      await allGone(server);
    });

    test('a plugin makes binary data and takes it apart', async () => {
      const socket = await connect(server, { transports });

      for (const size of [0, 1, 125, 126, 4097, 70000]) assert.deepEqual(await ask(socket, 'make', size), [bytes(size)]);
      assert.deepEqual(await ask(socket, 'nest'), [{ a: [Buffer.from('a'), { b: Buffer.from('b') }] }, 5, Buffer.alloc(0)]);
      assert.deepEqual(await ask(socket, 'attachment', 1, Buffer.from('no'), { yes: Buffer.from('yes') }), [Buffer.from('yes')]);
      assert.deepEqual(await ask(socket, 'attachment', 2, Buffer.from('no')), [null]);
      assert.deepEqual(await ask(socket, 'attachment', 0), [null]);
      socket.disconnect();
      await allGone(server);
    });

    test('arguments that change their places keep their data', async () => {
      const socket = await connect(server, { transports });
      const [a, b] = [{ deep: [Buffer.from('a'), Buffer.from('aa')] }, [Buffer.from('b')]];

      assert.deepEqual(await ask(socket, 'turn', a, b), [b, Buffer.from('between'), a]);
      assert.deepEqual(await ask(socket, 'turn', a, 'left out', 7), [7, Buffer.from('between'), a]);
      socket.disconnect();
      await allGone(server);
    });

    test('C11: what looks like a placeholder is no other\'s data', async () => {
      const socket = await connect(server, { transports });

      for (const fake of [{ _placeholder: true, num: 0 }, { _placeholder: true, num: 7 }, { a: [{ num: -1, _placeholder: true }] }])
        for (const [first, ...rest] of [await ask(socket, 'beside', fake)]) {
          assert.deepEqual(first, Buffer.from('real'));
          assert.deepEqual(rest, [JSON.parse(JSON.stringify(fake).replace('true', '1')), JSON.parse(JSON.stringify(fake).replace('true', '1'))]);
        }
      assert.deepEqual(await ask(socket, 'echo', { _placeholder: true, num: 7 }), [{ _placeholder: true, num: 7 }]);
      socket.disconnect();
      await allGone(server);
    });

    test('the server asks with binary data, and a client answers with it', async () => {
      const socket = await connect(server, { transports });

      socket.on('question', (...args) => args.pop()({ answer: [Buffer.from('it')] }, ...args));
      for (const [i, list] of [[Buffer.from('what')], ['text'], [{ a: Buffer.alloc(0) }, bytes(5000)]].entries()) {
        socket.emit('question', ...list);
        assert.deepEqual((await hear(socket, 'question', i + 1)).slice(0, -1), list);
        assert.deepEqual(await hear(socket, 'answer', i + 1), [{ answer: [Buffer.from('it')] }, ...list]);
      }
      socket.disconnect();
      await allGone(server);
    });

    test('everyone in a room gets it, once, in order with all else', async () => {
      const sockets = await Promise.all(Object.values(TRANSPORTS).map((each) => connect(server, { transports: each })));
      const sender = await connect(server, { transports });

      for (const socket of sockets) await ask(socket, 'join', 'den');
      for (let i = 0; i < 20; i++) sender.emit('say', 'den', i, i % 3 ? 'text' : { i: [bytes(i * 97)] });
      for (const socket of sockets) {
        await hear(socket, 'said', 20);
        assert.deepEqual(heard(socket, 'said'), Array.from({ length: 20 }, (_, i) => ['den', i, i % 3 ? 'text' : { i: [bytes(i * 97)] }]));
      }
      closeClients();
      await allGone(server);
    });

    test('more than stock clients take is not sent', async () => {
      const socket = await connect(server, { transports });

      assert.deepEqual(await ask(socket, 'many', 11), [false]);
      assert.deepEqual(await ask(socket, 'many', 10), [true]);
      assert.deepEqual(await hear(socket, 'many'), Array.from({ length: 10 }, (_, i) => Buffer.from([i])));
      socket.disconnect();
      await allGone(server);
    });
  });

/* ---- on the wire */

describe('packets with attachments', () => {
  let server;

  before(async () => (server = await startWith([...PLUGINS, 'auth', 'lobby'], { config: DEBUG })));
  after(() => server.stop());

  /* Everything that JSON allows and JavaScript changes. */
  const EXACT =
    '1.0,-0,1e400,123456789012345678901234567890,18446744073709551615,0.10000000000000000001,"\\ud800","\\u0000","\\udc00x","\\/\\u00e9",' +
    '{"a":1,"a":2,"__proto__":[ ]} , [ 1 , 2 ]';

  test('a relay keeps every byte of the text, with attachments and without', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    raw.send(`421["echo",${EXACT}]`);
    assert.equal(await raw.message(), `431[${EXACT.replace(' , [', ',[')}]`);
    raw.send(`452-7["echo",${EXACT},{ "x" : ${holder(1)}},${holder(0)}]`, Buffer.from('0'), Buffer.from('1'));
    assert.equal(await raw.message(), `462-7[${EXACT.replace(' , [', ',[')},{ "x" : ${holder(0)}},${holder(1)}]`);
    assert.deepEqual([await raw.message(), await raw.message()], [Buffer.from('1'), Buffer.from('0')]);
    await raw.close();
    await allGone(server);
  });

  test('only what an argument names goes along, and twice is once', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    raw.send(`453-["echo",${holder(2)},[${holder(2)}]]`, Buffer.from('a'), Buffer.from('b'), Buffer.from('c'));
    assert.equal(await raw.message(), `451-["echo",${holder(0)},[${holder(0)}]]`);
    assert.deepEqual(await raw.message(), Buffer.from('c'));
    raw.send('452-["echo","none"]', Buffer.from('a'), Buffer.from('b'));
    assert.equal(await raw.message(), '42["echo","none"]');
    raw.send(`450-["echo",${holder(0)}]`); /* none: data */
    assert.equal(await raw.message(), `42["echo",${holder(0)}]`);
    await raw.close();
    await allGone(server);
  });

  test('the rows of a payload: text, then b and base64, and in a POST the same', async () => {
    const polling = await Polling.open(server, { join: true });

    await polling.send(`452-["echo",${holder(0)},${holder(1)}]`, 'bYWJj', 'b');
    assert.deepEqual([await polling.packet(), await polling.packet(), await polling.packet()], [`452-["echo",${holder(0)},${holder(1)}]`, 'bYWJj', 'b']);
    await polling.send(`451-["echo",${holder(0)}]`); /* in two requests */
    await polling.send('bAQI=');
    assert.deepEqual([await polling.packet(), await polling.packet()], [`451-["echo",${holder(0)}]`, 'bAQI=']);
    await polling.send('1');
    await allGone(server);
  });

  test('a ping between a text and its attachments changes nothing', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    raw.send(`451-["echo",${holder(0)}]`, '3', '6');
    raw.ws.ping('x');
    raw.send(Buffer.from('x'));
    assert.equal(await raw.message(), `451-["echo",${holder(0)}]`);
    await raw.close();
    await allGone(server);
  });

  test('the attachments may come behind an upgrade', async () => {
    const polling = await Polling.open(server, { join: true });
    const raw = await RawWebSocket.open(server, { sid: polling.sid });

    await polling.send(`452-["echo",${holder(0)},${holder(1)}]`, 'bYWJj');
    raw.send('2probe');
    assert.equal(await raw.message(), '3probe');
    raw.send('5', Buffer.from('late'));
    assert.equal(await raw.message(), `452-["echo",${holder(0)},${holder(1)}]`);
    assert.deepEqual([await raw.message(), await raw.message()], [Buffer.from('abc'), Buffer.from('late')]);
    await raw.close();
    await allGone(server);
  });

  test('CVE-2026-69185: a packet of 0 attachments is complete, and nothing can be piled up behind it', async () => {
    const raw = await RawWebSocket.open(server, { join: true });

    for (let i = 0; i < 3; i++) {
      raw.send(`450-${i}["echo","a"]`);
      assert.equal(await raw.message(), `43${i}["a"]`);
    }
    raw.send('460-1[]', '42["echo","b"]');
    assert.equal(await raw.message(), '42["echo","b"]');
    raw.send(Buffer.alloc(1000));
    assert.equal((await raw.end()).code, 1008);
    await allGone(server);
  });

  const REASONS = [
    ['a text while an attachment is due', ['452-["echo"]', Buffer.from('x'), '42["echo"]'], 'text, and a packet waits for its attachments'],
    ['a disconnect while one is due', ['451-["echo"]', '41'], 'text, and a packet waits for its attachments'],
    ['another binary packet while one is due', ['451-["echo"]', '451-["echo"]'], 'text, and a packet waits for its attachments'],
    ['one attachment more than announced', ['451-["nobody"]', Buffer.from('x'), Buffer.from('y')], 'binary message, and no packet waits for one'],
    ['binary data that no packet announced', [Buffer.from('x')], 'binary message, and no packet waits for one'],
    ['a placeholder of no attachment', [`451-["echo",${holder(1)}]`], 'placeholder of no attachment'],
    ['a placeholder of no attachment in an ack', [`461-1[{"a":${holder(1)}}]`], 'placeholder of no attachment'],
    ['C13: 11 attachments', ['4511-["echo"]'], 'too many attachments'],
    ['a binary event of a namespace it did not join', ['451-/other,["echo"]'], 'packet for a namespace that was not joined', 1000],
    ['C13: attachments of 1 MB and a byte', ['453-["echo"]', Buffer.alloc(500000), Buffer.alloc(500000), Buffer.alloc(1)], 'attachments larger than max_attached'],
  ];

  for (const [what, messages, reason, code = 1008] of REASONS)
    test(`${what} closes the connection, and the log says why`, async () => {
      const n = server.log.length;
      const raw = await RawWebSocket.open(server, { join: true });

      raw.send(...messages);
      assert.equal((await raw.end()).code, code);
      const polling = await Polling.open(server, { join: true });
      const held = polling.get();
      for (const message of messages)
        await polling.post(typeof message === 'string' ? message : `b${message.toString('base64')}`);
      assert.equal((await held).text, '1');
      await allGone(server);
      assert.equal(server.log.slice(n).filter((line) => line.includes('sio.refused') && line.includes(reason)).length, 2, server.log.slice(n).join('\n'));
    });

  test('attachments of 1 MB in all pass', async () => {
    const socket = await connect(server);
    const list = [Buffer.alloc(400000, 'a'), [Buffer.alloc(600000, 'b')]];

    assert.deepEqual(await ask(socket, 'echo', ...list), list);
    socket.disconnect();
    await allGone(server);
  });

  test('the article\'s chat passes binary messages on', async () => {
    const [ada, bob] = [await connect(server), await connect(server, { transports: TRANSPORTS.polling })];

    ada.emit('login', 'ada');
    await hear(ada, 'welcome');
    for (const [i, message] of [Buffer.from('hello'), Buffer.alloc(0), { photo: bytes(60000), of: ['me'] }, [[bytes(3)], bytes(2)]].entries()) {
      assert.deepEqual(await ask(ada, 'chat', message, Buffer.from('a further argument is left out')), [{ ok: true }]);
      assert.deepEqual(await hear(bob, 'chat', i + 1), [{ sender: 'ada', message }]);
      assert.deepEqual(await hear(ada, 'chat', i + 1), [{ sender: 'ada', message }]);
    }
    assert.equal((await ask(ada, 'chat', bytes(65536)))[0].error.code, 'too_long');
    assert.equal((await ask(ada, 'chat', 'short', bytes(65536)))[0].error.code, 'too_long');
    closeClients();
    await allGone(server);
  });

  test('nobody is there any more when the last attachment comes', async () => {
    for (const cut of [0, 1, 20, 40]) {
      const it = await Frames.open(server);
      const whole = Buffer.concat([frame(OPCODE.text, `452-1["echo",${holder(0)},${holder(1)}]`), frame(OPCODE.binary, 'first'), frame(OPCODE.binary, 'second')]);

      await it.write(whole.subarray(0, whole.length - cut));
      it.socket.destroy();
      await it.closed();
    }
    await allGone(server);
  });
});

/* ---- what half a packet may cost */

describe('half a packet', () => {
  test('C13: expires, and one that is on its way does not', async (t) => {
    const server = await startWith(['echo'], { config: `[limits]\nattachment_timeout = 2s\n${DEBUG}` });
    t.after(() => server.stop());
    const slow = await Frames.open(server);
    const half = await RawWebSocket.open(server, { join: true });
    const polled = await Polling.open(server, { join: true });
    const data = frame(OPCODE.binary, 'slowly');

    await slow.text(`451-["echo",${holder(0)}]`);
    await slow.write(data.subarray(0, data.length - 1));
    half.send('452-["echo"]', Buffer.from('x'));
    const held = polled.get();
    await polled.send('451-["echo"]');
    await server.waitMetrics((metrics) => metrics.get('sockhop_incomplete_packets') === 3 && metrics.get('sockhop_incomplete_bytes') > 0);
    assert.equal((await half.end()).code, 1008);
    assert.equal((await held).text, '1');
    await server.waitLog(/session\.closed .*detail="an attachment did not come"/);
    await server.waitMetrics((metrics) => metrics.get('sockhop_incomplete_packets') === 1);
    await slow.write(data.subarray(data.length - 1));
    assert.equal(await slow.message(), `451-["echo",${holder(0)}]`);
    assert.equal(await slow.message(), 'slowly');
    await slow.close();
    await allGone(server);
  });

  test('limits are keys', async (t) => {
    const server = await startWith(['echo', 'binary'], { config: '[engine]\nmax_attachments = 2\n[limits]\nmax_attached = 5\n' });
    t.after(() => server.stop());
    const raw = await RawWebSocket.open(server, { join: true });

    raw.send(`452-["echo",${holder(0)},${holder(1)}]`, Buffer.from('abc'), Buffer.from('de'));
    assert.equal(await raw.message(), `452-["echo",${holder(0)},${holder(1)}]`);
    await raw.message();
    await raw.message();
    raw.send('421["many",3]', '422["many",2]');
    assert.equal(await raw.message(), '431[false]');
    assert.match(await raw.message(), /^452-\["many",/);
    await raw.message();
    await raw.message();
    assert.equal(await raw.message(), '432[true]');
    raw.send('453-["echo"]');
    assert.equal((await raw.end()).code, 1008);
    const over = await RawWebSocket.open(server, { join: true });
    over.send('452-["echo"]', Buffer.from('abc'), Buffer.from('def'));
    assert.equal((await over.end()).code, 1008);
    await allGone(server);
  });
});
