"""The request for the checks of a dataset version beyond its own table. The report is a function of
it and of the files that it names."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from specs.dataset_checks import DatasetCheck
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.report import GateValue, Location


class RelatedDataset(GateValue):
    """Another dataset of the spec, which checks read as well."""

    objects: tuple[ObjectFile, ...]
    reading: DatasetReading = DatasetReading()


class HistoryFiles(GateValue):
    """What is known of the accepted versions before this one, and where to write it with this
    one."""

    known: str | None = None
    found: str


class HistoryRequest(GateValue):
    """Judge one dataset version by the spec's `checks`."""

    dataset: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]
    """The digest of the version that the verdict is for."""
    at: float
    """When the run began, in seconds since the epoch: ages are up to this moment."""
    objects: tuple[ObjectFile, ...]
    reading: DatasetReading = DatasetReading()
    others: Mapping[str, RelatedDataset] = {}
    """By the name in the spec."""
    checks: Annotated[tuple[DatasetCheck, ...], Field(min_length=1)]
    where: tuple[Location, ...] = ()
    """Where each of them is in the spec, for annotations."""
    history: HistoryFiles
