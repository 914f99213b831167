"""What the data gate is asked: a pure function of the files that this names."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from specs.model import ColumnType


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ObjectFile(_Part):
    """One pinned object of the dataset version, as it lies on this machine."""

    key: Annotated[str, Field(min_length=1)]
    """Its name below the dataset's folder; reports use it, its ending tells the format, and its
    folders called `name=value` are columns."""
    path: Annotated[str, Field(min_length=1)]


class SuiteFile(_Part):
    """The Great Expectations suite to hold the data against."""

    path: Annotated[str, Field(min_length=1)]
    """Where it can be read now."""
    origin: Annotated[str, Field(min_length=1)]
    """Its name in the repository, for annotations on its lines."""


class Reading(_Part):
    """How the dataset is to be read, as the spec says."""

    types: Mapping[str, ColumnType] = {}
    """The type of a column, over what its files say or look like."""
    nulls: tuple[str, ...] = ("",)
    """The texts that mean null where a format has no null of its own."""


class Request(_Part):
    """Judge one dataset version by one suite."""

    dataset: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]
    """The digest of the manifest; the verdict holds for it and nothing else."""
    objects: tuple[ObjectFile, ...]
    suite: SuiteFile
    reading: Reading = Reading()
