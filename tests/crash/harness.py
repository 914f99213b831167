"""Kill a controller at every boundary of its loop, start it again, and compare the ends.

A story says how the world is made ready, what one life of the controller does, and what must be
the same at the end however often it was killed. Lives are forked from a server that has imported
everything already, so a start takes milliseconds; a kill is a real SIGKILL.
"""

import asyncio
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from controller.machine.core import Key
from controller.reconcile.outbox import Boundary
from tests.crash.states import Databases, address
from tests.first_screen import first_screen
from tests.logs import LOG

LONGEST = 60.0
"""Seconds that one life may take."""

Life = Callable[[Path, Boundary], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Story:
    """Three functions of a module, each given the story's folder."""

    prepare: Callable[[Path], None]
    """Makes the folder's world, once, before the first life."""
    live: Life
    """One life of the controller, which calls the boundary that it is given; it returns when the
    story has come to its end, also if it had come to it before."""
    end: Callable[[Path], object]
    """What is compared."""


@dataclass(frozen=True)
class Thorough:
    """A boundary that kills a life at every step of every object of some kinds, twice.

    It remembers in `passes`, over all lives, what was passed, and kills at the first and the third
    pass: whoever is killed before a save comes to the same place again, and gets through it then.
    """

    passes: Path
    kinds: frozenset[str]

    def __call__(self, step: str, key: Key) -> None:
        if key.kind not in self.kinds:
            return
        line = f"{step} {key}\n"
        with self.passes.open("a+") as passes:
            passes.seek(0)
            before = passes.readlines().count(line)
            passes.write(line)
        if before in (0, 2):
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Killer:
    """A boundary that kills its process at the `at`-th call; never for None."""

    at: int | None
    calls: int = 0

    def __call__(self, _: str, __: Key) -> None:
        self.calls += 1
        if self.calls == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def survived(story: Story, folder: Path, kill_at: int | None) -> bool:
    """Live once in `folder`, to be killed at that boundary, for None never; see `lived`."""
    return lived(story, folder, Killer(kill_at))


def lived(story: Story, folder: Path, killer: Boundary) -> bool:
    """Live once in `folder`; False if the life was killed. A life that fails is an error."""
    __tracebackhide__ = True
    process = _SERVER.Process(target=_live, args=(story.live, folder, killer))
    process.start()
    process.join(LONGEST)
    if process.exitcode in (0, -signal.SIGKILL):
        return process.exitcode == 0
    ended = f"failed with {process.exitcode}"
    if process.exitcode is None:
        process.kill()
        ended = f"did not end within {LONGEST:g} s"
    why = asyncio.run(first_screen(address(folder, "home/state.db"), folder / LOG))
    raise AssertionError(f"a life with {killer} {ended}.\n\n{why}")


def undisturbed(story: Story, folder: Path, databases: Databases | None = None) -> object:
    """The end of a story in which nobody is killed."""
    _prepare(story, folder, databases)
    assert survived(story, folder, None)
    return story.end(folder)


def killed_once(
    story: Story,
    folder: Path,
    first: int = 1,
    step: int = 1,
    databases: Databases | None = None,
) -> Iterator[tuple[int, object]]:
    """For each boundary from `first` on, every `step`, the end of the story whose first life was
    killed there; until a life passes fewer boundaries."""
    _prepare(story, folder / "prepared", databases)
    for boundary in count(first, step):
        here = folder / f"killed-at-{boundary}"
        shutil.copytree(folder / "prepared", here)
        if databases is not None:
            databases.copy(here)
        if survived(story, here, boundary):
            return
        assert survived(story, here, None)
        yield boundary, story.end(here)


def killed_everywhere(
    story: Story, folder: Path, kinds: frozenset[str], databases: Databases | None = None
) -> tuple[int, object]:
    """How many lives it took, and the end, if lives are killed wherever `Thorough` does."""
    _prepare(story, folder, databases)
    killer = Thorough(folder / "passes", kinds)
    lives = next(life for life in count(1) if lived(story, folder, killer))
    return lives, story.end(folder)


def killed_again_and_again(
    story: Story, folder: Path, databases: Databases | None = None
) -> tuple[int, object]:
    """How many lives it took, and the end, if each life gets one boundary further than the last."""
    _prepare(story, folder, databases)
    lives = next(life for life in count(1) if survived(story, folder, life))
    return lives, story.end(folder)


def _prepare(story: Story, folder: Path, databases: Databases | None) -> None:
    # Before the first life of this process; a later story's own modules are imported as it starts.
    _SERVER.set_forkserver_preload([__name__, "controller.reconcile.loop", story.live.__module__])
    folder.mkdir()
    if databases is not None:
        databases.make(folder)
    story.prepare(folder)


def _live(life: Life, folder: Path, killer: Boundary) -> None:
    asyncio.run(life(folder, killer))


_SERVER = multiprocessing.get_context("forkserver")
