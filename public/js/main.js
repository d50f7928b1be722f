/*
 * main.js - MainController: wires models, views and ChatClient through two event buses.
 *
 * Views trigger what the user wants on the view bus; ChatClient triggers what the server said on
 * the socket bus; the handlers below are all that connects them.
 */
import Backbone from 'backbone';
import _ from 'underscore';
import { Deadline } from './deadline.js';
import { ContainerModel } from './models/containermodel.js';
import { HomeModel } from './models/homemodel.js';
import { LoginModel } from './models/loginmodel.js';
import { Retry } from './retry.js';
import { Roster } from './roster.js';
import { ChatClient } from './socketclient.js';
import { reasonText } from './text.js';
import { UnreadTitle } from './unreadtitle.js';
import { ContainerView } from './views/containerview.js';
import { HomeView } from './views/homeview.js';
import { LoginView } from './views/loginview.js';

/* A connection that died without a word holds its name until the server misses its pong, pingInterval
   + pingTimeout = 45 s by default. */
const NAME_RETRY = { firstMs: 250, maxMs: 4000, giveUpMs: 60000 };

const LOGIN_DEADLINE_MS = 10000; /* a server without a plugin for logins never answers */

/* The words of the article, for what a server of today says by a code. */
const LOGIN_ERRORS = { name_bad: 'Invalid Name', name_exists: 'Name already exists' };
const NO_ERROR = { error: '', detail: '', isNameBad: false };
const UNANSWERED = 'The server does not answer. Please try again.';
const REFUSED = 'The server refused this login.';
const REFUSED_CHAT = 'The server refused this message.';

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
    this.loginDeadline = new Deadline(LOGIN_DEADLINE_MS); /* runs while a login waits for its answer */
    this.roster = new Roster({ page: document, ask: () => this.chatClient.requestOnlineUsers() });
    this.homeModel = null; /* the lobby; kept when we are thrown out of it, for our way back */
    this.name = null; /* the name we want or have; null before the first login, and after leaving */
    this.isHome = false; /* the lobby is what the page shows */
    this.isUnanswered = false; /* a login on this connection got no answer; it may still come */
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
      loginNameBad: () => this.onLoginFailed(LOGIN_ERRORS.name_bad),
      loginNameExists: this.onLoginNameExists,
      loginRefused: this.onLoginRefused,
      usersInfo: this.onUsersInfo,
      userJoined: this.onUserJoined,
      userLeft: this.onUserLeft,
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
    this.loginModel.set({ ...NO_ERROR, name, isBusy: true });
    if (!this.isUnanswered) {
      this.login(); /* or, without a connection, as soon as there is one */
      return;
    }
    this.isUnanswered = false;
    this.chatClient.restart(); /* so that an old answer is not taken for the new one */
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
    this.loginModel.set({ ...NO_ERROR, isBusy: false });
    this.showLogin();
    this.chatClient.restart();
  }

  /* Asking for our name */

  login() {
    if (this.chatClient.login(this.name)) this.loginDeadline.start(() => this.onUnanswered());
  }

  stopAwaiting() {
    this.isUnanswered = false;
    this.loginDeadline.stop();
  }

  /* Should the answer still come, it counts. */
  onUnanswered() {
    this.isUnanswered = true;
    if (this.isHome) this.containerModel.set('connection', 'unanswered');
    else this.loginModel.set({ ...NO_ERROR, error: UNANSWERED, isBusy: false });
  }

  /* What the server said */

  onConnected() {
    if (!this.isHome) this.containerModel.set('connection', 'online');
    if (this.name !== null) this.login();
  }

  onDisconnected(isLost) {
    if (this.isUnanswered && !this.isHome) this.name = null; /* the form is the user's again */
    this.stopAwaiting();
    this.roster.stop();
    this.nameRetry.reset();
    this.homeModel?.loseConnection();
    this.containerModel.set('connection', isLost || this.isHome ? 'offline' : 'connecting');
  }

  onLoginDone() {
    if (this.name === null) return;
    const is_back = this.homeModel !== null;

    this.stopAwaiting();
    this.nameRetry.reset();
    this.homeModel ??= new HomeModel();
    this.homeModel.enter(this.name);
    this.containerModel.set('connection', 'online');
    this.loginModel.set({ ...NO_ERROR, isBusy: false });
    if (is_back) this.homeModel.userChats.addNotice({ text: AWAY, at: Date.now() });
    if (!this.isHome) this.showHome();
    this.roster.start();
  }

  onLoginNameExists() {
    if (this.homeModel?.get('isOnline')) return;
    this.stopAwaiting();
    const is_waiting = this.isHome && this.nameRetry.schedule(() => this.login());

    if (is_waiting) this.containerModel.set('connection', 'returning');
    else this.onLoginFailed(LOGIN_ERRORS.name_exists);
  }

  onLoginFailed(error) {
    if (this.name === null || this.homeModel?.get('isOnline')) return;
    this.name = null;
    this.stopAwaiting();
    this.nameRetry.reset();
    this.containerModel.set('connection', 'online');
    this.loginModel.set({ error, detail: '', isNameBad: true, isBusy: false });
    if (this.isHome) this.showLogin();
  }

  /* By the ack or the event `error`. Where the server has an event of the article for it, that has
     come before, and this adds the reason. */
  onLoginRefused({ code, message }) {
    const words = LOGIN_ERRORS[code];
    const reason = reasonText(message);

    if (this.loginDeadline.isRunning || this.isUnanswered) {
      if (code === 'name_exists') this.onLoginNameExists();
      else this.onLoginFailed(words ?? (reason || REFUSED));
    }
    if (words && this.loginModel.get('error') === words) this.loginModel.set('detail', reason);
  }

  onUsersInfo(names) {
    if (!this.homeModel) return;
    this.homeModel.onlineUsers.setNames(names);
    this.roster.received(names.length);
  }

  onUserJoined(name) {
    this.roster.stop();
    this.homeModel?.userJoined(name);
  }

  onUserLeft(name) {
    this.roster.stop();
    this.homeModel?.userLeft(name);
  }

  onChatReceived(chat) {
    if (!this.homeModel) return;
    this.homeModel.chatReceived(chat);
    this.title.count();
  }

  onRefused(refusal) {
    const { event, message } = refusal;

    if (event === 'login') this.onLoginRefused(refusal);
    if (event === 'chat') this.homeModel?.outbox.refuseFirst(reasonText(message) || REFUSED_CHAT);
  }
}
