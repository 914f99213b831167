"""How a model is served, and how it gets into staging and production."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from specs.base import MOST_GLOBS, HttpPath, Many, Name, RepositoryPath, Spec, Text, Variable
from specs.batch import Batch
from specs.model_format import ModelFormat
from specs.resources import Resources
from specs.target_scripts import ON_CLUSTER, TargetName, TargetScripts
from specs.values import Duration, Percent, Size, Status, format_size

ANSWER_WITHIN: Final = timedelta(seconds=30)
IDLE: Final = timedelta(seconds=60)
HUNG_AFTER: Final = timedelta(seconds=30)
LARGEST_REQUEST: Final = 16 << 20
LONGEST_WAIT: Final = timedelta(hours=1)
"""The most that the time limits of a server may be: one that shuts down gets as long."""
LARGEST: Final = 128 << 20
"""Bytes, the most that `largest_request` may be: half of what a router buffers in total."""


def _is_affordable(size: int) -> int:
    if not 0 < size <= LARGEST:
        raise ValueError(f"expected a size above 0 and at most {format_size(LARGEST)}")
    return size


class Serve(Spec):
    """The model server: a command that serves a model on a port, or with `deployer: kserve` the
    model's format."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["run"]}, {"required": ["format"]}]}
    )

    run: Text | None = Field(
        default=None,
        description="The command; `{model}` is the model's path, `{port}` where to listen, and "
        "`{root}` the repository's root.",
    )
    format: ModelFormat | None = Field(
        default=None,
        description="Instead of `run`, with `deployer: kserve`: the format of the model, which a "
        "serving runtime of the cluster loads.",
    )
    ready: HttpPath = Field(
        default="/healthz", description="Returns 200 when the server can take requests."
    )
    predict: HttpPath = Field(default="/predict", description="The path for predictions.")
    reads: Many[RepositoryPath] | None = Field(
        default=None,
        max_length=MOST_GLOBS,
        description="Globs of the files it reads; `//src/**` starts at the repository's root. The "
        "default is every file that `triggers.commits` admits.",
    )
    startup_deadline: Duration = Field(
        default=timedelta(minutes=1), description="The longest wait until the server is ready."
    )
    answer_within: Duration = Field(
        default=ANSWER_WITHIN,
        gt=timedelta(0),
        le=LONGEST_WAIT,
        description="How long the first byte of a response may take; after that the request has "
        "failed.",
    )
    idle: Duration = Field(
        default=IDLE,
        gt=timedelta(0),
        le=LONGEST_WAIT,
        description="How long the next byte of a response may take. A stream lasts as long as "
        "bytes arrive.",
    )
    largest_request: Annotated[Size, AfterValidator(_is_affordable)] = Field(
        default=LARGEST_REQUEST,
        description="The largest request body; a larger one gets status 413.",
    )
    hung_after: Annotated[Duration, Field(ge=timedelta(seconds=5))] | None = Field(
        default=None,
        description="A server in production is restarted if it answers neither `ready` nor a "
        "caller for this long. The default is 30 s, or `answer_within` if that is longer.",
    )
    env: Mapping[Variable, str] = Field(
        default={}, description="Environment variables, with the placeholders of `run`."
    )
    secrets: Many[Variable] = Field(
        default=(), description="Secrets handed to the server as environment variables."
    )
    resources: Resources | None = Field(
        default=None,
        description="On a cluster: what each replica may use; by default what its profile says.",
    )
    profile: Name | None = Field(
        default=None,
        description="On a cluster: the profile of the settings that says where and how its pods "
        "run; the default is the settings' `default`.",
    )
    replicas: int = Field(
        default=1, ge=1, le=1000, description="On a cluster: how many pods serve a version."
    )

    @model_validator(mode="after")
    def _serves_one_way(self) -> Self:
        if (self.run is None) == (self.format is None):
            raise ValueError("expected one of run and format")
        return self

    @property
    def only_on_cluster(self) -> tuple[str, ...]:
        """The keys with a value that has a meaning on a cluster only."""
        fields = type(self).model_fields
        keys = ("resources", "profile", "replicas")
        return tuple(key for key in keys if getattr(self, key) != fields[key].default)

    @property
    def patience(self) -> timedelta:
        """How long it may answer nobody: a server that handles one request at a time may take as
        long over each as its callers wait."""
        return self.hung_after or max(HUNG_AFTER, self.answer_within)


