"""What is kept of a canary's traffic: counts, a few logarithms, and the policy they belong to.

Evidence is a function of these, so it does not depend on how records were batched. The state is of
bounded size (a few kilobytes of JSON as a rule, below 100 whatever comes): it is stored with the
rollout and survives the controller.
"""

from typing import Final

from pydantic import Field

from specs.traffic import Arm
from validators.canary.answers import Answer, Usual
from validators.canary.latency import Bins
from validators.canary.policy import Policy
from validators.report import Value


class Tally(Value):
    """What one arm did: requests, what they came to, latencies per bin for each latency signal.

    What is compared is in the order of the policy's latencies; the canary's are divided by
    1 + margin first.
    """

    requests: int = 0
    errors: int = 0
    refusals: int = 0
    other_statuses: int = 0
    latencies: tuple[tuple[int, ...], ...] = ()
    unended: tuple[tuple[int, ...], ...] = ()
    """Per latency signal, how many thresholds the requests without an answer had passed."""
    waiting: int = 0
    """Requests in flight; only while a state is judged, never stored."""
    kinds: tuple[int, ...] = ()
    """Good answers of each usual kind, and of others; empty until it is known what is usual."""
    sizes: tuple[int, ...] = ()
    """Good answers that were shorter or longer than some of stable's, margin and all."""
    beyond: int = 0
    """Those that were so of all that stable ever gave."""


class Stratum(Value):
    """What both arms did while one probability was in force."""

    probability: float
    stable: Tally = Tally()
    canary: Tally = Tally()


class Seen(Value):
    """What people are told of one arm's answers; no bet is on it."""

    statuses: dict[int, int] = Field(default_factory=dict)
    kinds: dict[str, int] = Field(default_factory=dict)
    """Of good answers."""
    answers: int = 0
    size: int = 0
    """Bytes of all good answers."""


FORMAT: Final = 2
"""Of the state's counts. A state of another format lacks some: that canary is begun anew."""


class State(Value):
    """A canary in progress. Made by `begin`, moved by `update`, read by `judge`."""

    policy: Policy
    """The rule is fixed before the first request: to change it later would void the guarantee."""
    began: float
    """Seconds since the epoch."""
    newest: float | None = None
    """When the newest counted request arrived."""
    format: int = 1
    """`FORMAT` where it was begun; states that were stored before there were formats have none."""
    base_errors: float | None = None
    """Stable's error rate before the canary, if there was any traffic."""
    base_statuses: dict[str, float] = Field(default_factory=dict)
    """The same of refusals and other statuses."""
    bins: Bins | None = None
    sample: tuple[float, ...] = ()
    """Stable's latencies until there are enough to fix the bins."""
    usual: Usual | None = None
    answers: tuple[Answer, ...] = ()
    """Stable's good answers until there are enough to know what is usual."""
    seen: dict[Arm, Seen] = Field(default_factory=dict)
    strata: tuple[Stratum, ...] = ()
    units: tuple[int, ...] = ()
    """Fingerprints of the newest units, oldest first."""
    minutes: int = 0
    """How many restarts of the bet have begun; see `families.restart`."""
    restarts: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """Per signal and expert, log of the sum over restarts of 1 / wealth at the restart."""

    def total(self, arm: Arm, what: str) -> int:
        """How often an arm's requests came to something: the name of a count of `Tally`."""
        return sum(getattr(getattr(stratum, arm), what) for stratum in self.strata)

    def requests(self, arm: Arm) -> int:
        """How many requests of an arm were counted."""
        return self.total(arm, "requests")

    def errors(self, arm: Arm) -> int:
        """How many of them failed."""
        return self.total(arm, "errors")

    def latencies(self, arm: Arm, place: int) -> list[int]:
        """Latencies of an arm per bin, for the policy's latency at that place."""
        per_stratum = [getattr(stratum, arm).latencies[place] for stratum in self.strata]
        return [sum(counts) for counts in zip(*per_stratum, strict=True)]
