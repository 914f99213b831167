"""What `validate` checks besides the spec: the files of its environment, and known secrets."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from controller.config.secrets import Secrets
from controller.config.settings_file import SECRET, load_secrets, load_settings
from controller.git.environment_surveys import FileSurvey
from controller.machine.runs.graph import SourceTree
from specs.failures import NeedsHuman
from specs.lint.environment import requirements_file
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.loading.tree import YamlPath
from specs.model import place_of
from specs.path_index import PathIndex
from specs.references import SECRET as NAMED


class Known(NamedTuple):
    """The secrets that are known on this machine, and the settings that they come from."""

    secrets: Secrets
    where: str


def with_files(
    loaded: LoadedSpec, source: SourceTree, files: Collection[str], sources: dict[str, str]
) -> LoadedSpec:
    """The spec with the problems of its environment's files added. `files` are all files of the
    repository. The text of a file with a problem is added to `sources`."""
    look = FileSurvey(loaded, source.folder, PathIndex(files))
    while wanted := look.wanted():
        for path in wanted:
            look.give(path, _read(Path(source.repository) / path))
    found = look.end().loaded
    listed = requirements_file(loaded)
    if any(problem.file == listed for problem in found.problems):
        for path, text in look.texts():
            if listed.endswith(path):
                sources[listed] = text
    return found


def known_secrets(settings: Path | None) -> Known | None:
    """The secrets of the controller with these settings; None if they cannot be read."""
    if settings is None:
        return None
    try:
        loaded = load_settings(settings.read_bytes(), str(settings))
        if loaded.settings is None:
            return None
        return Known(load_secrets(loaded.settings, settings.parent, os.environ), str(settings))
    except (OSError, NeedsHuman):
        return None  # `doctor` reports what is wrong with them


def unknown_secrets(loaded: LoadedSpec, known: Known | None) -> Iterator[Problem]:
    """A problem for each secret that the spec names and the controller does not have."""
    if known is None:
        return
    for name, path in _named(loaded).items():
        if not known.secrets.has(name):
            yield loaded.problem(
                "unknown-secret",
                path,
                f"the secret {name} is not known to {known.where}: whatever needs it fails until "
                f"the controller has it in the file of `secrets` or as {SECRET}{name}",
                severity="warning",
                within=name,
            )


def _named(loaded: LoadedSpec) -> Mapping[str, YamlPath]:
    """Each secret, and the first place in the spec that names it."""
    found: dict[str, YamlPath] = {}
    pipeline = loaded.sketch
    if pipeline is None:
        return found
    places: list[tuple[YamlPath, Iterable[str]]] = [
        ((*place_of(name), "secrets"), step.secrets) for name, step in pipeline.commands.items()
    ]
    for name, dataset in pipeline.datasets.items():
        if dataset.query is not None:
            places.append((("datasets", name, "query", "url"), (dataset.query.secret,)))
    used = pipeline.release.serve or pipeline.release.batch if pipeline.release else None
    if pipeline.release is not None and used is not None:
        places.append((("release", pipeline.release.where, "secrets"), used.secrets))
    for at, one in enumerate(pipeline.notify):
        places.append((("notify", at, "to"), (match[1] for match in NAMED.finditer(one.to))))
    for path, names in places:
        for at, name in enumerate(names):
            found.setdefault(name, (*path, at) if path[-1] == "secrets" else path)
    return found


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
