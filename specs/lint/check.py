"""Lint of a spec whose form is valid: references, cycles, placeholders."""

from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from typing import Final

from specs.batch import Batch
from specs.lint.absent import Absent, lint_pointers
from specs.lint.batch import known, lint_batch, lint_command
from specs.lint.datasets import fetched_params, lint_datasets
from specs.lint.drafts import lint_draft
from specs.lint.files import lint_files
from specs.lint.kserve import lint_format
from specs.lint.names import lint_names
from specs.lint.paths import lint_paths
from specs.lint.policy import lint_policy
from specs.lint.suites import lint_suites, params_in_suites
from specs.lint.variables import in_env, lint_env
from specs.loading.explain import nearest, one_of, shown
from specs.loading.load import MOST_PROBLEMS, LoadedSpec, load, shortened
from specs.loading.problems import Problem, has_errors, in_order
from specs.loading.tree import YamlKey
from specs.model import Pipeline, Step
from specs.path_index import SpecFiles
from specs.references import (
    DatasetReference,
    Placeholder,
    StepReference,
    TemplateError,
    placeholders,
    placeholders_of,
)

_NOTHING: Final[Absent] = {}


def check(
    content: str | bytes,
    file: str,
    files: Collection[str] | None = None,
    absent: Absent = _NOTHING,
    pointers: Container[str] = (),
    folder: str = "",
    top: str = "",
) -> LoadedSpec:
    """Load and lint: all problems of form and of meaning, and no pipeline if any is an error.

    `pointers` are the paths of files in Git LFS; for the other arguments see `lint`.
    """
    loaded = load(content, file)
    suites = lint_pointers(loaded, pointers, absent, folder)
    found = (*lint(loaded, files, absent, folder, top), *suites)
    problems = in_order([*loaded.problems, *found])
    pipeline = None if has_errors(problems) else loaded.pipeline
    return replace(loaded, pipeline=pipeline, problems=shortened(problems))


def lint(
    loaded: LoadedSpec,
    files: Collection[str] | None = None,
    absent: Absent = _NOTHING,
    folder: str = "",
    top: str = "",
) -> tuple[Problem, ...]:
    """The problems of meaning, ordered by place; none for a file that could not be read.

    `files` are the repository's files as a spec in `folder` sees them (`specs.globs`); without
    them, missing files are not reported. `absent` are files that the repository does not contain.
    `top` is the path of the user's clone. If the form is invalid as well, warnings are left out:
    something that looks unused may be used by an invalid part.
    """
    pipeline = loaded.sketch
    if pipeline is None:
        return ()
    there = SpecFiles.of(files, folder) if files is not None else None
    found = _until_enough(
        chain(
            _references(loaded, pipeline),
            _cycles(loaded, pipeline),
            _steps(loaded, pipeline),
            _serve(loaded, pipeline),
            _scripts(loaded, pipeline),
            _unread_datasets(loaded, pipeline),
            _readings(loaded, pipeline),
            lint_datasets(loaded, pipeline),
            lint_suites(loaded, pipeline),
            lint_policy(loaded, pipeline),
            lint_draft(loaded),
            lint_files(loaded, pipeline, there, absent) if there is not None else (),
            lint_names(loaded, pipeline, there) if there is not None else (),
            lint_paths(loaded, pipeline, there, top) if there is not None else (),
        )
    )
    if loaded.pipeline is None:
        found = (problem for problem in found if problem.severity == "error")
    return in_order(tuple(found))


