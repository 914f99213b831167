"""The family of answers: bets on what a good answer is, an empty one, JSON, HTML, and how long.

What is usual is learned from stable, like the latency's bins. A kind is a media type, or `EMPTY`.
Which kind an answer is of is bet on as errors are: at answers of that kind, so that how common it
is need not be known. Half of the weight is on the kinds that stable's answers are not.

Sizes are bet on just so, at answers that are shorter than, or longer than, one of several that
stable gave. The canary's first get what the margin allows: 16 bytes, and a factor. So an honest
retrain, with more digits or a longer name, has fewer such answers than stable, and a canary whose
answers are cut, or are all one error's text, has more. As all bets are at events, a canary that
answers less often than stable does not win them by that.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import log
from typing import Final, NamedTuple

from validators.canary.bets import RATIOS, Outcome, ratio
from validators.report import Value

LEARN_FROM: Final = 20
"""How many good answers of stable have to be known before it is said what is usual."""
NOTHING_TO_LEARN: Final = 200
"""Requests of stable after which, without so many good answers, there is nothing to compare."""
EMPTY: Final = "an empty body"
UNTYPED: Final = "a body without a media type"
USUAL: Final = 0.01
"""Which share of stable's answers makes a kind usual."""
MOST_USUAL: Final = 8
FREE: Final = 16
"""Bytes by which an answer may always differ."""

_LEVELS: Final = (0.01, 0.1, 0.5)
_LONGEST_KIND: Final = 60

SIZES: Final = 2 * (len(_LEVELS) + 1)
"""How many sizes are bet on: the half of them by answers that are shorter."""


class Answer(NamedTuple):
    """What is looked at of a good answer."""

    size: int
    kind: str


class Usual(Value):
    """What stable's good answers are like, as far as it was known when the bets began."""

    kinds: tuple[str, ...]
    short: tuple[int, ...]
    """Bytes of the shortest answer that was not empty, and of some that few are shorter than."""
    long: tuple[int, ...]
    """Bytes of the longest answer, and of some that few are longer than."""

    def kind(self, kind: str) -> int:
        """The place of a kind; the last for those that are not usual."""
        return self.kinds.index(kind) if kind in self.kinds else len(self.kinds)

    def sizes(self, size: int, margin: float | None) -> list[bool]:
        """At which of the bets on sizes an answer is an event: shorter ones, then longer ones.

        `margin` is what the canary is allowed; None for stable. An empty answer is a kind.
        """
        if not size:
            return [False] * SIZES
        grown = shrunk = float(size)
        if margin is not None:
            grown, shrunk = size * (1 + margin) + FREE, (size - FREE) / (1 + margin)
        return [*(grown < each for each in self.short), *(shrunk > each for each in self.long)]


def kind_of(size: int, content: str) -> str:
    """What sort of answer that is, fit to be shown."""
    if size == 0:
        return EMPTY
    shown = "".join(c if c.isprintable() and c.isascii() else "?" for c in content)
    return shown[:_LONGEST_KIND] or UNTYPED


def learn(answers: Sequence[Answer]) -> Usual:
    """Fix what is usual."""
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
"""A probability, and while it was in force, stable's and the canary's events at each bet."""


def wealth(counted: Iterable[Counted], bets: int) -> list[float]:
    """Log wealth per bet and expert, in the order of `content_prior` or `size_prior`."""
    seen = list(counted)
    return [
        gained
        for bet in range(bets)
        for gained in ratio(
            Outcome(rho, is_canary, 1.0, events[bet])
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
