"""The verdict of a check, a gate or a run, and how verdicts combine."""

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """A judgement. The members stand in order: a later one outweighs all before it."""

    SKIPPED = "SKIPPED"
    """Not evaluated, on purpose and with a reason."""
    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    WARN = "WARN"
    """Missed a limit that does not block."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """Evaluated, but the evidence decides neither way."""
    ERROR = "ERROR"
    """Could not be evaluated."""
    FAIL = "FAIL"

    @property
    def rank(self) -> int:
        """The place in the order; greater is worse."""
        return _RANK[self]

    @property
    def passes(self) -> bool:
        """Whether a candidate may go on: only PASS and WARN say so; silence is no permission."""
        return self in (Verdict.PASS, Verdict.WARN)


_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Join on the lattice: never better than any of its members.

    Nothing evaluated is an ERROR: a gate without checks cannot pass (PAINS 19).
    """
    return max(verdicts, key=lambda verdict: verdict.rank, default=Verdict.ERROR)
