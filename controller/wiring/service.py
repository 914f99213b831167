"""Runs a controller: opens its state, starts its parts, and begins anew where that is needed."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from controller.config.secrets import Secrets
from controller.config.settings import Settings
from controller.git import Mirror
from controller.github.abandoned_checks import HOUR
from controller.machine.core import Key
from controller.reconcile.loop import HistoryLost
from controller.reconcile.outbox import RuntimePolicy
from controller.reconcile.resting import carry_on_renamed
from controller.reconcile.stalls import KIND as STALL
from controller.reconcile.tenure import Alone
from controller.store.addresses import address_of
from controller.store.database import DatabaseStore
from controller.store.identity import ensure_identity
from controller.store.opening import open_store, share
from controller.store.protocol import Hold, StoreAway
from controller.wiring.controller import Controller
from controller.wiring.home_lock import only_one
from deployers.clock import Steady
from specs.failures import Failure, TryAgain

log = structlog.get_logger("headgate")

DAY = 86_400.0
AGAIN = 1.0
"""Seconds before a controller begins anew."""
LONGEST_WAIT = 10.0
"""Seconds between two attempts to reach the state when it starts; fewer at first."""


async def serve(
    settings: Settings, base: Path, secrets: Secrets, policy: RuntimePolicy | None = None
) -> None:
    """Run a controller until cancelled.

    `base` is the folder that paths in the settings are relative to. Raises `NeedsHuman` if
    another controller has the home folder, or its state cannot be used; `TryAgain` if another
    holds that, or its address names no host. A database that is away is waited for.
    """
    home = settings.path(base)
    began_anew, waits = False, AGAIN
    with only_one(home):
        while True:
            try:
                await _serve(home, settings, base, secrets, policy)
            except Exception as error:
                if not began_anew and _all_are(error, StoreAway):
                    log.warning("waiting for the state", reason=str(_first(error)), seconds=waits)
                    await asyncio.sleep(waits)
                    waits = min(2 * waits, LONGEST_WAIT)
                    continue
                if not (_all_are(error, HistoryLost) or (began_anew and _all_are(error, TryAgain))):
                    raise
                # What is remembered may be of commits that are lost: it goes on as after a kill.
                log.warning("the controller begins anew", reason=str(_first(error)))
                began_anew = True
                await asyncio.sleep(AGAIN)


async def _serve(
    home: Path, settings: Settings, base: Path, secrets: Secrets, policy: RuntimePolicy | None
) -> None:
    async with AsyncExitStack() as stack:
        several = settings.controllers == "several"
        hold = Hold.SHARED if several else Hold.ALONE
        store = await open_store(address_of(settings, base, secrets), hold=hold)
        stack.push_async_callback(store.close)
        leases = await share(store) if several else None
        if leases is not None:
            stack.push_async_callback(leases.close)
        policy = policy or RuntimePolicy(clock=Steady(await last_moment(store)))
        addresses = {
            each.name: Mirror(each.address(base), home).url for each in settings.repositories
        }
        await carry_on_renamed(store, addresses, home / "mirrors", policy.clock())
        identity = await ensure_identity(store, home, policy.clock())
        tenure = leases or Alone()
        app = Controller(settings, base, secrets, store, policy, identity=identity, tenure=tenure)
        loop = app.loop()
        stack.push_async_callback(app.close)
        await app.sweeper.forget_strangers()
        app.watch.restore(one.key for one in await store.list(STALL, live=True))
        for each in settings.repositories:
            app.poll(each)
        await app.queues.listen(loop.wake)
        app.wake_ended(loop)
        log.info("the controller runs", home=str(home), pid=os.getpid())

        def leads() -> bool:
            return tenure.leads

        def arrived(shards: Collection[int]) -> None:
            loop.arrived(shards)
            for each in settings.repositories:  # a hint may have come before the lease
                loop.wake(Key("repository", each.name))

        # Leases are renewed until the loop has ended: it waits for its turns, and a shard that
        # expired meanwhile would be worked on by two.
        async with asyncio.TaskGroup() as renewing, asyncio.TaskGroup() as tasks:
            if leases is not None:
                renewing.create_task(leases.keep(store.forget, arrived))
            tasks.create_task(app.wake_hinted(loop))
            tasks.create_task(app.serve_webhooks(loop))
            tasks.create_task(app.operations.serve(loop, leases))
            tasks.create_task(app.operations.trace(leads))
            tasks.create_task(app.save_monitor.watch())
            tasks.create_task(_every(DAY, app.prune_messages))
            tasks.create_task(_every(DAY, app.sweep))
            tasks.create_task(_every(DAY, app.compact_notes, leads))
            tasks.create_task(_every(HOUR, app.sweep_checks, leads))
            tasks.create_task(loop.run())


def _all_are(error: BaseException, kind: type[Exception]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_all_are(each, kind) for each in error.exceptions)
    return isinstance(error, kind)


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def last_moment(store: DatabaseStore) -> float:
    """When the previous process saved last, so that this one's clock does not start earlier. A time
    of a day or more in the future is ignored: then the previous clock was wrong."""
    last = await store.latest()
    return last if last < time.time() + DAY else 0.0


async def _every(
    seconds: float, task: Callable[[], Awaitable[None]], leads: Callable[[], bool] = lambda: True
) -> None:
    """Do a task now and then every so many seconds. A failure is logged, and the task repeated.
    With `leads`, it is left to another controller while that is false."""
    while True:
        while not leads():  # noqa: ASYNC110 - a lease tells nobody
            await asyncio.sleep(AGAIN)
        try:
            await task()
        except Failure as failure:
            log.warning("a periodic task is postponed", task=task.__name__, reason=str(failure))
        except Exception:
            log.exception("a periodic task failed with an internal error", task=task.__name__)
        await asyncio.sleep(seconds)
