"""Lists the files of commits, each commit once."""

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from controller.git.commit_info import as_text, parse_tree
from controller.git.links import MAX_LINK, texts_wanted, with_link_targets
from controller.git.object_reader import ObjectReader
from controller.git.pointers import (
    MAX_ATTRIBUTES,
    MAX_POINTER,
    attributes_wanted,
    blobs_wanted,
    mark_pointers,
    uses_lfs,
)
from controller.machine.runs.commit_files import CommitFiles

KEPT: Final = 500_000
"""How many entries of commits are kept in memory; each takes about 100 bytes, as commits share
the texts of their paths and ids."""
AT_LEAST: Final = 2
"""How many commits are kept, however large they are."""
_AT_ONCE: Final = 4096
"""How many texts are asked for at once."""


class CommitLists:
    """The files of the commits of a mirror. `list_tree` runs `git ls-tree -r -z` on a commit."""

    def __init__(self, objects: ObjectReader, list_tree: Callable[[str], Awaitable[bytes]]) -> None:
        self._objects = objects
        self._list_tree = list_tree
        self._kept: OrderedDict[str, CommitFiles] = OrderedDict()
        self._listing = asyncio.Lock()

    async def of(self, commit: str) -> CommitFiles:
        """Every path in the commit's tree and its entry. Raises what git raises."""
        async with self._listing:  # whoever asks for the same commit meanwhile gets the same list
            if commit not in self._kept:
                self._kept[commit] = await self._listed(commit)
            self._kept.move_to_end(commit)
            self._forget()
            return self._kept[commit]

    def _forget(self) -> None:
        total = sum(map(len, self._kept.values()))
        while total > KEPT and len(self._kept) > AT_LEAST:
            total -= len(self._kept.popitem(last=False)[1])

    async def _listed(self, commit: str) -> CommitFiles:
        output = await self._list_tree(commit)
        files = await asyncio.to_thread(parse_tree, output)
        attributes = await self._texts(attributes_wanted(files), MAX_ATTRIBUTES)
        if uses_lfs(attributes.values()):
            files = mark_pointers(files, await self._texts(blobs_wanted(files), MAX_POINTER))
        texts = await self._texts(texts_wanted(files), MAX_LINK)
        if texts:
            # In a thread, as a hostile tree may take seconds.
            files = await asyncio.to_thread(with_link_targets, files, texts)
        return await asyncio.to_thread(_shared, files)

    async def _texts(self, wanted: Sequence[str], most: int) -> dict[str, str]:
        """The texts of blobs by their ids, without those longer than `most` bytes."""
        found = {}
        for start in range(0, len(wanted), _AT_ONCE):
            for one in await self._objects.ask(wanted[start : start + _AT_ONCE], most):
                if one is not None and one.kind == "blob" and one.content is not None:
                    found[one.sha] = as_text(one.content)
        return found


def _shared(files: dict[str, str]) -> CommitFiles:
    """The files, with each text in memory once, however many commits have it."""
    return CommitFiles((sys.intern(path), sys.intern(what)) for path, what in files.items())
