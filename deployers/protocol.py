"""The contract of every target: bring model servers up and down, and split the traffic.

`deployers.registry` and `deployers.windows` have all implementations by name.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field

from specs.counters import CounterNames
from specs.figures import duration
from specs.model_format import ModelFormat
from specs.release import ANSWER_WITHIN, IDLE, LARGEST_REQUEST
from specs.resources import Resources
from specs.target_scripts import TargetName
from specs.traffic import Exchange, Split, TrafficWindow, Waiting


class DeploymentValue(BaseModel):
    """Base of the values in this package: frozen, finite, with no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SavedValue(DeploymentValue):
    """Base of what is saved in the controller's home, where a newer version may have left fields
    that this one does not know."""

    model_config = ConfigDict(extra="ignore")


class Bounds(DeploymentValue):
    """The limits that the traffic router sets for one request, in seconds and bytes."""

    answer_within: float = ANSWER_WITHIN.total_seconds()
    """From the end of the request to the first byte of the response."""
    idle: float = IDLE.total_seconds()
    """Between two bytes of a response."""
    largest_request: int = LARGEST_REQUEST
    """Size of the request body."""


class Silence(DeploymentValue):
    """The router stopped sending traffic to the canary by itself, since nobody was watching it."""

    since: float
    """When it stopped, in seconds since the epoch."""
    limit: float
    """Seconds without word from a controller after which it stops."""

    def why(self) -> str:
        """What happened, in a sentence without its full stop."""
        when = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return (
            f"the router stopped sending traffic to the canary at {when}: no word from a "
            f"controller that can save for {duration(self.limit)}"
        )


class Shipment(DeploymentValue):
    """How a server's files reach a pod: through the artifact store, by a container of Headgate's
    image, which writes them to a volume (`deployers.kubernetes.pods`)."""

    command: tuple[str, ...]
    """What that container runs."""
    plan: str
    """The digest of the artifact that tells it what to fetch."""
    store: str
    """How it reaches the artifact store, without credentials."""
    model: str
    """Path of the model below the folder of what was fetched."""
    root: str
    """The same for the repository's copy."""
    folder: str
    """The same for the spec's folder, where the server runs."""
    artifact: str
    """The digest of the model."""
    address: str = ""
    """The address of the plan in the artifact store; of the model, if it has a `format`."""


class Server(DeploymentValue):
    """One model server as it should run.

    `name` is a permanent identity (it contains the model version and the rollout's attempt): two
    servers with the same name are the same server, so starting it twice starts it once.
    """

    name: str
    run: str
    """The command template, with `{model}`, `{host}`, `{port}`, `{root}` and `{params.NAME}`, which
    the deployer fills in."""
    params: dict[str, str] = {}
    """The values of `{params.NAME}`, by name."""
    model: str = ""
    """Path of the model artifact, read-only. Empty for a cluster."""
    folder: str = ""
    """Path of the spec's folder at the run's commit: the working directory, read-only. Empty for a
    cluster."""
    root: str = ""
    """Path of the repository's copy that contains `folder`, read-only; empty: `folder` itself."""
    image: str | None = None
    """An immutable reference to the image it runs in; None: it is a process of the machine."""
    environment: dict[str, str] = {}
    """Environment variables of the process, including secrets; never logged."""
    secrets: tuple[str, ...] = ()
    """The names of those that are secret."""
    programs: tuple[str, ...] = ()
    """Paths that it imports from besides its virtual environment, read-only."""
    templates: dict[str, str] = {}
    """More variables, with the same placeholders as `run`; they override `environment`."""
    ready: str
    """HTTP path that answers 200 once the server can serve."""
    predict: str
    """HTTP path of predictions."""
    bounds: Bounds = Bounds()
    hung_after: float = 30.0
    """Seconds without a sign of life after which the stable server is restarted."""
    startup: float = 60.0
    """The same until its first sign of life, if that is longer."""
    format: ModelFormat | None = None
    """The format of the model, which a server of the cluster's knows; None: `run` serves it."""
    shipment: Shipment | None = None
    """How its files reach a cluster; None: they are on this machine."""
    resources: Resources = Resources()
    """What each replica may use, on a cluster."""
    profile: str | None = None
    """The profile of the settings that says how its pods are; None: the default."""
    replicas: int = 1
    """How many pods of it there are."""

    @property
    def top(self) -> str:
        """The folder that contains everything it reads; `{root}` stands for it."""
        return self.root or self.folder


