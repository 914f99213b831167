"""What the model gate is asked: two tables of predictions, or numbers, and what has to hold."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from specs.gates import AbsoluteCheck, ModelGate
from validators.report import Location, Value


class BaselinePredictions(Value):
    """The baseline ran on the candidate's data, and this is what it said."""

    kind: Literal["predictions"] = "predictions"
    path: Path
    subject: str
    """The model version in production."""


class BaselineNumbers(Value):
    """The baseline's own evaluation wrote numbers about it, on the candidate's data."""

    kind: Literal["numbers"] = "numbers"
    path: Path
    subject: str
    """The model version in production."""


class NoBaseline(Value):
    """There are no predictions of a baseline, and why."""

    kind: Literal["first_model", "could_not_run"]
    reason: str = ""
    """What its evaluation said, or why nothing was compared, in a sentence without a full stop."""


class NoCandidate(Value):
    """There are no predictions of the candidate, and why. The gate then does not pass."""

    kind: Literal["missing", "could_not_run"]
    """`missing`: the candidate makes none, which is an ERROR; `could_not_run`: what should have
    made them failed on it, which leaves the question open (INCONCLUSIVE)."""
    reason: str
    """In a clause without a full stop: `the pull request has no step evaluate`."""
    next_step: str = ""
    """The mend, as a sentence; empty for the usual one."""


class Request(Value):
    """One question to the gate. The report is a function of it and of the files it names."""

    subject: str
    """The model version that is judged."""
    candidate: Path | NoCandidate | None = None
    """The predictions; None where the gate names none."""
    numbers: Path | NoCandidate | None = None
    """The numbers of the team's own; None where the gate names none."""
    exam: str = ""
    """Whose evaluation made the predictions, where that is not the candidate's own: `the
    evaluation of main (3fa9c1d), on its data`."""
    baseline: Annotated[BaselinePredictions | NoBaseline, Field(discriminator="kind")]
    """Of predictions; where the gate names none, why there is nobody to compare with."""
    baseline_numbers: Annotated[
        BaselineNumbers | NoBaseline | None, Field(discriminator="kind")
    ] = None
    """The same of numbers; None where there is as little as of predictions."""
    same_model: bool = False
    """Whether candidate and baseline have the same digest."""
    gate: ModelGate
    file: str = "ml-pipeline.yaml"
    """The spec, for annotations and for advice."""
    where: tuple[Location, ...] = ()
    """Where each of `gate.checks` was written, in their order; empty if unknown."""
    seed: Annotated[int, Field(ge=0)] = 0
    resamples: Annotated[int, Field(ge=200, le=20_000)] = 1000
    """At least so many; a confidence above 0.95 takes more, so that its tails are populated."""
    provenance: dict[str, str] = Field(default={})
    """Digests and versions that the verdict holds for, by name."""

    @property
    def enforces(self) -> bool:
        """Whether a check can stop this candidate: a comparison needs a true baseline."""
        no_rival = isinstance(self.baseline, NoBaseline) and self.baseline.kind == "first_model"
        return any(
            check.severity == "block"
            and (isinstance(check, AbsoluteCheck) or not (no_rival or self.same_model))
            for check in self.gate.checks
        )
