"""A git command that is not waited for any more ends, whatever it had to say."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from controller.git.command import Remote, git
from specs.failures import TryAgain
from tests.controller.git.git_server import run_git

LARGE = b"x" * 20 * 2**20
"""Far more than the buffers of a pipe and of its reader hold."""


@pytest.fixture
def blob(tmp_path: Path) -> str:
    run_git(tmp_path, "init", "-q", "--bare", ".")
    return run_git(tmp_path, "hash-object", "-w", "--stdin", stdin=LARGE)


@pytest.mark.parametrize("delay", [0.01, 0.02, 0.03, 0.05, 0.08])
async def test_a_cancelled_command_ends_with_its_output_unread(
    tmp_path: Path, blob: str, delay: float
) -> None:
    remote = Remote(str(tmp_path))
    reading = asyncio.create_task(git(remote, ("cat-file", "-p", blob), folder=tmp_path))
    await asyncio.sleep(delay)
    reading.cancel()
    ended, _ = await asyncio.wait([reading], timeout=10)
    assert ended


@pytest.mark.parametrize("limit", [0.01, 0.02, 0.03])
async def test_a_command_that_takes_too_long_ends_with_its_output_unread(
    tmp_path: Path, blob: str, limit: float
) -> None:
    remote, command = Remote(str(tmp_path)), ("cat-file", "-p", blob)
    with suppress(TryAgain):
        async with asyncio.timeout(10):
            await git(remote, command, folder=tmp_path, limit=limit)
