"""Lint of what KServe cannot do as a spec asks."""

from collections.abc import Iterator

from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.model import Pipeline


def lint_kserve(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    """Weights of a canary that KServe cannot have: it splits traffic by whole percents."""
    release = pipeline.release
    if release is None or release.production.deployer != "kserve":
        return
    if release.production.strategy != "canary":
        return
    for index, step in enumerate(release.production.canary.steps):
        percent = step * 100
        if abs(percent - round(percent)) <= 1e-6 and round(percent) >= 1:
            continue
        path = ("release", "production", "canary", "steps", index)
        near = max(1, round(percent))
        message = f"KServe splits traffic by whole percents, and {percent:g}% is none"
        message += f": write {near}%"
        yield loaded.problem("whole-percent", path, message)
