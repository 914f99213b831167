"""What every `Store` keeps. A subclass gives `store`, and `other`: the same state, opened again."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

import pytest

from controller.machine.core import Envelope, Fact, Key, Message
from controller.store.protocol import (
    Changes,
    Conflict,
    OutboxEntry,
    Postponed,
    Put,
    SetAside,
    Store,
    Transaction,
)
from specs.failures import TryAgain

RUN = Key("run", "flights-1")
OTHER_RUN = Key("run", "flights-2")


def put(n: int, revision: int = 0, *, key: Key = RUN, live: bool = True) -> Put:
    """An object whose body says `n`."""
    return Put(key=key, revision=revision, text=json.dumps({"n": n}), live=live)


def entry(name: str, *, owner: Key = RUN, lane: str = "main") -> OutboxEntry:
    """An action of that id."""
    return OutboxEntry(id=name, owner=owner, lane=lane, action={"type": "do", "what": name})


class Said(Message):
    """What the messages here say."""

    type: Literal["said"] = "said"
    text: str


def say(id_: str, *, to: Key = RUN, text: str = "") -> Envelope:
    """A message of that id."""
    return Envelope(to=to, id=id_, message=Said(text=text))


async def ids_in_outbox(store: Store, owner: Key | None = None) -> list[str]:
    """The ids in the outbox, in its order."""
    return [each.id for each in await store.outbox(owner)]


async def ids_received(store: Store, to: Key | None = None) -> list[str]:
    """The ids in an inbox, in its order."""
    return [each.id for each in await store.inbox(to)]


class StoreContract:
    hears_within = 0.0
    """How long the word of another process may be under way, in seconds."""
    losing_the_answer: Callable[[Any], AbstractContextManager[None]] | None = None
    """Within it a commit of a store is saved, and its answer is lost; None where that cannot be."""

    async def test_what_was_never_put_is_none(self, store: Store) -> None:
        assert await store.get(RUN) is None
        assert await store.list("run") == []

    async def test_a_put_comes_back_with_its_revision_and_time(self, store: Store) -> None:
        await store.commit(Transaction(put=put(7)), now=12.5)
        record = await store.get(RUN)
        assert record is not None
        assert (record.key, record.revision, record.body) == (RUN, 1, {"n": 7})
        assert (record.updated, record.live) == (12.5, True)

    async def test_several_are_got_at_once_by_kind_and_name(self, store: Store) -> None:
        facts = tuple(Fact(key=Key("cache", name), body={"of": name}) for name in "abc")
        change = Transaction(put=put(7, key=Key("run", "a")), facts=facts)
        await store.commit(change, now=1)
        found = await store.get_all("cache", {"a", "c", "never"})
        assert {name: each.body for name, each in found.items()} == {
            "a": {"of": "a"},
            "c": {"of": "c"},
        }
        assert found["a"] == await store.get(Key("cache", "a"))
        assert await store.get_all("cache", ()) == {}

    async def test_a_load_has_the_object_its_inbox_and_its_outbox(self, store: Store) -> None:
        change = Transaction(
            put=put(7), enqueue=(entry("b"), entry("a")), send=(say("hello"), say("again"))
        )
        await store.commit(change, now=1)
        of_another = Transaction(put=put(8, key=OTHER_RUN), enqueue=(entry("c", owner=OTHER_RUN),))
        await store.commit(of_another, now=2)
        loaded = await store.load(RUN)
        assert loaded.record == await store.get(RUN)
        assert [each.id for each in loaded.inbox] == ["hello", "again"]
        assert [each.id for each in loaded.outbox] == ["b", "a"]

    async def test_a_load_of_nothing_is_empty(self, store: Store) -> None:
        loaded = await store.load(RUN)
        assert (loaded.record, loaded.inbox, loaded.outbox) == (None, (), ())

    async def test_each_change_grows_the_revision_by_one(self, store: Store) -> None:
        for revision in range(5):
            await store.commit(Transaction(put=put(revision, revision)), now=revision)
        record = await store.get(RUN)
        assert record is not None
        assert (record.revision, record.body) == (5, {"n": 4})

    async def test_bodies_keep_their_depth_their_text_and_their_numbers(self, store: Store) -> None:
        body = {
            "näme": ["a", {"b": None}],
            "x": 0.1,
            "big": 2**60,
            "yes": True,
            "": "\x00 \U0001f600",
        }
        await store.commit(
            Transaction(put=Put(key=RUN, revision=0, text=json.dumps(body), live=False)), now=1
        )
        record = await store.get(RUN)
        assert record is not None
        assert record.body == body

    async def test_a_commit_returns_the_outbox_of_its_object(self, store: Store) -> None:
        others = entry("theirs", owner=Key("run", "other"))
        assert await store.commit(Transaction(put=put(1), enqueue=(entry("a"), others)), now=1)
        left = await store.commit(
            Transaction(put=put(2, 1), acknowledge=("a",), enqueue=(entry("b"),)), now=2
        )
        assert [one.id for one in left] == ["b"]
        assert list(left) == list(await store.outbox(RUN))
        assert not await store.commit(Transaction(acknowledge=("b",)), now=3)

    @pytest.mark.parametrize("revision", [0, 1, 3])
    async def test_a_put_over_another_revision_is_a_conflict(
        self, store: Store, revision: int
    ) -> None:
        await store.commit(Transaction(put=put(1)), now=1)
        await store.commit(Transaction(put=put(2, 1)), now=2)
        with pytest.raises(Conflict, match=r"run/flights-1 .* revision"):
            await store.commit(Transaction(put=put(9, revision)), now=3)
        record = await store.get(RUN)
        assert record is not None
        assert record.body == {"n": 2}

    async def test_a_put_over_an_object_that_is_not_there_is_a_conflict(self, store: Store) -> None:
        with pytest.raises(Conflict):
            await store.commit(Transaction(put=put(1, 4)), now=1)

    async def test_a_conflict_saves_nothing_of_the_change(self, store: Store) -> None:
        await store.commit(Transaction(put=put(1), enqueue=(entry("a"),), send=(say("m"),)), now=1)
        message = (await store.inbox())[0].number
        change = Transaction(
            put=put(2, 7),
            facts=(Fact(key=Key("model", "v1"), body={}),),
            enqueue=(entry("b"),),
            acknowledge=("a",),
            postpone=(Postponed(id="a", not_before=9, error="no"),),
            send=(say("n"),),
            consume=(message,),
        )
        with pytest.raises(Conflict):
            await store.commit(change, now=2)
        assert await store.get(Key("model", "v1")) is None
        assert [(each.id, each.attempts) for each in await store.outbox()] == [("a", 0)]
        assert await ids_received(store) == ["m"]

    async def test_a_fact_that_was_taken_to_be_absent_is_a_conflict_and_saves_nothing(
        self, store: Store
    ) -> None:
        fact = Fact(key=Key("cache", "k"), body={})
        await store.commit(Transaction(put=put(1), absent=(fact.key,), facts=(fact,)), now=1)
        with pytest.raises(Conflict, match="cache/k is there"):
            await store.commit(
                Transaction(put=put(2, 1), absent=(Key("cache", "j"), fact.key)), now=2
            )
        record = await store.get(RUN)
        assert record is not None
        assert record.body == {"n": 1}
        await store.commit(Transaction(put=put(3, 1), absent=(Key("cache", "j"),)), now=3)

    async def test_of_two_who_read_the_same_revision_one_wins(
        self, store: Store, other: Store
    ) -> None:
        await store.commit(Transaction(put=put(0)), now=0)
        both = [
            store.commit(Transaction(put=put(1, 1)), now=1),
            other.commit(Transaction(put=put(2, 1)), now=1),
        ]
        ends = await asyncio.gather(*both, return_exceptions=True)
        assert sorted(type(end).__name__ for end in ends) == ["Conflict", "tuple"]

    async def test_a_list_is_of_one_kind_and_series_latest_first(self, store: Store) -> None:
        names = ("flights-1", "flights-2", "Flights-3", "flights-late-4", "sales-1")
        for now, name in enumerate(names):
            await store.commit(Transaction(put=put(0, key=Key("run", name))), now=now)
        await store.commit(Transaction(put=put(0, key=Key("rollout", "flights-9"))), now=9)
        await store.commit(Transaction(put=put(1, 1, key=Key("run", "flights-1"))), now=10)

        async def listed(series: str = "", limit: int | None = None) -> list[str]:
            return [record.key.name for record in await store.list("run", series, limit)]

        every = ["flights-1", "sales-1", "flights-late-4", "Flights-3", "flights-2"]
        assert await listed() == every
        assert await listed("flights-") == ["flights-1", "flights-2"]
        assert await listed("flights-late-") == ["flights-late-4"]
        assert await listed("flights") == await listed("%") == []
        assert await listed(limit=2) == ["flights-1", "sales-1"]
        assert await listed("flights-", limit=1) == ["flights-1"]

    async def test_the_live_are_listed_apart(self, store: Store) -> None:
        await store.commit(Transaction(put=put(0)), now=0)
        await store.commit(Transaction(put=put(0, key=OTHER_RUN, live=False)), now=1)
        assert [record.key for record in await store.list("run", live=True)] == [RUN]
        await store.commit(Transaction(put=put(0, 1, live=False)), now=2)
        assert await store.list("run", live=True) == []
        assert len(await store.list("run")) == 2

    async def test_a_fact_is_saved_and_replaced_and_is_never_live(self, store: Store) -> None:
        key = Key("model", "flights-v1")
        await store.commit(Transaction(facts=(Fact(key=key, body={"digest": "a"}),)), now=1)
        await store.commit(Transaction(facts=(Fact(key=key, body={"digest": "b"}),)), now=2)
        record = await store.get(key)
        assert record is not None
        assert (record.revision, record.body, record.live) == (2, {"digest": "b"}, False)

    async def test_the_same_fact_again_changes_nothing(self, store: Store) -> None:
        key = Key("model", "flights-v1")
        for now in (1, 2):
            await store.commit(Transaction(facts=(Fact(key=key, body={"a": 1, "b": 2}),)), now=now)
        record = await store.get(key)
        assert record is not None
        assert (record.revision, record.updated) == (1, 1)

    async def test_the_outbox_is_in_order_whole_and_of_one_owner(self, store: Store) -> None:
        await store.commit(Transaction(enqueue=(entry("b", lane="x"), entry("a"))), now=1)
        await store.commit(Transaction(enqueue=(entry("c", owner=OTHER_RUN),)), now=2)
        assert await ids_in_outbox(store) == ["b", "a", "c"]
        assert await ids_in_outbox(store, RUN) == ["b", "a"]
        first = (await store.outbox(RUN))[0]
        assert (first.owner, first.lane, first.action) == (RUN, "x", {"type": "do", "what": "b"})
        assert (first.attempts, first.not_before, first.error) == (0, 0.0, None)

    async def test_what_is_enqueued_twice_is_in_the_outbox_once(self, store: Store) -> None:
        await store.commit(Transaction(enqueue=(entry("a"), entry("b"))), now=1)
        await store.commit(
            Transaction(postpone=(Postponed(id="a", not_before=5, error="no"),)), now=2
        )
        before = await store.outbox()
        await store.commit(Transaction(enqueue=(entry("a"),)), now=3)
        assert await store.outbox() == before

    async def test_an_acknowledged_action_is_gone_and_may_come_again(self, store: Store) -> None:
        await store.commit(Transaction(enqueue=(entry("a"),)), now=1)
        first = (await store.outbox())[0]
        await store.commit(Transaction(acknowledge=("a",)), now=2)
        assert await store.outbox() == []
        await store.commit(Transaction(enqueue=(entry("a"),)), now=3)
        again = (await store.outbox())[0]
        assert again.id == first.id
        assert again.number > first.number

    async def test_acknowledged_and_enqueued_at_once_goes_to_the_end(self, store: Store) -> None:
        await store.commit(Transaction(enqueue=(entry("a"), entry("b"))), now=1)
        await store.commit(Transaction(acknowledge=("a",), enqueue=(entry("a"),)), now=2)
        assert await ids_in_outbox(store) == ["b", "a"]

    async def test_a_postponed_action_counts_its_attempts(self, store: Store) -> None:
        await store.commit(Transaction(enqueue=(entry("a"),)), now=1)
        for n in (1, 2):
            postponed = Postponed(id="a", not_before=10.0 * n, error=f"no {n}")
            await store.commit(Transaction(postpone=(postponed,)), now=n)
        first = (await store.outbox())[0]
        assert (first.attempts, first.not_before, first.error) == (2, 20.0, "no 2")

    async def test_messages_keep_their_order_until_they_are_consumed(self, store: Store) -> None:
        await store.commit(Transaction(send=(say("b", text="hi"), say("a"))), now=3)
        await store.commit(Transaction(send=(say("c", to=OTHER_RUN),)), now=4)
        assert await ids_received(store) == ["b", "a", "c"]
        first, second = await store.inbox(RUN)
        assert (first.id, second.id) == ("b", "a")
        assert (first.to, first.type, first.at) == (RUN, "said", 3)
        assert first.body == {"type": "said", "text": "hi"}
        assert (first.set_aside, first.reason) == (None, None)
        await store.commit(Transaction(put=put(1), consume=(first.number,)), now=5)
        assert await ids_received(store, RUN) == ["a"]

    async def test_each_with_a_message_that_waits_is_an_addressee_once(self, store: Store) -> None:
        others = (say("a", to=OTHER_RUN), say("b"), say("c", to=OTHER_RUN), say("d"))
        await store.commit(Transaction(send=others), now=1)
        assert await store.addressees() == [OTHER_RUN, RUN]
        first, second = await store.inbox(OTHER_RUN)
        await store.commit(Transaction(consume=(first.number,)), now=2)
        assert await store.addressees() == [RUN, OTHER_RUN]
        aside = SetAside(number=second.number, reason="why")
        await store.commit(Transaction(set_aside=(aside,)), now=3)
        assert await store.addressees() == [RUN]

    async def test_a_message_counts_once_also_after_it_was_consumed(self, store: Store) -> None:
        await store.commit(Transaction(send=(say("m"), say("m"))), now=1)
        await store.commit(Transaction(send=(say("m", text="other words"),)), now=2)
        message = (await store.inbox(RUN))[0]
        assert await ids_received(store) == ["m"]
        await store.commit(Transaction(consume=(message.number,)), now=3)
        await store.commit(Transaction(send=(say("m"),)), now=4)
        assert await store.inbox() == []

    async def test_what_is_set_aside_leaves_the_inbox_and_is_kept_with_the_reason(
        self, store: Store
    ) -> None:
        await store.commit(Transaction(send=(say("a"), say("bad", text="?"), say("c"))), now=1)
        bad = (await store.inbox(RUN))[1]
        aside = SetAside(number=bad.number, reason="text: not a word")
        await store.commit(Transaction(set_aside=(aside,)), now=2)
        assert await ids_received(store) == await ids_received(store, RUN) == ["a", "c"]
        assert [each.id for each in (await store.load(RUN)).inbox] == ["a", "c"]
        (kept,) = await store.set_aside()
        assert kept == bad.model_copy(update={"set_aside": 2, "reason": "text: not a word"})
        assert kept.body == {"type": "said", "text": "?"}

    async def test_a_message_that_was_set_aside_is_not_delivered_again(self, store: Store) -> None:
        await store.commit(Transaction(send=(say("bad"),)), now=1)
        aside = SetAside(number=(await store.inbox())[0].number, reason="why")
        await store.commit(Transaction(set_aside=(aside,)), now=2)
        await store.commit(Transaction(send=(say("bad", text="other words"),)), now=3)
        assert await store.inbox() == []
        assert [each.body["text"] for each in await store.set_aside()] == [""]

    async def test_a_conflict_sets_nothing_aside(self, store: Store) -> None:
        await store.commit(Transaction(put=put(1), send=(say("m"),)), now=1)
        aside = SetAside(number=(await store.inbox())[0].number, reason="why")
        with pytest.raises(Conflict):
            await store.commit(Transaction(put=put(2, 7), set_aside=(aside,)), now=2)
        assert await ids_received(store) == ["m"]
        assert await store.set_aside() == []

    async def test_the_same_id_to_another_object_is_another_message(self, store: Store) -> None:
        await store.commit(Transaction(send=(say("m"), say("m", to=OTHER_RUN))), now=1)
        assert len(await store.inbox()) == 2

    async def test_of_two_who_take_the_same_fact_to_be_absent_one_wins(
        self, store: Store, other: Store
    ) -> None:
        for n in range(20):
            fact = Fact(key=Key("cache", f"k{n}"), body={"n": n})
            of = [Key("run", f"{who}-{n}") for who in ("a", "b")]
            both = [
                each.commit(
                    Transaction(put=put(n, key=key), absent=(fact.key,), facts=(fact,)), now=n
                )
                for each, key in zip((store, other), of, strict=True)
            ]
            ends = await asyncio.gather(*both, return_exceptions=True)
            assert sorted(type(end).__name__ for end in ends) == ["Conflict", "tuple"]
            assert [await store.get(key) is None for key in of].count(True) == 1

    async def test_of_two_who_each_write_what_the_other_takes_to_be_absent_one_wins(
        self, store: Store, other: Store
    ) -> None:
        for n in range(20):
            keys = [Key("cache", f"{side}{n}") for side in "lr"]
            left, right = (Fact(key=key, body={}) for key in keys)
            both = [
                store.commit(Transaction(absent=(right.key,), facts=(left,)), now=n),
                other.commit(Transaction(absent=(left.key,), facts=(right,)), now=n),
            ]
            ends = await asyncio.gather(*both, return_exceptions=True)
            assert sorted(type(end).__name__ for end in ends) == ["Conflict", "tuple"]

    async def test_what_two_send_crosswise_arrives_once(self, store: Store, other: Store) -> None:
        for n in range(20):
            pair = (say(f"a{n}"), say(f"b{n}"))
            both = [
                store.commit(Transaction(send=pair), now=n),
                other.commit(Transaction(send=pair[::-1]), now=n),
            ]
            await asyncio.gather(*both)
        assert len(await ids_received(store)) == 40

    async def test_a_character_that_no_database_keeps_is_replaced_in_what_was_said(
        self, store: Store
    ) -> None:
        await store.commit(Transaction(enqueue=(entry("a"),), send=(say("m"),)), now=1)
        postponed = Postponed(id="a", not_before=2, error="bad\0word")
        aside = SetAside(number=(await store.inbox())[0].number, reason="bad\0word")
        await store.commit(Transaction(postpone=(postponed,), set_aside=(aside,)), now=2)
        assert (await store.outbox())[0].error == "bad\ufffdword"
        assert (await store.set_aside())[0].reason == "bad\ufffdword"

    async def test_two_openings_see_each_others_commits(self, store: Store, other: Store) -> None:
        await store.commit(Transaction(put=put(1), send=(say("m"),)), now=1)
        record = await other.get(RUN)
        assert record is not None
        await other.commit(
            Transaction(put=put(2, 1), consume=((await other.inbox())[0].number,)), now=2
        )
        assert await store.inbox() == []

    async def test_a_commit_whose_answer_was_lost_is_told_of_as_any_change(
        self, store: Store
    ) -> None:
        losing_the_answer = type(self).losing_the_answer
        if losing_the_answer is None:
            pytest.skip("here a commit has an answer, or the process has ended")
        await store.changed()
        await store.commit(Transaction(put=put(1)), now=1)
        await store.load(RUN)
        with losing_the_answer(store), pytest.raises(TryAgain):
            await store.commit(Transaction(put=put(2, 1), send=(say("m"),)), now=2)
        loaded = await store.load(RUN)
        assert loaded.record is not None
        assert (loaded.record.revision, [each.id for each in loaded.inbox]) == (2, ["m"])
        assert await store.changed() is Changes.ANYTHING
        assert await store.changed() is Changes.NONE

    async def test_only_the_commits_of_others_are_a_change(
        self, store: Store, other: Store
    ) -> None:
        await store.changed()
        await store.commit(Transaction(put=put(1)), now=1)
        assert not await store.changed()
        await other.commit(Transaction(send=(say("m"),)), now=2)
        assert await store.hear(self.hears_within) is Changes.MESSAGES
        assert not await store.changed()
