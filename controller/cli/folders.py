"""The files of a folder as specs name them (relative, with `/`, without the folders of tools), and
the option that chooses one of its specs."""

import os
from collections.abc import Iterator
from pathlib import Path

import click

spec_option = click.option(
    "--spec",
    "spec_file",
    metavar="FILE",
    help="The spec to use, where the folder has several: ml-pipeline.NAME.yaml.",
)
_LEFT_OUT = {".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", ".headgate"}


def files_below(folder: Path) -> Iterator[str]:
    """All files and symbolic links below a folder, in a stable order."""
    for where, names, files in os.walk(folder):
        names[:] = sorted(set(names) - _LEFT_OUT)
        links = [name for name in names if (Path(where) / name).is_symlink()]
        for name in sorted({*files, *links} - {".git"}):
            yield (Path(where) / name).relative_to(folder).as_posix()
