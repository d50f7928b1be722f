/*
 * browser.js - Chromium, and what a person does on the chat page.
 *
 * Called by: the browser tests. A page remembers each error that its console shows, breaches of the
 * Content-Security-Policy among them; leaveBrowser() asserts that there was none.
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const CHROMIUM = process.env.SOCKHOP_CHROMIUM ?? '/usr/bin/chromium';
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const UPGRADE_PACKET = '5'; /* PROTOCOL.md 1.2: the client has moved to WebSocket */
const DEADLINE_MS = 15000;
const POLL_MS = 25;

/* What the browser itself reports while there is no server. */
export const OUTAGE = /net::ERR_(CONNECTION_|EMPTY_RESPONSE|INCOMPLETE)|WebSocket connection to .* failed/;

export async function openBrowser() {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS, headless: true });
  const pages = [];

  return {
    pages,

    /* options: those of a Playwright context; also mayFail, a regexp of errors that are expected */
    async open(url, { mayFail = /$^/, ...options } = {}) {
      const context = await browser.newContext({ locale: 'en-GB', ...options });
      context.setDefaultTimeout(DEADLINE_MS);
      const page = await context.newPage();
      const errors = [];
      const upgrade = new Promise((done) => {
        page.on('websocket', (socket) =>
          socket.on('framesent', ({ payload }) => payload === UPGRADE_PACKET && done()),
        );
      });

      page.on('pageerror', (error) => errors.push(`uncaught: ${error.stack}`));
      page.on('console', (message) => {
        if (message.type() === 'error' && !mayFail.test(message.text())) errors.push(message.text());
      });
      pages.push({ page, errors });
      page.isUpgraded = () => upgrade;
      await page.goto(url);
      return page;
    },

    /* Ends the pages of one test, so that the next begins with nobody online. */
    async closePages() {
      const errors = pages.flatMap((each) => each.errors);

      for (const { page } of pages.splice(0)) await page.context().close();
      assert.deepEqual(errors, [], 'the console shows no error');
    },

    close: () => browser.close(),
  };
}

/*
 * Waits until the pages talk over WebSocket. engine.io-client 6 misses the end of a connection that
 * ends while it upgrades, until the ping timeout: a test that stops the server asks for this first.
 */
export function upgraded(...pages) {
  const deadline = delay(DEADLINE_MS, null, { ref: false }).then(() => assert.fail('no upgrade'));

  return Promise.race([Promise.all(pages.map((page) => page.isUpgraded())), deadline]);
}

/* Resolves as soon as ask() gives something true; ask may be async. */
export async function until(what, ask, ms = DEADLINE_MS) {
  const deadline = Date.now() + ms;

  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    assert.ok(Date.now() < deadline, `not within ${ms} ms: ${what}`);
    await delay(POLL_MS);
  }
}

/* What is on the page, by the words that a person or a screen reader finds it by. */
export const nameField = (page) => page.getByLabel('Your name');
export const joinButton = (page) => page.getByRole('button', { name: 'Join' });
export const messageField = (page) => page.getByLabel('Message', { exact: true });
export const log = (page) => page.getByRole('log');
export const banner = (page) => page.locator('.banner');
export const people = (page) => page.locator('#people li bdi');

export async function login(page, name) {
  await nameField(page).fill(name);
  await joinButton(page).click();
  await messageField(page).waitFor();
  await message(page, 'You joined', '.notice').waitFor();
}

export async function say(page, text) {
  await messageField(page).fill(text);
  await messageField(page).press('Enter');
}

export const message = (page, text, kind = '.lines .chat .text') =>
  log(page).locator(kind).filter({ hasText: text }).first();

export async function texts(page, selector) {
  return page.locator(selector).allTextContents();
}
