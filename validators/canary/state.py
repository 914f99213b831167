"""What is kept of a canary's traffic: counts, a few logarithms, and the policy they belong to.

Evidence is a function of these, so it does not depend on how records were batched. The state is
bounded (usually a few kilobytes of JSON, always below 100): it is stored with the rollout and
survives the controller.
"""

from typing import Final

from pydantic import Field

from specs.traffic import Arm, Split
from validators.canary.answers import GoodAnswer, Usual
from validators.canary.latency import Bins
from validators.canary.policy import CanaryPolicy
from validators.report import GateValue


class Tally(GateValue):
    """The counts of one arm: requests, how they ended, and latencies per signal and bin.

    Latency signals are in the policy's order; the canary's latencies are divided by 1 + margin
    before they are counted.
    """

    requests: int = 0
    errors: int = 0
    refusals: int = 0
    other_statuses: int = 0
    latencies: tuple[tuple[int, ...], ...] = ()
    unended: tuple[tuple[int, ...], ...] = ()
    """Requests without an answer, per latency signal and number of thresholds that they passed."""
    waiting: int = 0
    """Requests in flight; set only while a state is judged, never stored."""
    kinds: tuple[int, ...] = ()
    """Good answers of each usual kind, and of all others; empty until the usual kinds are known."""
    sizes: tuple[int, ...] = ()
    """Good answers that were shorter or longer than some of stable's, margin included, per bet."""
    beyond: int = 0
    """Good answers that were shorter or longer than all of stable's, margin included."""
    at_most: tuple[tuple[int, ...], ...] = ()
    """From counts only: as `latencies`, each latency as the highest that it can have been."""
    buckets: tuple[int, ...] = ()
    """From counts only: latencies per bin as they were counted."""


class Stratum(GateValue):
    """The counts of both arms while one probability was in force."""

    probability: float
    stable: Tally = Tally()
    canary: Tally = Tally()


class ArmAnswers(GateValue):
    """One arm's answers, to show to people; they are not bet on."""

    statuses: dict[int, int] = Field(default_factory=dict)
    kinds: dict[str, int] = Field(default_factory=dict)
    """Of good answers, by kind."""
    answers: int = 0
    size: int = 0
    """Bytes of all good answers."""


FORMAT: Final = 2
"""Version of the state's counts. A state of another format lacks some: its canary starts over."""


class CanaryState(GateValue):
    """A canary in progress: made by `begin`, advanced by `update`, read by `judge`."""

    policy: CanaryPolicy
    """Fixed before the first request: a later change would void the guarantee."""
    began: float
    """Seconds since the epoch."""
    newest: float | None = None
    """When the newest counted request arrived."""
    format: int = 1
    """`FORMAT` when it began; states stored before there were formats have none."""
    base_errors: float | None = None
    """Stable's error rate before the canary, if there was any traffic."""
    base_statuses: dict[str, float] = Field(default_factory=dict)
    """The same for refusals and other statuses."""
    bins: Bins | None = None
    sample: tuple[float, ...] = ()
    """Stable's latencies, until there are enough to fix the bins."""
    usual: Usual | None = None
    answers: tuple[GoodAnswer, ...] = ()
    """Stable's good answers, until there are enough to learn what is usual."""
    seen: dict[Arm, ArmAnswers] = Field(default_factory=dict)
    counted: bool = False
    """Whether it is judged by counts in windows, not by records of single requests."""
    windows: int = 0
    """How many of these were counted."""
    window_seconds: float = 0.0
    """How long they were together."""
    learning: tuple[int, ...] = ()
    """Stable's latencies per bucket, until there are enough to fix the bins."""
    learning_edges: tuple[float, ...] = ()
    """The bounds of these buckets."""
    split: Split | None = None
    """How the target says that it assigns requests; None: by the draws of Headgate's router."""
    evenness: tuple[float, ...] = ()
    """Log wealth of the bets that requests are assigned in turn; see `splits`."""
    too_even: bool = False
    """Whether these have once refuted that requests are drawn."""
    block: tuple[float, int, int] | None = None
    """The records since the last such bet: their probability, how many, and the canary's."""
    strata: tuple[Stratum, ...] = ()
    units: tuple[int, ...] = ()
    """Fingerprints of the newest units, oldest first."""
    minutes: int = 0
    """How many times the bet has been restarted; see `families.restart`."""
    restarts: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """Per signal and expert, the log of the sum over restarts of 1 / wealth at the restart."""

    def total(self, arm: Arm, what: str) -> int:
        """A count of an arm over all strata; `what` is the name of a field of `Tally`."""
        return sum(getattr(getattr(stratum, arm), what) for stratum in self.strata)

    def requests(self, arm: Arm) -> int:
        """How many requests of an arm were counted."""
        return self.total(arm, "requests")

    def errors(self, arm: Arm) -> int:
        """How many of them failed."""
        return self.total(arm, "errors")

    def buckets(self, arm: Arm) -> list[int]:
        """Latencies of an arm per bin, as they were counted in windows."""
        per_stratum = [getattr(stratum, arm).buckets for stratum in self.strata]
        return [sum(counts) for counts in zip(*per_stratum, strict=True)]

    def latencies(self, arm: Arm, place: int) -> list[int]:
        """Latencies of an arm per bin, for the policy's latency at `place`."""
        per_stratum = [getattr(stratum, arm).latencies[place] for stratum in self.strata]
        return [sum(counts) for counts in zip(*per_stratum, strict=True)]
