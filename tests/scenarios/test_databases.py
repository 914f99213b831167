"""Data that is no files: rows of a database and what a command fetches, through the controller."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import check_call
from threading import Thread

import pytest

from controller.config.secrets import Secrets
from tests.scenarios.test_schedules import NIGHTLY, TRIGGER, Clock
from tests.scenarios.world import World
from tests.servers.postgresql import PASSWORD, Postgresql

URI = 'numbers: {uri: "file://BUCKET/*.csv"}'
QUERY = (
    'numbers: {query: {url: "${SHOP}", sql: "SELECT id, price FROM orders ORDER BY id", '
    'version: "SELECT count(*), max(id) FROM orders"}}'
)
FETCH = (
    'numbers: {fetch: {run: "python pull.py --out {output}/numbers.csv", env: {URL: "ADDRESS"}}}'
)
TABLE = "CREATE TABLE orders (id INTEGER, price NUMERIC)"
SIZES = """\
import argparse, json, pathlib
words = argparse.ArgumentParser()
for name in ("--data", "--shift", "--out", "--wait"):
    words.add_argument(name)
given = words.parse_args()
sizes = [path.stat().st_size for path in sorted(pathlib.Path(given.data).iterdir())]
pathlib.Path(given.out).write_text(json.dumps({"mean": sum(sizes)}))
"""
PULL = """\
import argparse, os, pathlib, urllib.request
words = argparse.ArgumentParser()
words.add_argument("--out", type=pathlib.Path)
with urllib.request.urlopen(os.environ["URL"]) as answer:
    words.parse_args().out.write_bytes(answer.read())
"""

Execute = Callable[[str], object]


WRITE = """\
import duckdb, sys, time
while True:
    try:
        with duckdb.connect(sys.argv[1]) as connection:
            connection.execute(sys.argv[2])
        break
    except duckdb.IOException:  # the controller is reading it
        time.sleep(0.05)
"""


@pytest.fixture(
    params=["sqlite", "duckdb", pytest.param("postgresql", marks=pytest.mark.postgresql)]
)
def shop(request: pytest.FixtureRequest, world: World) -> Execute:
    """A database whose address the controller knows as SHOP; runs statements in it."""
    if request.param == "postgresql":
        server: Postgresql = request.getfixturevalue("postgresql_server")
        address = request.getfixturevalue("warehouse")
        world.secrets = Secrets({"SHOP": address})
        return lambda statement: server.execute(address, statement)
    file = world.root / "shop.db"
    if request.param == "duckdb":
        world.secrets = Secrets({"SHOP": f"duckdb:///{file}"})
        # In a process of its own: within one, DuckDB takes no lock between connections.
        return lambda statement: check_call([sys.executable, "-c", WRITE, str(file), statement])
    world.secrets = Secrets({"SHOP": f"sqlite:///{file}"})

    def execute(statement: str) -> None:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(statement)

    return execute


async def test_rows_of_a_database_train_again_once_they_have_changed_and_only_then(
    world: World, shop: Execute
) -> None:
    shop(TABLE)
    shop("INSERT INTO orders VALUES (1, 9.5)")
    asks_a_database(world)
    world.push("Ask a database")
    async with world.controller():
        first = await world.ended(1)
        assert first.outcome == "passed", first
        assert [*first.nodes] == ["data.numbers", "train"]
        shop("INSERT INTO orders VALUES (2, 11)")
        second = await world.ended(2)
        world.push("Say it in other words", smoke__json=("}", " }"))
        await world.serves(2, "staging")
    assert second.trigger.kind == "data"
    assert second.outcome == "passed"
    assert first.datasets["numbers"] != second.datasets["numbers"]
    assert await world.run(3) is None
    files = (path for path in (world.root / "home").rglob("*") if path.is_file())
    holding = [path.name for path in files if PASSWORD.encode() in path.read_bytes()]
    assert holding == []


@pytest.mark.postgresql
async def test_a_database_that_is_away_is_waited_for_and_its_rows_come_once_it_is_back(
    own_postgresql: Postgresql, world: World
) -> None:
    address = own_postgresql.database()
    own_postgresql.execute(address, TABLE, "INSERT INTO orders VALUES (1, 9.5)")
    own_postgresql.down()
    world.secrets = Secrets({"SHOP": address})
    asks_a_database(world)
    commit = world.push("Ask a database")
    async with world.controller():

        async def waits() -> bool:
            return "the database is unreachable" in world.note(commit)

        await world.until(waits, "the commit to be told")
        own_postgresql.up()
        assert (await world.ended(1)).outcome == "passed"
    assert "a word" not in world.note(commit)


async def test_what_a_command_fetches_is_fetched_by_each_schedule_and_trains_if_it_differs(
    world: World, source: "Source"
) -> None:
    clock = Clock("2026-03-01 03:00")
    (world.work / "pull.py").write_text(PULL)
    (world.work / "train.py").write_text(SIZES)
    write(world, {TRIGGER: NIGHTLY, dataset(world): FETCH.replace("ADDRESS", source.url)})
    world.push("Fetch each night")
    async with world.controller(clock.ways()):
        await world.ended(1)
        clock.set("2026-03-01 04:00")
        same = await world.ended(2)
        source.content = b"value\n1\n2\n3\n4\n"
        clock.set("2026-03-02 04:00")
        other = await world.ended(3)
    phases = [{n: node.phase for n, node in run.nodes.items()} for run in (same, other)]
    assert phases == [
        {"data.numbers": "succeeded", "train": "cached"},
        {"data.numbers": "succeeded", "train": "succeeded"},
    ]
    assert same.trigger.kind == other.trigger.kind == "schedule"


def dataset(world: World) -> str:
    return URI.replace("BUCKET", str(world.bucket))


def write(world: World, changes: dict[str, str]) -> None:
    """Replace parts of the spec."""
    path = world.work / "ml-pipeline.yaml"
    text = path.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def asks_a_database(world: World) -> None:
    (world.work / "train.py").write_text(SIZES)
    write(world, {dataset(world): QUERY})


class Source:
    """A server with one content."""

    def __init__(self) -> None:
        self.content = b"value\n1\n2\n3\n"
        around = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(around.content)

            def log_message(self, *about: object) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"


@pytest.fixture
def source() -> Iterator[Source]:
    made = Source()
    thread = Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()
