"""PURE. Reading a poetry.lock, and converting it to a requirements file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from specs.projects.lock_reading import LockReading, group, requirements
from specs.projects.names import canonical
from specs.projects.values import LockEntry

READABLE: Final = re.compile(r"2\.[1-9]\d*")
"""The versions of the format that list the groups of each package."""
_EXTRA: Final = re.compile(r"extra\s*==\s*[\"']([^\"']*)[\"']")
_ALWAYS, _NEVER = 'python_version >= "0"', 'python_version < "0"'


def read_poetry(
    lock: LockEntry,
    manifest: LockEntry,
    groups: Sequence[str],
    extras: Sequence[str],
    reading: LockReading,
) -> None:
    """Read the lock, which is beside the pyproject.toml `manifest`, into `reading`."""
    version = str(lock.get("metadata", {}).get("lock-version"))
    if READABLE.fullmatch(version) is None:
        reading.wrong(
            f"{reading.lock} is in format version {version}; Headgate reads 2.1, which `poetry "
            "lock` of Poetry 2 writes",
            code="lock-version",
        )
        return
    own = manifest.get("tool", {}).get("poetry", {})
    known = {*manifest.get("dependency-groups", {}), *own.get("group", {})}
    reading.unknown("groups", groups, known)
    optional = manifest.get("project", {}).get("optional-dependencies", {})
    reading.unknown("extras", extras, {*optional, *own.get("extras", {})})
    reading.stale(_lacks(lock, manifest, groups), "poetry lock")
    for package in chosen(lock, groups):
        _source(package, reading)
    has_code = own.get("package-mode", True) and ("build-system" in manifest)
    if has_code:
        reading.local("the project", ".", folder=True)


def chosen(lock: LockEntry, groups: Sequence[str]) -> Iterator[LockEntry]:
    """The packages of the main group and of the given groups."""
    wanted = {"main", *map(canonical, groups)}
    for package in lock.get("package", []):
        if wanted & {canonical(each) for each in package.get("groups", ("main",))}:
            yield package


def as_requirements(
    lock: LockEntry, groups: Sequence[str], extras: Sequence[str], folder: str = ""
) -> str:
    """A line for each package of the lock, pinned, with its marker and hashes, except for packages
    of the repository. `folder` is the address of the lock's folder, for archives."""
    lines: list[str] = []
    indexes: dict[str, None] = {}
    public = False
    wanted = {"main", *map(canonical, groups)}
    for package in chosen(lock, groups):
        source = package.get("source", {})
        kind = source.get("type")
        if kind == "directory":
            continue
        if kind == "legacy":
            indexes[str(source["url"])] = None
        public = public or kind is None
        marker = _marker(package, wanted, {canonical(each) for each in extras})
        hashes = [f"--hash={file['hash']}" for file in package.get("files", ()) if file.get("hash")]
        lines.append(
            " ".join([_named(package, folder), *([f"; {marker}"] if marker else []), *hashes])
        )
    options = [f"--extra-index-url {url}" for url in indexes]
    if options and not public:
        options[0] = options[0].replace("--extra-index-url", "--index-url")
    return "".join(f"{line}\n" for line in [*options, *lines])


def _named(package: LockEntry, folder: str) -> str:
    name, source = package["name"], package.get("source", {})
    match source.get("type"):
        case "git":
            inside = f"#subdirectory={source['subdirectory']}" if "subdirectory" in source else ""
            return f"{name} @ git+{source['url']}@{source['resolved_reference']}{inside}"
        case "url":
            return f"{name} @ {source['url']}"
        case "file":
            return f"{name} @ {folder}/{source['url']}"
    return f"{name}=={package['version']}"


def _marker(package: LockEntry, groups: set[str], extras: set[str]) -> str:
    """The marker for the package, with the conditions on extras replaced by true or false."""
    markers = package.get("markers", "")
    if isinstance(markers, Mapping):  # one for each group; a group without one always installs it
        asked = groups & {canonical(each) for each in package.get("groups", ())}
        each = [markers.get(name, "") for name in sorted(asked)]
        markers = " or ".join(f"({one})" for one in each) if all(each) else ""

    def answer(match: re.Match[str]) -> str:
        return _ALWAYS if canonical(match[1]) in extras else _NEVER

    return _EXTRA.sub(answer, markers)


def _lacks(lock: LockEntry, manifest: LockEntry, groups: Sequence[str]) -> Iterator[str]:
    """Requirements that are not locked, or are locked at a version that does not match."""
    locked: dict[str, list[LockEntry]] = {}
    for package in lock.get("package", []):
        locked.setdefault(canonical(str(package.get("name"))), []).append(package)
    asked = requirements(manifest.get("project", {}).get("dependencies"))
    for more in manifest.get("project", {}).get("optional-dependencies", {}).values():
        asked |= requirements(more)
    for name in groups:
        asked |= requirements(group(manifest, name))
    for text, one in asked.items():
        versions = [str(each["version"]) for each in locked.get(canonical(one.name), ())]
        if not any(one.specifier.contains(each, prereleases=True) for each in versions):
            yield text
    own = manifest.get("tool", {}).get("poetry", {})
    tables = [own, *(own.get("group", {}).get(name, {}) for name in groups)]
    names = (name for table in tables for name in table.get("dependencies", {}))
    yield from (n for n in names if n != "python" and canonical(n) not in locked)


def _source(package: LockEntry, reading: LockReading) -> None:
    source, name = package.get("source", {}), str(package.get("name"))
    address = str(source.get("url", ""))
    match source.get("type"):
        case "directory":
            reading.local(name, address, folder=True)
        case "file":
            reading.local(name, address, folder=False)
        case "legacy":
            reading.index(address)
        case "git":
            reading.remote(name, address, hashed=bool(source.get("resolved_reference")))
            reading.warn(
                f"{name} comes from git: the controller needs git, has to reach that repository, "
                "and builds the package"
            )
        case "url":
            hashed = any("hash" in file for file in package.get("files", ()))
            reading.remote(name, address, hashed=hashed)
