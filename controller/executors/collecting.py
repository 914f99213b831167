"""What becomes of attempts that ended: their data is looked at again, their outputs are stored.

It may take long, or wait for a store that is away; meanwhile the run goes on, and can be cancelled.
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from controller.artifacts import Artifacts
from controller.buckets.protocol import ObjectChanged
from controller.executors.protocol import Executor
from controller.machine.core import Blocked
from controller.machine.runs.attempt import Attempt, AttemptState, Status
from controller.queries import MOVED
from specs.failures import Failure, NeedsHuman, TryAgain
from validators.report import Report

PROMPT = 2.0
"""Seconds for which a look at an ending waits for it."""
_UNREAD = (AttemptState.CANCELLED, AttemptState.DATA_CHANGED, AttemptState.LOST)
"""What became of such an attempt depends on nothing that it read."""


class Expecting(Protocol):
    """Looks at dataset versions again."""

    async def expect(self, uri: str, digest: str) -> None:
        """Raises `ObjectChanged` if an object of the version is not any more what was listed."""
        ...


class CollectedAttempt(NamedTuple):
    """How an attempt ended, with what it leaves."""

    status: Status
    outputs: Mapping[str, str] | None = None
    """Digests by output name."""
    report: Report | None = None
    """A gate's."""
    uncollected: str | None = None
    """Why there are no outputs though it succeeded."""


class AttemptCollector:
    """Brings endings about in the background, each as often as it takes."""

    def __init__(self, executor: Executor, artifacts: Artifacts, datasets: Expecting) -> None:
        self._executor = executor
        self._artifacts = artifacts
        self._datasets = datasets
        self._under_way: dict[str, asyncio.Task[CollectedAttempt]] = {}

    async def of(self, attempt: Attempt, status: Status, *, gate: bool) -> CollectedAttempt:
        """How an attempt ended that has this status; `State.ENDING` until that is known."""
        task = self._under_way.get(attempt.id)
        if task is None:
            task = asyncio.create_task(self._bring_about(attempt, status, gate))
            self._under_way[attempt.id] = task
        await asyncio.wait((task,), timeout=PROMPT)
        if not task.done():
            return CollectedAttempt(_not_yet(status, None))
        del self._under_way[attempt.id]
        try:
            return task.result()
        except TryAgain as failure:
            return CollectedAttempt(
                _not_yet(status, Blocked(reason=str(failure), human=failure.human))
            )
        except Failure as failure:
            return CollectedAttempt(_not_yet(status, Blocked(reason=str(failure), human=True)))

    def forget(self, run: str) -> None:
        """Nobody waits for the endings of this run's attempts any more."""
        for name in [one for one in self._under_way if one.startswith(f"{run}.")]:
            self._under_way.pop(name).cancel()

    async def close(self) -> None:
        """Let go; the next controller begins these anew."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def report(self, digest: str) -> Report:
        """A gate's report. Raises `NeedsHuman` if it is lost or no report."""
        return Report.model_validate_json(await self._artifacts.read_bytes(digest))

    async def _bring_about(self, attempt: Attempt, status: Status, gate: bool) -> CollectedAttempt:
        if status.state not in _UNREAD:
            try:
                await self._expect_its_data(attempt)
            except ObjectChanged as change:
                changed = {"state": AttemptState.DATA_CHANGED, "message": str(change)}
                return CollectedAttempt(status.model_copy(update=changed))
        if attempt.program == "query" and status.exit_code == MOVED:
            moved = {"state": AttemptState.DATA_CHANGED}
            return CollectedAttempt(status.model_copy(update=moved))
        if status.state is not AttemptState.SUCCEEDED:
            return CollectedAttempt(status)
        try:
            outputs = await self._executor.collect(attempt)
            report = await self.report(outputs["report"]) if gate else None
        except NeedsHuman as failure:
            return CollectedAttempt(status, uncollected=str(failure))
        return CollectedAttempt(status, outputs, report)

    async def _expect_its_data(self, attempt: Attempt) -> None:
        """What it read itself, it may have read before or after somebody replaced it."""
        for given in attempt.inputs.values():
            if given.kind == "dataset" and given.access == "uri":
                await self._datasets.expect(given.uri, given.digest)


def _not_yet(status: Status, waits: Blocked | None) -> Status:
    return Status(state=AttemptState.ENDING, started=status.started, waits=waits)
