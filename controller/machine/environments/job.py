"""PURE. A job: one run of a release's batch command, for one version in one environment."""

from collections.abc import Mapping

from controller.machine.core import Key, Value
from controller.machine.pipelines.version import ModelVersion, Ref
from controller.machine.runs.attempt import Attempt, Input, Status
from controller.machine.runs.projects import recipe_of
from controller.machine.runs.step_nodes import (
    image_of,
    place_on_machines,
    serve_params,
    serve_reads,
)
from specs.model import Pipeline as Spec

BATCH = "batch"
"""The node name of a batch command's attempt."""


class BatchJob(Value):
    """What is stored of a batch job."""

    id: str
    """The id of its attempt."""
    version: Ref
    why: str
    asked: float
    """In seconds since the epoch."""
    rollout: str = ""
    """In staging: the rollout that it tests."""
    tries: int = 1
    """How many attempts there were. One that was ended from outside is made again."""
    attempt: Attempt | None = None
    """What was started; None until `BatchStarted` says so."""
    ended: float | None = None
    failed: str | None = None
    """Why it failed; None if it succeeded or is still running."""
    outputs: Mapping[str, str] = {}
    """Digests of its outputs, by name."""

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.ended is None


class ObservedJob(Value):
    """What is known of a job's attempt."""

    status: Status
    outputs: Mapping[str, str] | None = None
    uncollected: str | None = None
    """Why its outputs could not be stored, although it succeeded."""


def is_batch(spec: Spec) -> bool:
    """Whether a release of the spec has no server."""
    return spec.release is not None and spec.release.batch is not None


def command_of(spec: Spec) -> str:
    """The batch command; empty if the release is a server, or only a pointer."""
    return spec.release.run if spec.release is not None and is_batch(spec) else ""


def owner_of(attempt: str) -> Key:
    """The owner of an attempt, by its id: a run, or the environment whose batch job it is."""
    owner, _, rest = attempt.partition(".")
    pipeline, _, name = owner.rpartition("-")
    if rest.startswith(f"{BATCH}.") and name in ("staging", "production"):
        return Key("environment", f"{pipeline}/{name}")
    return Key("run", owner)


def attempt_of(
    version: ModelVersion, environment: str, job: str, datasets: Mapping[str, str]
) -> Attempt:
    """The attempt at the version's batch command, with each dataset pinned to a digest."""
    spec, source = version.spec, version.source
    assert spec.release is not None
    assert spec.release.batch is not None
    assert spec.model is not None
    batch, made = spec.release.batch, spec.steps[spec.model.step]
    model = made.outputs[spec.model.output].rpartition("/")[2]
    image, build = image_of(spec, source, None)
    contained = image is not None or build is not None
    inputs = {
        local: Input(
            kind="dataset",
            digest=datasets[of.dataset],
            name=of.dataset,
            uri=spec.datasets[of.dataset].uri,
        )
        for local, of in batch.inputs.items()
    }

    # The executor runs it like a step: `{model}` is an input there, `{environment}` plain text.
    def filled(text: str) -> str:
        return text.replace("{model}", "{inputs.model}").replace("{environment}", environment)

    return Attempt(
        id=job,
        run=job.partition(".")[0],
        node=BATCH,
        pipeline=version.pipeline,
        branch=version.branch,
        trusted=True,
        command=filled(spec.release.run),
        repository=source.repository,
        commit=source.commit,
        folder=source.folder,
        files=tuple(serve_reads(spec, source)),
        inputs={**inputs, "model": Input(kind="artifact", digest=version.model, name=model)},
        outputs=dict(batch.outputs),
        params=serve_params(spec),
        env={
            "HEADGATE_ENVIRONMENT": environment,
            **{name: filled(value) for name, value in batch.env.items()},
        },
        secrets=batch.secrets,
        requirements=spec.environment.requirements,
        project=None if contained else recipe_of(spec, source),
        python=spec.environment.python,
        executor=spec.executor_of(None),
        image=image,
        build=build,
        network=batch.network and contained,
        **place_on_machines(spec.environment.resources, spec.environment),
        timeout=batch.timeout.total_seconds(),
    )
