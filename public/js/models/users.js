/*
 * users.js - the users who are online.
 */
import Backbone from 'backbone';

const order = new Intl.Collator(undefined, { sensitivity: 'base', numeric: true });

export const Users = Backbone.Collection.extend({
  /* Backbone finds models through a plain object, where the key "__proto__" is always there. */
  modelId: ({ name }) => `user:${name}`,

  setNames(names) {
    const users = [...new Set(names)].map((name) => ({ name }));

    this.set(users, { merge: false }); /* the same list again changes nothing, and draws nothing */
  },

  removeName(name) {
    this.remove(this.get({ name }));
  },

  /* Sorted when asked for: a comparator would sort all of them for each who joins. */
  sortedNames() {
    return this.pluck('name').sort((a, b) => order.compare(a, b) || (a < b ? -1 : 1));
  },
});
