"""How a model is served, and how it comes into staging and production."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from specs.base import MOST_GLOBS, HttpPath, Many, RelativePath, Spec, Text, Variable
from specs.values import Duration, Percent


class Serve(Spec):
    """The model server: a command that serves one model on one port."""

    run: Text = Field(
        description="The command; `{model}` is the model's path and `{port}` where to listen."
    )
    ready: HttpPath = Field(
        default="/healthz", description="Answers 200 when the server can take requests."
    )
    predict: HttpPath = Field(default="/predict", description="Where predictions are asked for.")
    reads: Many[RelativePath] | None = Field(
        default=None,
        max_length=MOST_GLOBS,
        description="Globs of the files it reads; without it, all that `triggers.commits` admits.",
    )
    startup_deadline: Duration = Field(
        default=timedelta(minutes=1), description="The longest wait until the server is ready."
    )
    hung_after: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(seconds=5),
        description="A server in production that answers neither `ready` nor a caller for so long "
        "is started again.",
    )
    env: Mapping[Variable, str] = Field(default={}, description="Environment variables.")
    secrets: Many[Variable] = Field(
        default=(), description="Secrets handed to the server as environment variables."
    )


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
    body: RelativePath | None = Field(default=None, description="The file that is posted.")
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


class LatencySignal(Spec):
    """How long an answer takes."""

    not_worse_by: Percent = Field(
        default=0.2, description="How much longer than stable's it may be (relative)."
    )


class Signals(Spec):
    """What the judge watches. Signals that are not named are not watched."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    errors: ErrorSignal | None = Field(default=None, description="Failed requests.")
    latency_mean: LatencySignal | None = Field(default=None, description="The mean latency.")
    latency_p50: LatencySignal | None = Field(default=None, description="The median latency.")
    latency_p90: LatencySignal | None = Field(default=None, description="The latency at 90%.")
    latency_p99: LatencySignal | None = Field(default=None, description="The latency at 99%.")

    @model_validator(mode="after")
    def _watches_something(self) -> Self:
        if not self.watched():
            raise ValueError("expected at least one signal; a canary without one cannot fail")
        return self

    def watched(self) -> dict[str, ErrorSignal | LatencySignal]:
        """The signals that are named, by name, in a fixed order."""
        named = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: signal for name, signal in named if signal is not None}


class Canary(Spec):
    """How the candidate meets live traffic, and who decides how it went."""

    steps: Many[Percent] = Field(
        default=(0.05, 0.25, 0.5),
        min_length=1,
        description="The candidate's share of the traffic; each is larger than the one before.",
    )
    signals: Signals = Field(
        default=Signals(errors=ErrorSignal(), latency_p99=LatencySignal()),
        description="What the judge watches: by default errors and latency_p99.",
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
    on_inconclusive: Literal["hold", "rollback"] = Field(
        default="hold", description="What happens at the deadline without a decision."
    )


class Production(Spec):
    """How a candidate that passed staging comes into production."""

    approval: Literal["automatic", "pull-request"] = Field(
        default="automatic",
        description="Whether a human has to merge a pull request on the environments branch.",
    )
    canary: Canary = Field(default=Canary(), description="The canary.")


class Release(Spec):
    """The way from a passing candidate to production."""

    serve: Serve = Field(description="The model server.")
    staging: Staging = Field(default=Staging(), description="Before live traffic.")
    production: Production = Field(default=Production(), description="Under live traffic.")
