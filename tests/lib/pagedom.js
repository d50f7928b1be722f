/*
 * pagedom.js - the page's own modules in a jsdom document, with a socket that the test plays.
 *
 * Called by: the unit tests of the page. Import it before anything else: Backbone looks for a
 * document when it is loaded.
 */
import { EventEmitter } from 'node:events';
import { register } from 'node:module';
import { JSDOM } from 'jsdom';

/* Templates are modules to the page: compile them as its build does. */
const LOADER = `
  import { readFile } from 'node:fs/promises';
  import { compileTemplate } from '${new URL('../../public/templates.mjs', import.meta.url)}';

  export async function load(url, context, next) {
    if (!url.endsWith('.html')) return next(url, context);
    const source = compileTemplate(await readFile(new URL(url), 'utf8'), url);
    return { format: 'module', shortCircuit: true, source };
  }`;
register(`data:text/javascript,${encodeURIComponent(LOADER)}`);

const dom = new JSDOM('<title>sockhop</title><div id="page"></div>', {
  pretendToBeVisual: true,
  runScripts: 'outside-only',
});
globalThis.window = dom.window;
globalThis.document = dom.window.document;

export const load = (path) => import(new URL(`../../public/js/${path}`, import.meta.url));

/* Plays socket.io-client: what the page emits is kept, what the server says the test makes up. */
class FakeSocket extends EventEmitter {
  sent = [];
  acks = []; /* callbacks that the page gave, in order */
  connected = false;
  active = false;
  io = Object.assign(new EventEmitter(), { engine: { readyState: 'closed' } });

  /* EventEmitter throws at an "error" that nobody hears, a Socket.IO socket does not. */
  says(event, ...args) {
    if (this.listenerCount(event) > 0) super.emit(event, ...args);
  }

  emit(event, ...args) {
    if (typeof args.at(-1) === 'function') this.acks.push(args.pop());
    this.sent.push([event, ...args]);
  }

  /* Answers what the page asked last. */
  answers(value) {
    this.acks.at(-1)(value);
  }

  take() {
    return this.sent.splice(0);
  }

  connect() {
    this.active = true;
    return this;
  }

  disconnect() {
    this.active = false;
    if (this.connected) this.breaks('io client disconnect');
    return this;
  }

  opens() {
    this.connected = true;
    this.io.engine = new EventEmitter();
    Object.assign(this.io.engine, { readyState: 'open', transport: { readyState: 'open' } });
    this.io.emit('open');
    this.says('connect');
  }

  breaks(reason = 'transport close') {
    this.connected = false;
    this.io.engine.readyState = 'closed';
    if (reason === 'io server disconnect') this.active = false;
    this.says('disconnect', reason);
  }
}

/* A started page. */
export async function openPage() {
  const { MainController } = await load('main.js');
  const socket = new FakeSocket();
  const el = document.createElement('div');

  document.title = 'sockhop';
  document.body.replaceChildren(el);
  const controller = new MainController({ el, io: () => socket });
  controller.start();
  return {
    controller,
    socket,
    el,
    find: (selector) => el.querySelector(selector),
    texts: (selector) => [...el.querySelectorAll(selector)].map((each) => each.textContent),

    submit(selector, text) {
      el.querySelector(`${selector} [name]`).value = text;
      el.querySelector(`${selector} form`).dispatchEvent(
        new window.Event('submit', { bubbles: true, cancelable: true }),
      );
    },

    click(selector) {
      el.querySelector(selector).click();
    },

    /* In the lobby, with nothing sent that a test would not expect. */
    login(name = 'ann') {
      socket.opens();
      this.submit('.login-view', name);
      socket.says('welcome');
      socket.says('userJoined', name);
      socket.says('onlineUsers', [name]);
      socket.take();
    },
  };
}
