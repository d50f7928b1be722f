/*
 * socketclient.js - ChatClient, the only file that knows the socket.
 *
 * Called by: main.js. What the server sends goes onto the socket bus, what the page wants becomes
 * an emit: each from one table. A server event with arguments of the wrong type is dropped here,
 * so that nobody behind the bus has to ask again.
 *
 * Socket bus: connected, disconnected(isLost), loginRefused({code, message}), and the second column
 * of INCOMING.
 */
import { Retry } from './retry.js';

const isText = (value) => typeof value === 'string';
const isList = (value) => Array.isArray(value) && value.every(isText);
const isChat = (value) => typeof value === 'object' && value !== null && isText(value.sender);
const isRefusal = (value) => typeof value === 'object' && value !== null && isText(value.event);
const isAnything = () => true;

/* server event -> event on the bus, and what its argument must be */
const INCOMING = {
  welcome: ['loginDone', isAnything],
  loginNameBad: ['loginNameBad', isAnything],
  loginNameExists: ['loginNameExists', isAnything],
  onlineUsers: ['usersInfo', isList],
  userJoined: ['userJoined', isText],
  userLeft: ['userLeft', isText],
  chat: ['chatReceived', isChat],
  error: ['refused', isRefusal],
};

/* method of ChatClient -> event that the server knows; login() has its own below */
const OUTGOING = {
  requestOnlineUsers: 'onlineUsers',
  chat: 'chat',
};

export class ChatClient {
  /* bus: borrowed. io: the socket.io-client function. */
  constructor({ bus, io }) {
    this.bus = bus;
    this.socket = io({ autoConnect: false, reconnectionDelay: 500, reconnectionDelayMax: 5000 });
    this.retry = new Retry({ firstMs: 500, maxMs: 15000 });
    this.socket.on('connect', () => this.onConnect());
    this.socket.on('disconnect', (reason) => this.onDisconnect(reason));
    this.socket.on('connect_error', () => this.onLost());
    this.socket.io.on('open', () => this.watchUpgrade(this.socket.io.engine));
    for (const [event, [busEvent, isValid]] of Object.entries(INCOMING)) {
      this.socket.on(event, (value) => {
        if (isValid(value)) bus.trigger(busEvent, value);
      });
    }
    for (const [method, event] of Object.entries(OUTGOING)) {
      this[method] = (...args) => this.emit(event, args);
    }
  }

  connect() {
    this.socket.connect();
  }

  /* The ack, from servers that give one, says more than their event; and one that a plugin refuses
     before `auth` sees it comes with nothing else. */
  login(name) {
    const onAck = (answer) => {
      if (answer?.ok === false) this.bus.trigger('loginRefused', answer.error ?? {});
    };

    return this.emit('login', [name, onAck]);
  }

  /* Leaves at once, and is there again under no name: the server frees ours with the connection. */
  restart() {
    this.retry.reset();
    this.socket.disconnect().connect();
  }

  /* Not socket.connected alone: the library sets it late, and then even where the transport has
     closed in the meantime. */
  isConnected() {
    return this.socket.connected && this.socket.io.engine.readyState === 'open';
  }

  /* Returns false when there is no connection: the library would keep the packet and send it
     before we have our name again. */
  emit(event, args) {
    if (!this.isConnected()) return false;
    this.socket.emit(event, ...args);
    return true;
  }

  onConnect() {
    if (!this.isConnected()) return; /* it was lost before we heard that it was there */
    this.retry.reset();
    this.bus.trigger('connected');
  }

  /* Where a connection ends in the middle of its upgrade, engine.io-client 6 leaves polling paused
     and would notice only at the ping timeout. */
  watchUpgrade(engine) {
    engine.once('upgradeError', () => {
      const is_stuck = /^paus/.test(engine.transport.readyState);

      if (is_stuck) this.retry.schedule(() => this.restart());
    });
  }

  onDisconnect(reason) {
    if (reason === 'io client disconnect') this.bus.trigger('disconnected', false);
    else this.onLost();
  }

  /* The library tries again by itself, unless the server refused us or sent us away: then we do. */
  onLost() {
    this.bus.trigger('disconnected', true);
    if (!this.socket.active) this.retry.schedule(() => this.socket.connect());
  }
}
