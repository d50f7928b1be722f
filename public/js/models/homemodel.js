/*
 * homemodel.js - the lobby: who we are, who is online, what was said.
 */
import Backbone from 'backbone';
import { messageText, timeOr } from '../text.js';
import { Outbox } from './outbox.js';
import { UserChats } from './userchats.js';
import { Users } from './users.js';

export const HomeModel = Backbone.Model.extend({
  defaults: {
    userName: '',
    isOnline: false, /* connected and logged in: what is sent arrives */
  },

  initialize() {
    this.onlineUsers = new Users();
    this.userChats = new UserChats();
    this.outbox = new Outbox();
  },

  enter(userName) {
    this.set({ userName, isOnline: true });
  },

  loseConnection() {
    if (!this.get('isOnline')) return;
    this.set('isOnline', false);
    this.outbox.loseAll('The connection was lost: this may not have arrived.');
  },

  userJoined(name) {
    this.onlineUsers.add({ name });
    this.notice(name, 'joined');
  },

  userLeft(name) {
    this.onlineUsers.removeName(name);
    this.notice(name, 'left');
  },

  chatReceived({ sender, message, at }) {
    const isOwn = sender === this.get('userName');
    const text = messageText(message);

    if (isOwn) this.outbox.confirm(text);
    this.onlineUsers.add({ name: sender }); /* who speaks is here, whether we were told or not */
    this.userChats.addChat({ sender, text, isOwn, at: timeOr(at, Date.now()) });
  },

  notice(name, text) {
    const line =
      name === this.get('userName') ? { text: `You ${text}` } : { name, text };

    this.userChats.addNotice({ ...line, at: Date.now() });
  },
});
