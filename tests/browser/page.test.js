/*
 * page.test.js - what the page makes of what the server says, without a server and without a browser.
 */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { load, openPage } from '../lib/pagedom.js';

const PUBLIC = new URL('../../public/', import.meta.url);

let page;
let socket;

beforeEach(async () => {
  mock.timers.enable();
  page = await openPage();
  ({ socket } = page);
});

afterEach(() => {
  page.controller.containerModel.set('viewState', null);
  mock.timers.reset();
});

const isShowing = (view) => page.find(`.${view}-view`) !== null;

describe('the wire', () => {
  test('a login goes out once, and after it the question who is online', () => {
    socket.opens();
    page.submit('.login-view', '  ann  ');
    page.submit('.login-view', 'ann');
    assert.deepEqual(socket.take(), [['login', 'ann']]);
    socket.says('welcome');
    assert.deepEqual(socket.take(), [['onlineUsers']]);
    assert.ok(isShowing('home'));
  });

  test('a login before the connection waits for it', () => {
    page.submit('.login-view', 'ann');
    assert.deepEqual(socket.take(), []);
    socket.opens();
    assert.deepEqual(socket.take(), [['login', 'ann']]);
  });

  test('a message goes out as text and shows when it comes back', () => {
    page.login();
    page.submit('.composer-view', 'hello');
    assert.deepEqual(socket.take(), [['chat', 'hello']]);
    assert.deepEqual(page.texts('.outbox .text'), ['hello']);
    socket.says('chat', { sender: 'ann', message: 'hello' });
    assert.deepEqual(page.texts('.outbox .text'), []);
    assert.deepEqual(page.texts('.lines .text'), ['hello']);
  });

  test('a blank message does not go out, nor one that is too long', async () => {
    const { MAX_TEXT_CHARS } = await load('text.js');

    page.login();
    for (const text of ['', '  \n ', 'x'.repeat(MAX_TEXT_CHARS + 1)]) page.submit('.composer-view', text);
    assert.deepEqual(socket.take(), []);
    assert.match(page.find('.composer-hint').textContent, /Too long/);
    assert.equal(page.find('textarea').value.length, MAX_TEXT_CHARS + 1);
  });

  test('arguments of the wrong type change nothing', () => {
    page.login();
    const before = page.el.innerHTML;
    const wrong = [undefined, null, 1, {}, [], [1], { sender: 1, message: 'x' }, { message: 'x' }];

    for (const value of wrong) {
      for (const event of ['userJoined', 'userLeft', 'chat', 'error']) socket.says(event, value);
      if (!Array.isArray(value) || value.length) socket.says('onlineUsers', value);
    }
    assert.equal(page.el.innerHTML, before);
  });

  test('a message that is no text shows as JSON', () => {
    page.login();
    for (const message of [42, null, { a: ['<b>'] }, undefined]) socket.says('chat', { sender: 'bob', message });
    assert.deepEqual(page.texts('.lines .text'), ['42', 'null', '{"a":["<b>"]}', '']);
  });

  test('a refused message stays, with the reason, and can be sent again or discarded', () => {
    page.login();
    page.submit('.composer-view', 'one');
    page.submit('.composer-view', 'two');
    socket.take();
    socket.says('error', { event: 'chat', code: 'slow', message: 'Not so fast.' });
    assert.deepEqual(page.texts('.is-lost .state'), ['Not so fast.']);
    page.click('.resend');
    assert.deepEqual(socket.take(), [['chat', 'one']]);
    assert.deepEqual(page.texts('.is-sending .text'), ['two', 'one']);
    socket.says('error', { event: 'chat' });
    page.click('.discard');
    assert.deepEqual(page.texts('.outbox .text'), ['one']);
  });
});