class Scripts(DeploymentValue):
    """The team's scripts, for a place that they deploy to."""

    commands: dict[str, str]
    """The command templates of `apply`, `observe`, `traffic` and `remove`, with `{root}`."""
    folder: str
    """Path of the spec's folder: the working directory, read-only."""
    root: str
    """Path of the repository's copy that contains it, read-only."""
    programs: tuple[str, ...] = ()
    """As in `Server`."""
    environment: dict[str, str] = {}
    """Environment variables without secrets; none is inherited."""
    secrets: tuple[str, ...] = ()
    """Names of the secrets that they get as environment variables."""
    timeout: float = 120.0
    """Seconds that one of them may take."""
    split: Split = "draw"
    """How the target assigns requests, as the spec declares it."""
    errors: tuple[str, ...] = ("no_answer", "5xx")
    """What counts as an error, for scripts that print counts."""
    counters: CounterNames | None = None
    """The counters that tell of the traffic; None: the script `traffic` does."""


class Desired(DeploymentValue):
    """What one environment of one pipeline should run.

    `canary_weight` is the canary's share of the traffic, 0 to 1. Without servers the router keeps
    its address and answers 503.
    """

    stable: Server | None = None
    canary: Server | None = None
    canary_weight: float = 0.0
    seed: int = 0
    """Seed of the draws that assign requests, so that a log of draws can be checked."""
    port: int | None = None
    """The router's port; None lets the deployer choose one and keep it."""
    closed: bool = False
    """Whether the router is shut down too, after the servers."""
    target: TargetName = "local"
    """Who deploys, by the name in `deployers.registry`."""
    errors: tuple[str, ...] = ("no_answer", "5xx")
    """What counts as an error, where the target only counts requests."""
    scripts: Scripts | None = None
    """The scripts that deploy, if `target` is `command`."""


class ServerStatus(DeploymentValue):
    """What is known of a server that runs, or ran."""

    name: str
    alive: bool
    ready: bool
    address: str | None = None
    """`http://host:port` of the server itself, bypassing the router; for smoke tests."""
    detail: str = ""
    """Why it is not ready: exit code, last response, the end of its log, redacted."""
    hung: bool = False
    """Whether it is the stable server, runs and has stopped answering; the next `apply` restarts
    it. Always false for a canary, which the judge watches."""


class Deployed(DeploymentValue):
    """What really runs, as opposed to what was asked for."""

    servers: tuple[ServerStatus, ...] = ()
    address: str | None = None
    """`http://host:port` of the router; None while there is none."""
    stable: str | None = None
    """The name of the server that the router sends stable traffic to."""
    canary: str | None = None
    """The same for canary traffic."""
    canary_weight: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The share in effect: 0 while the router withholds traffic from an unwatched canary."""
    silence: Silence | None = None
    """Set while it does so; ended by the next `apply` after a page of traffic was acknowledged."""
    hung_router: str = ""
    """How long the router has not answered, if it runs and hangs; the next `apply` restarts it.
    Empty otherwise."""
    configured: bool = True
    """Whether the router has this deployer's settings; `apply` makes it so."""

    def server(self, name: str) -> ServerStatus | None:
        """The status of the server with that name, or None."""
        return next((server for server in self.servers if server.name == name), None)


