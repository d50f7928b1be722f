/*
 * idle.mjs [N...] - resident memory of an idle logged-in WebSocket connection.
 *
 * The slope of RSS between few clients and N (default 1,000 and 10,000), for sockhop and for npm's
 * socket.io in the same run. User memory only: what the kernel holds for a socket is not in it.
 */
import { NAMES, connect, pinGenerator, startPeer, table } from './lib.mjs';

const sizes = process.argv.slice(2).map(Number);
const goals = sizes.length ? sizes : [1000, 10000];
const WARM_UP = 100;
const rows = [['clients', ...NAMES.map((name) => `${name}: bytes each`)]];
const results = {};

pinGenerator();
for (const name of NAMES) {
  const server = await startPeer(name);
  const clients = [];

  await connect(server.port, clients, WARM_UP);
  const before = server.rssKiB();
  results[name] = [];
  for (const goal of goals) {
    await connect(server.port, clients, goal - clients.length);
    results[name].push(Math.round(((server.rssKiB() - before) * 1024) / (goal - WARM_UP)));
  }
  for (const client of clients) client.close();
  await server.stop();
}
goals.forEach((goal, i) => rows.push([goal, ...NAMES.map((name) => results[name][i])]));
table(rows);
