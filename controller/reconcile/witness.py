"""Who is told of what the loop does, besides those whose work it is: metrics are made of it."""

from typing import Any, Literal, Protocol

from controller.machine.core import Decision, Key, Value

TurnResult = Literal["done", "conflict", "ignored", "retried", "human", "error"]
"""How a turn of a key ended. `retried`, `human` and `error` are tried again later."""


class Witness(Protocol):
    """Is called in the event loop's thread, so it must be quick. What it raises is logged."""

    def turned(self, key: Key, seconds: float, result: TurnResult, /) -> None:
        """A key was reconciled, in so many seconds with its actions."""
        ...

    def saved(self, key: Key, before: Value | None, decision: Decision[Any], /) -> None:
        """A decision was saved. `before` is the state that it was made from; None for a new
        object."""
        ...