def _until_enough(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Stop when there are more errors than anybody reads, because the search for similar names is
    slow."""
    errors = 0
    for problem in problems:
        yield problem
        errors += problem.severity == "error"
        if errors > MOST_PROBLEMS:
            return


def _references(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    places: list[tuple[tuple[YamlKey, ...], DatasetReference | StepReference]] = [
        (("steps", name, "inputs", key), reference)
        for name, step in pipeline.steps.items()
        for key, reference in step.inputs.items()
    ]
    if pipeline.model is not None:
        places.append((("model",), pipeline.model))
    if pipeline.gates.model is not None:
        evidence = pipeline.gates.model.evidence.items()
        places += [(("gates", "model", name), reference) for name, reference in evidence]
    for path, reference in places:
        names = _known(loaded, reference)
        if str(reference) not in names:
            yield loaded.problem(
                "unknown-reference",
                path,
                f"there is no `{reference}` in this file",
                expected=one_of(names),
                nearest=nearest(str(reference), names),
            )


def _known(loaded: LoadedSpec, reference: DatasetReference | StepReference) -> list[str]:
    """What a reference of this kind could refer to, including parts with other problems."""
    if isinstance(reference, DatasetReference):
        return [f"datasets.{name}" for name in loaded.names("datasets")]
    return [
        f"steps.{step}.{output}"
        for step in loaded.names("steps")
        for output in loaded.names("steps", step, "outputs")
    ]


def _cycles(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    needs = {
        name: {ref.step for ref in step.inputs.values() if isinstance(ref, StepReference)}
        for name, step in pipeline.steps.items()
    }
    while True:
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            cycle = _from_first(error.args[1], tuple(pipeline.steps))
            way = " -> ".join(cycle)
            message = f"these steps depend on each other in a cycle: {way}"
            yield loaded.problem("cycle", ("steps", cycle[0]), message, at_key=True)
            # Look for the next cycle without these steps.
            needs = {name: before for name, before in needs.items() if name not in cycle}
            for before in needs.values():
                before.difference_update(cycle)
        else:
            return


def _from_first(cycle: Sequence[str], order: Sequence[str]) -> tuple[str, ...]:
    """The cycle, starting at the step that comes first in the file."""
    ring = list(cycle[:-1])
    start = min(range(len(ring)), key=lambda place: order.index(ring[place]))
    turned = ring[start:] + ring[:start]
    return (*turned, turned[0])


def _steps(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    used = fetched_params(pipeline) | params_in_suites(pipeline)
    for name, step in pipeline.steps.items():
        path = ("steps", name)
        try:
            found = placeholders(step.run)
        except TemplateError as error:
            yield loaded.problem("run", (*path, "run"), f"`{shown((*path, 'run'))}`: {error}")
            used.update(pipeline.params)
            continue
        mistakes = list(lint_env(loaded, (*path, "env"), step.env))
        yield from mistakes
        every = (*found, *placeholders_of(step.env))
        used.update(each.name for each in every if each.kind == "params")
        has = {
            "root",
            *(f"inputs.{key}" for key in step.inputs),
            *(f"outputs.{key}" for key in step.outputs),
            *(f"params.{key}" for key in pipeline.params_of(name)),
            *_wrong_names(loaded, name),
        }
        for place, names in (((*path, "run"), found), *in_env((*path, "env"), step.env)):
            yield from _unknown_placeholders(loaded, place, names, has)
        if not has_errors(mistakes):
            yield from _unused(loaded, name, step, {each.key for each in every})
        yield from _within_step(loaded, name, step)
    for key in pipeline.params:
        if key not in used and not _serve_uses(pipeline, key):
            message = f"no command, variable or suite uses the parameter `{key}`"
            yield loaded.problem(
                "unused", ("params", key), message, severity="warning", at_key=True
            )


def _wrong_names(loaded: LoadedSpec, step: str) -> Iterator[str]:
    """The keys of a step that may be missing from the sketch."""
    for kind in ("inputs", "outputs", "params"):
        yield from (f"{kind}.{key}" for key in loaded.names("steps", step, kind))
    yield from (f"params.{key}" for key in loaded.names("params"))


def _unknown_placeholders(
    loaded: LoadedSpec,
    path: tuple[YamlKey, ...],
    found: Sequence[Placeholder],
    has: Collection[str],
) -> Iterator[Problem]:
    for each in found:
        if each.key not in has:
            near = nearest(each.key, sorted(has))
            yield loaded.problem(
                "unknown-placeholder",
                path,
                f"`{shown(path)}` has the unknown placeholder {each}",
                expected=one_of([f"{{{key}}}" for key in sorted(has)]),
                nearest=f"{{{near}}}" if near else None,
                within=str(each),
            )


def _unused(loaded: LoadedSpec, name: str, step: Step, used: Collection[str]) -> Iterator[Problem]:
    for kind, keys in (("inputs", step.inputs), ("outputs", step.outputs), ("params", step.params)):
        for key in keys:
            if f"{kind}.{key}" not in used:
                yield loaded.problem(
                    "unused",
                    ("steps", name, kind, key),
                    f"neither the command nor `env` of `steps.{name}` uses {{{kind}.{key}}}",
                    severity="warning",
                    at_key=True,
                )


def _within_step(loaded: LoadedSpec, name: str, step: Step) -> Iterator[Problem]:
    names = loaded.names("steps", name, "inputs")
    for key in step.access:
        if key not in names:
            yield loaded.problem(
                "unknown-reference",
                ("steps", name, "access", key),
                f"`steps.{name}` has no input `{key}`",
                nearest=nearest(key, names),
                at_key=True,
            )
    files = Counter(step.outputs.values())
    for key, file in step.outputs.items():
        if files[file] > 1:
            message = f"two outputs of `steps.{name}` have the same file, {file}"
            yield loaded.problem("duplicate", ("steps", name, "outputs", key), message)
    for key in step.secrets:
        if key in step.env:
            message = f"{key} is both in `env` and in `secrets` of `steps.{name}`"
            yield loaded.problem("duplicate", ("steps", name, "env", key), message, at_key=True)


def _serve_uses(pipeline: Pipeline, key: str) -> bool:
    release = pipeline.release
    used = (release.serve or release.batch) if release is not None else None
    if used is None or used.run is None:
        return False
    try:
        found = (*placeholders(used.run), *placeholders_of(used.env))
    except TemplateError:
        return True
    return Placeholder("params", key) in found


def _serve(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    if pipeline.release is None:
        return
    path = ("release", pipeline.release.where, "run")
    if pipeline.release.serve is None:
        yield from lint_batch(loaded, pipeline)
        if not pipeline.release.run:
            return
    if pipeline.release.serve is not None and pipeline.release.serve.format is not None:
        yield from lint_format(loaded, pipeline.release.serve)
        return
    try:
        found = placeholders(pipeline.release.run)
    except TemplateError as error:
        yield loaded.problem("run", path, f"`{shown(path)}`: {error}")
        return
    if pipeline.release.batch is not None:
        yield from _batch(loaded, pipeline.release.batch, found)
        return
    assert pipeline.release.serve is not None
    serve, env = pipeline.release.serve, ("release", "serve", "env")
    yield from lint_env(loaded, env, serve.env)
    has = {"model", "port", "host", "root", *(f"params.{key}" for key in pipeline.params)}
    has.update(f"params.{key}" for key in loaded.names("params"))
    for place, names in ((path, found), *in_env(env, serve.env)):
        yield from _unknown_placeholders(loaded, place, names, has)
    found = (*found, *placeholders_of(serve.env))
    for needed, why in (("model", "which model to serve"), ("port", "where to listen")):
        if Placeholder(needed) not in found:
            message = f"`{shown(path)}` lacks {{{needed}}}: the server is not told {why}"
            yield loaded.problem("missing-placeholder", path, message)
    if pipeline.executor_of(None) == "docker" and Placeholder("host") not in found:
        message = f"`{shown(path)}` lacks {{host}}: in a container, the server has to listen "
        message += "on another address than 127.0.0.1"
        yield loaded.problem("missing-placeholder", path, message, severity="warning")


def _scripts(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    """The scripts of `deployer: command`."""
    if pipeline.release is None or pipeline.release.command is None:
        return
    for name, run in pipeline.release.command.commands.items():
        path = ("release", "command", name)
        try:
            found = placeholders(run)
        except TemplateError as error:
            yield loaded.problem("run", path, f"`{shown(path)}`: {error}")
            continue
        yield from _unknown_placeholders(loaded, path, found, {"root"})


def _batch(loaded: LoadedSpec, batch: Batch, found: Sequence[Placeholder]) -> Iterator[Problem]:
    """The command of a batch and its variables."""
    path, env = ("release", "batch", "run"), ("release", "batch", "env")
    yield from lint_env(loaded, env, batch.env)
    for place, names in ((path, found), *in_env(env, batch.env)):
        yield from _unknown_placeholders(loaded, place, names, known(loaded))
    yield from lint_command(loaded, (*found, *placeholders_of(batch.env)))


def _unread_datasets(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    read = {reference for step in pipeline.steps.values() for reference in step.inputs.values()}
    if pipeline.release is not None and pipeline.release.batch is not None:
        read.update(pipeline.release.batch.inputs.values())
    read.update(
        DatasetReference(each.other)
        for dataset in pipeline.datasets.values()
        for each in dataset.checks
        if each.other is not None
    )
    for name in pipeline.datasets:
        if DatasetReference(name) not in read:
            message = f"no step reads `datasets.{name}`"
            yield loaded.problem(
                "unused", ("datasets", name), message, severity="warning", at_key=True
            )


def _readings(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    """Settings for reading a dataset that have no effect or an unexpected one."""
    for name, dataset in pipeline.datasets.items():
        path = ("datasets", name)
        for key in ("custom_expectations", "types", "nulls", "csv", "columns", "engine"):
            judged = dataset.expectations is not None
            judged = judged or (bool(dataset.checks) and key in ("types", "nulls", "csv"))
            if not judged and key in dataset.model_fields_set:
                message = f"`{key}` is for the suite, and `datasets.{name}` has no `expectations`"
                yield loaded.problem(
                    "no-effect", (*path, key), message, severity="warning", at_key=True
                )
        if dataset.engine == "spark" and dataset.examples:
            message = "no examples are shown of what is judged on Spark"
            yield loaded.problem(
                "no-effect", (*path, "columns"), message, severity="warning", at_key=True
            )
        if dataset.query is not None and dataset.csv is not None and dataset.is_judged:
            message = "`csv` has no effect: the rows of a query are stored as Parquet"
            yield loaded.problem(
                "no-effect", (*path, "csv"), message, severity="warning", at_key=True
            )
        if dataset.nulls and "" not in dataset.nulls:
            message = f'`{shown((*path, "nulls"))}` lacks "": an empty field is then a text'
            yield loaded.problem(
                "nulls", (*path, "nulls"), message, severity="warning", at_key=True
            )
