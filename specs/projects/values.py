"""A project's environment at a commit, as values."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

LockKind = Literal["uv", "poetry", "pylock", "conda"]

LockEntry = Mapping[str, Any]
"""A table of a lock, such as a package."""

LOCKS: dict[str, LockKind] = {
    "uv.lock": "uv",
    "poetry.lock": "poetry",
    "pylock.toml": "pylock",
    "environment.yml": "conda",
    "environment.yaml": "conda",
}
"""The kinds of lock by file name; if a folder has several, the first is used."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Package(_Value):
    """A package of the repository to install. Paths are relative to the repository's root."""

    folder: str
    name: str
    """Its name in the lock."""
    files: tuple[str, ...]
    """The files that it is built from, except its pyproject.toml."""
    about: str
    """The digest of the parts of its pyproject.toml that can affect the build."""


class Project(_Value):
    """`environment.project` at a commit. Paths are relative to the repository's root."""

    folder: str
    lock: str
    kind: LockKind
    manifests: tuple[str, ...] = ()
    """The pyproject.toml files that a uv.lock depends on."""
    packages: tuple[Package, ...] = ()
    archives: tuple[str, ...] = ()
    """Wheels and other archives of the repository that the lock names."""


class EnvironmentProblem(NamedTuple):
    """A problem with the environment, and the key that it belongs to."""

    key: str
    """The key in the spec: `project`, `groups` ..."""
    code: str
    message: str
    is_error: bool = True
    nearest: str | None = None
    elsewhere: bool = False
    """Whether it depends on the machine, and so is an error only on the controller."""
