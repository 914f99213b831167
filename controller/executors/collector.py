"""Collects attempts that ended: verifies that their data did not change, and stores their outputs.

This may take long or wait for an unreachable store, so it happens in the background: meanwhile the
run continues and can be cancelled.
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from controller.artifacts import Artifacts
from controller.buckets.protocol import ObjectChanged
from controller.executors.protocol import Executor
from controller.machine.core import Blocked
from controller.machine.runs.attempt import Attempt, AttemptState, Status
from controller.queries import ROWS_CHANGED
from specs.failures import Failure, NeedsHuman, TryAgain
from validators.report import Report

MAX_WAIT = 2.0
"""Seconds that one call waits for the collection to finish."""
_INDEPENDENT_OF_DATA = (AttemptState.CANCELLED, AttemptState.DATA_CHANGED, AttemptState.LOST)
"""Ends that do not depend on what the attempt read."""


class DatasetVerifier(Protocol):
    """Verifies that dataset versions are still what was listed."""

    async def verify_unchanged(self, uri: str, digest: str) -> None:
        """Raises `ObjectChanged` if an object of the version was replaced or deleted."""
        ...


class CollectedAttempt(NamedTuple):
    """How an attempt ended, and its outputs."""

    status: Status
    outputs: Mapping[str, str] | None = None
    """Digests by output name."""
    report: Report | None = None
    """The report of a gate."""
    uncollected: str | None = None
    """Why there are no outputs although the attempt succeeded."""


class AttemptCollector:
    """Collects each attempt in a background task, again after a failure that may pass."""

    def __init__(self, executor: Executor, artifacts: Artifacts, datasets: DatasetVerifier) -> None:
        self._executor = executor
        self._artifacts = artifacts
        self._datasets = datasets
        self._tasks: dict[str, asyncio.Task[CollectedAttempt]] = {}

    async def collect(self, attempt: Attempt, status: Status, *, gate: bool) -> CollectedAttempt:
        """Collect an attempt that ended with this status; `ENDING` while that is under way."""
        task = self._tasks.get(attempt.id)
        if task is None:
            task = asyncio.create_task(self._collect(attempt, status, gate))
            self._tasks[attempt.id] = task
        await asyncio.wait((task,), timeout=MAX_WAIT)
        if not task.done():
            return CollectedAttempt(_ending(status, None))
        del self._tasks[attempt.id]
        try:
            return task.result()
        except TryAgain as failure:
            blocked = Blocked(reason=str(failure), human=failure.human)
        except Failure as failure:
            blocked = Blocked(reason=str(failure), human=True)
        return CollectedAttempt(_ending(status, blocked))

    def forget(self, run: str) -> None:
        """Stop collecting the attempts of a run."""
        for name in [one for one in self._tasks if one.startswith(f"{run}.")]:
            self._tasks.pop(name).cancel()

    async def close(self) -> None:
        """Stop; the next controller collects these again."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def report(self, digest: str) -> Report:
        """A gate's report. Raises `NeedsHuman` if it is not in the store."""
        return Report.model_validate_json(await self._artifacts.read_bytes(digest))

    async def _collect(self, attempt: Attempt, status: Status, gate: bool) -> CollectedAttempt:
        if status.state not in _INDEPENDENT_OF_DATA:
            try:
                await self._verify_data(attempt)
            except ObjectChanged as change:
                changed = {"state": AttemptState.DATA_CHANGED, "message": str(change)}
                return CollectedAttempt(status.model_copy(update=changed))
        if attempt.program == "query" and status.exit_code == ROWS_CHANGED:
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

    async def _verify_data(self, attempt: Attempt) -> None:
        """Objects that the step read by their URI may have been replaced before it read them."""
        for given in attempt.inputs.values():
            if given.kind == "dataset" and given.access == "uri":
                await self._datasets.verify_unchanged(given.uri, given.digest)


def _ending(status: Status, waits: Blocked | None) -> Status:
    return Status(state=AttemptState.ENDING, started=status.started, waits=waits)
