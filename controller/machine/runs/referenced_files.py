"""PURE. The files that a pipeline refers to, in its folder and, as `//path`, elsewhere."""

from collections.abc import Iterator

from controller.machine.runs.commit_files import CommitFiles
from controller.machine.runs.graph import SourceTree
from specs.globs import ROOT
from specs.model import Pipeline
from specs.path_index import near


def referenced_files(spec: Pipeline, source: SourceTree) -> dict[str, str]:
    """Digests of the files in the spec's folder and of those elsewhere that it names, by path as
    the spec writes it."""
    globs = [glob for glob in _paths_in(spec) if glob.removeprefix("!").startswith(ROOT)]
    return {**source.below, **source.admitted(globs)}


def paths_elsewhere(spec: Pipeline) -> tuple[str, ...]:
    """The globs, from the repository's root, of all that the spec names as `//path`."""
    rooted = (path for path in _paths_in(spec) if path.startswith(ROOT))
    return tuple(dict.fromkeys(path.removeprefix(ROOT) for path in rooted))


def files_of_project(source: SourceTree) -> Iterator[str]:
    """The paths in the repository of the files that the environment's project is built from."""
    project = source.project
    if project is None:
        return
    yield project.lock
    yield from project.manifests
    yield from project.archives
    for package in project.packages:
        yield from package.files


def within_reach(spec: Pipeline, source: SourceTree) -> SourceTree:
    """The source with only the files that the spec can read, to be stored: a repository may have
    many pipelines. Nothing that follows from the spec and its source differs."""
    paths = source.commit_files.paths
    elsewhere = (path for glob in paths_elsewhere(spec) for path in near(paths, glob))
    reached = {*paths.below(source.folder), *elsewhere, *files_of_project(source)}
    files = CommitFiles((path, source.files[path]) for path in paths if path in reached)
    return source.model_copy(update={"files": files})


def _paths_in(spec: Pipeline) -> Iterator[str]:
    yield from spec.triggers.commits.paths
    for dataset in spec.datasets.values():
        yield from _with_contents(dataset.suite_file, dataset.custom_expectations, dataset.uri)
    environment = spec.environment
    yield from _with_contents(environment.requirements, environment.project, environment.build)
    for step in spec.commands.values():
        yield from step.reads or ()
        yield from _with_contents(step.build)
    if spec.release is not None:
        yield from spec.release.reads or ()
        yield from _with_contents(*(request.body for request in spec.release.staging.smoke))


def _with_contents(*paths: str | None) -> Iterator[str]:
    """Globs for these files or, if they are folders, for all files below them."""
    for path in paths:
        if path is not None:
            yield path
            yield f"{path}**" if path.endswith("/") else f"{path}/**"
