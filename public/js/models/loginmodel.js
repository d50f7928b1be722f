/*
 * loginmodel.js - what the login form shows.
 */
import Backbone from 'backbone';

export const LoginModel = Backbone.Model.extend({
  defaults: {
    name: '',
    error: '',
    detail: '', /* why, in the server's words; '' where it says no more */
    isNameBad: false, /* the error is about the name */
    isBusy: false, /* the server has been asked and has not answered */
  },
});
