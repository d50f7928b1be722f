/*
 * chat.test.js - two people in two browsers talk through sockhop.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import {
  OUTAGE, banner, joinButton, log, login, message, messageField, nameField, openBrowser, people, say,
  texts, until, upgraded,
} from '../lib/browser.js';
import { BUILD, startServer } from '../lib/server.js';

let server;
let browser;

before(async () => {
  server = await startServer();
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

afterEach(async () => {
  await browser.closePages();
  /* their names are free; a page that went while it was polling is missed when it does not answer the next ping */
  await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 0, 60000);
});

const open = (options) => browser.open(server.url, options);

const countIs = (page, n) =>
  until(`${n} online`, async () => (await people(page).count()) === n);

const openBoth = async (options) => {
  const [ann, bob] = await Promise.all([open(options), open(options)]);

  await login(ann, 'ann');
  await login(bob, 'bobby');
  return [ann, bob];
};

describe('two people', () => {
  test('see each other join, talk both ways, and see each other leave', async () => {
    const [ann, bob] = await openBoth();

    await message(ann, 'bobby joined', '.notice').waitFor();
    await countIs(ann, 2);
    await countIs(bob, 2);
    assert.deepEqual((await texts(bob, '#people li bdi')).sort(), ['ann', 'bobby']);
    assert.equal(await bob.locator('#people .user-count').textContent(), '2');

    await say(ann, 'hello bobby');
    await message(bob, 'hello bobby').waitFor();
    await message(ann, 'hello bobby').waitFor();
    await say(bob, 'hello ann');
    await message(ann, 'hello ann').waitFor();
    assert.deepEqual(await texts(ann, '.lines .text'), ['hello bobby', 'hello ann']);
    assert.deepEqual(await texts(bob, '.lines .text'), ['hello bobby', 'hello ann']);
    assert.deepEqual(await texts(ann, '.lines .sender'), ['You', 'bobby']);
    assert.equal(await ann.locator('.outbox li').count(), 0);

    await bob.getByRole('button', { name: 'Leave' }).click();
    await nameField(bob).waitFor();
    await message(ann, 'bobby left', '.notice').waitFor();
    await countIs(ann, 1);

    await login(bob, 'bobby');
    await countIs(ann, 2);
    await bob.close();
    await countIs(ann, 1);
  });

  test('read when a message came: short, and in full as a tooltip', async () => {
    const [ann] = await openBoth({ timezoneId: 'UTC' });

    await say(ann, 'what time is it?');
    await message(ann, 'what time is it?').waitFor();
    const time = ann.locator('.chat time').first();
    assert.match(await time.textContent(), /^\d\d:\d\d$/);
    assert.ok(Math.abs(Date.now() - Date.parse(await time.getAttribute('datetime'))) < 60000);
    assert.match(await time.getAttribute('title'), /\d{4}/);
  });

  test('see messages of one sender in a row as a group', async () => {
    const [ann, bob] = await openBoth();

    for (const text of ['one', 'two', 'three']) await say(ann, text);
    await message(bob, 'three').waitFor();
    await say(bob, 'four');
    await message(bob, 'four').waitFor();
    assert.equal(await bob.locator('.lines .chat.is-continued').count(), 2);
    assert.equal(await bob.locator('.lines .chat.is-own').count(), 1);
  });
});

