"""The controller's settings: one file, `headgate.yaml`, and environment variables over it."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from specs.base import Many, PipelineName, Spec, Text
from specs.model import Notification
from specs.names import is_pipeline_name
from specs.values import Duration

FILE = "headgate.yaml"
Port = Annotated[int, Field(ge=1, le=65535)]


def _is_place(text: str) -> str:
    pipeline, _, environment = text.partition("/")
    if not is_pipeline_name(pipeline) or environment not in ("staging", "production"):
        raise ValueError("expected PIPELINE/staging or PIPELINE/production")
    return text


Place = Annotated[str, AfterValidator(_is_place)]


class Repository(Spec):
    """A git repository that is watched."""

    name: PipelineName = Field(description="What it is called in reports and commands.")
    url: Text = Field(
        description="Whatever git can reach; a path is relative to the settings' folder."
    )
    poll: Duration = Field(
        default=timedelta(seconds=10), description="How often its branches are looked at."
    )

    def address(self, base: Path) -> str:
        """Its address for git; a plain path is relative to the settings' folder, `base`."""
        remote = ":" in self.url and not self.url.startswith((".", "/"))
        return self.url if remote else str((base / self.url).resolve())


class Log(Spec):
    """What the controller writes to its standard error."""

    format: Literal["console", "json"] = Field(default="console", description="For whom.")
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is worth a line."
    )


class Settings(Spec):
    """All of it. Every setting but `repositories` has a default."""

    home: Text = Field(
        default=".headgate",
        description="The folder for state, artifacts and logs; relative to the settings' folder.",
    )
    repositories: Many[Repository] = Field(min_length=1, description="What is watched.")
    slots: int = Field(default=2, ge=1, le=256, description="Steps that run at the same time.")
    ports: Mapping[Place, Port] = Field(
        default={},
        description="The port that an environment answers at, by PIPELINE/ENVIRONMENT; "
        "without it, one that is free when it is first used, and then kept.",
    )
    bucket_poll: Duration = Field(
        default=timedelta(seconds=60),
        description="How often datasets are listed, should no event have come.",
    )
    notify: Many[Notification] = Field(
        default=(), description="Whom to tell of every pipeline, beside what its spec says."
    )
    secrets: Text | None = Field(
        default=None,
        description="A file of NAME=value lines. HEADGATE_SECRET_NAME variables come over it.",
    )
    log: Log = Field(default=Log(), description="Logging.")

    def path(self, base: Path) -> Path:
        """The home folder, where `base` is the folder of the settings' file."""
        return (base / self.home).resolve()
