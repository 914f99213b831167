"""PURE. An object that does not get on without a person: somebody is told once, and of its end."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from controller.machine.actions import Incident
from controller.machine.building import DecisionBuilder
from controller.machine.core import Decision, InboxMessage, Message, Value
from controller.machine.messages import ActionFailed, Recovered, Stalled
from specs.notifications import Notification

LOOK = 3600.0
"""Seconds between looks at what goes on; a restart finds it by them."""


class Stall(Value):
    """What keeps an object from getting on."""

    of: str
    """The object, as `repository/team`."""
    repository: str = ""
    to: tuple[str, ...] = ()
    """Who was told, and hears of the end."""
    reason: str = ""
    """What is wrong, and the mend."""
    since: float | None = None
    """When it began, in seconds since the epoch."""
    over: bool = True


class ObservedStall(Value):
    """Whom it concerns."""

    repository: str = ""
    pipeline: str = ""
    to: tuple[str, ...] = ()
    everyone: tuple[Notification, ...] = ()
    """The settings' entries."""


def decide(
    name: str, state: Stall | None, observed: ObservedStall, inbox: Sequence[InboxMessage]
) -> Decision[Stall]:
    """Tell of the stall once, and of its end; a reason that changes meanwhile is no news."""
    stall = state or Stall(of=name)
    out = DecisionBuilder(observed.everyone)
    for each in inbox:
        stall = HANDLERS[type(each.message)](stall, each.message, observed, out)
    return Decision(
        state=stall, actions=tuple(out.actions), requeue_after=None if stall.over else LOOK
    )


def _stalled(
    stall: Stall, message: Stalled, observed: ObservedStall, out: DecisionBuilder
) -> Stall:
    if not stall.over:
        return stall
    stall = Stall(
        of=stall.of,
        repository=observed.repository,
        to=observed.to,
        reason=message.reason,
        since=message.since,
        over=False,
    )
    _notify(stall, observed.pipeline or stall.of, "firing", out)
    return stall


def _recovered(
    stall: Stall, _message: Recovered, observed: ObservedStall, out: DecisionBuilder
) -> Stall:
    if stall.over:
        return stall
    stall = stall.model_copy(update={"over": True})
    _notify(stall, observed.pipeline or stall.of, "resolved", out)
    return stall


def _action_failed(
    stall: Stall, _message: ActionFailed, _observed: ObservedStall, _out: DecisionBuilder
) -> Stall:
    """A notification that nobody gets: the log has said why, and nothing changes."""
    return stall


HANDLERS: Mapping[type[Message], Callable[[Stall, Any, ObservedStall, DecisionBuilder], Stall]] = {
    Stalled: _stalled,
    Recovered: _recovered,
    ActionFailed: _action_failed,
}
"""Every class of messages that a stall handles."""


def _notify(
    stall: Stall, pipeline: str, status: Literal["firing", "resolved"], out: DecisionBuilder
) -> None:
    over = status == "resolved"
    incident = Incident(
        pipeline=pipeline,
        title=f"{stall.of} {'makes progress again' if over else 'is stuck'}",
        what="What kept it from going on is over." if over else stall.reason,
        now="" if over else "what served before; models that run are not touched",
        needs_human=not over,
        commands=("headgate status",) if over else ("headgate doctor", "headgate status"),
    )
    out.notify("stuck", status, f"stuck/{stall.of}", stall.to, incident)
