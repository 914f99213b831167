"""PURE. A table in Markdown. Four columns are what fits beside a diff."""

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Cells are Markdown of one line each; those of the columns `right` are numbers."""
    rule = ["---:" if at in right else "---" for at in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))
