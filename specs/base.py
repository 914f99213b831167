"""What every part of a spec has in common: it is frozen, strict, and knows all its keys."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from specs.names import LONGEST, PART_PATTERN, PIPELINE_PATTERN, VARIABLE_PATTERN

T = TypeVar("T")


class Spec(BaseModel):
    """A frozen value that refuses unknown keys and never converts one type to another."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


# YAML and JSON have lists only; a tuple keeps the value frozen.
Many = Annotated[tuple[T, ...], Field(strict=False)]

PipelineName = Annotated[str, StringConstraints(pattern=PIPELINE_PATTERN, max_length=LONGEST)]
Name = Annotated[str, StringConstraints(pattern=PART_PATTERN, max_length=LONGEST)]
Variable = Annotated[str, StringConstraints(pattern=VARIABLE_PATTERN, max_length=255)]
Text = Annotated[str, StringConstraints(min_length=1)]
HttpPath = Annotated[str, StringConstraints(pattern=r"^/[^\s#]*$")]
Scalar = bool | int | float | str
