"""A package that all teams of a repository share, as a new user meets it."""

import json
import time
from pathlib import Path
from typing import Any

from tests.actions.clone import change, commit, headgate
from tests.scenarios.shapes import PATIENCE, Shape, new_user
from tests.scenarios.world import run_git

CUSTOMER = {"joined": "2023-11-05", "last_bill": "2024-06-12", "calls": 12, "plan": "prepaid"}


def models(shape: Shape, number: int) -> list[dict[str, Any]]:
    """Wait for so many model versions; the newest first."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found: list[dict[str, Any]] = json.loads(
            headgate(shape.work, "models", "churn", "--json").stdout
        )
        if len(found) == number:
            return found
        assert time.monotonic() < deadline, f"waited in vain for version {number}: {found}"
        time.sleep(0.1)


def test_a_change_of_the_shared_package_makes_a_new_model_of_the_team(tmp_path: Path) -> None:
    with new_user("monorepo", tmp_path) as shape:
        assert len(shape.commands) == 7
        assert 0.5 < shape.ask(CUSTOMER)["p_churn"] <= 1

        change(shape.work, "src/telco/features.py", "UP_TO = 8", "UP_TO = 4")
        plan = headgate(shape.work, "plan", "teams/churn").stdout
        assert "//src/telco/features.py changed" in plan

        sha = commit(shape.work, "Let fewer calls count")
        run_git(shape.work, "push", "-q")
        second, first = models(shape, 2)
        assert second["commit"] == sha
        assert second["digest"] != first["digest"]
