"""What the controller's tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.store.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the state is."""
    return tmp_path / "state.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """A store over `path`."""
    opened = await SqliteStore.open(path)
    yield opened
    await opened.close()


@pytest.fixture
async def other(store: SqliteStore) -> AsyncIterator[SqliteStore]:
    """The same file, opened again as another process would."""
    opened = await SqliteStore.open(store.path)
    yield opened
    await opened.close()
