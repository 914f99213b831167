"""Applies `ReportUntouched`: one report for all pipelines that a commit does not affect."""

from collections.abc import Sequence

from controller.machine.actions import ReportUntouched
from controller.machine.core import Envelope, Key
from controller.reports.forge import CommitReport, Forge
from validators.render.markdown import code, escape


class UntouchedApplier:
    """Applies `ReportUntouched`."""

    def __init__(self, forge: Forge) -> None:
        self._forge = forge

    async def apply(self, _owner: Key, action: ReportUntouched) -> Sequence[Envelope]:
        """Report it. Raises what the forge raises."""
        await self._forge.report(untouched_report(action))
        return ()


def untouched_report(action: ReportUntouched) -> CommitReport:
    """The report: what it is about, and the first of the pipelines by name."""
    lines = [
        f"- {code(name)}" + (f": {code(run)} passed, and covers it" if run else "")
        for name, run in action.named.items()
    ]
    more = [f"- {action.others} more"] if action.others else []
    names = "\n".join([*lines, *more])
    return CommitReport(
        repository=action.repository,
        commit=action.commit,
        pipeline="",
        kind="untouched",
        scope=action.scope,
        state="skipped",
        title=action.title,
        run=None,
        text=f"## ⏭️ {escape(action.title)}\n\n{names}\n",
        conclusion="neutral",
    )
