"""PURE. From the files of a commit to the environment that its spec asks for, and what is wrong.

The texts that it takes are asked for as it goes: `wanted` names those that are still lacking.
"""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from specs.loading.explain import nearest
from specs.loading.tree import conflict_message
from specs.model import Environment
from specs.projects.conda import read_conda
from specs.projects.found import Found
from specs.projects.listed import Line, faults
from specs.projects.packages import package_at
from specs.projects.paths import below, has_credentials, joined
from specs.projects.poetry import read_poetry
from specs.projects.pylock import read_pylock
from specs.projects.uv import read_uv
from specs.projects.values import LOCKS, Package, Project, Trouble

MOST_BYTES: Final = 8 * 2**20
"""Of one file that is read."""
MANIFEST: Final = "pyproject.toml"


class Asked(NamedTuple):
    """What is looked at. Paths begin at the repository's root."""

    environment: Environment
    folder: str
    """The spec's."""
    files: Collection[str]
    texts: Mapping[str, str | None]
    """Those that were read; None for a file that is no text, or too long."""
    python: str
    """The controller's own version."""


class Survey(NamedTuple):
    """What was found."""

    wanted: frozenset[str] = frozenset()
    """Files whose texts are needed to say more; the rest is nothing before they are there."""
    troubles: tuple[Trouble, ...] = ()
    lines: tuple[Line, ...] = ()
    """Of the requirements file."""
    project: Project | None = None


class _LackingError(Exception):
    """Files have to be read first."""

    def __init__(self, *paths: str) -> None:
        super().__init__(*paths)
        self.paths = frozenset(paths)


class _WrongError(Exception):
    """Nothing more can be said."""


def survey(asked: Asked) -> Survey:
    """Look at the environment; never raises."""
    try:
        return _survey(asked)
    except _LackingError as lacking:
        return Survey(wanted=lacking.paths)


def _survey(asked: Asked) -> Survey:
    environment = asked.environment
    troubles = list(_excluded(environment))
    if environment.project is None:
        path = environment.requirements
        file = _within(asked.folder, path) if path else None
        lines = _listed(asked, file, path or "") if file and file in asked.files else ()
        return Survey(troubles=tuple(troubles), lines=tuple(lines))
    place = _within(asked.folder, environment.project)
    lock, kind = _lock(asked, place)
    if lock is None:
        return Survey(troubles=(*troubles, _no_lock(asked, place)))
    found = Found(lock.rpartition("/")[0], lock)
    project = None
    try:
        project = _project(asked, place, found, LOCKS[kind])
    except _WrongError as wrong:
        found.wrong(str(wrong))
    except (AttributeError, KeyError, TypeError, ValueError):
        found.wrong(f"{lock} is not of the form that its version says: lock again")
    unique = tuple(dict.fromkeys((*troubles, *found.troubles)))
    return Survey(troubles=unique, project=project)


def _listed(asked: Asked, file: str, path: str) -> Iterator[Line]:
    """What is wrong with a requirements file, which the spec calls `path`."""
    text = _text(asked, file)
    if text is None:
        most = f"{MOST_BYTES >> 20} MiB"
        message = f"{path} cannot be read: save it as UTF-8 text of no more than {most}"
        yield Line(1, message, is_error=True, code="encoding")
        return
    yield from faults(text, path)


def _excluded(environment: Environment) -> Iterator[Trouble]:
    if environment.project is not None and environment.requirements is not None:
        message = "`project` and `requirements` exclude each other: the project's lock says all"
        yield Trouble("requirements", "two-environments", message)
    for key in ("groups", "extras"):
        if environment.project is None and getattr(environment, key):
            yield Trouble(key, "no-effect", f"`{key}` are those of a `project`, and there is none")


def _within(folder: str, path: str) -> str:
    if path.startswith("//"):
        return path[2:]
    return joined(folder, path) or ""


def _lock(asked: Asked, place: str) -> tuple[str | None, str]:
    """The lock of the project, and the name of such files; that of a workspace of uv may stand
    in a folder above."""
    for name in LOCKS:
        if (path := below(place, name)) in asked.files:
            return path, name
    above = place if below(place, MANIFEST) in asked.files else ""
    while above:
        above = above.rpartition("/")[0]
        if (path := below(above, "uv.lock")) in asked.files:
            return path, "uv.lock"
    return None, ""


def _no_lock(asked: Asked, place: str) -> Trouble:
    manifest = below(place, MANIFEST)
    if manifest in asked.files:
        message = f"{manifest} has no lock, so every build may be another: run `uv lock` there and "
        return Trouble("project", "no-lock", f"{message}commit uv.lock (poetry.lock does, too)")
    where = place or "the top of the repository"
    message = f"there is no {MANIFEST} with a lock, and no pylock.toml or environment.yml, in "
    near = nearest(manifest, [path for path in asked.files if path.endswith(MANIFEST)])
    return Trouble("project", "missing-file", message + where, nearest=near)


