"""Every version that ever wrote a file can be brought to this one, with its rows.

`seeds/<revision>.sql` has rows as that version wrote them. A new migration adds its own seed, and
all the former ones are carried through it.
"""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from controller.machine.core import Key
from controller.store.migrations import HEAD, config, migrate
from controller.store.sqlite import SqliteStore
from controller.store.tables import metadata
from specs.failures import TryAgain

SEEDS = Path(__file__).parent / "seeds"
REVISIONS = sorted(seed.stem for seed in SEEDS.glob("*.sql"))


def written_by(revision: str, path: Path) -> None:
    """A file as that version left it."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        migrate(connection, to=revision)
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript((SEEDS / f"{revision}.sql").read_text())


def test_every_revision_has_its_seed_and_the_newest_is_the_head(path: Path) -> None:
    with create_engine(f"sqlite:///{path}", poolclass=NullPool).connect() as connection:
        scripts = ScriptDirectory.from_config(config(connection))
    assert scripts.get_current_head() == HEAD
    assert sorted(script.revision for script in scripts.walk_revisions()) == REVISIONS


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_file_of_that_version_keeps_what_it_held(revision: str, path: Path) -> None:
    written_by(revision, path)
    store = await SqliteStore.open(path)

    run = await store.get(Key("run", "flights-12"))
    assert run is not None
    assert (run.revision, run.body, run.updated) == (3, {"commit": "4f2a", "n": 1}, 1700000000.5)
    assert [record.key.name for record in await store.list("run", live=True)] == ["flights-12"]
    assert [record.key.name for record in await store.list("model")] == ["flights-v1"]

    (owed,) = await store.outbox(Key("run", "flights-12"))
    assert (owed.id, owed.lane, owed.action) == ("sha256:aa", "attempts", {"type": "start"})
    assert (owed.attempts, owed.not_before, owed.error) == (2, 1700000100.0, "no answer")

    (message,) = await store.inbox()
    assert (message.id, message.type, message.at) == ("abort-1", "abort", 1700000001.0)
    await store.close()


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_migrated_file_has_the_tables_that_the_code_expects(revision: str, path: Path) -> None:
    written_by(revision, path)
    with create_engine(f"sqlite:///{path}", poolclass=NullPool).begin() as connection:
        migrate(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


KILLED = """
import os, sqlite3, sys
from alembic import op
from controller.store.migrations import migrate_database

op_create = op.create_index
def killed(name, *words, **more):
    if name == "messages_consumed":  # in the middle of the second migration
        os.kill(os.getpid(), 9)
    op_create(name, *words, **more)
op.create_index = killed
migrate_database(sqlite3.connect(sys.argv[1], isolation_level=None))
"""


def test_a_migration_that_is_killed_leaves_the_file_as_it_was(path: Path) -> None:
    written_by("0001", path)
    before = contents(path)
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert contents(path) == before


def contents(path: Path) -> list[str]:
    """A file as statements that would make it again."""
    with closing(sqlite3.connect(path)) as raw:
        return [*raw.iterdump()]


def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("CREATE TABLE letters (mine TEXT)")  # in the way of the first migration
    engine = create_engine(
        f"sqlite:///{path}", poolclass=NullPool, connect_args={"isolation_level": None}
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(Exception, match="letters already exists"):
            migrate(connection)
        connection.rollback()
    with closing(sqlite3.connect(path)) as raw:
        tables = raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert tables == [("letters",)]


@pytest.mark.parametrize(
    ("kind", "type_", "body"),
    [
        ("environment", "release", "{"),
        ("environment", "release", "[]"),
        ("environment", "action_failed", "{}"),
        ("environment", "action_failed", '{"action":"send"}'),
        ("repository", "github_action", "[]"),
        ("pipeline", "trigger", "[1]"),
        ("pipeline", "commit_seen", "null"),
    ],
)
async def test_a_malformed_message_does_not_keep_a_file_from_being_migrated(
    kind: str, type_: str, body: str, path: Path
) -> None:
    written_by("0001", path)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute(
            "INSERT INTO letters (to_kind, to_name, id, type, body, at) "
            "VALUES (?, 'a', 'b', ?, ?, 9)",
            (kind, type_, body),
        )
    store = await SqliteStore.open(path)
    (message,) = await store.inbox(Key(kind, "a"))
    assert message.text == body, "it is set aside by whoever reads it"
    await store.close()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("environment", "{"),
        ("environment", "[]"),
        ("environment", '{"waiting":"x"}'),
        ("repository", '{"pressed":[1]}'),
        ("repository", '{"pressed":null}'),
    ],
)
async def test_an_object_that_cannot_be_rewritten_stays_as_it_is(
    kind: str, body: str, path: Path
) -> None:
    written_by("0001", path)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("INSERT INTO objects VALUES (?, 'a', 1, ?, 9, 1)", (kind, body))
    store = await SqliteStore.open(path)
    record = await store.get(Key(kind, "a"))
    assert record is not None
    assert record.text == body
    await store.close()


async def test_beside_a_controller_nobody_else_brings_its_file_to_another_schema(
    path: Path,
) -> None:
    written_by("0001", path)
    with pytest.raises(TryAgain, match="`headgate up` brings it"):
        await SqliteStore.open(path, upgrade=False)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    await (await SqliteStore.open(path)).close()
    store = await SqliteStore.open(path, upgrade=False)
    assert await store.get(Key("run", "flights-12")) is not None
    await store.close()
