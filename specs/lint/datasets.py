"""Lint of datasets that a run queries or fetches, and of triggers that can never fire."""

from collections.abc import Iterator

from specs.lint.variables import in_env, lint_env
from specs.loading.explain import nearest, one_of, shown
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.loading.tree import YamlPath
from specs.model import DATA, Dataset, Fetch, Pipeline
from specs.references import (
    DatasetReference,
    Placeholder,
    TemplateError,
    placeholders,
    placeholders_of,
)


def lint_datasets(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    """Problems with `query` and `fetch`, with steps that read them, and with their triggers."""
    for name, dataset in pipeline.datasets.items():
        if dataset.fetch is not None:
            yield from _fetch(loaded, pipeline, name, dataset.fetch)
        yield from _on_failure(loaded, name, dataset)
        yield from _checks(loaded, pipeline, name, dataset)
    yield from _addresses(loaded, pipeline)
    yield from _trigger(loaded, pipeline)


def fetched_params(pipeline: Pipeline) -> set[str]:
    """The parameters that fetch commands use; all parameters if a command cannot be parsed."""
    found: set[str] = set()
    for fetch in (dataset.fetch for dataset in pipeline.datasets.values()):
        if fetch is None:
            continue
        try:
            named = (*placeholders(fetch.run), *placeholders_of(fetch.env))
        except TemplateError:
            return set(pipeline.params)
        found |= {each.name for each in named if each.kind == "params"}
    return found


def _on_failure(loaded: LoadedSpec, name: str, dataset: Dataset) -> Iterator[Problem]:
    if dataset.on_failure == "stop":
        return
    path = ("datasets", name, "on_failure")
    if not dataset.is_judged:
        message = f"`{name}` has no `expectations`, so there is no gate that it could fail"
        yield loaded.problem("no-effect", path, message, severity="warning", at_key=True)
    if dataset.uri is not None and "://" not in dataset.uri:
        message = (
            f"`{name}` is in the repository, so its version is that of the commit: revert the "
            "commit instead, and leave `on_failure` out"
        )
        yield loaded.problem("no-earlier-version", path, message, at_key=True)


def _checks(
    loaded: LoadedSpec, pipeline: Pipeline, name: str, dataset: Dataset
) -> Iterator[Problem]:
    """The other datasets that checks read."""
    for place, each in enumerate(dataset.checks):
        other = each.other
        key = "reference" if each.drift is not None else "dataset"
        path = ("datasets", name, "checks", place, each.kind, key)
        if other == name:
            message = f"`{shown(path)}` is `{name}` itself: name another dataset"
            yield loaded.problem("same-dataset", path, message)
        elif other is not None and other not in pipeline.datasets:
            yield loaded.problem(
                "unknown-dataset",
                path,
                f"there is no `datasets.{other}`",
                expected=one_of(list(pipeline.datasets)),
                nearest=nearest(other, pipeline.datasets),
            )


def _fetch(loaded: LoadedSpec, pipeline: Pipeline, name: str, fetch: Fetch) -> Iterator[Problem]:
    path = ("datasets", name, "fetch", "run")
    try:
        found = placeholders(fetch.run)
    except TemplateError as error:
        yield loaded.problem("run", path, f"`{shown(path)}`: {error}")
        return
    yield from lint_env(loaded, (*path[:-1], "env"), fetch.env)
    has = {"output", "root", *(f"params.{key}" for key in pipeline.params_of(f"{DATA}{name}"))}
    has.update(f"params.{key}" for key in loaded.names("params"))
    named = {path: found, **dict(in_env((*path[:-1], "env"), fetch.env))}
    for place, each in ((place, each) for place, some in named.items() for each in some):
        if each.key not in has:
            near = nearest(each.key, sorted(has))
            yield loaded.problem(
                "unknown-placeholder",
                place,
                f"`{shown(place)}` has the unknown placeholder {each}",
                expected=one_of([f"{{{key}}}" for key in sorted(has)]),
                nearest=f"{{{near}}}" if near else None,
                within=str(each),
            )
    if Placeholder("output") not in found:
        message = f"`{shown(path)}` lacks {{output}}: the command is not told where to write"
        yield loaded.problem("missing-placeholder", path, message)
    for key in fetch.secrets:
        if key in fetch.env:
            message = f"{key} is both in `env` and in `secrets` of `datasets.{name}.fetch`"
            here = (*path[:-1], "env", key)
            yield loaded.problem("duplicate", here, message, at_key=True)


def _addresses(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    """Steps that ask for the URI of data that the run queries or fetches, which has none."""
    for name, step in pipeline.steps.items():
        for local, access in step.access.items():
            read = step.inputs.get(local)
            if access != "uri" or not isinstance(read, DatasetReference):
                continue
            dataset = pipeline.datasets.get(read.dataset)
            if dataset is not None and dataset.uri is None:
                message = f"`{read}` has no URI because the run fetches it: leave `access` out"
                yield loaded.problem("no-address", ("steps", name, "access", local), message)


def _trigger(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    trigger = pipeline.triggers.data
    if trigger is None:
        return
    for place, name in enumerate(trigger.datasets):
        dataset = pipeline.datasets.get(name)
        if dataset is not None and not dataset.is_versioned:
            here: YamlPath = ("triggers", "data", "datasets", place)
            message = f"a change of `{name}` cannot be noticed, so it never starts a run: "
            message += _how_to_tell(dataset)
            yield loaded.problem("no-effect", here, message, severity="warning")
    known = [pipeline.datasets[name] for name in trigger.datasets if name in pipeline.datasets]
    if trigger.marker is not None and known and all(one.uri is None for one in known):
        message = "`marker` is for files, and none of these datasets has files: use `quiet`"
        here = ("triggers", "data", "marker")
        yield loaded.problem("no-effect", here, message, severity="warning", at_key=True)


def _how_to_tell(dataset: Dataset) -> str:
    if dataset.query is not None:
        return "add `version`, a cheap statement such as SELECT max(updated_at), count(*) FROM ..."
    return "add `triggers.schedule`, whose runs fetch it"


def lint_idle(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    """A schedule for which nothing can change without a commit, so it never starts a run."""
    outside = any(_may_change(dataset) for dataset in pipeline.datasets.values())
    if outside or any(step.cache != "always" for step in pipeline.commands.values()):
        return
    message = (
        "this schedule never starts a run, because nothing can change without a commit: no dataset "
        "is outside the repository. Get data by `query:` or `fetch:` of a dataset, or set `cache: "
        "never` or `cache: {for: 24h}` for a step whose result may change"
    )
    path = ("triggers", "schedule")
    yield loaded.problem("no-effect", path, message, severity="warning", at_key=True)


def _may_change(dataset: Dataset) -> bool:
    return dataset.query is not None or (dataset.uri is not None and "://" in dataset.uri)
