"""PURE. Makes a node of a step of a spec at a commit; and what the digest of a package covers."""

from collections.abc import Mapping
from typing import Any

from controller.machine.runs.attempt import Attempt, Build, Input
from controller.machine.runs.graph import From, Node, SourceTree
from controller.machine.runs.projects import project_of, recipe_of
from specs.batch import Batch
from specs.caching import seconds_reusable
from specs.digests import digest
from specs.globs import as_seen, seen_from
from specs.model import Environment, Pipeline, Step, is_spec_file
from specs.references import (
    DatasetReference,
    StepReference,
    as_argument,
    placeholders,
    placeholders_of,
)
from specs.release import Serve
from specs.resources import Resources


def step_node(
    spec: Pipeline, source: SourceTree, name: str, data_gates: Mapping[str | None, tuple[str, ...]]
) -> Node:
    """The node of a step or `fetch` command; `data_gates` are the gates of each dataset."""
    step = spec.commands[name]
    inputs = {local: origin_of(reference) for local, reference in step.inputs.items()}
    named = (*placeholders(step.run), *placeholders_of(step.env))
    used = {p.name for p in named if p.kind == "params"}
    params = {k: as_argument(v) for k, v in spec.params_of(name).items() if k in used}
    resources = spec.resources_of(name)
    image, build_ = image_of(spec, source, name)
    contained = image is not None or build_ is not None
    network = step.network and contained
    given = {local: _input(spec, step, local, origin) for local, origin in inputs.items()}
    attempt = Attempt(
        id="",
        run="",
        node=name,
        command=step.run,
        repository=source.repository,
        commit=source.commit,
        folder=source.folder,
        inputs=given,
        outputs=dict(step.outputs),
        params=params,
        env=dict(step.env),
        secrets=step.secrets,
        requirements=spec.environment.requirements,
        project=None if contained else recipe_of(spec, source),
        python=spec.environment.python,
        executor=spec.executor_of(name),
        image=image,
        build=build_,
        network=network,
        **place_on_machines(resources, spec.environment, step),
        train=step.train,
        timeout=step.timeout.total_seconds(),
    )
    return Node(
        name=name,
        kind="step",
        inputs=inputs,
        after=tuple(g for i in inputs.values() if i.dataset for g in data_gates.get(i.dataset, ())),
        definition={
            **_said(step, attempt),
            "environment": environment_of(spec, source, name),
            **({"network": True} if network else {}),
            # How many nodes share the work changes the result.
            **({"train": step.train.model_dump()} if step.train else {}),
        },
        reads=reads_of(spec, source, step.reads),
        attempt=attempt,
        retries=step.retries,
        backoff=step.backoff.total_seconds(),
        stands=seconds_reusable(step.cache),
    )


def place_on_machines(
    resources: Resources, environment: Environment, step: Step | None = None
) -> dict[str, Any]:
    """The part of an attempt that says what it may use, and which machines of a cluster it is for.
    None of it is part of a cache key, as it does not change what a command does."""
    return {
        "cpu": resources.cpu,
        "memory": resources.memory,
        "gpu": resources.gpu,
        "devices": resources.devices,
        "profile": (step and step.profile) or environment.profile,
        "queue": (step and step.queue) or environment.queue,
    }


def _said(step: Step, attempt: Attempt) -> dict[str, Any]:
    """The part of a step's definition that is written in the spec."""
    given = attempt.inputs
    return {
        "run": step.run,
        "outputs": dict(step.outputs),
        "params": dict(attempt.params),
        "env": dict(step.env),
        "secrets": list(step.secrets),  # a pull request's run may be given fewer
        "access": dict(step.access),
        # An address matters only to a step that is given it.
        "addresses": {local: i.uri for local, i in given.items() if i.access == "uri"},
    }


def _input(spec: Pipeline, step: Step, local: str, origin: From) -> Input:
    """The attempt's input for the step's input `local`."""
    return Input(
        kind="dataset" if origin.dataset else "artifact",
        digest="",
        name=origin.dataset or file_name(spec, origin),
        access=step.access.get(local, "path"),
        uri=(spec.datasets[origin.dataset].uri or "") if origin.dataset else "",
    )


def in_dependency_order(spec: Pipeline) -> list[str]:
    """The steps, each after those that it reads from, and otherwise in the spec's order."""
    done: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        for reference in spec.steps[name].inputs.values():
            if isinstance(reference, StepReference):
                visit(reference.step)
        done.append(name)

    for name in spec.steps:
        visit(name)
    return done


def origin_of(reference: DatasetReference | StepReference) -> From:
    if isinstance(reference, DatasetReference):
        return From(dataset=reference.dataset)
    return From(node=reference.step, output=reference.output)


