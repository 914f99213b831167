"""The results of reading a lock."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from specs.loading.explain import nearest, one_of
from specs.projects.names import canonical
from specs.projects.paths import bare, has_credentials, joined
from specs.projects.values import EnvironmentProblem

if TYPE_CHECKING:
    from packaging.requirements import Requirement

MOST_NAMES = 3
"""The most names in a message."""


@dataclass
class LockReading:
    """The problems of a lock in the folder `at`, and the parts of the repository that it names."""

    at: str
    lock: str
    """The path of the lock, for messages."""
    problems: list[EnvironmentProblem] = field(default_factory=list)
    folders: dict[str, str] = field(default_factory=dict)
    """The folders of packages in the repository, with the packages' names."""
    archives: list[str] = field(default_factory=list)
    """Wheels and other archives in the repository."""

    def wrong(self, message: str, *, key: str = "project", code: str = "environment") -> None:
        """Add an error."""
        self.problems.append(EnvironmentProblem(key, code, message))

    def warn(self, message: str, *, code: str = "unpinned") -> None:
        """Add a warning."""
        self.problems.append(EnvironmentProblem("project", code, message, is_error=False))

    def stale(self, lacks: Iterable[str], fix: str) -> None:
        """Add an error if the lock lacks anything that pyproject.toml asks for."""
        names = sorted(set(lacks))
        if names:
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            self.wrong(
                f"{self.lock} is out of date with pyproject.toml, which differs in "
                f"{', '.join(names[:MOST_NAMES])}{more}: run `{fix}` and commit the result",
                code="stale-lock",
            )

    def unknown(self, key: str, names: Sequence[str], known: Collection[str]) -> None:
        """Add an error for each group or extra that the project does not have."""
        has = sorted(known)
        for name in names:
            if canonical(name) not in {canonical(each) for each in has}:
                what = key.removesuffix("s")
                expected = f"; expected {one_of(has)}" if has else f", nor any other {key}"
                message = f"the project has no {what} `{name}`{expected}"
                near = nearest(name, has)
                self.problems.append(
                    EnvironmentProblem(key, "unknown-reference", message, nearest=near)
                )

    def local(self, name: str, path: str, *, folder: bool) -> None:
        """A package that the lock names by its path, relative to the lock."""
        inside = joined(self.at, path)
        if inside is None:
            self.wrong(
                f"{name} is at {path}, outside this repository: a controller only has committed "
                "files; move it here, or publish it",
                code="outside",
            )
        elif folder:
            self.folders[inside] = name
        else:
            self.archives.append(inside)

    def remote(self, name: str, address: str, *, hashed: bool) -> None:
        """A package that the lock names by its address."""
        self.index(address)
        if not hashed:
            self.warn(
                f"{name} comes from {bare(address)} without a hash in {self.lock}: the controller "
                "has to reach that address, and cannot verify the content"
            )

    def index(self, address: str) -> None:
        """The address of an index, which everybody who can read the repository can see."""
        if has_credentials(address):
            self.wrong(
                f"the address {bare(address)} has a password or a token in the repository: revoke "
                "it, remove it, lock again, and set UV_INDEX, with the new one, in the "
                "controller's environment",
                code="credentials",
            )


def requirements(texts: Any) -> dict[str, "Requirement"]:
    """The requirements in a list, by their text; invalid ones are left out."""
    from packaging.requirements import InvalidRequirement, Requirement

    found = {}
    for text in texts if isinstance(texts, list) else ():
        try:
            found[str(text)] = Requirement(str(text))
        except InvalidRequirement:
            continue
    return found


def group(manifest: Mapping[str, Any], name: str, seen: tuple[str, ...] = ()) -> list[Any]:
    """The requirements of a dependency group and of the groups that it includes."""
    wanted = canonical(name)
    groups = manifest.get("dependency-groups", {})
    entries: Sequence[Any] = next((v for k, v in groups.items() if canonical(k) == wanted), [])
    found: list[Any] = []
    for entry in entries if wanted not in seen else ():
        if isinstance(entry, Mapping):
            found += group(manifest, str(entry.get("include-group", "")), (*seen, wanted))
        else:
            found.append(entry)
    return found
