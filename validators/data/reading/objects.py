"""The objects of a dataset version, and how they are read."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from specs.csv_files import CsvFiles
from specs.model import ColumnType
from validators.report import GateValue


class ObjectFile(GateValue):
    """One pinned object of the dataset version, and its copy on this machine."""

    key: Annotated[str, Field(min_length=1)]
    """Its name below the dataset's folder, used in reports. The suffix tells the format; folders
    named `name=value` are columns."""
    path: Annotated[str, Field(min_length=1)]
    digest: str | None = None
    """The digest of its content; without one, nothing that is measured about it is kept."""


class DatasetReading(GateValue):
    """How to read the dataset, from the spec."""

    types: Mapping[str, ColumnType] = {}
    """Types of columns, overriding those in the files."""
    nulls: tuple[str, ...] = ("",)
    """Texts that mean null in formats without a null of their own."""
    csv: CsvFiles | None = None
    """How its files of delimited text are written, if not the usual way."""