class Expect(Spec):
    """The expected response to a smoke request."""

    status: int = Field(default=200, ge=100, le=599, description="The HTTP status.")
    contains: Text | None = Field(
        default=None, description="Text that the response has to contain."
    )
    within: Duration = Field(default=timedelta(seconds=10), description="How long it may take.")


class Smoke(Spec):
    """One request to the candidate in staging."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["get"]}, {"required": ["post"]}]}
    )

    get: HttpPath | None = Field(default=None, description="A path to GET.")
    post: HttpPath | None = Field(default=None, description="A path to POST to.")
    body: RepositoryPath | None = Field(default=None, description="The file to post.")
    expect: Expect = Field(default=Expect(), description="The expected response.")

    @model_validator(mode="after")
    def _asks_once(self) -> Self:
        if (self.get is None) == (self.post is None):
            raise ValueError("expected one of get and post")
        if self.get is not None and self.body is not None:
            raise ValueError("expected no body with get; only post sends a body")
        return self


class Staging(Spec):
    """What a candidate has to pass before it gets live traffic."""

    smoke: Many[Smoke] = Field(default=(), description="Requests, in order.")
    deployer: TargetName = Field(
        default="local",
        description="Who runs the servers: `local`, the controller's machine; `kubernetes`, a "
        "cluster; `gateway`, a cluster with its own gateway; `kserve`, KServe on a cluster; or "
        "`command`, the scripts in `release.command`.",
    )


class ErrorSignal(Spec):
    """The share of requests that fail."""

    not_worse_by: Percent = Field(
        default=0.005,
        description="How many percentage points more requests may fail than on stable.",
    )
    at_most: Percent | None = Field(
        default=None,
        description="A service level: a larger share of failures rolls back whatever stable does.",
    )
    counts: Many[Status] = Field(
        default=("no_answer", "5xx"),
        min_length=1,
        description="What counts as a failure: classes of statuses (3xx, 4xx, 5xx), single "
        "statuses such as 422, and no_answer.",
    )


class LatencySignal(Spec):
    """How long responses take."""

    not_worse_by: Percent = Field(
        default=0.2, description="How much longer than on stable it may be, as a share."
    )


class StatusSignal(Spec):
    """The share of responses with certain statuses; more than on stable rolls back."""

    enabled: bool = Field(default=True, description="Whether it is watched.")
    not_worse_by: Percent | None = Field(
        default=None,
        description="How many percentage points more requests may get one than on stable. The "
        "default is the margin for errors.",
    )


class ContentSignal(Spec):
    """The share of good responses that are empty or of another media type; more than on stable
    holds the rollout."""

    enabled: bool = Field(default=True, description="Whether it is watched.")
    differs_by: Percent | None = Field(
        default=None,
        description="How many percentage points more responses may be empty or of a media type "
        "that stable's do not have. The default is the margin for errors.",
    )


class SizeSignal(Spec):
    """The size of the bodies of good responses; a difference from stable holds the rollout."""

    enabled: bool = Field(default=True, description="Whether it is watched.")
    differs_by: Percent = Field(
        default=1.0,
        description="How much larger or smaller than stable's they may be, as a share: by default "
        "from half to twice. A difference of 16 bytes is always allowed, for more digits or a "
        "longer name.",
    )


class Signals(Spec):
    """What the judge watches: the errors and latencies that are named and, by default, any other
    difference between the canary's responses and stable's."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    errors: ErrorSignal | None = Field(default=None, description="Failed requests.")
    latency_mean: LatencySignal | None = Field(default=None, description="The mean latency.")
    latency_p50: LatencySignal | None = Field(default=None, description="The median latency.")
    latency_p90: LatencySignal | None = Field(default=None, description="The latency at 90%.")
    latency_p99: LatencySignal | None = Field(default=None, description="The latency at 99%.")
    refusals: StatusSignal = Field(
        default=StatusSignal(), description="Refused requests (4xx) that do not count as failures."
    )
    other_statuses: StatusSignal = Field(
        default=StatusSignal(),
        description="Responses with a status that is neither 2xx nor 4xx nor a failure.",
    )
    content: ContentSignal = Field(
        default=ContentSignal(), description="The media type of good responses, and empty ones."
    )
    size: SizeSignal = Field(default=SizeSignal(), description="The size of good responses.")

    @model_validator(mode="after")
    def _watches_something(self) -> Self:
        if not self.named():
            raise ValueError(
                "expected at least one of errors and the latencies; a canary without one cannot "
                "fail"
            )
        return self

    @property
    def margin(self) -> float:
        """The margin for errors, which is the default for the other shares of requests."""
        return (self.errors or ErrorSignal()).not_worse_by

    def named(self) -> dict[str, ErrorSignal | LatencySignal]:
        """The watched errors and latencies, by name, in a fixed order."""
        named = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {
            name: signal
            for name, signal in named
            if isinstance(signal, (ErrorSignal, LatencySignal))
        }

    def unasked(self) -> dict[str, float]:
        """The limits of the other watched signals, by name, in a fixed order."""
        limits = {
            "refusals": (self.refusals.enabled, self.refusals.not_worse_by),
            "other_statuses": (self.other_statuses.enabled, self.other_statuses.not_worse_by),
            "content": (self.content.enabled, self.content.differs_by),
            "size": (self.size.enabled, self.size.differs_by),
        }
        return {
            name: self.margin if limit is None else limit
            for name, (enabled, limit) in limits.items()
            if enabled
        }


