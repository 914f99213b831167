"""A world for each story."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scenarios.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A remote, a bucket and a store; no controller yet."""
    made = await World.make(tmp_path)
    yield made
    await made.tear_down()
