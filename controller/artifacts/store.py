"""Files and folders by digest, over `Objects`; a folder is a stored list of stored files."""

import asyncio
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from controller.artifacts.objects import Objects, explained
from specs.digests import canonical_json
from specs.failures import NeedsHuman

T = TypeVar("T")

# Keeps the digest of a folder apart from that of a file with the same text.
_HEADING = b"headgate folder\n"


class Artifact(BaseModel):
    """Something stored. `size` is in bytes; a folder's is that of all its files."""

    model_config = ConfigDict(frozen=True)

    digest: str
    size: int
    kind: Literal["file", "folder"]


class _Entry(BaseModel):
    path: str
    digest: str
    size: int
    executable: bool


class _Listing(BaseModel):
    files: list[_Entry]
    empty: list[str]
    """Folders that hold nothing: a model's format may want them."""


class Artifacts:
    """The store below `folder`. May be used by several tasks and processes at once.

    Every method may raise NeedsHuman: no space left, no permission, an artifact that is lost.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = Objects(folder / "files")
        self._folders = Objects(folder / "folders")
        # Few threads: the disk is the limit, and the loop's default pool serves others too.
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="artifacts")

    async def put(self, path: Path) -> Artifact:
        """Store the file or folder at `path`; storing what is there already costs the hashing.

        Raises NeedsHuman for symbolic links, devices and sockets: they have no content.
        """
        return await self._run(lambda: self._put(path))

    async def put_bytes(self, content: bytes) -> Artifact:
        """Store a file with this content."""
        stored = await self._run(lambda: self._files.put_bytes(content))
        return Artifact(digest=stored.digest, size=stored.size, kind="file")

    async def link(self, digest: str, destination: Path) -> None:
        """Put it read-only at `destination`, in place of what was there. Raises `Lost`."""
        await self._run(lambda: self._link(digest, destination))

    async def read_bytes(self, digest: str) -> bytes:
        """The content of a stored file, hashed as it is read. Raises `Lost`."""
        return await self._run(lambda: self._files.read(digest))

    async def has(self, digest: str) -> bool:
        """Whether the file or folder is there, with all its files; then no sweep that has begun
        takes it any more."""
        return await self._run(lambda: self._has(digest))

    async def verify(self, digest: str) -> bool:
        """Whether all of it is there and hashes to its name; what does not is dropped.

        `has` notices writes, this also those that hid their traces.
        """

        def damaged() -> list[str]:
            return [one for one in self._parts(digest) if not self._files.is_whole(one)]

        return not await self._run(damaged)

    async def sweep(self, keep: Collection[str], before: float) -> int:
        """Delete all that is neither in `keep` nor part of it; the bytes that were freed.

        Leaves what was stored or asked for since `before` (seconds since the epoch): a run that
        is under way may be about to name it.
        """
        return await self._run(lambda: self._sweep(set(keep), before))

    def _has(self, digest: str) -> bool:
        # The listing first: once it is renewed, its files count as wanted by the next sweep.
        is_folder = self._folders.is_intact(digest, touch=True)
        parts = self._parts(digest) if is_folder else (digest,)
        return all(self._files.is_intact(one, touch=True) for one in parts)

    def _put(self, path: Path) -> Artifact:
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            stored = self._files.put_file(path)
            return Artifact(digest=stored.digest, size=stored.size, kind="file")
        if not stat.S_ISDIR(mode):
            raise _odd(path, mode)
        listing = self._listed(path)
        content = _HEADING + canonical_json(listing.model_dump())
        size = sum(entry.size for entry in listing.files)
        digest = self._folders.put_bytes(content).digest
        return Artifact(digest=digest, size=size, kind="folder")

    def _listed(self, folder: Path) -> _Listing:
        """Store every file below `folder`."""
        files, empty = [], []
        for parent, folders, names in os.walk(folder, onerror=_raise):
            inside = Path(parent).relative_to(folder)
            if not folders and not names and inside.parts:
                empty.append(inside.as_posix())
            for name in (*names, *folders):
                path = Path(parent, name)
                mode = path.lstat().st_mode
                if stat.S_ISDIR(mode):
                    continue
                if not stat.S_ISREG(mode):
                    raise _odd(path, mode)
                stored = self._files.put_file(path)
                files.append(
                    _Entry(
                        path=(inside / name).as_posix(),
                        digest=stored.digest,
                        size=stored.size,
                        executable=bool(mode & 0o100),
                    )
                )
        return _Listing(files=sorted(files, key=lambda entry: entry.path), empty=sorted(empty))

    def _link(self, digest: str, destination: Path) -> None:
        destination.parent.mkdir(parents=True, exist_ok=True)
        is_folder = self._folders.is_intact(digest)
        if not is_folder and not destination.is_dir():
            self._files.link(digest, destination)
            return
        beside = Path(tempfile.mkdtemp(prefix=".link-", dir=destination.parent))
        try:
            if is_folder:
                self._fill(self._listing(digest), beside / "new")
            else:
                self._files.link(digest, beside / "new")
            if destination.exists():
                destination.rename(beside / "old")
            (beside / "new").replace(destination)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _fill(self, listing: _Listing, folder: Path) -> None:
        parents = {Path(entry.path).parent for entry in listing.files}
        for inside in (Path(), *parents, *map(Path, listing.empty)):
            (folder / inside).mkdir(parents=True, exist_ok=True)
        for entry in listing.files:
            self._files.link(entry.digest, folder / entry.path, executable=entry.executable)

    def _listing(self, digest: str) -> _Listing:
        content = self._folders.read(digest).removeprefix(_HEADING)
        return _Listing.model_validate(json.loads(content))

    def _parts(self, digest: str) -> tuple[str, ...]:
        """The stored files that make it up: those of a folder, or itself."""
        if not self._folders.is_intact(digest):
            return (digest,)
        return tuple(entry.digest for entry in self._listing(digest).files)

    def _sweep(self, keep: set[str], before: float) -> int:
        freed = self._folders.sweep(keep, before)
        for digest in keep.union(self._folders.recent(before)):
            keep.update(self._parts(digest))
        return freed + self._files.sweep(keep, before)

    async def _run(self, call: Callable[[], T]) -> T:
        def explaining() -> T:
            with explained(self._folder):
                return call()

        return await asyncio.get_running_loop().run_in_executor(self._threads, explaining)


def _odd(path: Path, mode: int) -> NeedsHuman:
    what = "a symbolic link" if stat.S_ISLNK(mode) else "a socket, pipe or device"
    return NeedsHuman(f"{path} is {what}, which cannot be stored: write a file or folder instead")


def _raise(error: OSError) -> None:
    raise error
