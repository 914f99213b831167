"""Commits as values for the machines: their files, and their specs."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from weakref import WeakValueDictionary, finalize

from controller.git import Mirror
from controller.git.commit_specs import CommitSpecs, read_specs
from controller.git.environment_surveys import conda_program
from controller.git.lfs import is_installed
from controller.git.spec_facts import CommitFacts
from controller.git.spec_history import SpecHistory
from controller.git.spec_reading import SpecReading
from controller.machine.pipelines.code import Code
from specs.failures import NeedsHuman, TryAgain

MOST_BYTES: Final = 160 * 2**20
"""About how much memory the commits that are kept may take."""
AT_LEAST: Final = 4
"""How many commits are kept, however large they are."""
AT_ONCE: Final = 32
"""How many specs are read together; what was read is kept, even if the rest is cancelled."""
RETRY = 3600.0
"""Seconds between tries for a repository that is not in the settings any more."""


class Images(Protocol):
    """Looks up container images."""

    async def resolve(self, reference: str) -> str:
        """An immutable reference to the image. Raises `NeedsHuman` for an image that does not
        exist, and `TryAgain` while that cannot be determined."""
        ...


class _ReadingKey(NamedTuple):
    """Where a reading of a spec may hold again."""

    repository: str
    path: str
    entry: str | None
    absent: str
    """`CommitFacts.absent_digest`."""
    has_conda: bool
    """Whether a program for conda's environments is installed."""


class _Tally:
    """About how many bytes the readings take that are in memory."""

    def __init__(self) -> None:
        self.total = 0

    def add(self, reading: SpecReading) -> None:
        """Count a reading for as long as it is there."""
        self.total += reading.weight
        finalize(reading, self._released, reading.weight)

    def _released(self, weight: int) -> None:
        self.total -= weight


