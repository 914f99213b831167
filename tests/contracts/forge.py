"""What every `Forge` does. A subclass gives `forge`, `commit` (that exists there) and `shown`."""

from collections.abc import Awaitable, Callable

import pytest

from controller.reports.forge import CommitReport, Forge
from specs.failures import NeedsHuman

Shown = Callable[[str], Awaitable[str]]
"""All that people see beside a commit."""


def report(commit: str, text: str, pipeline: str = "flight-delay") -> CommitReport:
    return CommitReport(
        repository="flights",
        commit=commit,
        pipeline=pipeline,
        state="passed",
        title="passed",
        run=None,
        text=text,
    )


class ForgeContract:
    async def test_the_newest_report_of_each_pipeline_is_shown(
        self, forge: Forge, commit: str, shown: Shown
    ) -> None:
        await forge.report(report(commit, "It runs.\n"))
        await forge.report(report(commit, "Of another.\n", "fares"))
        await forge.report(report(commit, "It passed.\n"))
        text = await shown(commit)
        assert "It passed." in text
        assert "Of another." in text
        assert "It runs." not in text

    async def test_the_same_report_again_changes_nothing(
        self, forge: Forge, commit: str, shown: Shown
    ) -> None:
        await forge.report(report(commit, "It passed.\n"))
        before = await shown(commit)
        await forge.report(report(commit, "It passed.\n"))
        assert await shown(commit) == before

    async def test_a_repository_without_a_pipeline_is_reported_on_too(
        self, forge: Forge, commit: str, shown: Shown
    ) -> None:
        await forge.report(report(commit, "There is no spec.\n", pipeline=""))
        assert "There is no spec." in await shown(commit)

    async def test_a_repository_that_is_not_watched_needs_a_human(
        self, forge: Forge, commit: str
    ) -> None:
        elsewhere = report(commit, "x").model_copy(update={"repository": "gone"})
        with pytest.raises(NeedsHuman, match="gone"):
            await forge.report(elsewhere)
