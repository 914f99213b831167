"""Listens to what other processes tell by NOTIFY, in the event loop and without a thread."""

import asyncio
from contextlib import suppress

import psycopg

from controller.store.postgres_connection import Connection
from controller.store.protocol import Changes


class Ear:
    """Hears over a connection that listens and does nothing else. For the event loop's thread."""

    def __init__(self, connection: Connection, own: str) -> None:
        """`own` is what the messages of this process say."""
        self.is_deaf = False
        """Whether the connection broke, so that it hears nothing any more."""
        self._own = own
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._heard = asyncio.Event()
        self._descriptor = connection.fileno()
        self._loop.add_reader(self._descriptor, self._read)

    async def hear(self, within: float) -> Changes:
        """Whether another process has sent messages since the last call; waits for it for at most
        `within` seconds, or until it is deaf."""
        self._read()
        if within and not self._heard.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._heard.wait()
        heard = self._heard.is_set() and not self.is_deaf
        self._heard.clear()
        return Changes.MESSAGES if heard else Changes.NONE

    def close(self) -> None:
        """Let go of the connection."""
        if not self.is_deaf:
            self.is_deaf = True
            self._loop.remove_reader(self._descriptor)
            self._connection.close()

    def _read(self) -> None:
        if self.is_deaf:
            return
        libpq = self._connection.pgconn
        try:
            libpq.consume_input()
            # All of them: psycopg's own loop over `notifies` drops those behind the first.
            while (said := libpq.notifies()) is not None:
                if said.extra != self._own.encode():
                    self._heard.set()
        except psycopg.OperationalError:
            self.close()
            self._heard.set()
