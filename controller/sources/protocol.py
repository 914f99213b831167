"""The contract of a source: it hints at what to look at, and never decides."""

from collections.abc import AsyncIterator
from typing import Protocol

from controller.machine.core import Key


class Source(Protocol):
    """Notices that something may have happened.

    A hint that is lost, doubled or late costs latency only: whoever gets the key observes for
    himself. A source that watches a state (and not the clock) hints once when it first sees it.
    """

    @property
    def problem(self) -> str | None:
        """Why it cannot watch as it should just now, and the mend; None: all is well."""
        ...

    def keys(self) -> AsyncIterator[Key]:
        """Keys to look at, without end. Trouble is waited out, not raised.

        Closing the iterator releases all that watches.
        """
        ...
