/*
 * instruments.test.js - what plugins contribute for operators and pages: metrics, health checks; and that
 * it comes and goes with them.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';

import { ask, closeClients, connect, request, startWith } from '../lib/client.js';
import { install, ownPlugins } from '../lib/plugins.js';

const servers = new Set();

async function start(config, folder, options = {}) {
  const server = await startWith([], { config, ...options, args: ['-o', `server.plugin_dir=${folder}`, ...(options.args ?? [])] });

  servers.add(server);
  return server;
}

afterEach(async () => {
  closeClients();
  for (const server of servers) await server.stop();
  servers.clear();
});

/* What a start is refused for. */
async function refusal(config, folder) {
  try {
    await start(config, folder);
  } catch (error) {
    return error.server.logText();
  }
  assert.fail('it started');
}

const status = (server, path) => request(server, path, { url: server.statusUrl });
const metricsText = async (server) => (await status(server, '/metrics')).text;

describe('metrics', () => {
  const METER = '[plugin:meter]\n';
  const value = async (server, name) => (await server.metrics()).get(`sockhop_meter_${name}`);

  test('of a plugin stand beside those of the core, with help, type, label and buckets', async () => {
    const server = await start(METER, ownPlugins('meter'));
    const socket = await connect(server);

    assert.deepEqual(await ask(socket, 'add', 'events', 2.5), [0]);
    assert.deepEqual(await ask(socket, 'add', 'level', -3), [0]);
    assert.deepEqual(await ask(socket, 'add', 'write', 4), [0]);
    for (const seconds of [0.1, 0.5, 7]) assert.deepEqual(await ask(socket, 'observe', 'seconds', seconds), [0]);
    for (const [change, name, by] of [['add', 'events', -1], ['set', 'events', 1], ['set', 'seconds', 1], ['observe', 'level', 1]])
      assert.deepEqual(await ask(socket, change, name, by), [-1]);
    const text = await metricsText(server);
    assert.ok(
      text.endsWith(
        [
          '# HELP sockhop_meter_events_total things that have happened',
          '# TYPE sockhop_meter_events_total counter',
          'sockhop_meter_events_total 2.5',
          '# HELP sockhop_meter_level where it stands: "a\\\\b"',
          '# TYPE sockhop_meter_level gauge',
          'sockhop_meter_level -3',
          '# HELP sockhop_meter_seconds how long it took',
          '# TYPE sockhop_meter_seconds histogram',
          'sockhop_meter_seconds_bucket{le="0.1"} 1',
          'sockhop_meter_seconds_bucket{le="1"} 2',
          'sockhop_meter_seconds_bucket{le="+Inf"} 3',
          'sockhop_meter_seconds_sum 7.6',
          'sockhop_meter_seconds_count 3',
          '# HELP sockhop_meter_ops_total what was done, by kind',
          '# TYPE sockhop_meter_ops_total counter',
          'sockhop_meter_ops_total{op="read"} 1',
          'sockhop_meter_ops_total{op="write"} 4',
          '',
        ].join('\n'),
      ),
      text.slice(-1500),
    );
  });

  test('are changed by jobs of many threads at once, and none is lost', async () => {
    const server = await start(METER, ownPlugins('meter'), { args: ['-o', 'server.workers=4'] });
    const socket = await connect(server);

    await ask(socket, 'jobs', 40);
    assert.equal(await value(server, 'events_total'), 40000);
  });

  test('go on after a reload, unless they have changed, and a stale handle does nothing', async () => {
    const folder = ownPlugins('meter');
    const server = await start(METER, folder);
    const socket = await connect(server);

    await ask(socket, 'keep');
    await ask(socket, 'add', 'events', 5);
    await ask(socket, 'set', 'level', 7);
    await ask(socket, 'observe', 'seconds', 0.5);
    for (let i = 1; i <= 3; i++) {
      install(folder, 'meter');
      assert.match(await server.reload(), /server\.reloaded plugins="meter 1\.0"/);
      assert.deepEqual(await ask(socket, 'late'), [-1]);
      await ask(socket, 'add', 'events', 1);
      assert.equal(await value(server, 'events_total'), 5 + i);
      assert.equal(await value(server, 'level'), 7);
      assert.equal(await value(server, 'seconds_count'), 1);
      assert.equal(await value(server, 'ops_total{op="read"}'), 1 + i); /* init() adds one */
    }
    assert.match(await server.reload(`${METER}bound = 0.2\n`), /server\.reloaded/);
    assert.equal(await value(server, 'seconds_count'), 0); /* other bounds: another metric */
    assert.equal(await value(server, 'events_total'), 8);
    assert.equal((await metricsText(server)).match(/# TYPE sockhop_meter_events_total/g).length, 1);
  });

  test('of code that failed to come are not seen, and those of the old code stay', async () => {
    const server = await start(METER, ownPlugins('meter'));
    const socket = await connect(server);

    await ask(socket, 'add', 'events', 5);
    for (let i = 0; i < 70; i++) assert.match(await server.reload(`${METER}fail = yes\nbound = ${i}\n`), /told to fail/);
    assert.match(await server.reload(`${METER}bad = counter\n`), /metric "x": a counter's name ends in _total/);
    assert.equal(await value(server, 'events_total'), 5);
    assert.equal(await value(server, 'ops_total{op="read"}'), 1);
    assert.doesNotMatch(await metricsText(server), /sockhop_meter_x/);
    assert.deepEqual(await ask(socket, 'add', 'events', 1), [0]);
    assert.equal(await value(server, 'events_total'), 6);
  });

  test('go with their plugin, and begin again with it', async () => {
    const server = await start(`${METER}[plugin:versions]\n`, ownPlugins('meter', 'versions'));
    const socket = await connect(server);

    await ask(socket, 'add', 'events', 5);
    await server.reload(`${METER}enabled = no\n[plugin:versions]\n`);
    assert.doesNotMatch(await metricsText(server), /sockhop_meter_/);
    await server.reload(`${METER}[plugin:versions]\n`);
    assert.equal(await value(server, 'events_total'), 0);
  });

  for (const [bad, words] of [
    ['name', /metric "": a name is \[a-z\]/],
    ['help', /metric "x": a help is one line/],
    ['counter', /metric "x": a counter's name ends in _total/],
    ['gauge', /metric "x_total": _total at the end is for counters/],
    ['row', /metric "seconds_count": _bucket, _sum and _count at the end/],
    ['twice', /metric "sockhop_meter_level": the plugin meter has it already/],
    ['bounds', /metric "x": each bound is a finite number greater than the one before/],
    ['label', /metric "x": a label has a value twice/],
    ['many', /metric "sockhop_meter_x60": the plugin has 64 already/],
  ])
    test(`that are wrong refuse the plugin: ${bad}`, async () => {
      assert.match(await refusal(`${METER}bad = ${bad}\n`, ownPlugins('meter')), words);
    });
});

describe('health', () => {
  const PATIENT = '[plugin:patient]\n';
  const ready = async (server) => {
    const { status: code, text } = await status(server, '/readyz');

    return [code, ...text.trimEnd().split('\n')];
  };

  test('of plugins decides what /readyz says, with the reason of each', async () => {
    const server = await start(PATIENT, ownPlugins('patient'));
    const socket = await connect(server);

    assert.deepEqual(await ready(server), [503, 'not ready', 'patient.database unhealthy "not known yet"', 'patient.cache healthy']);
    assert.deepEqual(await ask(socket, 'is', 'database', 0, ''), [0]);
    assert.deepEqual(await ready(server), [200, 'ready', 'patient.database healthy', 'patient.cache healthy']);
    assert.deepEqual(await ask(socket, 'is', 'database', 1, 'replica is behind'), [0]);
    assert.deepEqual(await ready(server), [200, 'ready', 'patient.database degraded "replica is behind"', 'patient.cache healthy']);
    assert.deepEqual(await ask(socket, 'is', 'cache', 2, 'gone'), [0]);
    assert.deepEqual(await ready(server), [503, 'not ready', 'patient.database degraded "replica is behind"', 'patient.cache unhealthy "gone"']);
    for (const state of [3, -1]) assert.deepEqual(await ask(socket, 'is', 'cache', state, ''), [-1]);
    const live = await status(server, '/livez');
    assert.deepEqual([live.status, live.text], [200, 'alive\n']);
    assert.equal((await request(server, '/livez')).text.includes('alive'), false);
  });

  test('cannot write lines of its own, and its text is cut between characters', async () => {
    const server = await start(PATIENT, ownPlugins('patient'));
    const socket = await connect(server);

    await ask(socket, 'is', 'database', 0, 'x"\nready\n\\\u2028');
    await ask(socket, 'is', 'cache', 0, `a${'\u00e9'.repeat(120)}`);
    assert.deepEqual(await ready(server), [
      200,
      'ready',
      'patient.database healthy "x\\"\\x0aready\\x0a\\\\\\u2028"',
      `patient.cache healthy "a${'\u00e9'.repeat(99)}"`,
    ]);
  });

  test('outlives a reload, is not touched by one that fails, and goes with the plugin', async () => {
    const folder = ownPlugins('patient', 'versions');
    const server = await start(`${PATIENT}[plugin:versions]\n`, folder);
    const socket = await connect(server);
    const well = [200, 'ready', 'patient.database degraded "slow"', 'patient.cache healthy'];

    await ask(socket, 'is', 'database', 1, 'slow');
    await ask(socket, 'is', 'cache', 2, 'gone'); /* init() of the new code says otherwise */
    for (const config of ['fail = yes\n', 'name = cache\n', 'name = Bad\n']) {
      assert.match(await server.reload(`${PATIENT}${config}[plugin:versions]\n`), /told to fail|has it already|a name is/);
      assert.deepEqual(await ready(server), [503, 'not ready', 'patient.database degraded "slow"', 'patient.cache unhealthy "gone"']);
    }
    for (const word of ['a', 'b']) {
      assert.match(await server.reload(`${PATIENT}word = ${word}\n[plugin:versions]\n`), /server\.reloaded/);
      assert.deepEqual(await ready(server), well);
    }
    await ask(socket, 'is', 'database', 2, 'down');
    assert.equal((await ready(server))[0], 503);
    await server.reload(`${PATIENT}enabled = no\n[plugin:versions]\n`);
    assert.deepEqual(await ready(server), [200, 'ready']);
  });
});
