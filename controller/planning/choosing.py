"""Chooses the spec to use in a folder that may have several."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from specs.failures import NeedsHuman
from specs.model import SPEC_FILE, is_spec_file, misnamed, spec_order

MOST_NAMED = 10
"""Specs that are listed if the folder has none."""


class SpecArgument(NamedTuple):
    """What somebody named on the command line: a folder, or one of its specs."""

    folder: Path
    file: str | None
    """The spec's file name; None for the folder's only one."""
    command: str
    """The command to suggest in messages: `headgate plan`."""


def spec_argument(path: Path, spec: str | None, command: str) -> SpecArgument:
    """The folder and spec that a path and a spec's file name refer to. The path of any other file
    stands for its folder. Raises NeedsHuman for a name that is not a spec's."""
    folder = path if path.is_dir() else path.parent
    if spec is None:
        named = None if path.is_dir() or not is_spec_file(path.name) else path.name
        return SpecArgument(folder, named, command)
    if not is_spec_file(spec):
        raise NeedsHuman(
            f"{spec} is not the file name of a spec: expected {SPEC_FILE}, or "
            "ml-pipeline.NAME.yaml in a folder with several; pass the folder as the argument"
        )
    return SpecArgument(folder, spec, command)


def specs_in(folder: Path) -> list[str]:
    """The file names of the specs in a folder."""
    names = (path.name for path in folder.iterdir() if path.is_file())
    return sorted(filter(is_spec_file, names), key=spec_order)


def choose(
    asked: SpecArgument, names: Sequence[str], elsewhere: Sequence[str] = (), where: str = ""
) -> str:
    """The name of the spec to use, out of those in the folder; `where` says at which commit.

    Raises NeedsHuman if there is none, naming the specs `elsewhere` in the repository or the
    command that writes one, and if there are several, naming the command for each.
    """
    folder = asked.folder
    if asked.file is not None and asked.file in names:
        return asked.file
    if asked.file is None and len(names) == 1:
        return names[0]
    if not names:
        wanted = asked.file or SPEC_FILE
        fix = _misnamed(folder) or _listed(asked.command, elsewhere)
        fix = fix or "`headgate init` writes one"
        raise NeedsHuman(f"there is no {wanted} in {folder}{where}; {fix}")
    lines = "".join(f"\n  {asked.command} {folder / name}" for name in names)
    if asked.file is not None:
        raise NeedsHuman(f"there is no {asked.file} in {folder}{where}; there is:{lines}")
    raise NeedsHuman(f"{folder} has {len(names)} specs{where}; name one of them:{lines}")


def _listed(command: str, paths: Sequence[str]) -> str:
    """The command for each of these specs; empty if there are none."""
    if not paths:
        return ""
    lines = "".join(f"\n  {command} {path}" for path in paths[:MOST_NAMED])
    more = f"\n  and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
    return f"the repository has:{lines}{more}"


def _misnamed(folder: Path) -> str:
    """How to rename a file whose name is almost a spec's; empty if there is none."""
    for path in sorted(folder.iterdir()):
        right = misnamed(path.name)
        if right is not None:
            return f"{path.name} is not the file name of a spec: rename it to {right}"
    return ""
