"""PURE. From the files of a commit to the environment that its spec asks for, and its problems.

The survey is repeated as texts become available: `wanted` names the files that it needs next.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from specs.loading.explain import nearest
from specs.loading.tree import conflict_message
from specs.model import Environment
from specs.path_index import Paths
from specs.projects.conda import read_conda
from specs.projects.listed import LineProblem, faults
from specs.projects.lock_reading import LockReading
from specs.projects.packages import package_at
from specs.projects.paths import below, has_credentials, joined
from specs.projects.poetry import read_poetry
from specs.projects.pylock import read_pylock
from specs.projects.uv import read_uv
from specs.projects.values import LOCKS, EnvironmentProblem, Package, Project

MOST_BYTES: Final = 8 * 2**20
"""The largest file that is read."""
MANIFEST: Final = "pyproject.toml"


class SurveyRequest(NamedTuple):
    """The input of a survey. Paths are relative to the repository's root."""

    environment: Environment
    folder: str
    """The spec's folder."""
    files: Paths
    texts: Mapping[str, str | None]
    """The files read so far; None for a file that is not text or is too large."""
    python: str
    """The version of the controller's own Python."""


class Survey(NamedTuple):
    """The result of a survey."""

    wanted: frozenset[str] = frozenset()
    """Files that have to be read first; until then, the other fields are empty."""
    problems: tuple[EnvironmentProblem, ...] = ()
    lines: tuple[LineProblem, ...] = ()
    """The problems of the requirements file."""
    project: Project | None = None


class _LackingError(Exception):
    """Some files have to be read first."""

    def __init__(self, *paths: str) -> None:
        super().__init__(*paths)
        self.paths = frozenset(paths)


class _WrongError(Exception):
    """The project cannot be read any further."""


def survey(request: SurveyRequest) -> Survey:
    """Survey the environment; never raises."""
    try:
        return _survey(request)
    except _LackingError as lacking:
        return Survey(wanted=lacking.paths)


def _survey(request: SurveyRequest) -> Survey:
    environment = request.environment
    problems = list(_excluded(environment))
    if environment.project is None:
        path = environment.requirements
        file = _within(request.folder, path) if path else None
        lines = _listed(request, file, path or "") if file and file in request.files else ()
        return Survey(problems=tuple(problems), lines=tuple(lines))
    place = _within(request.folder, environment.project)
    lock, kind = _lock(request, place)
    if lock is None:
        return Survey(problems=(*problems, _no_lock(request, place)))
    reading = LockReading(lock.rpartition("/")[0], lock)
    project = None
    try:
        project = _project(request, place, reading, LOCKS[kind])
    except _WrongError as wrong:
        reading.wrong(str(wrong))
    except (AttributeError, KeyError, TypeError, ValueError):
        reading.wrong(f"{lock} does not follow its format version: lock again")
    unique = tuple(dict.fromkeys((*problems, *reading.problems)))
    return Survey(problems=unique, project=project)


def _listed(request: SurveyRequest, file: str, path: str) -> Iterator[LineProblem]:
    """The problems of a requirements file; `path` is its path in the spec."""
    text = _text(request, file)
    if text is None:
        most = f"{MOST_BYTES >> 20} MiB"
        message = f"{path} cannot be read: save it as UTF-8 text of no more than {most}"
        yield LineProblem(1, message, is_error=True, code="encoding")
        return
    yield from faults(text, path)


def _excluded(environment: Environment) -> Iterator[EnvironmentProblem]:
    if environment.project is not None and environment.requirements is not None:
        message = "`project` and `requirements` exclude each other: the project's lock has "
        "everything"
        yield EnvironmentProblem("requirements", "two-environments", message)
    for key in ("groups", "extras"):
        if environment.project is None and getattr(environment, key):
            yield EnvironmentProblem(
                key, "no-effect", f"`{key}` needs a `project`, and there is none"
            )


def _within(folder: str, path: str) -> str:
    if path.startswith("//"):
        return path[2:]
    return joined(folder, path) or ""


def _lock(request: SurveyRequest, place: str) -> tuple[str | None, str]:
    """The path and the file name of the project's lock, which for a uv workspace may be in a
    parent folder."""
    for name in LOCKS:
        if (path := below(place, name)) in request.files:
            return path, name
    above = place if below(place, MANIFEST) in request.files else ""
    while above:
        above = above.rpartition("/")[0]
        if (path := below(above, "uv.lock")) in request.files:
            return path, "uv.lock"
    return None, ""


def _no_lock(request: SurveyRequest, place: str) -> EnvironmentProblem:
    manifest = below(place, MANIFEST)
    if manifest in request.files:
        message = f"{manifest} has no lock, so every build may differ: run `uv lock` there and "
        return EnvironmentProblem(
            "project", "no-lock", f"{message}commit uv.lock (or use poetry.lock)"
        )
    where = place or "the root of the repository"
    message = f"there is no {MANIFEST} with a lock, and no pylock.toml or environment.yml, in "
    near = nearest(manifest, [path for path in request.files.below("") if path.endswith(MANIFEST)])
    return EnvironmentProblem("project", "missing-file", message + where, nearest=near)


