"""Runs are numbered on, whatever is still stored of the former ones."""

import pytest

from controller.machine.core import Key
from controller.store.protocol import Put, Transaction
from controller.store.run_numbers import last_number, split
from controller.store.sqlite import SqliteStore


async def put(store: SqliteStore, kind: str, name: str, text: str) -> None:
    await store.commit(
        Transaction(put=Put(key=Key(kind, name), revision=0, text=text, live=False)), 1.0
    )


async def test_a_pipeline_that_has_not_run_begins_with_one(store: SqliteStore) -> None:
    assert await last_number(store, "flights") == 0
    await put(store, "run", "flights-late-7", '{"number":7}')
    assert await last_number(store, "flights") == 0


async def test_its_last_run_numbers_the_next(store: SqliteStore) -> None:
    for number in (9, 10, 2):
        await put(store, "run", f"flights-{number}", f'{{"number":{number}}}')
    assert await last_number(store, "flights") == 10


async def test_the_pipeline_knows_the_number_of_a_run_that_is_not_stored(
    store: SqliteStore,
) -> None:
    await put(store, "run", "flights-2", '{"number":2}')
    await put(store, "pipeline", "flights", '{"runs":12}')
    assert await last_number(store, "flights") == 12


@pytest.mark.parametrize(
    ("run", "parts"),
    [
        ("flights-12", ("flights", 12)),
        ("flights-late-2", ("flights-late", 2)),
        ("flights", ("", 0)),
        ("flights-x", ("flights", 0)),
        ("-3", ("", 0)),
    ],
)
def test_an_id_is_split_at_its_number(run: str, parts: tuple[str, int]) -> None:
    assert split(run) == parts
