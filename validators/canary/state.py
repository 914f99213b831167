"""What is kept of a canary's traffic: counts, a few logarithms, and the policy they belong to.

Evidence is a function of these, so it does not depend on how records were batched. The state is of
bounded size (a few kilobytes of JSON as a rule, below 100 whatever comes): it is stored with the
rollout and survives the controller.
"""

from pydantic import Field

from specs.traffic import Arm
from validators.canary.latency import Bins
from validators.canary.policy import Policy
from validators.report import Value


class Tally(Value):
    """What one arm did: requests, failures, and latencies per bin for each latency signal."""

    requests: int = 0
    errors: int = 0
    latencies: tuple[tuple[int, ...], ...] = ()
    """In the order of the policy's latencies; the canary's are divided by 1 + margin."""


class Stratum(Value):
    """What both arms did while one probability was in force."""

    probability: float
    stable: Tally = Tally()
    canary: Tally = Tally()


class State(Value):
    """A canary in progress. Made by `begin`, moved by `update`, read by `judge`."""

    policy: Policy
    """The rule is fixed before the first request: to change it later would void the guarantee."""
    began: float
    """Seconds since the epoch."""
    newest: float | None = None
    """When the newest counted request arrived."""
    base_errors: float | None = None
    """Stable's error rate before the canary, if there was any traffic."""
    bins: Bins | None = None
    sample: tuple[float, ...] = ()
    """Stable's latencies until there are enough to fix the bins."""
    strata: tuple[Stratum, ...] = ()
    units: tuple[int, ...] = ()
    """Fingerprints of the newest units, oldest first."""
    minutes: int = 0
    """How many restarts of the bet have begun; see `families.restart`."""
    restarts: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """Per signal and expert, log of the sum over restarts of 1 / wealth at the restart."""

    def requests(self, arm: Arm) -> int:
        """How many requests of an arm were counted."""
        return sum(getattr(stratum, arm).requests for stratum in self.strata)

    def errors(self, arm: Arm) -> int:
        """How many of them failed."""
        return sum(getattr(stratum, arm).errors for stratum in self.strata)

    def latencies(self, arm: Arm, place: int) -> list[int]:
        """Latencies of an arm per bin, for the policy's latency at that place."""
        per_stratum = [getattr(stratum, arm).latencies[place] for stratum in self.strata]
        return [sum(counts) for counts in zip(*per_stratum, strict=True)]
