"""Lint of `release.batch`."""

from collections.abc import Collection, Iterator

from specs.loading.explain import nearest, shown
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.model import Pipeline
from specs.references import Placeholder

HERE = ("release", "batch")


def lint_batch(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    """Problems of a release without a server."""
    yield from _no_server(loaded, pipeline)
    batch = pipeline.release.batch if pipeline.release is not None else None
    if batch is None or batch.run is None:
        return
    datasets = loaded.names("datasets")
    for name, reference in batch.inputs.items():
        here = (*HERE, "inputs", name)
        if reference.dataset not in datasets:
            message = f"there is no dataset `{reference.dataset}`"
            near = nearest(reference.dataset, datasets)
            yield loaded.problem("unknown-reference", here, message, nearest=near)
        elif pipeline.datasets[reference.dataset].uri is None:
            message = f"a batch reads objects, but `{reference.dataset}` has no `uri`"
            fix = "a dataset with a `uri`, or a command that gets the rows itself"
            yield loaded.problem("no-objects", here, message, expected=fix)
        elif name == "model":
            message = "an input cannot be called `model`: {model} is the model's path"
            yield loaded.problem("duplicate", here, message, at_key=True)
        elif pipeline.datasets[reference.dataset].is_judged:
            message = f"the suite of `{reference.dataset}` only applies to runs: a batch does not "
            "check data"
            yield loaded.problem("no-effect", here, message, severity="warning", at_key=True)


def known(loaded: LoadedSpec) -> set[str]:
    """The keys of the placeholders that the command may use."""
    named = {f"{kind}.{key}" for kind in ("inputs", "outputs") for key in loaded.names(*HERE, kind)}
    return {
        "model",
        "environment",
        "root",
        *named,
        *(f"params.{key}" for key in loaded.names("params")),
    }


def lint_command(loaded: LoadedSpec, found: Collection[Placeholder]) -> Iterator[Problem]:
    """Placeholders that the command needs or is offered, and does not use."""
    path = (*HERE, "run")
    if Placeholder("model") not in found:
        message = f"`{shown(path)}` lacks {{model}}: the command is not told which model to use"
        yield loaded.problem("missing-placeholder", path, message)
    for kind in ("inputs", "outputs"):
        for key in loaded.names(*HERE, kind):
            if Placeholder(kind, key) not in found:
                message = f"the command of `release.batch` does not use {{{kind}.{key}}}"
                where = (*HERE, kind, key)
                yield loaded.problem("unused", where, message, severity="warning", at_key=True)


_NEEDS_A_SERVER = (
    (("staging", "smoke"), "there is no server for requests; staging runs the command itself"),
    (("production", "canary"), "a batch has no traffic to share"),
    (("production", "blue_green"), "a batch has no traffic to switch"),
    (("production", "strategy"), "a batch has no traffic to share"),
)


def _no_server(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    """Keys that need a server, if there is none."""
    assert pipeline.release is not None
    for path, why in _NEEDS_A_SERVER:
        part = getattr(pipeline.release, path[0])
        if path[1] in part.model_fields_set:
            message = f"`{path[1]}` needs `serve`, and this release has `batch`: {why}"
            here = ("release", *path)
            yield loaded.problem("no-effect", here, message, expected="leave it out", at_key=True)
