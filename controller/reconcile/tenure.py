"""Which keys this controller may work on."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from controller.machine.core import Key
from controller.store.shards import LeaseToken


class Tenure(Protocol):
    """What a controller has of the work: with several, what it has leases for."""

    @property
    def leads(self) -> bool:
        """Whether this controller does what is to be done once."""
        ...

    def begins(self, key: Key) -> bool:
        """Whether a turn of this key may begin."""
        ...

    def holds(self, key: Key) -> bool:
        """Whether an effect for this key may be made, just now."""
        ...

    def token(self, key: Key) -> LeaseToken | None:
        """The lease that work on this key relies on, if it needs one."""
        ...

    def working(self, key: Key) -> AbstractContextManager[None]:
        """For as long as something is done for the key."""
        ...


class Alone:
    """The `Tenure` of the only controller."""

    leads = True

    def begins(self, _: Key) -> bool:
        """Always."""
        return True

    def holds(self, _: Key) -> bool:
        """Always."""
        return True

    def token(self, _: Key) -> None:
        """It needs none."""

    @contextmanager
    def working(self, _: Key) -> Iterator[None]:
        """Nobody waits for its end."""
        yield
