"""Rows of a database, as a new user meets them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.shapes import new_user

ORDER = {"price": 180.0, "items": 6}


@pytest.mark.timeout(300)  # its gates import much, which a busy machine takes its time for
def test_a_pull_from_a_database_comes_from_a_clone_into_production(tmp_path: Path) -> None:
    with new_user("database-pull", tmp_path, patience=200.0) as shape:
        assert len(shape.commands) == 9
        (answer,) = shape.ask(ORDER).values()
        assert 0.5 < answer < 1
        schedule = shape.status()["schedule"]
        assert (schedule["cron"], schedule["timezone"]) == ("0 4 * * *", "Europe/Berlin")
        # As the README goes on: a run is asked for, and there is one only if the rows differ.
        assert "Nothing to run" in typed(shape.work, "trigger", "database-pull")
        more = [sys.executable, "make_shop.py", "--more", "500"]
        subprocess.run(more, cwd=shape.work, check=True)
        assert "database-pull-2 has started" in typed(shape.work, "trigger", "database-pull")
        said = typed(shape.work, "explain", "database-pull-2")
        assert "dataset orders went from" in " ".join(said.split())


def typed(folder: Path, *words: str) -> str:
    headgate = Path(sys.executable).parent / "headgate"
    done = subprocess.run(
        [headgate, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout
