/*
 * look.test.js - how the chat looks: both colour schemes, wide and narrow.
 *
 * Each state is checked with axe (contrast, names, roles) and for anything wider than the screen.
 * With SOCKHOP_SHOTS=DIR set, a picture of each is written to DIR, for people to look at.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { OUTAGE, banner, joinButton, login, message, nameField, openBrowser, say, upgraded } from '../lib/browser.js';
import { startServer } from '../lib/server.js';

const SHOTS = process.env.SOCKHOP_SHOTS;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SIZES = { wide: { width: 1280, height: 800 }, narrow: { width: 360, height: 740 } };

/* Who says what, in turn. */
const TALK = [
  ['ann', 'Good morning! Is the new build up?'],
  ['ann', 'I only see the old one from here.'],
  ['bobby', 'Morning. It went live ten minutes ago, reload the page once.'],
  ['ann', 'There it is. That was quick.'],
  ['bobby', 'A restart takes a second now: everybody is logged in again by themselves, and what you were writing is still in the box.'],
  ['bobby', 'Shall we look at the numbers together?'],
  ['ann', 'Yes, in five minutes. I will bring tea.'],
];

let server;
let browser;

before(async () => {
  if (SHOTS) mkdirSync(SHOTS, { recursive: true });
  server = await startServer();
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

async function look(page, name) {
  await page.evaluate(() => Promise.all(document.getAnimations().filter((each) => each.transitionProperty).map((each) => each.finished.catch(() => {})))); /* one that was replaced is aborted */
  if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}.png`) });
  assert.ok(
    await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth),
    `${name}: nothing is wider than the screen`,
  );
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run());
  assert.deepEqual(
    violations.flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.html}: ${node.failureSummary}`)),
    [],
    `${name}: axe finds nothing`,
  );
}

for (const colorScheme of ['light', 'dark']) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    describe(`${colorScheme}, ${size}`, () => {
      const shot = (name) => `${colorScheme}-${size}-${name}`;
      let ann;
      let bob;

      before(async () => {
        ann = await browser.open(server.url, { viewport, colorScheme, mayFail: OUTAGE });
        bob = await browser.open(server.url, { mayFail: OUTAGE });
      });

      after(async () => {
        await browser.closePages();
        /* their names are free; one that went while it was polling may be missed by its next ping only */
        await server.waitMetrics((metrics) => metrics.get('sockhop_sockets') === 0, 60000);
      });

      test('the login', async () => {
        const theme = await ann.evaluate(() => document.documentElement.dataset.bsTheme);

        assert.equal(theme, colorScheme);
        await look(ann, shot('login'));
        await nameField(ann).fill('me');
        await joinButton(ann).click();
        await ann.getByText('Invalid Name').waitFor();
        await look(ann, shot('login-error'));
      });

      test('the talk', async () => {
        await login(ann, 'ann');
        await look(ann, shot('empty'));
        await login(bob, 'bobby');
        await message(ann, 'bobby joined', '.notice').waitFor();
        for (const [name, text] of TALK) {
          await say(name === 'ann' ? ann : bob, text);
          await message(ann, text).waitFor();
        }
        await ann.locator('#people li').nth(1).waitFor({ state: 'attached' });
        await look(ann, shot('talk'));
      });

      test('news below what is being read', async () => {
        for (let n = 1; n <= 12; n += 1) await say(bob, `One more line, number ${n}.`);
        await message(ann, 'number 12.').waitFor();
        /* The page follows its last line a frame later: again, until it stays here. */
        await message(ann, TALK[0][1]).evaluate(async (element) => {
          const frame = () => new Promise(requestAnimationFrame);
          const isSeen = () => element.getBoundingClientRect().top >= 0 && element.getBoundingClientRect().top < innerHeight;

          do {
            element.scrollIntoView();
            for (let n = 0; n < 5; n += 1) await frame();
          } while (!isSeen());
        });
        await say(bob, 'Are you reading along?');
        await ann.getByRole('button', { name: '1 new message' }).waitFor();
        await look(ann, shot('news'));
        await ann.locator('.to-newest').click();
      });

      test('the people, where they are a drawer', { skip: size === 'wide' }, async () => {
        const toggle = ann.locator('.people-toggle');

        await toggle.click();
        await ann.locator('#people li').first().waitFor();
        await look(ann, shot('people'));
        await toggle.click();
      });

      test('a message on its way, and the banner', async () => {
        const { port } = server;

        await upgraded(ann, bob);
        server.proc.kill('SIGSTOP');
        try {
          await say(ann, 'The kettle is on.');
          await ann.getByText('Sending…').waitFor();
          await look(ann, shot('sending'));
          await server.kill();
          await banner(ann).waitFor();
          await say(ann, 'Are you still there?');
          await look(ann, shot('offline'));
        } finally {
          await server.kill();
          server = await startServer({ args: ['-o', `server.port=${port}`] });
        }
        await banner(ann).waitFor({ state: 'hidden' });
      });
    });
  }
}
