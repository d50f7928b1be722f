/*
 * composerview.js - where a message is written. Enter sends, Shift+Enter begins a new line.
 *
 * What cannot be sent now stays in the box, with a word on why.
 * View bus: chat(text).
 */
import Backbone from 'backbone';
import template from '../../templates/composer.html';
import { MAX_TEXT_CHARS } from '../text.js';

const IME_KEY_CODE = 229; /* UI Events, 7.3: the key belongs to an input method (Safari needs it) */

export const ComposerView = Backbone.View.extend({
  className: 'composer-view',

  events: {
    'submit form': 'onSubmit',
    'keydown textarea': 'onKey',
    'input textarea': 'onInput',
  },

  initialize({ vent }) {
    this.vent = vent;
    this.listenTo(this.model, 'change:isOnline', () => this.hint(''));
  },

  render() {
    this.$el.html(template({}));
    return this;
  },

  focus() {
    this.$('textarea').trigger('focus');
  },

  onKey(event) {
    const { isComposing, keyCode } = event.originalEvent;

    if (event.key !== 'Enter' || event.shiftKey || isComposing || keyCode === IME_KEY_CODE) return;
    event.preventDefault();
    this.send();
  },

  onSubmit(event) {
    event.preventDefault();
    this.send();
    this.focus();
  },

  onInput() {
    this.hint('');
  },

  send() {
    const text = this.$('textarea').val().trim();
    const obstacle = this.obstacle(text);

    this.hint(obstacle);
    if (obstacle || text === '') return;
    this.$('textarea').val('');
    this.vent.trigger('chat', text);
  },

  obstacle(text) {
    if (!this.model.get('isOnline')) return 'Not connected: your text stays here.';
    if (text.length > MAX_TEXT_CHARS) return `Too long: at most ${MAX_TEXT_CHARS} characters.`;
    return '';
  },

  hint(text) {
    this.$('.composer-hint').text(text);
  },
});
