"""PURE. A file on the environments branch: what one environment runs, and why."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from specs.base import Name, PipelineName
from validators.verdict import Verdict

# One line, since it is written to commit messages and YAML.
Line = Annotated[str, AfterValidator(lambda text: " ".join(text.split()))]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
_SUFFIX = ".yaml"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class NamedModel(_Part):
    """The model version that the environment runs, and where it comes from."""

    version: int = Field(ge=1)
    digest: Digest
    run: str
    commit: str = Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")
    artifact: Digest | None = None
    """The model artifact. The digest is made from it and the commit, so that a lost state can be
    rebuilt from here. None in files that an older Headgate wrote."""
    datasets: Mapping[Name, Digest] = {}


class QuarantineEntry(_Part):
    """A digest that may not be released again."""

    digest: Digest
    version: int | None = None
    reason: Line
    since: datetime


class LastChange(_Part):
    """Who changed the file last, why and when."""

    by: str
    reason: Line
    at: datetime


class EnvironmentFile(_Part):
    """`<environment>/<pipeline>.yaml`: what one environment runs of one pipeline."""

    api_version: Literal["headgate.dev/v1"] = Field(default="headgate.dev/v1", alias="apiVersion")
    kind: Literal["Environment"] = "Environment"
    pipeline: PipelineName
    environment: Name
    model: NamedModel | None = None
    """None if nothing is released."""
    pinned: bool = False
    """Set by people: no release replaces what runs here while it is true."""
    verdicts: Mapping[str, Verdict] = {}
    """The gates' verdicts as this version was released: `data.flights`, `model`, `canary`."""
    evidence: tuple[Mapping[str, JsonValue], ...] = ()
    """One mapping per signal or check: `signal`, `value`, `limit`, `n` and others."""
    quarantine: tuple[QuarantineEntry, ...] = ()
    changed: LastChange | None = None

    @property
    def path(self) -> str:
        """Its path on the branch."""
        return path_of(self.environment, self.pipeline)

    def is_quarantined(self, digest: str) -> bool:
        """Whether that model may not be released here again."""
        return any(entry.digest == digest for entry in self.quarantine)


def path_of(environment: str, pipeline: str) -> str:
    """The path of the file of an environment and a pipeline on the branch."""
    return f"{environment}/{pipeline}{_SUFFIX}"


def place_of(path: str) -> str | None:
    """The environment whose file has that path, as `flight-delay/staging`; None for other files."""
    environment, slash, name = path.partition("/")
    if not slash or "/" in name or not name.endswith(_SUFFIX):
        return None
    return f"{name.removesuffix(_SUFFIX)}/{environment}"
