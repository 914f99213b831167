"""What a canary is judged by. Fixed before its first request and stored with its state."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from specs.release import Canary, LatencySignal
from specs.traffic import NO_ANSWER
from validators.report import Value

Statistic = Literal["mean", "p50", "p90", "p99"]
Chance = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Class = Literal["errors", "refusals", "other_statuses", "answers"]
"""What a request came to: it failed, was refused, was answered unexpectedly, or well."""

ERRORS: Final = "errors"
ERRORS_AT_MOST: Final = "errors_at_most"
REFUSALS: Final = "refusals"
OTHERS: Final = "other_statuses"
CONTENT: Final = "content"
SIZE: Final = "size"

STATUSES: Final = (REFUSALS, OTHERS)
"""Watched unbidden: statuses that are no error and no good answer either."""
STATUS_WEIGHT: Final = 0.125
"""What one of those weighs beside a signal that was asked for. A canary that refuses much needs a
request or two more to be found for it, and no other fault is found much later for their sake."""


class Latency(Value):
    """A latency statistic, and how much longer than stable's it may be (relative)."""

    statistic: Statistic
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @property
    def name(self) -> str:
        """The signal's name in the spec and in every report."""
        return f"latency_{self.statistic}"


class Policy(Value):
    """Signals, margins, chances of a wrong decision, and times in seconds."""

    counts: tuple[str, ...] = ("no_answer", "5xx")
    """What counts as an error: classes of statuses, single statuses, `no_answer`."""
    errors_margin: Share | None = 0.005
    """How many more requests of all may fail than on stable, as a fraction. None: not watched."""
    errors_at_most: Chance | None = None
    """A service level for the canary alone, whatever stable does."""
    latencies: tuple[Latency, ...] = (Latency(statistic="p99", margin=0.2),)
    refusals_margin: Share | None = 0.005
    """The same for 4xx that are no errors."""
    others_margin: Share | None = 0.005
    """The same for what is neither 2xx nor 4xx nor an error."""
    content_margin: Share | None = 0.005
    """The same for good answers that are empty or of a media type that stable's are not."""
    size_margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = 1.0
    """How much larger or smaller than stable's good answers may be (relative)."""
    sizes_beyond: Share = 0.005
    """How many more good answers of all may be of sizes that stable's never were, even so."""
    false_rollback: Chance = 0.01
    false_promotion: Chance = 0.05
    minimum_bake: Seconds = 300.0
    deadline: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 7200.0
    freshness: Seconds = 60.0
    """Nothing is promoted when the newest record is older than this."""
    share: Chance = 0.05
    """The canary's first share of the traffic: what to expect before there is any."""

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
        """The names of what rolls back, in a fixed order."""
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
        """What each of `signals` weighs in the mean of the evidence."""
        return tuple(STATUS_WEIGHT if name in STATUSES else 1.0 for name in self.signals)

    @property
    def holding(self) -> tuple[str, ...]:
        """The names of what holds the canary for a person when it differs."""
        content = (CONTENT,) * (self.content_margin is not None)
        return (*content, *(SIZE,) * (self.size_margin is not None))

    @property
    def restarts(self) -> int:
        """How many minutes begin between the start and the deadline: see `state.restart`."""
        return max(0, -int(-self.deadline // 60) - 1)

    def margin(self, signal: str) -> float:
        """How many more requests of all may come to that; of a signal that counts requests."""
        margins = {
            ERRORS: self.errors_margin,
            REFUSALS: self.refusals_margin,
            OTHERS: self.others_margin,
            CONTENT: self.content_margin,
            SIZE: self.sizes_beyond,
        }
        return margins[signal] or 0.0

    def classed(self, status: int) -> Class:
        """What a request with that status came to."""
        name = "no_answer" if status == NO_ANSWER else str(status)
        if name in self.counts or f"{status // 100}xx" in self.counts:
            return "errors"
        return {2: "answers", 4: "refusals"}.get(status // 100, "other_statuses")  # type: ignore[return-value]
