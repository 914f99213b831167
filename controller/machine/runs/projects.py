"""PURE. A project's environment: what its key covers, and what it is built from."""

from collections.abc import Iterable, Mapping
from typing import Any

from controller.machine.runs.attempt import Recipe
from controller.machine.runs.graph import SourceTree
from specs.digests import digest
from specs.model import Pipeline
from specs.projects.values import Project


def project_of(spec: Pipeline, source: SourceTree) -> dict[str, Any]:
    """What a project's environment depends on; empty for a spec without a project."""
    project = source.project
    if spec.environment.project is None or project is None:
        return {}
    return {"locked": _locked(spec, source, project), "packages": _packages(source, project)}


def recipe_of(spec: Pipeline, source: SourceTree) -> Recipe | None:
    """What a project's environment is built from; None for a spec without a project."""
    project, environment = source.project, spec.environment
    if environment.project is None or project is None:
        return None
    return Recipe(
        project=project,
        groups=environment.groups,
        extras=environment.extras,
        digest=digest(_locked(spec, source, project)),
        packages=digest(_packages(source, project)),
    )


def _locked(spec: Pipeline, source: SourceTree, project: Project) -> dict[str, Any]:
    return {
        "files": _files(source, (project.lock, *project.archives)),
        "groups": sorted(set(spec.environment.groups)),
        "extras": sorted(set(spec.environment.extras)),
    }


def _packages(source: SourceTree, project: Project) -> dict[str, Any]:
    return {
        one.folder: {"about": one.about, "files": _files(source, one.files)}
        for one in project.packages
    }


def _files(source: SourceTree, paths: Iterable[str]) -> Mapping[str, str | None]:
    return {path: source.files.get(path) for path in paths}
