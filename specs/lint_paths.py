"""Paths in `run` and `env` that lead out of the spec's folder.

A command finds the files that it reads and no others: its key covers no more. So a path to what is
not read leads nowhere when it runs, and it is better told before.
"""

import posixpath
import re
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple

from specs.explain import nearest, shown
from specs.globs import ROOT, admits, from_root, seen_from
from specs.load import Loaded
from specs.model import Pipeline, Step, place_of
from specs.problems import Problem
from specs.references import TemplateError, Word, parse_run, parse_value
from specs.release import Serve
from specs.tree import Path

_TOP, _GIVEN = "\0", "\1"
"""What stands for `{root}`, and for a placeholder whose value nobody knows yet."""
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\0]*")
_BETWEEN: Final = re.compile(r"[\s:;,=|&<>()\[\]'\"`]+")
_OPTION: Final = re.compile(r"^(?:--?[A-Za-z]+|@)(?=[./\0])")
"""What may stand right before a path: `-I../include`, `@../rules.json`."""


def lint_paths(
    loaded: Loaded, pipeline: Pipeline, files: Collection[str], folder: str
) -> Iterator[Problem]:
    """One problem for each such path; `files` are the repository's as a spec in `folder` sees
    them."""
    commands: list[tuple[Path, Step | Serve]] = [
        (place_of(name), step) for name, step in pipeline.commands.items()
    ]
    if pipeline.release is not None:
        commands.append((("release", "serve"), pipeline.release.serve))
    for where, command in commands:
        globs = command.reads if command.reads is not None else pipeline.triggers.commits.paths
        reader = _Reader(where, command.reads is not None, globs, files, folder)
        for place, found in _found(where, command):
            told = reader.told(found)
            if told is not None:
                message, near = told
                yield loaded.problem(
                    "unread-path", place, f"`{shown(place)}` {message}", nearest=near,
                    within=found.path,
                )  # fmt: skip


class _Found(NamedTuple):
    """A path in a command or variable."""

    path: str
    """As it is written."""
    inside: str
    """Without what only a run knows."""
    from_root: bool
    sure: bool
    """Whether it is no word of a text or a script, which may mean anything."""


def _found(where: Path, command: Step | Serve) -> Iterator[tuple[Path, _Found]]:
    try:
        words = parse_run(command.run)
    except TemplateError:  # told elsewhere
        words = ()
    for word in words:
        for found in _paths(word):
            yield (*where, "run"), found
    for name, value in command.env.items():
        try:
            paths = list(_paths(parse_value(value)))
        except TemplateError:
            continue
        for found in paths:
            yield (*where, "env", name), found


def _paths(word: Word) -> Iterator[_Found]:
    """What of a word may lead out of the folder."""
    text = "".join(
        part if isinstance(part, str) else _TOP if part.kind == "root" else _GIVEN for part in word
    )
    pieces = [_OPTION.sub("", piece) for piece in _BETWEEN.split(_ADDRESS.sub(" ", text))]
    sure = len(text.split()) == 1
    for piece in dict.fromkeys(pieces):
        known, given, _ = piece.partition(_GIVEN)
        inside = known[: known.rfind("/") + 1] if given else known
        written = inside.replace(_TOP, "{root}")
        if inside.startswith(f"{_TOP}/") or inside == _TOP:
            yield _Found(written, inside.strip(f"{_TOP}/"), True, True)
        elif _may_lead_out(inside, sure):
            yield _Found(written, inside, False, sure)


def _may_lead_out(path: str, sure: bool) -> bool:
    if path.startswith(ROOT):
        return _TOP not in path
    return _leads_up(path) and (sure or path != "..")


def _leads_up(path: str) -> bool:
    return ".." in path.split("/") and path[0] not in "/~$%" and _TOP not in path


class _Reader:
    """What one command reads."""

    def __init__(
        self, where: Path, named: bool, globs: Sequence[str], files: Collection[str], folder: str
    ) -> None:
        self._reads = f"{shown(where)}.reads"
        self._named = named
        self._globs = globs
        self._files = files
        self._folder = folder

    def told(self, found: _Found) -> tuple[str, str | None] | None:
        """What is wrong with a path, and what it was probably meant to be; None if nothing is."""
        if found.inside.startswith(ROOT):
            return self._told_form(found)
        path = posixpath.normpath(
            found.inside if found.from_root else from_root(found.inside, self._folder)
        )
        path = "" if path == "." else path
        if path.split("/")[0] == "..":
            if not found.sure:
                return None
            return f"leads out of the repository by {found.path}: nothing of it is there", None
        if self._is_own(path) or (found.from_root and self._is_above(path)):
            return None
        if any(_holds(path, file) or _holds(file, path) for file in self._read):
            return None
        return self._told_unread(found, path)

    def _told_form(self, found: _Found) -> tuple[str, None] | None:
        """`//path`, which a program takes for a path of the machine."""
        inside = found.inside.removeprefix(ROOT)
        if not self._is_there(inside.split("/")[0]):
            return None
        return f"names {found.path}: a command is told so by {{root}}/{inside}", None

    def _told_unread(self, found: _Found, path: str) -> tuple[str, str | None] | None:
        written = f"{{root}}/{path}"
        if not self._is_there(path):
            if not found.sure:
                return None
            known = [f"{{root}}/{from_root(file, self._folder)}" for file in self._files]
            return f"leads to //{path}, which is not in the repository", nearest(written, known)
        glob = f"//{path}" if self._is_file(path) else f"//{path}/**" if path else "//**"
        mend = f"add `{glob}` to `{self._reads}`"
        if not self._named:
            mend = f"add `{glob}` to `triggers.commits.paths`, or list all that it reads in "
            mend += f"`{self._reads}`"
        form = "" if found.from_root else f", and write `{written.removesuffix('/')}`"
        return (
            f"leads out of the spec's folder by {found.path}, and what is there is not read, so it "
            f"is not there when it runs: {mend}{form}"
        ), None

    @cached_property
    def _read(self) -> tuple[str, ...]:
        """The paths in the repository of what it reads outside of the spec's folder."""
        return tuple(
            from_root(file, self._folder)
            for file in self._files
            if file.startswith(ROOT) and admits(self._globs, file, self._folder)
        )

    def _is_own(self, path: str) -> bool:
        return _holds(self._folder, path)

    def _is_above(self, path: str) -> bool:
        return _holds(path, self._folder)

    def _is_there(self, path: str) -> bool:
        return any(_holds(path, from_root(file, self._folder)) for file in self._files)

    def _is_file(self, path: str) -> bool:
        return seen_from(self._folder, path) in self._files


def _holds(folder: str, path: str) -> bool:
    """Whether a path is that folder or file, or something in it."""
    return not folder or path == folder or path.startswith(f"{folder}/")
