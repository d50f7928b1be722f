/*
 * userchats.js - the lines of the conversation: messages, and notices such as "ann joined".
 *
 * A line is {kind: 'chat', sender, text, at, isOwn, isContinued} or {kind: 'notice', name, text, at}.
 */
import Backbone from 'backbone';

export const MAX_LINES = 500; /* a page that stays open for a week must not grow for a week */

const CONTINUED_WITHIN_MS = 5 * 60 * 1000; /* after a pause the sender is named again */

export const UserChats = Backbone.Collection.extend({
  addChat(chat) {
    this.addLine({ kind: 'chat', ...chat, isContinued: this.isContinuing(chat) });
  },

  /* name: who did it, shown as typed; '' where the text is all */
  addNotice({ name = '', text, at }) {
    this.addLine({ kind: 'notice', name, text, at });
  },

  addLine(line) {
    this.add(line);
    while (this.length > MAX_LINES) this.shift();
    this.first().set('isContinued', false); /* its sender must still be named */
  },

  isContinuing({ sender, at }) {
    const last = this.last();

    return (
      last !== undefined &&
      last.get('kind') === 'chat' &&
      last.get('sender') === sender &&
      at - last.get('at') < CONTINUED_WITHIN_MS
    );
  },
});
