/*
 * model.test.js - the session's state machine against a model (threats.md T25): many sessions at
 * once do at random what clients may do and what they must not, in any interleaving, on connections
 * of which this test says every byte. lib/model.js tells which answers are possible.
 *
 * SOCKHOP_SEED=n repeats the choices of a run; SOCKHOP_LONG=1: 100,000 actions. Plugin: ledger.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { ENGINE, RawWebSocket, SEPARATOR, allGone, closeClients, startWith, within } from '../lib/client.js';
import { OPCODE, frame } from '../lib/frames.js';
import { SessionModel, Streams, THE_END } from '../lib/model.js';
import { UPGRADE, Wire, fragments, requestBytes } from '../lib/wire.js';

afterEach(closeClients);

const isLong = process.env.SOCKHOP_LONG === '1';
const N_ACTIONS = Number(process.env.SOCKHOP_ACTIONS ?? (isLong ? 100000 : 5000));
const WAIT_MS = 30000;
const AT_ONCE = 16; /* sessions */
const MAX_STEPS = 60; /* of a session */
const MAX_OPEN = 4; /* things sent that the server may not have taken: what the model has to guess grows fast */
const TEXT = 'Content-Type: text/plain;charset=UTF-8';

/* Numbers in [0, 1) that a seed decides: mulberry32. */
function randomOf(seed) {
  let state = seed >>> 0;

  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/* What a response says, in the words of the model; packets: the events in it. */
function read(kind, { status, text, headers }) {
  if (status === 101) return { what: 'switched' };
  if (status === 426) return { what: 'wrong version' };
  if (status === 500) return { what: 'wrong method' };
  if (status === 400 && text === '') return { what: 'refused' };
  if (status === 400 && /^(\{"code":1,"message":"Session ID unknown"\}|Session ID unknown)$/.test(text)) return { what: 'unknown sid' };
  if (status === 400 && /^(\{"code":3,"message":"Bad request"\}|Bad request)$/.test(text)) return { what: 'bad request' };
  if (status === 200 && kind === 'get') {
    const packets = text.split(SEPARATOR);

    assert.match(headers['content-type'], /^text\/plain/);
    if (packets.at(-1) === '1') return { what: 'close', packets: packets.slice(0, -1) };
    if (packets.at(-1) === '6') return { what: 'noop', packets: packets.slice(0, -1) };
    return { what: 'data', packets };
  }
  if (status === 200 && text === 'ok') return { what: 'ok' };
  return { what: `${status} ${text}` };
}

/* All orders of a few things. */
function ordersOf(list) {
  if (list.length < 2) return [list];
  return list.flatMap((first, i) => ordersOf([...list.slice(0, i), ...list.slice(i + 1)]).map((rest) => [first, ...rest]));
}

class Session {
  constructor(run, name) {
    Object.assign(this, { run, name, random: randomOf(run.seed * 1000003 + name), serial: 0, nCounted: 0, nStays: 0, nSteps: 0 });
    this.model = new SessionModel(`${name}`, run.hasPings);
    this.streams = new Streams();
    this.wires = {}; /* by role: polls, posts, other */
    this.opened = []; /* all connections it ever had */
    this.webSockets = []; /* open as far as we know */
    this.due = new Set(); /* promises of answers that must come */
    this.gets = new Set(); /* ids of GETs without an answer */
    this.answers = []; /* payloads of GETs that were out together: their order is open */
    this.behind = []; /* events by WebSocket, while a GET is out */
    this.books = new Map(); /* stay: what logic told at its end */
    this.partial = null; /* a POST half sent */
    this.isLeaving = false; /* a poll was aborted, so this is the end */
    this.isLossy = false; /* an answer may have been lost with its connection */
    this.isDone = false;
  }

  /* ---- choices */

  chance(p) {
    return this.random() < p;
  }

  upTo(n) {
    return 1 + Math.floor(this.random() * n);
  }

  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  /* ---- what is seen */

  guard(work) {
    if (this.run.hasFailed) return;
    try {
      work();
    } catch (error) {
      this.run.fail(this, error);
    }
  }

  onAnswer(id, kind, wire, answer) {
    if (!answer) {
      assert.ok(wire.isLast, `${id}: the connection was closed without an answer`);
      this.model.seenCut(id);
      this.gets.delete(id);
      this.drainAnswers();
      return;
    }
    const { what, packets } = read(kind, answer);

    this.model.note(`. ${id} ${what} ${packets ?? ''}`);
    this.model.seen(id, what);
    if (kind === 'get') {
      this.gets.delete(id);
      if (packets?.length) this.answers.push(packets);
      this.drainAnswers();
    }
    if (what === 'switched') this.adopt(wire);
  }

  /* Events are taken in the order in which the server sent them, as far as that is known. */
  drainAnswers() {
    if (this.gets.size > 0) return;
    this.feed(...ordersOf(this.answers.splice(0)).map((order) => order.flat()));
    this.feed(this.behind.splice(0));
  }

  feed(...orders) {
    if (this.isLossy) return;
    this.streams.feed(orders);
    for (const packet of orders[0])
      if (packet.startsWith('42["count"')) {
        [, this.lastCount] = JSON.parse(packet.slice(2));
        this.model.seenCounted(this.lastCount);
      }
  }

  adopt(wire) {
    this.webSockets.push(wire);
    wire.onFrame = (opcode, payload) => this.guard(() => this.onFrame(wire, opcode, payload));
    wire.onGone = () => this.guard(() => assert.ok(wire.isClosed, `${wire.id}: cut without a close frame`));
  }

  onFrame(wire, opcode, payload) {
    assert.ok(!wire.isClosed, `${wire.id}: a frame behind the close frame`);
    if (opcode === OPCODE.close) {
      wire.isClosed = true;
      this.webSockets = this.webSockets.filter((other) => other !== wire);
      this.model.seen(wire.id, `close ${payload.length ? payload.readUInt16BE(0) : 0}`);
      wire.write(frame(OPCODE.close, payload));
      wire.abort(false);
    } else if (opcode === OPCODE.pong) {
      wire.pong = payload.toString();
      this.model.seen(wire.id, `pong ${wire.pong}`);
    } else if (payload.toString() === '3probe') {
      this.model.seen(wire.id, 'probe');
    } else {
      const packet = payload.toString();
      assert.equal(opcode, OPCODE.text);
      this.model.note(`. ${wire.id} ${packet}`);
      if (!wire.hasData) this.model.seenData(wire.id);
      wire.hasData = true;
      if (this.gets.size) this.behind.push(packet);
      else this.feed([packet]);
    }
  }

  onBook(reason, kicked, counted, total, key) {
    this.books.set(key, { reason, kicked, counted, total });
    this.model.seenClosed(key, reason, counted);
  }

  /* ---- what is said */

  issue(op) {
    this.run.nActions++;
    this.model.issue(op);
  }

  async open() {
    const wire = await this.run.open();

    this.opened.push(wire);
    return wire;
  }

  /* A connection for requests; a role has one at a time. */
  async wire(role) {
    const wire = this.wires[role];

    if (wire && !wire.isOver && !wire.isGone && !wire.isLast && !wire.isWebSocket) return wire;
    return (this.wires[role] = await this.open());
  }

  isBehindGet(wire) {
    return [...this.gets].some((id) => this.model.ops.get(id).wire === wire.id);
  }

  /* One where the answer comes without further ado. */
  async freeWire(role) {
    const wire = await this.wire(role);

    return this.isBehindGet(wire) ? (this.wires[role] = await this.open()) : wire;
  }

  /* mustCome: whether the answer is sure to come without further ado. */
  request(wire, kind, bytes, { mustCome = kind !== 'get' && !this.isBehindGet(wire), ...op } = {}) {
    const id = `r${++this.serial}`;

    this.issue({ id, kind, wire: wire.id, ...op });
    if (kind === 'get') this.gets.add(id);
    const answer = new Promise((done) => {
      wire.request(bytes, (what) => {
        if (!wire.isOver) this.guard(() => this.onAnswer(id, kind, wire, what));
        done(what?.text);
      });
    });
    if (mustCome) this.mustCome(answer, id);
    return { id, answer };
  }

  mustCome(answer, id) {
    const due = within(answer, `session ${this.name}: answer to ${id}`, WAIT_MS);

    this.due.add(due);
    due.then(() => this.due.delete(due), (error) => this.run.fail(this, error));
  }

  get(wire) {
    return this.request(wire, 'get', requestBytes('GET', this.path));
  }

  post(wire, packets, { isOctets = false, isBadUtf8 = false } = {}) {
    const body = isBadUtf8 ? Buffer.from([0x34, 0xff]) : packets.join(SEPARATOR);
    const headers = [isOctets ? 'Content-Type: application/octet-stream' : TEXT];

    return this.request(wire, 'post', requestBytes('POST', this.path, { headers, body, isChunked: this.chance(0.2) }), { packets, isOctets, isBadUtf8 });
  }

  /* Texts, in one write. */
  sendOn(wire, texts) {
    const bytes = texts.map((text) => {
      this.issue({ key: `s${++this.serial}`, kind: 'send', wire: wire.id, text });
      return text.length > 3 && this.chance(0.2) ? fragments(text, this.upTo(4)) : frame(OPCODE.text, text);
    });

    wire.write(Buffer.concat(bytes));
  }

  /* One of the states that the session may be in. */
  likely() {
    const states = this.model.reach();

    return states.findLast((s) => s.life === 'open') ?? states.at(-1);
  }

  /* The WebSocket that the session is on, as it seems. */
  current() {
    const { ws } = this.likely();

    return ws && this.webSockets.find((wire) => wire.id === ws);
  }

  async say(...packets) {
    const ws = this.current();

    if (this.streams.list[0].hasPing && packets[0] !== '3') {
      for (const stream of this.streams.list) stream.hasPing = false;
      packets.unshift('3');
    }
    if (ws) this.sendOn(ws, packets);
    else return this.post(await this.wire(this.partial ? 'other' : 'posts'), packets);
    return null;
  }

  count() {
    return `42["count",${++this.nCounted}]`;
  }

  join() {
    return ['40', `42["iam","${this.name}.${++this.nStays}"]`];
  }

  abort(wire, isReset) {
    for (const id of this.gets)
      if (this.model.ops.get(id).wire === wire.id) {
        this.gets.delete(id);
        this.isLeaving = true; /* what is said after this may be taken before it */
        this.isLossy ||= this.model.may((s) => s.epoch) || this.run.hasPings;
      }
    this.issue({ key: `a${++this.serial}`, kind: 'abort', wire: wire.id, isReset });
    this.webSockets = this.webSockets.filter((other) => other !== wire);
    if (this.partial?.wire === wire) this.partial = null;
    wire.isClosed = true;
    wire.abort(isReset);
    this.drainAnswers();
  }

  /* ---- steps: [weight, what is done]; the weight is 0 where there is nothing to do it with */

  steps() {
    const s = this.likely();
    const ws = this.current();
    const probes = this.webSockets.filter((wire) => wire !== ws);
    const probe = probes.at(-1);
    const isOut = this.gets.size > 0;
    const polls = s.ws ? 0 : 1;

    return [
      [isOut ? 0 : s.ws ? 1 : 30, async () => this.get(await this.wire('polls'))],
      [isOut ? polls : 0, async () => this.get(await this.wire('other'))],
      [isOut ? 0 : polls, () => this.pollTwice()],
      [isOut ? 0 : 3, async () => this.pipelinePolls()],
      [s.isJoined ? 30 : this.isShy ? 0.3 : 3, async () => this.say(...Array.from({ length: this.upTo(3) }, () => this.count()))],
      [s.ws ? 1 : 2, async () => this.post(await this.wire(this.partial ? 'other' : 'posts'), [this.count()])],
      [this.partial || s.ws ? 0 : 6, () => this.beginPost()],
      [this.partial ? 20 : 0, () => this.endPost()],
      [this.partial ? 1 : 0, async () => this.post(await this.wire('other'), [this.count()])],
      [probe || s.ws ? 1 : 10, () => this.openProbe()],
      [probe ? 10 : 0, () => this.sendOn(probe, ['2probe'])],
      [probe ? 8 : 0, () => this.sendOn(probe, ['5'])],
      [probe ? 4 : 0, () => this.sendOn(probe, ['2probe', '5', this.count()])],
      [probe ? 2 : 0, () => this.sendOn(probe, [this.pick([this.count(), '4', '5x', '3probe', '2', '1', ''])])],
      [probe ? 0.5 : 0, () => this.sendBinary(probe)],
      [probe ? 1 : 0, () => this.closeFrame(probe)],
      [probe ? 1 : 0, () => this.abort(probe, this.chance(0.5))],
      [ws ? 3 : 0, () => this.ping(ws)],
      [ws ? 0.3 : 0, () => this.sendBinary(ws)],
      [s.isJoined ? 2 : this.isShy ? 0 : 10, () => this.say(...(s.isJoined ? ['41'] : []), ...this.join())],
      [s.isJoined ? 1 : 0, () => this.say('41')],
      [this.isShy ? 0 : 0.3, () => this.say(...this.join())],
      [0.5, () => this.say('42["soft"]')],
      [0.3, () => this.say('42["hard"]', this.count())],
      [this.isShy ? 0 : 1, () => this.say(this.pick(['3', '6', '5', '0', '40/nowhere,', '430[]', '42["unheard"]']), this.count())],
      [0.4, () => this.say(this.count(), this.pick(['2', '7', '', 'b!', 'bAAAA', '4', '45', '44', '42{}', '41{}', '2probe']), this.count())],
      [0.3, () => this.say(this.count(), '1', this.count())],
      [isOut && s.epoch ? 1 : 0.3, async () => this.abort(await this.wire('polls'), this.chance(0.5))],
      [isOut && !s.epoch ? 10 : 0, async () => this.abort(await this.wire('polls'), this.chance(0.5))],
      [this.partial ? 0.5 : 0, () => this.abort(this.partial.wire, this.chance(0.5))],
      [ws ? 0.3 : 0, () => this.abort(ws, this.chance(0.5))],
      [ws ? 0.3 : 0, () => this.closeFrame(ws)],
      [0.2, async () => this.post(await this.wire('other'), [this.count()], { isOctets: true })],
      [0.1, async () => this.post(await this.wire('other'), [], { isBadUtf8: true })],
      [1, async () => this.request(await this.wire('other'), 'put', requestBytes('PUT', this.path))],
      [1, async () => this.badUpgrade()],
      [this.partial || s.ws ? 0 : 4, () => this.pipelineWithOthers()],
      [15, () => this.run.tell(this.upTo(3))],
      [s.isJoined ? 5 : 0, () => this.sync()],
    ];
  }

  async step() {
    const steps = this.steps();
    let at = this.random() * steps.reduce((sum, [weight]) => sum + weight, 0);
    const [, act] = steps.find(([weight]) => (at -= weight) < 0) ?? steps.at(-1);

    await act();
    if (this.chance(0.7)) await Promise.all(this.due);
    if (this.model.nOpen() > MAX_OPEN || this.chance(this.isShy ? 0.5 : 0.1)) await this.settle();
  }

  /* Waits until all that was sent has been taken, but for GETs behind GETs. */
  async settle() {
    await Promise.all(this.due);
    const pings = this.webSockets.map((wire) => [wire, this.ping(wire)]);
    await this.until(() => pings.every(([wire, text]) => wire.isClosed || wire.pong === text), 'pongs');
    await this.until(() => !this.model.mustCome(), 'what is owed');
  }

  /* The second is not read before the first is answered. */
  async pipelinePolls() {
    const wire = await this.wire('polls');

    this.get(wire);
    this.get(wire);
  }

  async pollTwice() {
    const wires = [await this.wire('polls'), await this.freeWire('other')];

    for (const wire of wires) this.get(wire);
  }

  async beginPost() {
    const wire = await this.freeWire('posts');
    const packets = Array.from({ length: this.upTo(3) }, () => this.count());
    const bytes = requestBytes('POST', this.path, { headers: [TEXT], body: packets.join(SEPARATOR), isChunked: this.chance(0.3) });
    const head = bytes.indexOf('\r\n\r\n') + 4;
    const cut = head + Math.floor(this.random() * (bytes.length - head));
    const { id, answer } = this.request(wire, 'postBegins', bytes.subarray(0, cut), { mustCome: false });

    this.partial = { wire, id, answer, packets, rest: bytes.subarray(cut) };
    answer.then(() => {
      if (this.partial?.id === id) this.partial = null;
    });
  }

  endPost() {
    const { wire, id, answer, packets, rest } = this.partial;

    this.partial = null;
    this.issue({ id, key: `${id}.end`, kind: 'postEnds', wire: wire.id, packets });
    wire.write(rest);
    this.mustCome(answer, id);
  }

  async openProbe() {
    const wire = this.chance(0.5) ? await this.open() : await this.freeWire('other');

    if (this.wires.other === wire) this.wires.other = null;
    const { answer } = this.request(wire, 'upgrade', requestBytes('GET', this.path.replace('polling', 'websocket'), { headers: UPGRADE }));
    if (this.chance(0.3)) this.sendOn(wire, ['2probe']); /* in a hurry */
    else await answer;
  }

  async badUpgrade() {
    const headers = UPGRADE.map((header) => header.replace('13', '12'));

    this.request(await this.wire('other'), 'badUpgrade', requestBytes('GET', this.path.replace('polling', 'websocket'), { headers }));
  }

  sendBinary(wire) {
    this.issue({ key: `s${++this.serial}`, kind: 'send', wire: wire.id, text: 'binary', isBinary: true });
    wire.write(frame(OPCODE.binary, 'binary'));
  }

  closeFrame(wire) {
    const code = this.pick([0, 1000, 1001]);

    this.issue({ key: `s${++this.serial}`, kind: 'closeFrame', wire: wire.id, code });
    wire.write(frame(OPCODE.close, code ? Buffer.from([code >> 8, code & 255]) : ''));
  }

  ping(wire) {
    const key = `s${++this.serial}`;

    this.issue({ key, kind: 'ping', wire: wire.id, text: key });
    wire.write(frame(OPCODE.ping, key));
    return key;
  }

  /* On a connection that all sessions use, of both shards, some of them long gone. */
  async pipelineWithOthers() {
    const wire = await this.run.shared();
    const stranger = this.run.strangers.at(-1 - Math.floor(this.random() * this.run.strangers.length));

    this.run.askUnknown(this, wire, stranger);
    this.post(wire, [this.count()]);
    this.run.askUnknown(this, wire, this.chance(0.5) ? 'constructor' : stranger);
  }

  /* A number there and back: all that was sent before is here. */
  async sync() {
    if (this.isLossy || this.partial) return;
    await Promise.all(this.due);
    const post = await this.say(this.count());
    const n = this.nCounted;
    let isRefused = false;
    post?.answer.then((text) => (isRefused = text !== 'ok'));
    const isOver = () => this.lastCount >= n || isRefused || this.isLossy || this.model.may((s) => s.life !== 'open' || (!s.isJoined && !s.down.length) || !s.stay);
    const inTime = this.deadline(`count ${n} did not come back`);

    while (!isOver()) {
      inTime();
      if (this.current() || this.gets.size) await delay(1);
      else await Promise.race([this.get(await this.wire('polls')).answer, delay(1)]);
    }
  }

  /* ---- its life */

  async live() {
    const wire = await this.wire('posts');

    await new Promise((done) => {
      wire.request(requestBytes('GET', ENGINE), (answer) => {
        if (!answer) return; /* the run has failed */
        const open = JSON.parse(answer.text.slice(1));
        assert.deepEqual(Object.keys(open), ['sid', 'upgrades', 'pingInterval', 'pingTimeout', 'maxPayload']);
        this.sid = open.sid;
        done();
      });
    });
    this.run.nActions++;
    this.path = `${ENGINE}&sid=${this.sid}`;
    this.isShy = this.chance(0.2); /* never joins: whatever it gets is an answer to what it did */
    if (!this.isShy && this.chance(0.9)) await this.say(...this.join());
    while (this.nSteps++ < MAX_STEPS && !this.isLeaving && !this.isGone()) await this.step();
    await this.finish();
  }

  isGone() {
    return this.model.must((s) => s.life === 'dead');
  }

  async finish() {
    let hard = null;

    if (this.partial) {
      if (this.chance(0.5)) this.endPost();
      else this.abort(this.partial.wire, true);
    }
    await Promise.all(this.due);
    if (!this.isGone() && !this.isLeaving && this.chance(0.7)) await this.sync();
    if (!this.isLossy && this.model.must((s) => s.stay && !s.todo.length && !s.down.length) && this.chance(0.5)) {
      hard = this.streams.list[0].stay?.key;
      await this.say('42["hard"]');
    }
    if (this.isShy && this.gets.size && !this.isGone() && this.chance(0.7) && !this.wires.polls.isOver && !this.wires.polls.isGone) this.abort(this.wires.polls, this.chance(0.5));
    this.model.note(THE_END);
    await this.drain(hard !== null);
    await this.until(() => this.model.may((s) => !s.stay && !s.owed.length && !s.todo.length && Object.keys(s.closed).length === 0), 'the end of all');
    this.checkBooks(hard);
    for (const wire of this.opened) wire.abort(false);
    this.run.strangers.push(this.sid);
    this.isDone = true;
  }

  /* Polls until the session is no more: what it owes must come first. isKicked: the server has closed it. */
  async drain(isKicked) {
    const isOver = this.model.must((s) => s.life === 'dead' || s.todo.length > 0); /* as soon as our leaving is known */
    const isClosing = isKicked || isOver;
    const inTime = this.deadline('it does not end');

    for (let i = 0; !this.isGone(); i++) {
      inTime();
      if (!isClosing) {
        for (const ws of this.webSockets) this.sendOn(ws, ['1']);
        this.post(await this.freeWire('posts'), ['1']);
      }
      if (!this.gets.size) this.get(await this.wire('polls'));
      await delay(Math.min(10 * i, 500)); /* the server may have to hear of our leaving first */
      if (!isClosing) await Promise.all(this.due);
    }
  }

  async until(isSo, what) {
    const inTime = this.deadline(what);

    while (!isSo()) {
      inTime();
      await delay(2);
    }
  }

  /* A function that fails once it is too late. */
  deadline(what) {
    const end = Date.now() + WAIT_MS;

    return () => {
      assert.ok(!this.run.hasFailed, 'another session has failed');
      assert.ok(Date.now() < end, `${what}: not within ${WAIT_MS} ms; ${JSON.stringify(this.model.reach().slice(0, 3), null, 1)}`);
    };
  }

  checkBooks(hard) {
    assert.deepEqual(this.behind, []);
    if (!this.isLossy) this.run.nWhole += this.streams.check(this.books, hard);
  }
}

/* Sessions that share a server, its news, and a connection. */
class Run {
  constructor(server, seed, nActions, hasPings) {
    Object.assign(this, { server, seed, hasPings, max: nActions, nActions: 0, nSessions: 0, nWires: 0, nWhole: 0, wires: new Set(), sessions: new Map(), strangers: ['AAAAAAAAAAAAAAAAAAAAAAAAAA'] });
    this.failed = new Promise((_, fail) => (this.failWith = fail));
    this.failed.catch(() => {});
  }

  fail(session, error) {
    if (this.hasFailed) return;
    session.model.note(`! ${error.message}`);
    error.message = `seed ${this.seed}, session ${session.name} (sid of shard ${Buffer.from(session.sid ?? '', 'base64url')[0]})\n${session.model.text()}\n${error.message}`;
    this.hasFailed = true;
    this.failWith(error);
    for (const wire of this.wires) { /* so that nobody waits any longer */
      wire.socket.destroy();
      wire.cutAll();
    }
  }

  async open() {
    const wire = await within(Wire.open(this.server.port), 'TCP connect', WAIT_MS);

    wire.id = `w${++this.nWires}`;
    this.wires.add(wire);
    wire.socket.once('close', () => this.wires.delete(wire));
    return wire;
  }

  async shared() {
    const wire = await (this.sharedWire ??= this.open());

    if (!wire.isGone && !wire.isLast) return wire;
    this.sharedWire = null;
    return this.shared();
  }

  askUnknown(session, wire, sid) {
    const isGet = session.chance(0.5);

    this.nActions++;
    session.mustCome(
      new Promise((done) => {
        wire.request(requestBytes(isGet ? 'GET' : 'POST', `${ENGINE}&sid=${sid}`, isGet ? {} : { body: '42["count",0]' }), (answer) => {
          if (answer || !wire.isLast) session.guard(() => assert.equal(read('post', answer).what, 'unknown sid'));
          done();
        });
      }),
      'a request for nobody',
    );
  }

  tell(n) {
    this.nActions++;
    this.talker.send(`42["tell",${n}]`);
  }

  async watch() {
    const open = async (onEvent) => {
      const raw = await RawWebSocket.open(this.server, { join: true });

      raw.ws.removeAllListeners('message');
      raw.ws.on('message', (data) => {
        const text = data.toString();
        if (text === '2') raw.send('3');
        else if (text.startsWith('42["closed"')) onEvent(JSON.parse(text.slice(2)));
        else if (text.startsWith('431[')) onEvent(null);
      });
      return raw;
    };

    this.talker = await open(() => {});
    await within(
      new Promise((done) => {
        open((event) => (event ? this.onClosed(event) : done())).then((raw) => {
          this.watcher = raw;
          raw.send('421["watch"]');
        });
      }),
      'watch',
    );
  }

  onClosed([, key, reason, kicked, counted, total]) {
    const session = this.sessions.get(Number(key.split('.')[0]));

    session.guard(() => session.onBook(reason, kicked, counted, total, key));
  }

  async work(first) {
    for (let name = first; this.nActions < this.max && !this.hasFailed; name += AT_ONCE) {
      const session = new Session(this, name);

      this.sessions.set(name, session);
      this.nSessions++;
      try {
        await session.live();
      } catch (error) {
        this.fail(session, error);
      }
    }
  }

  async go() {
    await this.watch();
    await Promise.race([Promise.all(Array.from({ length: AT_ONCE }, (_, i) => this.work(i))), this.failed]);
    (await this.sharedWire)?.abort(false);
    this.talker.ws.terminate();
    this.watcher.ws.terminate();
  }
}

/* No deadline of the server decides here, but for the heartbeat in the second. */
for (const [title, interval, share] of [['', '10m', 0.7], [', with a heartbeat', '300ms', 0.3]])
  describe(`T25: sessions do what the model says${title}`, () => {
    const nActions = Math.round(N_ACTIONS * share);
    let server;

    before(async () => {
      const config = `[engine]\nping_interval = ${interval}\nping_timeout = 10m\nupgrade_timeout = 10m\nconnect_timeout = 10m\n[limits]\nkeep_alive = 10m\nbody_timeout = 10m\nmin_body_rate = 0\n`;
      server = await startWith(['ledger'], { config });
    });
    after(() => server.stop());

    test(`${nActions} random actions`, async (t) => {
      const seed = Number(process.env.SOCKHOP_SEED ?? Math.floor(Math.random() * 2 ** 31));
      const run = new Run(server, seed, nActions, title !== '');

      t.diagnostic(`SOCKHOP_SEED=${seed}`);
      await run.go();
      t.diagnostic(`${run.nActions} actions, ${run.nSessions} sessions, ${run.nWhole} ends with all events there`);
      const metrics = await server.metrics();
      for (const [name, value] of metrics) if (value && /upgrades|closed_total|moved/.test(name)) t.diagnostic(`${name} ${value}`);
      await allGone(server, 60000);
    });
  });
