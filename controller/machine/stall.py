"""PURE. An object that makes no progress: somebody is notified once, and again when it does."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from controller.machine.actions import Incident
from controller.machine.core import Decision, InboxMessage, Message, Value
from controller.machine.decision_builder import DecisionBuilder
from controller.machine.messages import ActionFailed, Recovered, Stalled
from specs.notifications import Notification

LOOK = 3600.0
"""Seconds between reconciles of an open stall, by which it is also found after a restart."""


class Stall(Value):
    """What is stored of an object's stall."""

    of: str
    """The object's key, as `repository/team`."""
    repository: str = ""
    to: tuple[str, ...] = ()
    """Who was notified, and is notified of the end."""
    reason: str = ""
    """What is wrong, and how to fix it."""
    since: float | None = None
    """When it began, in seconds since the epoch."""
    over: bool = True


class ObservedStall(Value):
    """Whom to notify."""

    repository: str = ""
    pipeline: str = ""
    to: tuple[str, ...] = ()
    everyone: tuple[Notification, ...] = ()
    """The `notify` entries of the settings, for every pipeline."""


def decide(
    name: str, state: Stall | None, observed: ObservedStall, inbox: Sequence[InboxMessage]
) -> Decision[Stall]:
    """Notify of the stall once, and of its end. A reason that changes meanwhile is not notified."""
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
"""Every class of message that a stall handles."""


def _notify(
    stall: Stall, pipeline: str, status: Literal["firing", "resolved"], out: DecisionBuilder
) -> None:
    over = status == "resolved"
    incident = Incident(
        pipeline=pipeline,
        title=f"{stall.of} {'makes progress again' if over else 'is stuck'}",
        what="What blocked it is resolved." if over else stall.reason,
        now="" if over else "what served before; running models are not affected",
        needs_human=not over,
        commands=("headgate status",) if over else ("headgate doctor", "headgate status"),
    )
    out.notify("stuck", status, f"stuck/{stall.of}", stall.to, incident)
