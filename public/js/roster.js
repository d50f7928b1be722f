/*
 * roster.js - asks who is online: once after each login, and again where nobody tells us.
 *
 * A lobby with `notices = no` does not say who comes and goes. With notices, the first one is that of
 * our own login; until one comes we ask from time to time, while the page can be seen. The longer the
 * list, the rarer: whatever their number, all pages together ask for some 33 lists a second.
 *
 * Called by: main.js.
 */
const LEAST_MS = 15000;
const MS_FOR_EACH_USER = 30;

export class Roster {
  /* page: borrowed, the document. ask: sends the question. */
  constructor({ page, ask }) {
    this.page = page;
    this.ask = ask;
    this.isOn = false; /* logged in, and no notice has come */
    this.isDue = false; /* it was time while nobody looked */
    this.timer = null;
    page.addEventListener('visibilitychange', () => {
      if (this.isDue && !page.hidden) this.askNow();
    });
  }

  /* We have logged in. */
  start() {
    this.isOn = true;
    this.askNow();
  }

  /* The list has come, and has so many names. */
  received(nUsers) {
    if (!this.isOn) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.onTime(), Math.max(LEAST_MS, nUsers * MS_FOR_EACH_USER));
  }

  /* We are being told, or not logged in any more. */
  stop() {
    this.isOn = false;
    this.isDue = false;
    clearTimeout(this.timer);
  }

  onTime() {
    if (this.page.hidden) this.isDue = true;
    else this.askNow();
  }

  /* The next question waits for the answer to this one. */
  askNow() {
    this.isDue = false;
    this.ask();
  }
}
