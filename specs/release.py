"""How a model is served, and how it comes into staging and production."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from specs.base import MOST_GLOBS, HttpPath, Many, RepositoryPath, Spec, Text, Variable
from specs.batch import Batch
from specs.values import Duration, Percent, Size, Status, format_size

ANSWER_WITHIN: Final = timedelta(seconds=30)
IDLE: Final = timedelta(seconds=60)
HUNG_AFTER: Final = timedelta(seconds=30)
LARGEST_REQUEST: Final = 16 << 20
LONGEST_WAIT: Final = timedelta(hours=1)
"""For a server, at most: one that leaves is waited for as long."""
LARGEST: Final = 128 << 20
"""Bytes that a request may be allowed at most: half of what a router holds of all of them."""


def _is_affordable(size: int) -> int:
    if not 0 < size <= LARGEST:
        raise ValueError(f"expected a size above 0 and of at most {format_size(LARGEST)}")
    return size


class Serve(Spec):
    """The model server: a command that serves one model on one port."""

    run: Text = Field(
        description="The command; `{model}` is the model's path, `{port}` where to listen, and "
        "`{root}` the repository's root."
    )
    ready: HttpPath = Field(
        default="/healthz", description="Answers 200 when the server can take requests."
    )
    predict: HttpPath = Field(default="/predict", description="Where predictions are asked for.")
    reads: Many[RepositoryPath] | None = Field(
        default=None,
        max_length=MOST_GLOBS,
        description="Globs of the files it reads, `//src/**` from the repository's root; without "
        "it, all that `triggers.commits` admits.",
    )
    startup_deadline: Duration = Field(
        default=timedelta(minutes=1), description="The longest wait until the server is ready."
    )
    answer_within: Duration = Field(
        default=ANSWER_WITHIN,
        gt=timedelta(0),
        le=LONGEST_WAIT,
        description="The longest wait for the first byte of an answer; then it is a failure.",
    )
    idle: Duration = Field(
        default=IDLE,
        gt=timedelta(0),
        le=LONGEST_WAIT,
        description="The longest wait for the next byte of an answer that has begun; while bytes "
        "come, a stream lives on.",
    )
    largest_request: Annotated[Size, AfterValidator(_is_affordable)] = Field(
        default=LARGEST_REQUEST,
        description="The largest body of a request; a larger one is refused with 413.",
    )
    hung_after: Annotated[Duration, Field(ge=timedelta(seconds=5))] | None = Field(
        default=None,
        description="A server in production that answers neither `ready` nor a caller for so long "
        "is started again; without it 30 s, or `answer_within` if that is longer.",
    )
    env: Mapping[Variable, str] = Field(
        default={}, description="Environment variables; with the placeholders of `run`."
    )
    secrets: Many[Variable] = Field(
        default=(), description="Secrets handed to the server as environment variables."
    )

    @property
    def patience(self) -> timedelta:
        """For how long it may answer nobody: one request after the other may take it as long as
        its callers wait."""
        return self.hung_after or max(HUNG_AFTER, self.answer_within)


class Expect(Spec):
    """What a smoke request has to be answered with."""

    status: int = Field(default=200, ge=100, le=599, description="The HTTP status.")
    contains: Text | None = Field(default=None, description="Text that the answer has to hold.")
    within: Duration = Field(default=timedelta(seconds=10), description="The longest wait.")


class Smoke(Spec):
    """One request to the candidate in staging."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["get"]}, {"required": ["post"]}]}
    )

    get: HttpPath | None = Field(default=None, description="A path to GET.")
    post: HttpPath | None = Field(default=None, description="A path to POST to.")
    body: RepositoryPath | None = Field(default=None, description="The file that is posted.")
    expect: Expect = Field(default=Expect(), description="What the answer has to be.")

    @model_validator(mode="after")
    def _asks_once(self) -> Self:
        if (self.get is None) == (self.post is None):
            raise ValueError("expected one of get and post")
        if self.get is not None and self.body is not None:
            raise ValueError("expected no body with get; a body goes with post")
        return self


