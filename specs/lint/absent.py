"""Files that a spec reads but the repository does not contain: submodules, and Git LFS files that
nothing fetches."""

from collections.abc import Collection, Container, Iterator, Mapping, Sequence

from specs.globs import ROOT, admits, as_seen
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.loading.tree import YamlPath
from specs.model import Pipeline, place_of

Absent = Mapping[str, str]
"""Paths as the spec sees them, folders with a final `/`, and for each what is there instead and how
to fix it."""


def lint_absent(
    loaded: LoadedSpec, pipeline: Pipeline, absent: Absent, folder: str
) -> Iterator[Problem]:
    """One problem for each reader, which names the first path."""
    for where, who, named in _readers(pipeline) if absent else ():
        globs = [as_seen(glob, folder) for glob in named]
        found = [path for path in sorted(absent) if _is_read(globs, path)]
        if found:
            path, more = found[0].removesuffix("/"), len(found) - 1
            among = f" (and {more:,} more)" if more else ""
            out = _way_out(where, found[0])
            message = f"{who} reads {path}{among}: {absent[found[0]]}{out}"
            yield loaded.problem("absent-file", where, message)


def lint_pointers(
    loaded: LoadedSpec, pointers: Container[str], absent: Absent, folder: str
) -> Iterator[Problem]:
    """The suites that are in Git LFS: two commits can only be compared by what is in git itself."""
    datasets = loaded.sketch.datasets if loaded.sketch else {}
    for name, dataset in datasets.items():
        rules = {"expectations": dataset.suite_file}
        rules["custom_expectations"] = dataset.custom_expectations
        for key, named in rules.items():
            file = as_seen(named.removeprefix("./"), folder) if named is not None else ""
            if named is not None and file in pointers and file not in absent:
                message = (
                    f"the suite of `{name}` is in Git LFS, which hides the rules that a commit "
                    f"changes: keep it in git itself (`git lfs untrack {named}`, then add and "
                    "commit it again)"
                )
                yield loaded.problem("pointer", ("datasets", name, key), message)


def below_absent(glob: str, absent: Collection[str]) -> bool:
    """Whether a path or glob leads into a folder that is absent."""
    inside = f"{glob.removeprefix('!')}/"
    return any(path.endswith("/") and inside.startswith(path) for path in absent)


def _readers(pipeline: Pipeline) -> Iterator[tuple[YamlPath, str, Sequence[str]]]:
    """The place of each, its name in messages, and what it reads."""
    admitted = pipeline.triggers.commits.paths
    for name, dataset in pipeline.datasets.items():
        if dataset.suite_file is not None:
            where: YamlPath = ("datasets", name, "expectations")
            yield where, f"the suite of `{name}`", (dataset.suite_file,)
        if dataset.custom_expectations is not None:
            where = ("datasets", name, "custom_expectations")
            yield where, f"the suite of `{name}`", (dataset.custom_expectations,)
        if dataset.uri is not None and "://" not in dataset.uri:
            yield ("datasets", name, "uri"), f"`datasets.{name}`", _all_of(dataset.uri)
    for where, build in _builds(pipeline):
        yield where, "the image", _all_of(build)
    if pipeline.environment.requirements is not None:
        here = ("environment", "requirements")
        yield here, "the environment", (pipeline.environment.requirements,)
    for name, step in pipeline.commands.items():
        command = place_of(name)
        where = command if step.reads is None else (*command, "reads")
        yield where, f"`{'.'.join(command)}`", admitted if step.reads is None else step.reads
    if pipeline.release is not None:
        reads, how = pipeline.release.reads, pipeline.release.where
        where = ("release", how) if reads is None else ("release", how, "reads")
        who = "the model server" if how == "serve" else "the batch command"
        if pipeline.release.run:
            yield where, who, admitted if reads is None else reads
        for place, request in enumerate(pipeline.release.staging.smoke):
            if request.body is not None:
                where = ("release", "staging", "smoke", place, "body")
                yield where, "a smoke request", (request.body,)


def _builds(pipeline: Pipeline) -> Iterator[tuple[YamlPath, str]]:
    if pipeline.environment.build is not None:
        yield ("environment", "build"), pipeline.environment.build
    for name, step in pipeline.commands.items():
        if step.build is not None:
            yield (*place_of(name), "build"), step.build


def _all_of(path: str) -> tuple[str, ...]:
    """Globs for a path or glob and everything below it."""
    if path == ROOT:
        return (f"{ROOT}**",)
    plain = path.removeprefix("./").removesuffix("/")
    return ("**",) if plain == "." else (plain, f"{plain}/**")


def _is_read(globs: Sequence[str], path: str) -> bool:
    """Whether these globs admit the path or something below it."""
    folder = path.removesuffix("/")
    if folder == path:
        return admits(globs, path)
    inside = any(glob.startswith(path) for glob in globs)
    return inside or (admits(globs, folder) and admits(globs, f"{path}x"))


def _way_out(where: YamlPath, path: str) -> str:
    """How to leave the path out, if the reader reads whatever is there."""
    match where:
        case ("steps", _) | ("datasets", _, "fetch") | ("release", "serve" | "batch"):
            return f"; or leave it out: `reads`, or `triggers.commits.paths: ['**', '!{path}']`"
        case (*_, "reads"):
            return f"; or leave it out: `!{path}`"
    return ""
