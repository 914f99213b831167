"""Fetches the Git LFS objects of a commit from the remote's store, and keeps them by digest.

The server is determined by the remote's address or the controller's git configuration
(GIT_CONFIG_GLOBAL). A `.lfsconfig` in the repository is ignored, as a pull request's could name any
server: git-lfs reads it from a work tree, the index or HEAD, so it is run where there are none.
"""

import asyncio
import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from controller.blobs.last_use import discard_all, use
from controller.git.command import Remote, git
from controller.git.pointers import Pointer
from specs.failures import NeedsHuman, TryAgain

TIMEOUT = 3600.0
"""Seconds that fetching a commit's objects may take; what was fetched is kept for the next try."""

_NOT_THERE = re.compile(r"missing object|\[404\]|does not exist", re.IGNORECASE)


def is_installed() -> bool:
    """Whether git-lfs is on PATH."""
    return shutil.which("git-lfs") is not None


async def fetch(
    remote: Remote,
    own: Path,
    objects: Path,
    store: Path,
    commit: str,
    wanted: Mapping[str, Pointer],
) -> dict[str, Path]:
    """Fetch the objects of the pointers `wanted`; their files in `store`, by path in the commit.

    `own` is a bare repository without a HEAD, `objects` the folder with the commit's git objects.
    Raises `NeedsHuman` for an object that the remote does not have, and what `git` raises.
    """
    places = {path: _place(store, pointer) for path, pointer in wanted.items()}
    lacking = await asyncio.to_thread(_missing, places, wanted)
    if not lacking:
        return places
    quoted = str(store).replace("\\", "\\\\").replace('"', '\\"')
    (own / "config").write_text(
        f'[core]\n\trepositoryformatversion = 0\n\tbare = true\n[lfs]\n\tstorage = "{quoted}"\n'
    )
    # Not with --git-dir: git-lfs would pass that on to the git that reads a local remote.
    extra = {"GIT_OBJECT_DIRECTORY": str(objects)}
    try:
        await git(remote, ("lfs", "fetch", "origin", commit), extra=extra, cwd=own, limit=TIMEOUT)
    except TryAgain as failure:
        if not _NOT_THERE.search(str(failure)):
            raise
    await asyncio.to_thread(_break_hard_links, [places[path] for path in lacking])
    for path in await asyncio.to_thread(_missing, places, wanted):
        raise NeedsHuman(
            f"{path} in commit {commit[:10]} is a Git LFS pointer to {wanted[path].size:,} bytes "
            f"that {remote.shown} does not have: `git lfs push --all origin` from a clone that has "
            "them"
        )
    return places


def _missing(places: Mapping[str, Path], wanted: Mapping[str, Pointer]) -> list[str]:
    """The paths whose objects are missing. Damaged ones are deleted, which happens as steps may be
    given hard links to them."""
    found = []
    for path, place in places.items():
        if use(place):
            with place.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == wanted[path].oid:
                    continue
            place.unlink()
        found.append(path)
    return found


def _break_hard_links(places: Iterable[Path]) -> None:
    """Replace hard links by copies: git-lfs makes such links to a local remote, whose files must
    not change their permissions with ours."""
    for place in places:
        if place.exists() and place.stat().st_nlink > 1:
            scratch = place.with_name(f".{place.name}")
            shutil.copyfile(place, scratch)
            scratch.replace(place)


def put(stored: Path, target: Path) -> None:
    """Replace a pointer by its content: a hard link or, if it is executable, a copy."""
    is_program = bool(target.stat().st_mode & 0o100)
    target.unlink()
    if not is_program:
        with suppress(OSError):  # another file system
            target.hardlink_to(stored)
            return
    shutil.copyfile(stored, target)
    if is_program:
        target.chmod(0o700)


def sweep(store: Path, before: float) -> int:
    """Delete the objects that were not used since `before`; how many."""
    return sum(discard_all(folder, before) for folder in store.glob("objects/??/??"))


def _place(store: Path, pointer: Pointer) -> Path:
    return store / "objects" / pointer.oid[:2] / pointer.oid[2:4] / pointer.oid
