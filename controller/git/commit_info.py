"""Values that describe commits, and checks of names and paths for git's command line."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# git-check-ref-format(1): no control characters, space or ~^:?*[\, no "..", "@{" or "//".
_BAD_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")


class Author(NamedTuple):
    """The author of a commit."""

    name: str
    email: str


class CommitInfo(BaseModel):
    """A commit. `time` is the author's, in seconds since the epoch."""

    model_config = ConfigDict(frozen=True)

    sha: str
    parents: tuple[str, ...]
    author: str
    email: str
    committer: str
    """The committer's e-mail address. Unlike the author, a cherry-pick or rebase changes it."""
    time: int
    subject: str
    body: str
    trailers: Mapping[str, str]


_FIELDS = ("%H", "%P", "%an", "%ae", "%ce", "%at", "%s", "%b", "%(trailers:only=true,unfold=true)")
LOG_FORMAT = "%x00".join(_FIELDS)
"""For `git log -z --format`. Messages contain no NUL, so each commit has as many parts."""


def parse_log(output: bytes) -> tuple[CommitInfo, ...]:
    """Parse the output of `git log -z --format=LOG_FORMAT`."""
    parts = output.decode("utf-8", "replace").removesuffix("\0").split("\0")
    if len(parts) < len(_FIELDS):
        return ()
    return tuple(
        _commit(parts[start : start + len(_FIELDS)]) for start in range(0, len(parts), len(_FIELDS))
    )


def _commit(fields: Sequence[str]) -> CommitInfo:
    sha, parents, author, email, committer, time, subject, body, trailers = fields
    pairs = (line.partition(": ") for line in trailers.splitlines())
    return CommitInfo(
        sha=sha,
        parents=tuple(parents.split()),
        author=author,
        email=email,
        committer=committer,
        time=int(time),
        subject=subject,
        body=body.strip(),
        trailers={key: value.strip() for key, colon, value in pairs if colon},
    )


class FileChanges(NamedTuple):
    """What a commit changed against its first parent."""

    sha: str
    parent: str | None
    before: Mapping[str, str | None]
    """By path: the file's entry in the first parent, as in `parse_tree`; None where it is new."""


CHANGES_FORMAT = "%H %P"
"""For `git log -z --raw --no-abbrev --format`."""


def parse_changes(output: bytes) -> tuple[FileChanges, ...]:
    """Parse the output of `git log -z --raw --no-abbrev --format=CHANGES_FORMAT`."""
    found: list[tuple[str, str | None, dict[str, str | None]]] = []
    parts = iter(output.split(b"\0"))
    for part in parts:
        line = part.decode("ascii").strip("\n")
        if line.startswith(":"):
            mode, _, sha, *_ = line[1:].split(" ")
            found[-1][2][as_text(next(parts))] = None if set(mode) == {"0"} else _entry(mode, sha)
        elif line:
            sha, *parents = line.split()
            found.append((sha, parents[0] if parents else None, {}))
    return tuple(FileChanges(*one) for one in found)


def parse_tree(output: bytes) -> dict[str, str]:
    """Parse the output of `git ls-tree -r -z`: entries by path.

    The entry of a plain file is its blob's id. Others have a prefix: `exec:` for an executable
    file, `symlink:` (with the id of its text) or `submodule:`.
    """
    found = {}
    for line in output.split(b"\0")[:-1]:
        about, _, path = line.partition(b"\t")
        mode, _, sha = about.decode("ascii").split(" ")
        found[as_text(path)] = _entry(mode, sha)
    return found


_MARKS = {"100755": "exec:", "120000": "symlink:", "160000": "submodule:"}


def _entry(mode: str, sha: str) -> str:
    return _MARKS.get(mode, "") + sha


def as_text(name: bytes) -> str:
    """A path as text, with escapes such as `\\xe9` for bytes that are not UTF-8."""
    return name.decode("utf-8", "backslashreplace")


def is_sha(text: str) -> bool:
    """Whether `text` is a full object id (SHA-1 or SHA-256)."""
    return _SHA.fullmatch(text) is not None


def checked_sha(text: str) -> str:
    """`text`, if it is a full object id. Raises `ValueError`."""
    if not is_sha(text):
        raise ValueError(f"expected a full commit id, found {text[:80]!r}")
    return text


def checked_ref(text: str) -> str:
    """`text`, if it is a valid name of a branch or ref. Raises `ValueError`."""
    parts = text.split("/")
    if (
        not text
        or text.startswith("-")
        or text.endswith(("/", "."))
        or _BAD_IN_REF.search(text)
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
    ):
        raise ValueError(f"expected the name of a branch, found {text[:80]!r}")
    return text


def checked_path(text: str) -> str:
    """`text`, if it is a path inside a repository. Raises `ValueError`."""
    parts = text.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or re.search(
        r"[\x00\n]", text
    ):
        raise ValueError(f"expected a path in the repository, found {text[:80]!r}")
    return text
