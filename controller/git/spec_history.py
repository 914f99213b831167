"""Finds the earlier specs of a pipeline by its name, without reading all specs of each commit."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

from controller.git.commit_info import FileChanges
from controller.git.commit_specs import SMALL, is_spec, name_by
from controller.git.links import is_link
from controller.git.mirror import Mirror
from controller.git.spec_facts import blob_of
from controller.git.spec_reading import name_in
from controller.machine.pipelines.code import Code
from specs.loading.load import load
from specs.model import SPEC_FILES, spec_order

LOOK_BACK: Final = 200
"""How many commits that changed a spec are searched for the last valid spec of a pipeline."""
_KEPT: Final = 8
"""How many commits' histories are kept in memory."""
_NAMES: Final = 100_000
"""How many names of specs are kept in memory."""


class SpecHistory:
    """The specs that the commits of a repository changed."""

    def __init__(self, repository: str, mirror: Mirror) -> None:
        self._repository = repository
        self._mirror = mirror
        self._changes: OrderedDict[str, tuple[FileChanges, ...]] = OrderedDict()
        self._names: OrderedDict[tuple[str, str, str], bool] = OrderedDict()

    async def named(
        self, commit: str, specs: Mapping[str, Code], pipeline: str
    ) -> AsyncIterator[tuple[str, str]]:
        """The commits before each change of a spec, latest first, that have a spec of that name,
        and the path of the first of these. `specs` are those of `commit`."""
        alike = {path for path, code in specs.items() if code.name == pipeline}
        links = {path for path, code in specs.items() if is_link(code.source.files[path])}
        for change in await self._history(commit):
            if change.parent is None:
                return
            before = {path: what for path, what in change.before.items() if is_spec(path)}
            still = {path: what for path, what in before.items() if what is not None}
            links = (links - before.keys()) | {p for p, what in still.items() if is_link(what)}
            plain = {path: what for path, what in still.items() if path not in links}
            alike = (alike - before.keys()) | await self._of_name(change.parent, plain, pipeline)
            # What a link leads to changes without it.
            alike = (alike - links) | await self._of_links(change.parent, links, pipeline)
            if alike:
                yield change.parent, min(alike, key=spec_order)

    async def _history(self, commit: str) -> tuple[FileChanges, ...]:
        if commit not in self._changes:
            self._changes[commit] = await self._mirror.changes(commit, SPEC_FILES, LOOK_BACK)
        self._changes.move_to_end(commit)
        while len(self._changes) > _KEPT:
            self._changes.popitem(last=False)
        return self._changes[commit]

    async def _of_name(self, commit: str, specs: Mapping[str, str], pipeline: str) -> set[str]:
        """Which specs of a commit, given by path, have that name."""
        unknown = {p: w for p, w in specs.items() if (p, w, pipeline) not in self._names}
        if unknown:
            texts = await self._texts(commit, unknown)
            same = await asyncio.to_thread(_having_name, texts, pipeline, self._repository)
            self._names |= {(path, what, pipeline): path in same for path, what in unknown.items()}
        found = {path for path, what in specs.items() if self._names[path, what, pipeline]}
        while len(self._names) > _NAMES:
            self._names.popitem(last=False)
        return found

    async def _texts(self, commit: str, specs: Mapping[str, str]) -> dict[str, bytes]:
        """The texts of specs; empty for one that is too large to say its name."""
        blobs = {path: blob_of(what) for path, what in specs.items()}
        plain = {path: sha for path, sha in blobs.items() if sha is not None}
        return dict.fromkeys(specs, b"") | await self._mirror.read_blobs(commit, plain, SMALL)

    async def _of_links(self, commit: str, links: Iterable[str], pipeline: str) -> set[str]:
        texts = {path: await self._mirror.read(commit, path) for path in links}
        there = {path: text for path, text in texts.items() if text is not None}
        return await asyncio.to_thread(_having_name, there, pipeline, self._repository)


def _having_name(texts: Mapping[str, bytes], pipeline: str, repository: str) -> set[str]:
    """The paths of the specs with that name. Only a text that may say it is parsed: YAML cannot
    write a name in another way without a backslash."""
    found = set()
    for path, text in texts.items():
        usual = name_by(path, repository)
        may_say_it = pipeline.encode() in text or b"\\" in text
        if (usual == pipeline or may_say_it) and (name_in(load(text, path)) or usual) == pipeline:
            found.add(path)
    return found
