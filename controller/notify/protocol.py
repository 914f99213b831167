"""The contract of whatever brings an incident to people."""

from typing import Literal, Protocol

from controller.machine.actions import Incident

Status = Literal["firing", "resolved", "info"]


class Notifier(Protocol):
    """One way, or many behind one address, to tell people."""

    async def send(self, url: str, incident: Incident, status: Status, alert: str) -> None:
        """Tell `url`, which holds its secrets already, of `incident`.

        `alert` names what fires and later is resolved; where the service knows such pairs, the
        same alert fired twice is one, and `resolved` ends it. Raises `TryAgain` (refused for now,
        out of reach) or `NeedsHuman` (no such service, not allowed); neither message holds more
        of `url` than its scheme.
        """
        ...
