"""Paths in `run` and `env` that lead out of the spec's folder.

When a command runs, only the files that it reads are there, because only those are part of its
cache key. A path to any other file is therefore reported before the command runs.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final, Literal, NamedTuple

from specs.batch import Batch
from specs.globs import ROOT, admits_link, from_root
from specs.loading.explain import nearest, shown
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.loading.tree import YamlPath
from specs.model import DATA, Pipeline, Step, place_of
from specs.path_index import SpecFiles
from specs.references import TemplateError, Word, parse_run, parse_value
from specs.release import Serve

SCRIPTS: Final = (".py", ".sh", ".R", ".jl", ".js")
"""The file extensions of scripts."""
_TOP, _GIVEN = "\0", "\1"
"""Stand-ins for `{root}` and for placeholders whose value is not known yet."""
_IMPORTED_FROM: Final = ("PYTHONPATH", "R_LIBS", "R_LIBS_USER", "NODE_PATH", "PERL5LIB")
"""Variables with the paths that code is imported from."""
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\0]*")
_BETWEEN: Final = re.compile(r"[\s:;,=|&<>()\[\]'\"`]+")
_OPTION: Final = re.compile(r"^(?:--?[A-Za-z]+|@)(?=[./\0])")
"""Prefixes directly before a path, as in `-I../include` and `@../rules.json`."""
_HERE: Final = re.compile(r"^\$(?:PWD|\{PWD\})/+")
"""A shell's name for its working folder, which is the spec's folder."""


def lint_paths(
    loaded: LoadedSpec, pipeline: Pipeline, files: SpecFiles, top: str
) -> Iterator[Problem]:
    """One problem for each such path. `top` is the path of the user's clone, if known."""
    commands: list[tuple[YamlPath, Step | Serve | Batch]] = [
        (place_of(name), step) for name, step in pipeline.commands.items()
    ]
    if pipeline.release is not None:
        used = pipeline.release.serve or pipeline.release.batch
        if used is not None and used.run is not None:
            commands.append((("release", pipeline.release.where), used))
    for where, command in commands:
        ran = {"steps": f"{where[1]}", "datasets": f"{DATA}{where[1]}"}.get(f"{where[0]}")
        if pipeline.executor_of(ran) == "local":
            yield from _of_the_machine(loaded, where, command, top)
        globs = command.reads if command.reads is not None else pipeline.triggers.commits.paths
        reader = _Reader(f"{shown(where)}.reads", command.reads is not None, globs, files)
        for place, found in _found(where, command, top):
            fault = reader.fault(found)
            if fault is not None:
                message, near = fault
                yield loaded.problem(
                    "unread-path", place, f"`{shown(place)}` {message}", nearest=near,
                    within=found.path, severity="warning" if found.form == "below" else "error",
                )  # fmt: skip


def _of_the_machine(
    loaded: LoadedSpec, where: YamlPath, command: Step | Serve | Batch, top: str
) -> Iterator[Problem]:
    """Import paths outside the repository; those in a clone are reported elsewhere."""
    for name in (each for each in _IMPORTED_FROM if each in command.env):
        for path in command.env[name].split(":"):
            if path.startswith(ROOT) or (top and f"{path}/".startswith(f"{top}/")):
                continue
            if path.startswith("/"):
                here = (*where, "env", name)
                message = f"`{shown(here)}` names {path} on the machine itself: changes there "
                message += "are not part of any cache key, so results of old code would be reused"
                yield loaded.problem("machine-path", here, message, severity="warning", within=path)


class _Found(NamedTuple):
    """A path in a command or variable."""

    path: str
    """As it is written."""
    inside: str
    """The path without its prefix and the parts that only a run knows."""
    form: Literal["from the root", "//", "in a clone", "upwards", "below"]
    sure: bool
    """Whether it is surely a path, and not a word of a longer text or script."""


def _found(
    where: YamlPath, command: Step | Serve | Batch, top: str
) -> Iterator[tuple[YamlPath, _Found]]:
    try:
        words = parse_run(command.run or "")
    except TemplateError:  # reported elsewhere
        words = ()
    for word in words:
        for found in _paths(word, top):
            yield (*where, "run"), found
    for name, value in command.env.items():
        try:
            paths = list(_paths(parse_value(value), top))
        except TemplateError:
            continue
        for found in paths:
            yield (*where, "env", name), found


