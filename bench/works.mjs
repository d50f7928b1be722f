/*
 * works.mjs - what is measured, of whom, and what it has to reach.
 *
 * A work: {name, peers, args(peer), also(found), rows}. args: one or more command lines of load/, each of which
 * a server of its own answers; also: what else follows from what these found in one repeat. A row: {id, title, figures}; its id is what key() makes of an object that load prints.
 * A figure: {metric, unit, gates}; a gate compares sockhop's median with a number or with another's median:
 * {is: 'at most' | 'at least', of: 'ratio' | 'value', peer, gate, stretch}.
 */
import { execFileSync } from 'node:child_process';

/* sockhop's figure is at most x times the peer's, or at least so. */
const atMost = (peer, gate, stretch) => ({ peer, gate, stretch, text: `≤ ${gate}x ${peer}`, ratio: (ours, theirs) => ours / theirs, holds: (r, x) => r <= x });
const atLeast = (peer, gate, stretch) => ({ peer, gate, stretch, text: `≥ ${gate}x ${peer}`, ratio: (ours, theirs) => ours / theirs, holds: (r, x) => r >= x });
/* The peer's figure is at least x times sockhop's. */
const less = (peer, gate, stretch) => ({ peer, gate, stretch, text: `≥ ${gate}x less than ${peer}`, ratio: (ours, theirs) => theirs / ours, holds: (r, x) => r >= x });
/* sockhop's figure is a number at most. */
const below = (gate, stretch) => ({ peer: null, gate, stretch, text: `≤ ${gate}`, ratio: (ours) => ours, holds: (r, x) => r <= x });

const cpu = (...gates) => ({ metric: 'cpu_us', unit: 'CPU us each', digits: 3, gates });
const rate = (...gates) => ({ metric: 'deliveries_per_s', unit: 'deliveries/s', digits: 0, gates });
const p99 = (...gates) => ({ metric: 'p99_us', unit: 'p99, us', digits: 0, gates });

const SIZES = [64, 1024];
const bytes = (size) => (size === 1024 ? '1 KiB' : `${size} B`);
const many = (n) => n.toLocaleString('en');

/* ---- fan-out */

const TIMES_LESS = { 100: 1.7, 1000: 2.0, 10000: 2.2 };
const fanoutId = (n, size, window, senders = 1, rate = 0) => [n, size, window, senders, rate].join(':');

const oneAtATime = [100, 1000, 10000].flatMap((n) =>
  SIZES.map((size) => ({
    id: fanoutId(n, size, 1),
    title: `one message of ${bytes(size)} at a time to ${many(n)}`,
    figures: [
      cpu(atMost('limit', 1.15, 1.03), less('socket.io', TIMES_LESS[n])),
      rate(atLeast('limit', 0.87, 0.97), atLeast('socket.io', 1.9)),
    ],
  })),
);
const underLoad = SIZES.flatMap((size) =>
  [1, 64].map((senders) => ({
    id: fanoutId(1000, size, 64, senders),
    title: `64 messages of ${bytes(size)} on their way to 1,000, from ${senders}`,
    figures: [
      rate(atLeast('batch', 0.5, 0.8), atLeast('socket.io', size === 1024 ? 15 : senders === 1 ? 40 : 30)),
      cpu(),
      p99(atMost('batch', 2)),
    ],
  })),
);
/* "no worse" within what two runs of the same differ by */
const tenTimes = SIZES.map((size) => ({
  id: `tenfold:${size}`,
  title: `ten times the connections, one message of ${bytes(size)} at a time`,
  figures: [{ metric: 'times', unit: 'CPU each, 10,000 / 1,000', digits: 2, gates: [atMost('limit', 1.05, 1)] }],
}));
const atARate = [{ id: fanoutId(1000, 64, 64, 1, 50), title: '50 messages of 64 B a second to 1,000', figures: [p99(atMost('limit', 1.2, 1)), cpu()] }];