class Traffic(DeploymentValue):
    """A batch of the router's records, oldest first."""

    epoch: str
    """Identifies the router's process; each epoch numbers its records from 0."""
    exchanges: tuple[Exchange, ...] = ()
    next: int = 0
    """Pass this as `after` to read on."""
    more: bool = False
    """Whether there may be later records already, as a batch is limited in size."""
    dropped: Annotated[int, Field(ge=0)] = 0
    """How many records between `after` and the first one were lost to the memory limit."""
    now: float | None = None
    """The router's time when the batch was read; compare the times in the batch with it."""
    waiting: tuple[Waiting, ...] = ()
    """Requests without a complete response when the batch was read, oldest first. A target may
    limit their number (the local router: 4,096) and leaves out the newest."""
    windows: tuple[TrafficWindow, ...] = ()
    """Instead of records: counts, oldest first. Their `seq` is at least `after`, below `next`."""
    counted: bool = False
    """Whether the target has counts only."""
    split: Split | None = None
    """How a target says that it assigns requests; None: by the draws of Headgate's own router."""


class Glance(DeploymentValue):
    """What a router says of itself."""

    address: str | None = None
    """`http://host:port`; None while there is no router."""
    silence: Silence | None = None
    """Set while it withholds traffic from an unwatched canary."""


class Unwatched(DeploymentValue):
    """A canary without traffic, as nobody watched it."""

    server: str
    silence: Silence


class ServerLog(DeploymentValue):
    """The output of one server."""

    folder: Path
    """Its files are those of `deployers.bounded_log`."""
    ended: bool = False
    """Whether the server has ended since."""


class Deployer(Protocol):
    """A target. Data plane and control plane are separate: servers and router outlive the caller.

    `place` names an environment of a pipeline, e.g. `flight-delay/production`.
    """

    async def apply(self, place: str, desired: Desired) -> None:
        """Converge on `desired`. Idempotent; returns before servers are ready.

        A stable server or a router that hangs is restarted. A canary is not: how it treats its
        callers is the judge's evidence, and a rollback ends it.

        A server that is no longer desired gets no new requests and is ended once those in flight
        are answered. Raises `specs.failures.TryAgain` or `NeedsHuman`.
        """
        ...

    async def observe(self, place: str) -> Deployed:
        """What really runs at the place; an empty `Deployed` where nothing does."""
        ...

    async def traffic(self, place: str, epoch: str | None, after: int) -> Traffic:
        """Records after number `after` of that epoch; all records if the epoch is another.

        `after` must come from saved state: its progress tells the router that a canary is being
        watched. Without progress for a while, a canary beside a stable server loses its traffic.
        """
        ...

    async def stop(self, place: str) -> None:
        """End the router and servers of the place, and keep what `apply` needs to start them again
        at the same addresses. Idempotent."""
        ...

    async def remove(self, place: str) -> None:
        """End every server and the router of the place, and forget it. Idempotent."""
        ...

    async def reap(self) -> int:
        """Remove whatever is left of servers that nobody supervises any more; how many.

        Raises `specs.failures.Failure` if the target cannot be asked.
        """
        ...

    async def forget_logs(self, before: float) -> int:
        """Delete the logs of servers that ended before then (seconds since the epoch); how many."""
        ...

    async def close(self) -> None:
        """Release this object's resources; servers and routers keep running."""
        ...


class Window(Protocol):
    """A read-only look at a target from another process than the controller, for commands.

    It changes nothing, starts nothing, and does not count as word from a controller.
    """

    async def glance(self, place: str) -> Glance:
        """What the router says of itself, within a second; no server is asked."""
        ...

    async def unwatched(self) -> tuple[Unwatched, ...]:
        """The canaries of all places that lost their traffic because nobody watched them."""
        ...

    async def traffic(self, place: str) -> Traffic:
        """The oldest page of records; acknowledges nothing. Raises TryAgain without a router."""
        ...

    def logs(self, place: str, server: str) -> tuple[ServerLog, ...]:
        """The logs of a server that exist, that of an earlier life first."""
        ...
