"""What a proposal of a suite is made from, and the proposal."""

from typing import Annotated

from pydantic import Field

from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.report import GateValue


class ProfileRequest(GateValue):
    """Propose a suite for a dataset."""

    dataset: Annotated[str, Field(min_length=1)]
    """Its name, which the suite gets."""
    objects: tuple[ObjectFile, ...]
    reading: DatasetReading = DatasetReading()
    is_queried: bool = False
    """Whether a database returned the rows: a `numeric` without a declared precision then has as
    many digits as these rows needed, and other rows may need more."""


class SuiteProposal(GateValue):
    """A suite that the dataset passes; without `text`, `problems` say why there is none."""

    text: str | None = None
    """YAML, with the evidence for each expectation as a comment."""
    rows: int = 0
    """How many rows it was made from."""
    expectations: int = 0
    problems: tuple[str, ...] = ()
