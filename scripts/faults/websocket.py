"""Just enough of a WebSocket client (RFC 6455) for asyncio."""

import asyncio
import base64
import json
import os
import struct
import urllib.parse

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Refused(Exception):
    """The server did not upgrade."""


class WebSocket:
    """`is_open` is what the client itself sees of the connection."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.is_open = True
        self.ended = asyncio.Event()
        self.pong = None
        # The server's name of it: process and number.
        self.name = ""

    @classmethod
    async def open(cls, port, token):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            key = base64.b64encode(os.urandom(16)).decode()
            head = (
                f"GET /ws?token={urllib.parse.quote(token)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {key}\r\n\r\n"
            )
            writer.write(head.encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 101"):
                raise Refused(answer.split(b"\r\n", 1)[0].decode(errors="replace"))
            socket = cls(reader, writer)
            kind, payload = await socket._frame()
            if kind != TEXT:
                raise Refused("ended before it was ready")
            socket.name = json.loads(payload)["connId"]
            return socket
        except BaseException:
            writer.transport.abort()
            raise

    async def _frame(self):
        first, second = await self.reader.readexactly(2)
        length = second & 127
        if length == 126:
            (length,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", await self.reader.readexactly(8))
        return first & 15, await self.reader.readexactly(length)

    def _send(self, kind, payload):
        # A mask of zeros changes nothing.
        self.writer.write(bytes([0x80 | kind, 0x80 | len(payload), 0, 0, 0, 0]) + payload)

    async def run(self):
        """Listens until the end."""
        try:
            while True:
                kind, payload = await self._frame()
                if kind == PING:
                    self._send(PONG, payload)
                elif kind == CLOSE:
                    self._send(CLOSE, payload[:2])
                    break
                elif kind == TEXT and json.loads(payload).get("type") == "pong" and self.pong:
                    self.pong.set()
        except (OSError, EOFError, ValueError):
            pass
        finally:
            self.is_open = False
            self.ended.set()
            self.writer.close()

    async def answers(self, within):
        """Whether somebody at the other end still answers."""
        self.pong = asyncio.Event()
        if self.is_open:
            self._send(TEXT, b'{"type":"ping"}')
        try:
            await asyncio.wait_for(self.pong.wait(), within)
            return True
        except asyncio.TimeoutError:
            return False

    def close(self):
        if self.is_open:
            self._send(CLOSE, struct.pack(">H", 1000))
        self.is_open = False
        self.writer.close()
