"""No query reads a table from end to end, so that its cost follows what it returns."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.sql import ClauseElement, Delete, Select, Update

from controller.machine.core import Key
from controller.store import pruning, statements
from controller.store.reading import SqliteReader
from controller.store.sqlite import SqliteStore

STATEMENTS = {
    f"{module.__name__}.{name}": value
    for module in (statements, pruning)
    for name, value in vars(module).items()
    if isinstance(value, Select | Update | Delete)
}
OLD = {f"old {kind}": query for kind, query in pruning.OF_KIND.items()}
LISTS = {
    "live": statements.LATEST.where(statements.LIVE),
    "series": statements.LATEST.where(statements.OF_SERIES).limit(9),
}
WHOLE = ("outbox",)
"""What is asked for whole: it holds only what is still to be done."""

RUN = Key("run", "flights-12")


def plan_of(path: Path, query: str, *, unbound: bool = True) -> list[str]:
    values = [1] * query.count("?") if unbound else []
    with closing(sqlite3.connect(path)) as raw:
        rows = raw.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()
    return [row[3] for row in rows]


def scans(plan: list[str]) -> list[str]:
    whole = [f"SCAN {table}" for table in WHOLE]
    return [step for step in plan if step.startswith("SCAN") and step not in whole]


@pytest.mark.parametrize("name", sorted(STATEMENTS | LISTS | OLD))
async def test_a_statement_searches_an_index(name: str, store: SqliteStore) -> None:
    statement: ClauseElement = (STATEMENTS | LISTS | OLD)[name]
    plan = plan_of(store.path, str(statement.compile(dialect=dialect())))
    assert plan
    assert not scans(plan), plan


async def test_the_last_runs_of_a_pipeline_are_found_without_those_of_others(
    store: SqliteStore,
) -> None:
    query = str(LISTS["series"].compile(dialect=dialect()))
    assert "objects_series (kind=? AND series=?)" in plan_of(store.path, query)[0]


@pytest.fixture
def traced(store: SqliteStore) -> Iterator[tuple[SqliteReader, list[str]]]:
    """A reader, and the queries that it makes."""
    reader, queries = SqliteReader.open(store.path), list[str]()
    reader._connection.set_trace_callback(queries.append)
    yield reader, queries
    reader._connection.close()


ASKED: list[Callable[[SqliteReader], object]] = [
    lambda reader: reader.get(RUN),
    lambda reader: reader.list("run"),
    lambda reader: reader.list("run", "flights-", 20),
    lambda reader: reader.list("run", live=True),
    lambda reader: reader.outbox(),
    lambda reader: reader.outbox(RUN),
    lambda reader: reader.inbox(),
    lambda reader: reader.inbox(RUN),
    lambda reader: reader.set_aside(),
]


@pytest.mark.parametrize("ask", ASKED)
async def test_a_command_searches_an_index(
    ask: Callable[[SqliteReader], object], traced: tuple[SqliteReader, list[str]]
) -> None:
    reader, queries = traced
    await ask(reader)  # type: ignore[misc]
    (query,) = queries
    plan = plan_of(reader._path, query, unbound=False)
    assert not scans(plan), plan
