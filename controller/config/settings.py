"""The controller's settings: one file, `headgate.yaml`, overridden by environment variables."""

import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from controller.config.kubernetes import KubernetesSettings
from specs.base import Location, Many, Name, PipelineName, Spec, Text, Variable
from specs.names import is_pipeline_name
from specs.notifications import Notification
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


_STORE = re.compile(
    r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
    r"|postgres(ql)?://([^/@:?]*(:(\$\{[A-Za-z_][A-Za-z0-9_]*\})?)?@)?[^/@?]*/[^/?]+(\?.*)?"
)


def is_store(text: str) -> str:
    """Return the address of a database for the state. Raises ValueError for anything else, and for
    a password that is written in it."""
    if not _STORE.fullmatch(text) or re.search(r"[?&]password=(?!\$\{)", text):
        raise ValueError(
            "expected postgresql://USER:${PASSWORD}@HOST/DATABASE, where ${PASSWORD} is the name "
            "of a secret, or ${NAME}, a secret that is such an address"
        )
    return text


Place = Annotated[str, AfterValidator(_is_place)]
RepositoryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")]


class RepositorySettings(Spec):
    """A git repository that is watched."""

    name: PipelineName = Field(description="Its name in reports and commands.")
    url: Text = Field(
        description="Any address that git accepts; a path is relative to the settings' folder."
    )
    poll: Duration = Field(
        default=timedelta(seconds=10), description="How often its branches are polled."
    )

    github: RepositoryName | None = Field(
        default=None,
        description="OWNER/NAME on GitHub; by default taken from `url`, if that is on github.url.",
    )
    notes: bool = Field(
        default=False,
        description="Whether to write reports as git notes, too. Without GitHub they always are.",
    )

    def address(self, base: Path) -> str:
        """Its address for git; a plain path is relative to the settings' folder, `base`."""
        remote = ":" in self.url and not self.url.startswith((".", "/"))
        return self.url if remote else str((base / self.url).resolve())


class ObjectStore(Spec):
    """How to reach an object store, where that differs from its cloud's own configuration."""

    uri: Annotated[Location, AfterValidator(_is_remote)] = Field(
        description="s3://BUCKET, gs://BUCKET or az://CONTAINER, with a prefix to apply only to a "
        "part of it; the longest that matches an address counts."
    )
    endpoint: Text | None = Field(
        default=None, description="The address of another server, such as MinIO or radosgw."
    )
    region: Text | None = Field(default=None, description="The region, if the store has regions.")
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
    """Settings of all traffic routers."""

    silence: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(seconds=5),
        le=timedelta(hours=1),
        description="How long a canary keeps its traffic without a sign of life from a controller "
        "that can save its decisions; then stable gets all traffic.",
    )
    trusted_proxies: Many[Annotated[str, AfterValidator(_is_network)]] = Field(
        default=("127.0.0.0/8", "::1/128"),
        description="Addresses or networks of the proxies whose X-Forwarded-Proto and "
        "X-Forwarded-Host are trusted; those of others are replaced.",
    )


class Docker(Spec):
    """The Docker Engine that runs containers; it must be on this machine."""

    host: Text | None = Field(
        default=None, description="Its address; by default DOCKER_HOST, or else the usual socket."
    )


class LogSettings(Spec):
    """What the controller writes to its standard error."""

    format: Literal["console", "json"] = Field(
        default="console", description="For people or machines."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The lowest level that is logged."
    )


class Http(Spec):
    """The port for probes and metrics: `/livez`, `/readyz`, `/metrics`."""

    host: Text = Field(
        default="127.0.0.1",
        description="The address to listen at. Whoever reaches it sees names of pipelines and "
        "repositories, and no secrets.",
    )
    port: Port | None = Field(default=None, description="The port; by default there is none.")


