"""PURE. Reading a uv.lock: the project's local packages, and problems."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from specs.projects.lock_reading import LockReading, group, requirements
from specs.projects.names import canonical
from specs.projects.paths import joined
from specs.projects.values import LockEntry

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

READABLE: Final = 1
"""The version of the format that Headgate reads; its revisions only add to it."""
_SOURCED: Final = frozenset(("git", "url", "path", "directory", "editable", "virtual"))


_Said = tuple[str, frozenset[str], "SpecifierSet | None"]


def read_uv(
    lock: LockEntry,
    manifest: LockEntry,
    place: str,
    groups: Sequence[str],
    extras: Sequence[str],
    reading: LockReading,
) -> None:
    """Read the lock into `reading`. `manifest` is the pyproject.toml of the project at `place`."""
    if lock.get("version") != READABLE:
        reading.wrong(
            f"{reading.lock} is in format version {lock.get('version')}; Headgate reads version "
            f"{READABLE}: lock it with another uv",
            code="lock-version",
        )
        return
    packages: list[LockEntry] = lock.get("package", [])
    root = next((each for each in packages if _folder(each, reading.at) == place), None)
    if root is None:
        reading.wrong(
            f"{reading.lock} has no project at {place or 'the root of the repository'}: run "
            "`uv lock` there and commit the result",
            code="stale-lock",
        )
        return
    project = manifest.get("project", {})
    has_groups = manifest.get("dependency-groups", {})
    has_extras = project.get("optional-dependencies", {})
    reading.unknown("groups", groups, has_groups)
    reading.unknown("extras", extras, has_extras)
    reading.stale(_lacks(root, manifest, groups), "uv lock")
    for package in _reached(root, packages, groups, extras):
        _source(package, reading)


def _lacks(root: LockEntry, manifest: LockEntry, groups: Sequence[str]) -> Iterator[str]:
    """Requirements of the project that the lock does not have, or the reverse."""
    project, said = manifest.get("project", {}), root.get("metadata", {})
    if "dependencies" not in project.get("dynamic", ()):
        asked = list(requirements(project.get("dependencies")).values())
        for more in project.get("optional-dependencies", {}).values():
            asked += requirements(more).values()
        yield from _differing(asked, said.get("requires-dist", []))
    locked = {canonical(k): v for k, v in said.get("requires-dev", {}).items()}
    for name in groups:
        asked = list(requirements(group(manifest, name)).values())
        yield from _differing(asked, locked.get(canonical(name), []))


def _differing(asked: Sequence["Requirement"], locked: Sequence[LockEntry]) -> Iterator[str]:
    # For git, url and path sources, the lock does not repeat the version specifier.
    free = {str(each["name"]) for each in locked if _SOURCED & each.keys()}
    wants = {_asked(each, free): str(each) for each in asked}
    has = {_locked(each): str(each["name"]) for each in locked}
    yield from (wants[one] for one in wants.keys() - has.keys())
    lost = (has[one] for one in has.keys() - wants.keys())
    yield from (name for name in lost if name not in {one[0] for one in wants})


def _asked(one: "Requirement", free: set[str]) -> _Said:
    name = canonical(one.name)
    plain = name in free or one.url is not None or not one.specifier
    return name, frozenset(map(canonical, one.extras)), None if plain else one.specifier


def _locked(entry: LockEntry) -> _Said:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        specifier = SpecifierSet(str(entry.get("specifier", "")))
    except InvalidSpecifier:
        specifier = SpecifierSet()
    plain = bool(_SOURCED & entry.keys()) or not specifier
    return str(entry["name"]), frozenset(entry.get("extras", ())), None if plain else specifier


def _reached(
    root: LockEntry, packages: Sequence[LockEntry], groups: Sequence[str], extras: Sequence[str]
) -> Iterator[LockEntry]:
    """The packages that may be installed: the root and all that it depends on."""
    by_name: dict[str, list[LockEntry]] = {}
    for each in packages:
        by_name.setdefault(str(each.get("name")), []).append(each)
    dev = {canonical(k): v for k, v in root.get("dev-dependencies", {}).items()}
    waiting = [(root, "")]
    waiting += [(root, canonical(extra)) for extra in extras]
    waiting += _needed((d for g in groups for d in dev.get(canonical(g), ())), by_name)
    seen: set[tuple[int, str]] = set()
    while waiting:
        package, extra = waiting.pop()
        if (id(package), extra) in seen:
            continue
        if not any(one == id(package) for one, _ in seen):
            yield package
        seen.add((id(package), extra))
        more = package.get("optional-dependencies", {}).get(extra, ()) if extra else ()
        waiting += _needed([*package.get("dependencies", ()), *more], by_name)


def _needed(
    entries: Sequence[LockEntry] | Iterator[LockEntry], by_name: Mapping[str, list[LockEntry]]
) -> list[tuple[LockEntry, str]]:
    found = []
    for entry in entries:
        for package in by_name.get(str(entry.get("name")), ()):
            if entry.get("version") in (None, package.get("version")):
                found += [(package, extra) for extra in ("", *entry.get("extra", ()))]
    return found


def _folder(package: LockEntry, at: str) -> str | None:
    source = package.get("source", {})
    for kind in ("virtual", "editable", "directory"):
        if kind in source:
            return joined(at, str(source[kind]))
    return None


def _source(package: LockEntry, reading: LockReading) -> None:
    source, name = package.get("source", {}), str(package.get("name"))
    for kind in ("editable", "directory"):
        if kind in source:
            reading.local(name, str(source[kind]), folder=True)
    if "path" in source:
        reading.local(name, str(source["path"]), folder=False)
    if "registry" in source:
        _registry(name, str(source["registry"]), package, reading)
    if "git" in source:
        reading.remote(name, str(source["git"]), hashed="#" in str(source["git"]))
        reading.warn(
            f"{name} comes from git: the controller needs git, has to reach that repository, and "
            "builds the package"
        )
    if "url" in source:
        files = [*package.get("wheels", ()), package.get("sdist", {})]
        reading.remote(name, str(source["url"]), hashed=any("hash" in each for each in files))


def _registry(name: str, registry: str, package: LockEntry, reading: LockReading) -> None:
    if "://" in registry:
        reading.index(registry)
        return
    for file in [*package.get("wheels", ()), package.get("sdist", {})]:
        if "path" in file:
            reading.local(name, f"{registry}/{file['path']}", folder=False)
