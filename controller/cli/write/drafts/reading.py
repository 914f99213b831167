"""Reads a folder on this machine for drafting."""

import subprocess
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from controller.cli.folders import files_below
from controller.cli.write.drafts.samples import Sample, sample_of
from controller.cli.write.drafts.values import Data, Folder
from specs.loading.load import load
from specs.model import is_spec_file

_LARGEST = 2**20
"""Bytes of the largest file that is read; code and configuration are smaller."""
_FILES = 8
"""How many files of a dataset are sampled."""


def folder_at(path: Path, name: str) -> Folder:
    """Read the folder, without its subfolders that have a pipeline of their own."""
    own = _without(list(files_below(path)), own_spec=True)
    specs = [file for file in own if "/" not in file and is_spec_file(file)]
    read = _reader(path)
    beside = load(read(specs[0]) or "", specs[0]).pipeline if specs else None
    around, place = _around(path)

    def is_ignored(file: str) -> bool:
        return _is_ignored(path, file)

    return Folder(name, own, read, beside, around, place, is_ignored)


def _around(path: Path) -> tuple[Folder | None, str]:
    """The rest of the folder's repository, as far as git tracks it and without the folders of other
    pipelines; and the path of the folder in it."""
    try:
        top = _git(path, "rev-parse", "--show-toplevel").strip()
        if not top or Path(top).resolve() == path.resolve():
            return None, ""
        place = path.resolve().relative_to(Path(top).resolve()).as_posix()
        tracked = _git(Path(top), "ls-files", "-z").split("\0")
    except (OSError, ValueError):
        return None, ""
    files = [file for file in tracked if file and not file.startswith(f"{place}/")]
    return Folder("", _without(files, own_spec=False), _reader(Path(top))), place


def _without(files: Sequence[str], *, own_spec: bool) -> tuple[str, ...]:
    """The files outside of folders with a spec, those nearest to the top first."""
    owned = {PurePosixPath(file).parent.as_posix() for file in files
             if is_spec_file(PurePosixPath(file).name)} - {"."}  # fmt: skip
    kept = [file for file in files if not any(file.startswith(f"{one}/") for one in owned)]
    if not own_spec:
        kept = [file for file in kept if not is_spec_file(file)]
    return tuple(sorted(kept, key=lambda file: (file.count("/"), file)))


def _reader(path: Path) -> Callable[[str], str | None]:
    def read(file: str) -> str | None:
        try:
            if (path / file).stat().st_size > _LARGEST:
                return None
            return (path / file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    return read


def _is_ignored(path: Path, file: str) -> bool:
    command = ("git", "check-ignore", "--quiet", "--", file)
    try:
        return subprocess.run(command, cwd=path, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _git(path: Path, *arguments: str) -> str:
    """The output of a git command; empty if it fails."""
    done = subprocess.run(
        ("git", *arguments), cwd=path, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else ""


def sample_in(path: Path, folder: Folder, data: Data) -> Sample:
    """The first rows of a few files of a dataset."""
    glob = (data.uri or "").removeprefix("file://./").replace("**/", "*")
    if glob.startswith("//") and folder.around is not None:
        top = Path(_git(path, "rev-parse", "--show-toplevel").strip())
        return sample_in(top, folder.around, Data(glob.removeprefix("//")))
    files = [file for file in folder.files if glob and fnmatch(file, glob)]
    sample: dict[str, list[str]] = {}
    for file in files[:: max(1, len(files) // _FILES)][:_FILES]:  # one file may hold one label
        for column, values in sample_of(path / file).items():
            sample.setdefault(column, []).extend(values)
    return sample
