"""References between parts of a spec, and the placeholders of a `run` line."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from specs.names import is_part_name


@dataclass(frozen=True, slots=True, order=True)
class DatasetReference:
    """`datasets.flights`: a dataset of the same spec."""

    dataset: str

    def __str__(self) -> str:
        return f"datasets.{self.dataset}"


@dataclass(frozen=True, slots=True, order=True)
class StepReference:
    """`steps.train.model`: the output `model` of the step `train`."""

    step: str
    output: str

    def __str__(self) -> str:
        return f"steps.{self.step}.{self.output}"


def parse_reference(value: object) -> DatasetReference | StepReference:
    """Read `datasets.NAME` or `steps.STEP.OUTPUT`. Raises ValueError."""
    if isinstance(value, (DatasetReference, StepReference)):
        return value
    if isinstance(value, str):
        match value.split("."):
            case ["datasets", name] if is_part_name(name):
                return DatasetReference(name)
            case ["steps", step, output] if is_part_name(step) and is_part_name(output):
                return StepReference(step, output)
    raise ValueError("expected a reference such as datasets.NAME or steps.STEP.OUTPUT")


def parse_step_reference(value: object) -> StepReference:
    """Read `steps.STEP.OUTPUT`. Raises ValueError, also for a dataset."""
    try:
        found = parse_reference(value)
    except ValueError:
        found = None
    if isinstance(found, StepReference):
        return found
    raise ValueError("expected an output of a step, such as steps.STEP.OUTPUT")


_PART = r"[A-Za-z_][A-Za-z0-9_-]*"

Reference = Annotated[
    DatasetReference | StepReference,
    BeforeValidator(parse_reference),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^(datasets\.{_PART}|steps\.{_PART}\.{_PART})$",
            "examples": ["datasets.flights", "steps.train.model"],
        }
    ),
]
"""A dataset or an output of a step, written `datasets.flights` or `steps.train.model`."""

OutputReference = Annotated[
    StepReference,
    BeforeValidator(parse_step_reference),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^steps\.{_PART}\.{_PART}$",
            "examples": ["steps.train.model"],
        }
    ),
]
"""An output of a step, written `steps.train.model`."""