def _paths(word: Word, top: str) -> Iterator[_Found]:
    """The paths in a word that may lead out of the folder."""
    text = "".join(
        part if isinstance(part, str) else _TOP if part.kind == "root" else _GIVEN for part in word
    )
    pieces = [
        _HERE.sub("", _OPTION.sub("", piece)) for piece in _BETWEEN.split(_ADDRESS.sub(" ", text))
    ]
    sure = len(text.split()) == 1
    for piece in dict.fromkeys(pieces):
        known, given, _ = piece.partition(_GIVEN)
        inside = known[: known.rfind("/") + 1] if given else known
        written = inside.replace(_TOP, "{root}")
        if inside.startswith(f"{_TOP}/") or inside == _TOP:
            yield _Found(written, inside.strip(f"{_TOP}/"), "from the root", True)
        elif _TOP in inside:
            continue
        elif top and f"{inside}/".startswith(f"{top}/"):
            yield _Found(written, inside.removeprefix(top).strip("/"), "in a clone", sure)
        elif inside.startswith(ROOT):
            yield _Found(written, inside.removeprefix(ROOT), "//", sure)
        elif ".." in inside.split("/") and inside[0] not in "/~$%" and (sure or inside != ".."):
            yield _Found(written, inside, "upwards", sure)
        elif inside and inside[0] not in "/~$%-" and sure:
            yield _Found(written, inside, "below", sure)


class _Reader:
    """The files that a command reads, by its `reads` if `named`, else by the triggers' paths."""

    def __init__(self, reads: str, named: bool, globs: Sequence[str], files: SpecFiles) -> None:
        self._reads = reads
        self._named = named
        self._globs = globs
        self._files = files

    def fault(self, found: _Found) -> tuple[str, str | None] | None:
        """What is wrong with a path, and the path that was probably meant; None if it is right."""
        written = f"{{root}}/{found.inside}".removesuffix("/")
        if found.form == "in a clone":
            return (
                f"names {found.path} in this clone, which a run does not have: write `{written}`",
                None,
            )
        if found.form == "//":
            if not self._files.has_place(found.inside.split("/")[0]):
                return None
            return f"names {found.path}, a form that is only for `reads`: write `{written}`", None
        if found.form == "below":
            return self._fault_below(found)
        folder, rooted = self._files.folder, found.form == "from the root"
        path = posixpath.normpath(found.inside if rooted else from_root(found.inside, folder))
        path = "" if path == "." else path
        if path.split("/")[0] == "..":
            if not found.sure:
                return None
            return f"leads out of the repository by {found.path}, which a run does not have", None
        if _holds(folder, path) or (rooted and _holds(path, folder)):
            return None
        if path in self._places_read or any(each in self._read for each in _folders_of(path)):
            return None
        return self._fault_unread(found, path)

    def _fault_below(self, found: _Found) -> tuple[str, str | None] | None:
        """The same for a file or link in the spec's folder. A word that is not a path rarely has
        the name of a file."""
        path, files = posixpath.normpath(found.inside), self._files
        file = next((each for each in (path, *_folders_of(path)) if each in files), None)
        if file is None or file.endswith(SCRIPTS):  # `lint_files` checks scripts
            return None
        if admits_link(self._globs, file, files.folder):
            return None
        fix = f"add `{file}` to `{self._reads if self._named else 'triggers.commits.paths'}`"
        return f"names {file}, which a run does not have because it is not read: {fix}", None

    def _fault_unread(self, found: _Found, path: str) -> tuple[str, str | None] | None:
        files, written = self._files, f"{{root}}/{path}".removesuffix("/")
        if not files.has_place(path):
            if not found.sure:
                return None
            known = [f"{{root}}/{from_root(file, files.folder)}" for file in files]
            return f"leads to //{path}, which is not in the repository", nearest(written, known)
        is_file = path in files.paths
        glob = f"//{path}" if is_file else f"//{path}/**" if path else "//**"
        fix = f"add `{glob}` to `{self._reads}`"
        if not self._named:
            fix = f"add `{glob}` to `triggers.commits.paths`, or list all that it reads in "
            fix += f"`{self._reads}`"
        form = "" if found.form == "from the root" else f", and write `{written}`"
        return (
            f"leads out of the spec's folder by {found.path}, which a run does not have because it "
            f"is not read: {fix}{form}"
        ), None

    @cached_property
    def _read(self) -> frozenset[str]:
        """The paths in the repository of the files it reads outside the spec's folder."""
        folder = self._files.folder
        positive = (glob for glob in self._globs if not glob.startswith("!"))
        return frozenset(
            from_root(file, folder)
            for file in self._files.near(*positive)
            if file.startswith(ROOT) and admits_link(self._globs, file, folder)
        )

    @cached_property
    def _places_read(self) -> frozenset[str]:
        return _with_folders(self._read)


def _with_folders(paths: Iterable[str]) -> frozenset[str]:
    """The paths and all folders that they are in, including the root."""
    found: set[str] = set()
    for path in paths:
        found.add(path)
        for folder in _folders_of(path):
            if folder in found:
                break
            found.add(folder)
    return frozenset(found)


def _folders_of(path: str) -> Iterator[str]:
    """The folders that a path is in, from the innermost to the root."""
    while path:
        path = path.rpartition("/")[0]
        yield path


def _holds(folder: str, path: str) -> bool:
    """Whether a path is that folder or file, or is below it."""
    return not folder or path == folder or path.startswith(f"{folder}/")
