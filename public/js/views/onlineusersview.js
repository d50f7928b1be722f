/*
 * onlineusersview.js - the list of people online, with their number.
 */
import Backbone from 'backbone';
import _ from 'underscore';
import template from '../../templates/users.html';
import { initial, tone } from '../text.js';

const MAX_SHOWN = 300; /* the rest is a number: nobody reads on, and the page stays quick */
const REDRAW_MS = 100; /* many may join at once: draw the list once for all of them */

export const OnlineUsersView = Backbone.View.extend({
  initialize() {
    this.renderSoon = _.throttle(() => this.render(), REDRAW_MS, { leading: false });
    this.listenTo(this.model.onlineUsers, 'update reset', this.renderSoon);
  },

  render() {
    const users = this.model.onlineUsers;
    const self = this.model.get('userName');

    this.$el.html(
      template({
        count: users.length,
        nMore: users.length - MAX_SHOWN,
        users: users.sortedNames().slice(0, MAX_SHOWN).map((name) => ({
          name,
          isSelf: name === self,
          initial: initial(name),
          tone: tone(name),
        })),
      }),
    );
    return this;
  },

  remove() {
    this.renderSoon.cancel();
    return Backbone.View.prototype.remove.call(this);
  },
});
