"""Commits as values for the machines: their files, and their specs."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from controller.git import Mirror
from controller.git.environment_surveys import FileSurvey
from controller.git.lfs import is_installed
from controller.git.pointers import explain_absent, pointers
from controller.machine.pipelines.code import Code
from controller.machine.runs.graph import SourceTree
from specs.failures import NeedsHuman, TryAgain
from specs.lint.check import check
from specs.lint.images import ELSEWHERE
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem, has_errors, render_text
from specs.model import SPEC_FILES, Pipeline, is_spec_file, named_by, place_of, spec_order
from specs.names import slug

CACHED = 256
"""How many specs of commits are kept in memory; a commit never changes."""
LOOK_BACK = 200
"""How many commits that changed a spec are searched for the last valid spec of a pipeline."""
RETRY = 3600.0
"""Seconds between tries for a repository that is not in the settings any more."""
MAX_PROBLEMS = 200
"""How many problems of a spec are reported line by line."""


class Images(Protocol):
    """Looks up container images."""

    async def resolve(self, reference: str) -> str:
        """An immutable reference to the image. Raises `NeedsHuman` for an image that does not
        exist, and `TryAgain` while that cannot be determined."""
        ...


class Repositories:
    """The mirrors of all watched repositories, and checkouts of their commits.

    Without `images`, specs that use containers are refused.
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
        key = (repository, commit, spec)
        found = self._codes.get(key)
        if found is None:
            found = await self._read(repository, commit, spec)
            self._codes[key] = found
            while len(self._codes) > CACHED:
                self._codes.popitem(last=False)
        return found

    async def specs(self, repository: str, commit: str) -> dict[str, Code]:
        """The specs of a commit by path, sorted by folder, `ml-pipeline.yaml` first in each."""
        files = await self.mirror(repository).files(commit)
        specs = (path for path in files if is_spec_file(path.rpartition("/")[2]))
        ordered = sorted(specs, key=spec_order)
        return {spec: await self.code(repository, commit, spec) for spec in ordered}

    async def named(self, repository: str, commit: str, pipeline: str) -> Code | None:
        """The spec of that pipeline at a commit, in whatever folder; None if there is none."""
        specs = (await self.specs(repository, commit)).values()
        return next((code for code in specs if code.name == pipeline), None)

    async def rules(self, repository: str, commit: str, pipeline: str) -> Code | None:
        """The spec whose rules hold for a pipeline on the branch with the head `commit`: the one
        there or, if that is invalid or deleted, the last valid one of that name on the branch, so
        that deleting or breaking a spec cannot loosen its rules. None for a new pipeline."""
        key = (repository, commit, pipeline)
        if key not in self._rules:
            self._rules[key] = await self._look_back(repository, commit, pipeline)
            while len(self._rules) > CACHED:
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
        # In a thread, as a hostile spec may take seconds.
        seen = source.model_copy().seen  # a copy, so that the cached property is not kept
        missing, kept = explain_absent(seen, is_installed()), pointers(seen)
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
                found=problems[:MAX_PROBLEMS],
            )
        return Code(source=source, name=name, branches=branches, spec=loaded.pipeline)

    async def _resolved(
        self, loaded: LoadedSpec, spec: Pipeline
    ) -> tuple[dict[str, str], list[Problem]]:
        """Immutable references to the images that the spec uses, and problems with them."""
        found: dict[str, str] = {}
        problems = []
        for step in (None, *spec.commands):
            if spec.executor_of(step) != "docker":
                continue
            name, place = spec.image_of(step), _place(spec, step)
            if self._images is None:
                message = "this needs a container, but the controller has no Docker Engine "
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
    """Where the spec makes a step, or for None the model server, a container."""
    for path, part in (
        (place_of(step or ""), spec.commands.get(step or "")),
        (("environment",), spec.environment),
    ):
        for key in ("image", "build", "executor"):
            if part is not None and getattr(part, key) is not None:
                return (*path, key)
    return ("environment",)
