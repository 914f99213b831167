"""Commits as the machines see them: their files, and their specs."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from controller.git import Mirror
from controller.git.lfs import is_installed
from controller.git.pointers import absent, pointers
from controller.git.surveys import FileSurvey
from controller.machine.pipelines.code import Code
from controller.machine.runs.graph import SourceTree
from specs.failures import NeedsHuman, TryAgain
from specs.lint.check import check
from specs.lint.images import ELSEWHERE
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem, has_errors, render_text
from specs.model import SPEC_FILES, Pipeline, is_spec_file, named_by, place_of, spec_order
from specs.names import slug

REMEMBERED = 256
"""Commits whose spec is kept in memory; a commit never changes."""
LOOK_BACK = 200
"""Commits that changed a spec, among which the last rules of a pipeline that is gone are sought."""
RESTS = 3600.0
"""Seconds until what is owed to a repository that is not in the settings is tried again."""
MOST_FOUND = 200
"""Problems of a spec that are told line by line."""


class Images(Protocol):
    """Where container images are had."""

    async def resolve(self, reference: str) -> str:
        """An immutable reference to the image. Raises `NeedsHuman` for one that is nowhere, and
        TryAgain while that cannot be known."""
        ...


class Repositories:
    """The mirrors of all repositories that are watched, and checkouts of their commits.

    Without `images`, a spec that asks for containers is refused.
    """

    def __init__(
        self, mirrors: Mapping[str, Mirror], checkouts: Path, images: Images | None = None
    ) -> None:
        self._mirrors = mirrors
        self._checkouts = checkouts
        self._images = images
        self._codes: OrderedDict[tuple[str, str, str], Code] = OrderedDict()
        self._rules: OrderedDict[tuple[str, str, str], Code | None] = OrderedDict()

    def mirror(self, repository: str) -> Mirror:
        """The mirror of a repository. Raises TryAgain if the settings do not name it: what is owed
        is owed until they do."""
        if repository not in self._mirrors:
            why = f"the repository {repository} is not in the settings any more"
            raise TryAgain(f"{why}; name it there again to go on", after=RESTS)
        return self._mirrors[repository]

    async def folder(self, repository: str, commit: str) -> Path:
        """The folder with the commit's files, read-only. See `workspace.Checkouts`."""
        return await self.mirror(repository).materialise(commit, self._checkouts / repository)

    async def commit_object(self, repository: str, commit: str) -> bytes:
        """See `workspace.Checkouts`."""
        return await self.mirror(repository).commit_object(commit)

    async def code(self, repository: str, commit: str, spec: str) -> Code:
        """The spec at that path of `commit`, checked, with the digests of the commit's files.

        An image's tag is looked up once, when the commit is first read. Raises TryAgain while an
        image cannot be looked up.
        """
        key = (repository, commit, spec)
        found = self._codes.get(key)
        if found is None:
            found = await self._read(repository, commit, spec)
            self._codes[key] = found
            while len(self._codes) > REMEMBERED:
                self._codes.popitem(last=False)
        return found

    async def specs(self, repository: str, commit: str) -> dict[str, Code]:
        """The specs at a commit, by path; in the order of their folders, the plain name first."""
        files = await self.mirror(repository).files(commit)
        specs = (path for path in files if is_spec_file(path.rpartition("/")[2]))
        ordered = sorted(specs, key=spec_order)
        return {spec: await self.code(repository, commit, spec) for spec in ordered}

    async def named(self, repository: str, commit: str, pipeline: str) -> Code | None:
        """The spec of that pipeline at a commit, wherever it is; None without one."""
        specs = (await self.specs(repository, commit)).values()
        return next((code for code in specs if code.name == pipeline), None)

    async def rules(self, repository: str, commit: str, pipeline: str) -> Code | None:
        """The rules of that pipeline on the branch that `commit` is the head of: of its spec
        there, or else of the last valid one that the branch had under that name, so that a spec
        that was deleted or broken goes on to be held against what replaces it. None for a pipeline
        that is new."""
        key = (repository, commit, pipeline)
        if key not in self._rules:
            self._rules[key] = await self._look_back(repository, commit, pipeline)
            while len(self._rules) > REMEMBERED:
                self._rules.popitem(last=False)
        return self._rules[key]

    async def _look_back(self, repository: str, commit: str, pipeline: str) -> Code | None:
        found = await self.named(repository, commit, pipeline)
        if found is not None and found.spec is not None:
            return found
        mirror = self.mirror(repository)
        for changed in await mirror.touching(commit, SPEC_FILES, LOOK_BACK):
            before = await mirror.parent(changed)
            earlier = await self.named(repository, before, pipeline) if before else None
            if earlier is not None and earlier.spec is not None:
                return earlier
        return found

    async def _read(self, repository: str, commit: str, path: str) -> Code:
        mirror = self.mirror(repository)
        folder, _, file = path.rpartition("/")
        source = SourceTree(
            repository=repository,
            commit=commit,
            folder=folder,
            files=await mirror.files(commit),
            file=file,
        )
        text = await mirror.read(commit, path)
        if text is None:
            return Code(source=source, problems=f"{path} is gone", problem_count=1)
        # A hostile spec may take seconds; nothing else has to wait for it.
        seen = source.model_copy().seen  # of a copy, so that it is not kept with the commit
        missing, kept = absent(seen, is_installed()), pointers(seen)
        loaded = await asyncio.to_thread(
            check, text, path, seen.keys(), missing, kept, source.folder
        )
        look = FileSurvey(loaded, folder, source.files)
        while wanted := await asyncio.to_thread(look.wanted):
            for one in wanted:
                look.give(one, await mirror.read(commit, one))
        loaded, found = look.end()
        source = source.model_copy(update={"project": found.project})
        problems = tuple(
            replace(each, severity="error") if each.code == ELSEWHERE else each
            for each in loaded.problems
        )
        if loaded.pipeline is not None:
            images, unknown = await self._resolved(loaded, loaded.pipeline)
            source = source.model_copy(update={"images": images})
            problems = (*problems, *unknown)
        sketch = loaded.sketch
        name = sketch.metadata.name if sketch and sketch.metadata.name != "unnamed" else None
        name = name or slug(named_by(folder.rpartition("/")[2], file) or repository)
        branches = sketch.triggers.commits.branches if sketch else ()
        if loaded.pipeline is None or has_errors(problems):
            rendered = render_text(problems, {path: loaded.text})
            return Code(
                source=source,
                name=name,
                branches=branches,
                problems=rendered,
                problem_count=len(problems),
                found=problems[:MOST_FOUND],
            )
        return Code(source=source, name=name, branches=branches, spec=loaded.pipeline)

    async def _resolved(
        self, loaded: LoadedSpec, spec: Pipeline
    ) -> tuple[dict[str, str], list[Problem]]:
        """The images of the containers that the spec asks for, and those that are not to be had."""
        found: dict[str, str] = {}
        problems = []
        for step in (None, *spec.commands):
            if spec.executor_of(step) != "docker":
                continue
            name, place = spec.image_of(step), _place(spec, step)
            if self._images is None:
                message = "a container is asked for, but this controller has no Docker Engine "
                message += f"(`docker.host` in its settings); remove `{place[-1]}`"
                problems.append(loaded.problem(ELSEWHERE, place, message, at_key=True))
            elif name is not None and name not in found:
                try:
                    found[name] = await self._images.resolve(name)
                except NeedsHuman as failure:
                    found[name] = name
                    problems.append(loaded.problem("no-image", place, str(failure)))
        return found, list(dict.fromkeys(problems))


def _place(spec: Pipeline, step: str | None) -> tuple[str, ...]:
    """Where the spec says that a step, or for None the model server, is a container."""
    for path, part in (
        (place_of(step or ""), spec.commands.get(step or "")),
        (("environment",), spec.environment),
    ):
        for key in ("image", "build", "executor"):
            if part is not None and getattr(part, key) is not None:
                return (*path, key)
    return ("environment",)
