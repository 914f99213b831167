"""What is gathered while a lock is read."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from specs.loading.explain import nearest, one_of
from specs.projects.names import canonical
from specs.projects.paths import bare, has_credentials, joined
from specs.projects.values import EnvironmentProblem

if TYPE_CHECKING:
    from packaging.requirements import Requirement

MOST_TOLD = 3
"""Names of one kind in a message."""


@dataclass
class LockReading:
    """Of a lock at `at`, a folder of the repository: what is wrong, and what it names of that."""

    at: str
    lock: str
    """Its path, for messages."""
    problems: list[EnvironmentProblem] = field(default_factory=list)
    folders: dict[str, str] = field(default_factory=dict)
    """Of packages of the repository, with their names."""
    archives: list[str] = field(default_factory=list)

    def wrong(self, message: str, *, key: str = "project", code: str = "environment") -> None:
        """An error."""
        self.problems.append(EnvironmentProblem(key, code, message))

    def warn(self, message: str, *, code: str = "unpinned") -> None:
        """A warning."""
        self.problems.append(EnvironmentProblem("project", code, message, is_error=False))

    def stale(self, lacks: Iterable[str], mend: str) -> None:
        """The lock lacks what pyproject.toml asks for."""
        names = sorted(set(lacks))
        if names:
            more = f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
            self.wrong(
                f"{self.lock} is out of date with pyproject.toml, which differs in "
                f"{', '.join(names[:MOST_TOLD])}{more}: run `{mend}` and commit what it writes",
                code="stale-lock",
            )

    def unknown(self, key: str, names: Sequence[str], known: Collection[str]) -> None:
        """Groups or extras that the project does not have."""
        has = sorted(known)
        for name in names:
            if canonical(name) not in {canonical(each) for each in has}:
                what = key.removesuffix("s")
                expected = f"; expected {one_of(has)}" if has else f", and has no {key} at all"
                message = f"the project has no {what} `{name}`{expected}"
                near = nearest(name, has)
                self.problems.append(
                    EnvironmentProblem(key, "unknown-reference", message, nearest=near)
                )

    def local(self, name: str, path: str, *, folder: bool) -> None:
        """A package that the lock has by its path from there."""
        inside = joined(self.at, path)
        if inside is None:
            self.wrong(
                f"{name} is at {path}, which is not in this repository: a controller has only what "
                "is committed; move it here, or publish it",
                code="outside",
            )
        elif folder:
            self.folders[inside] = name
        else:
            self.archives.append(inside)

    def remote(self, name: str, address: str, *, hashed: bool) -> None:
        """A package that the lock has by its address."""
        self.index(address)
        if not hashed:
            self.warn(
                f"{name} comes from {bare(address)}, of which {self.lock} has no hash: the "
                "controller has to reach that, and trusts what it gets"
            )

    def index(self, address: str) -> None:
        """The address of an index, which everybody can read who can read the repository."""
        if has_credentials(address):
            self.wrong(
                f"the address {bare(address)} holds a password or a token in the repository: "
                "revoke it, take it out and lock again; with UV_INDEX in the controller's own "
                "environment it opens an index",
                code="credentials",
            )


def requirements(texts: Any) -> dict[str, "Requirement"]:
    """Requirements of a list, by their text; what is none is left out."""
    from packaging.requirements import InvalidRequirement, Requirement

    found = {}
    for text in texts if isinstance(texts, list) else ():
        try:
            found[str(text)] = Requirement(str(text))
        except InvalidRequirement:
            continue
    return found


def group(manifest: Mapping[str, Any], name: str, seen: tuple[str, ...] = ()) -> list[Any]:
    """The requirements of a dependency group, with those of the groups that it includes."""
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
