"""Reads the files that a spec's environment depends on, from a commit or a work tree."""

import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from specs.lint.environment import with_environment
from specs.loading.load import LoadedSpec
from specs.path_index import Paths
from specs.projects.conda import PROGRAMS
from specs.projects.survey import MOST_BYTES, Survey, SurveyRequest, survey
from specs.projects.values import EnvironmentProblem

_NO_CONDA: Final = EnvironmentProblem(
    "project",
    "no-program",
    f"an environment.yml needs {', '.join(PROGRAMS[:-1])} or {PROGRAMS[-1]}, and none of them is "
    "on PATH here: install micromamba where the controller runs",
    is_error=False,
    elsewhere=True,
)


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
        return self._found.wanted

    def give(self, path: str, content: bytes | None) -> None:
        """Provide the content of a file; None if it cannot be read."""
        try:
            is_small = content is not None and len(content) <= MOST_BYTES
            self._texts[path] = content.decode() if content is not None and is_small else None
        except UnicodeDecodeError:
            self._texts[path] = None

    def end(self) -> tuple[LoadedSpec, Survey]:
        """The spec with the problems of its environment, and the result of the survey."""
        found = self._found
        if found.project is not None and found.project.kind == "conda" and conda_program() is None:
            found = found._replace(problems=(*found.problems, _NO_CONDA))
        return with_environment(self._loaded, found), found

    def texts(self) -> Iterator[tuple[str, str]]:
        """The files that were read, with their texts."""
        yield from ((path, text) for path, text in self._texts.items() if text is not None)


def surveyed(
    loaded: LoadedSpec, folder: str, files: Paths, read: Callable[[str], bytes | None]
) -> tuple[LoadedSpec, Survey]:
    """Survey the environment of a spec, reading files of the repository with `read`."""
    look = FileSurvey(loaded, folder, files)
    while wanted := look.wanted():
        for path in wanted:
            look.give(path, read(path))
    return look.end()


def conda_program() -> Path | None:
    """The installed program that creates conda environments, if any."""
    found = filter(None, map(shutil.which, PROGRAMS))
    return next((Path(each) for each in found), None)
