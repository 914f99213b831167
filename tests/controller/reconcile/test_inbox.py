"""A message that cannot be read or handled is set aside alone; no other waits because of it."""

from collections.abc import Sequence
from typing import Literal

import pytest

from controller.machine.core import Decision, Key, Message, Value
from controller.reconcile.loop import Loop
from controller.reconcile.outbox import RuntimePolicy
from controller.reconcile.reconciler import Reconciler
from controller.reconcile.workqueue import Backoff
from controller.store.protocol import Store
from specs.failures import Ignore, TryAgain
from tests.controller.reconcile.toys import running, tell, toy, until

DIARY = Key("diary", "d")
OTHER = Key("diary", "other")
SOON = RuntimePolicy(backoff=Backoff(first=0.002, most=0.02))


class Open(Message):
    """To a diary that does not exist yet."""

    type: Literal["open"] = "open"


class Note(Message):
    """To a diary: write this down."""

    type: Literal["note"] = "note"
    text: str


class Tear(Message):
    """To a diary, whose handler of it has a bug."""

    type: Literal["tear"] = "tear"


class Coo(Message):
    """To a pigeon, but a diary may get it, too."""

    type: Literal["coo"] = "coo"


class HollowNote(Message):
    """A note as a version wrote it that did not know of texts."""

    type: Literal["note"] = "note"


class LongNote(Note):
    """A note as a later version writes it."""

    colour: str


class Diary(Value):
    notes: tuple[str, ...] = ()


def write(_: Key, state: Diary | None, inbox: Sequence[Message], __: float) -> Decision[Diary]:
    """Writes down what it is told, once it was opened."""
    if state is None and not any(isinstance(message, Open) for message in inbox):
        raise Ignore("nobody opened it yet")
    diary = state or Diary()
    for message in inbox:
        if isinstance(message, Tear):
            raise ZeroDivisionError("a bug")
        if isinstance(message, Note):
            diary = Diary(notes=(*diary.notes, message.text))
    return Decision(state=diary)


def fail(*_: object) -> Decision[Diary]:
    """A machine with a bug that no message has part in."""
    raise ZeroDivisionError("a bug")


DIARIES = toy(Diary, write, handles=(Open, Note, Tear))


def loop_of(store: Store, diaries: Reconciler[Diary, None] = DIARIES) -> Loop:
    return Loop(store, {"diary": diaries}, {}, policy=SOON, listen=0.01)


async def notes(store: Store, key: Key = DIARY) -> tuple[str, ...] | None:
    record = await store.get(key)
    return tuple(record.body["notes"]) if record else None


async def handled(store: Store) -> bool:
    return not await store.inbox()


async def set_aside(store: Store) -> list[tuple[str, str]]:
    """The ids of what was set aside, and why."""
    return [(each.id, each.reason or "") for each in await store.set_aside()]


BAD = pytest.mark.parametrize(
    ("bad", "why"),
    [
        (Coo(), "nothing in this version of Headgate handles 'coo' there"),
        (HollowNote(), "text: Field required"),
        (LongNote(text="x", colour="red"), "colour: Extra inputs are not permitted"),
        (Tear(), "it caused an internal error (ZeroDivisionError); the log says where"),
    ],
)


@BAD
@pytest.mark.parametrize("new", [True, False])
async def test_a_bad_message_is_set_aside_and_those_before_and_behind_it_are_handled(
    store: Store, bad: Message, why: str, *, new: bool
) -> None:
    await tell(store, DIARY, Open())
    if not new:
        async with running(loop_of(store)):
            await until(lambda: handled(store))
    await tell(store, DIARY, Note(text="before"))
    await tell(store, DIARY, bad, "bad")
    await tell(store, DIARY, Note(text="behind"))
    await tell(store, OTHER, Open())
    async with running(loop_of(store)):
        await until(lambda: handled(store))
    assert await notes(store) == ("before", "behind")
    assert await notes(store, OTHER) == ()
    assert await set_aside(store) == [("bad", why)]


async def test_of_several_bad_messages_each_has_its_own_reason(store: Store) -> None:
    await tell(store, DIARY, Open())
    for n, bad in enumerate((Tear(), Coo(), HollowNote(), Tear())):
        await tell(store, DIARY, bad, f"bad {n}")
        await tell(store, DIARY, Note(text=f"good {n}"))
    async with running(loop_of(store)):
        await until(lambda: handled(store))
    assert await notes(store) == ("good 0", "good 1", "good 2", "good 3")
    reasons = dict(await set_aside(store))
    assert reasons.keys() == {"bad 0", "bad 1", "bad 2", "bad 3"}
    assert "handles 'coo'" in reasons["bad 1"]
    assert "Field required" in reasons["bad 2"]
    assert "internal error" in reasons["bad 3"]


