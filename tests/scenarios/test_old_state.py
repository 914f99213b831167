"""A controller of this version takes up what one of an older version left behind."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from itertools import dropwhile
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from controller.store.sqlite import SqliteStore
from specs.digests import digest
from tests.scenarios.world import World, run_git

# Apprise's reader of PGP keys imports it, whatever service is asked for.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

OLD = Path(__file__).parents[1] / "controller" / "store" / "old"
"""`tests/controller/store/test_old_state.py` says what it holds."""
MODELS = (b'{"mean": 2.0}', b'{"mean": 3.0}')


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """The old remote, the two models and the old state; the servers are gone."""
    for folder in ("bucket", "home"):
        (tmp_path / folder).mkdir()
    run_git(tmp_path, "clone", "-q", "--mirror", str(OLD / "remote.bundle"), "remote.git")
    for model in MODELS:
        name = digest(model).removeprefix("sha256:")
        path = tmp_path / "home" / "artifacts" / "files" / name[:2] / name[2:]
        path.parent.mkdir(parents=True)
        path.write_bytes(model)
    with closing(sqlite3.connect(tmp_path / "home" / "state.db")) as raw:
        raw.executescript((OLD / "state.sql").read_text(encoding="utf-8"))
    made = World(tmp_path, await SqliteStore.open(tmp_path / "home" / "state.db"))
    yield made
    await made.tear_down()


async def test_a_canary_that_was_paused_goes_on_when_its_resume_is_read(world: World) -> None:
    with capture_logs() as logs:
        async with world.controller(), world.traffic() as statuses:
            env = await world.serves(2)
    assert env.paused is None
    # The old servers are gone, and there is no answer until the first is there again.
    assert set(dropwhile(lambda status: status == 503, statuses)) == {200}
    assert await world.store.set_aside() == []
    assert [one for one in logs if "exc_info" in one] == []
