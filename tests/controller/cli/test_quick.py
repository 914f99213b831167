"""Commands that look are quick, because they import little: measured, by what they import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.actions.clone import clone
from tests.controller.cli.conftest import Desk
from tests.scenarios.world import PIPELINE

HEAVY = {
    "sqlalchemy",
    "alembic",
    "structlog",
    "httpx",
    "github3",
    "numpy",
    "pandas",
    "pyarrow",
    "sklearn",
    "great_expectations",
    "docker",
    "apscheduler",
    "deltalake",
    "pyiceberg",
    "jinja2",
}
"""Each takes longer to import than a plan takes to make."""
LOOKING = "import sys; from controller.cli import main\ntry: main()\nfinally: print(*sys.modules)"


def imported(folder: Path, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOOKING, *arguments],
        cwd=folder,
        env=os.environ | {"HEADGATE_DEBUG": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("settings", [True, False], ids=["with a state", "without"])
def test_a_plan_imports_no_library_that_it_does_not_need(settings: bool, desk: Desk) -> None:
    work = clone(desk.settings.parent, PIPELINE, a="value\n1\n")
    if settings:
        desk.keep()
    else:
        desk.settings.unlink()
    found = imported(work, "plan")
    assert "pydantic" in found
    assert found & HEAVY == set()