class Staging(Spec):
    """What a candidate has to do before it meets live traffic."""

    smoke: Many[Smoke] = Field(default=(), description="Requests, in order.")


class ErrorSignal(Spec):
    """The share of requests that fail."""

    not_worse_by: Percent = Field(
        default=0.005,
        description="How many more requests in a hundred may fail than on stable (points).",
    )
    at_most: Percent | None = Field(
        default=None,
        description="A service level: more failures than this roll back whatever stable does.",
    )
    counts: Many[Status] = Field(
        default=("no_answer", "5xx"),
        min_length=1,
        description="What counts as a failure: a class of statuses (3xx, 4xx, 5xx), one status "
        "such as 422, or no_answer.",
    )


class LatencySignal(Spec):
    """How long an answer takes."""

    not_worse_by: Percent = Field(
        default=0.2, description="How much longer than stable's it may be (relative)."
    )


class StatusSignal(Spec):
    """The share of answers with certain statuses; more than on stable roll back."""

    enabled: bool = Field(default=True, description="Whether it is watched.")
    not_worse_by: Percent | None = Field(
        default=None,
        description="How many more requests in a hundred may get one than on stable (points); by "
        "default as many as may fail.",
    )


class ContentSignal(Spec):
    """The share of good answers that are empty or of another media type; it holds."""

    enabled: bool = Field(default=True, description="Whether it is watched.")
    differs_by: Percent | None = Field(
        default=None,
        description="How many more answers in a hundred may be empty, or of a media type that "
        "stable's are not (points); by default as many as may fail.",
    )


class SizeSignal(Spec):
    """How long the bodies of good answers are; it holds."""

    enabled: bool = Field(default=True, description="Whether it is watched.")
    differs_by: Percent = Field(
        default=1.0,
        description="How much larger or smaller than stable's they may be (relative): by default "
        "from half to twice. Sixteen bytes are always free, for more digits or a longer name.",
    )


