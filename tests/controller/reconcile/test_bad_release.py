"""The loop with the machine of environments: a bad request for a release keeps nobody waiting."""

from collections.abc import Sequence
from typing import Literal

import pytest

from controller.machine.core import InboxMessage, Key, Message, parsed
from controller.machine.environments.environment import EnvironmentState, ObservedEnvironment
from controller.machine.messages import ReleaseRequested, Rollback
from controller.reconcile.loop import Loop
from controller.reconcile.outbox import RuntimePolicy
from controller.reconcile.workqueue import Backoff
from controller.store.protocol import Put, Store, Transaction
from controller.wiring.reconcilers import environments
from tests.controller.machine.kit import version
from tests.controller.machine.site import Site, running
from tests.controller.reconcile.toys import running as loop_running
from tests.controller.reconcile.toys import tell, until


class HollowRelease(Message):
    """A request for a release as a version wrote it that forgot the digest."""

    type: Literal["release"] = "release"
    version: int
    repository: str
    why: str


class OfSite:
    """Observes the small world of a site, with the messages that the store delivers."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def observe(
        self, _: Key, state: EnvironmentState | None, inbox: Sequence[InboxMessage]
    ) -> ObservedEnvironment:
        """What the site shows to an environment in that state."""
        self._site.state, self._site.inbox = state, [*inbox]
        return self._site.observe()


def loop_of(store: Store, site: Site) -> Loop:
    policy = RuntimePolicy(clock=lambda: site.now, backoff=Backoff(first=0.002, most=0.02))
    reconcilers = {"environment": environments(OfSite(site))}
    return Loop(store, reconcilers, {}, policy=policy, listen=0.01)


async def put(store: Store, site: Site) -> None:
    """The site's environment as the store has it."""
    text = site.env.model_dump_json()
    await store.commit(
        Transaction(put=Put(key=site.key, revision=0, text=text, live=True)), site.now
    )


async def read(store: Store, site: Site) -> EnvironmentState:
    record = await store.get(site.key)
    assert record is not None
    return parsed(EnvironmentState, record.body)


async def no_message_waits(store: Store) -> bool:
    return not await store.inbox()


@pytest.fixture
def site() -> Site:
    """Production, where v2 serves and v1 did before."""
    return running(Site(versions={n: version(n) for n in (1, 2, 3)}), 1, 2)


async def test_a_release_without_a_digest_is_set_aside_and_the_valid_one_behind_it_begins(
    store: Store, site: Site
) -> None:
    await put(store, site)
    await tell(store, site.key, HollowRelease(version=3, repository="team", why="x"), "hollow")
    digest = site.versions[3].digest
    valid = ReleaseRequested(version=3, digest=digest, repository="team", why="it passed")
    await tell(store, site.key, valid)
    async with loop_running(loop_of(store, site)) as loop:
        await until(lambda: no_message_waits(store))
    env = await read(store, site)
    assert env.rollout is not None
    assert env.rollout.version.version == 3
    (aside,) = await store.set_aside()
    assert (aside.id, aside.reason) == ("hollow", "digest: Field required")
    assert loop.counts["internal_errors"] == 0


async def test_a_persons_rollback_gets_past_a_release_that_cannot_be_read(
    store: Store, site: Site
) -> None:
    await put(store, site)
    await tell(store, site.key, HollowRelease(version=3, repository="team", why="x"), "hollow")
    digest = site.versions[3].digest
    valid = ReleaseRequested(version=3, digest=digest, repository="team", why="it passed")
    await tell(store, site.key, valid)
    await tell(store, site.key, Rollback(by="ada", reason="it smells"))
    async with loop_running(loop_of(store, site)):
        await until(lambda: no_message_waits(store))
    env = await read(store, site)
    assert [each.id for each in await store.set_aside()] == ["hollow"]
    assert env.rollout is None
    (left,) = env.quarantine
    assert (left.version, left.reason) == (3, "rolled back by ada: it smells")
