"""Reports as git notes, which any git server can store and `git log --notes=headgate` shows.

A commit has one note, with a section per pipeline between two marker lines. Writing a section
replaces its older version and keeps other sections and what people wrote.
"""

import re
from collections.abc import Mapping

from controller.git import Mirror
from controller.git.commit_info import checked_sha
from controller.git.compare_and_swap import NextCommit, RetryTiming, swap
from specs.names import is_pipeline_name

REF = "refs/notes/headgate"

_SECTION = re.compile(
    r"^<!-- headgate: (?P<name>[a-z0-9-]+) -->\n(?P<text>.*?)^<!-- /headgate -->\n",
    re.MULTILINE | re.DOTALL,
)
_MARKER = re.compile(r"^<!-- (?=/?headgate)", re.MULTILINE)


def merged(note: str, sections: Mapping[str, str]) -> str:
    """`note` with each section replacing the one of that pipeline, or appended.

    Raises `ValueError` for an invalid name of a pipeline.
    """
    rest = {name: _section(name, text) for name, text in sections.items()}
    seen: set[str] = set()

    def newer(found: re.Match[str]) -> str:
        name = found["name"]
        if name in seen:
            return ""
        if name not in rest:
            return found[0]
        seen.add(name)
        return rest.pop(name)

    kept = _SECTION.sub(newer, note)
    parts = [kept.rstrip("\n") + "\n"] if kept.strip() else []
    return "\n".join([*parts, *rest.values()])


class Notes:
    """Reads and writes the notes of one repository. Raises what `Mirror` raises."""

    def __init__(self, mirror: Mirror, backoff: RetryTiming | None = None) -> None:
        self._mirror = mirror
        self._backoff = backoff or RetryTiming()

    async def write(self, commit: str, sections: Mapping[str, str]) -> str:
        """Write the reports of pipelines to the note of `commit`; the commit of the notes.

        Changes nothing if the note has them already.
        """
        checked_sha(commit)

        async def propose(tip: str | None) -> NextCommit | str:
            path, note = await self._find(commit, tip)
            text = merged(note, sections)
            if tip and text == note:
                return tip
            message = f"Report on {commit[:10]}: {', '.join(sorted(sections))}\n"
            return NextCommit({path: text.encode()}, message)

        return await swap(self._mirror, REF, propose, self._backoff)

    async def read(self, commit: str) -> str | None:
        """The whole note of a commit; None if it has none."""
        checked_sha(commit)
        _, note = await self._find(commit, await self._mirror.tip(REF))
        return note or None

    async def _find(self, commit: str, tip: str | None) -> tuple[str, str]:
        """The path and text of the commit's note. git chooses the depth of folders in notes."""
        usual = f"{commit[:2]}/{commit[2:]}"
        if tip is None:
            return usual, ""
        for path in (usual, commit, f"{commit[:2]}/{commit[2:4]}/{commit[4:]}"):
            note = await self._mirror.read(tip, path)
            if note is not None:
                return path, note.decode("utf-8", "replace")
        return usual, ""


def _section(name: str, text: str) -> str:
    if not is_pipeline_name(name):
        raise ValueError(f"expected the name of a pipeline, found {name[:80]!r}")
    # A report that quotes a marker must not end its own section.
    inner = _MARKER.sub("<!-- . ", text).strip("\n")
    return f"<!-- headgate: {name} -->\n{inner}\n<!-- /headgate -->\n"
