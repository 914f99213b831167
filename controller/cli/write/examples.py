"""The examples that come with Headgate: whole repositories of a team, to begin with."""

import shutil
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from controller.cli.failures import Failed
from controller.cli.folders import below
from specs.loading.explain import nearest
from specs.model import is_spec_file

ABOUT = "README.md"


class Example(NamedTuple):
    """A folder that is some team's whole repository."""

    name: str
    about: str
    """The first line of its README."""
    folder: Path


class Copied(NamedTuple):
    """Files by their paths in the example."""

    wrote: tuple[str, ...]
    left: tuple[str, ...]
    """Those that were there already."""


def examples() -> tuple[Example, ...]:
    """All of them, by name."""
    return tuple(_found(_folder()))


def example_of(name: str) -> Example:
    """The example of that name. Raises `Failed`, which lists them, where there is none."""
    known = {one.name: one for one in examples()}
    if name in known:
        return known[name]
    near = nearest(name, list(known))
    meant = f" Did you mean {near}?" if near else ""
    raise Failed(f"there is no example {name!r}.{meant} There are:\n{listed(known.values())}")


def listed(known: Iterable[Example]) -> str:
    """One line for each."""
    return "\n".join(f"  {one.name:<16}{one.about}" for one in known)


def copy(one: Example, folder: Path) -> Copied:
    """Write the example's files into `folder`, and leave what is there as it is."""
    wrote, left = [], []
    for name in below(one.folder):
        target = folder / name
        if target.exists() or target.is_symlink():
            left.append(name)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        # With its mode, as a script stays executable; a link stays a link.
        shutil.copy(one.folder / name, target, follow_symlinks=False)
        wrote.append(name)
    return Copied(tuple(wrote), tuple(left))


def _folder() -> Path:
    """Where they are: in the installed package, or beside it where it runs from a checkout."""
    package = Path(str(files("controller")))
    installed = package / "examples"
    return installed if installed.is_dir() else package.parent / "examples"


def _found(folder: Path) -> Iterator[Example]:
    for path in sorted(folder.iterdir()):
        about = path / ABOUT
        if about.is_file() and any(is_spec_file(Path(name).name) for name in below(path)):
            first = about.read_text(encoding="utf-8").partition("\n")[0]
            yield Example(path.name, first.lstrip("# ").removeprefix(f"{path.name}: "), path)
