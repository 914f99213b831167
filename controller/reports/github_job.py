"""PURE. A report inside a GitHub Actions job: annotations and the job summary."""

from collections.abc import Sequence

from controller.reports.forge import Annotation
from specs.loading.annotations import WorkflowAnnotation, commands

LARGEST_SUMMARY = 1_000_000
"""Bytes; GitHub drops a step summary of more than 1 MiB."""


def annotation_commands(given: Sequence[Annotation]) -> str:
    """Workflow commands that make GitHub show the annotations, of which `given` has the worst
    first. GitHub shows only the first few of a step."""
    shown = [
        WorkflowAnnotation(
            "error" if each.level == "failure" else "warning",
            each.message,
            {"file": each.file, "line": str(each.line), "title": each.title},
        )
        for each in given
    ]
    return commands(shown, "the summary of the job")


def job_summary(text: str, largest: int = LARGEST_SUMMARY) -> str:
    """The text, cut after the last line that fits into a job summary."""
    content = text.encode()
    if len(content) <= largest:
        return text
    left = "\n\n_The rest is omitted: GitHub shows at most 1 MiB._\n"
    kept = content[: largest - len(left.encode())].rpartition(b"\n")[0]
    return kept.decode() + left
