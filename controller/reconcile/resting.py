"""Repositories that the settings call otherwise than before, or do not name any more.

One that has another name and the address that it had goes on under it, with all its pipelines. One
that is gone rests: what serves of it goes on to serve, and nobody looks at it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Generic

import structlog

from controller.machine.core import Fact, InboxMessage, Key, State
from controller.reconcile.reconciler import Observed, Observer
from controller.store.database import DatabaseStore
from controller.store.protocol import StoreReader, Transaction
from specs.failures import Ignore

ADDRESS = "address"
"""The kind of the facts that say where a repository was when a controller last began."""

RESTS = (
    "it is not in the settings any more; what serves goes on, and is not looked after. If only its "
    "name changed, give it the old one again"
)
"""What is the matter with one, and the fix, for a reader."""

log = structlog.get_logger("headgate.repositories")


async def resting(store: StoreReader, names: Sequence[str]) -> tuple[str, ...]:
    """The repositories that were watched and are not among those `names`, in order."""
    known = {record.key.name for record in await store.list("repository")}
    return tuple(sorted(known - set(names)))


async def carry_on_renamed(
    store: DatabaseStore, addresses: Mapping[str, str], mirrors: Path, now: float
) -> None:
    """Carry on under their new names what was renamed, and remember where all are.

    `addresses` has those of the settings, by name and without credentials; `mirrors` is the folder
    of all mirrors. For before the loop begins.
    """
    before = {one.key.name: one.body["url"] for one in await store.list(ADDRESS)}
    for old in await resting(store, [*addresses]):
        there = [name for name, url in addresses.items() if url == before.get(old)]
        if len(there) != 1:
            log.warning("a repository rests with its pipelines", repository=old, reason=RESTS)
            continue
        await store.rename_repository(old, there[0])
        if (mirrors / old).is_dir() and not (mirrors / there[0]).exists():
            (mirrors / old).rename(mirrors / there[0])
        log.warning(
            "a repository has another name in the settings: its pipelines go on under it",
            was=old,
            repository=there[0],
        )
    news = {name: url for name, url in addresses.items() if before.get(name) != url}
    if news:  # else it begins without a write, also on a full disk
        facts = [Fact(key=Key(ADDRESS, name), body={"url": url}) for name, url in news.items()]
        await store.commit(Transaction(facts=tuple(facts)), now)


class WatchedOnly(Generic[State, Observed]):
    """An `Observer` of objects that rest while the settings do not name their repository."""

    def __init__(self, observer: Observer[State, Observed], names: Sequence[str]) -> None:
        self._observer = observer
        self._names = frozenset(names)

    async def observe(
        self, key: Key, state: State | None, inbox: Sequence[InboxMessage]
    ) -> Observed:
        """As the observer does; raises `Ignore` for an object that rests. Its messages wait."""
        name = key.name if key.kind == "repository" else getattr(state, "repository", None)
        if name is not None and name not in self._names:
            raise Ignore(f"its repository {name} is not in the settings")
        return await self._observer.observe(key, state, inbox)
