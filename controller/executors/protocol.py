"""The contract of every place that runs steps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from controller.machine.runs.attempt import Attempt, Status


class Executor(Protocol):
    """Runs attempts. Attempts outlive the controller; after a restart they are found by id."""

    async def start(self, attempt: Attempt) -> None:
        """Start it unless it was started before. Returns before it ends, or is even prepared.

        What makes it fail for good (no such command, requirements that cannot be installed) is
        the status of the attempt and no exception.
        """
        ...

    async def poll(self, attempt_id: str) -> Status:
        """What is known of it; `UNKNOWN` where nothing is."""
        ...

    async def cancel(self, attempt_id: str) -> None:
        """End it and all its processes, first kindly. Idempotent, also after its end."""
        ...

    async def logs(self, attempt_id: str) -> Path | None:
        """The file with its output, bounded, while it runs and after; None if there is none."""
        ...

    async def collect(self, attempt: Attempt) -> Mapping[str, str]:
        """Store the outputs of a succeeded attempt; digests by output name.

        Idempotent. Raises `NeedsHuman` naming an output that was declared and not written.
        """
        ...
