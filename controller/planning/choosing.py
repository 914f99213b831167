"""Which spec is meant where a folder may have several."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from specs.failures import NeedsHuman
from specs.model import SPEC_FILE, is_spec_file, misnamed, spec_order

MOST_NAMED = 10
"""Specs that are offered where there is none."""


class SpecArgument(NamedTuple):
    """What somebody named: a folder, or a spec of it."""

    folder: Path
    file: str | None
    """The spec's name there; None: whichever it has."""
    command: str
    """What is said to name another: `headgate plan`."""


def spec_argument(path: Path, spec: str | None, command: str) -> SpecArgument:
    """What is meant by a path and the name of a spec. A path of any other file stands for its
    folder. Raises NeedsHuman for a name that no spec has."""
    folder = path if path.is_dir() else path.parent
    if spec is None:
        named = None if path.is_dir() or not is_spec_file(path.name) else path.name
        return SpecArgument(folder, named, command)
    if not is_spec_file(spec):
        raise NeedsHuman(
            f"{spec} is no name of a spec: {SPEC_FILE}, or ml-pipeline.NAME.yaml of a folder with "
            "several; the folder goes before it"
        )
    return SpecArgument(folder, spec, command)


def specs_in(folder: Path) -> list[str]:
    """The names of the specs that are in a folder now."""
    names = (path.name for path in folder.iterdir() if path.is_file())
    return sorted(filter(is_spec_file, names), key=spec_order)


def choose(
    asked: SpecArgument, names: Sequence[str], elsewhere: Sequence[str] = (), where: str = ""
) -> str:
    """The spec that is meant of those in the folder, where `where` says at which commit. Raises
    NeedsHuman: without one it says which there are `elsewhere` in the repository, or what writes
    one, and of several how one is named."""
    folder = asked.folder
    if asked.file is not None and asked.file in names:
        return asked.file
    if asked.file is None and len(names) == 1:
        return names[0]
    if not names:
        wanted = asked.file or SPEC_FILE
        mend = _written(folder) or _named(asked.command, elsewhere)
        mend = mend or "`headgate init` writes one"
        raise NeedsHuman(f"there is no {wanted} in {folder}{where}; {mend}")
    lines = "".join(f"\n  {asked.command} {folder / name}" for name in names)
    if asked.file is not None:
        raise NeedsHuman(f"there is no {asked.file} in {folder}{where}; there is:{lines}")
    raise NeedsHuman(f"{folder} has {len(names)} specs{where}; name one of them:{lines}")


def _named(command: str, paths: Sequence[str]) -> str:
    """How the specs at these paths are named; nothing without any."""
    if not paths:
        return ""
    lines = "".join(f"\n  {command} {path}" for path in paths[:MOST_NAMED])
    more = f"\n  and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
    return f"the repository has:{lines}{more}"


def _written(folder: Path) -> str:
    """What makes a spec of a file there: its right name; nothing without such a file."""
    for path in sorted(folder.iterdir()):
        right = misnamed(path.name)
        if right is not None:
            return f"{path.name} is not read, as specs are called: rename it to {right}"
    return ""
