"""What a canary is judged by: fixed before its first request, and stored with its state."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from specs.release import Canary, LatencySignal
from specs.traffic import NO_ANSWER
from validators.report import GateValue

Statistic = Literal["mean", "p50", "p90", "p99"]
Chance = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Class = Literal["errors", "refusals", "other_statuses", "answers"]
"""How a request ended: it failed, was refused, got an unexpected status, or a good answer."""

ERRORS: Final = "errors"
ERRORS_AT_MOST: Final = "errors_at_most"
REFUSALS: Final = "refusals"
OTHERS: Final = "other_statuses"
CONTENT: Final = "content"
SIZE: Final = "size"

STATUSES: Final = (REFUSALS, OTHERS)
"""Watched without being asked for: statuses that are neither an error nor a good answer."""
STATUS_WEIGHT: Final = 0.125
"""The weight of one of these beside a signal that was asked for. So a canary that refuses a lot is
found a request or two later, and these signals hardly delay finding any other problem."""


class Latency(GateValue):
    """A latency statistic, and by how much it may exceed stable's (relative)."""

    statistic: Statistic
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @property
    def name(self) -> str:
        """The signal's name in the spec and in every report."""
        return f"latency_{self.statistic}"


class CanaryPolicy(GateValue):
    """Signals, margins, chances of a wrong decision, and times in seconds."""

    counts: tuple[str, ...] = ("no_answer", "5xx")
    """What counts as an error: status classes, single statuses, `no_answer`."""
    errors_margin: Share | None = 0.005
    """By how much the share of failed requests may exceed stable's. None: not watched."""
    errors_at_most: Chance | None = None
    """A service level for the canary alone, whatever stable does."""
    latencies: tuple[Latency, ...] = (Latency(statistic="p99", margin=0.2),)
    refusals_margin: Share | None = 0.005
    """The same for 4xx that are not errors."""
    others_margin: Share | None = 0.005
    """The same for statuses that are neither 2xx nor 4xx nor errors."""
    content_margin: Share | None = 0.005
    """The same for good answers that are empty or of a media type that stable does not give."""
    size_margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = 1.0
    """How much larger or smaller than stable's good answers may be (relative)."""
    sizes_beyond: Share = 0.005
    """By how much the share of good answers outside stable's sizes, margin included, may grow."""
    false_rollback: Chance = 0.01
    false_promotion: Chance = 0.05
    minimum_bake: Seconds = 300.0
    deadline: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 7200.0
    freshness: Seconds = 60.0
    """Nothing is promoted when the newest record is older than this."""
    share: Chance = 0.05
    """The canary's first share of the traffic, for estimates before there is any."""

    @model_validator(mode="after")
    def _watches_something(self) -> Self:
        if self.errors_margin is None and self.errors_at_most is None and not self.latencies:
            raise ValueError("expected at least one signal; a canary without one cannot fail")
        return self

    @classmethod
    def from_spec(cls, canary: Canary) -> Self:
        """The policy of a spec's canary section."""
        signals = canary.signals
        named: dict[Statistic, LatencySignal | None] = {
            "mean": signals.latency_mean,
            "p50": signals.latency_p50,
            "p90": signals.latency_p90,
            "p99": signals.latency_p99,
        }
        errors, unasked = signals.errors, signals.unasked()
        return cls(
            **({"counts": errors.counts} if errors else {}),
            errors_margin=errors.not_worse_by if errors else None,
            errors_at_most=(errors.at_most or None) if errors else None,
            latencies=tuple(
                Latency(statistic=statistic, margin=signal.not_worse_by)
                for statistic, signal in named.items()
                if signal is not None
            ),
            refusals_margin=unasked.get(REFUSALS),
            others_margin=unasked.get(OTHERS),
            content_margin=unasked.get(CONTENT),
            size_margin=unasked.get(SIZE),
            sizes_beyond=signals.margin,
            false_rollback=canary.false_rollback,
            false_promotion=canary.false_promotion,
            minimum_bake=canary.minimum_bake.total_seconds(),
            deadline=canary.deadline.total_seconds(),
            share=canary.steps[0],
        )

    @property
    def signals(self) -> tuple[str, ...]:
        """The names of the signals that roll back, in a fixed order."""
        watched = {
            ERRORS: self.errors_margin is not None,
            ERRORS_AT_MOST: self.errors_at_most is not None,
            **{latency.name: True for latency in self.latencies},
            REFUSALS: self.refusals_margin is not None,
            OTHERS: self.others_margin is not None,
        }
        return tuple(name for name, is_watched in watched.items() if is_watched)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each of `signals` in the mean of the evidence."""
        return tuple(STATUS_WEIGHT if name in STATUSES else 1.0 for name in self.signals)

    @property
    def holding(self) -> tuple[str, ...]:
        """The names of the signals that hold the canary for a person to decide."""
        content = (CONTENT,) * (self.content_margin is not None)
        return (*content, *(SIZE,) * (self.size_margin is not None))

    @property
    def restarts(self) -> int:
        """How many minutes begin between the start and the deadline: see `families.restart`."""
        return max(0, -int(-self.deadline // 60) - 1)

    def margin(self, signal: str) -> float:
        """By how much the share of requests that a signal counts may exceed stable's."""
        margins = {
            ERRORS: self.errors_margin,
            REFUSALS: self.refusals_margin,
            OTHERS: self.others_margin,
            CONTENT: self.content_margin,
            SIZE: self.sizes_beyond,
        }
        return margins[signal] or 0.0

    def classed(self, status: int) -> Class:
        """The class of a status."""
        name = "no_answer" if status == NO_ANSWER else str(status)
        if name in self.counts or f"{status // 100}xx" in self.counts:
            return "errors"
        return {2: "answers", 4: "refusals"}.get(status // 100, "other_statuses")  # type: ignore[return-value]
