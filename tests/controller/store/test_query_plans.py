"""No query reads a table from end to end, so that its cost follows what it returns."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from controller.store import pruning, statements
from controller.store.sqlite import SqliteStore

WHOLE = {"SCAN outbox"}
"""What is asked for whole: the outbox holds only what is still to be done."""
LISTED = {"SCAN json_each VIRTUAL TABLE INDEX 1:"}
"""The names that are asked for."""


DIALECT = statements.SQLITE


def queries(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Every query of a module by its name, and by its key where a table has several."""
    for name, value in vars(module).items():
        each: dict[Any, Any] = value if isinstance(value, dict) else {"": value}
        if value is DIALECT:
            each = {"named": value.named, **value.latest}
        for key, query in each.items():
            if isinstance(query, str) and re.match(r"\s*(SELECT|UPDATE|DELETE) ", query):
                yield f"{name} {key}".strip(), query


ALL = {
    f"{module.__name__}: {name}": query
    for module in (statements, pruning)
    for name, query in queries(module)
    if not name.startswith("_")
}


def plan_of(path: Path, query: str) -> list[str]:
    with closing(sqlite3.connect(path)) as raw:
        rows = raw.execute(f"EXPLAIN QUERY PLAN {query}", [1] * query.count("?")).fetchall()
    return [row[3] for row in rows]


@pytest.mark.parametrize("name", sorted(ALL))
async def test_a_query_searches_an_index(name: str, store: SqliteStore) -> None:
    plan = plan_of(store.path, ALL[name])
    assert plan
    assert not {step for step in plan if step.startswith("SCAN")} - WHOLE - LISTED, plan


async def test_the_last_runs_of_a_pipeline_are_found_without_those_of_others(
    store: SqliteStore,
) -> None:
    first, *_ = plan_of(store.path, statements.SQLITE.latest[True, False])
    assert "objects_series (kind=? AND series=?)" in first


async def test_the_live_are_found_without_the_others(store: SqliteStore) -> None:
    first, *_ = plan_of(store.path, statements.SQLITE.latest[False, True])
    assert "objects_live (kind=?)" in first
