"""Streamed responses of the Docker Engine that another thread can cut off."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

PATIENCE = 60
"""Seconds that one response of the engine may take; streams may be silent for ever."""


class Wire:
    """The connection of a stream, which another thread can cut off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._responses: list[Any] = []
        self.cut_off = False

    def seen(self, response: Any, *_: Any, **__: Any) -> None:
        """A hook for `requests`: gets each response before its body is read, the stream's too."""
        with self._lock:
            self._responses.append(response)
        if self.cut_off:
            self._shut()

    def cut(self) -> None:
        """Cut the stream, now or as soon as it begins."""
        self.cut_off = True
        self._shut()

    def close(self) -> None:
        """Close what the SDK leaves open after a stream that was not read to its end."""
        with self._lock:
            for response in self._responses:
                response.close()

    def _shut(self) -> None:
        from docker.types.daemon import CancellableStream

        with self._lock:
            for response in self._responses:
                with contextlib.suppress(OSError, AttributeError):  # it has ended meanwhile
                    CancellableStream(iter(()), response).close()


async def in_thread(work: Callable[[], None]) -> None:
    """Run `work` in a thread of its own: the loop's pool is small and not for long waits."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(None)

    def body() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(tell, error)

    thread = threading.Thread(target=body, name="engine-stream", daemon=True)
    thread.start()
    try:
        await done
    finally:
        thread.join(0 if done.cancelled() else PATIENCE)
