"""PURE. The targets of the symbolic links of a commit.

Git's id of a link covers only its text. But a step that reads the link reads its target, so what is
compared, and what cache keys are made of, must cover both.
"""

import hashlib
import posixpath
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

LINK = "symlink:"
"""The prefix of the entry of a link; see `parse_tree`."""
MAX_LINK = 4096
"""The longest text of a link that Linux follows, in bytes."""
MAX_HOPS = 40
"""How many links Linux follows for one path."""
MAX_ENTRIES = 1_000_000
"""How many entries the links of a commit may lead to, counted once per target."""


def texts_wanted(files: Mapping[str, str]) -> tuple[str, ...]:
    """The ids of the links' texts."""
    return tuple({what.removeprefix(LINK): None for what in files.values() if is_link(what)})


def short_enough(output: bytes, most: int) -> tuple[str, ...]:
    """The ids of blobs of at most `most` bytes in the output of `git cat-file --batch-check`."""
    lines = (line.split(" ") for line in output.decode("ascii").splitlines())
    return tuple(sha for sha, *rest in lines if rest[0] == "blob" and int(rest[1]) <= most)


def parse_texts(output: bytes) -> dict[str, str]:
    """Parse the output of `git cat-file --batch`: texts by their ids, decoded like paths."""
    found, start = {}, 0
    while start < len(output):
        end = output.index(b"\n", start)
        sha, _, size = output[start:end].decode("ascii").split(" ")
        start = end + 1 + int(size) + 1
        found[sha] = output[end + 1 : start - 1].decode("utf-8", "backslashreplace")
    return found


def is_link(what: str) -> bool:
    """Whether an entry of a tree is a symbolic link."""
    return what.startswith(LINK)


def with_link_targets(
    files: Mapping[str, str], texts: Mapping[str, str], most: int = MAX_ENTRIES
) -> dict[str, str]:
    """`files` with a digest of its target appended to each link's entry: `symlink:ID:DIGEST`.

    The digest covers the target's entry, or everything below it for a folder, including the targets
    of links there. Links that are broken, circular or lead outside are unchanged. Once
    links lead to more than `most` entries in total, further ones count as leading to all files.
    """
    tree = _Tree(files, texts)
    digests: dict[str, str] = {}
    for path in sorted(tree.ends):
        end = tree.ends[path]
        if end not in digests:
            reached = tree.reached(end) if most > 0 else files.keys()
            most -= len(reached)
            digests[end] = _digest(files, end, reached)
    return {
        path: f"{what}:{digests[tree.ends[path]]}" if path in tree.ends else what
        for path, what in files.items()
    }


class _Tree:
    """The files of a commit, and the targets of its links."""

    def __init__(self, files: Mapping[str, str], texts: Mapping[str, str]) -> None:
        self._files = files
        self._texts = texts
        self._paths = sorted(files)
        ends = {path: self._end(path) for path, what in files.items() if is_link(what)}
        self.ends = {path: end for path, end in ends.items() if end is not None}
        """For each link its final target, a file or a folder (empty for the top); without broken
        links."""

    def reached(self, start: str) -> set[str]:
        """All files that can be read through `start` and everything below it, following links."""
        found: set[str] = set()
        waiting = [start]
        while waiting:
            new = [path for path in self._below(waiting.pop()) if path not in found]
            found.update(new)
            waiting += {self.ends[path]: None for path in new if path in self.ends}
        return found

    def _end(self, path: str) -> str | None:
        """The final target of a link, resolved like the kernel does, including other links."""
        at: list[str] = []
        parts = path.split("/")[::-1]
        hops = 0
        while parts:
            part = parts.pop()
            if part == ".." and not at:
                return None
            if part == "..":
                at.pop()
            elif part not in ("", "."):
                here = "/".join([*at, part])
                what = self._files.get(here, "")
                if is_link(what):
                    text = self._texts.get(what.removeprefix(LINK), "")
                    hops += 1
                    if not text or text.startswith("/") or hops > MAX_HOPS:
                        return None
                    parts += text.split("/")[::-1]
                elif (what and parts) or not (what or self._is_folder(here)):
                    return None
                else:
                    at.append(part)
        return "/".join(at)

    def _is_folder(self, path: str) -> bool:
        first = bisect_left(self._paths, f"{path}/")
        return first < len(self._paths) and self._paths[first].startswith(f"{path}/")

    def _below(self, path: str) -> Iterable[str]:
        """The file, or all files below the folder."""
        if path in self._files:
            return (path,)
        if not path:
            return self._paths
        # "0" is the character after "/".
        first, end = (bisect_left(self._paths, path + after) for after in "/0")
        return self._paths[first:end]


def _digest(files: Mapping[str, str], end: str, reached: Iterable[str]) -> str:
    """By paths relative to the target, so that moving a whole folder does not change the digest."""
    lines = sorted(_lines(files, end, reached))
    return hashlib.sha256("\0".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _lines(files: Mapping[str, str], end: str, reached: Iterable[str]) -> Iterator[str]:
    below = f"{end}/" if end else ""
    for path in reached:
        inside = path.startswith(below)
        seen = path[len(below) :] if inside else posixpath.relpath(f"/{path}", f"/{end}")
        yield f"{seen}\0{files[path]}"
