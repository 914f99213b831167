"""PURE. A Markdown table. Four columns fit next to a diff."""

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Cells are single lines of Markdown; the columns `right` are right-aligned."""
    rule = ["---:" if at in right else "---" for at in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))
