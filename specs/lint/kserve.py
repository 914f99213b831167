"""Lint of what KServe cannot do as a spec asks."""

from collections.abc import Iterator

from specs.lint.variables import in_env, lint_env
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.model import Pipeline
from specs.release import Serve


def lint_format(loaded: LoadedSpec, serve: Serve) -> Iterator[Problem]:
    """Keys of a server's command that have no meaning for a model that is served by its format."""
    path = ("release", "serve", "env")
    yield from lint_env(loaded, path, serve.env)
    for place, names in in_env(path, serve.env):
        if names:
            message = "a model that is served by its format has no placeholders in `env`"
            yield loaded.problem("placeholder", place, f"{message}: write the value")


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
