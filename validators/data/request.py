"""The data gate's request. The report is a function of it and of the files that it names."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from specs.base import Scalar
from specs.model import Engine
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.report import GateValue


class SuiteFile(GateValue):
    """The Great Expectations suite, or data contract, to evaluate."""

    path: Annotated[str, Field(min_length=1)]
    """Where it can be read."""
    origin: Annotated[str, Field(min_length=1)]
    """Its name in the repository, for annotations on its lines."""
    at: tuple[str, ...] = ()
    """Where it is in that file, if the file is a spec."""
    part: str | None = None
    """Which object is meant, if it is a data contract."""
    like: str | None = None
    """The dataset whose name chooses the object, if not the judged one."""
    params: Mapping[str, Scalar] = {}
    """Those of the spec's `params` that it names."""


class CustomModule(GateValue):
    """The module of the repository that defines custom expectations."""

    path: Annotated[str, Field(min_length=1)]
    """Where it can be read."""
    origin: Annotated[str, Field(min_length=1)]
    """Its name in the repository."""
    seconds: float = 1800.0
    """How long the import of the module and all custom expectations may take; each gets an equal
    part of it."""
    starting: float = 1200.0
    """How long the starts of its processes may take in all, before it is imported in them."""
    memory: int = 2 * 2**30
    """How much memory, in bytes, they may have in addition to the data."""


class MetricFiles(GateValue):
    """What was measured about the objects before, and where to write what is known afterwards."""

    known: str | None = None
    found: str


class DataGateRequest(GateValue):
    """Judge one dataset version by one suite."""

    dataset: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]
    """The digest of the manifest that the verdict is for."""
    objects: tuple[ObjectFile, ...]
    suite: SuiteFile
    reading: DatasetReading = DatasetReading()
    engine: Engine = "headgate"
    """Who judges the expectations."""
    examples: tuple[str, ...] = ()
    """The columns of which the report may show values."""
    metrics: MetricFiles | None = None
    leaves_custom: bool = False
    """Whether another request is for the custom expectations, which this one leaves out."""
    custom: CustomModule | None = None
    """If given, only the custom expectations are judged, by this module."""
