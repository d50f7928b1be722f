/*
 * main.js - MainController: wires models, views and ChatClient through two event buses.
 *
 * Views trigger what the user wants on the view bus; ChatClient triggers what the server said on
 * the socket bus; the handlers below are all that connects them.
 */
import Backbone from 'backbone';
import _ from 'underscore';
import { ContainerModel } from './models/containermodel.js';
import { HomeModel } from './models/homemodel.js';
import { LoginModel } from './models/loginmodel.js';
import { Retry } from './retry.js';
import { ChatClient } from './socketclient.js';
import { UnreadTitle } from './unreadtitle.js';
import { ContainerView } from './views/containerview.js';
import { HomeView } from './views/homeview.js';
import { LoginView } from './views/loginview.js';

/* A connection that died without a word holds its name until the server misses its pong, pingInterval
   + pingTimeout = 45 s by default. */
const NAME_RETRY = { firstMs: 250, maxMs: 4000, giveUpMs: 60000 };

const AWAY = 'You were away: what was said meanwhile is not shown.';

export class MainController {
  constructor({ el, io }) {
    this.viewBus = _.extend({}, Backbone.Events);
    this.socketBus = _.extend({}, Backbone.Events);
    this.chatClient = new ChatClient({ bus: this.socketBus, io });
    this.loginModel = new LoginModel();
    this.containerModel = new ContainerModel();
    this.containerView = new ContainerView({ el, model: this.containerModel, vent: this.viewBus });
    this.title = new UnreadTitle(document);
    this.nameRetry = new Retry(NAME_RETRY);
    this.homeModel = null; /* the lobby; kept when we are thrown out of it, for our way back */
    this.name = null; /* the name we want or have; null before the first login, and after leaving */
    this.isHome = false; /* the lobby is what the page shows */
  }

  start() {
    this.listen(this.viewBus, {
      login: this.onLogin,
      chat: this.onChat,
      resend: this.onResend,
      leave: this.onLeave,
      retryNow: () => this.chatClient.restart(),
    });
    this.listen(this.socketBus, {
      connected: this.onConnected,
      disconnected: this.onDisconnected,
      loginDone: this.onLoginDone,
      loginNameBad: () => this.onLoginFailed('Invalid Name'),
      loginNameExists: this.onLoginNameExists,
      usersInfo: (names) => this.homeModel?.onlineUsers.setNames(names),
      userJoined: (name) => this.homeModel?.userJoined(name),
      userLeft: (name) => this.homeModel?.userLeft(name),
      chatReceived: this.onChatReceived,
      refused: this.onRefused,
    });
    this.containerView.render();
    this.showLogin();
    this.chatClient.connect();
  }

  listen(bus, handlers) {
    for (const [event, handler] of Object.entries(handlers)) bus.on(event, handler, this);
  }

  showLogin() {
    const view = new LoginView({ model: this.loginModel, vent: this.viewBus });

    this.isHome = false;
    this.containerModel.set('viewState', view);
  }

  showHome() {
    const view = new HomeView({ model: this.homeModel, vent: this.viewBus });

    this.isHome = true;
    this.containerModel.set('viewState', view);
  }

  /* What the user wants */

  onLogin(name) {
    this.name = name;
    this.loginModel.set({ name, error: '', isBusy: true });
    this.chatClient.login(name); /* or, without a connection, as soon as there is one */
  }

  onChat(text) {
    this.homeModel.outbox.send(text);
    this.chatClient.chat(text);
  }

  onResend(line) {
    this.homeModel.outbox.remove(line);
    this.onChat(line.get('text'));
  }

  onLeave() {
    this.name = null;
    this.homeModel = null;
    this.nameRetry.reset();
    this.title.reset();
    this.loginModel.set({ error: '', isBusy: false });
    this.showLogin();
    this.chatClient.restart();
  }

  /* What the server said */

  onConnected() {
    if (!this.isHome) this.containerModel.set('connection', 'online');
    if (this.name !== null) this.chatClient.login(this.name);
  }

  onDisconnected(isLost) {
    this.nameRetry.reset();
    this.homeModel?.loseConnection();
    this.containerModel.set('connection', isLost ? 'offline' : 'connecting');
  }

  onLoginDone() {
    if (this.name === null) return;
    const is_back = this.homeModel !== null;

    this.nameRetry.reset();
    this.homeModel ??= new HomeModel();
    this.homeModel.enter(this.name);
    this.containerModel.set('connection', 'online');
    this.loginModel.set({ error: '', isBusy: false });
    if (is_back) this.homeModel.userChats.addNotice({ text: AWAY, at: Date.now() });
    if (!this.isHome) this.showHome();
    this.chatClient.requestOnlineUsers();
  }

  onLoginNameExists() {
    if (this.homeModel?.get('isOnline')) return;
    const again = () => this.chatClient.login(this.name);
    const is_waiting = this.isHome && this.nameRetry.schedule(again);

    if (is_waiting) this.containerModel.set('connection', 'returning');
    else this.onLoginFailed('Name already exists');
  }

  onLoginFailed(error) {
    if (this.name === null) return;
    this.name = null;
    this.nameRetry.reset();
    this.containerModel.set('connection', 'online');
    this.loginModel.set({ error, isBusy: false });
    if (this.isHome) this.showLogin();
  }

  onChatReceived(chat) {
    if (!this.homeModel) return;
    this.homeModel.chatReceived(chat);
    this.title.count();
  }

  onRefused({ event, message }) {
    if (event !== 'chat') return;
    this.homeModel?.outbox.refuseFirst(String(message ?? 'The server refused this message.'));
  }
}
