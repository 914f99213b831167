"""Whoever is on call hears once of what does not get on, and once of its end."""

import math
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest

from controller.config.secrets import Secrets
from controller.machine.actions import Notify
from controller.machine.core import Envelope, Key
from controller.notify import AppriseNotifier, NotifyApplier
from controller.observers.stall import StallObserver
from controller.reconcile.loop import Loop
from controller.reconcile.outbox import Applier, RuntimePolicy
from controller.reconcile.reconciler import Reconciler
from controller.reconcile.stalls import HUMAN, REFUSED, Stalls
from controller.reconcile.workqueue import Backoff
from controller.store.protocol import Put, Store, Transaction
from controller.wiring.reconcilers import stalls
from specs.failures import NeedsHuman, TryAgain
from specs.notifications import Notification
from tests.controller.notify.receivers import Webhook, webhook
from tests.controller.reconcile.toys import (
    Add,
    Count,
    DoWork,
    Murmur,
    Work,
    Worker,
    counter,
    running,
    tell,
    toy,
    until,
    worker,
)

# Apprise's reader of PGP keys imports it, whatever service is asked for.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

COUNTER = Key("counter", "a")


class Gate:
    """A world that cannot be looked at while it is shut."""

    def __init__(self) -> None:
        self.shut = True

    async def look(self, _: Key) -> None:
        """As an observation that fails."""
        if self.shut:
            raise NeedsHuman("the remote refused access: renew the token")


async def idle(_: Key, __: Work) -> Sequence[Envelope]:
    """An effect that is always done."""
    return ()


def loop_of(
    store: Store,
    gate: Gate,
    here: Webhook,
    *,
    reconciler: Reconciler[Any, Any] | None = None,
    work: Applier = idle,
    murmur: Applier = idle,
    clock: Callable[[], float] | None = None,
) -> Loop:
    """One that tells of everything at once; or, with a clock, as patiently as a controller."""
    everyone = [Notification(to=f"json://127.0.0.1:{here.port}/")]
    return Loop(
        store,
        {
            "counter": reconciler or toy(Count, counter, gate.look),
            "stall": stalls(StallObserver(store, everyone)),
        },
        {
            Notify: NotifyApplier(AppriseNotifier(), Secrets({})).apply,
            Work: work,
            Murmur: murmur,
        },
        policy=RuntimePolicy(
            clock=clock or time.time,
            backoff=Backoff(first=0.002, most=0.02),
            bears=math.inf if clock else 0.0,
        ),
        listen=0.01,
    )


def said(here: Webhook) -> list[tuple[str, str]]:
    return [(body["status"], body["alert"]) for body in here.bodies]


FIRING, RESOLVED = ("firing", "stuck/counter/a"), ("resolved", "stuck/counter/a")


async def test_what_needs_a_person_is_told_once_and_so_is_its_end_over_a_restart(
    store: Store,
) -> None:
    gate = Gate()
    with webhook() as here:
        await tell(store, COUNTER, Add(n=1))
        async with running(loop_of(store, gate, here)) as loop:
            await until(lambda: said(here) and loop.counts["reconciled"] > 10)
        async with running(loop_of(store, gate, here)) as loop:
            await until(lambda: loop.counts["reconciled"] > 10)
            assert said(here) == [FIRING]
            gate.shut = False
            await until(lambda: len(here.bodies) > 1)
        assert said(here) == [FIRING, RESOLVED]
    assert "renew the token" in here.bodies[0]["incident"]["what"]
    assert here.bodies[0]["incident"]["needs_human"]


async def test_it_is_told_again_if_it_happens_again(store: Store) -> None:
    gate = Gate()
    with webhook() as here:
        await tell(store, COUNTER, Add(n=1), "one")
        async with running(loop_of(store, gate, here)) as loop:
            for number, what in enumerate([FIRING, RESOLVED, FIRING, RESOLVED], 1):
                gate.shut = what == FIRING
                loop.wake(COUNTER)
                await until(lambda: len(here.bodies) == number)  # noqa: B023 - awaited at once
        assert said(here) == [FIRING, RESOLVED, FIRING, RESOLVED]


async def test_a_state_that_cannot_be_read_is_told_and_so_is_its_end(store: Store) -> None:
    gate = Gate()
    gate.shut = False
    with webhook() as here:
        await store.commit(
            Transaction(put=Put(key=COUNTER, revision=0, text='{"x": 1}', live=True)), 1.0
        )
        await tell(store, COUNTER, Add(n=1))
        async with running(loop_of(store, gate, here)) as loop:
            await until(lambda: said(here) == [FIRING])
            await store.commit(
                Transaction(put=Put(key=COUNTER, revision=1, text='{"n": 1}', live=True)), 1.0
            )
            loop.wake(COUNTER)
            await until(lambda: said(here) == [FIRING, RESOLVED])
    assert "cannot be read" in here.bodies[0]["incident"]["what"]


@pytest.mark.parametrize("human", [True, False])
async def test_refused_credentials_are_told_within_seconds_and_a_store_that_is_away_is_not(
    store: Store, *, human: bool
) -> None:
    async def look(_: Key) -> None:
        raise TryAgain("s3://lake does not let us in", human=human)

    with webhook() as here:
        await tell(store, COUNTER, Add(n=1))
        reconciler, seconds = toy(Count, counter, look), count()
        loop = loop_of(
            store, Gate(), here, reconciler=reconciler, clock=lambda: float(next(seconds))
        )
        async with running(loop):
            await until(lambda: loop.counts["reconciled"] > REFUSED)
            if human:
                await until(lambda: said(here) == [FIRING])
        assert said(here) == [FIRING] * human


async def test_an_effect_that_waits_for_credentials_is_told_and_so_is_its_end(store: Store) -> None:
    gate = Gate()
    done: list[str] = []

    async def work(_: Key, action: Work) -> Sequence[Envelope]:
        if gate.shut:
            raise TryAgain("the store of `artifacts` refuses", human=True)
        done.append(action.how)
        return ()

    with webhook() as here:
        await tell(store, COUNTER, DoWork(how="well"))
        loop = loop_of(store, gate, here, reconciler=toy(Worker, worker), work=work)
        async with running(loop):
            await until(lambda: said(here) == [FIRING])
            gate.shut = False
            await until(lambda: said(here) == [FIRING, RESOLVED])
    assert done == ["well"]


def test_a_stall_of_a_moment_wakes_nobody() -> None:
    stalls_ = Stalls()
    assert stalls_.failed(COUNTER, "why", 0.0, HUMAN) is None
    assert stalls_.failed(COUNTER, "why", HUMAN - 1, HUMAN) is None
    assert stalls_.passed(COUNTER, HUMAN) is None
    assert stalls_.failed(COUNTER, "why", HUMAN + 1, HUMAN) is None, "it counts from anew"
    assert stalls_.failed(COUNTER, "why", 2 * HUMAN + 1, HUMAN) is not None


def test_what_could_not_be_saved_is_said_again_the_next_time() -> None:
    stalls_ = Stalls()
    first = stalls_.failed(COUNTER, "why", 0.0, 0.0)
    again = stalls_.failed(COUNTER, "why", 1.0, 0.0)
    assert first is not None
    assert again is not None
    stalls_.sent(COUNTER, again)
    assert stalls_.failed(COUNTER, "why", 2.0, 0.0) is None
    assert stalls_.passed(COUNTER, 3.0) is not None