describe('a login', () => {
  const error = () => page.find('.login-error').textContent;
  const button = () => page.find('.login-view button').textContent;
  const refuse = (code, message) => socket.answers({ ok: false, error: { code, message } });

  beforeEach(() => socket.opens());

  test('that is refused by event and ack shows the words of the one and the reason of the other', () => {
    page.submit('.login-view', 'al');
    assert.equal(button(), 'Joining…');
    socket.says('loginNameBad', 'al');
    assert.equal(error(), 'Invalid Name');
    refuse('name_bad', 'too short, at least 3 characters');
    assert.equal(error(), 'Invalid Name: too short, at least 3 characters');
    assert.equal(button(), 'Join');
    page.submit('.login-view', 'ann');
    assert.equal(error(), '');
    socket.says('loginNameExists', 'ann');
    refuse('name_exists', 'somebody has this name');
    assert.equal(error(), 'Name already exists: somebody has this name');
    assert.equal(page.find('#name').value, 'ann');
  });

  test('that is refused by event alone, as in the article, shows that', () => {
    page.submit('.login-view', 'al');
    socket.says('loginNameBad', 'al');
    assert.equal(error(), 'Invalid Name');
    page.submit('.login-view', 'ann');
    socket.says('loginNameExists', 'ann');
    assert.equal(error(), 'Name already exists');
    mock.timers.tick(60000);
    assert.equal(error(), 'Name already exists');
  });

  for (const [how, tell] of [
    ['ack', refuse],
    ['event error', (code, message) => socket.says('error', { event: 'login', code, message })],
  ])
    test(`that is refused by ${how} alone shows its message`, () => {
      for (const [code, message, words] of [
        ['members_only', 'Members only, sorry.', 'Members only, sorry.'],
        ['name_bad', 'no vowels', 'Invalid Name: no vowels'],
        ['name_exists', '', 'Name already exists'],
        ['x', undefined, 'The server refused this login.'],
        [undefined, { a: 1 }, 'The server refused this login.'],
        ['long', 'x'.repeat(5000), 'x'.repeat(200)],
        ['x', '<img src=x onerror=1>', '<img src=x onerror=1>'],
      ]) {
        page.submit('.login-view', 'ann');
        assert.equal(button(), 'Joining…');
        tell(code, message);
        assert.equal(error(), words);
        assert.equal(button(), 'Join');
        assert.equal(page.find('#name').getAttribute('aria-invalid'), 'true');
      }
      assert.equal(page.find('.login-error img'), null);
      page.submit('.login-view', 'ann');
      socket.answers({ ok: true });
      socket.says('welcome');
      assert.ok(isShowing('home'));
    });

  test('may get an ack of any shape', () => {
    for (const value of [undefined, null, 1, '', [], { ok: 1 }, { ok: true }]) {
      page.submit('.login-view', 'ann');
      socket.answers(value);
      assert.equal(button(), 'Joining…');
    }
    for (const value of [{ ok: false }, { ok: false, error: null }, { ok: false, error: 1 }]) {
      page.submit('.login-view', 'ann');
      socket.answers(value);
      assert.equal(error(), 'The server refused this login.');
    }
  });

  test('that nobody answers ends after 10 seconds, and the next one has a connection of its own', () => {
    page.submit('.login-view', 'ann');
    mock.timers.tick(9999);
    assert.equal(button(), 'Joining…');
    mock.timers.tick(1);
    assert.match(error(), /does not answer/);
    assert.equal(page.find('#name').getAttribute('aria-invalid'), null); /* it is not the name's fault */
    assert.equal(button(), 'Join');
    socket.take();
    page.submit('.login-view', 'bob');
    assert.equal(button(), 'Joining…');
    assert.deepEqual(socket.take(), []);
    socket.opens();
    assert.deepEqual(socket.take(), [['login', 'bob']]);
    socket.says('welcome');
    assert.equal(page.find('.bar .user-name').textContent, 'bob');
    mock.timers.tick(60000);
    assert.ok(isShowing('home'));
  });

  test('that is answered late counts still', () => {
    page.submit('.login-view', 'ann');
    mock.timers.tick(10000);
    socket.says('welcome');
    assert.ok(isShowing('home'));
    page.click('.leave');
    socket.opens();
    page.submit('.login-view', 'ann');
    mock.timers.tick(10000);
    socket.says('loginNameExists', 'ann');
    assert.equal(error(), 'Name already exists');
  });

  test('that nobody answered is not repeated by itself after a lost connection', () => {
    page.submit('.login-view', 'ann');
    mock.timers.tick(10000);
    socket.breaks();
    socket.take();
    socket.opens();
    assert.deepEqual(socket.take(), []);
    assert.match(error(), /does not answer/);
  });

  test('waits for its answer from when it goes out, not from the click', () => {
    socket.breaks();
    page.submit('.login-view', 'ann');
    mock.timers.tick(60000);
    assert.equal(error(), '');
    socket.opens();
    mock.timers.tick(9999);
    assert.equal(error(), '');
    mock.timers.tick(1);
    assert.match(error(), /does not answer/);
  });

  test('says nothing of lengths that the server alone knows', () => {
    assert.doesNotMatch(page.find('.login-view').textContent, /\d/);
  });
});