describe('a name', () => {
  test('that the server refuses is refused beside the field', async () => {
    const page = await open();

    for (const [name, why] of [
      ['', 'too short, at least 3 characters'],
      ['elevenchars', 'too long, at most 10 characters'],
      ['ab', 'too short, at least 3 characters'],
      ['pаul', 'mixes letters of scripts that do not go together'],
    ]) {
      await nameField(page).fill(name);
      await joinButton(page).click();
      await page.getByText(`Invalid Name: ${why}`).waitFor();
      assert.equal(await nameField(page).getAttribute('aria-invalid'), 'true');
    }
    await login(page, 'ann');
  });

  test('that is taken is refused beside the field', async () => {
    const [ann, bob] = await Promise.all([open(), open()]);

    await login(ann, 'ann');
    await nameField(bob).fill('ann');
    await joinButton(bob).click();
    await bob.getByText('Name already exists: somebody has this name').waitFor();
    await until('focus on the name', () => nameField(bob).evaluate((e) => e === document.activeElement));
    await login(bob, 'bobby');
  });

  for (const name of ['__proto__', 'toString', 'valueOf', '<b>x</b>', 'José 🌊']) {
    test(`may be ${name}`, async () => {
      const [ann, other] = await Promise.all([open(), open()]);

      await login(ann, 'ann');
      await login(other, name);
      await countIs(ann, 2);
      assert.ok((await texts(ann, '#people li bdi')).includes(name));
      await say(other, `I am ${name}`);
      await message(ann, `I am ${name}`).waitFor();
      assert.deepEqual(await texts(ann, '.lines .sender'), [name]);
      assert.equal(await ann.locator('.lines .is-own').count(), 0);
      await other.close();
      await message(ann, `${name} left`, '.notice').waitFor();
      await countIs(ann, 1);
    });
  }
});

describe('the page', () => {
  test('T21: shows hostile text as text', async () => {
    const [ann, bob] = await openBoth();
    const hostile = [
      '<img src=x onerror="document.title=1">',
      '<script>document.title=2</script>',
      '"><svg/onload=document.title=3>',
      "<%= 1 %> <%- 2 %> ${3} {{4}}",
      '&lt;b&gt;&amp;',
      'javascript:alert(1)',
      '\u202Eright to left\u202C',
      'a'.repeat(3000),
    ];

    for (const text of hostile) await say(ann, text);
    await message(bob, 'aaaaaaaaaa').waitFor();
    assert.deepEqual(await texts(bob, '.lines .text'), hostile);
    assert.equal(await log(bob).locator('img, script, svg, b').count(), 0);
    assert.equal(await bob.title(), 'sockhop');
    assert.ok(await bob.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  });

  test('T21: is served under a policy without unsafe-*', async () => {
    const page = await open();
    const response = await page.request.get(server.url);
    const policy = response.headers()['content-security-policy'];

    assert.match(policy, /default-src 'self'/);
    assert.doesNotMatch(policy, /unsafe-/);
    assert.ok((await (await page.request.get(`${server.url}/any/path`)).text()).includes('id="page"'));
  });

  test('moves on to WebSocket, which that policy allows', async () => {
    const page = await open();
    const received = [];

    page.on('websocket', (socket) => {
      assert.ok(socket.url().startsWith(`ws://127.0.0.1:${server.port}/socket.io/`), socket.url());
      socket.on('framereceived', ({ payload }) => received.push(payload));
    });
    await page.reload();
    await until('the answer to the probe', () => received.includes('3probe'));
    await login(page, 'ann');
    await until('a packet over WebSocket', () => received.includes('42["welcome"]'));
  });

  test('can be used with the keyboard alone', async () => {
    const page = await open();
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className);

    await until('focus on the name', async () => (await focused()) === 'name');
    await page.keyboard.type('ann');
    await page.keyboard.press('Enter');
    await until('focus on the message', async () => (await focused()) === 'message');
    await page.keyboard.type('first line');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('second line');
    await page.keyboard.press('Enter');
    await message(page, 'first line').waitFor();
    assert.deepEqual(await texts(page, '.lines .text'), ['first line\nsecond line']);
    assert.equal(await messageField(page).inputValue(), '');

    await page.keyboard.press('Shift+Tab');
    assert.match(await focused(), /\blog\b/);
    await page.keyboard.press('Shift+Tab');
    assert.match(await focused(), /\bleave\b/);
    await page.keyboard.press('Shift+Tab');
    assert.match(await focused(), /\bskip-link\b/);
    await page.keyboard.press('Enter');
    assert.equal(await focused(), 'message');
    for (const key of ['Shift+Tab', 'Shift+Tab', 'Enter']) await page.keyboard.press(key);
    await until('focus on the name', async () => (await focused()) === 'name');
    assert.equal(await nameField(page).inputValue(), 'ann');
  });

  test('keeps its people in a drawer where it is narrow', async () => {
    const page = await open({ viewport: { width: 360, height: 640 } });

    await login(page, 'ann');
    const toggle = page.locator('.people-toggle');
    assert.equal(await people(page).first().isVisible(), false);
    assert.equal(await toggle.getAttribute('aria-expanded'), 'false');
    await toggle.click();
    await people(page).first().waitFor();
    assert.equal(await toggle.getAttribute('aria-expanded'), 'true');
    await page.keyboard.press('Escape');
    await people(page).first().waitFor({ state: 'hidden' });
    assert.ok(await toggle.evaluate((element) => element === document.activeElement));
  });

  test('follows the newest message, but not away from what is being read', async () => {
    const [ann, bob] = await openBoth({ viewport: { width: 800, height: 400 } });
    const top = (text) => message(ann, text).evaluate((element) => Math.round(element.getBoundingClientRect().top));

    for (let n = 1; n <= 30; n += 1) await say(bob, `line ${n}.`);
    await message(ann, 'line 30.').waitFor();
    assert.equal(await log(ann).evaluate((element) => element.scrollTop), 0);
    assert.equal(await ann.locator('.to-newest').isVisible(), false);

    await message(ann, 'line 5.').evaluate((element) => element.scrollIntoView());
    const before = await top('line 5.');
    await say(bob, 'news 1');
    await ann.getByRole('button', { name: '1 new message' }).waitFor();
    await say(bob, 'news 2');
    await ann.getByRole('button', { name: '2 new messages' }).waitFor();
    assert.equal(await top('line 5.'), before);

    await ann.locator('.to-newest').click();
    await ann.locator('.to-newest').waitFor({ state: 'hidden' });
    assert.equal(await log(ann).evaluate((element) => element.scrollTop), 0);
    assert.ok(await log(ann).evaluate((element) => element === document.activeElement));
  });

  test('counts in its title what comes while it is hidden', async () => {
    const [ann, bob] = await openBoth();
    const setHidden = (isHidden) =>
      ann.evaluate((value) => {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
        document.dispatchEvent(new Event('visibilitychange'));
      }, isHidden);

    await setHidden(true);
    await say(bob, 'are you there?');
    await say(bob, 'hello?');
    await until('two unread', async () => (await ann.title()) === '(2) sockhop');
    await setHidden(false);
    assert.equal(await ann.title(), 'sockhop');
  });
});

