"""What the loop knows of one kind of object: how to look at the world for it, and its machine."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from controller.machine.core import Decision, InboxMessage, Key, Message, State, Value

Observed = TypeVar("Observed")
State_contra = TypeVar("State_contra", bound=Value, contravariant=True)
Seen_co = TypeVar("Seen_co", covariant=True)


class Observer(Protocol[State_contra, Seen_co]):
    """Looks at the world for one kind of object."""

    async def observe(
        self, key: Key, state: State_contra | None, inbox: Sequence[InboxMessage]
    ) -> Seen_co:
        """What `decide` will want to know; changes nothing. Raises `TryAgain`, `NeedsHuman`, or
        `Ignore` for an object that is not to be reconciled now: its messages wait."""
        ...


@dataclass(frozen=True)
class Reconciler(Generic[State, Observed]):
    """One kind of object."""

    state: type[State]
    observer: Observer[State, Observed]
    decide: Callable[[Key, State | None, Observed, Sequence[InboxMessage], float], Decision[State]]
    """The machine. It consumes all of the inbox; the last argument is the time in seconds since the
    epoch."""
    handles: Collection[type[Message]] = ()
    """The classes of messages that the machine handles."""
    patient: bool = False
    """Whether, after a restart, it can wait for everything else that it is looked at."""
