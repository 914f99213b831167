"""A project's environment as values: what a lock at a commit stands for."""

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
"""By file name; where a folder has several, the first is taken."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Package(_Value):
    """A package of the repository that is installed. Paths begin at the repository's root."""

    folder: str
    name: str
    """What the lock calls it."""
    files: tuple[str, ...]
    """What it is built from, but for its pyproject.toml."""
    about: str
    """The digest of what its pyproject.toml says that can change what is built."""


class Project(_Value):
    """What `environment.project` is at a commit. Paths begin at the repository's root."""

    folder: str
    lock: str
    kind: LockKind
    manifests: tuple[str, ...] = ()
    """The files of pyproject.toml that a lock of uv is read with."""
    packages: tuple[Package, ...] = ()
    archives: tuple[str, ...] = ()
    """Wheels and other archives of the repository that the lock names."""


class EnvironmentProblem(NamedTuple):
    """What is wrong with the environment, and with which of its keys."""

    key: str
    """`project`, `groups` ...: where the spec says it."""
    code: str
    message: str
    is_error: bool = True
    nearest: str | None = None
    elsewhere: bool = False
    """Whether it depends on the machine: an error on the controller's only."""
