"""Old rows go, a batch at a time; what is live, spared, young or a pipeline's last stays."""

import asyncio
import sqlite3
from collections.abc import Awaitable
from contextlib import closing
from itertools import pairwise

import pytest

from controller.machine.core import Fact, Key
from controller.store import pruning
from controller.store.protocol import Put, SetAside, Transaction
from controller.store.sqlite import SqliteStore
from tests.contracts.store import ids_received, say


async def ended(store: SqliteStore, *numbers: int, pipeline: str = "flights") -> None:
    """Runs that ended at the time of their number, with their graphs."""
    for number in numbers:
        await run(store, f"{pipeline}-{number}", now=number, live=False)


async def run(store: SqliteStore, name: str, *, now: float, live: bool) -> None:
    put = Put(key=Key("run", name), revision=0, text='{"n":1}', live=live)
    graph = Fact(key=Key("graph", name), body={"nodes": []})
    await store.commit(Transaction(put=put, facts=(graph,)), now)


async def names(store: SqliteStore, kind: str = "run") -> list[str]:
    return sorted(record.key.name for record in await store.list(kind))


async def test_runs_that_ended_long_ago_go_with_their_graphs(store: SqliteStore) -> None:
    await ended(store, 1, 2, 3, 4)
    assert await store.prune("run", before=3) == 2
    assert await store.prune("graph", before=3) == 2
    assert await names(store) == await names(store, "graph") == ["flights-3", "flights-4"]


async def test_a_run_in_progress_and_one_that_is_named_stay_at_any_age(store: SqliteStore) -> None:
    await ended(store, 1, 2, 3, 9)
    await run(store, "flights-4", now=4, live=True)
    assert await store.prune("run", before=8, spared={"flights-2"}) == 2
    assert await store.prune("graph", before=8, spared={"flights-2"}) == 2
    left = ["flights-2", "flights-4", "flights-9"]
    assert await names(store) == await names(store, "graph") == left


async def test_the_last_run_of_each_pipeline_stays_as_it_numbers_the_next(
    store: SqliteStore,
) -> None:
    await ended(store, 1, 2)
    await ended(store, 1, pipeline="flights-late")
    assert await store.prune("run", before=99) == 1
    assert await names(store) == ["flights-2", "flights-late-1"]


async def test_of_two_runs_that_ended_at_once_one_stays(store: SqliteStore) -> None:
    for name in ("flights-1", "flights-2"):
        await run(store, name, now=5, live=False)
    assert await store.prune("run", before=99) == 1
    assert await names(store) == ["flights-2"]


async def test_a_graph_of_a_run_that_never_began_goes_unless_it_is_named(
    store: SqliteStore,
) -> None:
    graphs = [Fact(key=Key("graph", f"flights-{n}"), body={}) for n in (1, 2)]
    await store.commit(Transaction(facts=tuple(graphs)), now=1)
    assert await store.prune("graph", before=5, spared={"flights-2"}) == 1
    assert await names(store, "graph") == ["flights-2"]


async def test_a_result_that_was_saved_again_is_as_young_as_that(store: SqliteStore) -> None:
    for now, body in ((1, {"used": 1}), (7, {"used": 7})):
        await store.commit(Transaction(facts=(Fact(key=Key("cache", "a"), body=body),)), now)
    await store.commit(Transaction(facts=(Fact(key=Key("cache", "b"), body={}),)), now=2)
    assert await store.prune("cache", before=5) == 1
    assert await names(store, "cache") == ["a"]


async def fill(store: SqliteStore, many: int, *, at: float | None = None) -> None:
    """Insert so many runs, changed one second after the other, or all `at` one moment."""
    rows = [("run", f"p{n % 7}-{n:05}", 1, "{}", n if at is None else at, 0) for n in range(many)]
    with closing(sqlite3.connect(store.path)) as raw, raw:
        raw.executemany(
            "INSERT INTO objects (kind, name, revision, body, updated, live) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )


@pytest.mark.parametrize("at", [None, 4.0])
async def test_many_go_batch_by_batch(at: float | None, store: SqliteStore) -> None:
    many = 5 * pruning.BATCH + 3
    await fill(store, many, at=at)
    spared = {f"p{n % 7}-{n:05}" for n in range(0, many, 3)}
    await store.prune("run", before=many + 1, spared=spared)
    last = {f"p{n % 7}-{n:05}" for n in range(many - 7, many)}
    assert set(await names(store)) == spared | last


async def test_who_asks_meanwhile_waits_for_one_batch(store: SqliteStore) -> None:
    await fill(store, 5 * pruning.BATCH)
    pruned = asyncio.create_task(store.prune("run", before=1e9))
    left = [len(await store.list("run"))]
    while not pruned.done():
        left.append(len(await store.list("run")))
    assert max(before - after for before, after in pairwise(left)) <= pruning.BATCH
    assert left[-1] == 7, "the last run of each pipeline"


async def test_messages_go_batch_by_batch(store: SqliteStore) -> None:
    many = pruning.BATCH + 3
    await store.commit(Transaction(send=tuple(say(f"m{n}") for n in range(2 * many + 1))), now=1)
    inbox = [each.number for each in await store.inbox()]
    aside = tuple(SetAside(number=number, reason="why") for number in inbox[many : 2 * many])
    await store.commit(Transaction(consume=tuple(inbox[:many]), set_aside=aside), now=5)
    assert await store.prune_messages(consumed=6, set_aside=4) == many
    assert await store.prune_messages(consumed=4, set_aside=6) == many
    assert await ids_received(store) == [f"m{2 * many}"]


async def test_the_file_grows_no_further_when_old_runs_make_room(store: SqliteStore) -> None:
    async def a_month(first: int) -> None:
        rows = [("run", f"p-{n}", 1, "x" * 3000, n, 0) for n in range(first, first + 500)]
        with closing(sqlite3.connect(store.path)) as raw, raw:
            raw.executemany(
                "INSERT INTO objects (kind, name, revision, body, updated, live) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
        await store.prune("run", before=first)

    sizes = [await size_after(store, a_month(500 * month)) for month in range(8)]
    assert sizes[-1] <= sizes[2] * 1.05, sizes


async def size_after(store: SqliteStore, done: Awaitable[None]) -> int:
    await done
    with closing(sqlite3.connect(store.path)) as raw:
        (pages,), (size,) = (raw.execute(f"PRAGMA page_{x}").fetchone() for x in ("count", "size"))
    return int(pages * size)
