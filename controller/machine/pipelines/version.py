"""PURE. A model version with its lineage, and the record of what an environment runs."""

from collections.abc import Mapping

from controller.machine.core import Value
from controller.machine.runs.data_exceptions import AcceptedVersion, Fallback
from controller.machine.runs.graph import SourceTree
from specs.digests import short
from specs.model import Pipeline
from validators.verdict import Verdict


class ModelVersion(Value):
    """One model version: what it is, and everything it came from. Never changes."""

    pipeline: str
    number: int
    digest: str
    """Of the package: the model with its server and environment (`graph.package_of`)."""
    model: str
    """Of the model artifact."""
    run: str
    source: SourceTree
    branch: str
    datasets: Mapping[str, str]
    verdicts: Mapping[str, Verdict]
    """By gate: `data.flights`, `model`."""
    reports: Mapping[str, str] = {}
    """Artifact digests of the gates' reports, by gate."""
    accepted_versions: tuple[AcceptedVersion, ...] = ()
    """The dataset versions that it was made from although their gates did not pass."""
    fallbacks: tuple[Fallback, ...] = ()
    """The datasets that it was made from at their last good version."""
    spec: Pipeline
    created: float

    @property
    def ref(self) -> "Ref":
        return Ref(version=self.number, digest=self.digest)


class Ref(Value):
    """Points at a model version."""

    version: int
    digest: str

    def __str__(self) -> str:
        return f"v{self.version} ({short(self.digest)})"


class Quarantined(Value):
    """A digest that may not be released again."""

    version: int
    digest: str
    reason: str
    since: float
