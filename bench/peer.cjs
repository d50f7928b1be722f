/*
 * peer.cjs [--notices] - npm's socket.io with the article's events and `echo`: what sockhop is measured
 * against. With --notices all are told who comes and goes.
 */
const { createRequire } = require('node:module');
const { join } = require('node:path');
const { Server } = createRequire(join(__dirname, '../tests/package.json'))('socket.io');

const http = require('node:http').createServer();
const io = new Server(http, { serveClient: false });
const names = new Map();
const hasNotices = process.argv[2] === '--notices';

io.on('connection', (socket) => {
  socket.on('login', (name) => {
    if (typeof name !== 'string' || name.length < 3 || name.length > 10) return socket.emit('loginNameBad', name);
    if (names.has(name) || socket.data.name) return socket.emit('loginNameExists', socket.data.name ?? name);
    names.set(name, socket);
    socket.data.name = name;
    socket.emit('welcome');
    if (hasNotices) io.emit('userJoined', name);
  });
  socket.on('chat', (message) => {
    if (message && socket.data.name) io.emit('chat', { sender: socket.data.name, message });
  });
  socket.on('onlineUsers', () => socket.emit('onlineUsers', [...names.keys()]));
  socket.on('echo', (...args) => args.pop()(...args));
  socket.on('disconnect', () => {
    if (!socket.data.name) return;
    names.delete(socket.data.name);
    if (hasNotices) io.emit('userLeft', socket.data.name);
  });
});
http.listen(0, '127.0.0.1', 4096, () =>
  console.log(`listener.open address=127.0.0.1 port=${http.address().port}`));
