"""The refs of a mirror, listed once after each fetch: many ask, and only a fetch moves them."""

import asyncio
from collections.abc import Awaitable, Callable


class KnownRefs:
    """Where each ref is. `list_refs` runs `git for-each-ref`, a name and a commit on each line."""

    def __init__(self, list_refs: Callable[[], Awaitable[bytes]]) -> None:
        self._list_refs = list_refs
        self._found: dict[str, str] | None = None
        self._moves = 0
        self._listing = asyncio.Lock()

    def forget(self) -> None:
        """List them again when next asked: they may have moved."""
        self._moves += 1
        self._found = None

    async def commit_of(self, ref: str) -> str | None:
        """The commit of a ref by its full name; None if there is none."""
        async with self._listing:
            found = self._found
            if found is None:
                found = await self._listed()
        return found.get(ref)

    async def _listed(self) -> dict[str, str]:
        moves = self._moves
        lines = (await self._list_refs()).decode("utf-8", "replace").splitlines()
        found = {name: commit for name, _, commit in (line.rpartition(" ") for line in lines)}
        if moves == self._moves:  # else what was listed may be from before the fetch
            self._found = found
        return found