def _project(asked: Asked, place: str, found: Found, kind: str) -> Project:
    environment, manifests = asked.environment, []
    groups, extras = environment.groups, environment.extras
    path = below(place, MANIFEST)
    manifest = _toml(asked, path) if path in asked.files else {}
    _indexes(manifest, found)
    if kind == "conda":
        read_conda(_text(asked, found.lock) or "", groups, extras, found)
    else:
        lock = _toml(asked, found.lock)
        if kind == "pylock":
            read_pylock(lock, groups, extras, found)
        elif path not in asked.files:
            raise _WrongError(f"there is no {path} beside {found.lock}: commit it, too")
        elif kind == "poetry":
            read_poetry(lock, manifest, groups, extras, found)
        else:
            read_uv(lock, manifest, place, groups, extras, found)
            manifests = [path, *([p] if (p := below(found.at, MANIFEST)) in asked.files else [])]
        _python(asked, manifest, lock, found)
    return Project(
        folder=place,
        lock=found.lock,
        kind=LOCKS[found.lock.rpartition("/")[2]],
        manifests=tuple(dict.fromkeys(manifests)),
        packages=tuple(_packages(asked, found)),
        archives=tuple(sorted({each for each in found.archives if _is_there(asked, each, found)})),
    )


def _packages(asked: Asked, found: Found) -> Iterator[Package]:
    """The packages of the repository, each read as it says that it is built."""
    manifests = {folder: below(folder, MANIFEST) for folder in sorted(found.folders)}
    there = [path for path in manifests.values() if path in asked.files]
    if lacking := [path for path in there if path not in asked.texts]:
        raise _LackingError(*lacking)
    for folder, path in manifests.items():
        name = found.folders[folder]
        if path in asked.files:
            yield package_at(folder, name, _toml(asked, path), asked.files)
        elif below(folder, "setup.py") in asked.files:
            yield package_at(folder, name, {}, asked.files)
        else:
            found.wrong(
                f"{found.lock} names the package in {folder or 'the top of the repository'}, and "
                f"there is no {path}: commit it, or lock again",
                code="missing-file",
            )


def _is_there(asked: Asked, path: str, found: Found) -> bool:
    if path not in asked.files:
        message = f"{found.lock} names {path}, which is not there: commit it, or lock again"
        found.wrong(message, code="missing-file")
    return path in asked.files


def _python(
    asked: Asked, manifest: Mapping[str, Any], lock: Mapping[str, Any], found: Found
) -> None:
    """Whether the project can be used with the Python that it is built with."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    own = manifest.get("tool", {}).get("poetry", {}).get("dependencies", {}).get("python", "")
    said = manifest.get("project", {}).get("requires-python") or lock.get("requires-python")
    wanted = str(said or ("" if "^" in str(own) else own) or "")
    python = asked.environment.python
    try:
        allowed = SpecifierSet(wanted)
    except InvalidSpecifier:
        return
    version = python or asked.python
    # 3.11 is any of its patches, and which is not known here.
    if any(allowed.contains(f"{version}{patch}") for patch in ("", ".0", ".99")):
        return
    if python is not None:
        message = f"the project requires Python {wanted}, and `environment.python` is {python}"
        found.troubles.append(Trouble("python", "python", message))
        return
    message = (
        f"the project requires Python {wanted}, and without `environment.python` it is the "
        f'controller\'s own, which is {version} here: say which, such as `python: "3.12"`'
    )
    found.troubles.append(Trouble("project", "python", message, is_error=False, elsewhere=True))


def _indexes(manifest: Mapping[str, Any], found: Found) -> None:
    """The addresses of indexes in the project's own settings."""
    tools = manifest.get("tool", {})
    uv, poetry = tools.get("uv", {}), tools.get("poetry", {})
    listed = [*uv.get("index", ()), *uv.get("extra-index-url", ()), uv.get("index-url", "")]
    listed += [*uv.get("find-links", ()), *poetry.get("source", ())]
    for each in listed:
        address = str(each.get("url", "")) if isinstance(each, Mapping) else str(each)
        if has_credentials(address):
            found.index(address)


def _toml(asked: Asked, path: str) -> dict[str, Any]:
    text = _text(asked, path)
    if text is None:
        raise _WrongError(f"{path} is no text, or of more than {MOST_BYTES >> 20} MiB")
    if (message := conflict_message(text)) is not None:
        raise _WrongError(f"{path}: {message}")
    try:
        return _parsed(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _WrongError(f"{path} is not TOML: {error}") from None


@lru_cache(maxsize=8)
def _parsed(text: str) -> dict[str, Any]:
    """A lock is long, and asked for more than once; nobody changes what is read."""
    return tomllib.loads(text)


def _text(asked: Asked, path: str) -> str | None:
    if path not in asked.texts:
        raise _LackingError(path)
    return asked.texts[path]
