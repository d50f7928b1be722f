#!/usr/bin/env python3
"""client.py - python-socketio does what a client does, and prints what it heard as one JSON object.

Usage: client.py sync|async polling|websocket|upgrade URL default|msgpack
Called by: tests/scenario/clients.test.js. Every wait has a deadline.
"""
import asyncio
import json
import queue
import sys

import socketio

WAIT = 15  # seconds: a sanitizer build on a busy machine
TRANSPORTS = {
    'polling': ['polling'],
    'websocket': ['websocket'],
    'upgrade': ['polling', 'websocket'],
}
SERIALIZER = sys.argv[4]
NAMESPACES = ['/', '/custom']
VALUES = [1, 'zwei', {'drei': [None, True]}]
BYTES = [b'\x00\x01\x02\xff', {'deep': [b'xy']}]


def plain(value):
    """The same with bytes as text, so that JSON can hold it."""
    if isinstance(value, bytes):
        return 'bytes ' + value.hex()
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return value


def listed(answer):
    """An ack of one argument comes as that argument, of several as a tuple."""
    return plain(answer if isinstance(answer, tuple) else (answer,))


class Sync:
    """socketio.Client with its events in queues, behind the same awaitable calls as Async."""

    def __init__(self):
        self.sio = socketio.Client(reconnection_delay=0.05, reconnection_delay_max=0.1, serializer=SERIALIZER)
        self.heard = {}

    def listen(self, event, answer=None, namespace='/'):
        heard = self.heard[event] = queue.Queue()

        def on_event(*args):
            heard.put(args)
            return answer

        self.sio.on(event, on_event, namespace=namespace)

    async def connect(self, *args, **options):
        self.sio.connect(*args, **options)

    async def disconnect(self):
        self.sio.disconnect()

    async def emit(self, event, args):
        self.sio.emit(event, args)

    async def call(self, event, args, namespace='/'):
        return self.sio.call(event, args, namespace=namespace, timeout=WAIT)

    async def hear(self, event):
        return self.heard[event].get(timeout=WAIT)


class Async:
    def __init__(self):
        self.sio = socketio.AsyncClient(reconnection_delay=0.05, reconnection_delay_max=0.1, serializer=SERIALIZER)
        self.heard = {}

    def listen(self, event, answer=None, namespace='/'):
        heard = self.heard[event] = asyncio.Queue()

        async def on_event(*args):
            heard.put_nowait(args)
            return answer

        self.sio.on(event, on_event, namespace=namespace)

    async def connect(self, *args, **options):
        await self.sio.connect(*args, **options)

    async def disconnect(self):
        await self.sio.disconnect()

    async def emit(self, event, args):
        await self.sio.emit(event, args)

    async def call(self, event, args, namespace='/'):
        return await self.sio.call(event, args, namespace=namespace, timeout=WAIT)

    async def hear(self, event):
        return await asyncio.wait_for(self.heard[event].get(), WAIT)


async def refusal(kind, url, transports):
    """What a client is told that asks for a namespace nobody has."""
    client = kind()
    client.listen('connect_error', namespace='/nowhere')
    try:
        await client.connect(url, transports=transports, namespaces=['/', '/nowhere'], wait=False)
    except socketio.exceptions.ConnectionError:
        pass
    heard = await client.hear('connect_error')
    await client.disconnect()
    return heard[0]['message'] if isinstance(heard[0], dict) else heard[0]


async def run(kind, choice, url):
    said = {}
    client = kind()
    transports = TRANSPORTS[choice]

    client.listen('connect')
    client.listen('disconnect')
    client.listen('message-back')
    client.listen('question', answer=('because', BYTES[0]))
    client.listen('answer')
    await client.connect(url, transports=transports, namespaces=NAMESPACES, wait_timeout=WAIT)
    await client.hear('connect')  # behind the upgrade: connect() waits for it
    said['transport'] = client.sio.transport()
    said['sid'] = client.sio.get_sid('/')
    said['custom_sid'] = client.sio.get_sid('/custom')

    await client.emit('message', tuple(VALUES))
    said['event'] = plain(await client.hear('message-back'))
    said['ack'] = listed(await client.call('message-with-ack', tuple(VALUES)))
    await client.emit('message', tuple(BYTES))
    said['binary'] = plain(await client.hear('message-back'))
    said['binary_ack'] = listed(await client.call('message-with-ack', tuple(BYTES)))
    await client.emit('ask', ('why', BYTES[0]))
    said['question'] = plain(await client.hear('question'))
    said['answer'] = plain(await client.hear('answer'))
    said['whoami'] = await client.call('whoami', None, namespace='/custom')

    await client.emit('kick-hard', None)
    await client.hear('disconnect')
    if choice == 'polling':  # a close packet is a goodbye to it, whoever sends it
        client = kind()
        client.listen('connect')
        await client.connect(url, transports=transports, namespaces=NAMESPACES, wait_timeout=WAIT)
    await client.hear('connect')
    said['sid_again'] = client.sio.get_sid('/')
    said['again'] = listed(await client.call('message-with-ack', 'back'))
    await client.disconnect()

    said['refused'] = await refusal(kind, url, transports)
    return said


kind = {'sync': Sync, 'async': Async}[sys.argv[1]]
print(json.dumps(asyncio.run(run(kind, sys.argv[2], sys.argv[3]))))
