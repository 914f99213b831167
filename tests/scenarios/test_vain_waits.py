"""A story that waits in vain says why in its first screen."""

import subprocess
import sys
from pathlib import Path

import pytest

STORIES = Path(__file__).parent / "in_vain" / "stories.py"
LINES, BYTES = 50, 4096
"""Of a first screen."""

REASONS = {
    "test_a_step_whose_command_fails": (
        "waited 0.1 s in vain for v1 in production",
        "✗ mean-1",
        "mean-1 train failed: it ended with exit code 1. Its last words: no such column",
    ),
    "test_a_branch_that_is_protected": (
        "waited 0.1 s in vain for v1 in production",
        "◐ v1  being promoted",
        "mean/staging v1 promotion decided",
        "[error ] an action needs a human: environment/mean/staging: ",
        "(remote: refs/heads/headgate/environments is protected)",
    ),
}


@pytest.mark.parametrize("story", REASONS)
def test_a_story_that_waits_in_vain_says_why_in_its_first_screen(
    tmp_path: Path, story: str
) -> None:
    screen = what_pytest_says_of(story, tmp_path)
    for reason in REASONS[story]:
        assert reason in screen
    assert len(screen.splitlines()) <= LINES
    assert len(screen.encode()) <= BYTES
    assert "Captured" not in screen


def what_pytest_says_of(story: str, folder: Path) -> str:
    """The report of a story's failure, from its name to the summary."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        f"{STORIES}::{story}",
        "-q",
        f"--basetemp={folder}/t",
    ]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 1, done.stdout
    _, _, failure = done.stdout.partition(f"_ {story} _")
    report, found, _ = failure.partition("short test summary info")
    assert found, done.stdout
    return report
