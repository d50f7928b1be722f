/*
 * jsonp.test.js - clients that poll by scripts and forms, in a real browser: of Socket.IO 2.x
 * (Engine.IO 3) and 3.x (Engine.IO 4), the last that can.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';

import { openBrowser } from '../lib/browser.js';
import { startServer } from '../lib/server.js';

const require = createRequire(import.meta.url);
const BUNDLES = { 2: 'socket.io-client-2/dist/socket.io.js', 3: 'socket.io-client-3/dist/socket.io.js' };
const TEXTS = ['', 'é 日本 😀', 'line\nfeed \\n \\\\n \\', '"quotes" </script> \u2028\u2029', 'a&b=c%20+d', 'x'.repeat(20000)];

describe('JSONP', () => {
  let server;
  let browser;

  before(async () => {
    server = await startServer({ config: '[engine]\nallow_eio3 = yes\n[plugin:echo]\n' });
    browser = await openBrowser();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  for (const [version, bundle] of Object.entries(BUNDLES))
    test(`a client ${version}.x gets back what it sends, by events and acks`, async () => {
      const page = await browser.open(`${server.url}/robots.txt`, { bypassCSP: true, mayFail: /404/ });

      await page.addScriptTag({ path: require.resolve(bundle) });
      const answers = await page.evaluate(async (texts) => {
        const socket = window.io({ transports: ['polling'], upgrade: false, forceJSONP: true, reconnection: false });
        const next = (event) => new Promise((done, fail) => {
          socket.once(event, (...args) => done(args));
          socket.once('disconnect', (reason) => fail(new Error(reason)));
          socket.once('connect_error', fail);
        });
        const got = [];

        await next('connect');
        for (const text of texts) {
          const [back] = await new Promise((done) => socket.emit('echo', text, (...args) => done(args)));
          got.push(back);
          const event = next('echo');
          socket.emit('echo', text, 1);
          got.push((await event)[0]);
        }
        const scripts = performance.getEntriesByType('resource').filter(({ initiatorType }) => initiatorType === 'script').length;
        socket.close();
        return { got, scripts };
      }, TEXTS);

      assert.deepEqual(answers.got, TEXTS.flatMap((text) => [text, text]));
      assert.ok(answers.scripts >= TEXTS.length, `by scripts: ${answers.scripts}`);
      await browser.closePages();
    });

  test('a page of another host gets no session by a script', async () => {
    const page = await browser.open(`${server.url}/robots.txt`, { bypassCSP: true, mayFail: /403|404/ });
    const elsewhere = server.url.replace('127.0.0.1', 'localhost');

    assert.notEqual(elsewhere, server.url);
    for (const policy of ['unsafe-url', 'no-referrer'])
      assert.equal(
        await page.evaluate(async ([url, referrerPolicy]) => {
          window.___eio = [() => (window.gotIt = true)];
          const script = Object.assign(document.createElement('script'), { referrerPolicy, src: `${url}/socket.io/?EIO=4&transport=polling&j=0` });
          await new Promise((done) => {
            script.onload = script.onerror = done;
            document.head.append(script);
          });
          return window.gotIt === true;
        }, [elsewhere, policy]),
        false,
      );
    await browser.closePages();
  });
});
