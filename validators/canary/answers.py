"""The family of answers: bets on the kind of a good answer (empty, JSON, HTML) and on its size.

What is usual is learned from stable, as the latency bins are. A kind is a media type, or `EMPTY`.
Kinds are bet on as errors are, only at answers of that kind, so their frequency need not be known.
Half of the weight is on kinds that stable does not give.

Sizes are bet on in the same way, at answers shorter or longer than one of several of stable's. The
canary's sizes are first given the margin: 16 bytes and a factor. So an honest retrain, with more
digits or a longer name, has fewer such answers than stable, and a canary whose answers are cut off
or are all one error text has more. As all bets are at events, a canary gains nothing by answering
less often than stable.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import log
from typing import Final, NamedTuple

from validators.canary.betting import RATIOS, ScoreCount, ratio
from validators.report import GateValue

LEARN_FROM: Final = 20
"""How many good answers of stable it takes to learn what is usual."""
NOTHING_TO_LEARN: Final = 200
"""Requests to stable after which, with fewer good answers than that, nothing is compared."""
EMPTY: Final = "an empty body"
UNTYPED: Final = "a body without a media type"
USUAL: Final = 0.01
"""The share of stable's answers from which a kind counts as usual."""
MOST_USUAL: Final = 8
FREE: Final = 16
"""Bytes by which a size may always differ."""

_LEVELS: Final = (0.01, 0.1, 0.5)
_LONGEST_KIND: Final = 60

SIZES: Final = 2 * (len(_LEVELS) + 1)
"""How many bets on sizes there are: the first half is at shorter answers."""


class GoodAnswer(NamedTuple):
    """What is judged of a good answer: bytes, and media type."""

    size: int
    kind: str


class Usual(GateValue):
    """What stable's good answers are like, as learned before the bets began."""

    kinds: tuple[str, ...]
    short: tuple[int, ...]
    """Bytes of the shortest non-empty answer, and low quantiles of the sizes."""
    long: tuple[int, ...]
    """Bytes of the longest answer, and high quantiles of the sizes."""

    def kind(self, kind: str) -> int:
        """The index of a kind; one past the end for kinds that are not usual."""
        return self.kinds.index(kind) if kind in self.kinds else len(self.kinds)

    def sizes(self, size: int, margin: float | None) -> list[bool]:
        """For which bets on sizes an answer is an event: shorter first, then longer.

        `margin` is what the canary is allowed; None for stable. Empty answers are judged as a kind.
        """
        if not size:
            return [False] * SIZES
        grown = shrunk = float(size)
        if margin is not None:
            grown, shrunk = size * (1 + margin) + FREE, (size - FREE) / (1 + margin)
        return [*(grown < each for each in self.short), *(shrunk > each for each in self.long)]


def kind_of(size: int, content: str) -> str:
    """The kind of an answer, safe to show."""
    if size == 0:
        return EMPTY
    shown = "".join(c if c.isprintable() and c.isascii() else "?" for c in content)
    return shown[:_LONGEST_KIND] or UNTYPED


def learn(answers: Sequence[GoodAnswer]) -> Usual:
    """What is usual, by these answers."""
    kinds = Counter(answer.kind for answer in answers)
    usual = [kind for kind, n in kinds.most_common(MOST_USUAL) if n >= USUAL * len(answers)]
    sizes = sorted(answer.size for answer in answers if answer.size) or [0]
    ranks = [0, *(int(level * len(sizes)) for level in _LEVELS)]
    return Usual(
        kinds=tuple(usual),
        short=tuple(sizes[rank] for rank in ranks),
        long=tuple(sizes[-1 - rank] for rank in ranks),
    )


Counted = tuple[float, Sequence[int], Sequence[int]]
"""A probability, and stable's and the canary's events per bet while it was in force."""


def wealth(counted: Iterable[Counted], bets: int) -> list[float]:
    """Log wealth per bet and expert, in the order of `content_prior` or `size_prior`."""
    seen = list(counted)
    return [
        gained
        for bet in range(bets)
        for gained in ratio(
            ScoreCount(rho, is_canary, 1.0, events[bet])
            for rho, stable, canary in seen
            for is_canary, events in ((False, stable), (True, canary))
        )
    ]


def content_prior(usual: Usual) -> list[float]:
    """Log weight of each expert on kinds."""
    each = len(usual.kinds)
    shares = [*([0.5 / each] * each), 0.5] if each else [1.0]
    return [log(share / len(RATIOS)) for share in shares for _ in RATIOS]


def size_prior() -> list[float]:
    """Log weight of each expert on sizes."""
    return [-log(SIZES * len(RATIOS))] * (SIZES * len(RATIOS))
