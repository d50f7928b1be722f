/*
 * homeview.js - the lobby: a bar, the conversation, the composer and the people online.
 *
 * On a narrow screen the people are a drawer that the bar's button opens.
 * View bus: leave, and what its parts trigger.
 */
import Backbone from 'backbone';
import template from '../../templates/home.html';
import { ComposerView } from './composerview.js';
import { OnlineUsersView } from './onlineusersview.js';
import { UserChatsView } from './userchatsview.js';

export const HomeView = Backbone.View.extend({
  className: 'home-view',

  events: {
    'click .leave': 'onLeave',
    'click .people-toggle': 'onToggle',
    'click .skip-link': 'onSkip',
    'click .talk': 'closePeople',
    keydown: 'onKey',
  },

  initialize({ vent }) {
    this.vent = vent;
    this.parts = [];
    this.listenTo(this.model.onlineUsers, 'update reset', this.updateCount);
    this.listenTo(this.model, 'change:userName', this.updateName);
  },

  render() {
    const { model, vent } = this;

    this.$el.html(template({ userName: model.get('userName') }));
    this.chats = new UserChatsView({ model, vent });
    this.composer = new ComposerView({ model, vent });
    this.users = new OnlineUsersView({ model, el: this.$('.people')[0] });
    this.parts = [this.chats, this.composer, this.users];
    this.$('.talk').append(this.chats.render().el, this.composer.render().el);
    this.users.render();
    this.updateCount();
    return this;
  },

  remove() {
    for (const part of this.parts) part.remove();
    return Backbone.View.prototype.remove.call(this);
  },

  focus() {
    this.composer.focus();
  },

  updateCount() {
    this.$('.people-toggle .user-count').text(this.model.onlineUsers.length);
  },

  updateName() {
    this.$('.bar .user-name').text(this.model.get('userName'));
  },

  onLeave() {
    this.vent.trigger('leave');
  },

  onSkip(event) {
    event.preventDefault();
    this.focus();
  },

  onToggle(event) {
    event.stopPropagation();
    this.setPeople(!this.isPeopleOpen());
  },

  isPeopleOpen() {
    return this.$('.people').hasClass('is-open');
  },

  setPeople(isOpen) {
    this.$('.people').toggleClass('is-open', isOpen);
    this.$('.people-toggle').attr('aria-expanded', String(isOpen));
  },

  closePeople() {
    if (this.isPeopleOpen()) this.setPeople(false);
  },

  onKey(event) {
    if (event.key !== 'Escape' || !this.isPeopleOpen()) return;
    this.closePeople();
    this.$('.people-toggle').trigger('focus');
  },
});
