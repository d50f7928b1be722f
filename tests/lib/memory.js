/*
 * memory.js - what a server holds, read from /proc.
 *
 * Called by: the scenario tests.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { BUILD, isValgrind } from './server.js';

export { isValgrind };

/* A number of /proc/PID/status in bytes: VmRSS, VmHWM. */
export const statusBytes = (server, key) =>
  1024 * Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${server.proc.pid}/status`, 'utf8'))[1]);

const program = readFileSync(join(BUILD, 'sockhop'));

/* Its threads need a large stack, and nothing may be preloaded before it. */
export const isThreadSanitized = program.includes('__tsan_');

/* Whether memory says something: a sanitizer or valgrind holds back what was freed. */
export const countsMemory = () => !isValgrind && !isThreadSanitized && !['__asan_', '__msan_'].some((word) => program.includes(word));

/* Measures from now on: grown() is the most that was held since, beyond what is held now. */
export function watchMemory(server) {
  const before = statusBytes(server, 'VmRSS');

  writeFileSync(`/proc/${server.proc.pid}/clear_refs`, '5'); /* VmHWM starts anew */
  return { grown: () => statusBytes(server, 'VmHWM') - before };
}
