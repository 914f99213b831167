"""Observes stalls: which pipeline or repository each concerns, and whom its specs notify."""

from collections.abc import Sequence

from controller.machine.core import InboxMessage, Key
from controller.machine.stall import ObservedStall, Stall
from controller.notify.subscribers import named
from controller.store.protocol import Store
from specs.notifications import Notification


class StallObserver:
    """An `Observer` of stalls; a stall is named by its object's key as text."""

    def __init__(self, store: Store, everyone: Sequence[Notification]) -> None:
        self._store = store
        self._everyone = tuple(everyone)

    async def observe(
        self, key: Key, state: Stall | None, inbox: Sequence[InboxMessage]
    ) -> ObservedStall:
        """Whom to notify, as far as the stored specs can be read."""
        if not inbox or (state is not None and not state.over):
            return ObservedStall(everyone=self._everyone)
        kind, _, name = key.name.partition("/")
        if kind in ("repository", "git", "pulls"):  # itself, or a source that looks at it
            records = await self._store.list("pipeline")
            records = [one for one in records if one.body.get("repository") == name]
            to = [address for one in records for address in await named(self._store, one)]
            return ObservedStall(
                everyone=self._everyone, repository=name, to=tuple(dict.fromkeys(to))
            )
        pipeline = name.rpartition("-")[0] if kind == "run" else name.partition("/")[0]
        record = await self._store.get(Key("pipeline", pipeline))
        if record is None:
            return ObservedStall(everyone=self._everyone, pipeline=pipeline)
        return ObservedStall(
            everyone=self._everyone,
            repository=str(record.body.get("repository", "")),
            pipeline=pipeline,
            to=tuple(dict.fromkeys(await named(self._store, record))),
        )
