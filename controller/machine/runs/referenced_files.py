"""PURE. What a pipeline has outside of its folder: `//path` in whatever part of its spec."""

from collections.abc import Iterator

from controller.machine.runs.graph import SourceTree
from specs.globs import ROOT
from specs.model import Pipeline


def with_outside(spec: Pipeline, source: SourceTree) -> dict[str, str]:
    """Digests of the files in the spec's folder and of those that it names elsewhere, by path as it
    sees them."""
    globs = [glob for glob in _named(spec) if glob.removeprefix("!").startswith(ROOT)]
    return {**source.below, **source.admitted(globs)}


def _named(spec: Pipeline) -> Iterator[str]:
    yield from spec.triggers.commits.paths
    for dataset in spec.datasets.values():
        yield from _all_of(dataset.expectations, dataset.uri)
    environment = spec.environment
    yield from _all_of(environment.requirements, environment.project, environment.build)
    for step in spec.commands.values():
        yield from step.reads or ()
        yield from _all_of(step.build)
    if spec.release is not None:
        yield from spec.release.reads or ()
        yield from _all_of(*(request.body for request in spec.release.staging.smoke))


def _all_of(*paths: str | None) -> Iterator[str]:
    """Globs of such files, or of all that is in such folders."""
    for path in paths:
        if path is not None:
            yield path
            yield f"{path}**" if path.endswith("/") else f"{path}/**"
