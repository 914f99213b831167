"""PURE. What one decision gathers on its way: actions, messages, facts."""

from collections.abc import Iterable, Sequence

from controller.machine.actions import Incident, Notify, NotifyStatus
from controller.machine.core import Action, Envelope, Fact
from specs.notifications import Notification, NotifyEvent


class DecisionBuilder:
    """Gathers. `everyone` are the settings' entries, who are told of every pipeline."""

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
        """Tell each address once: those of the spec first, then everyone's. With no address at all
        it is logged, as somebody may be reading the log."""
        more = (entry.to for entry in self.everyone if event in entry.on)
        for address in dict.fromkeys((*to, *more)) or [None]:
            self.actions.append(
                Notify(event=event, status=status, alert=alert, to=address, incident=incident)
            )