describe('without a connection', () => {
  test('the page says so, keeps what is written, and comes back after a server restart', async () => {
    const [ann, bob] = await openBoth({ mayFail: OUTAGE });
    const { port } = server;

    await say(ann, 'before');
    await message(bob, 'before').waitFor();
    await upgraded(ann, bob);
    await server.stop();
    await banner(ann).waitFor();
    await banner(bob).waitFor();
    await say(ann, 'written while away');
    await ann.getByText('Not connected: your text stays here').waitFor();
    assert.equal(await messageField(ann).inputValue(), 'written while away');

    server = await startServer({ args: ['-o', `server.port=${port}`] });
    await banner(ann).waitFor({ state: 'hidden' });
    await banner(bob).waitFor({ state: 'hidden' });
    await message(ann, 'You were away', '.notice').waitFor();
    await countIs(ann, 2);
    await countIs(bob, 2);
    await messageField(ann).press('Enter');
    await message(bob, 'written while away').waitFor();
    assert.deepEqual(await texts(bob, '.lines .text'), ['before', 'written while away']);
  });

  test('a message that may not have arrived is kept, to be sent again or discarded', async () => {
    const [ann, bob] = await openBoth({ mayFail: OUTAGE });
    const { port } = server;

    await upgraded(ann, bob);
    server.proc.kill('SIGSTOP'); /* it takes what is sent, and will never answer */
    await say(ann, 'did you get this?');
    await say(ann, 'or that?');
    await ann.getByText('Sending…').nth(1).waitFor();
    await server.kill();
    await ann.getByText('this may not have arrived').nth(1).waitFor();

    server = await startServer({ args: ['-o', `server.port=${port}`] });
    for (const page of [ann, bob]) await message(page, 'You were away', '.notice').waitFor(); /* back, and logged in */
    await ann.getByRole('button', { name: 'Discard' }).last().click();
    await ann.getByRole('button', { name: 'Send again' }).click();
    await message(bob, 'did you get this?').waitFor();
    await message(ann, 'did you get this?').waitFor();
    assert.deepEqual(await texts(ann, '.chat .text'), ['did you get this?']);
    assert.deepEqual(await texts(bob, '.lines .text'), ['did you get this?']);
  });

  test('a name chosen meanwhile is asked for as soon as there is a server', async () => {
    const page = await open({ mayFail: OUTAGE });
    const { port } = server;

    await upgraded(page);
    await server.stop();
    await banner(page).waitFor();
    await nameField(page).fill('ann');
    await joinButton(page).click();
    server = await startServer({ args: ['-o', `server.port=${port}`] });
    await message(page, 'You joined', '.notice').waitFor();
    assert.equal(await banner(page).count(), 0);
  });

  test('"Try now" does not wait for the next attempt', async () => {
    const page = await open({ mayFail: OUTAGE });
    const { port } = server;

    await login(page, 'ann');
    await upgraded(page);
    await server.stop();
    const retry = page.getByRole('button', { name: 'Try now' });
    await retry.click();
    server = await startServer({ args: ['-o', `server.port=${port}`] });
    await retry.click({ timeout: 1000 }).catch(() => {}); /* gone, if the page was quicker */
    await banner(page).waitFor({ state: 'hidden' });
    await countIs(page, 1);
  });
});