describe('who is online', () => {
  const names = () => page.controller.homeModel.onlineUsers.pluck('name').sort();
  const setHidden = (isHidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => isHidden });
    document.dispatchEvent(new window.Event('visibilitychange'));
  };
  const logIn = (...users) => {
    socket.opens();
    page.submit('.login-view', 'ann');
    socket.says('welcome');
    assert.deepEqual(socket.take(), [['login', 'ann'], ['onlineUsers']]);
    socket.says('onlineUsers', ['ann', ...users]);
  };

  afterEach(() => setHidden(false));

  test('is asked for once where notices tell the rest', () => {
    socket.opens();
    page.submit('.login-view', 'ann');
    socket.says('welcome');
    socket.says('userJoined', 'ann');
    socket.says('onlineUsers', ['ann']);
    socket.take();
    mock.timers.tick(3600000);
    assert.deepEqual(socket.take(), []);
  });

  test('is asked for again every 15 seconds while no notice comes', () => {
    logIn('bob');
    for (let n = 0; n < 5; n += 1) {
      mock.timers.tick(14999);
      assert.deepEqual(socket.take(), []);
      mock.timers.tick(1);
      assert.deepEqual(socket.take(), [['onlineUsers']]);
      mock.timers.tick(60000); /* the next question waits for the answer */
      assert.deepEqual(socket.take(), []);
      socket.says('onlineUsers', ['ann', `new ${n}`]);
      assert.deepEqual(names(), ['ann', `new ${n}`]);
      assert.equal(page.find('.people-toggle .user-count').textContent, '2');
    }
    socket.says('userLeft', 'new 4');
    mock.timers.tick(3600000);
    assert.deepEqual(socket.take(), []);
  });

  test('is asked for more rarely where there are many', () => {
    logIn(...Array.from({ length: 9999 }, (_, n) => `user ${n}`));
    mock.timers.tick(299999);
    assert.deepEqual(socket.take(), []);
    mock.timers.tick(1);
    assert.deepEqual(socket.take(), [['onlineUsers']]);
  });

  test('is not asked for while nobody looks, and at once when somebody does again', () => {
    logIn();
    setHidden(true);
    mock.timers.tick(3600000);
    assert.deepEqual(socket.take(), []);
    setHidden(false);
    assert.deepEqual(socket.take(), [['onlineUsers']]);
    setHidden(true);
    setHidden(false);
    assert.deepEqual(socket.take(), []);
  });

  test('is not asked for after leaving or losing the connection', () => {
    logIn();
    socket.breaks();
    mock.timers.tick(60000);
    assert.deepEqual(socket.take(), []);
    socket.opens();
    socket.says('welcome');
    socket.says('onlineUsers', ['ann']);
    socket.take();
    page.click('.leave');
    mock.timers.tick(60000);
    assert.deepEqual(socket.take(), []);
  });

  test('has who speaks, without a question', () => {
    logIn();
    socket.says('chat', { sender: 'eve', message: 'hi' });
    socket.says('chat', { sender: 'eve', message: 'there' });
    assert.deepEqual(names(), ['ann', 'eve']);
    assert.deepEqual(socket.take(), []);
  });

  test('is not drawn anew when the list is the same', () => {
    logIn('bob');
    mock.timers.tick(1000);
    const first = page.find('#people li');

    socket.says('onlineUsers', ['bob', 'ann']);
    mock.timers.tick(1000);
    assert.equal(page.find('#people li'), first);
    socket.says('onlineUsers', ['ann']);
    mock.timers.tick(1000);
    assert.deepEqual(page.texts('#people li bdi'), ['ann']);
  });
});

