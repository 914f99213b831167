"""Remembers which objects keep failing, so that somebody is told once, and once of the end."""

from controller.machine.core import Envelope, Key
from controller.machine.messages import Recovered, Stalled

KIND = "stall"
HUMAN = 60.0
"""Seconds for which what only a person can fix may fail before somebody is told."""
REFUSED = 5.0
"""The same for credentials that a store refuses to whoever waits for it: long enough for those that
were renewed just now to be looked up anew."""
OTHERS = 900.0
"""The same for what may recover by itself."""


class Stalls:
    """What failed since when, and what somebody was told of. Times are the caller's, in seconds."""

    def __init__(self) -> None:
        self._since: dict[Key, float] = {}
        self._told: dict[Key, Key] = {}

    def restore(self, stall: Key) -> None:
        """Remember one that was told of before a restart."""
        kind, _, name = stall.name.partition("/")
        self._told[Key(kind, name)] = stall

    def drop(self, of: Key) -> None:
        """It is another controller's now."""
        self._since.pop(of, None)
        self._told.pop(of, None)

    def since(self, of: Key) -> float | None:
        """Since when it fails; None if it does not."""
        return self._since.get(of)

    def failed(self, of: Key, reason: str, now: float, patience: float) -> Envelope | None:
        """What is to be sent because the object failed again."""
        since = self._since.setdefault(of, now)
        if of.kind == KIND or of in self._told or now - since < patience:
            return None
        return _envelope(of, Stalled(reason=reason, since=since), now)

    def passed(self, of: Key, now: float) -> Envelope | None:
        """What is to be sent because the object makes progress."""
        self._since.pop(of, None)
        return _envelope(of, Recovered(), now) if of in self._told else None

    def sent(self, of: Key, envelope: Envelope) -> None:
        """The message is in the store."""
        if isinstance(envelope.message, Stalled):
            self._told[of] = envelope.to
        else:
            self._told.pop(of, None)


def _envelope(of: Key, message: Stalled | Recovered, now: float) -> Envelope:
    return Envelope(to=Key(KIND, str(of)), id=f"{message.type}:{now}", message=message)