/* Servers of their own, each with what the test is about. */
describe('a server', () => {
  const serve = async (t, options) => {
    const own = await startServer(options);

    t.after(async () => {
      await browser.closePages();
      await own.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 0, 60000);
      await own.stop();
    });
    return own;
  };
  const join = async (page, name) => {
    await nameField(page).fill(name);
    await joinButton(page).click();
  };

  test('that tells nobody who comes and goes: the list is right all the same', async (t) => {
    const own = await serve(t, { args: ['-o', 'plugin:lobby.notices=no'] });
    const [ann, bob] = await Promise.all([browser.open(own.url), browser.open(own.url)]);

    await ann.clock.install();
    for (const [page, name] of [[ann, 'ann'], [bob, 'bobby']]) {
      await join(page, name);
      await messageField(page).waitFor();
    }
    await countIs(bob, 2);
    await ann.clock.fastForward(15000);
    await countIs(ann, 2);
    await bob.close();
    await own.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 1, 60000);
    await ann.clock.fastForward(15000);
    await countIs(ann, 1);
    assert.equal(await ann.locator('#people .user-count').textContent(), '1');

    const eve = await browser.open(own.url);
    await join(eve, 'eve');
    await say(eve, 'hello');
    await message(ann, 'hello').waitFor();
    await countIs(ann, 2);
    assert.equal(await ann.locator('.notice').count(), 0);
  });

  test('whose plugin refuses a login: the page says why', async (t) => {
    const own = await serve(t, {
      config: `[plugin:auth]\n[plugin:lobby]\n[plugin:phases]\nfile = ${BUILD}/tests/plugins/.libs/phases.so\n`,
    });
    const page = await browser.open(own.url);

    await join(page, 'forbidden');
    await page.getByText('not this word').waitFor();
    assert.equal(await joinButton(page).textContent(), 'Join');
    await login(page, 'ann');
  });

  test('that knows no logins: the page says so after a while, and lets one try again', async (t) => {
    const own = await serve(t, { config: '[plugin:echo]\n' });
    const page = await browser.open(own.url);

    await page.clock.install();
    for (const name of ['ann', 'bobby']) {
      await join(page, name);
      await page.getByText('Joining…').waitFor();
      await until('the page gives up', async () => {
        await page.clock.fastForward(1000);
        return page.getByText('The server does not answer').isVisible();
      });
      assert.equal(await joinButton(page).textContent(), 'Join');
    }
  });
});
