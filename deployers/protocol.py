"""The contract of every target: bring model servers up and down, and split the traffic."""

from typing import Protocol

from pydantic import BaseModel, ConfigDict

from specs.release import ANSWER_WITHIN, IDLE, LARGEST_REQUEST
from specs.traffic import Exchange, Waiting


class Value(BaseModel):
    """Base of this room's values: frozen, and strict about their fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Bounds(Value):
    """What the traffic router lets one request take, in seconds and bytes."""

    answer_within: float = ANSWER_WITHIN.total_seconds()
    """From the whole request to the first byte of its answer."""
    idle: float = IDLE.total_seconds()
    """From one byte of an answer to the next."""
    largest_request: int = LARGEST_REQUEST
    """Of the body."""


class Silence(Value):
    """That a router took the canary's traffic away by itself: nobody watched it any more."""

    since: float
    """When it did so, in seconds since the epoch."""
    limit: float
    """Seconds without word from a controller after which it does."""


class Server(Value):
    """One model server as it should run.

    `name` identifies it for ever (it carries the model version and the rollout's attempt): two
    servers of one name are the same server, so starting one twice starts it once.
    """

    name: str
    run: str
    """The command template, with `{model}`, `{host}`, `{port}`, `{root}` and `{params.NAME}`; the
    deployer fills in."""
    params: dict[str, str] = {}
    """The values of `{params.NAME}`, by name."""
    model: str
    """Path of the model artifact, read-only."""
    folder: str
    """Path of the spec's folder at the run's commit: the working directory, read-only."""
    root: str = ""
    """Path of the repository's copy that `folder` is in, read-only; empty: `folder` itself."""
    image: str | None = None
    """An immutable reference to the image it runs in; None: it is a process of the machine."""
    environment: dict[str, str] = {}
    """Variables for the process, secrets included; never logged."""
    programs: tuple[str, ...] = ()
    """Paths of what it imports beside its virtual environment, read-only."""
    templates: dict[str, str] = {}
    """More variables, with placeholders as `run`; over those of the same name."""
    ready: str
    """HTTP path that answers 200 once the server can serve."""
    predict: str
    """HTTP path that predictions are asked at."""
    bounds: Bounds = Bounds()
    hung_after: float = 30.0
    """Seconds without a sign of life after which it is started again while it is the stable one."""
    startup: float = 60.0
    """The same until its first sign of life, if that is longer."""

    @property
    def top(self) -> str:
        """The folder with all that it reads, and what `{root}` stands for."""
        return self.root or self.folder


class Desired(Value):
    """What one environment of one pipeline should run.

    `canary_weight` is the canary's share of the traffic, 0 to 1. Without servers the address
    stays and answers 503.
    """

    stable: Server | None = None
    canary: Server | None = None
    canary_weight: float = 0.0
    seed: int = 0
    """Of the assignment draw, so that a log of draws can be checked."""
    port: int | None = None
    """The router's port; None lets the deployer choose one and keep it."""
    closed: bool = False
    """Whether nothing is to answer at all: the router ends after the servers, too."""


class ServerStatus(Value):
    """What is known of a server that really runs, or ran."""

    name: str
    alive: bool
    ready: bool
    address: str | None = None
    """`http://host:port` of the server itself, past the router; for smoke tests."""
    detail: str = ""
    """Why it is not ready: exit code, last answer, the last lines of its log, redacted."""
    hung: bool = False
    """Whether it runs, has the stable traffic and answers nobody any more: applying what is desired
    starts it again. Of a canary that is the judge's to say."""


class Observed(Value):
    """What really runs, by asking; not what was asked for."""

    servers: tuple[ServerStatus, ...] = ()
    address: str | None = None
    """`http://host:port` of the router; None while there is none."""
    stable: str | None = None
    """The name of the server that the router sends each arm to."""
    canary: str | None = None
    canary_weight: float = 0.0
    """The share in force: 0 while the router keeps all from a canary that nobody watches."""
    silence: Silence | None = None
    """Given while it does that; the next `apply` after a page of traffic was acknowledged ends it.
    """
    hung_router: str = ""
    """How long the router has answered nobody, where it runs and hangs: applying what is desired
    starts it again. Empty where it does not."""
    configured: bool = True
    """Whether the router is set up as this deployer was told; `apply` makes it so."""

    def server(self, name: str) -> ServerStatus | None:
        """The status of the server of that name, or None."""
        return next((server for server in self.servers if server.name == name), None)


class Traffic(Value):
    """A batch of the router's records, oldest first."""

    epoch: str
    """Identifies the router's process; a new epoch numbers its records from 0 again."""
    exchanges: tuple[Exchange, ...] = ()
    next: int = 0
    """Pass this as `after` to go on."""
    dropped: int = 0
    """How many records between `after` and the first were lost to the memory bound."""
    now: float | None = None
    """The router's time as the batch was read: what the moments in it are to be compared with."""
    waiting: tuple[Waiting, ...] = ()
    """The requests without a whole answer as the batch was read, oldest first; where there are
    more than a target can tell (a router of this machine: 4,096), the younger ones are left out."""


class Deployer(Protocol):
    """A target. Data plane and control plane are apart: servers and router outlive the caller.

    `place` names an environment of a pipeline, e.g. `flight-delay/production`.
    """

    async def apply(self, place: str, desired: Desired) -> None:
        """Converge on `desired`. Idempotent; returns before servers are ready.

        A stable server or a router that hangs is ended and started again. A canary is not: what it
        does to its callers is the judge's evidence, and a rollback ends it.

        A server that leaves the desired state gets no new requests and ends when those in
        flight are answered. Raises `specs.failures.TryAgain` or `NeedsHuman`.
        """
        ...

    async def observe(self, place: str) -> Observed:
        """What really runs at the place; an empty `Observed` where nothing does."""
        ...

    async def traffic(self, place: str, epoch: str | None, after: int) -> Traffic:
        """Records later than `after` of that epoch; of another epoch, from its beginning.

        `after` has to come from what is saved: that it moves on is the word that a canary is being
        watched. Without it for a while, a canary beside a stable server loses its traffic.
        """
        ...

    async def remove(self, place: str) -> None:
        """End every server and the router of the place. Idempotent."""
        ...
