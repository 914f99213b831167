"""Checks the last batch command of each production environment that points to a model."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from controller.doctor.findings import Finding, ok, warn
from controller.machine.core import parsed
from controller.machine.environments.environment import EnvironmentState
from controller.store.addresses import Address
from controller.store.opening import open_reader
from specs.failures import Failure

SHOWN = 300
"""Characters of the reason for a failure that are shown."""


async def batches(at: Address) -> list[Finding]:
    """A finding for each batch command; none if the state cannot be read."""
    if isinstance(at, Path) and not at.exists():
        return []
    with suppress(Failure):  # another finding says why
        store = open_reader(at)
        try:
            records = await store.list("environment")
        finally:
            await store.close()
        return [one for record in records for one in _of(parsed(EnvironmentState, record.body))]
    return []


def _of(env: EnvironmentState) -> Iterator[Finding]:
    job = env.job
    if job is None or not env.points or env.name != "production":
        return  # in staging, its result belongs to the rollout
    what = f"batch {env.place}"
    if job.open:
        yield ok(what, f"the command of v{job.version.version} is running")
    elif job.failed is None:
        yield ok(what, f"the last command, of v{job.version.version}, succeeded")
    else:
        why = " ".join(job.failed.split())[:SHOWN]
        fix = f"see `headgate logs {env.place}`; run it again with `headgate retry {env.place}`"
        yield warn(what, f"the last command, of v{job.version.version}, failed: {why}", fix)
