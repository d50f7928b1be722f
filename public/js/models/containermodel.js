/*
 * containermodel.js - which view the page shows, and how the connection is.
 */
import Backbone from 'backbone';

export const ContainerModel = Backbone.Model.extend({
  defaults: {
    viewState: null, /* the view: owned by ContainerView, which removes it when another comes */
    connection: 'connecting', /* then 'online', 'offline', 'returning' (our name is still taken) or
      'unanswered' (we asked for it, and nothing came) */
  },
});