class Repositories:
    """The mirrors of all watched repositories, and checkouts of their commits.

    A spec is read again only if something changed that its reading depends on, see `spec_facts`; so
    what a commit costs depends on what it changes, and not on how many pipelines there are.
    Without `images`, specs that use containers are refused.
    """

    def __init__(
        self, mirrors: Mapping[str, Mirror], checkouts: Path, images: Images | None = None
    ) -> None:
        self._mirrors = mirrors
        self._checkouts = checkouts
        self._images = images
        self._commits: OrderedDict[tuple[str, str], CommitSpecs] = OrderedDict()
        self._readings: WeakValueDictionary[_ReadingKey, SpecReading] = WeakValueDictionary()
        self._tally = _Tally()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._histories = {name: SpecHistory(name, mirror) for name, mirror in mirrors.items()}

    def mirror(self, repository: str) -> Mirror:
        """The mirror of a repository. Raises `TryAgain` if the settings do not name it any more, so
        that its actions wait until they do."""
        if repository not in self._mirrors:
            why = f"the repository {repository} is not in the settings any more"
            raise TryAgain(f"{why}; add it there again to continue", after=RETRY)
        return self._mirrors[repository]

    async def folder(self, repository: str, commit: str) -> Path:
        """The folder with the commit's files, read-only. See `workspace.Checkouts`."""
        return await self.mirror(repository).materialise(commit, self._checkouts / repository)

    async def commit_object(self, repository: str, commit: str) -> bytes:
        """See `workspace.Checkouts`."""
        return await self.mirror(repository).commit_object(commit)

    async def code(self, repository: str, commit: str, spec: str) -> Code:
        """The spec at a path of `commit`, checked, with the digests of the commit's files.

        An image's tag is looked up once, when the commit is first read. Raises `TryAgain` while an
        image cannot be looked up.
        """
        specs = await self._commit(repository, commit)
        if spec not in specs.codes:
            await self._read(specs, (spec,))
        return specs.codes[spec]

    async def specs(self, repository: str, commit: str) -> Mapping[str, Code]:
        """The specs of a commit by path, sorted by folder, `ml-pipeline.yaml` first in each.

        If this is cancelled, what was read is kept, and the next call goes on from there.
        """
        return (await self._all(repository, commit)).all

    async def named(self, repository: str, commit: str, pipeline: str) -> Code | None:
        """The spec of that pipeline at a commit, in whatever folder; None if there is none."""
        return (await self._all(repository, commit)).by_name.get(pipeline)

    async def rules(self, repository: str, commit: str, pipeline: str) -> Code | None:
        """The spec whose rules hold for a pipeline on the branch with the head `commit`: the one
        there or, if that is invalid or deleted, the last valid one of that name on the branch, so
        that deleting or breaking a spec cannot loosen its rules. None for a new pipeline."""
        specs = await self._commit(repository, commit)
        if pipeline not in specs.rules:
            specs.rules[pipeline] = await self._look_back(repository, commit, pipeline)
        return specs.rules[pipeline]

    async def _look_back(self, repository: str, commit: str, pipeline: str) -> Code | None:
        specs = await self._all(repository, commit)
        found = specs.by_name.get(pipeline)
        if found is not None and found.spec is not None:
            return found
        async for before, path in self._histories[repository].named(commit, specs.all, pipeline):
            earlier = await self.code(repository, before, path)
            if earlier.spec is not None:
                return earlier
        return found

    # -- what is kept ---------------------------------------------------------------------------

    async def _commit(self, repository: str, commit: str) -> CommitSpecs:
        """What is known of a commit, so far."""
        key = (repository, commit)
        if key not in self._commits:
            files = await self.mirror(repository).files(commit)
            facts, has_conda = CommitFacts(files, lfs=is_installed()), conda_program() is not None
            specs = CommitSpecs(repository, commit, facts, has_conda=has_conda)
            self._commits.setdefault(key, specs)
        self._commits.move_to_end(key)
        return self._commits[key]

    async def _all(self, repository: str, commit: str) -> CommitSpecs:
        """A commit, with all its specs read."""
        specs = await self._commit(repository, commit)
        left = [path for path in specs.paths if path not in specs.codes]
        for start in range(0, len(left), AT_ONCE):
            await self._read(specs, left[start : start + AT_ONCE])
            await asyncio.sleep(0)  # others may have waited for this
        return specs

    async def _read(self, specs: CommitSpecs, paths: Sequence[str]) -> None:
        """Make these specs of a commit known."""
        async with self._turns[specs.repository]:
            keys = {path: self._key(specs, path) for path in paths if path not in specs.codes}
            for path, key in keys.items():
                known = self._readings.get(key)
                if known is not None and known.holds(specs.facts):
                    specs.readings[path] = known
            anew = {path: key for path, key in keys.items() if path not in specs.readings}
            if anew:
                await self._read_anew(specs, anew)
        for path in keys:
            if path in specs.readings:
                await self._resolve(specs, specs.readings[path])
                specs.codes[path] = specs.code(path)
            else:
                specs.codes[path] = specs.without(path)
        self._forget()

    async def _read_anew(self, specs: CommitSpecs, keys: Mapping[str, _ReadingKey]) -> None:
        mirror, engine = self.mirror(specs.repository), self._images is not None
        found = await read_specs(mirror, specs, keys, engine=engine)
        for path, reading in found.items():
            specs.readings[path] = self._readings[keys[path]] = reading
            self._tally.add(reading)

    def _key(self, specs: CommitSpecs, path: str) -> _ReadingKey:
        facts = specs.facts
        entry, absent = facts.files.get(path), facts.absent_digest
        return _ReadingKey(specs.repository, path, entry, absent, specs.has_conda)

    async def _resolve(self, specs: CommitSpecs, reading: SpecReading) -> None:
        """Look up the images that a spec uses, if no other of its commit did."""
        for name in reading.images:
            if name not in specs.images:
                assert self._images is not None, "without it, no reading has images"
                try:
                    specs.images[name] = await self._images.resolve(name)
                except NeedsHuman as failure:
                    specs.images[name] = failure

    def _forget(self) -> None:
        """Forget the commits that were not asked for lately, and what only they had."""
        total = sum(specs.weight for specs in self._commits.values())
        while total + self._tally.total > MOST_BYTES and len(self._commits) > AT_LEAST:
            total -= self._commits.popitem(last=False)[1].weight
