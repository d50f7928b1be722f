/*
 * loginview.js - the form that asks for a name, with the server's objection beside the field.
 *
 * View bus: login(name).
 */
import Backbone from 'backbone';
import template from '../../templates/login.html';

export const LoginView = Backbone.View.extend({
  className: 'login-view',

  events: {
    'submit form': 'onSubmit',
  },

  initialize({ vent }) {
    this.vent = vent;
    this.listenTo(this.model, 'change', this.update);
  },

  render() {
    this.$el.html(template({}));
    this.$('#name').val(this.model.get('name'));
    this.update();
    return this;
  },

  update() {
    const { error, detail, isNameBad, isBusy } = this.model.attributes;
    const text = error && detail ? `${error}: ${detail}` : error;
    const is_new_error = text && this.$('.login-error').text() !== text;

    this.$('.login-error').text(text);
    this.$('#name').attr('aria-invalid', isNameBad ? 'true' : null).toggleClass('is-invalid', isNameBad);
    this.$('button').attr('aria-busy', String(isBusy)).text(isBusy ? 'Joining…' : 'Join');
    if (is_new_error) this.focus();
  },

  /* Called once the view is in the document. */
  focus() {
    this.$('#name').trigger('focus').trigger('select');
  },

  onSubmit(event) {
    event.preventDefault();
    if (!this.model.get('isBusy')) this.vent.trigger('login', this.$('#name').val().trim());
  },
});
