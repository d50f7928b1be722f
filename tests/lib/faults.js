/*
 * faults.js - makes calls of a running server fail: the test's half of faults.c and oom.c.
 *
 * Called by: the scenario tests. Both sides share a file of rows, one a function: see faults.h. Its
 * libraries are preloaded, so that a call of libevent or jansson fails as one of ours does.
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';

import { countsMemory, isThreadSanitized, isValgrind } from './memory.js';
import { BUILD } from './server.js';

const ROW = 80; /* bytes of struct fault_row; then where its fields are */
const AT = { seen: 24, first: 32, last: 40, min_size: 48, error: 56, injected: 60, size: 64 };
const FOREVER = 2 ** 52;

/* The functions of faults.c, the clocks, and what oom.c calls all three of its functions. */
const NAMES = [
  'accept4', 'bind', 'epoll_create1', 'epoll_ctl', 'epoll_wait', 'eventfd', 'fcntl', 'fstat', 'getrandom',
  'getsockname', 'listen', 'open', 'openat', 'pread', 'pthread_create', 'read', 'recv', 'sendmsg', 'setsockopt',
  'shutdown', 'socket', 'socketpair', 'syscall', 'write', 'realtime', 'monotonic', 'malloc',
];

/* Whether the build has an allocator of its own. */
export const isSanitized = !countsMemory();

/* An option of a test that makes calls fail: these two preload a library of their own. */
export const faultable = { skip: (isValgrind && 'under valgrind') || (isThreadSanitized && 'with ThreadSanitizer') };

export class Faults {
  /* memory: whether allocations can be made to fail too; not with a sanitizer. */
  constructor({ memory = false } = {}) {
    this.folder = mkdtempSync(join(tmpdir(), 'sockhop-faults-'));
    const path = join(this.folder, 'rows');
    this.fd = openSync(path, 'w+');
    NAMES.forEach((name, i) => {
      const row = Buffer.alloc(ROW);

      row.write(name);
      writeSync(this.fd, row, 0, ROW, i * ROW);
    });
    this.env = {
      SOCKHOP_FAULTS: path,
      LD_PRELOAD: join(BUILD, 'tests/lib/.libs', memory ? 'oom.so' : 'faults.so'),
      /* a sanitizer wants to be the first library: ours hands on to it */
      ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`,
    };
  }

  at(name, field) {
    const i = NAMES.indexOf(name);

    if (i < 0) throw new Error(`no row ${name}`);
    return i * ROW + AT[field];
  }

  read(name, field) {
    const value = Buffer.alloc(8);

    readSync(this.fd, value, 0, 8, this.at(name, field));
    return field === 'error' || field === 'injected' ? value.readInt32LE() : Number(value.readBigInt64LE());
  }

  write(name, field, number) {
    const value = Buffer.alloc(8);
    const size = field === 'error' || field === 'injected' ? 4 : 8;

    if (size === 4) value.writeInt32LE(number);
    else value.writeBigInt64LE(BigInt(number));
    writeSync(this.fd, value, 0, size, this.at(name, field));
  }

  seen = (name) => this.read(name, 'seen');
  injected = (name) => this.read(name, 'injected');

  /* From now on the n-th call of name fails with error, "EIO" or "short"; and the `times` - 1 that follow it. */
  arm(name, error, n = 1, times = 1) {
    this.write(name, 'first', 0);
    this.write(name, 'injected', 0);
    this.write(name, 'error', error === 'short' ? -1 : constants.errno[error]);
    const first = this.seen(name) + n;
    this.write(name, 'last', times === Infinity ? FOREVER : first + times - 1);
    this.write(name, 'first', first);
  }

  disarm(name) {
    this.write(name, 'first', 0);
  }

  /* Moves the "realtime" or the "monotonic" clock. */
  shift(clock, seconds) {
    this.write(clock, 'min_size', Math.round(seconds * 1e9));
  }

  close() {
    closeSync(this.fd);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
