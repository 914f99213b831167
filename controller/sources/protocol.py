"""The contract of a source: it hints at objects to reconcile, and never decides."""

from collections.abc import AsyncIterator
from typing import Protocol

from controller.machine.core import Key


class Source(Protocol):
    """Notices that something may have happened.

    A lost, repeated or late hint costs only latency, as the object is observed anyway. A source
    that watches a state (and not the clock) hints once when it first sees it.
    """

    @property
    def problem(self) -> str | None:
        """Why it cannot watch as it should at the moment, and the fix; None if it can."""
        ...

    def keys(self) -> AsyncIterator[Key]:
        """Keys of objects to reconcile, without end. Errors are retried, not raised.

        Closing the iterator releases all resources.
        """
        ...
