"""PURE. What a report says in a job of GitHub Actions: annotations as workflow commands, a summary.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from collections.abc import Sequence

from controller.reports.protocol import Annotation
from specs.problems import workflow_command

MOST = 10
"""Annotations of each level that GitHub shows of a step."""
LARGEST_SUMMARY = 1024 * 1024 - 1024
"""Bytes of a step's summary: GitHub drops one of more than 1 MiB."""

_COMMANDS = {"failure": "error", "warning": "warning"}


def annotations(given: Sequence[Annotation], whole: str) -> str:
    """The first of each level, which the report orders by how bad they are; if there are more,
    the last one says how many, and that `whole` has them."""
    return "".join(
        line
        for level in ("failure", "warning")
        for line in _of(level, [each for each in given if each.level == level], whole)
    )


def _of(level: str, given: Sequence[Annotation], whole: str) -> list[str]:
    shown = given if len(given) <= MOST else given[: MOST - 1]
    lines = [
        workflow_command(
            _COMMANDS[level],
            each.message,
            file=each.file,
            line=str(each.line),
            title=each.title,
        )
        for each in shown
    ]
    if len(shown) < len(given):
        left = f"{len(given) - len(shown)} more are not shown here; {whole} has them."
        lines.append(workflow_command(_COMMANDS[level], left, title="more"))
    return lines


def summary(text: str, largest: int = LARGEST_SUMMARY) -> str:
    """The text with as many of its lines as GitHub takes."""
    content = text.encode()
    if len(content) <= largest:
        return text
    left = "\n\n_The rest is left out: GitHub takes 1 MiB. The log of the step has more._\n"
    kept = content[: largest - len(left.encode())].rpartition(b"\n")[0]
    return kept.decode(errors="ignore") + left
