"""Files that a spec names and the repository does not have."""

from collections.abc import Collection, Iterator
from typing import Final

from specs.explain import nearest
from specs.globs import admits, matches
from specs.lint_absent import Absent, below_absent, lint_absent
from specs.load import Loaded
from specs.model import Pipeline, Step
from specs.problems import Problem
from specs.references import TemplateError, parse_run
from specs.tree import Path

_DATA: Final = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson", ".gz", ".zip", ".feather")
_SCRIPTS: Final = (".py", ".sh", ".R", ".jl", ".js")


def lint_files(
    loaded: Loaded, pipeline: Pipeline, files: Collection[str], absent: Absent
) -> Iterator[Problem]:
    """Problems with files; `files` are all below the spec's folder, relative and with `/`, and
    `absent` is what is not there as it is meant."""
    yield from lint_absent(loaded, pipeline, absent)
    known = dict.fromkeys(sorted(files))
    yield from _one_file(loaded, pipeline, known)
    for path, file in _named(pipeline):
        if file not in known and not below_absent(file, absent):
            yield _missing(loaded, path, file, known)
    paths = pipeline.triggers.commits.paths
    if not any(admits(paths, file) for file in known):
        message = "`triggers.commits.paths` admits no file: no commit starts a run"
        here = ("triggers", "commits", "paths")
        yield loaded.problem("no-effect", here, message, severity="warning", at_key=True)
    for name, step in pipeline.steps.items():
        yield from _globs(loaded, ("steps", name, "reads"), step.reads or (), known, absent)
        yield from _scripts(loaded, name, step, known)
    if pipeline.release is not None:
        here = ("release", "serve", "reads")
        yield from _globs(loaded, here, pipeline.release.serve.reads or (), known, absent)


def _one_file(loaded: Loaded, pipeline: Pipeline, known: Collection[str]) -> Iterator[Problem]:
    """Datasets that are a file: what they hold is a folder's, or what a glob matches there."""
    for name, dataset in pipeline.datasets.items():
        uri = dataset.uri
        is_file = uri.removeprefix("./") in known
        if not is_file and not ("://" in uri and uri.endswith(_DATA) and not set("*?[") & set(uri)):
            continue
        folder, _, file = uri.rpartition("/")
        whole = f"{folder}/*" if folder else "*"
        glob = whole + (f".{file.rpartition('.')[2]}" if "." in file else "")
        what = "is" if is_file else "looks like"
        yield loaded.problem(
            "one-file",
            ("datasets", name, "uri"),
            f"`{uri}` {what} one file, and a dataset is a folder or a glob: write `{glob}`; "
            f"the command is given the folder, so it reads {{inputs.NAME}}/{file}",
            severity="error" if is_file else "warning",
        )


def _named(pipeline: Pipeline) -> Iterator[tuple[Path, str]]:
    for name, dataset in pipeline.datasets.items():
        if dataset.expectations is not None:
            yield ("datasets", name, "expectations"), dataset.expectations
    if pipeline.environment.requirements is not None:
        yield ("environment", "requirements"), pipeline.environment.requirements
    if pipeline.environment.build is not None:
        yield ("environment", "build"), dockerfile(pipeline.environment.build)
    for name, step in pipeline.steps.items():
        if step.build is not None:
            yield ("steps", name, "build"), dockerfile(step.build)
    smoke = pipeline.release.staging.smoke if pipeline.release is not None else ()
    for place, request in enumerate(smoke):
        if request.body is not None:
            yield ("release", "staging", "smoke", place, "body"), request.body


def dockerfile(build: str) -> str:
    """The Dockerfile of a folder that `build` names."""
    return "Dockerfile" if build == "." else f"{build.removesuffix('/')}/Dockerfile"


def _missing(loaded: Loaded, path: Path, file: str, known: Collection[str]) -> Problem:
    near = nearest(file, known)
    return loaded.problem("missing-file", path, f"there is no file {file}", nearest=near)


def _globs(
    loaded: Loaded, path: Path, globs: Collection[str], known: Collection[str], absent: Absent
) -> Iterator[Problem]:
    for place, glob in enumerate(globs):
        matched = any(matches(glob.removeprefix("!"), file) for file in known)
        if not matched and not below_absent(glob, absent):
            near = nearest(glob, known)
            message = f"`{glob}` matches no file"
            yield loaded.problem("missing-file", (*path, place), message, nearest=near)


def _scripts(loaded: Loaded, name: str, step: Step, known: Collection[str]) -> Iterator[Problem]:
    try:
        words = parse_run(step.run)
    except TemplateError:
        return
    for word in words:
        script = word[0] if len(word) == 1 and isinstance(word[0], str) else ""
        if script.startswith(("/", "-")) or not script.endswith(_SCRIPTS):
            continue
        script = script.removeprefix("./")
        here = ("steps", name, "run")
        if script not in known:
            near = nearest(script, known)
            message = f"there is no file {script}"
            yield loaded.problem("missing-file", here, message, severity="warning", nearest=near)
            return
        elif step.reads is not None and not admits(step.reads, script):
            message = f"`steps.{name}.reads` leaves out {script}: changing it would run nothing"
            yield loaded.problem("unread-script", here, message, severity="warning")
