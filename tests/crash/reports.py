"""Reports as git notes, of several objects on several commits: each batch may be half pushed."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from controller.git import Mirror
from controller.git.commit_info import Author
from controller.machine.actions import ReportUntouched
from controller.machine.core import Decision, Key, Message, Value
from controller.reconcile.loop import Loop
from controller.reconcile.outbox import Boundary, RuntimePolicy
from controller.reconcile.workqueue import Backoff
from controller.reports.notes_forge import NotesForge
from controller.reports.untouched import UntouchedApplier
from tests.controller.git.git_server import Person, run_git
from tests.controller.reconcile.toys import Begin, running, tell, toy, until
from tests.crash.harness import Story
from tests.crash.states import hold_state, open_state

REPORTERS = ("r0", "r1")
COMMITS = 2
NOTES = Key("repository", "team")
"""Whose boundaries are those of the writer."""


class Told(Value):
    """Whether a reporter has reported."""

    done: bool = False


class WatchedMirror(Mirror):
    """A mirror with boundaries before and after each thing that a batch consists of."""

    boundary: Boundary

    async def write_commit(
        self, base: str | None, files: Mapping[str, bytes | None], message: str, author: Author
    ) -> str:
        self.boundary("before the commit", NOTES)
        sha = await super().write_commit(base, files, message, author)
        self.boundary("after the commit", NOTES)
        return sha

    async def push(self, ref: str, sha: str, expected: str | None) -> None:
        await super().push(ref, sha, expected)
        self.boundary("after the push", NOTES)


def prepare(folder: Path) -> None:
    """A remote with some commits, and the messages that make everybody report on them."""
    ada = Person(folder / "ada")
    for n in range(COMMITS):
        ada.push({"a": str(n)})

    async def send() -> None:
        store = await open_state(folder)
        for name in REPORTERS:
            await tell(store, Key("reporter", name), Begin())
        await store.close()

    asyncio.run(send())


async def live(folder: Path, boundary: Boundary) -> None:
    """A controller that runs until all is reported and acknowledged."""
    store = await hold_state(folder)
    remote = folder / "ada" / "remote.git"
    commits = _commits(remote)

    def decide(key: Key, state: Told | None, inbox: Sequence[Message], _: float) -> Decision[Told]:
        actions = [_report(key, sha, title) for title in ("first", "last") for sha in commits]
        begun = state is None and bool(inbox)
        return Decision(state=state or Told(done=begun), actions=tuple(actions) if begun else ())

    mirror = WatchedMirror(str(remote), folder / "mirror.git")
    mirror.boundary = boundary
    notes = NotesForge({"team": mirror})
    loop = Loop(
        store,
        {"reporter": toy(Told, decide)},
        {ReportUntouched: UntouchedApplier(notes).apply},
        policy=RuntimePolicy(boundary=boundary, backoff=Backoff(first=0.001, most=0.002)),
    )

    async def complete() -> bool:
        # The inbox first: what is consumed between the two is in the outbox then.
        return not await store.inbox() and not await store.outbox()

    async with running(loop):
        await until(complete)
    await notes.close()
    await mirror.close()
    await store.close()


def _report(owner: Key, commit: str, title: str) -> ReportUntouched:
    return ReportUntouched(
        repository="team", commit=commit, title=title, named={}, scope=f"on {owner.name}"
    )


def _commits(remote: Path) -> list[str]:
    return run_git(remote, "rev-list", "main").split()


def end(folder: Path) -> object:
    """By commit, how often each section is in its note, and what it says; what is left to do."""
    remote = folder / "ada" / "remote.git"
    notes = {
        commit: _sections(run_git(remote, "notes", "--ref=headgate", "show", commit))
        for commit in _commits(remote)
    }

    async def left() -> object:
        store = await open_state(folder)
        try:
            return await store.outbox(), await store.inbox()
        finally:
            await store.close()

    return sorted(map(str, notes.values())), asyncio.run(left())


def _sections(note: str) -> list[tuple[str, int]]:
    lines = note.splitlines()
    said = Counter(
        f"{line} {lines[at + 1]}" for at, line in enumerate(lines) if "<!-- headgate: " in line
    )
    return sorted(said.items())


def pushes(folder: Path) -> int:
    """How many commits of notes there are."""
    remote = folder / "ada" / "remote.git"
    return int(run_git(remote, "rev-list", "--count", "refs/notes/headgate"))


STORY = Story(prepare=prepare, live=live, end=end)
