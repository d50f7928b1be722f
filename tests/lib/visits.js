/*
 * visits.js - visits that come, log in, say something and leave, by each transport; and a client that stays. What goes
 * wrong with one is an outcome to judge, not the end of the test.
 *
 * Called by: the scenario tests in which clients may be lost. Plugins: auth, lobby, echo.
 */
import assert from 'node:assert/strict';

import { Polling, RawWebSocket, request } from './client.js';

const isChat = (name) => (text) => text.startsWith('42["chat"') && text.includes(`"message":"from ${name}"`);

/* Until a packet fits. A login that was refused is no login. */
async function awaitPacket(take, fits) {
  for (let text; !fits((text = await take())); ) if (text.startsWith('42["login')) throw new Error(`refused: ${text}`);
}

const awaitMessage = (raw, fits) =>
  awaitPacket(async () => {
    const text = await raw.message();

    if (text === '2') raw.send('3');
    return text;
  }, fits);

async function visitByPolling(server, name) {
  const client = await Polling.open(server);
  const await_ = (fits) => awaitPacket(() => client.packet(), fits);

  try {
    await client.send('40');
    await await_((text) => text.startsWith('40{'));
    await client.send(`42["login","${name}"]`);
    await await_((text) => text.startsWith('42["welcome"'));
    await client.send(`42["chat","from ${name}"]`);
    await await_(isChat(name));
    await client.send('1');
  } catch (error) {
    await client.post('1').catch(() => {}); /* not to be waited for */
    throw error;
  }
}

async function visitByWebSocket(server, name) {
  const client = await RawWebSocket.open(server, { join: true });
  const await_ = (fits) => awaitMessage(client, fits);

  client.send(`42["login","${name}"]`);
  await await_((text) => text.startsWith('42["welcome"'));
  client.send(`42["chat","from ${name}"]`);
  await await_(isChat(name));
  await client.close();
}

async function visitByUpgrade(server, name) {
  const polling = await Polling.open(server);
  const client = await RawWebSocket.open(server, { sid: polling.sid }).catch(async (error) => {
    await polling.post('1').catch(() => {});
    throw error;
  });
  const await_ = (fits) => awaitMessage(client, fits);

  client.send('2probe');
  await await_((text) => text === '3probe');
  client.send('5', '40');
  await await_((text) => text.startsWith('40{'));
  client.send(`42["login","${name}"]`);
  await await_((text) => text.startsWith('42["welcome"'));
  client.send(`42["chat","from ${name}"]`);
  await await_(isChat(name));
  await client.close();
}

async function visitPage(server) {
  for (const path of ['/', '/favicon.svg']) {
    const page = await request(server, path);

    if (page.status !== 200) throw new Error(`GET ${path}: ${page.status}`);
    assert.equal(page.body.length, Number(page.headers['content-length']));
  }
}

export const VISITS = { polling: visitByPolling, websocket: visitByWebSocket, upgrade: visitByUpgrade, file: visitPage };

/* Resolves with undefined, or with why it was not served. A server that says nothing at all is no outcome. */
export const outcome = (visit) =>
  visit.then(
    () => undefined,
    (error) => {
      if (/nothing within/.test(error.message)) throw error;
      return error;
    },
  );

/* Joined, and stays: whether it was lost is what the others' faults must not change. */
export class Bystander {
  static async open(server) {
    const bystander = new Bystander();
    bystander.raw = await RawWebSocket.open(server, { join: true });
    bystander.raw.ws.on('message', (data) => data.toString() === '2' && bystander.raw.ws.send('3'));
    bystander.raw.closed.then(() => (bystander.isLost = true));
    return bystander;
  }

  /* A round trip; undefined, or why there was none. */
  async check(word) {
    if (this.isLost) return new Error('lost');
    this.raw.send(`42["echo","${word}"]`);
    return outcome(
      (async () => {
        while ((await this.raw.message()) !== `42["echo","${word}"]`);
      })(),
    );
  }
}
