"""The contract of a notifier, which brings incidents to people's attention."""

from typing import Literal, Protocol

from controller.machine.actions import Incident

Status = Literal["firing", "resolved", "info"]


class Notifier(Protocol):
    """Sends notifications; the address selects the service."""

    async def send(self, url: str, incident: Incident, status: Status, alert: str) -> None:
        """Send `incident` to `url`, whose secrets are already filled in.

        `alert` identifies an alert that fires and is resolved later. A service that supports this
        shows an alert that fires twice only once, and ends it when it is `resolved`. Raises
        `TryAgain` (unreachable, refused for now) or `NeedsHuman` (no such service, not allowed);
        neither message contains more of `url` than its scheme.
        """
        ...
