"""Sends the spec's smoke requests to a candidate in staging, bypassing the router."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import httpx

from controller.executors.workspace import Checkouts
from controller.machine.actions import RunSmoke
from controller.machine.core import Envelope, Key
from controller.machine.messages import SmokeDone
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.graph import Baseline, SourceTree
from controller.store.model_versions import Versions
from specs.failures import NeedsHuman, TryAgain
from specs.figures import duration, milliseconds
from specs.model import Pipeline
from specs.release import Smoke
from validators.report import Check, Report
from validators.verdict import Verdict

LARGEST = 2**20
"""Bytes of an answer that are read; the rest is ignored."""
PROMPT = 5.0
"""Seconds that applying waits for the answers; most come sooner."""


class Smoker:
    """Applies `RunSmoke`. The report is sent to the environment in `SmokeDone`.

    The requests run in the background for as long as the spec allows, and the action is tried again
    until they are answered. After a restart, they are sent again.
    """

    def __init__(self, versions: Versions, checkouts: Checkouts) -> None:
        self._versions = versions
        self._checkouts = checkouts
        self._asking: dict[str, asyncio.Task[Report]] = {}

    async def smoke(self, owner: Key, action: RunSmoke) -> Sequence[Envelope]:
        """Send all requests, in order, and report on each."""
        task = self._asking.get(action.rollout)
        if task is None:
            task = asyncio.create_task(self._report(action))
            self._asking[action.rollout] = task
        done, _ = await asyncio.wait({task}, timeout=PROMPT)
        if not done:
            raise TryAgain("the smoke requests are not all answered yet", after=1.0)
        del self._asking[action.rollout]
        message = SmokeDone(rollout=action.rollout, report=task.result())
        return (Envelope(to=owner, id=f"smoke/{action.rollout}", message=message),)

    async def close(self) -> None:
        """Cancel the requests in progress."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def _report(self, action: RunSmoke) -> Report:
        version = await self._versions.get(action.pipeline, action.version)
        if version is None or version.spec.release is None:
            raise NeedsHuman(f"v{action.version} of {action.pipeline} is not in the store")
        checkout = await self._checkouts.folder(version.source.repository, version.source.commit)
        async with httpx.AsyncClient(
            base_url=action.address,
            follow_redirects=False,
            trust_env=False,  # no proxy between the controller and its own server
            timeout=None,  # noqa: S113 - `_ask` limits each request as the spec says
        ) as client:
            checks = [
                await _ask(client, request, _body_of(request, version.source, checkout))
                for request in version.spec.release.staging.smoke
            ]
        baseline = await self._versions.baseline(action.pipeline)
        return Report(
            gate="smoke",
            subject=f"{action.pipeline} v{action.version} in {action.environment}",
            checks=tuple(checks),
            notes=_other_bodies(version, baseline) if baseline is not None else (),
            provenance={"version": version.digest},
        )


def _other_bodies(version: ModelVersion, baseline: Baseline) -> tuple[str, ...]:
    """A note for each posted file that the version in production was not tested with: a candidate
    tested with its own requests may fail the former ones."""
    before, now = (_bodies(one.spec, one.source) for one in (baseline, version))
    return tuple(
        f"{path} is not what v{baseline.version} in production was tested with: it came with this "
        "version, and how this version answers the former request is not known."
        for path, digest in now.items()
        if digest not in before.values()
    )


def _bodies(spec: Pipeline, source: SourceTree) -> dict[str, str | None]:
    """The digest of each file that the smoke requests post, by path."""
    requests: tuple[Smoke, ...] = spec.release.staging.smoke if spec.release else ()
    return {one.body: source.content(one.body) for one in requests if one.body}


class _Answer(NamedTuple):
    status: int
    text: str
    """Its beginning."""


def _body_of(smoke: Smoke, source: SourceTree, checkout: Path) -> Path | None:
    return checkout / source.within(smoke.body) if smoke.body else None


async def _ask(client: httpx.AsyncClient, smoke: Smoke, body: Path | None) -> Check:
    method, path = ("GET", smoke.get) if smoke.get else ("POST", smoke.post)
    assert path is not None
    name, expect = f"{method} {path}", smoke.expect
    limit = expect.within.total_seconds()
    wanted = f"status {expect.status} within {duration(limit)}"
    if expect.contains:
        wanted += f", containing {expect.contains!r}"
    began = time.monotonic()
    try:
        async with asyncio.timeout(limit):
            answer = await _answer(client, method, path, body)
    except (httpx.HTTPError, TimeoutError) as error:
        what = "there was no answer in time" if isinstance(error, TimeoutError) else "no answer"
        return _check(name, wanted, "no answer", f"{what}: {type(error).__name__}", passed=False)
    took = time.monotonic() - began
    observed = f"status {answer.status} after {milliseconds(took)}"
    if answer.status != expect.status:
        return _check(name, wanted, observed, f"It answered with {observed}.", passed=False)
    if expect.contains and expect.contains not in answer.text:
        message = "The answer does not contain the expected text."
        return _check(name, wanted, observed, message, passed=False)
    return _check(name, wanted, observed, f"It answered with {observed}.", passed=True)


async def _answer(client: httpx.AsyncClient, method: str, path: str, body: Path | None) -> _Answer:
    """The answer, at most LARGEST bytes of it. Raises `httpx.HTTPError`."""
    # A compressed answer could be far larger than its bytes.
    headers = {"Accept-Encoding": "identity"}
    content = await asyncio.to_thread(body.read_bytes) if body else None
    if body and body.suffix == ".json":
        headers["Content-Type"] = "application/json"
    read = bytearray()
    async with client.stream(method, path, content=content, headers=headers) as answer:
        async for piece in answer.aiter_raw():
            read += piece[: LARGEST - len(read)]
            if len(read) == LARGEST:
                break
        charset = answer.charset_encoding or "utf-8"
    try:
        return _Answer(answer.status_code, read.decode(charset, "replace"))
    except LookupError:  # an unknown character set
        return _Answer(answer.status_code, read.decode("utf-8", "replace"))


def _check(name: str, limit: str, observed: str, message: str, *, passed: bool) -> Check:
    return Check(
        name=name,
        verdict=Verdict.PASS if passed else Verdict.FAIL,
        message=message,
        observed=observed,
        limit=limit,
        n=1,
        next_step=None
        if passed
        else "Start the server by hand with this model and send it the request.",
    )
