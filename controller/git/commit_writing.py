"""Writes commits into the mirror, with as many git processes however many files they change."""

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from controller.git.commit_info import Author, checked_sha


class NewCommit(NamedTuple):
    """A commit to write."""

    base: str | None
    """Its parent, whose files it has; None for one without."""
    files: Mapping[str, bytes | None]
    """The files that it writes, or deletes where None."""
    message: str
    author: Author
    history: bool = True
    """Whether `base` is its parent, and not only where its files are from."""


class Git(Protocol):
    """Runs git on the mirror; its standard output."""

    async def __call__(
        self, *arguments: str, stdin: bytes = b"", extra: Mapping[str, str] | None = None
    ) -> bytes: ...


async def write_commit(git: Git, commit: NewCommit) -> str:
    """Write the commit, which is then on no branch; its id."""
    with tempfile.TemporaryDirectory(prefix="headgate-index-") as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        if commit.base is not None:
            await git("read-tree", checked_sha(commit.base), extra=index)
        lines = await _lines(git, commit.files, Path(scratch))
        await git("update-index", "-z", "--index-info", stdin=lines, extra=index)
        tree = (await git("write-tree", extra=index)).decode().strip()
    who = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", commit.author.name), ("EMAIL", commit.author.email))
    }
    parent = ("-p", commit.base) if commit.base and commit.history else ()
    arguments = ("commit-tree", tree, *parent, "-F", "-")
    out = await git(*arguments, stdin=commit.message.encode(), extra=who)
    return out.decode().strip()


async def _lines(git: Git, files: Mapping[str, bytes | None], scratch: Path) -> bytes:
    """The changes for `git update-index`, after writing the contents as blobs."""
    written = {path: content for path, content in files.items() if content is not None}
    found = [f"0 {'0' * 40}\t{path}\0" for path, content in files.items() if content is None]
    if written:
        names = await asyncio.to_thread(_put, scratch, written)
        hashing = ("hash-object", "-w", "--no-filters", "--stdin-paths")
        ids = (await git(*hashing, stdin="\n".join(names).encode())).decode().split()
        each = zip(written, ids, strict=True)
        found += [f"100644 {sha}\t{path}\0" for path, sha in each]
    return "".join(found).encode()


def _put(scratch: Path, written: Mapping[str, bytes]) -> list[str]:
    """The contents in files of their own."""
    names = [scratch / f"{number}" for number in range(len(written))]
    for name, content in zip(names, written.values(), strict=True):
        name.write_bytes(content)
    return [str(name) for name in names]
