/*
 * userchatsview.js - the conversation, and below it the messages on their way.
 *
 * The log is laid out from its end (flex-direction: column-reverse), so that the browser itself
 * stays with the newest line, or with what is being read: scrollTop is 0 at the newest line and
 * negative above it.
 * View bus: resend(line).
 */
import Backbone from 'backbone';
import chatTemplate from '../../templates/chat.html';
import noticeTemplate from '../../templates/notice.html';
import sendingTemplate from '../../templates/sending.html';
import template from '../../templates/talk.html';
import { initial, timeWords, tone } from '../text.js';

const NEAR_END_PX = 40; /* so near the newest line counts as there */

export const UserChatsView = Backbone.View.extend({
  className: 'chats',

  events: {
    'click .to-newest': 'onToNewest',
    'click .resend': 'onResend',
    'click .discard': 'onDiscard',
  },

  initialize({ vent }) {
    const { userChats, outbox } = this.model;

    this.vent = vent;
    this.nNew = 0; /* messages below what is being read */
    this.isNearEnd = true; /* remembered: to ask for scrollTop costs a layout for each message */
    this.elements = new Map(); /* model -> its <li> */
    this.listenTo(userChats, 'add', this.onAdd);
    this.listenTo(userChats, 'change:isContinued', this.mark);
    this.listenTo(outbox, 'add', this.onSending);
    this.listenTo(outbox, 'change', this.replace);
    this.listenTo(this.model, 'change:isOnline', this.updateResend);
    this.listenTo(userChats, 'remove', this.drop);
    this.listenTo(outbox, 'remove', this.drop);
  },

  render() {
    this.$el.html(template({}));
    this.log = this.$('.log')[0];
    this.lines = this.$('.lines')[0];
    this.outbox = this.$('.outbox')[0];
    this.log.addEventListener('scroll', () => this.onScroll(), { passive: true });
    this.model.userChats.each((line) => this.append(line, this.lines));
    this.model.outbox.each((line) => this.append(line, this.outbox));
    this.updateResend();
    return this;
  },

  onAdd(line) {
    this.append(line, this.lines);
    if (line.get('kind') !== 'chat' || line.get('isOwn') || this.isNearEnd) return;
    this.nNew += 1;
    this.showNew();
  },

  onSending(line) {
    this.append(line, this.outbox);
    this.toNewest();
  },

  append(line, list) {
    const element = this.draw(line);

    this.elements.set(line, element);
    list.append(element);
    if (line.get('kind') !== 'notice') this.$('.empty').remove();
  },

  mark(line) {
    this.elements.get(line)?.classList.toggle('is-continued', line.get('isContinued'));
  },

  replace(line) {
    const old = this.elements.get(line);

    if (!old) return;
    const element = this.draw(line);
    old.replaceWith(element);
    this.elements.set(line, element);
    this.updateResend();
  },

  /* Where there is no connection, there is no again. */
  updateResend() {
    this.$('.resend').prop('disabled', !this.model.get('isOnline'));
  },

  drop(line) {
    this.elements.get(line)?.remove();
    this.elements.delete(line);
  },

  draw(line) {
    const data = line.attributes;
    const element = document.createElement('li');

    if (data.kind === 'chat') {
      element.className = 'chat';
      element.classList.toggle('is-own', data.isOwn);
      element.classList.toggle('is-continued', data.isContinued);
      element.innerHTML = chatTemplate({
        ...data,
        initial: initial(data.sender),
        tone: tone(data.sender),
        time: timeWords(data.at),
      });
    } else if (data.kind === 'notice') {
      element.className = 'notice';
      element.innerHTML = noticeTemplate({ ...data, time: timeWords(data.at) });
    } else {
      element.className = 'chat is-own is-continued';
      element.classList.add(`is-${data.state}`);
      element.dataset.cid = line.cid;
      element.innerHTML = sendingTemplate(data);
    }
    return element;
  },

  onScroll() {
    this.isNearEnd = Math.abs(this.log.scrollTop) < NEAR_END_PX;
    if (this.nNew === 0 || !this.isNearEnd) return;
    this.nNew = 0;
    this.showNew();
  },

  showNew() {
    const words = this.nNew === 1 ? '1 new message' : `${this.nNew} new messages`;

    this.$('.to-newest').prop('hidden', this.nNew === 0).text(`${words} ↓`);
  },

  toNewest() {
    this.log.scrollTop = 0;
    this.isNearEnd = true;
    this.nNew = 0;
    this.showNew();
  },

  onToNewest() {
    this.toNewest();
    this.log.focus();
  },

  onResend(event) {
    this.vent.trigger('resend', this.lineOf(event));
  },

  onDiscard(event) {
    this.model.outbox.remove(this.lineOf(event));
  },

  lineOf(event) {
    return this.model.outbox.get(event.target.closest('[data-cid]').dataset.cid);
  },
});
