"""PURE. Rules that changed, the loosened ones first and in bold."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from controller.machine.pipelines.rule_change import RuleChange
from controller.reports.headline import loosened
from controller.reports.links import NOWHERE, Links
from controller.reports.table import table
from specs.figures import clip
from specs.globs import from_root
from validators.render.markdown import escape, prose

LONGEST_CELL = 300
LONGEST_NAMES = 110
"""Characters of all names in one line."""
MOST = 50
"""Rules that are shown."""
ADMINISTRATORS = "a repository administrator"

_CONTENT = re.compile(r"[0-9a-f]{12}(?= |$)")
"""The short digest of a file of the exam, which means nothing to a reader."""


class Side(NamedTuple):
    """A commit with rules, and the folder of their spec."""

    commit: str
    folder: str


class Where(NamedTuple):
    """Where to look at the files of both sides."""

    links: Links
    base: Side
    head: Side


def count(changes: Sequence[RuleChange]) -> int:
    """How many rules are loosened."""
    return sum(change.loosens for change in changes)


def title_of(changes: Sequence[RuleChange]) -> str:
    """`2 rules loosened: a, b`, as plain text; of many names only the first, none cut short."""
    names = [clip(change.rule, LONGEST_NAMES) for change in changes if change.loosens]
    if not names:
        return loosened(0)
    shown = len(names)
    while shown > 1 and len(", ".join(names[:shown])) > LONGEST_NAMES:
        shown -= 1
    more = f" and {len(names) - shown} more" if shown < len(names) else ""
    return f"{loosened(len(names))}: {', '.join(names[:shown])}{more}"


def may_accept(approvers: Sequence[str]) -> str:
    """Who may accept loosened rules, as plain text; `approvers` are those of the base branch."""
    return " or ".join(approvers) or ADMINISTRATORS


def rules(
    changes: Sequence[RuleChange],
    was: str = "On the base",
    now: str = "Here",
    where: Where | None = None,
) -> Iterator[str]:
    """A table of the rules before and after; files of the exam are linked (`where`)."""
    if not changes:
        return
    ordered = sorted(changes, key=lambda change: not change.loosens)
    yield table(["", "Rule", was, now], [_row(change, where) for change in ordered[:MOST]])
    if len(ordered) > MOST:
        yield f"_{len(ordered) - MOST} more rules: `headgate plan --json` lists them all._"


def _row(change: RuleChange, where: Where | None) -> list[str]:
    mark, bold = ("⚠️", "**") if change.loosens else ("", "")
    was, now = change.was, change.now
    path = change.exam_part
    if path is not None and not path.startswith("steps."):
        sides = (where.base, where.head) if where else (None, None)
        links = where.links if where else NOWHERE
        cells = [
            _content(text, word, path, links, side)
            for text, word, side in zip((was, now), ("as it was", "changed"), sides, strict=True)
        ]
    else:
        cells = [escape(clip(text, LONGEST_CELL)) for text in (was, now)]
    return [mark, *(f"{bold}{cell}{bold}" for cell in (escape(change.rule), *cells))]


def _content(text: str, word: str, path: str, links: Links, side: Side | None) -> str:
    """A link to a file at one side, labelled with `word` instead of the digest of its content."""
    content = _CONTENT.match(text)
    if content is None:
        return prose(clip(text, LONGEST_CELL))
    at = from_root(path, side.folder) if side else ""
    return (links.file(word, side.commit, at) if side else word) + prose(text[content.end() :])