describe('after a lost connection', () => {
  beforeEach(() => {
    page.login();
    socket.breaks();
  });

  test('the banner shows until the name is ours again', () => {
    assert.match(page.find('.banner').textContent, /No connection/);
    socket.opens();
    assert.deepEqual(socket.take(), [['login', 'ann']]);
    assert.ok(page.find('.banner'));
    socket.says('welcome');
    assert.equal(page.find('.banner'), null);
    assert.deepEqual(socket.take(), [['onlineUsers']]);
  });

  test('what is sent meanwhile stays in the box', () => {
    page.submit('.composer-view', 'hello');
    assert.deepEqual(socket.take(), []);
    assert.equal(page.find('textarea').value, 'hello');
    assert.match(page.find('.composer-hint').textContent, /stays here/);
  });

  test('a name that the old connection still holds is asked for again, ever later', () => {
    socket.opens();
    for (const wait of [250, 500, 1000, 2000, 4000, 4000]) {
      assert.deepEqual(socket.take(), [['login', 'ann']]);
      socket.says('loginNameExists', 'ann');
      assert.ok(isShowing('home'));
      assert.match(page.find('.banner').textContent, /your name/);
      mock.timers.tick(wait - 1);
      assert.deepEqual(socket.take(), []);
      mock.timers.tick(1);
    }
    socket.says('welcome');
    assert.equal(page.find('.banner'), null);
  });

  test('a name that is not given back ends in the login, and what was said is kept', () => {
    socket.says('chat', { sender: 'bob', message: 'hi' });
    socket.opens();
    for (let n = 0; n < 100 && isShowing('home'); n += 1) {
      socket.says('loginNameExists', 'ann');
      mock.timers.tick(4000);
    }
    assert.ok(isShowing('login'));
    assert.equal(page.find('.login-error').textContent, 'Name already exists');
    assert.equal(page.find('#name').value, 'ann');
    assert.equal(page.find('.banner'), null);
    socket.take();
    mock.timers.tick(60000);
    assert.deepEqual(socket.take(), []);
    page.submit('.login-view', 'ann2');
    socket.says('welcome');
    assert.deepEqual(page.texts('.lines .text'), ['hi']);
  });

  test('a login that nobody answers is said, and may be tried anew', () => {
    socket.opens();
    mock.timers.tick(10000);
    assert.match(page.find('.banner').textContent, /does not answer/);
    assert.ok(isShowing('home'));
    socket.take();
    page.click('.retry');
    assert.match(page.find('.banner').textContent, /No connection/);
    socket.opens();
    assert.deepEqual(socket.take(), [['login', 'ann']]);
    mock.timers.tick(10000);
    socket.says('welcome'); /* late */
    assert.equal(page.find('.banner'), null);
    assert.deepEqual(socket.take(), [['onlineUsers']]);
  });

  test('a login that the server now refuses ends in the login, with the reason', () => {
    socket.opens();
    socket.answers({ ok: false, error: { code: 'banned', message: 'You are banned.' } });
    assert.ok(isShowing('login'));
    assert.equal(page.find('.login-error').textContent, 'You are banned.');
    assert.equal(page.find('.banner'), null);
  });

  test('a second break stops asking until there is a connection', () => {
    socket.opens();
    socket.says('loginNameExists', 'ann');
    socket.breaks();
    socket.take();
    mock.timers.tick(60000);
    assert.deepEqual(socket.take(), []);
  });

  test('a connection that ended before we heard of it is none', () => {
    socket.connected = true; /* what socket.io-client does when both come in one payload */
    socket.says('connect');
    assert.ok(page.find('.banner'));
    assert.deepEqual(socket.take(), []);
  });

  for (const [state, isStuck] of [['open', false], ['pausing', true], ['paused', true]]) {
    test(`a failed upgrade that leaves polling ${state} is ${isStuck ? '' : 'not '}a lost connection`, () => {
      socket.opens();
      socket.says('welcome');
      socket.take();
      socket.io.engine.transport.readyState = state;
      socket.io.engine.emit('upgradeError', new Error('probe error'));
      mock.timers.tick(500);
      assert.equal(socket.connected, !isStuck);
      if (!isStuck) return;
      assert.equal(socket.active, true);
      socket.opens();
      assert.deepEqual(socket.take(), [['login', 'ann']]);
    });
  }

  test('leaving means not coming back', () => {
    page.click('.leave');
    socket.opens();
    assert.deepEqual(socket.take(), []);
    assert.ok(isShowing('login'));
  });

  test('a server that sent us away is tried again by ourselves', () => {
    socket.opens();
    socket.says('welcome');
    socket.breaks('io server disconnect');
    assert.equal(socket.active, false);
    mock.timers.tick(500);
    assert.equal(socket.active, true);
  });
});

