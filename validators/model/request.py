"""The model gate's request: two tables of predictions, or numbers, and the checks on them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from specs.gates import AbsoluteCheck, ModelGate
from validators.report import GateValue, Location


class BaselinePredictions(GateValue):
    """The baseline's predictions on the candidate's data."""

    kind: Literal["predictions"] = "predictions"
    path: Path
    subject: str
    """The model version in production."""


class BaselineNumbers(GateValue):
    """The numbers that the baseline's own evaluation wrote, on the candidate's data."""

    kind: Literal["numbers"] = "numbers"
    path: Path
    subject: str
    """The model version in production."""


class NoBaseline(GateValue):
    """Why there are no predictions of a baseline."""

    kind: Literal["first_model", "could_not_run"]
    reason: str = ""
    """The output of its evaluation, or why nothing was compared; without a full stop."""


class NoCandidate(GateValue):
    """Why there are no predictions of the candidate. The gate then does not pass."""

    kind: Literal["missing", "could_not_run"]
    """`missing`: the candidate makes none (ERROR); `could_not_run`: the evaluation failed on it
    (INCONCLUSIVE)."""
    reason: str
    """A clause without a full stop: `the pull request has no step evaluate`."""
    next_step: str = ""
    """The fix, as a sentence; empty for the usual one."""


class ModelGateRequest(GateValue):
    """The report is a function of this and of the files that it names."""

    subject: str
    """The model version to judge."""
    candidate: Path | NoCandidate | None = None
    """The predictions; None if the gate names none."""
    numbers: Path | NoCandidate | None = None
    """The team's own numbers; None if the gate names none."""
    exam: str = ""
    """Whose evaluation made the predictions, if not the candidate's own: `the evaluation of main
    (3fa9c1d), on its data`."""
    baseline: Annotated[BaselinePredictions | NoBaseline, Field(discriminator="kind")]
    """For predictions; if the gate names none, why there is nothing to compare with."""
    baseline_numbers: Annotated[
        BaselineNumbers | NoBaseline | None, Field(discriminator="kind")
    ] = None
    """The same for numbers; None: as for predictions."""
    same_model: bool = False
    """Whether candidate and baseline have the same digest."""
    gate: ModelGate
    file: str = "ml-pipeline.yaml"
    """The spec, for annotations and advice."""
    where: tuple[Location, ...] = ()
    """Where each of `gate.checks` is written, in the same order; empty if unknown."""
    seed: Annotated[int, Field(ge=0)] = 0
    resamples: Annotated[int, Field(ge=200, le=20_000)] = 1000
    """The minimum; confidences above 0.95 take more, so that the tails are populated."""
    provenance: dict[str, str] = Field(default={})
    """The digests and versions that the verdict is valid for, by name."""

    @property
    def enforces(self) -> bool:
        """Whether a check can stop this candidate: comparisons need another model as baseline."""
        no_rival = isinstance(self.baseline, NoBaseline) and self.baseline.kind == "first_model"
        return any(
            check.severity == "block"
            and (isinstance(check, AbsoluteCheck) or not (no_rival or self.same_model))
            for check in self.gate.checks
        )
