"""What every machine shares: frozen state in, a `Decision` out.

A machine is one pure function: `decide(key, state, observed, inbox, now) -> Decision`. It reads
no clock and does no I/O; what it wants done it says as actions, and the loop saves those with the
new state in one transaction before any of them is applied.
"""

import builtins
import json
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from pydantic import BaseModel, ConfigDict, SerializeAsAny, model_validator

from specs.digests import canonical_json, digest


class Value(BaseModel):
    """Base of every state, fact, action and message: frozen, strict, JSON-able."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_inf_nan="strings", defer_build=True
    )

    def plain(self) -> dict[str, Any]:
        """Its JSON as dicts and lists; infinity and NaN are text there, as `model_dump` forgets."""
        plain: dict[str, Any] = json.loads(self.model_dump_json())
        return plain


class Key(NamedTuple):
    """Names one long-lived object: `Key("run", "flight-delay-12")`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Action(Value):
    """One effect that is owed. Safe to apply twice: its fields say what, never how often.

    Its id is the digest of its owner, its type and its fields, so owing the same thing twice is
    owing it once.
    """

    type: str

    @property
    def lane(self) -> str:
        """Actions of one object and lane are applied in order; a lane that fails holds up no other.

        The same for every action of a type, or made from its fields.
        """
        return "main"

    @classmethod
    def by_type(cls) -> dict[str, builtins.type["Action"]]:
        """Every class of actions, by its `type`."""
        return {each.model_fields["type"].default: each for each in cls.__subclasses__()}

    def id_for(self, owner: Key) -> str:
        """What the outbox knows it by."""
        return digest([*owner, self.plain()])


class Message(Value):
    """Base of what one object, a source or a person tells another; `messages.py` has them all."""

    addressees: ClassVar[frozenset[str]] = frozenset()
    """The kinds of objects whose machines handle it; empty: every kind."""
    type: str
    """Names the class in the store."""


class Envelope(Value):
    """A message on its way.

    Delivered in the transaction that sends it, consumed in the transaction that saves what
    followed from it. `id` makes a doubled delivery one: the same id to the same object counts once.
    """

    to: Key
    id: str
    message: SerializeAsAny[Message]

    @model_validator(mode="after")
    def _is_for_its_kind(self) -> Self:
        kinds = self.message.addressees
        if kinds and self.to.kind not in kinds:
            raise ValueError(f"{self.message.type} is for {', '.join(kinds)}, not for {self.to}")
        return self


class InboxMessage(Value):
    """A message in an inbox. `number` orders the messages of an inbox; `at` is when it was sent, in
    seconds since the epoch."""

    number: int
    to: Key
    id: str
    message: SerializeAsAny[Message]
    at: float


class Fact(Value):
    """Something that is true from now on and belongs to no machine: a model version, a cache hit.

    Saved with the decision; saving it again replaces it.
    """

    key: Key
    body: dict[str, Any]


class Blocked(Value):
    """What an object waits for although its decision succeeded, such as an unreachable store."""

    reason: str
    human: bool = False
    """Whether only a person can fix it."""


State = TypeVar("State", bound=Value)
V = TypeVar("V", bound=BaseModel)


def parsed(model: type[V], body: dict[str, Any]) -> V:
    """A stored body as the value it was. Raises pydantic's ValidationError.

    By way of JSON, because strict values take a list for a tuple, or text for an enum, only there.
    """
    return model.model_validate_json(canonical_json(body))


class Decision(BaseModel, Generic[State]):
    """What follows from a state and what was observed."""

    model_config = ConfigDict(frozen=True)

    state: State
    actions: tuple[Action, ...] = ()
    messages: tuple[Envelope, ...] = ()
    facts: tuple[Fact, ...] = ()
    withdraw: tuple[str, ...] = ()
    """Lanes whose actions that are owed still are no longer wanted; `actions` are owed after
    that. So a newer wish is never stuck behind an older one that keeps failing."""
    requeue_after: float | None = None
    """Seconds until the object wants to be looked at again, whatever happens; None: never.

    An object that never wants to be looked at sleeps through restarts too, until a message comes:
    so whatever waits for something that happens outside has a deadline here.
    """
    waits: Blocked | None = None
    """Somebody is told of it if it lasts, as of a turn that fails time and again."""
