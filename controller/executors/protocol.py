"""The contract of every place that runs steps."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from controller.machine.runs.attempt import Attempt, Status

GRACE = 10.0
"""Seconds between asking an attempt to end and killing it."""


class Executor(Protocol):
    """Runs attempts: all that a run needs. Attempts outlive the controller and are found by id."""

    async def start(self, attempt: Attempt) -> None:
        """Start the attempt unless it was started before. Returns before it is even prepared.

        A permanent failure (no such command, requirements that cannot be installed) is reported
        as the attempt's status, not as an exception.
        """
        ...

    async def poll(self, attempt_id: str) -> Status:
        """The attempt's status; `UNKNOWN` if it was never started here."""
        ...

    async def cancel(self, attempt_id: str, grace: float = GRACE) -> None:
        """End the attempt and all its processes. Idempotent, also after its end.

        `grace` is in seconds; calling again with less shortens it.
        """
        ...

    async def logs(self, attempt_id: str) -> Path | None:
        """The file with its output, bounded, during and after the run; None if there is none."""
        ...

    async def collect(self, attempt: Attempt) -> Mapping[str, str]:
        """Store the outputs of a succeeded attempt; digests by output name.

        Idempotent. Raises `NeedsHuman` naming an output that was declared but not written.
        """
        ...


class ManagedExecutor(Executor, Protocol):
    """An executor as the controller holds it: what each registered executor implements.

    These methods are not about one attempt but about the executor's own life, and only the
    composition root and the router call them. Runs see the five methods of `Executor`.
    """

    def resume(self) -> None:
        """Find what an earlier controller left running, so that it holds its slots. Idempotent."""
        ...

    def knows(self, attempt_id: str) -> bool:
        """Whether the attempt was started here, by this controller or an earlier one."""
        ...

    def unfinished(self) -> Sequence[str]:
        """The ids of the attempts that are being prepared or are running."""
        ...

    def announce(self, to: Callable[[str], None]) -> None:
        """From now on, call `to` with the id of each attempt that ends. A hint: `poll` is the
        truth."""
        ...

    async def disown(self, attempt_id: str) -> None:
        """End what may run of an attempt that this controller has no record of, and wants no more:
        its record was lost with the home folder, or another controller had it."""
        ...

    async def reap(self) -> int:
        """Remove what runs here for attempts that ended or that nobody knows; how many.

        Raises `Failure` if that cannot be determined now.
        """
        ...

    async def close(self) -> None:
        """Abandon what is being prepared; what is running continues."""
        ...
