"""That the suite runs as an ordinary user, also where root runs it."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

MOVE = "import os, sys; os.rename(sys.argv[1], sys.argv[2])"


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A folder that nobody may write; to move it elsewhere, one must."""
    (tmp_path / "here" / "sealed").mkdir(parents=True)
    (tmp_path / "here" / "sealed").chmod(0o500)
    return tmp_path / "here" / "sealed"


def test_modes_hold_for_the_tests_and_the_threads_they_start(sealed: Path) -> None:
    with pytest.raises(PermissionError):
        (sealed / "file").touch()
    with pytest.raises(PermissionError):
        asyncio.run(asyncio.to_thread((sealed / "file").touch))


def test_modes_hold_for_the_processes_that_tests_start(sealed: Path, tmp_path: Path) -> None:
    moved = subprocess.run(
        [sys.executable, "-c", MOVE, str(sealed), str(tmp_path / "there")],
        capture_output=True,
        text=True,
    )
    assert "PermissionError" in moved.stderr
    assert sealed.exists()
