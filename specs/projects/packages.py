"""PURE. The files that a package of the repository is built from.

It is built from a copy of exactly these files, so a step can only import files that are part of its
cache key, whatever else is in the package's folder.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from specs.digests import digest
from specs.path_index import Paths
from specs.projects.paths import below, joined
from specs.projects.values import Package

_BUILD_FILES: Final = re.compile(
    r"setup\.py|setup\.cfg|MANIFEST\.in|(LICEN[CS]E|COPYING|NOTICE)[^/]*|hatch_build\.py|build\.py|"
    r"CMakeLists\.txt|Cargo\.(toml|lock)|build\.rs|meson\.build|[^/]*\.(pyx|pxd)"
)
"""Files of the build beside the sources, at the top level of a package's folder."""
_IDLE_TOOLS: Final = {
    *("bandit", "basedpyright", "black", "codespell", "commitizen", "coverage", "deptry", "flake8"),
    *("interrogate", "isort", "mypy", "nox", "pixi", "poe", "pydocstyle", "pylint", "pyright"),
    *("pytest", "ruff", "taskipy", "towncrier", "tox", "ty", "vulture"),
}
"""Tables of `[tool]` that do not affect how a package is built."""


def package_at(folder: str, name: str, manifest: Mapping[str, Any], files: Paths) -> Package:
    """The package with the pyproject.toml `manifest`; `files` are the repository's files."""
    prefix = below(folder, "")
    inside = {path[len(prefix) :]: path for path in files.below(folder)}
    roots = tuple(_roots(manifest, inside))
    found = (
        path
        for way, path in sorted(inside.items())
        if way != "pyproject.toml"
        and (_BUILD_FILES.fullmatch(way) or any(_is_in(way, root) for root in roots))
    )
    about = digest(_relevant(manifest))
    return Package(folder=folder, name=name, files=tuple(found), about=about)


def readmes(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths of the readme files, which a build needs although it does not install them."""
    readme = _table(manifest, "project").get("readme")
    if isinstance(readme, Mapping):
        readme = readme.get("file")
    more = _table(manifest, "tool", "poetry").get("readme")
    named = [readme, *(more if isinstance(more, list) else [more])]
    return tuple(each for each in named if isinstance(each, str) and joined("", each))


def _roots(manifest: Mapping[str, Any], inside: Collection[str]) -> Iterator[str]:
    """Files and folders with sources: those that the build's settings name, and `src` or, without
    it, the module with the package's name or, without that, all importable packages."""
    yield from (name for name in _named(_tools(manifest)) if any(_is_in(p, name) for p in inside))
    yield from _backend(_table(manifest, "build-system"))
    tops = {path.partition("/")[0] for path in inside}
    if "src" in tops:
        yield "src"
        return
    name = str(_table(manifest, "project").get("name") or _poetry_name(manifest))
    module = re.sub(r"[-.]+", "_", name)
    own = {top for top in tops if top.lower() in (module.lower(), f"{module.lower()}.py")}
    yield from own or {top for top in tops if f"{top}/__init__.py" in inside and top != "tests"}


def _backend(system: Mapping[str, Any]) -> Iterator[str]:
    """The files of the build backend, if it is part of the package."""
    module = str(system.get("build-backend", "")).partition(":")[0].partition(".")[0]
    for path in system.get("backend-path", ()):
        for name in (module, f"{module}.py"):
            if found := joined("", f"{path}/{name}"):
                yield found


def _poetry_name(manifest: Mapping[str, Any]) -> str:
    return str(_table(manifest, "tool", "poetry").get("name", ""))


def _tools(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The tables that may affect how the package is built."""
    found = {k: v for k, v in _table(manifest, "tool").items() if k not in _IDLE_TOOLS}
    if "uv" in found:
        found["uv"] = {"build-backend": _table(manifest, "tool", "uv").get("build-backend", {})}
    return found


def _relevant(manifest: Mapping[str, Any]) -> Any:
    """The parts of it that can affect the build, as JSON, which has no times as TOML does."""
    parts = {name: manifest.get(name) for name in ("build-system", "project")}
    return _plain({**parts, "tool": _tools(manifest)})


def _named(value: Any) -> Iterator[str]:
    """Possible paths among all texts and keys of a value; only the files tell which are paths."""
    texts: Iterable[Any] = ()
    if isinstance(value, Mapping):
        yield from (path for key in value if (path := joined("", str(key))))
        texts = value.values()
    elif isinstance(value, list):
        texts = value
    elif isinstance(value, str) and (path := joined("", value.partition("*")[0])):
        yield path
    for each in texts:
        yield from _named(each)


def _is_in(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _table(value: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        inner = value.get(key)
        value = inner if isinstance(inner, Mapping) else {}
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