def _is_http(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("expected an address that begins with http:// or https://")
    return url


class PrometheusSettings(Spec):
    """A Prometheus server, or one with its API, whose counters tell the judge of traffic."""

    url: Annotated[Text, AfterValidator(_is_http)] = Field(
        description="Its address, such as http://prometheus:9090. Specs only name the server, so "
        "they make the controller call no address of theirs."
    )
    token: Variable | None = Field(
        default=None, description="The name of the secret with a bearer token for it."
    )


class Tracing(Spec):
    """Traces of runs and rollouts, over OTLP/HTTP. They need the extra `tracing`."""

    endpoint: Annotated[Text, AfterValidator(_is_http)] | None = Field(
        default=None,
        description="The address of a collector, such as http://localhost:4318; by default "
        "nothing is traced.",
    )
    headers: Mapping[str, Text] = Field(
        default={}, description="Headers for it, in which ${NAME} stands for a secret."
    )


class GitHubApp(Spec):
    """The GitHub App that Headgate acts as."""

    id: int | None = Field(default=None, ge=1, description="Its id, from its settings page.")
    private_key: Text | None = Field(
        default=None,
        description="The name of the secret with its private key, or the path of its .pem file, "
        "relative to the settings' folder.",
    )


class GitHubWebhook(Spec):
    """Webhooks from GitHub; without them, events are noticed by the next poll."""

    secret: Variable | None = Field(
        default=None, description="The name of the webhook's secret; required to receive any."
    )
    host: Text = Field(default="127.0.0.1", description="The address to listen at.")
    port: Port = Field(default=8090, description="The port to listen at.")


class GitHub(Spec):
    """The GitHub that reports go to, as an app or with a person's token."""

    url: Text = Field(
        default="https://github.com", description="The web address of another GitHub server."
    )
    app: GitHubApp = Field(default=GitHubApp(), description="An app: check runs and comments.")
    token: Variable | None = Field(
        default=None,
        description="The name of the secret with a personal token: statuses and comments.",
    )
    webhook: GitHubWebhook = Field(default=GitHubWebhook(), description="Webhooks.")

    @model_validator(mode="after")
    def _has_one_account(self) -> Self:
        if (self.app.id is None) != (self.app.private_key is None):
            raise ValueError("expected both github.app.id and github.app.private_key")
        if self.app.id is not None and self.token is not None:
            raise ValueError("expected github.app or github.token, not both")
        return self


class Settings(Spec):
    """All settings. Every one but `repositories` has a default."""

    home: Text = Field(
        default=".headgate",
        description="The folder for state, artifacts and logs; relative to the settings' folder.",
    )
    name: Text | None = Field(
        default=None,
        description="The controller's name in notifications; by default the host name.",
    )
    repositories: Many[RepositorySettings] = Field(
        min_length=1, description="The repositories to watch."
    )
    slots: int = Field(default=2, ge=1, le=256, description="How many steps run at a time.")
    run_as: Text | None = Field(
        default=None,
        description="The account that local steps and model servers run as if the controller is "
        "root; by default separate users for each pipeline, and for pull requests.",
    )
    untrusted: Literal["confined", "anywhere"] = Field(
        default="confined",
        description="Where steps of forks run after approval: only confined, in containers or by "
        "bubblewrap; or anywhere, as the controller's own user.",
    )
    ports: Mapping[Place, Port] = Field(
        default={},
        description="The ports of environments, by PIPELINE/ENVIRONMENT; by default a free port is "
        "chosen at the first use, and kept.",
    )
    bucket_poll: Duration = Field(
        default=timedelta(seconds=60),
        description="How often datasets are listed if no event arrives.",
    )
    data_roots: Many[Text] = Field(
        default=(),
        description="Folders of this machine that datasets with absolute addresses may be in; "
        "relative to the settings' folder. Never `home`, nor files beside settings and secrets.",
    )
    keep: Duration = Field(
        default=timedelta(days=30),
        ge=timedelta(hours=1),
        description="How long unneeded files and records are kept after their last use: outputs "
        "and logs of steps, models, environments, copies of data, ended runs.",
    )
    notify: Many[Notification] = Field(
        default=(), description="Notifications for every pipeline, besides those in its spec."
    )
    router: RouterSettings = Field(default=RouterSettings(), description="The traffic routers.")
    docker: Docker = Field(default=Docker(), description="The Docker Engine.")
    kubernetes: KubernetesSettings = Field(
        default=KubernetesSettings(), description="The Kubernetes cluster."
    )
    stores: Many[ObjectStore] = Field(
        default=(), description="Object stores with special settings."
    )
    artifacts: Annotated[Location, AfterValidator(_is_remote)] | None = Field(
        default=None,
        description="Where artifacts are kept, besides a cache in `home`: s3://, gs:// or az:// "
        "with a prefix of its own; by default in `home` only.",
    )
    store: Annotated[Text, AfterValidator(is_store)] | None = Field(
        default=None,
        description="Where the state is: postgresql://USER:${PASSWORD}@HOST/DATABASE, with the "
        "names of secrets in it; by default in `home`, in a file of SQLite.",
    )
    controllers: Literal["one", "several"] = Field(
        default="one",
        description="Whether `several` controllers share the `store`, which is then in PostgreSQL. "
        "Each has a `home` of its own; steps and models run where all of them can reach them.",
    )
    secrets: Text | None = Field(
        default=None,
        description="A file of NAME=value lines. HEADGATE_SECRET_NAME variables override it.",
    )
    github: GitHub = Field(default=GitHub(), description="Reports on GitHub.")
    log: LogSettings = Field(default=LogSettings(), description="Logging.")
    http: Http = Field(default=Http(), description="Probes and metrics.")
    prometheus: Mapping[Name, PrometheusSettings] = Field(
        default={},
        description="Prometheus servers by name; specs that name none ask `default`.",
    )
    tracing: Tracing = Field(default=Tracing(), description="Traces of runs and rollouts.")

    def path(self, base: Path) -> Path:
        """The home folder, where `base` is the folder of the settings' file."""
        return (base / self.home).resolve()

    def private(self, base: Path) -> tuple[Path, ...]:
        """The files with settings, secrets and keys, which others must not read."""
        key = self.github.app.private_key
        named = (FILE, self.secrets, key)  # a key may name a secret instead of a file
        return tuple(base / name for name in named if name is not None)