const PHASES = {
  100: ['64:1', '1024:1'],
  1000: ['64:1', '1024:1', '64:64', '1024:64', '64:64:64', '1024:64:64', '64:64:1:50'],
  10000: ['64:1', '1024:1'],
};
const LOADED = ['64:64', '1024:64', '64:64:64', '1024:64:64'];

function fanoutArgs(peer) {
  const phases = (n) => {
    if (peer === 'batch') return n === 1000 ? LOADED : [];
    if (peer === 'limit') return PHASES[n].filter((each) => !LOADED.includes(each));
    if (peer === 'nchan') return PHASES[n].filter((each) => !/:64:64$|:50$/.test(each));
    return PHASES[n];
  };
  return [100, 1000, 10000]
    .filter((n) => phases(n).length)
    .map((n) => ['fanout', '--clients', n, ...(peer === 'nchan' ? ['--nchan'] : []), ...phases(n)]);
}

/* Server and generator need a file for each that is there, and for each that comes back before it is missed. */
const STORM = Math.min(10000, Math.floor((Number(execFileSync('sh', ['-c', 'ulimit -n'])) - 200) / 200) * 100);

/* What the metric has of ten times the clients over what it has of them, of one repeat. */
const growth = (found, few, many, metric) => {
  const [before, after] = [few, many].map((id) => found.find((each) => each.row === id)?.[metric]);

  return before && after ? [after / before] : [];
};

/* ---- all */

