"""What a controller keeps is for its owner alone, and no dataset is made of it."""

import stat
from pathlib import Path

import pytest

from controller.config.secrets import Secrets
from controller.store.sqlite import SqliteStore
from controller.wiring.home_lock import only_one
from tests.scenarios.team import Team
from tests.scenarios.world import World

HUSH = "TOKEN=hush-hush-hush"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_home_and_its_state_are_their_owners_whoever_made_them_first(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (home / name).touch(mode=0o644)
    with only_one(home):
        store = await SqliteStore.open(home / "state.db")
        modes = {path.name: mode(path) for path in home.glob("state.db*")}
        await store.close()
    assert mode(home) == 0o700
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("where", ["etc/secrets.env", "home/state.db", "remote.git/config"])
async def test_a_pull_request_that_names_the_controllers_files_as_its_data_is_refused_in_its_report(
    team: Team, world: World, where: str
) -> None:
    (world.root / "etc").mkdir()
    (world.root / "etc" / "secrets.env").write_text(HUSH)
    world.secrets = Secrets({"APP_KEY": team.github.private_key})
    world.push("Add the pipeline")
    uri = f"file://{world.root}/{where[:-1]}*"
    async with world.controller():
        await world.serves(1)
        pull, sha = team.propose("curious", ml_pipeline__yaml=(f"file://{world.bucket}/*.csv", uri))

        async def told() -> str | None:
            said = [f"{c.output}" for c in team.github.check_runs(team.repository, sha)]
            found = [text for text in (*said, *team.comments(pull)) if "may not be read" in text]
            return found[0] if found else None

        said = await world.until(told, "the refusal")
    assert "data_roots" in said
    assert "hush" not in said
    objects = [path for path in (world.root / "home" / "datasets").rglob("*") if path.is_file()]
    assert not any(HUSH.encode() in path.read_bytes() for path in objects)