def limit_of(signal: str) -> str:
    """The key of the limit of a signal that is watched by default."""
    return "differs_by" if signal in ("content", "size") else "not_worse_by"


OnInconclusive = Literal["hold", "rollback", "promote"]
"""What to do with a canary that is not decided by its deadline."""


class Canary(Spec):
    """How the candidate gets live traffic, and how the judge decides."""

    steps: Many[Percent] = Field(
        default=(0.05, 0.25, 0.5),
        min_length=1,
        description="The candidate's shares of the traffic, in increasing order.",
    )
    signals: Signals = Field(
        default=Signals(errors=ErrorSignal(), latency_p99=LatencySignal()),
        description="What the judge watches: by default errors and latency_p99; always refusals, "
        "other_statuses, content and size, unless switched off.",
    )
    false_rollback: Percent = Field(
        default=0.01,
        gt=0,
        le=0.5,
        description="The probability of rolling back a candidate that is no worse, over the whole "
        "canary.",
    )
    false_promotion: Percent = Field(
        default=0.05,
        gt=0,
        le=0.5,
        description="The probability of promoting a candidate that is worse by more than a margin.",
    )
    minimum_bake: Duration = Field(
        default=timedelta(minutes=5),
        description="The shortest time under live traffic, divided equally among the steps.",
    )
    deadline: Duration = Field(
        default=timedelta(hours=2), description="How long the judge has to decide."
    )
    on_inconclusive: OnInconclusive = Field(
        default="hold",
        description="What happens if there is no decision by the deadline. `promote` gives the "
        "candidate all traffic although nothing shows that it is no worse; but a canary is held "
        "if it got no requests, its records are lost, its responses differ, or the evidence is "
        "against it.",
    )


class BlueGreen(Spec):
    """What happens after the switch: how long the former server is kept, and what is watched."""

    keep_for: Duration = Field(
        default=timedelta(hours=1),
        gt=timedelta(0),
        description="How long the former server stays up without traffic, so that going back does "
        "not have to start it.",
    )
    errors: ErrorSignal | None = Field(
        default=ErrorSignal(),
        description="How much larger the share of failed requests may be than on the former "
        "server. Beyond that, all traffic goes back automatically while the former server is "
        "kept. `null` watches nothing.",
    )
    false_rollback: Percent = Field(
        default=0.01,
        gt=0,
        le=0.5,
        description="The probability of going back although the new version fails no more often "
        "than the former, over the whole time.",
    )


Strategy = Literal["canary", "direct", "blue-green"]


