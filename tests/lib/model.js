/*
 * model.js - what one session may do, whatever order the server takes its requests in.
 *
 * SessionModel keeps the set of all states that the server may be in. issue() adds something that
 * was sent: from then on the server may have taken it, or not yet. Each thing seen (seen*()) keeps
 * the states that explain it; when none is left, the server did what it must not. Order is known
 * only on one connection; what two connections say at once may be taken in either order, and so
 * may what logic sends down. Stream is the other half: every event arrives once and in order.
 *
 * Called by: model.test.js. The rules are those of PROTOCOL.md, 1.2, 1.3 and 1.12.
 *
 * A state:
 *   life     open; lingering (closed by the server, owes its last packets to a GET); dead
 *   owes     lingering: there are packets that go before the close packet
 *   ws       the WebSocket that the session is on, or null
 *   probe    the WebSocket that wants to take over, or null; isProbed: "2probe" was answered
 *   get      the held GET, post: the POST whose body is on its way, or null
 *   spoiled  POSTs that were answered when their head came
 *   isJoined, stay, counted: the shard's view; the stay that is open in logic, what it counted
 *   closed   {stay: "reason counted"}: ends that logic has not told yet
 *   down     what logic has sent and the shard has not taken: "left N" or "close"
 *   todo     issued, not taken; owed: "who=what": answered, not seen
 */
import assert from 'node:assert/strict';

const MAX_STATES = 50000;
const CLOSE_CODES = { 'parse error': 1008, 'transport error': 1008 }; /* else 1000 */

export const THE_END = '---- nothing new from here on';

function clone(s) {
  return { ...s, closed: { ...s.closed }, down: [...s.down], spoiled: [...s.spoiled], todo: [...s.todo], owed: [...s.owed] };
}

const owe = (s, who, what) => s.owed.push(`${who}=${what}`);

function closeStay(s, reason) {
  if (s.stay) s.closed[s.stay] = `${reason} [${s.counted}]`;
  s.stay = null;
  s.counted = '';
}

function dropProbe(s) {
  if (s.probe) owe(s, s.probe, 'close 1000');
  s.probe = null;
  s.isProbed = false;
}

/* Nothing of the session is left. */
function bury(s) {
  dropProbe(s);
  Object.assign(s, { life: 'dead', owes: false, post: null, isJoined: false, down: [] });
  s.ws = null;
}

/* The session ends at once; isTold: its WebSocket has got, or cannot get, a close frame. */
function end(s, reason, isTold = false) {
  if (s.life !== 'open') return [s];
  closeStay(s, reason);
  if (s.ws && !isTold) owe(s, s.ws, `close ${CLOSE_CODES[reason] ?? 1000}`);
  if (s.get) owe(s, s.get, reason === 'transport close' ? 'noop' : 'close');
  s.get = null;
  bury(s);
  return [s];
}

/* The server closes it: over polling, what is queued goes first, and nobody here knows what is. */
function close(s, reason) {
  if (s.life !== 'open') return [s];
  if (s.ws) return end(s, reason);
  const nothingQueued = clone(s);

  closeStay(s, reason);
  s.life = 'lingering';
  s.isJoined = false;
  s.down = [];
  s.owes = !s.get;
  if (s.get) owe(s, s.get, 'data');
  s.get = null;
  if (!s.isProbed) dropProbe(s);
  if (nothingQueued.get) return [s, ...end(nothingQueued, reason)];
  dropProbe(nothingQueued);
  closeStay(nothingQueued, reason);
  Object.assign(nothingQueued, { life: 'lingering', owes: false, isJoined: false, down: [] });
  return [s, nothingQueued];
}

/* ---- packets of the client; each returns the states that may follow */

function onEvent(s, [name, value]) {
  if (!s.isJoined) return close(s, 'forced server close');
  if (!s.stay) return [s]; /* logic has ended it, the shard does not know yet */
  if (name === 'count') s.counted += `${s.counted && ','}${value}`;
  if (name === 'soft') {
    closeStay(s, 'server namespace disconnect');
    s.down.push(`left ${s.epoch}`);
  }
  if (name === 'hard') {
    closeStay(s, 'forced server close');
    s.down.push('close');
    s.isClosing = true;
  }
  return [s];
}