test('a message on its way when the connection breaks is shown as unsure, and is not sent twice by itself', () => {
  page.login();
  page.submit('.composer-view', 'did this arrive?');
  socket.breaks();
  assert.match(page.texts('.is-lost .state')[0], /may not have arrived/);
  socket.take();
  page.click('.resend');
  assert.deepEqual(page.texts('.is-lost .text'), ['did this arrive?']);
  socket.opens();
  socket.says('welcome');
  assert.deepEqual(socket.take(), [['login', 'ann'], ['onlineUsers']]);
  page.click('.resend');
  assert.deepEqual(socket.take(), [['chat', 'did this arrive?']]);
});

describe('names', () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'c1', 'user:ann', 'length'];

  test('T13: that JavaScript knows are names like others', () => {
    page.login();
    const users = page.controller.homeModel.onlineUsers;

    socket.says('onlineUsers', ['ann', ...names, ...names]);
    assert.deepEqual(new Set(users.pluck('name')), new Set(['ann', ...names]));
    for (const name of names) socket.says('userJoined', name);
    assert.equal(users.length, names.length + 1);
    for (const name of names) socket.says('userLeft', name);
    for (const name of names) socket.says('userLeft', name);
    assert.deepEqual(users.pluck('name'), ['ann']);
    for (const name of names) socket.says('userJoined', name);
    assert.equal(users.length, names.length + 1);
    assert.equal({}.name, undefined);
  });

  test('called You are not ourselves', () => {
    page.login();
    socket.says('userJoined', 'You');
    assert.ok(page.find('.notice:last-child bdi'));
    assert.equal(page.find('.notice:first-child bdi'), null);
  });

  test('are shown as their first letter, whole', async () => {
    const { initial } = await load('text.js');

    assert.deepEqual(['ann', 'ß', '👩‍👩‍👧x', 'é', ''].map(initial), ['A', 'SS', '👩‍👩‍👧', 'É', '?']);
  });
});

