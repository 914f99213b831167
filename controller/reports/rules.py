"""PURE. Rules that changed, what loosens them first and in bold."""

from collections.abc import Iterator, Sequence

from controller.machine.pipelines.change import Change
from controller.reports.headline import loosened
from controller.reports.table import table
from validators.figures import clip
from validators.render.markdown import escape

LONGEST_CELL = 300
MOST = 50
"""Rules that are shown."""


def count(changes: Sequence[Change]) -> int:
    """How many rules are loosened."""
    return sum(change.loosens for change in changes)


def said(changes: Sequence[Change]) -> str:
    """`2 rules loosened: a, b`, as plain text."""
    names = [change.rule for change in changes if change.loosens]
    return loosened(len(names)) + (f": {', '.join(names)}" if names else "")


def rules(changes: Sequence[Change], was: str = "On the base", now: str = "Here") -> Iterator[str]:
    """Each with what it was and is."""
    if not changes:
        return
    ordered = sorted(changes, key=lambda change: not change.loosens)
    yield table(["", "Rule", was, now], [_row(change) for change in ordered[:MOST]])
    if len(ordered) > MOST:
        yield f"_{len(ordered) - MOST} more rules: `headgate plan --json` has them all._"


def _row(change: Change) -> list[str]:
    mark, bold = ("⚠️", "**") if change.loosens else ("", "")
    cells = (escape(clip(text, LONGEST_CELL)) for text in (change.rule, change.was, change.now))
    return [mark, *(f"{bold}{cell}{bold}" for cell in cells)]
