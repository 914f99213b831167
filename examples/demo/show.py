"""Shows the story: live in a terminal, otherwise as one line per event."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

State = Literal["waiting", "playing", "well", "badly"]

_MARK = {"waiting": ("·", "dim"), "well": ("✓", "green"), "badly": ("✗", "red")}
_BEAT = 0.5
"""Seconds between updates of what is running."""


@dataclass
class Scene:
    """One act as it is shown."""

    title: str
    state: State = "waiting"
    began: float = 0.0
    seconds: float = 0.0
    said: str = ""
    """The latest line of narration; at the end, what the act has shown."""


class Show:
    """The acts with a mark each, and below the current one a line and what is running."""

    def __init__(self, titles: Sequence[str], console: Console) -> None:
        self.console = console
        self.scenes = [Scene(title) for title in titles]
        self._now: Scene | None = None
        self._spinner = Spinner("dots", style="cyan")
        self._tree: RenderableType = ""

    def begin(self, number: int) -> None:
        """Begin an act; numbers count from 1."""
        self._now = self.scenes[number - 1]
        self._now.state, self._now.began = "playing", time.monotonic()
        self._line(f"act {number}: {self._now.title}")

    def say(self, text: str) -> None:
        """Show a line of narration."""
        if self._now is not None:
            self._now.said = text
        self._line(f"  {text}")

    def end(self, proven: str, *, well: bool) -> None:
        """End the act; `proven` is what it has shown."""
        assert self._now is not None
        self._now.state = "well" if well else "badly"
        self._now.seconds = time.monotonic() - self._now.began
        self._now.said = proven
        self._line(f"  {'passed' if well else 'FAILED'} after {self._now.seconds:.1f} s: {proven}")
        self._now = None

    @asynccontextmanager
    async def live(self, look: Callable[[], Awaitable[RenderableType]]) -> AsyncIterator[None]:
        """Show everything during the block; `look` renders what is running."""
        if not self.console.is_terminal:
            yield
            return
        with Live(self, console=self.console, refresh_per_second=6, vertical_overflow="crop"):
            looking = asyncio.create_task(self._keep_looking(look))
            try:
                yield
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
                self._tree = ""

    def summary(self) -> Table:
        """What each act has shown, and how long it took."""
        table = Table(box=None, padding=(0, 2, 0, 0), show_footer=True)
        table.add_column("", footer="")
        table.add_column("Act", footer="")
        table.add_column("Result", footer="")
        total = sum(scene.seconds for scene in self.scenes)
        table.add_column("Seconds", justify="right", footer=f"{total:.1f}")
        for number, scene in enumerate(self.scenes, 1):
            mark, style = _MARK.get(scene.state, ("·", "dim"))
            seconds = f"{scene.seconds:.1f}" if scene.seconds else ""
            seen = scene.said if scene.state != "waiting" else "not played"
            table.add_row(Text(mark, style), f"{number} {scene.title}", Text(seen), seconds)
        return table

    def __rich__(self) -> RenderableType:
        parts: list[RenderableType] = []
        for number, scene in enumerate(self.scenes, 1):
            parts.append(self._scene(number, scene))
            if scene.state == "playing":
                parts.append(Padding(Text(scene.said, "cyan"), (0, 0, 1, 5)))
                parts.append(Padding(self._tree, (0, 0, 0, 5)))
        return Group(*parts)

    def _scene(self, number: int, scene: Scene) -> RenderableType:
        row = Table.grid(padding=(0, 1))
        title = Text(f"{number} {scene.title}", "bold" if scene.state == "playing" else "")
        if scene.state == "playing":
            elapsed = time.monotonic() - scene.began
            row.add_row(self._spinner, title, Text(f"{elapsed:.0f} s", "dim"))
            return row
        mark, style = _MARK[scene.state]
        seconds = f"{scene.seconds:.0f} s" if scene.seconds else ""
        title.stylize("dim" if scene.state == "waiting" else "")
        row.add_row(Text(mark, style), title, Text(seconds, "dim"))
        return row

    async def _keep_looking(self, look: Callable[[], Awaitable[RenderableType]]) -> None:
        while True:
            self._tree = await look()
            await asyncio.sleep(_BEAT)

    def _line(self, text: str) -> None:
        if not self.console.is_terminal:
            self.console.print(Text(text), soft_wrap=True)
