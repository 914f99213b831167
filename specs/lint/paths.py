"""Paths in `run` and `env` that lead out of the spec's folder.

A command finds the files that it reads and no others: its key covers no more. So a path to what is
not read leads nowhere when it runs, and it is better told before.
"""

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final, Literal, NamedTuple

from specs.batch import Batch
from specs.globs import ROOT, admits_link, from_root, seen_from
from specs.loading.explain import nearest, shown
from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.loading.tree import YamlPath
from specs.model import DATA, Pipeline, Step, place_of
from specs.references import TemplateError, Word, parse_run, parse_value
from specs.release import Serve

SCRIPTS: Final = (".py", ".sh", ".R", ".jl", ".js")
"""How the names of scripts end."""
_TOP, _GIVEN = "\0", "\1"
"""What stands for `{root}`, and for a placeholder whose value nobody knows yet."""
_IMPORTED_FROM: Final = ("PYTHONPATH", "R_LIBS", "R_LIBS_USER", "NODE_PATH", "PERL5LIB")
"""Variables that say where code is imported from."""
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\0]*")
_BETWEEN: Final = re.compile(r"[\s:;,=|&<>()\[\]'\"`]+")
_OPTION: Final = re.compile(r"^(?:--?[A-Za-z]+|@)(?=[./\0])")
"""What may stand right before a path: `-I../include`, `@../rules.json`."""
_HERE: Final = re.compile(r"^\$(?:PWD|\{PWD\})/+")
"""How a shell names the folder that it is in, which is the spec's."""


def lint_paths(
    loaded: LoadedSpec, pipeline: Pipeline, files: Collection[str], folder: str, top: str
) -> Iterator[Problem]:
    """One problem for each such path; `files` are the repository's as a spec in `folder` sees them,
    and `top` is where somebody's clone of it is, if that is known."""
    commands: list[tuple[YamlPath, Step | Serve | Batch]] = [
        (place_of(name), step) for name, step in pipeline.commands.items()
    ]
    if pipeline.release is not None:
        used = pipeline.release.serve or pipeline.release.batch
        if used is not None and used.run is not None:
            commands.append((("release", pipeline.release.where), used))
    repository = _Repository(files, folder)
    for where, command in commands:
        ran = {"steps": f"{where[1]}", "datasets": f"{DATA}{where[1]}"}.get(f"{where[0]}")
        if pipeline.executor_of(ran) == "local":
            yield from _of_the_machine(loaded, where, command, top)
        globs = command.reads if command.reads is not None else pipeline.triggers.commits.paths
        reader = _Reader(f"{shown(where)}.reads", command.reads is not None, globs, repository)
        for place, found in _found(where, command, top):
            told = reader.told(found)
            if told is not None:
                message, near = told
                yield loaded.problem(
                    "unread-path", place, f"`{shown(place)}` {message}", nearest=near,
                    within=found.path, severity="warning" if found.form == "below" else "error",
                )  # fmt: skip


def _of_the_machine(
    loaded: LoadedSpec, where: YamlPath, command: Step | Serve | Batch, top: str
) -> Iterator[Problem]:
    """Places to import from that are in no commit; those in a clone are told as such."""
    for name in (each for each in _IMPORTED_FROM if each in command.env):
        for path in command.env[name].split(":"):
            if path.startswith(ROOT) or (top and f"{path}/".startswith(f"{top}/")):
                continue
            if path.startswith("/"):
                here = (*where, "env", name)
                message = f"`{shown(here)}` names {path}, a place of the machine: what changes "
                message += "there is no part of any key, so that old results stand for new code"
                yield loaded.problem("machine-path", here, message, severity="warning", within=path)


class _Found(NamedTuple):
    """A path in a command or variable."""

    path: str
    """As it is written."""
    inside: str
    """The path that is meant, without what only a run knows."""
    form: Literal["from the root", "//", "in a clone", "upwards", "below"]
    sure: bool
    """Whether it is no word of a text or a script, which may mean anything."""


def _found(
    where: YamlPath, command: Step | Serve | Batch, top: str
) -> Iterator[tuple[YamlPath, _Found]]:
    try:
        words = parse_run(command.run or "")
    except TemplateError:  # told elsewhere
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
    """What of a word may lead out of the folder."""
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


