"""A whole state that a controller of revision 0001 left is read by this one.

`old/state.sql` is what such a controller had in its file when it was stopped: a first version that
serves, a pull request that passed, a second version whose canary stands still in production as a
person paused it, notifications that nobody takes, and a person's word that nobody has read yet.
"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from controller.machine.actions import Notify
from controller.machine.core import Action, Key, Value, parsed
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.rollout import EndedRollout
from controller.machine.handlers import HANDLERS
from controller.machine.messages import Resume, RunRequested
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.pipelines.version import ModelVersion
from controller.machine.repositories.repository import RepositoryState
from controller.machine.runs.graph import Graph
from controller.machine.runs.run import CachedResult, Run
from controller.store.sqlite import SqliteStore

STATE = Path(__file__).parent / "old" / "state.sql"
CLASSES: dict[str, type[Value]] = {
    "repository": RepositoryState,
    "pipeline": PipelineState,
    "run": Run,
    "environment": EnvironmentState,
    "graph": Graph,
    "model": ModelVersion,
    "rollout": EndedRollout,
    "cache": CachedResult,
}
PLAIN = {"address", "package"}
"""Kinds of facts that are no more than a few plain words."""


@pytest.fixture
async def old(path: Path) -> AsyncIterator[SqliteStore]:
    """That file, opened by this version."""
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(STATE.read_text(encoding="utf-8"))
    store = await SqliteStore.open(path)
    yield store
    await store.close()


async def test_every_object_and_fact_is_read_as_what_it_is(old: SqliteStore) -> None:
    with closing(sqlite3.connect(old.path)) as raw:
        kinds = {kind for (kind,) in raw.execute("SELECT DISTINCT kind FROM objects")}
    assert kinds == CLASSES.keys() | PLAIN
    for kind, class_ in CLASSES.items():
        for record in await old.list(kind):
            assert parsed(class_, record.body)


async def test_everything_in_the_outbox_is_an_action_in_its_lane(old: SqliteStore) -> None:
    outbox = await old.outbox()
    actions = [parsed(Action.by_type()[each.action["type"]], each.action) for each in outbox]
    assert [type(action) for action in actions] == [Notify, Notify, Notify]
    assert [action.lane for action in actions] == [each.lane for each in outbox]


async def test_what_a_person_said_is_still_to_be_handled(old: SqliteStore) -> None:
    said = []
    for each in await old.inbox():
        handled = {one.model_fields["type"].default: one for one in HANDLERS[each.to.kind]}
        said.append((each.to, handled[each.type].model_validate_json(each.text)))
    request = RunRequested(kind="manual", why="ada asked", by="ada", force=True)
    assert said == [
        (Key("environment", "mean/production"), Resume(by="ada", reason="seen enough")),
        (Key("pipeline", "mean"), request),
    ]


async def test_a_canary_that_was_paused_stands_where_it_stood(old: SqliteStore) -> None:
    record = await old.get(Key("environment", "mean/production"))
    assert record is not None
    env = parsed(EnvironmentState, record.body)
    assert env.stable is not None
    assert env.rollout is not None
    assert (env.stable.version, env.rollout.version.version) == (1, 2)
    assert env.paused is not None
    assert env.acted_on is not None
    assert env.rollout.judgement is not None
