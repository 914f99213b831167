"""What revision 0001 wrote is read in today's words: states, actions, and every type of message.

`old/words.sql` has a row of each.
"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from controller.machine.actions import Notify
from controller.machine.core import Action, Key, Message, parsed
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.rollout import EndedRollout
from controller.machine.handlers import HANDLERS
from controller.machine.messages import (
    MESSAGES,
    ActionFailed,
    BatchStarted,
    ButtonPressed,
    CancelRun,
    CommitSeen,
    ForgeMoved,
    ReleaseRequested,
    Rollback,
    RulesAccepted,
    RunEnded,
    RunRequested,
    Stalled,
    StartRun,
)
from controller.machine.pipelines.version import Ref
from controller.machine.repositories.pull import LastComment
from controller.machine.repositories.repository import RepositoryState
from controller.machine.stall import Stall
from controller.store.migrations import migrate
from controller.store.sqlite import SqliteStore
from validators.verdict import Verdict

WORDS = Path(__file__).parent / "old" / "words.sql"


@pytest.fixture
async def migrated(path: Path) -> AsyncIterator[SqliteStore]:
    """A file of revision 0001, opened by today's store."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        migrate(connection, to="0001")
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(WORDS.read_text(encoding="utf-8"))
    store = await SqliteStore.open(path)
    yield store
    await store.close()


async def messages(store: SqliteStore) -> dict[int, Message]:
    """Every message in an inbox, by its number, as the class that its object handles."""
    found = {}
    for each in await store.inbox():
        handled = {one.model_fields["type"].default: one for one in HANDLERS[each.to.kind]}
        found[each.number] = handled[each.type].model_validate_json(each.text)
    return found


NEWER = {"accept_data", "revoke_data"}
"""Messages that came later."""


async def test_every_message_that_waits_is_one_that_its_object_handles(
    migrated: SqliteStore,
) -> None:
    found = await messages(migrated)
    assert sorted(found) == [n for n in range(1, 36) if n != 33], "33 was consumed"
    assert {message.type for message in found.values()} == MESSAGES.keys() - NEWER
    assert await migrated.set_aside() == []


async def test_messages_keep_what_they_say(migrated: SqliteStore) -> None:
    found = await messages(migrated)
    seen, before = found[1], found[2]
    assert isinstance(seen, CommitSeen)
    assert (seen.commit, seen.spec, seen.subject) == ("4f2a", "models/ml-pipeline.yaml", "Shift")
    assert before == seen, "an even older one named the folder of the spec"
    assert found[4] == RunRequested(kind="manual", why="ada asked for it", by="ada", force=True)
    assert found[5] == RunRequested(
        kind="retry",
        why="ada asked for it (/headgate retry)",
        by="ada",
        branch="main",
        force=True,
        unless_passed=True,
    )
    accepted = found[7]
    assert isinstance(accepted, RulesAccepted)
    assert (accepted.by, accepted.commit, accepted.pull.number) == ("maya", "4f2a", 7)
    assert found[8] == CancelRun(reason="cancelled: ada asked for it", branch="main", by="ada")
    ended = found[9]
    assert isinstance(ended, RunEnded)
    assert (ended.outcome, ended.verdict) == ("passed", Verdict.PASS)
    assert found[10] == CancelRun(reason="aborted by ada", by="ada")
    failed = found[11]
    assert isinstance(failed, ActionFailed)
    assert isinstance(failed.action, Notify)
    assert failed.action.to == "json://on-call"
    assert found[12] == ReleaseRequested(
        version=2,
        digest="sha256:cc",
        repository="team",
        why="mean-2 passed its gates",
        run="mean-2",
        commit="4f2a",
    )
    assert found[20] == Rollback(by="ada", reason="it smells", leave=2)
    assert [found[n] for n in (25, 26, 27, 28)] == [
        ForgeMoved(),
        ForgeMoved(pull=True),
        ForgeMoved(),
        ForgeMoved(),
    ]
    assert found[29] == ButtonPressed(
        author="ada", rerun=True, check=4, external_id="x", sha="4f2a"
    )
    assert found[30] == ButtonPressed(
        author="ada", action="retry", check=4, external_id="x", sha="4f2a"
    )
    assert found[31] == Stalled(reason="renew the token", since=1699999000.0)
    started = found[34]
    assert isinstance(started, StartRun)
    assert (started.run.id, started.run.commit) == ("mean-4", "4f2a")
    batch = found[35]
    assert isinstance(batch, BatchStarted)
    assert batch.attempt.id == "mean-production-job-1"


