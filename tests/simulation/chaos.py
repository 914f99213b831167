"""What goes wrong, and when: drawn from a seed, on the simulated clock."""

import asyncio
import random
from collections import Counter, deque
from dataclasses import dataclass, field

from specs.failures import TryAgain
from tests.simulation.clock import EPOCH, now

SEAMS = ("cluster", "forge", "git", "people", "serving", "store")
"""Where the controller meets the world."""
REMEMBERED = 50


@dataclass
class History:
    """What happened, the last of it in words."""

    last: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    every: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def say(self, what: str, *details: object) -> None:
        line = " ".join([f"{now() - EPOCH:9.2f}", what, *map(str, details)])
        self.counts[what] += 1
        self.last.append(line)
        self.every.append(line)


@dataclass
class Trouble:
    """How often what goes wrong, until it `ends`."""

    rng: random.Random
    ends: float
    """Seconds of simulated time after which everything works."""
    fails: float = 0.02
    """The chance that a call fails without an effect."""
    loses: float = 0.02
    """The chance that a call has its effect, and its answer is lost."""
    slow: float = 0.05
    outages: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By seam, when it is away."""

    @classmethod
    def drawn(cls, rng: random.Random, ends: float) -> "Trouble":
        """Of any kind, or of none."""
        trouble = cls(rng, ends)
        trouble.fails = rng.choice((0.0, 0.01, 0.05))
        trouble.loses = rng.choice((0.0, 0.01, 0.05))
        trouble.slow = rng.choice((0.0, 0.05, 0.2))
        for seam in SEAMS:
            if rng.random() < 0.3:
                begin = rng.uniform(0, ends)
                trouble.outages[seam] = (begin, min(ends, begin + rng.expovariate(1 / 60)))
        return trouble

    @property
    def active(self) -> bool:
        return now() - EPOCH < self.ends

    def away(self, seam: str) -> bool:
        begin, end = self.outages.get(seam, (0.0, 0.0))
        return begin <= now() - EPOCH < end


@dataclass
class Life:
    """One life of a controller: what of it meets the world passes here."""

    number: int
    trouble: Trouble
    history: History
    dead: bool = False
    paused_until: float = 0.0
    lost: int = 0
    """How many answers were lost in it."""

    async def enter(self, seam: str) -> None:
        """Before an effect, or a look. Never returns for a controller that was killed."""
        await self._live()
        trouble = self.trouble
        if not trouble.active:
            return
        if trouble.rng.random() < trouble.slow:
            await asyncio.sleep(trouble.rng.expovariate(0.5))
            await self._live()
        if trouble.away(seam) or trouble.rng.random() < trouble.fails:
            raise TryAgain(f"{seam} is away")

    async def leave(self, seam: str) -> None:
        """After an effect: its answer may be lost."""
        await self._live()
        trouble = self.trouble
        if trouble.active and trouble.rng.random() < trouble.loses:
            self.lost += 1
            self.history.say("answer lost", seam)
            raise TryAgain(f"{seam} did not answer")

    async def _live(self) -> None:
        if (left := self.paused_until - now()) > 0:
            await asyncio.sleep(left)
        if self.dead:
            await asyncio.Event().wait()
