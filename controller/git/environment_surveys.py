"""Reads the files that a spec's meaning depends on, from a commit or a work tree: those of its
environment, and the suites that may name its `params`."""

import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from specs.globs import from_root
from specs.lint.environment import with_environment
from specs.lint.suites import with_params_used
from specs.loading.load import LoadedSpec
from specs.path_index import Paths
from specs.projects.conda import PROGRAMS
from specs.projects.survey import MOST_BYTES, Survey, SurveyRequest, survey
from specs.projects.values import EnvironmentProblem, Project
from validators.data.suites.suite import words_in_suite

_NO_CONDA: Final = EnvironmentProblem(
    "project",
    "no-program",
    f"an environment.yml needs {', '.join(PROGRAMS[:-1])} or {PROGRAMS[-1]}, and none of them is "
    "on PATH here: install micromamba where the controller runs",
    is_error=False,
    elsewhere=True,
)


class Surveyed(NamedTuple):
    """The result of a survey."""

    loaded: LoadedSpec
    """The spec, with the problems of its environment."""
    project: Project | None
    suite_words: Mapping[str, tuple[str, ...]]
    """See `SourceTree`."""


class FileSurvey:
    """Requests the files that it needs, a few at a time.

    Call `wanted` and `give` each of these files, until it is empty; then `end`.
    """

    def __init__(self, loaded: LoadedSpec, folder: str, files: Paths) -> None:
        """`folder` is the spec's folder, `files` are all paths of the repository."""
        self._loaded = loaded
        self._folder = folder
        self._files = files
        self._texts: dict[str, str | None] = {}
        self._found = Survey()
        self._suites = _suites_with_params(loaded, folder, files)

    def wanted(self) -> frozenset[str]:
        """The files to read next; empty at the end. Blocking, as parsing a lock may take long."""
        pipeline = self._loaded.sketch
        if pipeline is None:
            return frozenset()
        self._found = survey(
            SurveyRequest(
                pipeline.environment,
                self._folder,
                self._files,
                self._texts,
                platform.python_version(),
            )
        )
        return self._found.wanted or frozenset(self._suites.keys() - self._texts.keys())

    def give(self, path: str, content: bytes | None) -> None:
        """Provide the content of a file; None if it cannot be read."""
        try:
            is_small = content is not None and len(content) <= MOST_BYTES
            self._texts[path] = content.decode() if content is not None and is_small else None
        except UnicodeDecodeError:
            self._texts[path] = None

    def end(self) -> Surveyed:
        """The result."""
        found = self._found
        if found.project is not None and found.project.kind == "conda" and conda_program() is None:
            found = found._replace(problems=(*found.problems, _NO_CONDA))
        words = self._suite_words()
        used = {name for names in words.values() for name in names}
        loaded = with_params_used(with_environment(self._loaded, found), used)
        return Surveyed(loaded, found.project, words)

    def _suite_words(self) -> dict[str, tuple[str, ...]]:
        params = self._loaded.sketch.params if self._loaded.sketch else {}
        found = {}
        for file, name in self._suites.items():
            words = words_in_suite(self._texts.get(file) or "", name) & params.keys()
            if words:
                found[name] = tuple(sorted(words))
        return found

    def texts(self) -> Iterator[tuple[str, str]]:
        """The files that were read, with their texts."""
        yield from ((path, text) for path, text in self._texts.items() if text is not None)


def surveyed(
    loaded: LoadedSpec, folder: str, files: Paths, read: Callable[[str], bytes | None]
) -> Surveyed:
    """Survey a spec, reading files of the repository with `read`."""
    look = FileSurvey(loaded, folder, files)
    while wanted := look.wanted():
        for path in wanted:
            look.give(path, read(path))
    return look.end()


def _suites_with_params(loaded: LoadedSpec, folder: str, files: Paths) -> dict[str, str]:
    """By path in the repository: the suites, as a spec with `params` names them."""
    if loaded.sketch is None or not loaded.sketch.params:
        return {}
    named = (dataset.suite_file for dataset in loaded.sketch.datasets.values())
    found = {from_root(name, folder): name for name in named if name is not None}
    return {path: name for path, name in found.items() if path in files}


def conda_program() -> Path | None:
    """The installed program that creates conda environments, if any."""
    found = filter(None, map(shutil.which, PROGRAMS))
    return next((Path(each) for each in found), None)
