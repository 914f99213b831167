"""The bare clone behind a mirror: fetched, cloned again if it is damaged, and its processes."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from controller.git.command import Corrupt, MissingObject, Remote, git
from controller.git.commit_info import checked_sha
from controller.git.object_reader import ObjectReader
from specs.failures import NeedsHuman

T = TypeVar("T")

FETCHED: Final = ("+refs/heads/*:refs/heads/*", "+refs/notes/*:refs/notes/*")
"""The refs that a fetch updates."""


class Clone:
    """A bare clone of the repository at `url`, in `folder`."""

    def __init__(self, url: str, folder: Path) -> None:
        self._remote = Remote(url)
        self._folder = folder
        self._lock = asyncio.Lock()
        self._refs: dict[str, str] | None = None
        """The commits of the refs as last fetched; None if they have to be read again."""
        self._moves = 0  # how often refs were moved
        self._objects = ObjectReader(self._remote, folder)

    async def close(self) -> None:
        """End the process that reads objects; a later reading starts it again."""
        await self._objects.close()

    @property
    def url(self) -> str:
        """The remote's address, without credentials: for messages."""
        return self._remote.shown

    async def ensure(self) -> None:
        """Clone the mirror if it is missing or damaged."""
        async with self._lock:
            if not await self._is_intact():
                await self._clone()

    async def fetch(self) -> None:
        """Update the mirror's branches and notes to the remote's."""

        async def fetch() -> None:
            async with self._lock:
                with self._moving():
                    await self._git("fetch", "--quiet", "--prune", "--no-tags", "origin", *FETCHED)

        await self._recovering(fetch)

    async def _refs_now(self) -> Mapping[str, str]:
        if self._refs is not None:
            return self._refs
        moves = self._moves
        out = await self._git("for-each-ref", "--format=%(objectname) %(refname)")
        lines = out.decode("utf-8", "replace").splitlines()
        found = {name: sha for sha, _, name in (line.partition(" ") for line in lines)}
        if moves == self._moves:
            self._refs = found
        return found

    @contextmanager
    def _moving(self) -> Iterator[None]:
        """Around what moves refs of the mirror."""
        try:
            yield
        finally:
            self._moves += 1
            self._refs = None

    async def _git(
        self,
        *arguments: str,
        stdin: bytes = b"",
        extra: Mapping[str, str] | None = None,
        local: bool = True,
    ) -> bytes:
        folder = self._folder if local else None
        try:
            _, out = await git(self._remote, arguments, folder=folder, stdin=stdin, extra=extra)
        except (Corrupt, MissingObject) as error:
            if local:
                raise
            raise NeedsHuman(f"{self.url} is damaged: {error}") from None
        return out

    async def _parsed(self, parse: Callable[[bytes], T], arguments: Sequence[str]) -> T:
        return parse(await self._git(*arguments))

    async def _recovering(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of `call`; repeated on a new clone if the mirror is missing or damaged."""
        try:
            if (self._folder / "HEAD").is_file():
                return await call()
        except Corrupt:
            async with self._lock:
                await self._clone()
        else:
            await self.ensure()
        try:
            return await call()
        except Corrupt as error:
            raise NeedsHuman(f"{self.url} sends damaged objects: {error}") from None

    async def _with_commit(self, commit: str, call: Callable[[], Awaitable[T]]) -> T:
        """The result of `call`, which needs `commit`; repeated after a fetch if that is missing."""
        try:
            return await self._recovering(call)
        except MissingObject:
            await self.fetch()
        try:
            return await self._recovering(call)
        except MissingObject:
            raise NeedsHuman(
                f"commit {commit[:10]} is not in {self.url}: check whether its branch was deleted "
                "or force-pushed"
            ) from None

    async def has(self, commit: str) -> bool:
        """Whether the mirror has that commit."""
        name = f"{checked_sha(commit)}^{{commit}}"
        return (await self._recovering(lambda: self._objects.ask((name,))))[0] is not None

    async def _is_intact(self) -> bool:
        if not (self._folder / "HEAD").is_file():
            return False
        try:
            await self._git("rev-parse", "--is-bare-repository")
            await self._git("rev-list", "--all", "-1")
        except (Corrupt, MissingObject, NeedsHuman):
            return False
        return True

    async def _clone(self) -> None:
        """Clone to another folder, then replace the mirror, so that a failed clone changes
        nothing."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{self._folder.name}-", dir=self._folder.parent))
        try:
            await git(self._remote, ("init", "--quiet", "--bare", str(scratch)))
            fetch = ("fetch", "--quiet", "--no-tags", "origin", *FETCHED)
            await git(self._remote, fetch, folder=scratch)
            with self._moving():
                await self._objects.replacing(lambda: _replace(self._folder, scratch))
        except Corrupt as error:
            raise NeedsHuman(f"{self.url} sends damaged objects: {error}") from None
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


def _replace(old: Path, new: Path) -> None:
    shutil.rmtree(old, ignore_errors=True)
    new.rename(old)
