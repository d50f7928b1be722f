/*
 * loginmodel.js - what the login form shows.
 */
import Backbone from 'backbone';

export const LoginModel = Backbone.Model.extend({
  defaults: {
    name: '',
    error: '',
    isBusy: false, /* the server has been asked and has not answered */
  },
});
