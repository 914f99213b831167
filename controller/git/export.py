"""Exports the files of one commit to a read-only folder."""

import asyncio
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from controller.blobs.last_use import mode, remove_tree
from controller.git import lfs
from controller.git.command import Remote, git
from controller.git.links import is_link
from controller.git.pointers import pointers
from specs.failures import NeedsHuman

LFS = "lfs"
"""The folder of a mirror with the objects of Git LFS."""

_AS_COMMITTED = "-text -crlf !eol -ident !filter !working-tree-encoding"


async def export(
    remote: Remote, mirror: Path, commit: str, tree: Mapping[str, str], target: Path
) -> None:
    """Write the files of `commit` to `target`, atomically; concurrent exports are safe.

    With checkout-index, as `git archive` leaves out what .gitattributes marks `export-ignore`, and
    steps must see what was committed. Nothing is converted, as digests are of the committed bytes.
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
    """Create a repository at `own` with the mirror's objects, in which checkouts convert nothing;
    the variables that git commands on it need."""
    for folder in ("info", "refs"):
        (own / folder).mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/none\n")
    # These override all attributes in the tree: gitattributes(5).
    (own / "info" / "attributes").write_text(f"* {_AS_COMMITTED}\n")
    return {"GIT_OBJECT_DIRECTORY": str(mirror / "objects")}


def _finish(
    files: Path, links: Iterable[str], stored: Mapping[str, Path], commit: str, target: Path
) -> None:
    root = files.resolve()
    for path, place in stored.items():
        lfs.put(place, root / path)
    for path in links:
        # Resolved on disk, since a link may lead outside by way of another link.
        if not (root / path).resolve().is_relative_to(root):
            raise NeedsHuman(
                f"{path} in commit {commit[:10]} is a symbolic link that leads outside the "
                "repository: remove it, or replace it by the file"
            )
    for folder, _, names in os.walk(files):
        for name in names:
            entry = Path(folder, name)
            if not entry.is_symlink():
                entry.chmod(mode(entry.stat().st_mode & 0o555))
        if Path(folder) != files:
            Path(folder).chmod(mode(0o555))
    try:
        files.rename(target)  # moving a folder needs write permission, so that is removed last
    except OSError:
        if not target.is_dir():
            raise
    target.chmod(mode(0o555))
