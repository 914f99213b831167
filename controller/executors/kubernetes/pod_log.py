"""The log of a step: followed while it runs, each byte once, in the attempt's bounded log."""

import asyncio
import contextlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from controller.executors.container import ContainerOutput
from controller.executors.kubernetes.names import command_container
from deployers.kubernetes.cluster import ApiRefusal, Cluster, Manifest
from specs.failures import TryAgain

PAUSE: Final = 1.0
"""Seconds before a log that cannot be read is tried again."""
LAST_TRIES: Final = 5
"""How often that is done after the step has ended."""
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)")
_LONGEST_STAMP = 40


class StampedLines:
    """Takes the stream of a log with the time of each line, and hands on the text alone. After the
    connection was cut it goes on where it was."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self.last = ""
        """The time of the line that was begun last."""
        self._same = 0
        """Lines with that time that are complete."""
        self._part = 0
        """Bytes of the line after those that were handed on."""
        self._head = b""
        self._in_line = False
        self._skip_lines, self._skip_bytes, self._until = 0, 0, ""
        self._dropping = False

    def resume(self) -> None:
        """The next bytes are those of a new stream, from the time `last` on."""
        self._until, self._skip_lines, self._skip_bytes = self.last, self._same, self._part
        self._head, self._in_line, self._dropping = b"", False, False

    @property
    def since(self) -> str:
        """The second of `last`, as the API takes it. Nodes write times in zones of their own."""
        return f"{datetime.fromisoformat(self.last).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        while data:
            if not self._in_line:
                data = self._begin(data)
                continue
            text, feed, data = data.partition(b"\n")
            self._take(text + feed, ends=bool(feed))
            self._in_line = not feed

    def _begin(self, data: bytes) -> bytes:
        """Read the time at the beginning of a line; what is left of the data."""
        self._head += data
        stamp, space, rest = self._head.partition(b" ")
        if not space and len(self._head) < _LONGEST_STAMP and b"\n" not in self._head:
            return b""
        head, self._head, self._in_line = self._head, b"", True
        if not space or not _STAMP.fullmatch(stamp):  # a line of the kubelet itself
            self._dropping = False
            return head
        self._stamp(stamp.decode())
        return rest

    def _stamp(self, time: str) -> None:
        self._dropping = False
        if self._until:
            if time < self._until:
                self._dropping = True
                return
            if time == self._until and self._skip_lines:
                self._skip_lines -= 1
                self._dropping = True
                return
            if time == self._until and self._skip_bytes:
                return  # the line that was cut
            self._until, self._skip_bytes = "", 0
        if time != self.last:
            self.last, self._same = time, 0
        self._part = 0

    def _take(self, text: bytes, *, ends: bool) -> None:
        if self._dropping:
            return
        if self._skip_bytes:
            skipped = min(len(text), self._skip_bytes)
            self._skip_bytes -= skipped
            text = text[skipped:]
        if text:
            self._write(text)
        self._part += len(text)
        if ends:
            self._same, self._part = self._same + 1, 0
            self._until, self._skip_bytes = "", 0


class PodLog:
    """Follows the log of an attempt's step into its folder."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._output = ContainerOutput(folder)
        self._lines = StampedLines(self._output.write)

    async def follow(
        self, pod: Manifest, over: Callable[[], bool], streams: asyncio.Semaphore
    ) -> None:
        """Read it to its end. `over` tells whether the step has ended; until then one of `streams`
        is taken, if there is one: without, the log is read once the step has ended."""
        tries = 0
        while tries < LAST_TRIES:
            ended = over()
            try:
                if ended:
                    tries += 1
                    await self._read(pod, self._lines, follow=False)
                    return
                if not streams.locked():
                    async with streams:
                        await self._read(pod, self._lines, follow=not over())
                    if over():
                        return
            except ApiRefusal as refusal:
                if refusal.code == 404:
                    return
            except TryAgain:
                pass
            await asyncio.sleep(PAUSE)

    async def add(self, pod: Manifest, heading: str) -> None:
        """Add the log of another pod, whose step has ended, below a heading; if it is there."""
        self._output.write(f"{heading}\n".encode())
        with contextlib.suppress(ApiRefusal, TryAgain):
            await self._read(pod, StampedLines(self._output.write), follow=False)

    async def _read(self, pod: Manifest, lines: StampedLines, *, follow: bool) -> None:
        query = {"container": command_container(pod), "timestamps": "true"}
        if follow:
            query["follow"] = "true"
        if lines.last:
            query["sinceTime"] = lines.since
        lines.resume()
        path = f"pods/{pod['metadata']['name']}/log"
        async with self._cluster.stream(path, query) as chunks:
            async for chunk in chunks:
                lines.feed(chunk)

    def close(self) -> None:
        """Join the log's head and tail."""
        self._output.close()
