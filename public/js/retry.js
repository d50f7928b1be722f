/*
 * retry.js - does something again later, waiting longer each time.
 *
 * Called by: socketclient.js (connecting again), main.js (asking for our name again).
 */
export class Retry {
  /* Gives up when it has waited for giveUpMs in all; never, if left out. */
  constructor({ firstMs, maxMs, giveUpMs = Infinity }) {
    this.options = { firstMs, maxMs, giveUpMs };
    this.timer = null;
    this.reset();
  }

  /* Returns false when it has given up: nothing is scheduled then. */
  schedule(action) {
    const { maxMs, giveUpMs } = this.options;

    clearTimeout(this.timer);
    if (this.waitedMs >= giveUpMs) return false;
    this.timer = setTimeout(action, this.delayMs);
    this.waitedMs += this.delayMs;
    this.delayMs = Math.min(this.delayMs * 2, maxMs);
    return true;
  }

  /* Cancels what is scheduled; the next wait is the shortest again. */
  reset() {
    clearTimeout(this.timer);
    this.delayMs = this.options.firstMs;
    this.waitedMs = 0;
  }
}
