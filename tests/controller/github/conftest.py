"""A repository on the double, with the app on it and an open pull request."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.github.auth import App
from controller.github.client import Client
from controller.github.transport import Transport, api_of
from tests.doubles.github import GitHub, Repository

REPO = "octo/flights"


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    with GitHub(tmp_path) as double:
        yield double


@pytest.fixture
def repository(github: GitHub) -> Repository:
    made = github.repository(REPO)
    github.push(made, {"ml-pipeline.yaml": "a"})
    github.app()
    github.install(made)
    return made


@pytest.fixture
def commit(github: GitHub, repository: Repository) -> str:
    """The head of an open pull request."""
    sha = github.push(repository, {"train.py": "b"}, branch="deeper")
    github.open_pull_request(repository, "deeper")
    return sha


@pytest.fixture
async def transport(github: GitHub) -> AsyncIterator[Transport]:
    made = Transport(api_of(github.url), patience=2.0)
    yield made
    await made.close()


@pytest.fixture
def client(github: GitHub, repository: Repository, transport: Transport) -> Client:
    return Client(transport, App(github.hub.the_app().id, github.private_key, transport))
