"""A copy of files of a commit for one reader: what it writes there, nobody else will ever read.

Permissions alone do not keep a shared checkout as it was committed: its owner and root may write
whatever they say.
"""

import json
import os
import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from secrets import token_hex

from controller.blobs.objects import COPY_UP_TO
from controller.blobs.shelf import mode
from specs.globs import from_root, seen_from
from specs.model import is_spec_file

NOTE = "left-out.json"
"""The file of an attempt that names what its copy is without."""
MOST_LEFT_OUT = 2000
"""Names that it holds at most."""


def own_copy(checkout: Path, folder: str, files: Collection[str], target: Path) -> Path:
    """Lay out these files of a commit at `target` once, each at its place in the repository, and
    return where the spec's folder is there. They are named as the spec in that folder sees them.

    A symbolic link comes with what it leads to. Nothing else of the commit is there, and no way to
    it: what a step could read beside its files, its cache key would not cover. Files above
    `COPY_UP_TO` bytes are hard links and stay read-only, so a copy stays cheap. Raises `OSError`.
    """
    inside = target / folder
    if target.exists():
        return inside
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".code-{token_hex(8)}")
    try:
        made = {f"{scratch / folder}"}
        (scratch / folder).mkdir(parents=True)
        for path, end in laid_out(f"{checkout}", folder, files).items():
            copy = f"{scratch}/{path}"  # text all the way: this is on the way of every step
            parent = copy.rpartition("/")[0]
            if parent not in made:
                os.makedirs(parent, exist_ok=True)  # noqa: PTH103 - as above
                made.add(parent)
            if end is not None:
                # Straight to the end: links on the way need not be there.
                way = os.path.relpath(f"/{end}", f"/{path}/..")
                os.symlink(way, copy)  # noqa: PTH211 - as above
            else:
                _copy(f"{checkout}/{path}", copy)
        try:
            scratch.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return inside


def laid_out(checkout: str, folder: str, files: Collection[str]) -> dict[str, str | None]:
    """The paths in the repository of these files and of all that links among them lead to; of each
    link where it ends, in the repository, too. None: it is no link, or one that leads nowhere."""
    found: dict[str, str | None] = {}
    top = os.path.realpath(checkout)
    waiting = [from_root(path, folder) for path in reversed([*files])]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = None
        place = f"{checkout}/{path}"
        if os.path.islink(place):  # noqa: PTH114 - as above
            end = os.path.realpath(place)
            if os.path.exists(end) and f"{end}/".startswith(f"{top}/"):  # noqa: PTH110 - as above
                found[path] = end[len(top) + 1 :]
                waiting += (each[len(top) + 1 :] for each in _below(end))
    return found


def _below(place: str) -> Iterator[str]:
    """A file, or all that is below a folder."""
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
    elif os.path.isdir(source):  # noqa: PTH112 - a submodule: git leaves an empty folder
        os.mkdir(target)  # noqa: PTH102 - as above
    elif about.st_size > COPY_UP_TO:
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copyfile(source, target)
    else:
        shutil.copyfile(source, target)
        if about.st_mode & 0o100:
            os.chmod(target, mode(0o755))  # noqa: PTH101 - as above; a program stays one


def note_left_out(checkout: Path, folder: str, files: Collection[str], note: Path) -> None:
    """Write down what of the commit such a copy is without, should the reader miss it."""
    there = laid_out(f"{checkout}", folder, files)
    own = f"{folder}/" if folder else ""
    found: list[str] = []
    for where, _, names in os.walk(checkout):
        below = os.path.relpath(where, checkout)
        inside = "" if below == "." else f"{below}/"
        # A spec of the folder is nothing that `reads` could admit.
        seen = (name for name in names if inside != own or not is_spec_file(name))
        found += (f"{inside}{name}" for name in seen if f"{inside}{name}" not in there)
        if len(found) >= MOST_LEFT_OUT:
            break
    if found:
        seen = (seen_from(folder, path) for path in found[:MOST_LEFT_OUT])
        note.write_text(json.dumps([*seen]))


def missed(note: Path, words: str) -> str:
    """A sentence on the first file that was left out and is named in the last words of a reader:
    by its name, or as a module or its package; as `reads` would name it. Empty where there is none.
    """
    try:
        left_out = json.loads(note.read_text())
    except FileNotFoundError:
        return ""
    for path in left_out:
        folder, _, name = path.rpartition("/")
        names = "|".join(map(re.escape, {name, name.removesuffix(".py")}))
        package = re.escape(folder.rpartition("/")[2] or name)
        if re.search(rf"(?<![\w-])({names})(?![\w-])|module named '{package}[.']", words):
            return (
                f"it sees only the files that its `reads` admits, and {path} of the commit is not "
                "one of them"
            )
    return ""