async def test_what_was_set_aside_is_kept_whole_and_is_not_delivered_again(store: Store) -> None:
    await tell(store, DIARY, Open())
    await tell(store, DIARY, HollowNote(), "bad")
    async with running(loop_of(store)) as loop:
        await until(lambda: handled(store))
        await tell(store, DIARY, Note(text="the same id"), "bad")
        await tell(store, DIARY, Note(text="another"))
        loop.wake(DIARY)
        await until(lambda: notes_are(store, "another"))
    (kept,) = await store.set_aside()
    assert (kept.to, kept.type, kept.body) == (DIARY, "note", {"type": "note"})
    assert kept.set_aside is not None


async def notes_are(store: Store, *texts: str) -> bool:
    return await notes(store) == texts


async def test_a_bug_that_no_message_has_part_in_sets_nothing_aside(store: Store) -> None:
    await tell(store, DIARY, Open())
    async with running(loop_of(store)):
        await until(lambda: handled(store))
    await tell(store, DIARY, Note(text="kept"))
    async with running(loop_of(store, toy(Diary, fail, handles=DIARIES.handles))) as loop:
        await until(lambda: loop.counts["internal_errors"] >= 3)
    assert await set_aside(store) == []
    async with running(loop_of(store)):
        await until(lambda: notes_are(store, "kept"))


@pytest.mark.parametrize("failure", [TryAgain("git is away"), ZeroDivisionError("a bug")])
async def test_while_an_object_cannot_be_observed_its_messages_wait(
    store: Store, failure: Exception
) -> None:
    async def blindly(_: Key) -> None:
        raise failure

    await tell(store, DIARY, Open())
    await tell(store, DIARY, Tear(), "bad")
    await tell(store, DIARY, Note(text="kept"))
    blind = toy(Diary, write, blindly, handles=DIARIES.handles)
    async with running(loop_of(store, blind)) as loop:
        await until(lambda: loop.counts["reconciled"] >= 3)
    assert await set_aside(store) == []
    async with running(loop_of(store)):
        await until(lambda: notes_are(store, "kept"))


async def test_a_message_to_an_object_that_does_not_exist_yet_waits_for_it(store: Store) -> None:
    await tell(store, DIARY, Note(text="early"))
    async with running(loop_of(store)) as loop:
        await until(lambda: loop.counts["reconciled"])
        assert not await handled(store)
        await tell(store, DIARY, Open())
        loop.wake(DIARY)
        await until(lambda: notes_are(store, "early"))
    assert await handled(store)
    assert (loop.counts["internal_errors"], await set_aside(store)) == (0, [])


@BAD
async def test_a_bad_message_to_an_object_that_does_not_exist_makes_none(
    store: Store, bad: Message, why: str
) -> None:
    await tell(store, DIARY, bad, "bad")
    await tell(store, DIARY, Note(text="early"))
    async with running(loop_of(store)) as loop:
        await until(lambda: loop.counts["reconciled"])
        await tell(store, DIARY, Open())
        loop.wake(DIARY)
        await until(lambda: notes_are(store, "early"))
    assert await set_aside(store) == [("bad", why)]


async def test_one_that_was_opened_by_what_its_machine_cannot_handle_keeps_its_messages(
    store: Store,
) -> None:
    class Slam(Open):
        type: Literal["slam"] = "slam"  # type: ignore[assignment] # another name in the store

    def slammed(
        key: Key, state: Diary | None, inbox: Sequence[Message], now: float
    ) -> Decision[Diary]:
        if any(isinstance(message, Slam) for message in inbox):
            raise ZeroDivisionError("a bug")
        return write(key, state, inbox, now)

    await tell(store, DIARY, Slam(), "bad")
    await tell(store, DIARY, Note(text="early"))
    diaries = toy(Diary, slammed, handles=(Open, Note, Slam))
    async with running(loop_of(store, diaries)) as loop:
        await until(lambda: loop.counts["internal_errors"])
        await until(lambda: one_is_set_aside(store))
        assert await notes(store) is None
        await tell(store, DIARY, Open())
        loop.wake(DIARY)
        await until(lambda: notes_are(store, "early"))
    assert [id_ for id_, _ in await set_aside(store)] == ["bad"]


async def one_is_set_aside(store: Store) -> bool:
    return len(await store.set_aside()) == 1
