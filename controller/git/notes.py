"""Reports as git notes, which any git server can store and `git log --notes=headgate` shows.

A commit has one note, with a section per pipeline between two marker lines. Writing a section
replaces its older version and keeps other sections and what people wrote.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from controller.git import Mirror
from controller.git.commit_info import checked_sha
from controller.git.compare_and_swap import NextCommit, RetryTiming, swap
from specs.names import is_pipeline_name

REF = "refs/notes/headgate"
UNTOUCHED = "headgate-untouched"
"""The section for the pipelines that a commit does not affect; with `-SCOPE` for those of a scope.
"""
LONGEST = 8 * 2**20
"""Characters of a note; sections that do not fit are cut to their first line. A commit that
concerns a thousand pipelines has a note with as many sections."""
CUT = "The rest is left out here, as there are so many reports on this commit."

_SECTION = re.compile(
    r"^<!-- headgate: (?P<name>[a-z0-9-]+) -->\n(?P<text>.*?)^<!-- /headgate -->\n",
    re.MULTILINE | re.DOTALL,
)
_MARKER = re.compile(r"^<!-- (?=/?headgate)", re.MULTILINE)


class NoteSection(NamedTuple):
    """A part of a note."""

    commit: str
    """Whose note it is."""
    name: str
    text: str

    @classmethod
    def checked(cls, commit: str, name: str, text: str) -> "NoteSection":
        """The section. Raises `ValueError` for an invalid commit or name of a pipeline."""
        return cls(checked_sha(commit), _checked_name(name), text)


def merged(note: str, sections: Mapping[str, str], longest: int = LONGEST) -> str:
    """`note` with each section in place of the one of that pipeline, or added: what people wrote
    first, then the sections by name, then `UNTOUCHED` and its scopes.

    Raises `ValueError` for an invalid name of a pipeline.
    """
    whole = _merged(note, {name: _section(name, text) for name, text in sections.items()})
    if len(whole) <= longest:
        return whole
    firsts = {name: text.strip("\n").partition("\n")[0] for name, text in sections.items()}
    cut = {name: _section(name, f"{first}\n\n{CUT}") for name, first in firsts.items()}
    return _merged(note, cut)


def _merged(note: str, sections: Mapping[str, str]) -> str:
    found = list(_SECTION.finditer(note))
    own = _outside(note, found)
    kept = [(each["name"], each[0]) for each in found if each["name"] not in sections]
    ordered = sorted([*kept, *sections.items()], key=lambda section: _place(section[0]))
    return "\n".join([*own, *(text for _, text in ordered)])


def _outside(note: str, sections: Sequence[re.Match[str]]) -> list[str]:
    """What people wrote before, between and after the sections."""
    starts = [0, *(each.end() for each in sections)]
    ends = [*(each.start() for each in sections), len(note)]
    parts = [note[start:end] for start, end in zip(starts, ends, strict=True)]
    # The empty lines beside a section are ours.
    texts = [parts[0].rstrip("\n"), *(part.strip("\n") for part in parts[1:])]
    return [text + "\n" for text in texts if text.strip()]


def _place(name: str) -> tuple[bool, str]:
    """By name, and last what says only that nothing was to be done."""
    return f"{name}-".startswith(f"{UNTOUCHED}-"), name


class Notes:
    """Reads and writes the notes of one repository. Raises what `Mirror` raises."""

    def __init__(self, mirror: Mirror, backoff: RetryTiming | None = None) -> None:
        self._mirror = mirror
        self._backoff = backoff or RetryTiming()
        self._tip: str | None = None
        """What was pushed last: most likely the remote's tip still."""

    async def write(self, sections: Sequence[NoteSection]) -> str:
        """Write the sections, of one commit or of many, with one commit and one push; the commit of
        the notes. Of two for one place the last counts.

        Changes nothing if the notes have them already.
        """
        wanted: dict[str, dict[str, str]] = {}
        for one in sections:
            wanted.setdefault(one.commit, {})[one.name] = one.text

        async def propose(tip: str | None) -> NextCommit | str:
            files = {}
            for commit, (path, note) in (await self._find(wanted, tip)).items():
                text = merged(note, wanted[commit])
                if tip is None or text != note:
                    files[path] = text.encode()
            if tip and not files:
                return tip
            return NextCommit(files, _message(wanted))

        known, self._tip = self._tip, None
        self._tip = await swap(self._mirror, REF, propose, self._backoff, known)
        return self._tip

    async def read(self, commit: str) -> str | None:
        """The whole note of a commit; None if it has none."""
        found = await self._find((checked_sha(commit),), await self._mirror.tip(REF))
        return found[commit][1] or None

    async def _find(self, commits: Collection[str], tip: str | None) -> dict[str, tuple[str, str]]:
        """The path and text of each commit's note; the text is empty if there is none."""
        places = {commit: _places(commit) for commit in commits}
        every = [path for paths in places.values() for path in paths]
        there = await self._mirror.read_files(tip, every) if tip else {}
        found = {}
        for commit, paths in places.items():
            path = next((path for path in paths if path in there), paths[0])
            found[commit] = path, there.get(path, b"").decode("utf-8", "replace")
        return found


def _places(commit: str) -> tuple[str, ...]:
    """Where a commit's note may be, our own place first: git chooses the depth of folders."""
    two, rest = commit[:2], commit[2:]
    return f"{two}/{rest}", commit, f"{two}/{rest[:2]}/{rest[2:]}"


def _message(wanted: Mapping[str, Mapping[str, str]]) -> str:
    commits = [*wanted]
    if len(commits) > 1:
        return f"Report on {len(commits)} commits, {commits[0][:10]} and others\n"
    names = sorted(wanted[commits[0]])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"Report on {commits[0][:10]}: {', '.join(names[:5])}{more}\n"


def _checked_name(name: str) -> str:
    if not is_pipeline_name(name):
        raise ValueError(f"expected the name of a pipeline, found {name[:80]!r}")
    return name


def _section(name: str, text: str) -> str:
    # A report that quotes a marker must not end its own section.
    inner = _MARKER.sub("<!-- . ", text).strip("\n")
    return f"<!-- headgate: {_checked_name(name)} -->\n{inner}\n<!-- /headgate -->\n"
