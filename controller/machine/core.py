"""What every machine shares: frozen state in, a `Decision` out.

A machine is one pure function: `decide(key, state, observed, inbox, now) -> Decision`. It reads
no clock and does no I/O. Its decision has the actions to apply, which the loop saves with the new
state in one transaction before it applies any of them.
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
        """Its JSON as dicts and lists. Infinity and NaN are strings, which `model_dump` ignores."""
        plain: dict[str, Any] = json.loads(self.model_dump_json())
        return plain


class Key(NamedTuple):
    """Names one long-lived object: `Key("run", "flight-delay-12")`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Action(Value):
    """One effect to apply. Safe to apply twice: its fields say what, never how often.

    Its id is the digest of its owner, its type and its fields, so the same action is enqueued only
    once.
    """

    lasting: ClassVar[bool] = False
    """Whether applying it again does nothing even much later. Then it may be acknowledged together
    with the next decision of its owner, and not by a transaction of its own."""
    type: str
    background: ClassVar[bool] = False
    """Whether nothing that its owner does next waits for it, as for a report. Such actions are
    applied beside the reconciles of their owner, not as a part of them; otherwise like all. A lane
    has only such actions or none."""

    @property
    def lane(self) -> str:
        """Actions of one object and lane are applied in order. A failing lane delays no other.

        It is fixed for the type of action, or made from its fields.
        """
        return "main"

    @classmethod
    def by_type(cls) -> dict[str, builtins.type["Action"]]:
        """Every class of actions, by its `type`."""
        return {each.model_fields["type"].default: each for each in cls.__subclasses__()}

    def id_for(self, owner: Key) -> str:
        """Its id in the outbox."""
        return id_of(owner, self.plain())


def id_of(owner: Key, action: dict[str, Any]) -> str:
    """The id in the outbox of an action, given as JSON."""
    return digest([*owner, action])


class Message(Value):
    """Base of all messages, which `messages.py` has."""

    addressees: ClassVar[frozenset[str]] = frozenset()
    """The kinds of objects whose machines handle it; empty: every kind."""
    type: str
    """Names the class in the store."""


class Envelope(Value):
    """A message to be delivered.

    Delivered in the transaction that sends it, consumed in the transaction that saves what
    followed from it. `id` de-duplicates: the same id counts once for an object.
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
    """A record that is no object of a machine: a model version, a cached result.

    Saved with the decision; saving it again replaces it.
    """

    key: Key
    body: dict[str, Any]


class Blocked(Value):
    """What an object waits for, without having failed: a store that is unreachable or refuses."""

    reason: str
    human: bool = False
    """Whether only a person can fix it."""


State = TypeVar("State", bound=Value)
V = TypeVar("V", bound=BaseModel)


def parsed(model: type[V], body: dict[str, Any]) -> V:
    """Read a value from a stored body. Raises pydantic's ValidationError.

    Goes through JSON, where strict models accept a list for a tuple and text for an enum.
    """
    return model.model_validate_json(canonical_json(body))


class Decision(BaseModel, Generic[State]):
    """What follows from a state and what was observed."""

    model_config = ConfigDict(frozen=True)

    state: State
    actions: tuple[Action, ...] = ()
    messages: tuple[Envelope, ...] = ()
    facts: tuple[Fact, ...] = ()
    absent: tuple[Key, ...] = ()
    """Facts that were taken not to be there without having been looked up. If one is, nothing of
    this is saved, and the object is observed and decided again."""
    withdraw: tuple[str, ...] = ()
    """Lanes whose pending actions are dropped before `actions` are enqueued, so that a newer action
    is never stuck behind an older one that keeps failing."""
    requeue_after: float | None = None
    """Seconds until the object is reconciled again, whatever happens; None: never.

    With None it is not reconciled until a message comes, not even after a restart, so anything that
    waits for the outside world needs a deadline here.
    """
    waits: Blocked | None = None
    """If it lasts, somebody is notified, as if reconciling failed repeatedly."""
