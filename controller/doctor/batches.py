"""Looks at how the batch command fared last, of each place that points to a model."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from controller.doctor.findings import Finding, ok, warn
from controller.machine.core import parsed
from controller.machine.environments.environment import EnvironmentState
from controller.store.sqlite import SqliteStore
from specs.failures import Failure

SHOWN = 300
"""Characters of why it failed."""


async def batches(home: Path) -> list[Finding]:
    """Every finding, good ones included; nothing of a state that cannot be read."""
    path = home / "state.db"
    if not path.exists():
        return []
    with suppress(Failure):  # another finding says why not
        store = await SqliteStore.open(path)
        try:
            records = await store.list("environment")
        finally:
            await store.close()
        return [one for record in records for one in _of(parsed(EnvironmentState, record.body))]
    return []


def _of(env: EnvironmentState) -> Iterator[Finding]:
    job = env.job
    if job is None or not env.points or env.name != "production":
        return  # of staging, the rollout says how it ended
    what = f"batch {env.place}"
    if job.open:
        yield ok(what, f"v{job.version.version} is being run")
    elif job.failed is None:
        yield ok(what, f"v{job.version.version} ended well the last time")
    else:
        why = " ".join(job.failed.split())[:SHOWN]
        mend = (
            f"`headgate logs {env.place}` has its log, `headgate retry {env.place}` runs it again"
        )
        yield warn(what, f"v{job.version.version} failed the last time: {why}", mend)
