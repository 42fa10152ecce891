"""A TCP proxy between ingest and the broker that can cut connections and swallow what ingest sends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Proxy:
    """Forwards to `port`. `swallow`: drop what clients send, as on a half-open connection."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._cut_after: int | None = None
        self.port = 0
        self.cuts = 0
        self.swallow = False
        self.silent = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        """Listen on a free port of loopback."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        """Break every connection at once."""
        for writer in self._writers:
            writer.transport.abort()

    def cut_in_mid_packet(self, after: int = 700) -> None:
        """Break the connection when `after` more bytes have gone to the client."""
        self._cut_after = after

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.gather(self._up(reader, up_writer), self._down(up_reader, writer))
        for end in (writer, up_writer):
            self._writers.discard(end)
            end.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not self.swallow:
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.silent:
                continue
            if self._cut_after is not None:
                data, self._cut_after = data[: self._cut_after], self._cut_after - len(data)
                if self._cut_after <= 0:
                    self._cut_after = None
                    writer.write(data)
                    await writer.drain()
                    self.cut()
                    self.cuts += 1
                    return
            writer.write(data)
            await writer.drain()
        writer.transport.abort()
