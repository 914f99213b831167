"""The paths of a repository, sorted, so that those below a folder are found without reading all."""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import Final, Protocol

from specs.globs import ROOT, from_root, seen_from

_WILD: Final = frozenset("*?[")
_NO_TEXT: Final = re.compile(r"\\x[89a-f][0-9a-f]")
"""The escape for a byte that is not UTF-8 in the path of a commit's file."""


class Paths(Protocol):
    """What can be asked about the paths of a repository."""

    def __contains__(self, path: object, /) -> bool: ...

    def below(self, folder: str) -> Sequence[str]:
        """All paths below a folder, sorted; empty: all of the repository."""
        ...

    @property
    def not_utf8(self) -> Sequence[str]:
        """The paths with bytes that are not UTF-8, sorted."""
        ...


class PathIndex(Collection[str]):
    """The sorted paths of a repository."""

    def __init__(self, paths: Collection[str]) -> None:
        self._paths = sorted(paths)

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str):
            return False
        at = bisect_left(self._paths, path)
        return at < len(self._paths) and self._paths[at] == path

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def below(self, folder: str) -> Sequence[str]:
        """See `Paths`."""
        if not folder:
            return self._paths
        # "0" is the character after "/".
        first, end = (bisect_left(self._paths, folder + after) for after in "/0")
        return self._paths[first:end]

    @cached_property
    def not_utf8(self) -> Sequence[str]:
        """See `Paths`."""
        return tuple(filter(_NO_TEXT.search, self._paths))


def near(paths: Paths, glob: str) -> Iterator[str]:
    """The only paths that a glob from the root (without `//` and `!`) could match or, as symbolic
    links, lead through: see `specs.globs.leads_through`."""
    parts = (f"{glob}**" if glob.endswith("/") else glob).split("/")
    wild = (place for place, part in enumerate(parts) if _WILD & set(part))
    fixed = next(wild, len(parts))
    for end in range(1, fixed + 1):
        path = "/".join(parts[:end])
        if path in paths:
            yield path
    if fixed < len(parts):
        yield from paths.below("/".join(parts[:fixed]))


class SpecFiles(Collection[str]):
    """The files of a repository as a spec in `folder` sees them: its own come first."""

    def __init__(self, paths: Paths, folder: str) -> None:
        self.paths = paths
        """The same files by their paths in the repository."""
        self.folder = folder

    @classmethod
    def of(cls, files: Collection[str], folder: str) -> "SpecFiles":
        """These files, each by its path as the spec sees it."""
        if isinstance(files, SpecFiles):
            return files
        return cls(PathIndex({from_root(file, folder) for file in files}), folder)

    def __contains__(self, file: object) -> bool:
        if not isinstance(file, str):
            return False
        path = from_root(file, self.folder)
        return seen_from(self.folder, path) == file and path in self.paths

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        for path in self.paths.below(""):
            file = seen_from(self.folder, path)
            if file.startswith(ROOT):
                yield file

    def __len__(self) -> int:
        return len(self.paths.below(""))

    @cached_property
    def own(self) -> Sequence[str]:
        """The files below the spec's folder, sorted."""
        start = len(self.folder) + 1 if self.folder else 0
        return [path[start:] for path in self.paths.below(self.folder)]

    @property
    def not_utf8(self) -> Sequence[str]:
        """The files whose names are not UTF-8, sorted."""
        return sorted(seen_from(self.folder, path) for path in self.paths.not_utf8)

    def near(self, *globs: str) -> Iterator[str]:
        """The only files that these globs of the spec could match or lead through, and maybe more;
        its own come first."""
        yield from self.own
        for glob in globs:
            if glob.startswith(ROOT):
                for path in near(self.paths, glob.removeprefix(ROOT)):
                    file = seen_from(self.folder, path)
                    if file.startswith(ROOT):
                        yield file

    def has_place(self, path: str) -> bool:
        """Whether a path in the repository is a file or a folder there."""
        return path in self.paths or bool(self.paths.below(path))
