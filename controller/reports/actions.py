"""PURE. What a report says in a job of GitHub Actions: annotations, and the job's summary."""

from collections.abc import Sequence

from controller.reports.protocol import Annotation
from specs.loading.annotations import WorkflowAnnotation, commands

LARGEST_SUMMARY = 1_000_000
"""Bytes of a step's summary: GitHub drops one of more than 1 MiB."""


def annotations(given: Sequence[Annotation]) -> str:
    """Workflow commands for what GitHub shows of a step; it is given the worst first."""
    shown = [
        WorkflowAnnotation(
            "error" if each.level == "failure" else "warning",
            each.message,
            {"file": each.file, "line": str(each.line), "title": each.title},
        )
        for each in given
    ]
    return commands(shown, "the summary of the job")


def summary(text: str, largest: int = LARGEST_SUMMARY) -> str:
    """The text with as many of its first lines as GitHub takes."""
    content = text.encode()
    if len(content) <= largest:
        return text
    left = "\n\n_The rest is left out: GitHub takes 1 MiB._\n"
    kept = content[: largest - len(left.encode())].rpartition(b"\n")[0]
    return kept.decode() + left
