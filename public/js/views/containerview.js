/*
 * containerview.js - the whole page: one view at a time, and the banner while there is no connection.
 *
 * View bus: retryNow.
 */
import Backbone from 'backbone';
import bannerTemplate from '../../templates/banner.html';
import template from '../../templates/container.html';

const BANNERS = {
  offline: { text: 'No connection. Trying again…', canRetry: true },
  unanswered: { text: 'Connected again, but the server does not answer.', canRetry: true },
  returning: { text: 'Connected again. Waiting for your name to be free…', canRetry: false },
};

export const ContainerView = Backbone.View.extend({
  events: {
    'click .retry': 'onRetry',
  },

  initialize({ vent }) {
    this.vent = vent;
    this.listenTo(this.model, 'change:viewState', this.showView);
    this.listenTo(this.model, 'change:connection', this.showBanner);
  },

  render() {
    this.$el.html(template({}));
    this.showView();
    this.showBanner();
    return this;
  },

  showView() {
    const view = this.model.get('viewState');

    this.model.previous('viewState')?.remove();
    if (!view) return;
    this.$('.view').append(view.render().el);
    view.focus();
  },

  showBanner() {
    const banner = BANNERS[this.model.get('connection')];

    this.$('.banner-place').html(banner ? bannerTemplate(banner) : '');
  },

  onRetry() {
    this.vent.trigger('retryNow');
  },
});
