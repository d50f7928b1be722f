/*
 * bench.mjs [NAME...] - measures the works of works.mjs, or those named, of each peer in turn, and again; prints medians
 * with what they have to reach, and writes everything into BUILD/bench/results.json.
 *
 * Environment: BENCH_REPEATS (5), BENCH_SECONDS of each phase (1).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';

import { drawChart } from './chart.mjs';
import { BUILD, commandOf, isThere, load, pinGenerator, startPeer, table } from './peers.mjs';
import { WORKS } from './works.mjs';

const REPEATS = Number(process.env.BENCH_REPEATS ?? 5);
const SECONDS = process.env.BENCH_SECONDS ?? '1';
const RESULTS = join(BUILD, 'bench/results.json');

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const progress = (text) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`);

/* What one peer does in one repeat: objects with the row that they belong to. */
async function measureOnce(work, peer) {
  const found = [];
  const keep = (args, objects) => {
    for (const each of objects) found.push({ ...(work.derive?.(each) ?? each), row: work.key(each, args) });
  };

  if (work.starts) {
    keep([], await load(['start', ...commandOf(peer)]));
    return found;
  }
  for (const args of work.args(peer)) {
    const server = await startPeer(peer);

    try {
      const [name, ...rest] = args;
      keep(args, await load([name, '--port', server.port, '--pid', server.pid, '--seconds', SECONDS, ...rest]));
    } finally {
      await server.stop();
    }
  }
  return found.concat(work.also?.(found) ?? []);
}

/* peer -> row -> metric -> values */
async function measure(work) {
  const peers = work.peers.filter(isThere);
  const repeats = work.repeats?.(REPEATS) ?? REPEATS;
  const values = {};

  for (const peer of work.peers)
    if (!peers.includes(peer)) console.log(`${peer} is not installed here: it is left out`);
  for (let i = 0; i < repeats; i++)
    for (const peer of peers) {
      progress(`${work.name}: ${peer}, ${i + 1} of ${repeats}`);
      for (const { row, ...metrics } of await measureOnce(work, peer))
        for (const [metric, value] of Object.entries(metrics))
          (((values[peer] ??= {})[row] ??= {})[metric] ??= []).push(value);
    }
  progress('');
  return values;
}

/* ---- what it comes to */

const valueOf = (values, peer, row, metric) => {
  const all = values[peer]?.[row]?.[metric];
  return all && median(all);
};

function judge(work, values, row, figure) {
  const ours = valueOf(values, work.ours ?? work.peers[0], row.id, figure.metric);

  return figure.gates.flatMap((gate) => {
    const theirs = gate.peer ? valueOf(values, gate.peer, row.id, figure.metric) : 0;
    if (ours === undefined || theirs === undefined) return [];
    const ratio = gate.ratio(ours, theirs);
    const isReached = gate.holds(ratio, gate.gate);
    const isStretch = gate.stretch !== undefined && gate.holds(ratio, gate.stretch);
    return [{ row: row.id, metric: figure.metric, gate: gate.text, value: ratio, isReached, isStretch }];
  });
}

const spell = (value, digits) =>
  value === undefined ? '-' : value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });

/* Where the server had time left and the generator none, the figure is the generator's. */
function isGenerators(values, peer, row) {
  return valueOf(values, peer, row, 'generator_busy') > 0.95 && valueOf(values, peer, row, 'server_busy') < 0.9;
}

function report(work, values) {
  const rows = [['work', 'figure', ...work.peers, 'gate: reached']];
  const gates = [];
  let isMarked = false;

  for (const row of work.rows)
    for (const figure of row.figures) {
      const judged = judge(work, values, row, figure);
      const cells = work.peers.map((peer) => {
        const mark = isGenerators(values, peer, row.id) ? '*' : '';
        isMarked ||= mark !== '';
        return spell(valueOf(values, peer, row.id, figure.metric), figure.digits) + mark;
      });
      const said = judged.map((each) => `${each.gate}: ${spell(each.value, 2)}${each.isStretch ? ' ++' : each.isReached ? '' : ' MISSED'}`);

      gates.push(...judged);
      rows.push([row.title, figure.unit, ...cells, said.join('; ')]);
    }
  table(rows);
  if (isMarked) console.log('* the generator was the bottleneck, not the server');
  return gates;
}

/* ---- */

const names = process.argv.slice(2);
for (const name of names)
  if (!WORKS.some((work) => work.name === name)) {
    console.error(`bench: there is no benchmark "${name}"; there are ${WORKS.map((work) => work.name).join(', ')}, hostile, counts`);
    process.exit(2);
  }

pinGenerator();
const began = Date.now();
let results = {};
try {
  results = JSON.parse(readFileSync(RESULTS, 'utf8')); /* those of other works stay */
} catch {
  /* the first run */
}
let n_gates = 0;
let n_missed = 0;
for (const work of WORKS) {
  if (names.length && !names.includes(work.name)) continue;
  console.log(`== ${work.name}`);
  const values = await measure(work);
  const gates = report(work, values);

  results[work.name] = { at: new Date().toISOString(), cpu: cpus()[0].model, kernel: release(), values, gates };
  mkdirSync(join(BUILD, 'bench'), { recursive: true });
  writeFileSync(RESULTS, JSON.stringify(results, null, 1));
  n_gates += gates.length;
  n_missed += gates.filter((gate) => !gate.isReached).length;
}
writeFileSync(join(BUILD, 'bench/chart.svg'), drawChart(results));
console.log(`\n${n_gates - n_missed} of ${n_gates} gates reached (++: the stretch too), in ${Math.round((Date.now() - began) / 1000)} s`);
console.log(`every repeat: ${RESULTS}; the chart: ${join(BUILD, 'bench/chart.svg')}`);