class _Repository:
    """What there is, as a spec in `folder` sees it."""

    def __init__(self, files: Collection[str], folder: str) -> None:
        self.files = files
        self.folder = folder

    @cached_property
    def places(self) -> frozenset[str]:
        """The paths of all files and folders."""
        return _with_folders(from_root(file, self.folder) for file in self.files)


class _Reader:
    """What one command reads; `reads` is where the spec says so, if it is `named` there."""

    def __init__(
        self, reads: str, named: bool, globs: Sequence[str], repository: _Repository
    ) -> None:
        self._reads = reads
        self._named = named
        self._globs = globs
        self._repository = repository

    def told(self, found: _Found) -> tuple[str, str | None] | None:
        """What is wrong with a path, and what it was probably meant to be; None if nothing is."""
        written = f"{{root}}/{found.inside}".removesuffix("/")
        if found.form == "in a clone":
            return f"names {found.path} of this clone, which no run has: write `{written}`", None
        if found.form == "//":
            if found.inside.split("/")[0] not in self._repository.places:
                return None
            return f"names {found.path}, which is for `reads`: write `{written}`", None
        if found.form == "below":
            return self._told_below(found)
        folder, rooted = self._repository.folder, found.form == "from the root"
        path = posixpath.normpath(found.inside if rooted else from_root(found.inside, folder))
        path = "" if path == "." else path
        if path.split("/")[0] == "..":
            if not found.sure:
                return None
            return f"leads out of the repository by {found.path}: nothing of it is there", None
        if _holds(folder, path) or (rooted and _holds(path, folder)):
            return None
        if path in self._places_read or any(each in self._read for each in _way_to(path)):
            return None
        return self._told_unread(found, path)

    def _told_below(self, found: _Found) -> tuple[str, str | None] | None:
        """Of a file in the spec's folder, or a link there, which may lead out of it. What is no
        path but a word is rarely called as a file is."""
        path, files = posixpath.normpath(found.inside), self._repository.files
        file = next((each for each in (path, *_way_to(path)) if each in files), None)
        if file is None or file.endswith(SCRIPTS):  # `lint_files` looks for scripts
            return None
        if admits_link(self._globs, file, self._repository.folder):
            return None
        mend = f"add `{file}` to `{self._reads if self._named else 'triggers.commits.paths'}`"
        return f"names {file}, which is not read, so it is not there when it runs: {mend}", None

    def _told_unread(self, found: _Found, path: str) -> tuple[str, str | None] | None:
        repository, written = self._repository, f"{{root}}/{path}".removesuffix("/")
        if path not in repository.places:
            if not found.sure:
                return None
            known = [f"{{root}}/{from_root(file, repository.folder)}" for file in repository.files]
            return f"leads to //{path}, which is not in the repository", nearest(written, known)
        is_file = seen_from(repository.folder, path) in repository.files
        glob = f"//{path}" if is_file else f"//{path}/**" if path else "//**"
        mend = f"add `{glob}` to `{self._reads}`"
        if not self._named:
            mend = f"add `{glob}` to `triggers.commits.paths`, or list all that it reads in "
            mend += f"`{self._reads}`"
        form = "" if found.form == "from the root" else f", and write `{written}`"
        return (
            f"leads out of the spec's folder by {found.path}, and what is there is not read, so it "
            f"is not there when it runs: {mend}{form}"
        ), None

    @cached_property
    def _read(self) -> frozenset[str]:
        """The paths in the repository of what it reads outside of the spec's folder."""
        folder = self._repository.folder
        return frozenset(
            from_root(file, folder)
            for file in self._repository.files
            if file.startswith(ROOT) and admits_link(self._globs, file, folder)
        )

    @cached_property
    def _places_read(self) -> frozenset[str]:
        return _with_folders(self._read)


def _with_folders(paths: Iterable[str]) -> frozenset[str]:
    """Paths, and the folders on their ways; with any, the top."""
    found: set[str] = set()
    for path in paths:
        found.add(path)
        for folder in _way_to(path):
            if folder in found:
                break
            found.add(folder)
    return frozenset(found)


def _way_to(path: str) -> Iterator[str]:
    """The folders that a path is in, the innermost first and the top last."""
    while path:
        path = path.rpartition("/")[0]
        yield path


def _holds(folder: str, path: str) -> bool:
    """Whether a path is that folder or file, or something in it."""
    return not folder or path == folder or path.startswith(f"{folder}/")
