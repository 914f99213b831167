"""What the model gate is asked: two tables of predictions and what has to hold."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from specs.gates import ModelGate
from validators.report import Location, Value


class BaselinePredictions(Value):
    """The baseline ran on the candidate's data, and this is what it said."""

    kind: Literal["predictions"] = "predictions"
    path: Path
    subject: str
    """The model version in production."""


class NoBaseline(Value):
    """There are no predictions of a baseline, and why."""

    kind: Literal["first_model", "could_not_run"]
    reason: str = ""
    """What its evaluation said, or why nothing was compared, in a sentence without a full stop."""


class Request(Value):
    """One question to the gate. The report is a function of it and of the files it names."""

    subject: str
    """The model version that is judged."""
    candidate: Path
    baseline: Annotated[BaselinePredictions | NoBaseline, Field(discriminator="kind")]
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
