"""Files that a spec names but the repository does not have."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from specs.globs import ROOT, admits, as_seen, leads_through, sees
from specs.lint.absent import Absent, below_absent, lint_absent
from specs.lint.paths import SCRIPTS
from specs.loading.explain import nearest, shown
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.loading.tree import YamlPath
from specs.model import Pipeline, Step, place_of
from specs.path_index import SpecFiles
from specs.references import TemplateError, parse_run

_DATA: Final = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson", ".gz", ".zip", ".feather")


def lint_files(
    loaded: LoadedSpec, pipeline: Pipeline, known: SpecFiles, absent: Absent
) -> Iterator[Problem]:
    """Problems with files. `known` are all files of the repository; `absent` are those whose
    content is not in it."""
    folder = known.folder
    yield from lint_absent(loaded, pipeline, absent, folder)
    yield from _one_file(loaded, pipeline, known, folder)
    for path, named in _named(pipeline):
        file = as_seen(named, folder)
        if file not in known and not below_absent(file, absent):
            yield _missing(loaded, path, named, known)
    for name, dataset in pipeline.datasets.items():
        if dataset.uri is not None and _may_be_inside(dataset.uri, folder):
            message = f"`datasets.{name}` is, or may be, in the spec's folder: write the path from "
            "there"
            yield loaded.problem("roundabout", ("datasets", name, "uri"), message)
    paths = pipeline.triggers.commits.paths
    positive = (glob for glob in paths if not glob.startswith("!"))
    if not any(admits(paths, file, folder) for file in known.near(*positive)):
        message = "`triggers.commits.paths` matches no file, so no commit starts a run"
        here = ("triggers", "commits", "paths")
        yield loaded.problem("no-effect", here, message, severity="warning", at_key=True)
    for name, step in pipeline.commands.items():
        globs = _seen(step.reads, folder)
        yield from _globs(loaded, (*place_of(name), "reads"), globs, known, absent)
        yield from _scripts(loaded, name, step, known)
    if pipeline.release is not None:
        here = ("release", pipeline.release.where, "reads")
        globs = _seen(pipeline.release.reads, folder)
        yield from _globs(loaded, here, globs, known, absent)


def _may_be_inside(uri: str, folder: str) -> bool:
    """Whether a `//` address may be in the spec's folder. It would be a second address of the same
    data, and suites are matched to data by address."""
    if not uri.startswith(ROOT) or not folder:
        return False
    parts = uri.removeprefix(ROOT).split("/")
    end = next((place for place, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    ours = folder.split("/")
    return all(one == other for one, other in zip(parts[:end], ours, strict=False))


def _seen(globs: Sequence[str] | None, folder: str) -> tuple[str, ...]:
    return tuple(as_seen(glob, folder) for glob in globs or ())


def _one_file(
    loaded: LoadedSpec, pipeline: Pipeline, known: Collection[str], folder: str
) -> Iterator[Problem]:
    """Datasets that are a single file instead of a folder or a glob."""
    for name, dataset in pipeline.datasets.items():
        uri = dataset.uri or ""
        is_file = as_seen(uri.removeprefix("./"), folder) in known
        if not is_file and not ("://" in uri and uri.endswith(_DATA) and not set("*?[") & set(uri)):
            continue
        above, _, file = uri.rpartition("/")
        whole = f"{above}/*" if above else "*"
        glob = whole + (f".{file.rpartition('.')[2]}" if "." in file else "")
        what = "is" if is_file else "looks like"
        yield loaded.problem(
            "one-file",
            ("datasets", name, "uri"),
            f"`{uri}` {what} a single file, but a dataset is a folder or a glob: write `{glob}`; "
            f"the command gets the folder, so it reads {{inputs.NAME}}/{file}",
            severity="error" if is_file else "warning",
        )


def _named(pipeline: Pipeline) -> Iterator[tuple[YamlPath, str]]:
    for name, dataset in pipeline.datasets.items():
        if dataset.suite_file is not None:
            yield ("datasets", name, "expectations"), dataset.suite_file
        if dataset.custom_expectations is not None:
            yield ("datasets", name, "custom_expectations"), dataset.custom_expectations
    if pipeline.environment.requirements is not None:
        yield ("environment", "requirements"), pipeline.environment.requirements
    if pipeline.environment.build is not None:
        yield ("environment", "build"), dockerfile(pipeline.environment.build)
    for name, step in pipeline.commands.items():
        if step.build is not None:
            yield (*place_of(name), "build"), dockerfile(step.build)
    smoke = pipeline.release.staging.smoke if pipeline.release is not None else ()
    for place, request in enumerate(smoke):
        if request.body is not None:
            yield ("release", "staging", "smoke", place, "body"), request.body


def dockerfile(build: str) -> str:
    """The path of the Dockerfile in the folder that `build` names."""
    if build in (".", ROOT):
        return f"{build.removeprefix('.')}Dockerfile"
    return f"{build.removesuffix('/')}/Dockerfile"


def _missing(loaded: LoadedSpec, path: YamlPath, file: str, known: Collection[str]) -> Problem:
    near = nearest(file, known)
    return loaded.problem("missing-file", path, f"there is no file {file}", nearest=near)


def _globs(
    loaded: LoadedSpec,
    path: YamlPath,
    globs: Collection[str],
    known: SpecFiles,
    absent: Absent,
) -> Iterator[Problem]:
    for place, glob in enumerate(globs):
        plain = glob.removeprefix("!")
        # Files behind a symbolic link are not listed; only the link is.
        matched = any(sees(plain, file) or leads_through(plain, file) for file in known.near(plain))
        if not matched and not below_absent(glob, absent):
            near = nearest(glob, known)
            message = f"`{glob}` matches no file"
            yield loaded.problem("missing-file", (*path, place), message, nearest=near)


def _scripts(loaded: LoadedSpec, name: str, step: Step, known: SpecFiles) -> Iterator[Problem]:
    try:
        words = parse_run(step.run)
    except TemplateError:
        return
    for word in words:
        script = word[0] if len(word) == 1 and isinstance(word[0], str) else ""
        if script.startswith(("/", "-", "@")) or not script.endswith(SCRIPTS):
            continue
        if ".." in script.split("/"):  # `lint_paths` checks these
            continue
        script = script.removeprefix("./")
        here = (*place_of(name), "run")
        if script not in known:
            near = nearest(script, known.own)
            message = f"there is no file {script}"
            yield loaded.problem("missing-file", here, message, severity="warning", nearest=near)
            return
        elif step.reads is not None and not admits(step.reads, script):
            reads = shown((*place_of(name), "reads"))
            message = f"`{reads}` leaves out {script}: a change of it would not start a run"
            yield loaded.problem("unread-script", here, message, severity="warning")
