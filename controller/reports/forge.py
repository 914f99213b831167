"""The contract of a forge, which shows reports on commits."""

from typing import Annotated, Literal, Protocol

from pydantic import Field, StringConstraints

from controller.machine.actions import ReportState
from controller.machine.core import Value

LONGEST = 65_535
"""Characters of a report; GitHub's limit."""

Kind = Literal["gates", "policy", "untouched"]
"""The checks: the result of a run and its gates, a pull request's changes to the rules, and the one
for all pipelines that a commit does not affect."""
Conclusion = Literal["success", "failure", "neutral", "cancelled", "action_required"]


class Annotation(Value):
    """A message on a line of a file of the commit."""

    file: str
    """Its path from the repository's root."""
    line: Annotated[int, Field(ge=1)]
    level: Literal["failure", "warning"]
    title: str
    message: str


class CommitReport(Value):
    """The report on one pipeline at one commit; it replaces the previous one."""

    repository: str
    commit: str
    pipeline: str
    """Empty where the repository has none."""
    kind: Kind = "gates"
    scope: str = ""
    """See `ReportCommit.scope`: part of the check's name."""
    asks: Literal["", "approve", "accept"] = ""
    """What the button on the check asks for."""
    state: ReportState
    title: str
    """The verdict as one line of plain text."""
    run: str | None
    text: Annotated[str, StringConstraints(max_length=LONGEST)]
    """The whole report as Markdown, the title included."""
    conclusion: Conclusion | None = None
    """What it means for a merge; None while undecided."""
    annotations: tuple[Annotation, ...] = ()
    pull: int | None = None
    """The pull request whose head the commit is, if the report is for one."""
    step: str | None = None
    """Set if this is only a progress report: the step that is running. Nothing else has changed
    since the last report, so permanent records can skip it."""


def name_of(pipeline: str, kind: Kind = "gates", scope: str = "") -> str:
    """The name of a check, which branch protection rules refer to."""
    name = "headgate" if kind == "gates" else f"headgate {kind}"
    if pipeline:
        name += f" / {pipeline}"
    return f"{name} ({scope})" if scope else name


class Forge(Protocol):
    """A place where people look at commits, such as GitHub."""

    async def report(self, report: CommitReport) -> None:
        """Show `report` on its commit in place of the pipeline's previous one.

        Idempotent. Raises `TryAgain` or `NeedsHuman`.
        """
        ...
