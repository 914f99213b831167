"""A private copy of files of a commit for one step or server, which may write to it.

Permissions alone cannot protect a shared checkout: its owner and root can write to it regardless.
"""

import json
import os
import re
import shutil
import stat
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from secrets import token_hex

from controller.blobs.last_use import mode
from controller.blobs.objects import COPY_UP_TO
from specs.globs import from_root, seen_from
from specs.model import is_spec_file

GIVEN = "given.json"
"""The file of an attempt that says which files of the commit its copy was made of."""
MAX_OMITTED = 2000
"""How many of the others are compared with the last output of a step that failed."""


def copy_files(checkout: Path, folder: str, files: Collection[str], target: Path) -> Path:
    """Copy these files of a commit to `target` unless it exists; where the spec's folder is there.

    `files` are named relative to `folder`, as in the spec, and keep their place in the repository.
    The targets of symbolic links are copied, too. The step must not be able to read any other file
    of the commit, as its cache key would not cover that. Files above `COPY_UP_TO` bytes are
    read-only hard links, to keep a copy cheap. Raises `OSError`.
    """
    inside = target / folder
    if target.exists():
        return inside
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".code-{token_hex(8)}")
    try:
        made = {f"{scratch / folder}"}
        (scratch / folder).mkdir(parents=True)
        for path, end in resolve_files(f"{checkout}", folder, files).items():
            copy = f"{scratch}/{path}"  # strings, not Paths, for speed: every step waits for this
            parent = copy.rpartition("/")[0]
            if parent not in made:
                os.makedirs(parent, exist_ok=True)  # noqa: PTH103 - as above
                made.add(parent)
            if end is not None:
                # Link to the final target: intermediate links need not be copied.
                os.symlink(_link_text(path, end), copy)  # noqa: PTH211 - as above
            else:
                _copy(f"{checkout}/{path}", copy)
        scratch.rename(target)
    except BaseException as error:
        shutil.rmtree(scratch, ignore_errors=True)
        if not isinstance(error, OSError) or not target.is_dir():
            raise
    return inside


def _link_text(path: str, end: str) -> str:
    return os.path.relpath(f"/{end}", f"/{path}/..")


def resolve_files(checkout: str, folder: str, files: Collection[str]) -> dict[str, str | None]:
    """The paths in the repository of these files and of the targets of links among them.

    Each link is mapped to its final target in the repository. None: not a link, or a broken link.
    """
    found: dict[str, str | None] = {}
    top = ""
    waiting = [from_root(path, folder) for path in reversed([*files])]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = None
        place = f"{checkout}/{path}"
        if os.path.islink(place):  # noqa: PTH114 - as above
            top = top or os.path.realpath(checkout)
            end = os.path.realpath(place)
            if os.path.exists(end) and f"{end}/".startswith(f"{top}/"):  # noqa: PTH110 - as above
                found[path] = end[len(top) + 1 :]
                waiting += (each[len(top) + 1 :] for each in _below(end))
    return found


def _below(place: str) -> Iterator[str]:
    """The file, or everything below the folder."""
    if not os.path.isdir(place):  # noqa: PTH112 - as above
        yield place
    for where, folders, names in os.walk(place):
        links = (name for name in folders if os.path.islink(f"{where}/{name}"))  # noqa: PTH114
        yield from (f"{where}/{name}" for name in (*names, *links))
        if not folders and not names:
            yield where


def _copy(source: str, target: str) -> None:
    about = os.lstat(source)
    if os.path.islink(source):  # noqa: PTH114 - as above
        os.symlink(os.readlink(source), target)  # noqa: PTH211, PTH115 - as above
    elif os.path.isdir(source):  # noqa: PTH112 - the empty folder of a submodule
        os.mkdir(target)  # noqa: PTH102 - as above
    elif about.st_size > COPY_UP_TO:
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copyfile(source, target)
    else:
        shutil.copyfile(source, target)
        if about.st_mode & 0o100:
            os.chmod(target, mode(0o755))  # noqa: PTH101 - as above; stays executable


