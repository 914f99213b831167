"""A world for each story."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.config.secrets import Secrets
from controller.config.settings import Settings
from tests.doubles.github import GitHub, Repository
from tests.logs import LOG, log_to
from tests.ports import reserved_port
from tests.scenarios.team import Team
from tests.scenarios.world import World


@pytest.fixture(autouse=True)
def log(tmp_path: Path) -> Iterator[None]:
    """What controllers of the story log is in its folder, and not in the report of a failure."""
    with log_to(tmp_path / LOG):
        yield


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A remote, a bucket and a store; no controller yet."""
    made = await World.make(tmp_path)
    yield made
    await made.tear_down()


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    """A GitHub with nothing on it. At the end of the story it says what it had to refuse."""
    (tmp_path / "github").mkdir()
    with GitHub(tmp_path / "github") as double:
        yield double


@pytest.fixture
def repository(world: World, github: GitHub) -> Repository:
    """The world's remote as a repository on GitHub, with the app on it."""
    found = github.repository("octo/models", world.remote)
    app = github.app()
    github.install(found)
    settings = world.settings.model_dump(mode="json", exclude_unset=True)
    settings["repositories"][0]["github"] = "octo/models"
    settings["github"] = {"url": github.url, "app": {"id": app.id, "private_key": "APP_KEY"}}
    world.settings = Settings.model_validate(settings)
    world.secrets = Secrets({"APP_KEY": github.private_key, "HOOK": app.webhook_secret})
    return found


@pytest.fixture
def webhooks(world: World, github: GitHub, repository: Repository) -> Iterator[None]:
    """GitHub tells the controller at once; the next poll is an hour away."""
    with reserved_port() as port:
        settings = world.settings.model_dump(mode="json", exclude_unset=True)
        settings["repositories"][0]["poll"] = "1h"
        settings["github"]["webhook"] = {"secret": "HOOK", "port": port}
        world.settings = Settings.model_validate(settings)
        github.webhooks.url = f"http://127.0.0.1:{port}/webhooks/github"
        yield


@pytest.fixture
def team(world: World, github: GitHub, repository: Repository) -> Team:
    """The people around that repository."""
    return Team(world, github, repository)
