"""The contract of whatever shows reports beside commits."""

from typing import Annotated, Literal, Protocol

from pydantic import Field, StringConstraints

from controller.machine.core import Value

LONGEST = 65_535
"""Characters of a report; what GitHub takes."""

ReportState = Literal[
    "running", "passed", "failed", "stopped", "cancelled", "skipped", "invalid", "held", "accepted"
]
"""`skipped`: nothing to run. `held`: until somebody with the right approves that commit, or accepts
the rules that it loosens. `accepted`: nothing is judged, as somebody with the right has said."""
Kind = Literal["gates", "policy"]
"""What the run and its gates say, or how a pull request changes the rules: two checks."""
Conclusion = Literal["success", "failure", "neutral", "cancelled", "action_required"]


class Annotation(Value):
    """What is said beside a line of a file of the commit."""

    file: str
    """Its path from the repository's root."""
    line: Annotated[int, Field(ge=1)]
    level: Literal["failure", "warning"]
    title: str
    message: str


class CommitReport(Value):
    """All that is said of one pipeline on one commit; it replaces what was said there before."""

    repository: str
    commit: str
    pipeline: str
    """Empty where the repository has none."""
    kind: Kind = "gates"
    scope: str = ""
    """See `ReportCommit.scope`: part of the check's name."""
    asks: Literal["", "approve", "accept"] = ""
    """What a button asks for."""
    state: ReportState
    title: str
    """The verdict in a line of plain text."""
    run: str | None
    text: Annotated[str, StringConstraints(max_length=LONGEST)]
    """The whole report as Markdown, the title included."""
    conclusion: Conclusion | None = None
    """What it means for a merge; None while nothing is decided."""
    annotations: tuple[Annotation, ...] = ()
    pull: int | None = None
    """The pull request that the commit is the head of, where it is reported for one."""
    step: str | None = None
    """Only tells how far a run is: the step that runs now. Nothing else has changed since the
    last report, so what is kept for good need not say it."""


def name_of(pipeline: str, kind: Kind = "gates", scope: str = "") -> str:
    """What a check is called; branch protection asks for it by this name."""
    name = "headgate policy" if kind == "policy" else "headgate"
    if pipeline:
        name += f" / {pipeline}"
    return f"{name} ({scope})" if scope else name


class Forge(Protocol):
    """Where commits are looked at."""

    async def report(self, report: CommitReport) -> None:
        """Show `report` on its commit in place of the pipeline's former one.

        Saying the same again changes nothing. Raises `TryAgain` or `NeedsHuman`.
        """
        ...
