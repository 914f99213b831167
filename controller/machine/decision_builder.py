"""PURE. Collects what one decision consists of: actions, messages, facts."""

from collections.abc import Iterable, Sequence

from controller.machine.actions import Incident, Notify, NotifyStatus
from controller.machine.core import Action, Envelope, Fact
from specs.notifications import Notification, NotifyEvent


class DecisionBuilder:
    """Collects them. `everyone` has the `notify` entries of the settings, for every pipeline."""

    def __init__(self, everyone: Sequence[Notification] = ()) -> None:
        self.everyone = everyone
        self.actions: list[Action] = []
        self.messages: list[Envelope] = []
        self.facts: list[Fact] = []

    def notify(
        self,
        event: NotifyEvent,
        status: NotifyStatus,
        alert: str,
        to: Iterable[str],
        incident: Incident,
    ) -> None:
        """Notify each address once: those in `to`, then everyone's. If there is none, the incident
        is only logged."""
        more = (entry.to for entry in self.everyone if event in entry.on)
        for address in dict.fromkeys((*to, *more)) or [None]:
            self.actions.append(
                Notify(event=event, status=status, alert=alert, to=address, incident=incident)
            )
