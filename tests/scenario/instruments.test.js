/*
 * instruments.test.js - what plugins contribute for operators and pages: metrics, health checks, files,
 * fields of log lines; and that it comes and goes with them.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';

import { allGone, ask, closeClients, connect, request, startWith } from '../lib/client.js';
import { install, ownPlugins } from '../lib/plugins.js';
import { runSockhop } from '../lib/server.js';

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

  test('that are gauges go on with what new code adds, and stay where it sets them', async () => {
    const server = await start(METER, ownPlugins('meter'));
    const socket = await connect(server);

    await ask(socket, 'add', 'level', 7);
    await server.reload(`${METER}opens = yes\n`);
    assert.equal(await value(server, 'level'), 8);
    await ask(socket, 'add', 'level', -8);
    assert.equal(await value(server, 'level'), 0);
    await ask(socket, 'add', 'level', 5);
    await server.reload(`${METER}sets = yes\n`);
    assert.equal(await value(server, 'level'), 3);
  });

  test('never go backwards while a thread of the plugin adds to them and it is reloaded', async () => {
    const folder = ownPlugins('meter');
    const config = `${METER}thread = yes\n`;
    const server = await start(config, folder);
    let isOver = false;
    const looking = (async () => {
      let last = 0;

      for (let now; !isOver; last = now) {
        now = await value(server, 'events_total');
        assert.ok(now >= last, `${now} after ${last}`);
      }
      return last;
    })();

    for (let i = 0; i < 10; i++) {
      install(folder, 'meter');
      assert.match(await server.reload(), /server\.reloaded plugins="meter 1\.0"/);
      assert.match(await server.reload(`${config}fail = yes\n`), /told to fail/);
      server.writeConf(config);
    }
    isOver = true;
    assert.ok((await looking) > 0);
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
    ['end', /metric "sum": _bucket, _sum and _count at the end/],
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
    for (const word of ['c', 'd']) { /* the old code's last word is not about the new */
      await server.reload(`${PATIENT}farewell = yes\nword = ${word}\n[plugin:versions]\n`);
      assert.deepEqual(await ready(server), well);
    }
    await ask(socket, 'is', 'database', 2, 'down');
    assert.equal((await ready(server))[0], 503);
    await server.reload(`${PATIENT}enabled = no\n[plugin:versions]\n`);
    assert.deepEqual(await ready(server), [200, 'ready']);
  });
});