def is_copy(
    checkout: str, folder: str, files: Collection[str], target: str, folder_mode: int
) -> bool:
    """Whether `target` is just as `copy_files` would make it, where new folders have these
    permissions. Raises `OSError` for what cannot be read."""
    expected = resolve_files(checkout, folder, files)
    folders = {"", *_parents(f"{folder}/_"), *(one for path in expected for one in _parents(path))}
    waiting = [""]
    left = dict(expected)
    while waiting:
        inside = waiting.pop()
        about = os.lstat(f"{target}/{inside}".rstrip("/"))
        if not stat.S_ISDIR(about.st_mode) or stat.S_IMODE(about.st_mode) != folder_mode:
            return False
        with os.scandir(f"{target}/{inside}") as entries:
            for entry in entries:
                path = f"{inside}/{entry.name}".lstrip("/")
                if path in folders:
                    folders.discard(path)
                    waiting.append(path)
                elif path not in left or not _is_copied(
                    f"{checkout}/{path}", entry, path, left.pop(path), folder_mode
                ):
                    return False
    return not left and not folders - {""}


def _parents(path: str) -> Iterator[str]:
    """The folders that a path is in, without the topmost."""
    while path := path.rpartition("/")[0]:
        yield path


def _is_copied(
    source: str, entry: "os.DirEntry[str]", path: str, end: str | None, folder_mode: int
) -> bool:
    """Whether an entry is as `copy_files` would make it of `source`."""
    about = entry.stat(follow_symlinks=False)
    if end is not None:
        return entry.is_symlink() and os.readlink(entry.path) == _link_text(path, end)  # noqa: PTH115 - text, for speed
    wanted = os.lstat(source)
    if stat.S_ISLNK(wanted.st_mode):  # a broken link
        return entry.is_symlink() and os.readlink(entry.path) == os.readlink(source)  # noqa: PTH115 - as above
    if stat.S_ISDIR(wanted.st_mode):
        is_folder = stat.S_ISDIR(about.st_mode) and stat.S_IMODE(about.st_mode) == folder_mode
        return is_folder and not os.listdir(entry.path)  # noqa: PTH208 - as above
    if wanted.st_size > COPY_UP_TO:
        return os.path.samestat(about, wanted)
    is_executable = bool(wanted.st_mode & 0o100)
    file_mode = mode(0o755) if is_executable else folder_mode & 0o666
    return (
        stat.S_ISREG(about.st_mode)
        and about.st_nlink == 1
        and about.st_size == wanted.st_size
        and stat.S_IMODE(about.st_mode) == file_mode
        and _content(entry.path) == _content(source)
    )


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - text, for speed
        return file.read()


def given_as_text(checkout: Path, folder: str, files: Collection[str]) -> str:
    """A note of what such a copy is made of, to explain a later failure (see `explain_missing`)."""
    return json.dumps([f"{checkout}", folder, [*files]])


def _omitted(checkout: str, folder: str, files: Collection[str]) -> Iterator[str]:
    """The files of the commit that the copy lacks, as the spec would name them."""
    there = resolve_files(checkout, folder, files)
    own = f"{folder}/" if folder else ""
    for where, _, names in os.walk(checkout):
        below = os.path.relpath(where, checkout)
        inside = "" if below == "." else f"{below}/"
        # A spec in that folder is admitted only by a command that names it.
        seen = (name for name in names if inside != own or not is_spec_file(name))
        lacks = (f"{inside}{name}" for name in seen if f"{inside}{name}" not in there)
        yield from (seen_from(folder, path) for path in lacks)


def explain_missing(note: Path, words: str) -> str:
    """A sentence about the first omitted file that a step's last output names, by file name or as
    a Python module or package; empty if there is none."""
    try:
        checkout, of, files = json.loads(note.read_text())
    except (FileNotFoundError, ValueError):  # or an older controller wrote it, as a list of files
        return ""
    for path in islice(_omitted(checkout, of, files), MAX_OMITTED):
        folder, _, name = path.rpartition("/")
        names = "|".join(map(re.escape, {name, name.removesuffix(".py")}))
        package = re.escape(folder.rpartition("/")[2] or name)
        if re.search(rf"(?<![\w-])({names})(?![\w-])|module named '{package}[.']", words):
            return (
                f"it is given only the files that `reads` admits, and {path} of the commit is not "
                "one of them"
            )
    return ""