describe('hostile text', () => {
  const payloads = [
    ...['img src=x onerror', 'svg onload', 'body onpageshow', 'video src=x onerror', 'details open ontoggle',
      'input autofocus onfocus', 'iframe srcdoc=x onload', 'marquee onstart'].flatMap((tag) =>
      ['', '">', "'>", '-->', '</textarea>', '</title>', '</time>', '</bdi></li>', '\u0000'].map(
        (start) => `${start}<${tag}="window.hacked=1">`)),
    '<script>window.hacked=1</script>', '</script><script>window.hacked=1</script>',
    '<a href="javascript:window.hacked=1">x</a>', '" onmouseover="window.hacked=1', "' onfocus='window.hacked=1",
    '` onclick=`window.hacked=1', '<%= window.hacked=1 %>', '<% window.hacked=1 %>', '${window.hacked=1}',
    '{{constructor.constructor("window.hacked=1")()}}', '&lt;script&gt;', '&#60;img src=x&#62;', '<!--', ']]>',
    '<style>*{display:none}</style>', '<base href="//x">', '<form action="//x"><button>', '<template><b>',
    '<math><mtext></form><form><mglyph><style></math><img src onerror=window.hacked=1>',
    '<svg><style><img src=x onerror=window.hacked=1></style>', '\u2028<b>', '<b\u0000>',
  ];
  const FORBIDDEN = 'script, iframe, b, style, base, marquee, details, video, template, math, a:not(.skip-link), img:not([src="/favicon.svg"]), form:not(.composer)';

  /* T21; T13: keys and names of JavaScript are below */
  test(`T21: stays text in message, sender, joined, left, user list and error (${payloads.length} payloads)`, async () => {
    page.login();
    for (const text of payloads) {
      socket.says('userJoined', text);
      socket.says('chat', { sender: text, message: text });
      socket.says('userLeft', text);
      page.submit('.composer-view', text);
      socket.says('error', { event: 'chat', message: text });
    }
    socket.says('onlineUsers', payloads);
    page.controller.containerModel.get('viewState').users.render();
    const shown = payloads.map((text) => text.replaceAll('\0', '')); /* HTML has no NUL */
    assert.deepEqual(page.texts('.lines .text'), shown);
    assert.deepEqual(page.texts('.outbox .text'), shown.map((text) => text.trim()));
    assert.deepEqual(page.texts('.is-lost .state'), shown);
    assert.deepEqual(new Set(page.texts('#people li bdi')), new Set(shown));
    assert.deepEqual(page.texts(FORBIDDEN), []);
    for (const element of page.el.querySelectorAll('*')) {
      for (const { name } of element.attributes) assert.doesNotMatch(name, /^on|^style$|^srcdoc$/);
    }
    assert.equal(window.hacked, undefined);
  });

  test('cannot be printed unescaped by a template', async () => {
    const { compileTemplate } = await import(new URL('templates.mjs', PUBLIC));

    for (const name of readdirSync(new URL('templates/', PUBLIC))) {
      assert.ok(!readFileSync(new URL(`templates/${name}`, PUBLIC), 'utf8').includes('<%='), name);
    }
    assert.throws(() => compileTemplate('<b><%= data.x %></b>', 'x.html'), /x\.html: "<%="/);
  });
});

describe('the conversation', () => {
  test('is bounded, and its first line always names its sender', async () => {
    const { MAX_LINES } = await load('models/userchats.js');

    page.login();
    for (let n = 0; n < MAX_LINES + 20; n += 1) socket.says('chat', { sender: 'bob', message: `${n}` });
    const lines = [...page.el.querySelectorAll('.lines li')];
    assert.equal(lines.length, MAX_LINES);
    assert.equal(lines[0].querySelector('.text').textContent, '20');
    assert.equal(lines[0].classList.contains('is-continued'), false);
    assert.equal(lines[1].classList.contains('is-continued'), true);
  });

  test('names a sender again after somebody else, a notice or a pause', () => {
    page.login();
    const say = (sender) => socket.says('chat', { sender, message: 'x' });
    const continued = () => page.find('.lines li:last-child').classList.contains('is-continued');

    say('bob');
    assert.equal(continued(), false);
    say('bob');
    assert.equal(continued(), true);
    say('eve');
    assert.equal(continued(), false);
    socket.says('userJoined', 'dan');
    say('eve');
    assert.equal(continued(), false);
    mock.timers.tick(5 * 60 * 1000);
    say('eve');
    assert.equal(continued(), false);
  });

  test('shows the time the server gives, and no time that is none', () => {
    page.login();
    for (const at of [86400000, NaN, Infinity, '1', 9e15, undefined]) {
      socket.says('chat', { sender: 'bob', message: 'x', at });
    }
    const times = [...page.el.querySelectorAll('.lines .chat time')].map((each) => each.dateTime ?? each.getAttribute('datetime'));
    assert.equal(times[0], '1970-01-02T00:00:00.000Z');
    for (const time of times.slice(1)) assert.equal(time, new Date(Date.now()).toISOString());
  });
});
