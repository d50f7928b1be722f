/*
 * deadline.js - does something once, when what it waits for has not come in time.
 *
 * Called by: main.js (the answer to a login).
 */
export class Deadline {
  constructor(ms) {
    this.ms = ms;
    this.timer = null;
  }

  get isRunning() {
    return this.timer !== null;
  }

  /* Starts again where it runs. */
  start(action) {
    this.stop();
    this.timer = setTimeout(() => {
      this.timer = null;
      action();
    }, this.ms);
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = null;
  }
}
