"""The specs of a commit, as far as they were read."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from controller.git.mirror import Mirror
from controller.git.spec_facts import CommitFacts, blob_of
from controller.git.spec_reading import SpecReader, SpecReading
from controller.machine.pipelines.code import Code
from controller.machine.runs.graph import SourceTree
from specs.failures import NeedsHuman
from specs.loading.problems import has_errors, render_text
from specs.model import is_spec_file, named_by, spec_order
from specs.names import slug

SMALL = 2**20
"""The largest file, in bytes, that is read together with others."""
MAX_PROBLEMS = 200
"""How many problems of a spec are reported line by line."""


class CommitSpecs:
    """What is known of a commit of a repository."""

    def __init__(
        self, repository: str, commit: str, facts: CommitFacts, *, has_conda: bool
    ) -> None:
        self.repository = repository
        self.commit = commit
        self.facts = facts
        self.has_conda = has_conda
        """Whether a program for conda's environments is installed."""
        self.readings: dict[str, SpecReading] = {}
        """By the path of the spec."""
        self.codes: dict[str, Code] = {}
        """By the path of the spec, once its images were looked up."""
        self.images: dict[str, str | NeedsHuman] = {}
        """What its images are, each looked up once; or that there is no such image."""
        self.rules: dict[str, Code | None] = {}
        """By pipeline: see `Repositories.rules`."""

    @cached_property
    def paths(self) -> Sequence[str]:
        """The paths of all specs, sorted by folder, `ml-pipeline.yaml` first in each."""
        files = self.facts.files
        return sorted((path for path in files if is_spec(path)), key=spec_order)

    @cached_property
    def all(self) -> Mapping[str, Code]:
        """All specs by path. Only once they have been read."""
        return {path: self.codes[path] for path in self.paths}

    @cached_property
    def by_name(self) -> Mapping[str, Code]:
        """All specs by the pipeline's name, the first of each. Only once they have been read."""
        found: dict[str, Code] = {}
        for code in self.all.values():
            if code.name is not None:
                found.setdefault(code.name, code)
        return found

    @property
    def weight(self) -> int:
        """About how many bytes it takes, without the readings, which commits share."""
        return 200 * len(self.facts.files) + 2000 * len(self.codes)

    def code(self, path: str) -> Code:
        """The spec as it was read. Its images are in `images`."""
        reading = self.readings[path]
        images, problems = {}, list(reading.problems)
        for name, problem in reading.images.items():
            found = self.images[name]
            images[name] = name if isinstance(found, NeedsHuman) else found
            if isinstance(found, NeedsHuman):
                problems.append(replace(problem, message=str(found)))
        source = self._source(path, images, reading)
        name = reading.name or name_by(path, self.repository)
        if reading.pipeline is not None and not has_errors(problems):
            return Code(source=source, name=name, branches=reading.branches, spec=reading.pipeline)
        return Code(
            source=source,
            name=name,
            branches=reading.branches,
            problems=render_text(problems, {path: reading.text}),
            problem_count=len(problems),
            found=tuple(problems[:MAX_PROBLEMS]),
        )

    def without(self, path: str) -> Code:
        """In place of a spec that does not exist."""
        source = self._source(path, {}, None)
        return Code(source=source, problems=f"{path} is gone", problem_count=1)

    def _source(
        self, path: str, images: Mapping[str, str], reading: SpecReading | None
    ) -> SourceTree:
        folder, _, file = path.rpartition("/")
        return SourceTree(
            repository=self.repository,
            commit=self.commit,
            folder=folder,
            files=self.facts.files,
            file=file,
            images=images,
            project=reading.project if reading is not None else None,
            suite_words=reading.suite_words if reading is not None else {},
        )


def is_spec(path: str) -> bool:
    """Whether the file at a path is a spec."""
    return is_spec_file(path.rpartition("/")[2])


def name_by(path: str, repository: str) -> str:
    """The name of a pipeline whose spec does not say it."""
    folder, _, file = path.rpartition("/")
    return slug(named_by(folder.rpartition("/")[2], file) or repository)


async def read_specs(
    mirror: Mirror, specs: CommitSpecs, paths: Iterable[str], *, engine: bool
) -> dict[str, SpecReading]:
    """Read these specs of a commit together; without those that do not exist."""
    texts = await _texts(mirror, specs, paths)

    def begin() -> dict[str, SpecReader]:
        return {
            path: SpecReader(specs.facts, path, text)
            for path, text in texts.items()
            if text is not None
        }

    # In threads, as a hostile spec may take seconds.
    readers = await asyncio.to_thread(begin)
    waiting = dict(readers)
    while waiting:
        wanted = await asyncio.to_thread(_wanted, waiting)
        waiting = {path: readers[path] for path, files in wanted.items() if files}
        contents = await _texts(mirror, specs, {one for files in wanted.values() for one in files})
        for path, reader in waiting.items():
            for one in wanted[path]:
                reader.give(one, contents[one])
    return {path: reader.end(engine=engine) for path, reader in readers.items()}


def _wanted(readers: Mapping[str, SpecReader]) -> dict[str, frozenset[str]]:
    return {path: reader.wanted() for path, reader in readers.items()}


async def _texts(
    mirror: Mirror, specs: CommitSpecs, paths: Iterable[str]
) -> dict[str, bytes | None]:
    """The contents of files of a commit, by path; None for one that does not exist."""
    files = specs.facts.files
    entries = {path: files.get(path) for path in paths}
    blobs = {path: blob_of(what) for path, what in entries.items() if what is not None}
    plain = {path: sha for path, sha in blobs.items() if sha is not None}
    found: dict[str, bytes | None] = {}
    found |= await mirror.read_blobs(specs.commit, plain, SMALL)
    for path in entries:
        if path not in found:  # a link or a large file
            found[path] = await mirror.read(specs.commit, path)
    return found
