"""Checks the object store of the artifacts, and the queues that announce changed data."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

from controller.artifacts.opening import open_remote
from controller.config.settings import Settings
from controller.doctor.findings import Finding, bad, ok, warn
from controller.sources.sqs import SqsQueue, queues_of
from controller.store.addresses import address_of
from controller.store.identity import read_identity
from controller.store.opening import open_reader
from specs.failures import Failure
from specs.figures import duration

PATIENCE = 30.0
"""Timeout of each check, in seconds."""
FIX = "see `stores` and `artifacts` in the settings, and docs/object-stores.md"

T = TypeVar("T")


async def examine_stores(settings: Settings, base: Path) -> AsyncIterator[Finding]:
    """A finding for the artifact store and each queue; none if the settings name neither."""
    if settings.artifacts is not None:
        yield await _artifacts(settings, base)
    for queue in queues_of(settings.stores):
        yield await _queue(queue)


async def _artifacts(settings: Settings, base: Path) -> Finding:
    try:
        identity = await _identity(settings, base)
    except Failure as failure:
        said = f"it is not known whose they are: {failure}"
        return warn("artifacts", said, "correct the state first; see above")
    try:
        remote = open_remote(settings, identity)
    except Failure as failure:
        return bad("artifacts", str(failure), "correct `artifacts` in the settings")
    assert remote is not None, "they are in the settings"
    try:
        await _asked(remote.self_test)
    except (Failure, TimeoutError) as failure:
        return bad("artifacts", _why(failure, remote.uri), FIX)
    return ok("artifacts", f"{remote.uri} can be written, listed, read and deleted from")


async def _identity(settings: Settings, base: Path) -> str | None:
    """The identity of the installation; None if it has no state yet. Raises `Failure`."""
    at = address_of(settings, base)
    if isinstance(at, Path) and not at.exists():
        return None
    store = open_reader(at)
    try:
        return await read_identity(store)
    finally:
        await store.close()


async def _queue(queue: SqsQueue) -> Finding:
    what = f"queue {queue.name}"
    try:
        waiting = await _asked(queue.waiting)
    except (Failure, TimeoutError) as failure:
        fix = "correct its URL or permissions; until then, new data is noticed only by polling"
        return bad(what, _why(failure, queue.url), fix)
    return ok(what, f"it answers; about {waiting:,} messages are waiting")


async def _asked(call: Callable[[], T]) -> T:
    async with asyncio.timeout(PATIENCE):
        return await asyncio.to_thread(call)


def _why(failure: Exception, at: str) -> str:
    return str(failure) or f"{at} did not answer within {duration(PATIENCE)}"
