"""Reads inboxes: each message as its class, and those that cannot be read or handled set aside.

A message is set aside alone: it is kept with the reason, and the others are handled.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog
from pydantic import ValidationError

from controller.machine.core import Decision, InboxMessage
from controller.reconcile.reconciler import Reconciler
from controller.store.protocol import Delivered, SetAside
from specs.failures import Failure, Ignore

log = structlog.get_logger("headgate.loop")

SET_ASIDE_FIX = (
    "repeat the request if it is still needed; if no person made it, please report the bug"
)
"""What users can do about a message that was set aside."""


class Inbox(NamedTuple):
    """The messages of one object."""

    messages: tuple[InboxMessage, ...] = ()
    set_aside: tuple[SetAside, ...] = ()


def read(delivered: Sequence[Delivered], reconciler: Reconciler[Any, Any]) -> Inbox:
    """The messages that the reconciler handles, oldest first, and why it does not handle others."""
    if not delivered:  # as most often
        return Inbox()
    classes = {each.model_fields["type"].default: each for each in reconciler.handles}
    messages, aside = [], []
    for each in delivered:
        found = classes.get(each.type)
        if found is None:
            reason = f"nothing in this version of Headgate handles {each.type!r} there"
            aside.append(_set_aside(each, reason))
            continue
        try:
            message = found.model_validate_json(each.text)
        except ValidationError as error:
            aside.append(_set_aside(each, _unreadable(error)))
            continue
        messages.append(
            InboxMessage(number=each.number, to=each.to, id=each.id, message=message, at=each.at)
        )
    return Inbox(tuple(messages), tuple(aside))


class Handled(NamedTuple):
    """What a machine decided, and on which messages. Those that are in neither list wait."""

    decision: Decision[Any] | None
    """None where none could be handled and there is no object yet."""
    messages: tuple[InboxMessage, ...]
    set_aside: tuple[SetAside, ...] = ()


def isolate(
    messages: Sequence[InboxMessage],
    decide: Callable[[Sequence[InboxMessage]], Decision[Any]],
    *,
    exists: bool,
) -> Handled:
    """Decide without the messages that make `decide` fail, after it failed on all together.

    As it is pure it can be asked again: of each message in turn, after those before it that could
    be handled. `exists` is whether the object does; one that `decide` ignores because it does not
    waits. Raises what `decide` raises if it fails without any message, too.
    """
    kept: list[InboxMessage] = []
    aside: list[SetAside] = []
    decision = decide(()) if exists else None
    for each in messages:
        try:
            decision = decide((*kept, each))
        except Ignore:
            continue
        except Failure:
            raise
        except Exception as error:
            log.exception("a message made its machine fail", message=each.id, to=str(each.to))
            reason = f"it caused an internal error ({type(error).__name__}); the log says where"
            aside.append(SetAside(number=each.number, reason=reason))
        else:
            kept.append(each)
    return Handled(decision, tuple(kept), tuple(aside))


def _set_aside(message: Delivered, reason: str) -> SetAside:
    log.error("a message is set aside", message=message.id, to=str(message.to), reason=reason)
    return SetAside(number=message.number, reason=reason)


def _unreadable(error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_url=False)
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"]) or "the message"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{where}: {first['msg']}{more}"