class Signals(Spec):
    """What the judge watches: of errors and latencies what is named, and unasked how else the
    canary's answers differ from stable's."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    errors: ErrorSignal | None = Field(default=None, description="Failed requests.")
    latency_mean: LatencySignal | None = Field(default=None, description="The mean latency.")
    latency_p50: LatencySignal | None = Field(default=None, description="The median latency.")
    latency_p90: LatencySignal | None = Field(default=None, description="The latency at 90%.")
    latency_p99: LatencySignal | None = Field(default=None, description="The latency at 99%.")
    refusals: StatusSignal = Field(
        default=StatusSignal(), description="Refused requests (4xx) that are no failures."
    )
    other_statuses: StatusSignal = Field(
        default=StatusSignal(),
        description="Answers with a status that is neither 2xx nor 4xx nor a failure.",
    )
    content: ContentSignal = Field(
        default=ContentSignal(), description="The media type of good answers, and emptiness."
    )
    size: SizeSignal = Field(default=SizeSignal(), description="The size of good answers.")

    @model_validator(mode="after")
    def _watches_something(self) -> Self:
        if not self.named():
            raise ValueError(
                "expected at least one signal, errors or a latency; a canary without one cannot "
                "fail"
            )
        return self

    @property
    def margin(self) -> float:
        """How many more requests of all may fail: what holds where nothing else is said."""
        return (self.errors or ErrorSignal()).not_worse_by

    def named(self) -> dict[str, ErrorSignal | LatencySignal]:
        """What is watched of errors and latencies, by name, in a fixed order."""
        named = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {
            name: signal
            for name, signal in named
            if isinstance(signal, (ErrorSignal, LatencySignal))
        }

    def unasked(self) -> dict[str, float]:
        """The limit of each other signal that is watched, by name, in a fixed order."""
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
    """What the limit of a signal that is watched unasked is called."""
    return "differs_by" if signal in ("content", "size") else "not_worse_by"


class Canary(Spec):
    """How the candidate meets live traffic, and who decides how it went."""

    steps: Many[Percent] = Field(
        default=(0.05, 0.25, 0.5),
        min_length=1,
        description="The candidate's share of the traffic; each is larger than the one before.",
    )
    signals: Signals = Field(
        default=Signals(errors=ErrorSignal(), latency_p99=LatencySignal()),
        description="What the judge watches: by default errors and latency_p99; and, named or not, "
        "refusals, other_statuses, content and size.",
    )
    false_rollback: Percent = Field(
        default=0.01,
        gt=0,
        le=0.5,
        description="The chance to roll back a candidate that is no worse, over the whole canary.",
    )
    false_promotion: Percent = Field(
        default=0.05,
        gt=0,
        le=0.5,
        description="The chance to promote a candidate that is worse than a margin.",
    )
    minimum_bake: Duration = Field(
        default=timedelta(minutes=5),
        description="The least time under live traffic; the steps share it equally.",
    )
    deadline: Duration = Field(
        default=timedelta(hours=2), description="When the judge has to have decided."
    )
    on_inconclusive: Literal["hold", "rollback", "promote"] = Field(
        default="hold",
        description="What happens at the deadline without a decision. `promote` gives it all "
        "traffic though nothing shows that it is no worse; a canary that no request has reached, "
        "whose records are lost, that differs, or against which the evidence speaks, is held all "
        "the same.",
    )


class BlueGreen(Spec):
    """What happens after the switch: for how long the way back is kept, and what is watched."""

    keep_for: Duration = Field(
        default=timedelta(hours=1),
        gt=timedelta(0),
        description="For how long the server that was left stays up without traffic, so that going "
        "back takes no start.",
    )
    errors: ErrorSignal | None = Field(
        default=ErrorSignal(),
        description="The share of failed requests that sends all traffic back by itself while the "
        "former server is kept: more than the former had, by this. `null` watches nothing.",
    )
    false_rollback: Percent = Field(
        default=0.01,
        gt=0,
        le=0.5,
        description="The chance to go back from a version that fails no more often than the "
        "former did, over the whole time.",
    )


Strategy = Literal["canary", "direct", "blue-green"]


class Production(Spec):
    """How a candidate that passed staging comes into production."""

    approval: Literal["automatic", "pull-request"] = Field(
        default="automatic",
        description="Whether a human has to merge a pull request on the environments branch.",
    )
    strategy: Strategy = Field(
        default="canary",
        description="How it gets the traffic. `canary`: a growing share, judged beside the version "
        "that serves. `direct`: all at once when its server is ready; nothing is judged. "
        "`blue-green`: all at once, and the former server is kept for a quick way back.",
    )
    canary: Canary = Field(default=Canary(), description="The canary; with `strategy: canary`.")
    blue_green: BlueGreen = Field(
        default=BlueGreen(),
        description="What follows the switch; with `strategy: blue-green`.",
    )


class Release(Spec):
    """The way from a passing candidate to production."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["serve"]}, {"required": ["batch"]}]}
    )

    serve: Serve | None = Field(default=None, description="The model server; or `batch`.")
    batch: Batch | None = Field(
        default=None,
        description="Instead of a server: a command that uses the model, or `{}` for a pointer "
        "to it that jobs of your own read.",
    )
    staging: Staging = Field(default=Staging(), description="Before live traffic.")
    production: Production = Field(default=Production(), description="Under live traffic.")

    @property
    def reads(self) -> tuple[str, ...] | None:
        """The globs of what the server, or the batch command, reads."""
        used = self.serve or self.batch
        return used.reads if used is not None else None

    @property
    def run(self) -> str:
        """The command that uses the model; empty for a pointer alone."""
        used = self.serve or self.batch
        return (used.run if used is not None else None) or ""

    @property
    def where(self) -> str:
        """The key in the spec that says how the model is used."""
        return "serve" if self.serve is not None else "batch"

    @model_validator(mode="after")
    def _is_used_one_way(self) -> Self:
        if (self.serve is None) == (self.batch is None):
            raise ValueError("expected one of serve and batch")
        return self
