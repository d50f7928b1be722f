/*
 * outbox.js - messages on their way: sent, and not yet come back from the server.
 *
 * The server sends a message to everyone, its sender too. One that has not come back when the
 * connection ends may or may not have arrived: it stays here as lost, for its author to decide.
 */
import Backbone from 'backbone';

export const Outbox = Backbone.Collection.extend({
  send(text) {
    this.add({ text, state: 'sending', reason: '' });
  },

  confirm(text) {
    this.remove(this.find((line) => line.get('text') === text));
  },

  /* The server answers in order, so a refusal is about the oldest. */
  refuseFirst(reason) {
    this.findWhere({ state: 'sending' })?.set({ state: 'lost', reason });
  },

  loseAll(reason) {
    for (const line of this.where({ state: 'sending' })) line.set({ state: 'lost', reason });
  },
});