export const WORKS = [
  {
    name: 'fanout',
    peers: ['sockhop', 'limit', 'batch', 'socket.io', 'nchan'],
    args: fanoutArgs,
    key: (o) => fanoutId(o.clients, o.size, o.window, o.senders, o.rate),
    rows: [...oneAtATime, ...underLoad, ...atARate, ...tenTimes],
    also: (found) =>
      SIZES.flatMap((size) =>
        growth(found, fanoutId(1000, size, 1), fanoutId(10000, size, 1), 'cpu_us').map((times) => ({ row: `tenfold:${size}`, times })),
      ),
  },
  {
    name: 'echo',
    peers: ['sockhop', 'limit', 'batch', 'socket.io'],
    args: () => [1, 16].map((depth) => ['echo', '--clients', 1000, '--depth', depth, 64]),
    key: (o) => String(o.depth),
    rows: [
      { id: '1', title: 'emit with ack, 1,000 clients, one at a time each', figures: [cpu(atMost('limit', 1.3, 1.1), less('socket.io', 3, 4.4))] },
      { id: '16', title: 'emit with ack, 1,000 clients, 16 at a time each', figures: [cpu(atMost('batch', 1.3, 1.1), less('socket.io', 10, 28))] },
    ],
  },
  {
    name: 'poll',
    peers: ['sockhop', 'socket.io'],
    args: () => [['poll', '--clients', 1000, 64]],
    key: () => 'poll',
    rows: [{ id: 'poll', title: 'one message of 64 B at a time to 1,000 that poll', figures: [cpu(less('socket.io', 3, 5)), rate()] }],
  },
  {
    name: 'login',
    peers: ['sockhop', 'socket.io'],
    args: () => [['login', '--clients', 64]],
    key: () => 'login',
    rows: [{ id: 'login', title: 'connect, join, login, leave, 64 at a time', figures: [cpu(below(80, 50), less('socket.io', 5))] }],
  },
  {
    name: 'notices',
    peers: ['sockhop, notices', 'socket.io, notices'],
    args: () => [['notices', '--clients', 2000]],
    key: () => 'notices',
    repeats: (n) => Math.min(n, 3), /* the Node server takes half a minute */
    rows: [
      {
        id: 'notices',
        title: '2,000 logins, each told to all who are there',
        figures: [{ metric: 'seconds', unit: 's', digits: 3, gates: [less('socket.io, notices', 10, 30)] }],
      },
    ],
  },
  {
    name: 'storm',
    peers: ['sockhop', 'socket.io'],
    args: () => [['storm', '--clients', STORM]],
    key: () => 'storm',
    repeats: (n) => Math.min(n, 5),
    rows: [
      {
        id: 'storm',
        title: `${many(STORM)} of ${many(STORM + 50)} cut at once, until all are back`,
        figures: [
          { metric: 'seconds', unit: 's', digits: 3, gates: [below(2, 1)] },
          { metric: 'refused', unit: 'refused', digits: 0, gates: [below(0)] },
          { metric: 'p99_ratio', unit: "those who stay: p99 in the storm / before", digits: 1, gates: [below(2)] },
        ],
      },
    ],
    derive: (o) => ({ ...o, p99_ratio: o.storm_p99_us / o.quiet_p99_us }),
  },
  {
    name: 'idle',
    peers: ['sockhop', 'socket.io'],
    args: () => [['idle', 1000, 10000], ['idle', '--polling', 1000, 10000]],
    key: (o, args) => `${args.includes('--polling') ? 'poll' : 'ws'}:${o.clients}`,
    repeats: () => 1, /* memory does not depend on what else the machine does */
    also: (found) => growth(found, 'ws:1000', 'ws:10000', 'bytes').map((times) => ({ row: 'tenfold', times: 10 * times })),
    rows: [
      { id: 'ws:1000', title: 'idle over WebSocket, logged in, 1,000', figures: [{ metric: 'bytes', unit: 'bytes each', digits: 0, gates: [below(1500, 700)] }] },
      {
        id: 'ws:10000',
        title: 'idle over WebSocket, logged in, 10,000',
        figures: [
          { metric: 'bytes', unit: 'bytes each', digits: 0, gates: [below(1500, 700)] },
          { metric: 'burst_bytes', unit: 'more after a burst', digits: 0, gates: [below(1000, 0)] },
        ],
      },
      {
        id: 'tenfold',
        title: 'ten times the idle WebSocket connections',
        figures: [{ metric: 'times', unit: 'memory, 10,000 / 1,000', digits: 2, gates: [below(11, 10)] }],
      },
      { id: 'poll:10000', title: 'idle held poll, 10,000', figures: [{ metric: 'bytes', unit: 'bytes each', digits: 0, gates: [below(1800)] }] },
    ],
  },
  {
    name: 'start',
    peers: ['sockhop', 'socket.io'],
    starts: true,
    key: () => 'start',
    repeats: () => 1, /* fifteen starts each */
    rows: [{ id: 'start', title: 'start to first login', figures: [{ metric: 'ms', unit: 'ms', digits: 1, gates: [below(50, 20)] }] }],
  },
  {
    name: 'threads',
    peers: ['sockhop', 'threads = 1', 'threads = 2'],
    ours: 'threads = 2',
    args: () => [['fanout', '--clients', 1000, '64:1', '64:64'], ['echo', '--clients', 1, 64]],
    key: (o) => (o.depth ? 'echo' : String(o.window)),
    rows: [
      { id: '1', title: 'two shards: one message at a time to 1,000', figures: [cpu(atMost('threads = 1', 1.15))] },
      {
        id: '64',
        title: 'two shards: 64 messages on their way to 1,000',
        figures: [cpu(atMost('threads = 1', 1.15)), { metric: 'uneven', unit: 'the busiest shard / the other', digits: 2, gates: [below(1.2)] }],
      },
      {
        id: 'echo',
        title: 'two shards: emit with ack, one client',
        figures: [{ metric: 'p50_us', unit: 'p50, us', digits: 1, gates: [{ peer: 'sockhop', gate: 20, text: '≤ 20 us over threads = 0', ratio: (ours, theirs) => ours - theirs, holds: (r, x) => r <= x }] }],
      },
    ],
    /* The main thread is the logic's; of the others the two busiest are the shards, one is the watchdog's. */
    derive: (o) => {
      const [first, second] = (o.threads ?? []).slice(1).sort((a, b) => b - a);

      return { ...o, uneven: second > 0 ? first / second : 1 };
    },
  },
];