async def test_messages_keep_their_order_and_their_ids_are_known(migrated: SqliteStore) -> None:
    inbox = await migrated.inbox()
    assert [each.number for each in inbox] == sorted(each.number for each in inbox)
    with closing(sqlite3.connect(migrated.path)) as raw:
        known = raw.execute("SELECT id, consumed FROM messages WHERE number = 33").fetchall()
    assert known == [("33", 2.0)]


async def test_environments_keep_what_they_acted_on_and_what_was_deferred(
    migrated: SqliteStore,
) -> None:
    record = await migrated.get(Key("environment", "mean/production"))
    assert record is not None
    env = parsed(EnvironmentState, record.body)
    assert (env.acted_on, record.revision, record.live) == ("4f2a", 5, True)
    assert env.named_in_file == Ref(version=1, digest="sha256:bb")
    assert env.stable_rollout == "mean-production-3"
    assert env.notified == {"mean/production/stuck/stable": ("json://on-call",)}
    assert env.stopped is not None
    assert env.stopped.kind == "edit"
    assert env.lost_history == "The environments branch was deleted."
    assert (env.unknown_server, env.unwritten_since) == (True, 7.0)
    assert env.deferred_release == ReleaseRequested(
        version=2,
        digest="sha256:cc",
        repository="team",
        why="mean-2 passed its gates",
        run="mean-2",
        commit="4f2a",
        again=True,
    )
    record = await migrated.get(Key("environment", "mean/staging"))
    assert record is not None
    env = parsed(EnvironmentState, record.body)
    assert (env.acted_on, env.deferred_release) == (None, None)


async def test_rollouts_that_ended_keep_what_asked_for_them(migrated: SqliteStore) -> None:
    record = await migrated.get(Key("rollout", "mean-production-2"))
    assert record is not None
    ended = parsed(EndedRollout, record.body)
    assert (ended.rollout.kind, ended.rollout.why) == ("edit", "commit 4f2a")


async def test_repositories_keep_their_last_comment_and_the_buttons_that_were_pressed(
    migrated: SqliteStore,
) -> None:
    record = await migrated.get(Key("repository", "team"))
    assert record is not None
    state = parsed(RepositoryState, record.body)
    assert state.last_comment == LastComment(comment=17, at="2026-03-01T04:00:00Z")
    assert state.pressed == (
        ButtonPressed(author="ada", action="retry", check=4, external_id="x", sha="4f2a"),
        ButtonPressed(author="grace", rerun=True, sha="31bc"),
    )
    record = await migrated.get(Key("repository", "quiet"))
    assert record is not None
    assert parsed(RepositoryState, record.body) == RepositoryState(name="quiet")


async def test_a_trouble_is_a_stall_and_what_was_to_be_sent_is_a_notification(
    migrated: SqliteStore,
) -> None:
    assert await migrated.list("trouble") == []
    (record,) = await migrated.list("stall", live=True)
    assert parsed(Stall, record.body).to == ("json://on-call",)
    (entry,) = await migrated.outbox(record.key)
    action = parsed(Action.by_type()[entry.action["type"]], entry.action)
    assert isinstance(action, Notify)
    assert (entry.lane, action.to, entry.attempts) == ("notify sha256:bb", "json://on-call", 2)
    assert action.lane.startswith("notify ")