def file_name(spec: Pipeline, origin: From) -> str:
    """The name of the file that the step wrote; its suffix tells the format."""
    step = spec.steps.get(origin.node or "")
    return step.outputs[origin.output or ""].rsplit("/", 1)[-1] if step else ""


def reads_of(spec: Pipeline, source: SourceTree, globs: tuple[str, ...] | None) -> dict[str, str]:
    """Digests of the files that a command reads. A spec counts only if `globs` name it itself, as
    by a command that parses it: what else matters of one is in the nodes' definitions, and that of
    another pipeline does not matter."""
    admitted = source.admitted(globs if globs is not None else spec.triggers.commits.paths)
    data = spec.datasets.values()
    named = (file for each in data for file in (each.suite_file, each.custom_expectations))
    parsed = {as_seen(glob, source.folder) for glob in globs or ()}
    suites = {as_seen(suite, source.folder) for suite in named if suite is not None}
    return {
        path: content
        for path, content in admitted.items()
        if (path in parsed or not is_spec_file(path)) and (globs or path not in suites)
    }


def image_of(
    spec: Pipeline, source: SourceTree, step: str | None
) -> tuple[str | None, Build | None]:
    """The image of a step or, for None, of the model server, or what it is built from; neither for
    a local process."""
    if spec.executor_of(step) == "local":
        return None, None
    folder = spec.build_of(step)
    if folder is None:
        name = spec.image_of(step)
        if spec.executor_of(step) == "kubernetes":  # its nodes pull it by name
            return name, None
        return source.images.get(name or "", name), None
    context = source.within("" if folder == "." else folder).removesuffix("/")
    paths = source.commit_files.paths.below(context)
    files = {seen_from(source.folder, path): source.files[path] for path in paths}
    return None, Build(context=context, digest=digest(files))


def environment_of(spec: Pipeline, source: SourceTree, step: str | None) -> dict[str, Any]:
    image, build_ = image_of(spec, source, step)
    of = build_.digest if build_ else image
    if of is not None:
        return {"requirements": None, "python": None, "image": of}
    requirements = spec.environment.requirements
    return {
        "requirements": source.content(requirements),
        "python": spec.environment.python,
        "image": None,
        **project_of(spec, source),
    }


def package_facts(spec: Pipeline, source: SourceTree) -> dict[str, Any] | None:
    """What the package's digest covers besides the model; None for a spec without `release`."""
    if spec.release is None:
        return None
    serve, batch = spec.release.serve, spec.release.batch
    if serve is None:
        assert batch is not None
        return _batch_facts(spec, source, batch)
    return {
        "serve": serve.model_dump(mode="json", exclude=_not_in_package(serve)),
        "params": serve_params(spec),
        "reads": serve_reads(spec, source),
        "environment": environment_of(spec, source, None),
    }


def _batch_facts(spec: Pipeline, source: SourceTree, batch: Batch) -> dict[str, Any]:
    """The facts of a batch command; without a command, the package is the model alone."""
    if batch.run is None:
        return {"batch": {}}
    times = {"schedule", "timeout"}  # when it runs, and not what it does
    return {
        "batch": batch.model_dump(mode="json", exclude={"reads", *times}),
        "params": serve_params(spec),
        "reads": serve_reads(spec, source),
        "environment": environment_of(spec, source, None),
    }


def _not_in_package(serve: Serve) -> set[str]:
    """The settings that do not distinguish one package from another. Limits do, and what its pods
    are like, as they take effect by a release; but not at their defaults, which older packages have
    too."""
    fields = Serve.model_fields
    limits = ("answer_within", "idle", "largest_request")
    later = (*limits, "format", "resources", "profile", "replicas")
    at_default = {name for name in later if getattr(serve, name) == fields[name].default}
    return {"startup_deadline", "hung_after", "reads", *at_default}


def serve_params(spec: Pipeline) -> dict[str, str]:
    """The parameters that the command and variables of the server or the batch use, as text."""
    used = (spec.release.serve or spec.release.batch) if spec.release is not None else None
    if used is None or used.run is None:
        return {}
    found = (*placeholders(used.run), *placeholders_of(used.env))
    named = {p.name for p in found if p.kind == "params"}
    return {name: as_argument(value) for name, value in spec.params.items() if name in named}


def script_reads(spec: Pipeline, source: SourceTree) -> dict[str, str]:
    """Digests of the files that the scripts of `deployer: command` read."""
    scripts = spec.release.command if spec.release is not None else None
    return reads_of(spec, source, scripts.reads) if scripts is not None else {}


def serve_reads(spec: Pipeline, source: SourceTree) -> dict[str, str]:
    """Digests of the files that the server or the batch reads."""
    used = spec.release is not None and spec.release.run
    return reads_of(spec, source, spec.release.reads) if spec.release and used else {}