function onMessage(s, text) {
  if (text === '40') {
    if (s.isJoined) return close(s, 'forced server close');
    s.isJoined = true;
    s.epoch++;
    return [s];
  }
  if (text === '41') {
    if (!s.isJoined) return close(s, 'forced server close');
    closeStay(s, 'client namespace disconnect');
    s.isJoined = false;
    return [s];
  }
  if (text.startsWith('40/')) return [s]; /* refused by logic */
  if (text.startsWith('42["iam"')) {
    if (!s.isJoined) return close(s, 'forced server close');
    if (!s.isClosing) s.stay = JSON.parse(text.slice(2))[1];
    return [s];
  }
  if (/^42\["(count|soft|hard|unheard)"/.test(text)) return onEvent(s, JSON.parse(text.slice(2)));
  if (/^43\d+\[/.test(text)) return s.isJoined ? [s] : close(s, 'forced server close');
  if (text === '44') return close(s, 'forced server close');
  return close(s, 'parse error');
}

/* The rest of a payload is not read once the session has ended. */
function onPackets(s, packets) {
  let states = [s];

  for (const packet of packets)
    states = states.flatMap((state) => {
      if (state.life !== 'open') return [state];
      switch (packet[0]) {
        case '4': return onMessage(state, packet);
        case '1': return end(state, 'transport close');
        case '2': return end(state, 'transport error');
        case '0': case '3': case '5': case '6': return [state];
        case 'b': return packet === 'b!' ? end(state, 'parse error') : close(state, 'parse error');
        default: return end(state, 'parse error');
      }
    });
  return states;
}

/* ---- what is done to a session: take.KIND(state, op) returns the states that may follow */

/* Whoever asks for what is not there. */
function refusal(s) {
  if (s.life === 'dead') return 'unknown sid';
  return s.ws ? 'bad request' : null;
}

function finishPost(s, op) {
  const refused = refusal(s);

  if (s.post === op.id) s.post = null;
  if (refused) {
    owe(s, op.id, refused);
    return [s];
  }
  if (op.isOctets || op.isBadUtf8) {
    owe(s, op.id, 'refused');
    return end(s, op.isOctets ? 'transport error' : 'parse error');
  }
  owe(s, op.id, 'ok');
  return s.life === 'open' ? onPackets(s, op.packets) : [s];
}

/* Returns whether the head of a POST was taken; else it is answered. */
function beginPost(s, op) {
  if (refusal(s) || !s.post) return true;
  owe(s, op.id, 'refused');
  s.spoiled.push(op.id);
  end(s, 'transport error');
  return false;
}

function giveUp(s) {
  dropProbe(s);
  return [s];
}

function switchOver(s) {
  const ws = s.probe;

  s.probe = null;
  s.isProbed = false;
  if (s.life === 'lingering') { /* its last packets go there */
    s.heir = ws;
    owe(s, ws, 'close 1000');
    bury(s);
    return [s];
  }
  s.ws = s.heir = ws;
  s.post = null;
  if (s.get) owe(s, s.get, 'noop');
  s.get = null;
  return [s];
}

function onProbe(s) {
  owe(s, s.probe, 'probe');
  s.isProbed = true;
  return [s];
}

const take = {
  get(s, op) {
    const refused = refusal(s);

    if (refused) {
      owe(s, op.id, refused);
    } else if (s.life === 'lingering') {
      owe(s, op.id, s.owes ? 'data' : 'close');
      if (!s.owes) bury(s);
      s.owes = false;
    } else if (s.get) {
      end(s, 'transport error');
      owe(s, op.id, 'refused');
    } else {
      s.get = op.id;
    }
    return [s];
  },

  post(s, op) {
    return beginPost(s, op) ? finishPost(s, op) : [s];
  },

  postBegins(s, op) {
    if (beginPost(s, op) && !refusal(s)) s.post = op.id;
    return [s];
  },

  postEnds(s, op) {
    return s.spoiled.includes(op.id) ? [s] : finishPost(s, op);
  },

  put(s, op) {
    owe(s, op.id, refusal(s) ?? 'wrong method');
    return [s];
  },

  badUpgrade(s, op) {
    owe(s, op.id, s.life === 'dead' ? 'unknown sid' : 'wrong version');
    return [s];
  },

  upgrade(s, op) {
    if (s.life === 'dead') {
      owe(s, op.id, 'unknown sid');
      return [s];
    }
    owe(s, op.id, 'switched');
    if (s.life === 'open' && !s.ws && !s.probe) s.probe = op.wire;
    else owe(s, op.wire, 'close 1008'); /* C09: and the session stays */
    return [s];
  },

  send(s, op) {
    if (op.wire === s.ws) return op.isBinary ? close(s, 'parse error') : onPackets(s, [op.text]);
    if (op.wire !== s.probe) return [s];
    if (op.text === '2probe') return onProbe(s);
    return op.text[0] === '5' && !op.isBinary ? switchOver(s) : giveUp(s);
  },

  ping(s, op) {
    if (op.wire === s.ws || op.wire === s.probe) owe(s, op.wire, `pong ${op.text}`);
    return [s];
  },

  closeFrame(s, op) {
    if (op.wire !== s.ws && op.wire !== s.probe) return [s];
    owe(s, op.wire, `close ${op.code}`);
    if (op.wire === s.ws) return end(s, 'transport close', true);
    s.probe = null;
    s.isProbed = false;
    return [s];
  },

  /* The client has left a connection: what it said there before may not have been read. */
  abort(s, op) {
    const { isOf } = op;

    s.todo = s.todo.filter((key) => !isOf(key));
    s.owed = s.owed.filter((owed) => !isOf(owed.split('=')[0]));
    if (op.wire === s.ws) return end(s, 'transport close', true);
    if (op.wire === s.probe) {
      s.probe = null;
      s.isProbed = false;
    }
    if (isOf(s.post)) {
      s.post = null;
      return end(s, 'transport error');
    }
    if (!isOf(s.get)) return [s];
    s.get = null;
    return end(s, 'transport error');
  },
};

export class SessionModel {
  /* hasPings: whether the server's heartbeat may send something too. */
  constructor(name, hasPings) {
    this.name = name;
    this.mayQueue = (s) => hasPings || s.epoch > 0; /* whether the server may have anything to send */
    this.ops = new Map();
    this.told = new Set(); /* counted, and told by seenClosed() */
    this.trace = [];
    this.states = [
      {
        life: 'open', owes: false, ws: null, heir: null, probe: null, isProbed: false, get: null, post: null, isJoined: false, epoch: 0,
        isClosing: false, spoiled: [], stay: null, counted: '', closed: {}, down: [], todo: [], owed: [],
      },
    ];
  }

  note(line) {
    const short = line.replaceAll(/42\["news",(\d+),"[^"]*"\]/g, 'news $1');
    const last = this.trace.at(-1) ?? '';

    if (/^\. w\d+ news \d+$/.test(short) && last.startsWith(short.replace(/\d+$/, ''))) this.trace[this.trace.length - 1] += short.slice(short.lastIndexOf(' '));
    else this.trace.push(short);
  }

  /* What happened, but for what is long ago, and waiting at the end. */
  text() {
    const end = this.trace.lastIndexOf(THE_END);
    const middle = end < 0 ? this.trace.length : end;

    return [...this.trace.slice(Math.max(0, middle - 200), middle), ...this.trace.slice(middle, middle + 50), ...this.trace.slice(middle + 50).slice(-50)].join('\n');
  }

  /* op: {id or key, kind, wire, ...}: id of a request, that is of its answer; a key only for what has none. */
  issue(op) {
    op.key ??= op.id;
    this.note(`> ${op.key} ${op.kind} on ${op.wire} ${JSON.stringify(op.packets ?? op.text ?? op.code ?? '')}${op.isOctets ? ' octets' : ''}`);
    op.isOf = (who) => who === op.wire || this.ops.get(who)?.wire === op.wire;
    this.ops.set(op.key, op);
    if (op.id && !this.ops.has(op.id)) this.ops.set(op.id, op);
    for (const s of this.states) s.todo.push(op.key);
    this.isClosed = false;
  }

  /* Whether the server may take this op now. */
  isNext(s, key) {
    const op = this.ops.get(key);
    const isBehind = (id) => id !== null && id !== op.id && this.ops.get(id)?.wire === op.wire;

    if (op.kind === 'abort') return op.isReset || !this.mustBeReadFirst(s, op);
    for (const other of s.todo) {
      if (other === key) break;
      if (this.ops.get(other).wire === op.wire) return false;
    }
    return !isBehind(s.get) && !isBehind(s.post);
  }

  /* A FIN comes behind what was said before it: behind one thing at least, were it not for GETs that wait. */
  mustBeReadFirst(s, op) {
    const before = s.todo.filter((key) => key !== op.key && this.ops.get(key).wire === op.wire);

    return before.length === 1 && this.isNext(s, before[0]);
  }

  follow(s) {
    const next = [];

    for (const key of s.todo) {
      if (!this.isNext(s, key)) continue;
      const state = clone(s);
      state.todo = state.todo.filter((other) => other !== key);
      next.push(...take[this.ops.get(key).kind](state, this.ops.get(key)));
    }
    if (s.get && s.life === 'open' && this.mayQueue(s)) { /* a held GET gets what logic has sent down */
      const state = clone(s);
      owe(state, state.get, 'data');
      state.get = null;
      next.push(state);
    }
    if (s.get && s.life === 'open' && s.isProbed) { /* the client waits for its end, and it has waited long enough */
      const state = clone(s);
      owe(state, state.get, 'noop');
      state.get = null;
      next.push(state);
    }
    if (s.down.length) {
      const state = clone(s);
      const [what, epoch] = state.down.shift().split(' ');
      if (what === 'close') next.push(...close(state, 'forced server close'));
      else {
        if (state.epoch === Number(epoch)) state.isJoined = false;
        next.push(state);
      }
    }
    return next;
  }

  /* All states that may be by now. */
  reach() {
    if (this.isClosed) return this.states;
    const found = new Map(this.states.map((s) => [JSON.stringify(s), s]));

    for (const s of found.values()) {
      for (const state of this.follow(s)) {
        const key = JSON.stringify(state);
        if (!found.has(key)) found.set(key, state);
      }
      assert.ok(found.size < MAX_STATES, `${this.name}: too many states\n${this.trace.slice(-30).join('\n')}`);
    }
    this.states = [...found.values()];
    this.isClosed = true;
    return this.states;
  }

  /* Keeps what keep() makes of each state; null: this one does not explain it. */
  keep(what, keep) {
    const before = this.reach();
    const kept = before.map((s) => keep(s)).filter(Boolean);

    this.note(`< ${what}`);
    if (kept.length === 0) {
      const first = before.slice(0, 5).map((s) => JSON.stringify(s)).join('\n  ');
      throw new Error(`session ${this.name}: this must not be: ${what}\nit may have been in ${before.length} states:\n  ${first}`);
    }
    const unique = new Map(kept.map((s) => [JSON.stringify(s), s]));
    this.states = [...unique.values()];
    this.isClosed = false;
  }

  /* who, a request or a WebSocket, got what. */
  seen(who, what) {
    this.keep(`${who} ${what}`, (s) => {
      const at = s.owed.findIndex((owed) => owed.startsWith(`${who}=`));

      if (at < 0 || s.owed[at] !== `${who}=${what}`) return null;
      const state = clone(s);
      state.owed.splice(at, 1);
      return state;
    });
  }

  /* A request behind an answer that closes the connection. */
  seenCut(id) {
    this.keep(`${id} cut`, (s) => (s.todo.includes(id) ? { ...clone(s), todo: s.todo.filter((other) => other !== id) } : null));
  }

  /* Events come by a WebSocket. */
  seenData(wire) {
    this.keep(`${wire} data`, (s) => (s.heir === wire ? s : null));
  }

  /* Logic has counted n. */
  seenCounted(n) {
    if (this.told.has(n)) return;
    this.keep(`count ${n}`, (s) => ([s.counted, ...Object.values(s.closed)].some((text) => text.match(/\d+/g)?.includes(String(n))) ? s : null));
  }

  /* A stay has ended: told by logic. */
  seenClosed(key, reason, counted) {
    for (const n of counted) this.told.add(n);
    this.keep(`${key} closed: ${reason} [${counted}]`, (s) => {
      if (s.closed[key] !== `${reason} [${counted}]`) return null;
      const state = clone(s);
      delete state.closed[key];
      return state;
    });
  }

  /* How many things may not have been taken yet. */
  nOpen() {
    return Math.max(...this.states.map((s) => s.todo.length));
  }

  /* Whether something must come, whatever the server has taken last. */
  mustCome() {
    const states = this.reach().filter((s) => s.down.length === 0 && !s.todo.some((key) => this.isNext(s, key)));

    return states.length > 0 && states.every((s) => s.owed.length > 0);
  }

  may(fits) {
    return this.reach().some(fits);
  }

  must(fits) {
    return this.reach().every(fits);
  }
}

/*
 * The events of one session in the order they came. Each 40 begins a stay: hello N, then news N+1,
 * N+2, ... without a gap, and a count for each that was counted, in order.
 */
export class Stream {
  constructor() {
    this.stays = new Map(); /* by key, once it is known */
    this.stay = null;
    this.hasPing = false;
  }

  copy() {
    const copy = structuredClone({ stays: this.stays, stay: this.stay, hasPing: this.hasPing });

    return Object.assign(new Stream(), copy);
  }

  /* Throws on a packet that must not come here. */
  feed(packet) {
    const { stay } = this;

    if (packet === '2') {
      assert.ok(!this.hasPing, 'a ping before the pong of the last');
      this.hasPing = true;
      return;
    }
    if (packet.startsWith('44/')) return;
    if (/^40\{"sid":"[\w-]{20}"\}$/.test(packet)) {
      this.stay = { key: null, last: null, counts: [], hasEnded: false };
      return;
    }
    assert.ok(stay && !stay.hasEnded, `outside of a stay: ${packet}`);
    if (packet === '41') {
      stay.hasEnded = true;
      return;
    }
    assert.match(packet, /^42\[/);
    const [name, value] = JSON.parse(packet.slice(2));
    if (stay.last === null) {
      assert.equal(name, 'hello', `before hello: ${packet}`);
      stay.last = value;
    } else if (name === 'news') {
      assert.equal(value, stay.last + 1, `news out of order: ${value} behind ${stay.last}`);
      stay.last = value;
    } else if (name === 'you') {
      assert.equal(stay.key, null, 'named twice');
      stay.key = value;
      this.stays.set(value, stay);
    } else {
      assert.equal(name, 'count', packet);
      assert.ok(!stay.counts.includes(value), `counted twice: ${value}`);
      stay.counts.push(value);
    }
  }

  /* Throws when what came does not fit what logic told at the end of a stay. Returns whether all of it came. */
  check(key, { kicked, counted, total }, hardKey) {
    const stay = this.stays.get(key);
    const isWhole = stay && ((kicked === 'soft' && stay.hasEnded) || (kicked === 'hard' && key === hardKey));

    if (stay) assert.deepEqual(stay.counts, counted.slice(0, stay.counts.length), `${key}: echoes`);
    if (stay) assert.ok(stay.last <= total, `${key}: news ${stay.last}, but it left at ${total}`);
    if (isWhole) {
      assert.equal(stay.counts.length, counted.length, `${key}: all echoes before the end`);
      assert.equal(stay.last, total, `${key}: all news before the end`);
    }
    return isWhole;
  }
}

/* Streams that may be: the order of some packets is open. */
export class Streams {
  constructor() {
    this.list = [new Stream()];
  }

  /* The packets came in one of these orders. */
  feed(orders) {
    const next = [];
    let problem;

    for (const stream of this.list)
      for (const order of orders)
        try {
          const copy = this.list.length * orders.length > 1 ? stream.copy() : stream;
          for (const packet of order) copy.feed(packet);
          next.push(copy);
        } catch (error) {
          problem ??= error;
        }
    if (next.length === 0) throw problem;
    this.list = next;
  }

  /* Returns how many stays are known to be whole. */
  check(books, hardKey) {
    let problem;

    for (const stream of this.list)
      try {
        return [...books].filter(([key, book]) => stream.check(key, book, hardKey)).length;
      } catch (error) {
        problem ??= error;
      }
    throw problem;
  }
}
