/*
 * counts.mjs - what must not grow, counted: system calls, bytes and allocations, for each delivery, emit, visit and
 * connection. No clock is read, so that it says the same on a busy machine: it is a stage of `./quickstart check`.
 *
 * A line for each figure, "ok ..." or "FAILED ..."; the run fails with the first that is above its budget.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { BUILD, load, startPeer } from './peers.mjs';

const SECONDS = 0.5;

/*
 * Name of a load, its arguments, which of its objects, and the most of each counter for one of what it counts.
 * `calls` are the system calls without the waits: how many arrivals a wait brings depends on when the machine lets
 * the clients run.
 */
const BUDGETS = [
  ['one message at a time to 100', ['fanout', '--clients', 100, '64:1'], { send: 1.001, calls: 1.02, sent_bytes: 108.1, allocations: 0.08 }],
  ['64 messages on their way to 100', ['fanout', '--clients', 100, '64:64'], { send: 0.017, calls: 0.017, sent_bytes: 108.1, allocations: 0.06 }],
  ['64 messages on their way to 100, from 64', ['fanout', '--clients', 100, '64:64:64'], { send: 0.05, calls: 0.06, allocations: 0.08 }],
  ['emit with ack', ['echo', '--clients', 100, 64], { send: 1.001, recv: 1.02, calls: 2.02, allocations: 4.3 }],
  ['emit with ack, 16 at a time', ['echo', '--clients', 100, '--depth', 16, 64], { send: 0.064, calls: 0.13, allocations: 4.2 }],
  ['a message to 100 that poll', ['poll', '--clients', 100, 64], { send: 1.02, calls: 2.1, allocations: 4.3 }],
  ['connect, join, login, leave', ['login', '--clients', 16], { send: 3.01, recv: 4.02, epoll_ctl: 2.02, calls: 12, allocations: 31 }],
  ['idle over WebSocket', ['idle', 1100], { heap_bytes: 832 }],
  ['idle held poll', ['idle', '--polling', 1100], { heap_bytes: 1120 }],
];

const folder = mkdtempSync(join(tmpdir(), 'sockhop-counts-'));
let n_failed = 0;

/* Every load has a server of its own, whose counts begin at none. */
async function count(i, [name, ...rest]) {
  const counters = join(folder, `counters-${i}`);
  const server = await startPeer('sockhop', {
    BENCH_COUNTERS: counters,
    LD_PRELOAD: join(BUILD, 'bench/.libs/count.so'),
  });

  try {
    return await load([name, '--port', server.port, '--pid', server.pid, '--seconds', SECONDS, '--counters', counters, ...rest]);
  } finally {
    await server.stop();
  }
}

try {
  for (const [i, [title, args, budget]] of BUDGETS.entries()) {
    const [found] = await count(i, args);

    found.calls = Math.round((found.syscalls - found.epoll_wait) * 1e4) / 1e4;

    for (const [counter, most] of Object.entries(budget)) {
      const isWithin = found[counter] <= most;
      n_failed += !isWithin;
      console.log(`${isWithin ? 'ok    ' : 'FAILED'} ${title}: ${counter} ${found[counter]} of ${most}`);
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
process.exit(n_failed ? 1 : 0);
