"""Any sequence of changes leaves the store as it would leave a few dicts and lists."""

import asyncio
import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from controller.machine.core import Fact, Key
from controller.store.protocol import Conflict, OutboxEntry, Postponed, Put, Transaction
from controller.store.sqlite import SqliteStore
from tests.contracts.store import entry, say

KEYS = [Key("run", "a"), Key("run", "b"), Key("rollout", "a")]
FACT = Key("model", "v1")
ACTIONS = ["x", "y", "z"]
MESSAGES = ["m", "n", "o"]

some_ids = st.lists(st.sampled_from(ACTIONS), max_size=3).map(tuple)


@dataclass
class Model:
    """What a store should hold."""

    objects: dict[Key, tuple[int, int, bool]] = field(default_factory=dict)
    """Revision, the number in the body, live."""
    owed: list[tuple[str, Key, int]] = field(default_factory=list)
    """Id, owner, attempts."""
    inbox: list[tuple[Key, str]] = field(default_factory=list)
    delivered: set[tuple[Key, str]] = field(default_factory=set)

    def commit(self, change: Transaction) -> bool:
        """Take `change` in; False if it conflicts."""
        if change.put is not None:
            key = change.put.key
            if change.put.revision != self.objects.get(key, (0,))[0]:
                return False
            self.objects[key] = (
                change.put.revision + 1,
                json.loads(change.put.text)["n"],
                change.put.live,
            )
        for fact in change.facts:
            revision, n, _ = self.objects.get(fact.key, (0, None, False))
            if n != fact.body["n"]:
                self.objects[fact.key] = (revision + 1, fact.body["n"], False)
        late = {postponed.id for postponed in change.postpone}
        self.owed = [
            (id_, owner, attempts + (id_ in late))
            for id_, owner, attempts in self.owed
            if id_ not in change.acknowledge
        ]
        for owed in change.enqueue:
            if owed.id not in {id_ for id_, _, _ in self.owed}:
                self.owed.append((owed.id, owed.owner, 0))
        for message in change.send:
            if (message.to, message.id) not in self.delivered:
                self.delivered.add((message.to, message.id))
                self.inbox.append((message.to, message.id))
        return True


def owing(id_: str) -> OutboxEntry:
    """The action of that id; an id is always of the same owner, as its digest says."""
    return entry(id_, owner=KEYS[ACTIONS.index(id_)])


class StoreAgainstAModel(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "state.db"
        self.store = self.runner.run(SqliteStore.open(self.path))
        self.model = Model()

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def commit(self, change: Transaction) -> None:
        expected = self.model.commit(change)
        try:
            self.runner.run(self.store.commit(change, now=1.0))
            committed = True
        except Conflict:
            committed = False
        assert committed == expected

    @rule(
        key=st.sampled_from(KEYS),
        off=st.sampled_from([0, 0, 0, -1, 1]),
        n=st.integers(0, 3),
        live=st.booleans(),
        owed=some_ids,
        settled=some_ids,
        told=st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(MESSAGES)), max_size=3),
        fact=st.none() | st.integers(0, 1),
    )
    def turn(
        self,
        key: Key,
        off: int,
        n: int,
        live: bool,
        owed: tuple[str, ...],
        settled: tuple[str, ...],
        told: list[tuple[Key, str]],
        fact: int | None,
    ) -> None:
        revision = max(0, self.model.objects.get(key, (0,))[0] + off)
        self.commit(
            Transaction(
                put=Put(key=key, revision=revision, text=json.dumps({"n": n}), live=live),
                facts=() if fact is None else (Fact(key=FACT, body={"n": fact}),),
                enqueue=tuple(map(owing, owed)),
                acknowledge=settled,
                send=tuple(say(id_, to=to) for to, id_ in told),
            )
        )

    @rule(settled=some_ids, late=st.sets(st.sampled_from(ACTIONS)))
    def outcome(self, settled: tuple[str, ...], late: set[str]) -> None:
        postponed = tuple(Postponed(id=id_, not_before=9.0, error="no") for id_ in sorted(late))
        self.commit(Transaction(acknowledge=settled, postpone=postponed))

    @rule(data=st.data())
    def consume(self, data: st.DataObject) -> None:
        inbox = self.runner.run(self.store.inbox())
        taken = data.draw(st.sets(st.sampled_from(range(len(inbox))))) if inbox else set()
        self.commit(Transaction(consume=tuple(inbox[n].number for n in taken)))
        self.model.inbox = [each for n, each in enumerate(self.model.inbox) if n not in taken]

    @rule(to=st.sampled_from(KEYS), id_=st.sampled_from(MESSAGES), n=st.integers(0, 3))
    def another_process(self, to: Key, id_: str, n: int) -> None:
        revision = self.model.objects.get(to, (0,))[0]
        put = Put(key=to, revision=revision, text=json.dumps({"n": n}), live=True)
        change = Transaction(put=put, send=(say(id_, to=to),))
        self.runner.run(self.commit_elsewhere(change))
        self.model.commit(change)

    async def commit_elsewhere(self, change: Transaction) -> None:
        other = await SqliteStore.open(self.path)
        await other.commit(change, now=1.0)
        await other.close()
        assert await self.store.changed()

    @rule()
    def open_again(self) -> None:
        self.runner.run(self.store.close())
        self.store = self.runner.run(SqliteStore.open(self.path))

    @invariant()
    def they_agree(self) -> None:
        self.runner.run(self.compare())

    async def compare(self) -> None:
        for key in (*KEYS, FACT):
            record = await self.store.get(key)
            found = record and (record.revision, record.body["n"], record.live)
            assert found == self.model.objects.get(key)
        for live in (False, True):
            listed = {record.key.name for record in await self.store.list("run", live=live)}
            expected = self.model.objects.items()
            assert listed == {k.name for k, o in expected if k.kind == "run" and (o[2] or not live)}
        owed = await self.store.outbox()
        assert [(each.id, each.owner, each.attempts) for each in owed] == self.model.owed
        inbox = await self.store.inbox()
        assert [(each.to, each.id) for each in inbox] == self.model.inbox
        for key in KEYS:
            assert [each for each in owed if each.owner == key] == await self.store.outbox(key)
            loaded = await self.store.load(key)  # perhaps as it is remembered
            assert loaded.record == await self.store.get(key)
            assert list(loaded.outbox) == await self.store.outbox(key)
            assert list(loaded.inbox) == await self.store.inbox(key)


TestStoreAgainstAModel = StoreAgainstAModel.TestCase
TestStoreAgainstAModel.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
