"""PURE. What a spec's reading depends on besides its own text: what it asks about the files of its
commit. Where every question has the same answer, the reading has the same result.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, Literal, NamedTuple

from controller.git.links import is_link
from controller.git.pointers import POINTER, explain_absent
from controller.machine.runs.commit_files import CommitFiles
from specs.digests import digest
from specs.globs import from_root, seen_from

Answer = str | bool | bytes | tuple[str, ...] | None


class Question(NamedTuple):
    """Something to know about the files of a commit."""

    kind: Literal["file", "below", "not_utf8", "pointer", "content"]
    about: str = ""


_NOT_UTF8: Final = Question("not_utf8")


class CommitFacts:
    """The files of a commit, as specs ask about them."""

    def __init__(self, files: CommitFiles, *, lfs: bool) -> None:
        """`lfs`: whether git-lfs is installed."""
        self.files = files
        self.absent = explain_absent(files, lfs)
        """See `explain_absent`."""
        self._below: dict[str, bytes] = {}

    def answer(self, question: Question) -> Answer:
        """The answer; the names of all files below a folder are answered with their digest."""
        kind, about = question
        match kind:
            case "file":
                return about in self.files
            case "below":
                return self._names_below(about)
            case "not_utf8":
                return tuple(self.files.paths.not_utf8)
            case "pointer":
                return self.files.get(about, "").startswith(POINTER)
            case "content":
                return self.files.get(about)

    def _names_below(self, folder: str) -> bytes:
        if folder not in self._below:
            names = "\0".join(self.files.paths.below(folder))
            self._below[folder] = hashlib.sha256(names.encode()).digest()
        return self._below[folder]

    @cached_property
    def absent_digest(self) -> str:
        """Equal for commits that lack the same files."""
        return digest(dict(self.absent))

    def absent_for(self, folder: str) -> dict[str, str]:
        """The absent files as a spec in `folder` sees them."""
        return {seen_from(folder, path): why for path, why in self.absent.items()}

    def agree(self, asked: Mapping[Question, Answer]) -> bool:
        """Whether all these answers hold here."""
        return all(self.answer(question) == answer for question, answer in asked.items())


class AskedPaths:
    """The paths of a commit (see `specs.path_index.Paths`), with a record of what was asked."""

    def __init__(self, facts: CommitFacts) -> None:
        self._facts = facts
        self.asked: dict[Question, Answer] = {}

    def ask(self, question: Question) -> Answer:
        """The answer, which is recorded."""
        if question not in self.asked:
            self.asked[question] = self._facts.answer(question)
        return self.asked[question]

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and bool(self.ask(Question("file", path)))

    def below(self, folder: str) -> Sequence[str]:
        """All paths below a folder, sorted."""
        self.ask(Question("below", folder))
        return self._facts.files.paths.below(folder)

    @property
    def not_utf8(self) -> Sequence[str]:
        """The paths with bytes that are not UTF-8, sorted."""
        self.ask(_NOT_UTF8)
        return self._facts.files.paths.not_utf8


class AskedPointers:
    """The files in Git LFS as a spec in `folder` sees them, with a record of what was asked."""

    def __init__(self, paths: AskedPaths, folder: str) -> None:
        self._paths = paths
        self._folder = folder

    def __contains__(self, file: object) -> bool:
        if not isinstance(file, str):
            return False
        path = from_root(file, self._folder)
        is_its_name = seen_from(self._folder, path) == file
        return is_its_name and bool(self._paths.ask(Question("pointer", path)))


def blob_of(what: str) -> str | None:
    """The blob with the whole content of a file, by its entry in a tree; None for a symbolic link
    and a submodule."""
    mark, _, sha = what.rpartition(":")
    return None if is_link(what) or mark == "submodule" else sha


def is_covered(what: str | None) -> bool:
    """Whether equal entries mean equal texts: not for a link whose target is not known, and not
    without an entry, as a link to a folder may be on the way."""
    return what is not None and (not is_link(what) or what.count(":") == 2)
