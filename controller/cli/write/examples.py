"""The examples that come with Headgate: complete repositories to start from."""

import shutil
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from controller.cli.failures import Failed
from controller.cli.folders import files_below
from specs.loading.explain import nearest
from specs.model import is_spec_file

ABOUT = "README.md"


class Example(NamedTuple):
    """A folder that is a complete repository."""

    name: str
    about: str
    """The first line of its README."""
    folder: Path


class Copied(NamedTuple):
    """The files of an example that were copied, by their paths in it."""

    wrote: tuple[str, ...]
    skipped: tuple[str, ...]
    """Those that existed already, and were left as they are."""


def examples() -> tuple[Example, ...]:
    """All examples, sorted by name."""
    return tuple(_found(_folder()))


def example_of(name: str) -> Example:
    """The example of that name. Raises `Failed`, with a list of all, if there is none."""
    known = {one.name: one for one in examples()}
    if name in known:
        return known[name]
    near = nearest(name, list(known))
    meant = f" Did you mean {near}?" if near else ""
    raise Failed(f"there is no example {name!r}.{meant} There are:\n{listed(known.values())}")


def listed(known: Iterable[Example]) -> str:
    """A line for each example."""
    return "\n".join(f"  {one.name:<16}{one.about}" for one in known)


def copy(one: Example, folder: Path) -> Copied:
    """Copy the files of an example into `folder`, without overwriting any."""
    wrote, skipped = [], []
    for name in files_below(one.folder):
        target = folder / name
        if target.exists() or target.is_symlink():
            skipped.append(name)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        # With its mode, so that scripts stay executable; a link is copied as a link.
        shutil.copy(one.folder / name, target, follow_symlinks=False)
        wrote.append(name)
    return Copied(tuple(wrote), tuple(skipped))


def _folder() -> Path:
    """The folder of the examples: in the installed package, or beside it in a checkout."""
    package = Path(str(files("controller")))
    installed = package / "examples"
    return installed if installed.is_dir() else package.parent / "examples"


def _found(folder: Path) -> Iterator[Example]:
    for path in sorted(folder.iterdir()):
        about = path / ABOUT
        if about.is_file() and any(is_spec_file(Path(name).name) for name in files_below(path)):
            first = about.read_text(encoding="utf-8").partition("\n")[0]
            yield Example(path.name, first.lstrip("# ").removeprefix(f"{path.name}: "), path)
