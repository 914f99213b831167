"""PURE. Whether a running server is alive: does it answer its ready path, or its callers?

A response with any status is a sign of life: a restart does not help a server that says it is not
ready. Times are in seconds of a monotonic clock.
"""

from typing import NamedTuple

PROBES = 3
"""Consecutive probes without a sign of life before a server counts as hung: one slow response is
not a hang."""


class Patience(NamedTuple):
    """How many seconds a server may be silent."""

    hung_after: float
    startup: float
    """The same until its first sign of life, if that is longer: it may be loading its model."""


class Signs(NamedTuple):
    """What was seen of a running server since its first probe."""

    last: float
    """When it gave its last sign of life; until the first one, when it was first probed."""
    silent: int = 0
    """Probes without a sign of life since then."""
    awake: bool = False
    """Whether it has given any."""
    answers: int = 0
    """Number of responses to callers at the last probe."""


def look(before: Signs | None, now: float, *, ready: bool, answers: int) -> Signs:
    """The signs after another probe: `ready` says whether the ready path answered at all, `answers`
    counts responses to callers."""
    if before is None:
        return Signs(now, silent=0 if ready else 1, awake=ready, answers=answers)
    if ready or answers != before.answers:
        return Signs(now, awake=True, answers=answers)
    return before._replace(silent=before.silent + 1)


def bears(signs: Signs, patience: Patience) -> float:
    """For how many seconds it may be silent now."""
    return patience.hung_after if signs.awake else max(patience)


def hangs(signs: Signs, patience: Patience, now: float) -> bool:
    """Whether it should be restarted."""
    return signs.silent >= PROBES and now - signs.last >= bears(signs, patience)
