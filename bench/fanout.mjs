/*
 * fanout.mjs [N] [MESSAGES] - server CPU for one message to N clients (default 1,000), one at a time.
 *
 * Window 1: the next message is sent when all have the last one. Medians of five interleaved repeats,
 * sockhop and npm's socket.io in the same run. A lost, doubled or reordered message fails the run.
 */
import { NAMES, connect, median, pinGenerator, startPeer, table } from './lib.mjs';

const N = Number(process.argv[2] ?? 1000);
const MESSAGES = Number(process.argv[3] ?? 200);
const REPEATS = 5;
const text = 'x'.repeat(64);
const results = Object.fromEntries(NAMES.map((name) => [name, []]));

async function run(name) {
  const server = await startPeer(name);
  const clients = [];
  let seen = 0;
  let sent = -1;
  let all;

  const onChat = (packet) => {
    if (!packet.includes(`"${sent} `)) throw new Error(`${name}: expected message ${sent}, got ${packet}`);
    if (++seen === N) all();
  };
  const broadcast = () =>
    new Promise((done) => {
      seen = 0;
      sent++;
      all = done;
      clients[0].chat(`${sent} ${text}`);
    });

  await connect(server.port, clients, N, onChat);
  for (let i = 0; i < 20; i++) await broadcast();
  const cpu = server.cpuSeconds();
  for (let i = 0; i < MESSAGES; i++) await broadcast();
  results[name].push(((server.cpuSeconds() - cpu) * 1e6) / (MESSAGES * N));
  for (const client of clients) client.close();
  await server.stop();
}

pinGenerator();
for (let i = 0; i < REPEATS; i++) for (const name of NAMES) await run(name);
table([
  ['server', `CPU us/delivery, 64 B to ${N}`, 'all repeats'],
  ...NAMES.map((name) => [name, median(results[name]).toFixed(2), results[name].map((v) => v.toFixed(2)).join(' ')]),
]);
const [ours, theirs] = NAMES.map((name) => median(results[name]));
console.log(`socket.io uses ${(theirs / ours).toFixed(2)} times sockhop's CPU`);
