"""Asks a candidate in staging what the spec's smoke requests ask, past the router."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from controller.executors.workspace import Checkouts
from controller.machine.actions import RunSmoke
from controller.machine.core import Key, Message
from controller.versions import Versions
from specs.failures import NeedsHuman
from specs.release import Smoke
from validators.report import Check, Report
from validators.verdict import Verdict

LARGEST = 2**20
"""Bytes of an answer that are looked through."""


class Smoker:
    """Applies `RunSmoke`. What it finds is told to the environment as `smoke_done`."""

    def __init__(self, versions: Versions, checkouts: Checkouts) -> None:
        self._versions = versions
        self._checkouts = checkouts

    async def smoke(self, owner: Key, action: RunSmoke) -> Sequence[Message]:
        """Ask all requests, in order, and report on each."""
        version = await self._versions.get(action.pipeline, action.version)
        if version is None or version.spec.release is None:
            raise NeedsHuman(f"v{action.version} of {action.pipeline} is not in the store")
        checkout = await self._checkouts.folder(version.source.repository, version.source.commit)
        folder = checkout / version.source.folder
        async with httpx.AsyncClient(base_url=action.address, follow_redirects=False) as client:
            checks = [
                await _ask(client, request, folder)
                for request in version.spec.release.staging.smoke
            ]
        report = Report(
            gate="smoke",
            subject=f"{action.pipeline} v{action.version} in {action.environment}",
            checks=tuple(checks),
            provenance={"version": version.digest},
        )
        body = {"rollout": action.rollout, "report": report.model_dump(mode="json")}
        return (Message(to=owner, id=f"smoke/{action.rollout}", type="smoke_done", body=body),)


async def _ask(client: httpx.AsyncClient, smoke: Smoke, folder: Path) -> Check:
    method, path = ("GET", smoke.get) if smoke.get else ("POST", smoke.post)
    assert path is not None
    name, expect = f"{method} {path}", smoke.expect
    content = (folder / smoke.body).read_bytes() if smoke.body else None
    is_json = bool(smoke.body and smoke.body.endswith(".json"))
    headers = {"Content-Type": "application/json"} if is_json else {}
    limit = expect.within.total_seconds()
    wanted = f"status {expect.status} within {limit:g} s"
    if expect.contains:
        wanted += f", holding {expect.contains!r}"
    began = time.monotonic()
    try:
        async with asyncio.timeout(limit):
            answer = await client.request(method, path, content=content, headers=headers)
    except (httpx.HTTPError, TimeoutError) as error:
        what = "there was no answer in time" if isinstance(error, TimeoutError) else "no answer"
        return _check(name, wanted, "no answer", f"{what}: {type(error).__name__}", passed=False)
    took = time.monotonic() - began
    observed = f"status {answer.status_code} after {took * 1000:.0f} ms"
    if answer.status_code != expect.status:
        return _check(name, wanted, observed, f"It answered with {observed}.", passed=False)
    if expect.contains and expect.contains not in answer.text[:LARGEST]:
        message = "The answer does not hold the expected text."
        return _check(name, wanted, observed, message, passed=False)
    return _check(name, wanted, observed, f"It answered with {observed}.", passed=True)


def _check(name: str, limit: str, observed: str, message: str, *, passed: bool) -> Check:
    return Check(
        name=name,
        verdict=Verdict.PASS if passed else Verdict.FAIL,
        message=message,
        observed=observed,
        limit=limit,
        n=1,
        next_step=None if passed else "Start the server by hand with this model and ask it.",
    )
