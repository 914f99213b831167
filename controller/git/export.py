"""The files of one commit in a folder that nobody writes to."""

import asyncio
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from controller.blobs.shelf import mode, remove_tree
from controller.git import lfs
from controller.git.command import Remote, git
from controller.git.links import is_link
from controller.git.pointers import pointers
from specs.failures import NeedsHuman

LFS = "lfs"
"""The folder of a mirror with what Git LFS keeps."""

_AS_COMMITTED = "-text -crlf !eol -ident !filter !working-tree-encoding"


async def export(
    remote: Remote, mirror: Path, commit: str, tree: Mapping[str, str], target: Path
) -> None:
    """Write `commit` to `target`, by way of a folder beside it. Two may race: one result.

    checkout-index and not archive: the latter leaves out what .gitattributes marks
    `export-ignore`, and a step must see the files that were committed; byte by byte, since digests
    are of these.
    """
    links = [path for path, what in tree.items() if is_link(what)]
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".export-", dir=target.parent))
    try:
        files, own = scratch / "files", scratch / "git"
        files.mkdir()
        extra = {"GIT_INDEX_FILE": str(scratch / "index"), **_without_attributes(own, mirror)}
        await git(remote, ("read-tree", commit), folder=own, extra=extra)
        out = ("--work-tree", str(files), "checkout-index", "--all", "--quiet")
        await git(remote, out, folder=own, extra=extra)
        kept = pointers(tree) if lfs.is_installed() else {}
        objects, store = mirror / "objects", mirror / LFS
        stored = await lfs.fetch(remote, own, objects, store, commit, kept)
        await asyncio.to_thread(_finish, files, links, stored, commit, target)
    finally:
        await asyncio.to_thread(remove_tree, scratch)


def _without_attributes(own: Path, mirror: Path) -> dict[str, str]:
    """A repository with the mirror's objects, in which no file is converted as it is laid out; what
    a git command on it has to be told."""
    for folder in ("info", "refs"):
        (own / folder).mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/none\n")
    # These outrank all that the tree says: gitattributes(5).
    (own / "info" / "attributes").write_text(f"* {_AS_COMMITTED}\n")
    return {"GIT_OBJECT_DIRECTORY": str(mirror / "objects")}


def _finish(
    files: Path, links: Iterable[str], stored: Mapping[str, Path], commit: str, target: Path
) -> None:
    root = files.resolve()
    for path, place in stored.items():
        lfs.put(place, root / path)
    for path in links:
        # Resolved on disk, since a link may lead out by way of another one.
        if not (root / path).resolve().is_relative_to(root):
            raise NeedsHuman(
                f"{path} in commit {commit[:10]} is a symbolic link to outside the repository: "
                "remove it, or replace it by the file"
            )
    for folder, _, names in os.walk(files):
        for name in names:
            entry = Path(folder, name)
            if not entry.is_symlink():
                entry.chmod(mode(entry.stat().st_mode & 0o555))
        if Path(folder) != files:
            Path(folder).chmod(mode(0o555))
    try:
        files.rename(target)  # a folder that is moved is written to, so this one is sealed last
    except OSError:
        if not target.is_dir():
            raise
    target.chmod(mode(0o555))