def _project(request: SurveyRequest, place: str, reading: LockReading, kind: str) -> Project:
    environment, manifests = request.environment, []
    groups, extras = environment.groups, environment.extras
    path = below(place, MANIFEST)
    manifest = _toml(request, path) if path in request.files else {}
    _indexes(manifest, reading)
    if kind == "conda":
        read_conda(_text(request, reading.lock) or "", groups, extras, reading)
    else:
        lock = _toml(request, reading.lock)
        if kind == "pylock":
            read_pylock(lock, groups, extras, reading)
        elif path not in request.files:
            raise _WrongError(f"there is no {path} beside {reading.lock}: commit it as well")
        elif kind == "poetry":
            read_poetry(lock, manifest, groups, extras, reading)
        else:
            read_uv(lock, manifest, place, groups, extras, reading)
            manifests = [
                path,
                *([p] if (p := below(reading.at, MANIFEST)) in request.files else []),
            ]
        _python(request, manifest, lock, reading)
    return Project(
        folder=place,
        lock=reading.lock,
        kind=LOCKS[reading.lock.rpartition("/")[2]],
        manifests=tuple(dict.fromkeys(manifests)),
        packages=tuple(_packages(request, reading)),
        archives=tuple(
            sorted({each for each in reading.archives if _is_there(request, each, reading)})
        ),
    )


def _packages(request: SurveyRequest, reading: LockReading) -> Iterator[Package]:
    """The packages of the repository, each read by its own build settings."""
    manifests = {folder: below(folder, MANIFEST) for folder in sorted(reading.folders)}
    there = [path for path in manifests.values() if path in request.files]
    if lacking := [path for path in there if path not in request.texts]:
        raise _LackingError(*lacking)
    for folder, path in manifests.items():
        name = reading.folders[folder]
        if path in request.files:
            yield package_at(folder, name, _toml(request, path), request.files)
        elif below(folder, "setup.py") in request.files:
            yield package_at(folder, name, {}, request.files)
        else:
            reading.wrong(
                f"{reading.lock} names the package in {folder or 'the root of the repository'}, "
                f"but there is no {path}: commit it, or lock again",
                code="missing-file",
            )


def _is_there(request: SurveyRequest, path: str, reading: LockReading) -> bool:
    if path not in request.files:
        message = f"{reading.lock} names {path}, which is missing: commit it, or lock again"
        reading.wrong(message, code="missing-file")
    return path in request.files


def _python(
    request: SurveyRequest,
    manifest: Mapping[str, Any],
    lock: Mapping[str, Any],
    reading: LockReading,
) -> None:
    """Check that the project supports the Python version of its environment."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    own = manifest.get("tool", {}).get("poetry", {}).get("dependencies", {}).get("python", "")
    said = manifest.get("project", {}).get("requires-python") or lock.get("requires-python")
    wanted = str(said or ("" if "^" in str(own) else own) or "")
    python = request.environment.python
    try:
        allowed = SpecifierSet(wanted)
    except InvalidSpecifier:
        return
    version = python or request.python
    # 3.11 may be any of its patch releases; which one is not known here.
    if any(allowed.contains(f"{version}{patch}") for patch in ("", ".0", ".99")):
        return
    if python is not None:
        message = f"the project requires Python {wanted}, but `environment.python` is {python}"
        reading.problems.append(EnvironmentProblem("python", "python", message))
        return
    message = (
        f"the project requires Python {wanted}, and without `environment.python` it gets the "
        f'controller\'s own, which is {version} here: set it, such as `python: "3.12"`'
    )
    reading.problems.append(
        EnvironmentProblem("project", "python", message, is_error=False, elsewhere=True)
    )


def _indexes(manifest: Mapping[str, Any], reading: LockReading) -> None:
    """Check the addresses of indexes in the project's settings."""
    tools = manifest.get("tool", {})
    uv, poetry = tools.get("uv", {}), tools.get("poetry", {})
    listed = [*uv.get("index", ()), *uv.get("extra-index-url", ()), uv.get("index-url", "")]
    listed += [*uv.get("find-links", ()), *poetry.get("source", ())]
    for each in listed:
        address = str(each.get("url", "")) if isinstance(each, Mapping) else str(each)
        if has_credentials(address):
            reading.index(address)


def _toml(request: SurveyRequest, path: str) -> dict[str, Any]:
    text = _text(request, path)
    if text is None:
        raise _WrongError(f"{path} is not text, or is larger than {MOST_BYTES >> 20} MiB")
    if (message := conflict_message(text)) is not None:
        raise _WrongError(f"{path}: {message}")
    try:
        return _parsed(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _WrongError(f"{path} is not TOML: {error}") from None


@lru_cache(maxsize=8)
def _parsed(text: str) -> dict[str, Any]:
    """Cached because a lock is large and is read more than once; callers must not change it."""
    return tomllib.loads(text)


def _text(request: SurveyRequest, path: str) -> str | None:
    if path not in request.texts:
        raise _LackingError(path)
    return request.texts[path]
