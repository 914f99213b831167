"""The three kinds of failure, as types: each says what happens next.

An effect that fails raises `TryAgain` or `NeedsHuman`. Any other exception is an internal error,
which is retried like `TryAgain` and has an alarm of its own.

    Failure
    ├── TryAgain     transient: the same call may succeed later
    └── NeedsHuman   the same call will fail until somebody changes something
    Ignore           not a failure: there is nothing to do
"""


class Failure(Exception):  # noqa: N818 - the tree names what happens next
    """Base. `str()` is for the user: what is wrong, where, and how to fix it."""


class TryAgain(Failure):
    """Transient: retried with backoff, after at least `after` seconds if that is given.

    `human`: only a person can remove the cause, such as rejected credentials. Somebody is notified
    at once; nothing fails meanwhile, and work resumes by itself once the cause is gone.
    """

    def __init__(self, message: str, *, after: float | None = None, human: bool = False) -> None:
        super().__init__(message)
        self.after = after
        self.human = human


class NeedsHuman(Failure):
    """Permanent until somebody fixes it: shown, reported to on-call once, not retried."""


class Ignore(Exception):  # noqa: N818 - it is not an error
    """There is nothing to do; the message says why."""
