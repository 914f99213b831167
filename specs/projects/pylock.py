"""PURE. Reading a pylock.toml (PEP 751)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from specs.projects.lock_reading import LockReading

READABLE: Final = "1."
"""The prefix of the versions of the format that Headgate reads."""


def read_pylock(
    lock: Mapping[str, Any], groups: Sequence[str], extras: Sequence[str], reading: LockReading
) -> None:
    """Read the lock into `reading`."""
    version = str(lock.get("lock-version"))
    if not version.startswith(READABLE):
        reading.wrong(
            f"{reading.lock} is in format version {version}; Headgate reads 1.0",
            code="lock-version",
        )
        return
    reading.unknown("groups", groups, lock.get("dependency-groups", ()))
    reading.unknown("extras", extras, lock.get("extras", ()))
    for package in lock.get("packages", []):
        name = str(package.get("name"))
        if "index" in package:
            reading.index(str(package["index"]))
        if "directory" in package:
            reading.local(name, str(package["directory"].get("path", ".")), folder=True)
        if "vcs" in package:
            address = str(package["vcs"].get("url", package["vcs"].get("path", "")))
            reading.remote(name, address, hashed=bool(package["vcs"].get("commit-id")))
            reading.warn(
                f"{name} comes from {package['vcs'].get('type')}: the controller has to reach that "
                "repository, and builds the package"
            )
        files = [package.get("archive"), package.get("sdist"), *package.get("wheels", ())]
        for file in filter(None, files):
            if "path" in file and "url" not in file:
                reading.local(name, str(file["path"]), folder=False)
            else:
                reading.remote(name, str(file.get("url", "")), hashed=bool(file.get("hashes")))
