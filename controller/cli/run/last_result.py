"""The result of the last `headgate run` of a spec, which the next call repeats if it would be the
same.

A run reads a commit, which never changes, and data. If the commit is still checked out as it is,
the data has the same versions, and the results that the last run made or reused are all in the
cache and not too old, then another run would take every node from there. That is told from this
file, git and the files' times, before anything of the controller is imported.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple, TypeAlias

from controller.blobs.objects import Objects

HOME = "headgate"
"""The name of the results folder inside the clone's git folder, where it is never committed."""
FOLDER = "last"
"""The folder of these files in the results folder."""
PACKAGES = ("controller", "deployers", "specs", "validators")
"""Ours, which lie side by side in an installation as in a checkout."""
WIDTH = 120
"""Columns of a report that is not shown in a terminal."""

_FIELDS = {"1": 8, "u": 10, "?": 1}
"""How many fields of git's status are before the path, by the kind of line: changed, unmerged or
untracked. Renames are not looked for."""

Data: TypeAlias = tuple[str, str | None, str]
"""The address of a dataset, the marker that says that it is complete, and its version."""


class Options(NamedTuple):
    """What `headgate run` was asked for."""

    path: Path
    spec_file: str | None
    commit: str
    base: str | None
    accept_rules: bool
    home: Path | None
    no_cache: bool
    forget: bool
    report: Path | None
    form: str

    @property
    def are_plain(self) -> bool:
        """Whether they ask for no more than to run what is checked out, and to show the result."""
        more = (self.base, self.no_cache, self.forget, self.report, self.form != "text")
        return self.commit == "HEAD" and not any(more)


class LastResult(NamedTuple):
    """The result of a run, and what it depends on."""

    made_by: str
    """The installation of Headgate, and its code."""
    commit: str
    pipeline: str
    subject: str
    run: str
    code: int
    """The exit code."""
    gates: str
    """The gates' reports, as they were printed."""
    outcome: str
    """The last line."""
    width: int
    """Columns for which the reports were printed."""
    colour: bool
    files: Sequence[str]
    """The digests of the stored files that its results consist of."""
    folders: Sequence[str]
    """The digests of the stored listings of the folders among them."""
    until: float
    """Until when it is repeated, in seconds since the epoch: then one of its results is too old to
    be reused, or it is time that a run notes their use, as `keep` counts from that."""
    data: Sequence[Data]
    """The data outside the repository."""
    reads_elsewhere: bool
    """Whether it reads files of the repository outside the spec's folder."""


class Found(NamedTuple):
    """A last result, and the results folder that it is in."""

    last: LastResult
    home: Path
    left_out: Sequence[str]
    """The files of the spec's folder that differ from the commit in the work tree."""


def look_up(options: Options) -> Found | None:
    """The last result, if nothing but its data can have changed; the caller looks at that."""
    if not options.are_plain:
        return None
    folder = _folder_of(options.path)
    told = _git(folder, "rev-parse", "--show-toplevel", "--git-common-dir") or ""
    top, _, shared = told.removesuffix("\n").partition("\n")
    home = (options.home or home_in(folder / shared)).absolute()
    last = _read(place(home, Path(top), options))
    if last is None or not _stands(last, time.time()) or not _is_shown_alike(last):
        return None
    changed = _changed_since(last.commit, Path(top))
    if changed is None or not _is_stored(last, home):
        return None
    inside = os.path.relpath(folder.resolve(), Path(top).resolve())
    prefix = "" if inside == "." else f"{inside}/"
    left_out = [path.removeprefix(prefix) for path in changed if path.startswith(prefix)]
    if last.reads_elsewhere and len(left_out) < len(changed):
        return None  # the spec says which of the others it reads
    return Found(last, home, left_out)


def home_in(git_folder: Path) -> Path:
    """The results folder of a clone."""
    return git_folder / HOME


def place(home: Path, top: Path, options: Options) -> Path:
    """The file of the last result for the same path and spec in the clone at `top`."""
    path = os.path.relpath(options.path.resolve(), top.resolve())
    name = sha256(json.dumps([path, options.spec_file]).encode()).hexdigest()
    return home / FOLDER / f"{name}.json"


def keep(path: Path, result: LastResult) -> None:
    """Keep a result for the next call; it replaces the one before."""
    if result.until <= time.time():
        return  # something has to run each time
    path.parent.mkdir(exist_ok=True)
    scratch = path.with_name(f"{token_hex(8)}.new")
    scratch.write_text(json.dumps(result._asdict()), encoding="utf-8")
    scratch.replace(path)


def installed() -> str:
    """Which Headgate this is: its installation, if it is installed, and its source files, which
    are edited in place where they are installed so, or not at all."""
    top = Path(__file__).parents[3]
    files, newest = _count_and_newest(*(f"{top}/{package}" for package in PACKAGES))
    sources = f"{files} files until {newest}"
    for folder in filter(None, sys.path):
        for record in Path(folder).glob("headgate-*.dist-info/RECORD"):
            return f"{record.parent.name} {record.stat().st_mtime_ns}, {sources}"
    return sources


def _count_and_newest(*folders: str) -> tuple[int, int]:
    """The number of files below these folders, and the newest time of one, in nanoseconds since
    the epoch; without what Python compiles of them."""
    count, newest, waiting = 0, 0, [*folders]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if not entry.is_dir():
                    count += 1
                    newest = max(newest, entry.stat().st_mtime_ns)
                elif entry.name != "__pycache__":
                    waiting.append(entry.path)
    return count, newest


def width() -> int:
    """Columns for which reports are printed now."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH


def _read(path: Path) -> LastResult | None:
    with suppress(OSError, ValueError, TypeError):  # TypeError: another version wrote it
        return LastResult(**json.loads(path.read_text(encoding="utf-8")))
    return None


def _stands(last: LastResult, now: float) -> bool:
    return last.made_by == installed() and now < last.until


def _is_shown_alike(last: LastResult) -> bool:
    here = width(), sys.stdout.isatty()
    return not last.gates or (last.width, last.colour) == here


def _changed_since(commit: str, top: Path) -> list[str] | None:
    """The paths where the work tree differs from the commit, in order; None if another commit is
    checked out."""
    arguments = ("status", "--porcelain=v2", "--branch", "-z", "--no-renames")
    told = _git(top, *arguments, "--untracked-files=all", "--ignore-submodules=dirty") or ""
    lines = told.removesuffix("\0").split("\0")
    if f"# branch.oid {commit}" not in lines:
        return None
    return sorted(
        line.split(" ", _FIELDS[line[0]])[-1] for line in lines if not line.startswith("# ")
    )


def _is_stored(last: LastResult, home: Path) -> bool:
    """Whether all its results are there unmodified; if so, they count as used now."""
    for name, digests in (("files", last.files), ("folders", last.folders)):
        objects = Objects(home / "artifacts" / name)
        if not all(objects.is_intact(digest, touch=True) for digest in digests):
            return False
    return True


def _folder_of(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None if it fails, as the run itself says why. Nothing in the clone is
    changed, not even git's index."""
    with suppress(OSError):
        done = subprocess.run(
            ("git", "--no-optional-locks", *arguments), cwd=folder, capture_output=True, check=False
        )
        if done.returncode == 0:
            return os.fsdecode(done.stdout)
    return None
