"""PURE. An object that does not get on without a person: somebody is told once, and of its end."""

from collections.abc import Sequence
from typing import Literal

from controller.machine.actions import Incident, Notify
from controller.machine.core import Decision, InboxMessage, Value

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


def decide(
    name: str, state: Stall | None, observed: ObservedStall, inbox: Sequence[InboxMessage]
) -> Decision[Stall]:
    """Tell of the first trouble, and of its end; a reason that changes meanwhile is no news."""
    trouble = state or Stall(of=name)
    told = []
    for letter in inbox:
        if letter.message.type == "in_trouble" and trouble.over:
            trouble = Stall(
                of=name,
                repository=observed.repository,
                to=observed.to,
                reason=letter.message.body["reason"],
                since=letter.message.body.get("since", letter.at),
                over=False,
            )
            told.append(_notify(trouble, observed.pipeline or name, "firing"))
        elif letter.message.type == "out_of_trouble" and not trouble.over:
            trouble = trouble.model_copy(update={"over": True})
            told.append(_notify(trouble, observed.pipeline or name, "resolved"))
    return Decision(
        state=trouble, actions=tuple(told), requeue_after=None if trouble.over else LOOK
    )


def _notify(trouble: Stall, pipeline: str, status: Literal["firing", "resolved"]) -> Notify:
    goes_on = status == "resolved"
    incident = Incident(
        pipeline=pipeline,
        title=f"{trouble.of} {'goes on' if goes_on else 'is stuck'}",
        what="What kept it from going on is over." if goes_on else trouble.reason,
        now="" if goes_on else "what served before; models that run are not touched",
        needs_human=not goes_on,
        commands=("headgate status",) if goes_on else ("headgate doctor", "headgate status"),
    )
    alert = f"stuck/{trouble.of}"
    return Notify(event="stuck", status=status, alert=alert, to=trouble.to, incident=incident)
