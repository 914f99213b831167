"""The controller's settings: one file, `headgate.yaml`, and environment variables over it."""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from specs.base import Location, Many, PipelineName, Spec, Text, Variable
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


def _is_remote(uri: str) -> str:
    if not uri.startswith(("s3://", "gs://", "az://")):
        raise ValueError("expected an address that begins with s3://, gs:// or az://")
    return uri


Place = Annotated[str, AfterValidator(_is_place)]
RepositoryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")]


class RepositorySettings(Spec):
    """A git repository that is watched."""

    name: PipelineName = Field(description="What it is called in reports and commands.")
    url: Text = Field(
        description="Whatever git can reach; a path is relative to the settings' folder."
    )
    poll: Duration = Field(
        default=timedelta(seconds=10), description="How often its branches are looked at."
    )

    github: RepositoryName | None = Field(
        default=None,
        description="OWNER/NAME on GitHub; without it as its url says, if that is on github.url.",
    )
    notes: bool = Field(
        default=False,
        description="Reports as git notes too, where they go to GitHub; else they always are.",
    )

    def address(self, base: Path) -> str:
        """Its address for git; a plain path is relative to the settings' folder, `base`."""
        remote = ":" in self.url and not self.url.startswith((".", "/"))
        return self.url if remote else str((base / self.url).resolve())


class ObjectStore(Spec):
    """How an object store is reached, where its cloud's own chain of settings does not say."""

    uri: Annotated[Location, AfterValidator(_is_remote)] = Field(
        description="Which: s3://BUCKET, gs://BUCKET or az://CONTAINER, with a prefix if one "
        "stands for a part of it; the longest that fits an address is taken."
    )
    endpoint: Text | None = Field(
        default=None, description="The address of a server of its own, such as MinIO or radosgw."
    )
    region: Text | None = Field(default=None, description="The region, where there are some.")
    events: Text | None = Field(
        default=None,
        description="The URL of an SQS queue that S3 sends its event notifications to.",
    )


def _is_network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError as error:
        raise ValueError("expected an address, or a network such as 10.0.0.0/8") from error
    return text


class RouterSettings(Spec):
    """What the traffic routers have in common."""

    silence: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(seconds=5),
        le=timedelta(hours=1),
        description="How long a canary keeps its traffic without word from a controller that can "
        "save what it decides; then stable gets all of it.",
    )
    trusted_proxies: Many[Annotated[str, AfterValidator(_is_network)]] = Field(
        default=("127.0.0.0/8", "::1/128"),
        description="Addresses or networks of the proxies whose X-Forwarded-Proto and "
        "X-Forwarded-Host are kept; of others they are written anew.",
    )


class Docker(Spec):
    """The Docker Engine that runs containers; it is on this machine."""

    host: Text | None = Field(
        default=None, description="Its address; without it DOCKER_HOST, else the usual socket."
    )


class LogSettings(Spec):
    """What the controller writes to its standard error."""

    format: Literal["console", "json"] = Field(default="console", description="For whom.")
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is worth a line."
    )


class GitHubApp(Spec):
    """The GitHub App that Headgate is."""

    id: int | None = Field(default=None, ge=1, description="Its number, on its settings page.")
    private_key: Text | None = Field(
        default=None,
        description="The name of the secret with its key, or the .pem file; relative to the "
        "settings' folder.",
    )


class GitHubWebhook(Spec):
    """Where GitHub says that something happened; without it, it is noticed by the next poll."""

    secret: Variable | None = Field(
        default=None, description="The name of the webhook's secret; webhooks are taken with it."
    )
    host: Text = Field(default="127.0.0.1", description="The address to listen at.")
    port: Port = Field(default=8090, description="The port to listen at.")


class GitHub(Spec):
    """The GitHub that reports go to: as an app, or with a person's token."""

    url: Text = Field(
        default="https://github.com", description="Of another GitHub, the address in a browser."
    )
    app: GitHubApp = Field(default=GitHubApp(), description="An app: check runs and comments.")
    token: Variable | None = Field(
        default=None,
        description="The name of the secret with a personal token: statuses and comments.",
    )
    webhook: GitHubWebhook = Field(default=GitHubWebhook(), description="Webhooks.")

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if (self.app.id is None) != (self.app.private_key is None):
            raise ValueError("expected both github.app.id and github.app.private_key")
        if self.app.id is not None and self.token is not None:
            raise ValueError("expected github.app or github.token, not both")
        return self


class Settings(Spec):
    """All of it. Every setting but `repositories` has a default."""

    home: Text = Field(
        default=".headgate",
        description="The folder for state, artifacts and logs; relative to the settings' folder.",
    )
    name: Text | None = Field(
        default=None,
        description="What this controller is called in notifications; without it, as its machine.",
    )
    repositories: Many[RepositorySettings] = Field(min_length=1, description="What is watched.")
    slots: int = Field(default=2, ge=1, le=256, description="Steps that run at the same time.")
    run_as: Text | None = Field(
        default=None,
        description="The account that local steps and model servers run as, where the controller "
        "is root; without it, users of their own for each pipeline, and for pull requests.",
    )
    untrusted: Literal["confined", "anywhere"] = Field(
        default="confined",
        description="Where steps of forks run once somebody approved: where they are confined, in "
        "containers or by bubblewrap; or anywhere, as the controller's own user.",
    )
    ports: Mapping[Place, Port] = Field(
        default={},
        description="The port that an environment answers at, by PIPELINE/ENVIRONMENT; "
        "without it, one that is free when it is first used, and then kept.",
    )
    bucket_poll: Duration = Field(
        default=timedelta(seconds=60),
        description="How often datasets are listed, should no event have come.",
    )
    data_roots: Many[Text] = Field(
        default=(),
        description="Folders of this machine that datasets may be read from by absolute addresses; "
        "relative to the settings' folder. Never `home`, nor what is beside settings and secrets.",
    )
    keep: Duration = Field(
        default=timedelta(days=30),
        ge=timedelta(hours=1),
        description="How long what no environment and no run needs stays after its last use: "
        "outputs and logs of steps, models, environments, copies of data.",
    )
    notify: Many[Notification] = Field(
        default=(), description="Whom to tell of every pipeline, beside what its spec says."
    )
    router: RouterSettings = Field(default=RouterSettings(), description="The traffic routers.")
    docker: Docker = Field(default=Docker(), description="The Docker Engine.")
    stores: Many[ObjectStore] = Field(default=(), description="Object stores out of the ordinary.")
    artifacts: Annotated[Location, AfterValidator(_is_remote)] | None = Field(
        default=None,
        description="Where artifacts are kept, beside the copies in `home`: s3://, gs:// or az:// "
        "with a prefix of its own; without it, in `home` alone.",
    )
    secrets: Text | None = Field(
        default=None,
        description="A file of NAME=value lines. HEADGATE_SECRET_NAME variables come over it.",
    )
    github: GitHub = Field(default=GitHub(), description="Reports on GitHub.")
    log: LogSettings = Field(default=LogSettings(), description="Logging.")

    def path(self, base: Path) -> Path:
        """The home folder, where `base` is the folder of the settings' file."""
        return (base / self.home).resolve()

    def private(self, base: Path) -> tuple[Path, ...]:
        """The files with settings, secrets and keys, of which nothing may be read by others."""
        key = self.github.app.private_key
        named = (FILE, self.secrets, key)  # a key may be the name of a secret; then there is none
        return tuple(base / name for name in named if name is not None)
