"""Files in folders as specs name them: relative, with `/`, without what tools keep there; and which
spec of a folder is meant."""

import os
from collections.abc import Iterator
from pathlib import Path

import click

spec_option = click.option(
    "--spec",
    "spec_file",
    metavar="FILE",
    help="The name of the spec, where the folder has several: ml-pipeline.NAME.yaml.",
)
_LEFT_OUT = {".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", ".headgate"}


def below(folder: Path) -> Iterator[str]:
    """All files and symbolic links below a folder, in order."""
    for where, names, files in os.walk(folder):
        names[:] = sorted(set(names) - _LEFT_OUT)
        links = [name for name in names if (Path(where) / name).is_symlink()]
        for name in sorted({*files, *links} - {".git"}):
            yield (Path(where) / name).relative_to(folder).as_posix()
