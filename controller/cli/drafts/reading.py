"""A folder of this machine, as drafts see it."""

import os
import subprocess
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from controller.cli.drafts.samples import Sample, sample_of
from controller.cli.drafts.values import Data, Folder
from controller.cli.folders import below
from specs.load import load
from specs.model import is_spec_file

_LARGEST = 2**20
"""Bytes of a file that is read: code and configuration are smaller."""


def folder_at(path: Path, name: str) -> Folder:
    """The folder, called so, without what belongs to the pipelines of folders in it."""
    files = list(below(path))
    owned = {PurePosixPath(file).parent.as_posix() for file in files
             if is_spec_file(PurePosixPath(file).name)} - {"."}  # fmt: skip
    own = [file for file in files
           if not any(file.startswith(f"{folder}/") for folder in owned)]  # fmt: skip

    def read(file: str) -> str | None:
        try:
            if (path / file).stat().st_size > _LARGEST:
                return None
            return (path / file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def is_ignored(file: str) -> bool:
        command = ("git", "check-ignore", "--quiet", "--", file)
        try:
            done = subprocess.run(command, cwd=path, capture_output=True, check=False)
        except OSError:
            return False
        return done.returncode == 0

    ordered = tuple(sorted(own, key=lambda file: (file.count("/"), file)))
    specs = [file for file in ordered if "/" not in file and is_spec_file(file)]
    beside = load(read(specs[0]) or "", specs[0]).pipeline if specs else None
    return Folder(name, ordered, read, beside, is_ignored)


def sample_in(path: Path, folder: Folder, data: Data) -> Sample:
    """The first rows of the first file of a dataset."""
    glob = (data.uri or "").removeprefix("file://./").replace("**/", "*")
    first = next((file for file in folder.files if glob and fnmatch(file, glob)), None)
    return sample_of(path / os.fspath(first)) if first else {}
