/*
 * unreadtitle.js - counts in the title what arrives while the page is hidden.
 */
export class UnreadTitle {
  /* page: borrowed, the document */
  constructor(page) {
    this.page = page;
    this.plain = page.title;
    this.nUnread = 0;
    page.addEventListener('visibilitychange', () => {
      if (!page.hidden) this.reset();
    });
  }

  count() {
    if (!this.page.hidden) return;
    this.nUnread += 1;
    this.page.title = `(${this.nUnread}) ${this.plain}`;
  }

  reset() {
    this.nUnread = 0;
    this.page.title = this.plain;
  }
}
