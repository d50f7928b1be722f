/*
 * chart.mjs - the chart of README: how many times as much npm's socket.io needs as sockhop, of each resource.
 */
const BARS = [
  { work: 'fanout', row: '1000:64:1:1:0', metric: 'cpu_us', label: 'CPU: one message to 1,000' },
  { work: 'fanout', row: '1000:64:64:1:0', metric: 'cpu_us', label: 'CPU: 64 at a time to 1,000' },
  { work: 'fanout', row: '1000:1024:64:1:0', metric: 'cpu_us', label: 'the same, 1 KiB each' },
  { work: 'echo', row: '16', metric: 'cpu_us', label: 'CPU: 16 emits with ack' },
  { work: 'poll', row: 'poll', metric: 'cpu_us', label: 'CPU: one message to 1,000 polls' },
  { work: 'login', row: 'login', metric: 'cpu_us', label: 'CPU: connect, login, leave' },
  { work: 'notices', row: 'notices', metric: 'seconds', label: 'time: 2,000 logins, told to all', ours: 'sockhop, notices', theirs: 'socket.io, notices' },
  { work: 'idle', row: 'ws:10000', metric: 'bytes', label: 'memory: idle WebSocket' },
];
const WIDTH = 665;
const LEFT = 235;
const RIGHT = 60;
const ROW = 28;

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

function timesOf(results, bar) {
  const of = (peer) => results[bar.work]?.values[peer]?.[bar.row]?.[bar.metric];
  const ours = of(bar.ours ?? 'sockhop');
  const theirs = of(bar.theirs ?? 'socket.io');
  return ours && theirs && median(theirs) / median(ours);
}

/* Returns the text of an SVG; bars whose work has not been measured are left out. */
export function drawChart(results) {
  const bars = BARS.map((bar) => ({ ...bar, times: timesOf(results, bar) })).filter((bar) => bar.times);
  const most = Math.max(10, ...bars.map((bar) => bar.times));
  const x = (times) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log10(Math.max(times, 1))) / Math.log10(most);
  const height = bars.length * ROW + 62;
  const grid = [1, 2, 5, 10, 20, 50, 100].filter((times) => times <= most);

  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${bars.map((bar) => `${bar.label}: ${bar.times.toFixed(1)} times`).join('; ')}">
<style>text{font:13px system-ui,sans-serif;fill:#57606a}.title{font-weight:600}.bar{fill:#0d6efd}.grid{stroke:#8c959f;stroke-opacity:.35}.value{font-weight:600}@media(prefers-color-scheme:dark){text{fill:#adb5bd}}</style>
<text class="title" x="8" y="20">What npm’s socket.io needs, in times of what sockhop needs</text>
${grid.map((times) => `<line class="grid" x1="${x(times).toFixed(1)}" x2="${x(times).toFixed(1)}" y1="32" y2="${height - 26}"/><text x="${x(times).toFixed(1)}" y="${height - 10}" text-anchor="middle">${times}x</text>`).join('\n')}
${bars
  .map((bar, i) => {
    const y = 36 + i * ROW;
    return `<text x="${LEFT - 8}" y="${y + 15}" text-anchor="end">${bar.label}</text><rect class="bar" x="${LEFT}" y="${y}" width="${(x(bar.times) - LEFT).toFixed(1)}" height="20" rx="2"/><text class="value" x="${(x(bar.times) + 6).toFixed(1)}" y="${y + 15}">${bar.times.toFixed(1)}x</text>`;
  })
  .join('\n')}
</svg>
`;
}
