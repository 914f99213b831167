"""Files that a command reads but no run can create, because their names are not UTF-8."""

from collections.abc import Iterator

from specs.globs import admits, as_seen
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.loading.tree import YamlPath
from specs.model import Pipeline, place_of
from specs.path_index import SpecFiles


def lint_names(loaded: LoadedSpec, pipeline: Pipeline, files: SpecFiles) -> Iterator[Problem]:
    """One problem for each command that reads such files, which names the first of them."""
    odd, folder = files.not_utf8, files.folder
    if not odd:
        return
    readers: list[tuple[YamlPath, tuple[str, ...] | None]] = [
        (place_of(name), step.reads) for name, step in pipeline.commands.items()
    ]
    if pipeline.release is not None and pipeline.release.run:
        readers.append((("release", pipeline.release.where), pipeline.release.reads))
    for place, reads in readers:
        named = reads if reads is not None else pipeline.triggers.commits.paths
        globs = [as_seen(glob, folder) for glob in named]
        read = next((file for file in odd if admits(globs, file, folder)), None)
        if read is not None:
            here = (*place, "run" if reads is None else "reads")
            message = f"the name of `{read}` is not UTF-8: rename the file, or leave it out of "
            "`reads`"
            yield loaded.problem("file-name", here, message)
