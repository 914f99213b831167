"""Concludes abandoned checks, whose controller died or whose report got lost.

A pull request that requires such a check could never be merged. The sweep reads the checks of the
heads of watched branches and open pull requests: one request per head, and one per hundred pull
requests, so 303 for 300 of them plus one per branch. Requests whose answer has not changed do not
count against the rate limit.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import structlog

from controller.github.check_ids import Mark, parse
from controller.github.client import Client
from controller.github.responses import GitHubRefused
from controller.github.values import CheckRun
from controller.machine.actions import ReportCommit
from controller.machine.core import Key, parsed
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.repositories.repository import RepositoryState
from controller.machine.runs.end_report import report_end
from controller.machine.runs.run import Run
from controller.store.protocol import Store
from specs.failures import Ignore

HOUR = 3600.0
"""Seconds between sweeps."""
GIVEN_UP = 86_400.0
"""Seconds after which a check of an unknown run is concluded. Until then it may belong to another
controller, or be reported again by one that lost its state."""
RESERVE = 1500
"""Requests that a sweep leaves for reports; GitHub allows at least 5,000 per hour."""

Report = Callable[[Key, ReportCommit], Awaitable[object]]
"""See `controller.reports.ReportApplier.apply`."""

log = structlog.get_logger("headgate.github")


class ChecksSweep:
    """Sweeps the repositories in `names`, which has the `owner/name` of each."""

    def __init__(
        self, client: Client, names: Mapping[str, str], store: Store, report: Report
    ) -> None:
        self._client = client
        self._names = names
        self._store = store
        self._report = report

    async def sweep(self, now: float) -> int:
        """Conclude abandoned checks and return how many. `now` is in seconds since the epoch.

        Raises what the store and `Client` raise; commits that GitHub no longer has are skipped. A
        personal token creates no checks, so there is nothing to sweep.
        """
        if not self._client.can_create_checks:
            return 0
        done = 0
        for name, at in self._names.items():
            for commit in await self._heads(name, at):
                try:
                    checks = await self._client.list_checks(
                        at, commit, f"{commit}/", reserve=RESERVE
                    )
                    for check in checks:
                        if check.status != "completed":
                            done += await self._conclude(name, at, commit, check, now)
                except GitHubRefused as error:
                    if error.status not in (404, 422):
                        raise
                    log.debug("GitHub no longer has a commit", commit=commit, reason=str(error))
        return done

    async def _heads(self, name: str, at: str) -> list[str]:
        record = await self._store.get(Key("repository", name))
        branches = parsed(RepositoryState, record.body).heads.values() if record else ()
        pulls = await self._client.open_pulls(at, reserve=RESERVE)
        return list(dict.fromkeys([*branches, *(pull.head_sha for pull in pulls)]))

    async def _conclude(self, name: str, at: str, commit: str, check: CheckRun, now: float) -> bool:
        """Conclude an open check as its run ended, or as abandoned; False if it may stay open."""
        mark = parse(check.external_id)
        run = await self._run(mark)
        if run is not None and (run.repository, run.commit, run.scope) == (
            name,
            commit,
            mark.scope,
        ):
            if run.live:
                return False
            try:
                await self._report(Key("run", run.id), report_end(run))
            except Ignore as reason:  # a later run of the commit has a report of its own
                await self._cancel(at, check, f"{run.id} is superseded", str(reason))
            return True
        if not mark.run and await self._is_wanted(mark.pipeline, commit):
            return False
        if not check.started or now - datetime.fromisoformat(check.started).timestamp() < GIVEN_UP:
            return False
        ask = f"`headgate trigger {mark.pipeline}`" if mark.pipeline else "a push"
        why = (
            "The controller that opened this check more than a day ago is gone, or has lost its "
            f"state. {ask} starts a new run."
        )
        await self._cancel(at, check, "abandoned: no controller is working on this", why)
        return True

    async def _run(self, mark: Mark) -> Run | None:
        is_of_run = mark.kind == "gates" and mark.run
        record = await self._store.get(Key("run", mark.run)) if is_of_run else None
        return parsed(Run, record.body) if record else None

    async def _is_wanted(self, pipeline: str, commit: str) -> bool:
        record = await self._store.get(Key("pipeline", pipeline))
        wanted = parsed(PipelineState, record.body).wanted.values() if record else ()
        return any(each.commit == commit for each in wanted)

    async def _cancel(self, at: str, check: CheckRun, title: str, summary: str) -> None:
        log.info("an abandoned check is cancelled", check=check.external_id, why=title)
        output = {"title": title, "summary": summary}
        await self._client.update_check(
            at, check.id, status="completed", conclusion="cancelled", output=output
        )
