"""PURE. Reads a spec of a commit, and says what the result depends on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from controller.git.environment_surveys import FileSurvey
from controller.git.spec_facts import (
    Answer,
    AskedPaths,
    AskedPointers,
    CommitFacts,
    Question,
    is_covered,
)
from specs.lint.check import check
from specs.lint.images import ELSEWHERE
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem, has_errors
from specs.model import Pipeline, place_of
from specs.path_index import SpecFiles
from specs.projects.values import Project

_BYTES_OF_TEXT = 25
"""Bytes in memory per byte of a spec's text, measured."""


@dataclass(frozen=True, eq=False)
class SpecReading:
    """A spec as it was read: its values, or its problems."""

    pipeline: Pipeline | None
    """None if there is an error already; images are looked up for each commit."""
    name: str | None
    """The pipeline's name as the spec says it."""
    branches: tuple[str, ...]
    problems: tuple[Problem, ...]
    images: Mapping[str, Problem]
    """The images to look up, each with the problem that it is if there is no such image."""
    project: Project | None
    suite_words: Mapping[str, tuple[str, ...]]
    text: str
    """The source; empty if there is nothing to show of it."""
    weight: int
    """About how many bytes it takes in memory."""
    asked: Mapping[Question, Answer]
    """What it depends on."""
    is_covered: bool
    """Whether that is all. Otherwise the reading is only of its commit."""

    def holds(self, facts: CommitFacts) -> bool:
        """Whether another commit with the same entry of the spec has the same reading."""
        return self.is_covered and facts.agree(self.asked)


def name_in(loaded: LoadedSpec) -> str | None:
    """The pipeline's name as the spec says it; None if that cannot be read."""
    said = loaded.sketch.metadata.name if loaded.sketch is not None else "unnamed"
    return None if said == "unnamed" else said


class SpecReader:
    """Reads one spec. Call `wanted` and `give` each of these files, until it is empty; then `end`.

    Blocking: a hostile spec may take seconds.
    """

    def __init__(self, facts: CommitFacts, path: str, text: bytes) -> None:
        folder = path.rpartition("/")[0]
        self._facts = facts
        self._text = text
        self._paths = AskedPaths(facts)
        self._paths.ask(Question("content", path))
        absent, pointers = facts.absent_for(folder), AskedPointers(self._paths, folder)
        files = SpecFiles(self._paths, folder)
        loaded = check(text, path, files, absent, pointers, folder)
        self._look = FileSurvey(loaded, folder, self._paths)

    def wanted(self) -> frozenset[str]:
        """The files of its environment to read next; empty at the end."""
        return self._look.wanted()

    def give(self, path: str, content: bytes | None) -> None:
        """Provide the content of a file; None if it cannot be read."""
        self._paths.ask(Question("content", path))
        self._look.give(path, content)

    def end(self, *, engine: bool) -> SpecReading:
        """The result. `engine`: whether there is a Docker Engine to run containers."""
        found = self._look.end()
        loaded = found.loaded
        # What depends on the machine is an error on a controller.
        problems = [
            replace(each, severity="error") if each.code == ELSEWHERE else each
            for each in loaded.problems
        ]
        images: dict[str, Problem] = {}
        if loaded.pipeline is not None:
            images = _images(loaded, loaded.pipeline) if engine else {}
            problems += () if engine else _without_engine(loaded, loaded.pipeline)
        read = (about for kind, about in self._paths.asked if kind == "content")
        return SpecReading(
            pipeline=None if has_errors(problems) else loaded.pipeline,
            name=name_in(loaded),
            branches=loaded.sketch.triggers.commits.branches if loaded.sketch else (),
            problems=tuple(dict.fromkeys(problems)),
            images=images,
            project=found.project,
            suite_words=found.suite_words,
            text=loaded.text if problems or images else "",
            weight=_BYTES_OF_TEXT * len(self._text) + 1000,
            asked=self._paths.asked,
            is_covered=all(is_covered(self._facts.files.get(path)) for path in read),
        )


def _images(loaded: LoadedSpec, spec: Pipeline) -> dict[str, Problem]:
    found: dict[str, Problem] = {}
    for step in (None, *spec.commands):
        name = spec.image_of(step) if spec.executor_of(step) == "docker" else None
        if name is not None and name not in found:
            found[name] = loaded.problem("no-image", _place(spec, step), "")
    return found


def _without_engine(loaded: LoadedSpec, spec: Pipeline) -> list[Problem]:
    found = []
    for step in (None, *spec.commands):
        if spec.executor_of(step) == "docker":
            place = _place(spec, step)
            message = "this needs a container, but the controller has no Docker Engine "
            message += f"(`docker.host` in its settings); remove `{place[-1]}`"
            found.append(loaded.problem(ELSEWHERE, place, message, at_key=True))
    return found


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