describe('files', () => {
  const FILES = '[plugin:files]\n';

  function folderWith(...plugins) {
    const folder = ownPlugins('files', 'versions', ...plugins);
    const www = join(folder, 'files/www');

    mkdirSync(join(www, 'js'), { recursive: true });
    mkdirSync(join(folder, 'files/other'));
    writeFileSync(join(www, 'index.html'), 'the index');
    writeFileSync(join(www, 'js/main.js'), 'the script');
    writeFileSync(join(www, 'exact'), 'not the route');
    writeFileSync(join(www, '.secret'), 'a secret');
    writeFileSync(join(folder, 'files/secret.txt'), 'a secret');
    writeFileSync(join(folder, 'files/other/main.js'), 'another script');
    symlinkSync('../secret.txt', join(www, 'link.txt'));
    symlinkSync('..', join(www, 'up'));
    return folder;
  }

  const get = async (server, path, options) => {
    const { status: code, text } = await request(server, path, options);

    return [code, text];
  };

  test('of a folder are served as those of the page are', async () => {
    const server = await start(FILES, folderWith());
    const script = await request(server, '/files/js/main.js');

    assert.deepEqual([script.status, script.text, script.headers['content-type']], [200, 'the script', 'text/javascript; charset=utf-8']);
    const again = await request(server, '/files/js/main.js', { headers: { 'if-none-match': script.headers.etag } });
    assert.deepEqual([again.status, again.text], [304, '']);
    const head = await request(server, '/files/js/main.js', { method: 'HEAD' });
    assert.deepEqual([head.status, head.text, head.headers['content-length']], [200, '', '10']);
    const post = await request(server, '/files/js/main.js', { method: 'POST', body: 'x' });
    assert.deepEqual([post.status, post.headers.allow], [405, 'GET, HEAD']);
    const index = await request(server, '/files/');
    assert.deepEqual([index.status, index.text, index.headers['cache-control']], [200, 'the index', 'no-cache']);
    assert.match(index.headers['content-security-policy'], /default-src 'self'/);
    assert.deepEqual(await get(server, '/files'), [200, 'the index']);
    assert.deepEqual(await get(server, '/%66iles/js/m%61in.js?x=1'), [200, 'the script']);
    assert.deepEqual(await get(server, '/files/exact'), [200, 'the route']);
  });

  test('that lie outside, are hidden, linked, or folders are not there', async () => {
    const server = await start(FILES, folderWith());

    for (const path of [
      '/files/../secret.txt',
      '/files/js/../../secret.txt',
      '/files/%2e%2e/secret.txt',
      '/files/..%2fsecret.txt',
      '/files/..%5csecret.txt',
      '/files%2fjs/main.js',
      '/files/js%2fmain.js',
      '/files/js//main.js',
      '/files//etc/passwd',
      '/files/.secret',
      '/files/%2esecret',
      '/files/link.txt',
      '/files/up/secret.txt',
      '/files/js',
      '/files/js/',
      '/files/js/main.js/',
      '/files/none',
      '/files/js/none.js',
      '/files/main.js%00',
      '/files/%ff.js',
      `/files/${'a'.repeat(2000)}.js`,
    ]) {
      const { status: code, text } = await request(server, path);

      assert.doesNotMatch(text, /secret|script/, path);
      assert.ok(code === 404 || (code === 200 && /<title>/.test(text)), `${path}: ${code} ${text}`); /* no such prefix: the page */
    }
    assert.deepEqual(await get(server, '/filesystem.js'), [404, 'Not Found\n']);
  });

  test('that the server may not read once it is itself are refused at the start', async (t) => {
    if (process.getuid() !== 0) return t.skip('only root becomes somebody else');
    const folder = folderWith();

    chmodSync(join(folder, 'files/www'), 0o700);
    writeFileSync(join(folder, 'x.ini'), `[server]\nport = 0\npublic =\nplugin_dir = ${folder}\n${FILES}`);
    const { status: code, stderr } = await runSockhop(['-c', join(folder, 'x.ini')]);
    assert.equal(code, 1);
    assert.match(stderr, /x\.ini:5: plugin:files: hop_static\("\/files"\): .*files\/www may not be read by uid \d+: make it readable/);
  });

  test('come and go with the plugin, and another folder takes its place', async () => {
    const folder = folderWith();
    const server = await start('[plugin:versions]\n', folder);
    const path = '/js/main.js'; /* one of the page's own has the same name */
    const config = (more) => `[plugin:versions]\n${FILES}prefix = /js\n${more}`;
    const before = await get(server, path);
    const mine = `[plugin:versions]\n${FILES}prefix = /js\nfolder = other\n`;

    for (let i = 0; i < 3; i++) {
      assert.match(await server.reload(config('fail = yes\n')), /told to fail/);
      assert.match(await server.reload(config('folder = none\n')), /hop_static\("\/js"\): .*\/files\/none: No such file or directory: name a folder that is there/);
      assert.deepEqual(await get(server, path), before); /* a failed change has hidden nothing */
      await server.reload(mine);
      assert.deepEqual(await get(server, path), [200, 'another script']);
      assert.match(await server.reload(config('fail = yes\n')), /told to fail/);
      assert.deepEqual(await get(server, path), [200, 'another script']);
      await server.reload(config(`folder = ${join(folder, 'files/www/js')}\n`));
      assert.deepEqual(await get(server, path), [200, 'the script']);
      await server.reload(`[plugin:versions]\n${FILES}`); /* another prefix */
      assert.deepEqual(await get(server, path), before);
      assert.deepEqual(await get(server, '/files/js/main.js'), [200, 'the script']);
      await server.reload('[plugin:versions]\n');
      assert.deepEqual(await get(server, path), before);
      assert.deepEqual(await get(server, '/files/js/main.js'), [404, 'Not Found\n']);
    }
  });

  test('are asked for while their plugin is reloaded: every answer is whole', async () => {
    const folder = folderWith();
    const server = await start(FILES, folder);
    let isOver = false;
    const asking = [1, 2, 3, 4].map(async () => {
      const seen = new Set();

      while (!isOver) seen.add((await get(server, '/files/main.js')).join(' ').trim());
      return seen;
    });

    for (let i = 0; i < 10; i++) {
      assert.match(await server.reload(`${FILES}folder = other\n`), /server\.reloaded/);
      assert.match(await server.reload(FILES), /server\.reloaded/);
    }
    isOver = true;
    for (const seen of await Promise.all(asking)) for (const answer of seen) assert.match(answer, /^(200 another script|404 Not Found)$/);
  });

  test('whose folder goes are not found, and those of a folder by a link are', async () => {
    const folder = folderWith();
    symlinkSync('www', join(folder, 'files/current'));
    const server = await start(`${FILES}folder = current\n`, folder);

    assert.deepEqual(await get(server, '/files/js/main.js'), [200, 'the script']);
    rmSync(join(folder, 'files/www'), { recursive: true });
    assert.deepEqual(await get(server, '/files/js/main.js'), [404, 'Not Found\n']);
  });

  for (const [what, config, words] of [
    ['a folder that is not there', 'folder = none', /sockhop\.ini:\d+: plugin:files: hop_static\("\/files"\): .*\/files\/none: No such file or directory/],
    ['a file', 'folder = secret.txt', /Not a directory/],
    ['the root', 'prefix = /', /a prefix such as "\/admin"/],
    ['no path', 'prefix = files', /a prefix such as "\/admin"/],
    ['a path with dots', 'prefix = /a/../b', /a prefix such as "\/admin"/],
    ['the Socket.IO path', 'prefix = /socket.io/x', /\/socket\.io and all below it is Socket\.IO's own/],
  ])
    test(`${what} refuses the plugin`, async () => {
      assert.match(await refusal(`${FILES}${config}\n`, folderWith()), words);
    });
});

describe('fields of the log', () => {
  const TAGGER = '[plugin:tagger]\n';
  const DEBUG = { args: ['-o', 'log.level=debug'] };

  test('stand in the lines about their socket, escaped and cut', async () => {
    const server = await start(TAGGER, ownPlugins('tagger'), DEBUG);
    const [anna, bob] = [await connect(server), await connect(server)];

    await server.waitLog(/socket\.opened namespace="\/" address=127\.0\.0\.1 tagger\.via="middleware"$/);
    assert.deepEqual(await ask(anna, 'tag', 'user', 'anna" x=1\nERROR fake.line\u2028'), [0]);
    assert.deepEqual(await ask(anna, 'tag', 'via', null), [0]);
    assert.deepEqual(await ask(anna, 'tag', 'long', `a${'\u00e9'.repeat(60)}`), [0]);
    anna.emit('nobody');
    await server.waitLog(/event\.ignored event="nobody" reason="no handler" tagger\.user="anna\\" x=1\\x0aERROR fake\.line\\u2028" tagger\.long="a\u00e9{31}"$/);
    bob.emit('nothing');
    await server.waitLog(/event\.ignored event="nothing" reason="no handler" tagger\.via="middleware"$/);
    for (const name of ['', 'User', 'a b', 'a'.repeat(33), 'x="']) assert.deepEqual(await ask(bob, 'tag', name, 'x'), [-1]);
    for (let i = 0; i < 7; i++) assert.deepEqual(await ask(bob, 'tag', `f${i}`, 'x'), [0]);
    assert.deepEqual(await ask(bob, 'tag', 'f7', 'x'), [-1]);
    assert.deepEqual(await ask(bob, 'tag', 'f6', '\u0001'.repeat(64)), [0]);
    bob.disconnect();
    await server.waitLog(/socket\.closed namespace="\/" address=127\.0\.0\.1 reason="client namespace disconnect" .*tagger\.f0="x"/);
    anna.disconnect();
    await server.waitLog(/socket\.closed .* tagger\.user="anna/);
    await allGone(server);
  });

  test('outlive a reload, and go with the plugin', async () => {
    const folder = ownPlugins('tagger', 'versions');
    const server = await start(`${TAGGER}[plugin:versions]\n`, folder, DEBUG);
    const anna = await connect(server);

    await ask(anna, 'tag', 'user', 'anna');
    assert.match(await server.reload(`${TAGGER}fail = yes\n[plugin:versions]\n`), /told to fail/);
    for (const word of ['a', 'b']) {
      await server.reload(`${TAGGER}word = ${word}\n[plugin:versions]\n`);
      anna.emit(`round ${word}`);
      await server.waitLog(new RegExp(`event\\.ignored event="round ${word}" .* tagger\\.via="middleware" tagger\\.user="anna"$`));
    }
    assert.deepEqual(await ask(anna, 'tag', 'user', null), [0]); /* it is the new code's */
    await server.reload('[plugin:versions]\n');
    anna.emit('without');
    await server.waitLog(/event\.ignored event="without" reason="no handler"$/);
  });
});

test('--print-hooks names the folders', async () => {
  const folder = ownPlugins('files');
  mkdirSync(join(folder, 'files/www'), { recursive: true });
  const conf = join(folder, 'print.ini');
  writeFileSync(conf, '[plugin:files]\n');
  const { stdout } = await runSockhop(['-c', conf, '-o', `server.plugin_dir=${folder}`, '-o', 'server.public=', '--print-hooks']);

  assert.match(stdout, /\/files +files +files/);
});
