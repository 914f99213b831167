"""What the benchmarks share: rows of the table at the end, and a controller with a project."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from controller.config.secrets import Secrets
from controller.config.settings import Settings
from controller.machine.core import Key, parsed
from controller.machine.runs.run import Run
from controller.store.sqlite import SqliteStore
from controller.wiring.service import serve

PATIENCE = 300.0
"""Seconds without progress after which a benchmark fails."""

REPOSITORY = "octo/bench"

SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {{name: push}}
steps:
  step: {{run: "sh -c 'echo {number} > $0' {{outputs.out}}", outputs: {{out: out}}}}
"""
"""The spec of one step; another `number` makes it run again."""

T = TypeVar("T")


class Row(NamedTuple):
    """A measured value and its reference, in the same unit."""

    what: str
    measured: float
    unit: str
    against: str
    reference: float
    aim: str = ""

    @property
    def ratio(self) -> float:
        return self.measured / self.reference


def table(rows: Iterable[Row]) -> str:
    """The rows as aligned text."""
    cells = [("what", "measured", "against", "reference", "ratio", "aim")]
    cells += [
        (
            row.what,
            f"{row.measured:,.4g} {row.unit}",
            row.against,
            f"{row.reference:,.4g} {row.unit}",
            f"{row.ratio:.3g}",
            row.aim,
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join((lines[0], "-" * len(lines[0]), *lines[1:]))


class Project:
    """A bare remote, a clone to push from, and the state of a controller that watches it."""

    def __init__(
        self,
        root: Path,
        store: SqliteStore,
        poll: float,
        github: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> None:
        self.store = store
        self._root = root
        self._work = root / "work"
        self._settings = Settings.model_validate(
            {
                "home": "home",
                "repositories": [
                    {
                        "name": "bench",
                        "url": "remote.git",
                        "poll": f"{poll * 1000:.0f}ms",
                        **({"github": REPOSITORY} if github else {}),
                    }
                ],
                "github": github,
                **settings,
            }
        )

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        root: Path,
        poll: float,
        github: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> AsyncIterator["Project"]:
        """The project below an empty folder, with a controller in this process.

        With `github`, those settings, it is `REPOSITORY` on that GitHub; `settings` are others.
        """
        for folder in ("home", "work"):
            (root / folder).mkdir()
        _git(root, "init", "-q", "--bare", "-b", "main", "remote.git")
        _git(root / "work", "init", "-q", "-b", "main")
        _git(root / "work", "remote", "add", "origin", str(root / "remote.git"))
        store = await SqliteStore.open(root / "home" / "state.db")
        project = cls(root, store, poll, github or {}, settings or {})
        controller = asyncio.create_task(
            serve(project._settings, root, Secrets(dict(secrets or {})))
        )
        try:
            yield project
        finally:
            controller.cancel()
            await asyncio.gather(controller, return_exceptions=True)
            await store.close()

    def commit(self, spec: str) -> None:
        """Commit `spec` as the pipeline."""
        (self._work / "ml-pipeline.yaml").write_text(spec)
        _git(self._work, "add", "-A")
        _git(self._work, "commit", "-q", "-m", "measure")

    async def push(self) -> float:
        """Push, and return when that was done, in seconds since the epoch."""
        await asyncio.to_thread(_git, self._work, "push", "-q", "origin", "HEAD:main")
        return time.time()

    async def run(self, name: str) -> Run | None:
        """Wait for the run."""
        record = await self.store.get(Key("run", name))
        return parsed(Run, record.body) if record else None


async def until(look: Callable[[], Awaitable[T | None]], pause: float = 0.02) -> T:
    """Wait until `look` finds something. Raises TimeoutError after `PATIENCE`."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await look()
            if found is not None:
                return found
            await asyncio.sleep(pause)


def _git(folder: Path, *arguments: str) -> None:
    person = ("-c", "user.name=Bench", "-c", "user.email=bench@example.org")
    subprocess.run(["git", *person, *arguments], cwd=folder, check=True, capture_output=True)
