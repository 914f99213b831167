"""What a canary is judged by. Fixed before its first request and stored with its state."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from specs.release import Canary, LatencySignal
from validators.report import Value

Statistic = Literal["mean", "p50", "p90", "p99"]
Chance = Annotated[float, Field(gt=0, lt=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]

ERRORS: Final = "errors"
ERRORS_AT_MOST: Final = "errors_at_most"


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

    errors_margin: Annotated[float, Field(ge=0, lt=1)] | None = 0.005
    """How many more requests of all may fail than on stable, as a fraction. None: not watched."""
    errors_at_most: Chance | None = None
    """A service level for the canary alone, whatever stable does."""
    latencies: tuple[Latency, ...] = (Latency(statistic="p99", margin=0.2),)
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
        if not self.signals:
            raise ValueError("expected at least one signal; a canary without one cannot fail")
        return self

    @classmethod
    def from_spec(cls, canary: Canary) -> Self:
        """The policy of a spec's canary section."""
        named: dict[Statistic, LatencySignal | None] = {
            "mean": canary.signals.latency_mean,
            "p50": canary.signals.latency_p50,
            "p90": canary.signals.latency_p90,
            "p99": canary.signals.latency_p99,
        }
        errors = canary.signals.errors
        return cls(
            errors_margin=errors.not_worse_by if errors else None,
            errors_at_most=(errors.at_most or None) if errors else None,
            latencies=tuple(
                Latency(statistic=statistic, margin=signal.not_worse_by)
                for statistic, signal in named.items()
                if signal is not None
            ),
            false_rollback=canary.false_rollback,
            false_promotion=canary.false_promotion,
            minimum_bake=canary.minimum_bake.total_seconds(),
            deadline=canary.deadline.total_seconds(),
            share=canary.steps[0],
        )

    @property
    def signals(self) -> tuple[str, ...]:
        """The names of what is watched, in a fixed order."""
        errors = (ERRORS,) * (self.errors_margin is not None)
        level = (ERRORS_AT_MOST,) * (self.errors_at_most is not None)
        return (*errors, *level, *(latency.name for latency in self.latencies))

    @property
    def restarts(self) -> int:
        """How many minutes begin between the start and the deadline: see `state.restart`."""
        return max(0, -int(-self.deadline // 60) - 1)