class Production(Spec):
    """How a candidate that has passed staging gets into production."""

    approval: Literal["automatic", "pull-request"] = Field(
        default="automatic",
        description="Whether a person has to merge a pull request on the environments branch "
        "first.",
    )
    strategy: Strategy = Field(
        default="canary",
        description="How it gets the traffic. `canary`: a growing share, judged against the "
        "version in production. `direct`: all at once when its server is ready; nothing is "
        "judged. `blue-green`: all at once, and the former server is kept for a quick way back.",
    )
    deployer: TargetName = Field(
        default="local",
        description="Who runs the servers and splits the traffic: `local`, the controller's "
        "machine; `kubernetes`, a cluster; `gateway`, a cluster with its own gateway; `kserve`, "
        "KServe on a cluster; or `command`, the scripts in `release.command`.",
    )
    canary: Canary = Field(default=Canary(), description="The canary, for `strategy: canary`.")
    blue_green: BlueGreen = Field(
        default=BlueGreen(),
        description="What follows the switch, for `strategy: blue-green`.",
    )


class Release(Spec):
    """The way from a passing candidate to production."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["serve"]}, {"required": ["batch"]}]}
    )

    serve: Serve | None = Field(
        default=None, description="The model server; alternatively `batch`."
    )
    batch: Batch | None = Field(
        default=None,
        description="Instead of a server: a command that uses the model, or `{}` for just a "
        "pointer to it, for jobs of your own.",
    )
    command: TargetScripts | None = Field(
        default=None, description="The scripts for `deployer: command`."
    )
    staging: Staging = Field(default=Staging(), description="Before live traffic.")
    production: Production = Field(default=Production(), description="Under live traffic.")

    @property
    def reads(self) -> tuple[str, ...] | None:
        """The globs of the files that the server or the batch command reads."""
        used = self.serve or self.batch
        return used.reads if used is not None else None

    @property
    def run(self) -> str:
        """The command that uses the model; empty if there is only a pointer."""
        used = self.serve or self.batch
        return (used.run if used is not None else None) or ""

    @property
    def where(self) -> str:
        """The key in the spec that says how the model is used."""
        return "serve" if self.serve is not None else "batch"

    def deployer_for(self, environment: str) -> TargetName:
        """Who deploys to that environment."""
        return (self.staging if environment == "staging" else self.production).deployer

    def is_by(self, deployer: TargetName) -> bool:
        """Whether one of its environments is deployed by it."""
        return deployer in (self.production.deployer, self.staging.deployer)

    @property
    def on_cluster(self) -> TargetName | None:
        """A deployer of it that runs pods; None if no environment is on a cluster."""
        named = (self.production.deployer, self.staging.deployer)
        return next((one for one in named if one in ON_CLUSTER), None)

    def scripts_for(self, environment: str) -> TargetScripts | None:
        """The scripts that deploy to that environment; None if Headgate does it itself."""
        return self.command if self.deployer_for(environment) == "command" else None

    @model_validator(mode="after")
    def _is_used_one_way(self) -> Self:
        if (self.serve is None) == (self.batch is None):
            raise ValueError("expected one of serve and batch")
        return self

    @model_validator(mode="after")
    def _has_its_scripts(self) -> Self:
        asked = [
            name
            for name, one in (("staging", self.staging), ("production", self.production))
            if one.deployer == "command"
        ]
        if asked and self.command is None:
            raise ValueError(
                f"expected `command`, with the scripts for `{asked[0]}.deployer: command`"
            )
        if self.command is not None and not asked:
            raise ValueError(
                "expected `deployer: command` in staging or production; without it the scripts in "
                "`command` are never run"
            )
        if (asked or self.on_cluster) and self.serve is None:
            raise ValueError("expected no `deployer` with `batch`; it only runs servers")
        return self

    @model_validator(mode="after")
    def _is_on_a_cluster(self) -> Self:
        if self.serve is not None and self.serve.format is not None:
            for name, one in (("staging", self.staging), ("production", self.production)):
                if one.deployer != "kserve":
                    raise ValueError(
                        f"expected `{name}.deployer: kserve` with `serve.format`: no other "
                        "deployer has a server for it; or name the command by `serve.run`"
                    )
        found = self.serve.only_on_cluster if self.serve is not None else ()
        if found and self.on_cluster is None:
            raise ValueError(
                f"expected no `serve.{found[0]}` without `deployer: kubernetes`, `gateway` or "
                "`kserve` in staging or production: on the controller's machine, and with scripts, "
                "it has no effect"
            )
        return self
