"""The problems of the environment that a spec asks for, at their places in its files."""

import posixpath
from collections.abc import Iterator
from dataclasses import replace

from specs.lint.images import ELSEWHERE
from specs.loading.load import LoadedSpec, shortened
from specs.loading.problems import Problem, has_errors, in_order
from specs.projects.survey import Survey


def with_environment(loaded: LoadedSpec, found: Survey) -> LoadedSpec:
    """Adds the problems of the environment; there is no pipeline if any is an error."""
    problems = in_order([*loaded.problems, *_problems(loaded, found)])
    pipeline = None if has_errors(problems) else loaded.pipeline
    return replace(loaded, pipeline=pipeline, problems=shortened(problems))


def requirements_file(loaded: LoadedSpec) -> str:
    """The path of the requirements file in problems."""
    path = (loaded.sketch.environment.requirements if loaded.sketch else None) or ""
    if path.startswith("//"):
        return path[2:]
    return posixpath.normpath(posixpath.join(posixpath.dirname(loaded.file), path))


def _problems(loaded: LoadedSpec, found: Survey) -> Iterator[Problem]:
    for one in found.problems:
        yield loaded.problem(
            ELSEWHERE if one.elsewhere else one.code,
            ("environment", one.key),
            one.message,
            severity="error" if one.is_error else "warning",
            nearest=one.nearest,
        )
    file = requirements_file(loaded) if found.lines else ""
    for line in found.lines:
        severity = "error" if line.is_error else "warning"
        yield Problem(severity, line.code, line.message, file, line.number)  # type: ignore[arg-type]
