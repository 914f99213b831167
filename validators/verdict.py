"""The verdict of a check, gate or run, and how verdicts combine."""

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """A judgement. Members are in order of rank: each outweighs all before it."""

    SKIPPED = "SKIPPED"
    """Not evaluated, on purpose and with a reason."""
    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    WARN = "WARN"
    """Missed a limit that does not block."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """Evaluated, but the evidence does not decide."""
    ERROR = "ERROR"
    """Could not be evaluated."""
    FAIL = "FAIL"

    @property
    def rank(self) -> int:
        """Position in the order; higher is worse."""
        return _RANK[self]

    @property
    def passes(self) -> bool:
        """Whether a candidate may proceed: only PASS and WARN allow it."""
        return self in (Verdict.PASS, Verdict.WARN)


_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of the verdicts.

    ERROR if there are none: a gate without checks cannot pass.
    """
    return max(verdicts, key=lambda verdict: verdict.rank, default=Verdict.ERROR)
