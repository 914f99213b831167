"""PURE. Whether a server that runs still lives: does it answer its ready path, or its callers?

An answer of any status is a sign of life: who says that it is not ready is not helped by a restart.
Times are in seconds of a clock that nobody sets.
"""

from typing import NamedTuple

PROBES = 3
"""So many looks in a row have to find no sign of life: one slow answer is no hang."""


class Patience(NamedTuple):
    """How long a server may give no sign of life."""

    hung_after: float
    startup: float
    """The same for one that has given none yet, if that is longer: it may load its model."""


class Signs(NamedTuple):
    """What was seen of a running server since it was first looked at."""

    last: float
    """When it gave its last sign of life; before the first, when it was first looked at."""
    silent: int = 0
    """Looks without one since then."""
    awake: bool = False
    """Whether it has given any."""
    answers: int = 0
    """How often callers had been answered something."""


def look(before: Signs | None, now: float, *, ready: bool, answers: int) -> Signs:
    """The signs after another look: whether the ready path was answered at all, and how often
    callers were."""
    if before is None:
        return Signs(now, silent=0 if ready else 1, awake=ready, answers=answers)
    if ready or answers != before.answers:
        return Signs(now, awake=True, answers=answers)
    return before._replace(silent=before.silent + 1)


def bears(signs: Signs, patience: Patience) -> float:
    """For how many seconds it may be silent."""
    return patience.hung_after if signs.awake else max(patience)


def hangs(signs: Signs, patience: Patience, now: float) -> bool:
    """Whether it is to be ended and started again."""
    return signs.silent >= PROBES and now - signs.last >= bears(signs, patience)
