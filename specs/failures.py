"""The three meanings of a failure, as types: what happens next is part of the error.

An effect that fails raises one of the first two; anything else that is raised is a fault of
ours and is treated as `TryAgain`, with its own alarm.

    Failure
    ├── TryAgain     the world is not ready: the same call, later, may succeed
    └── NeedsHuman   the same call will fail again until somebody changes something
    Ignore           not a failure: it is none of our business, and nothing is owed
"""


class Failure(Exception):  # noqa: N818 - the tree names what happens next
    """Base. `str()` is for the user: what is wrong, where, and the mend."""


class TryAgain(Failure):
    """Transient: retried with backoff; `after` seconds at the earliest where that is known.

    `human`: only a person can mend what is waited for, as credentials that are refused. Who waits
    goes on by itself then, so nothing fails meanwhile; but somebody is told at once.
    """

    def __init__(self, message: str, *, after: float | None = None, human: bool = False) -> None:
        super().__init__(message)
        self.after = after
        self.human = human


class NeedsHuman(Failure):
    """Permanent until somebody mends it: shown, told to on-call once, not retried."""


class Ignore(Exception):  # noqa: N818 - it is not an error
    """Nothing to do, with the reason."""
