"""Remembers which objects keep failing, so that somebody is told once, and once of the end."""

from controller.machine.core import Key, Message

KIND = "trouble"
HUMAN = 60.0
"""Seconds for which what only a person can mend may fail before somebody is told."""
REFUSED = 5.0
"""The same for credentials that a store refuses to whoever waits for it: long enough for those that
were renewed just now to be looked up anew."""
OTHERS = 900.0
"""The same for what may mend itself."""


class Stalls:
    """What failed since when, and what somebody was told of. Times are the caller's, in seconds."""

    def __init__(self) -> None:
        self._since: dict[Key, float] = {}
        self._told: dict[Key, Key] = {}

    def restore(self, trouble: Key) -> None:
        """Remember one that was told of before a restart."""
        kind, _, name = trouble.name.partition("/")
        self._told[Key(kind, name)] = trouble

    def since(self, of: Key) -> float | None:
        """Since when it fails; None if it does not."""
        return self._since.get(of)

    def failed(self, of: Key, reason: str, now: float, patience: float) -> Message | None:
        """What is to be sent because the object failed again."""
        since = self._since.setdefault(of, now)
        if of.kind == KIND or of in self._told or now - since < patience:
            return None
        return _message(of, "in_trouble", now, {"reason": reason, "since": since})

    def passed(self, of: Key, now: float) -> Message | None:
        """What is to be sent because the object got on."""
        self._since.pop(of, None)
        return _message(of, "out_of_trouble", now, {}) if of in self._told else None

    def sent(self, of: Key, message: Message) -> None:
        """The message is in the store."""
        if message.type == "in_trouble":
            self._told[of] = message.to
        else:
            self._told.pop(of, None)


def _message(of: Key, type_: str, now: float, body: dict[str, str | float]) -> Message:
    return Message(to=Key(KIND, str(of)), id=f"{type_}:{now}", type=type_, body=body)
