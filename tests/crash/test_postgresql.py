"""The same stories over PostgreSQL: killed wherever the loop saves or applies, they end alike.

`make test` kills at every sixth boundary of the loop; `make test-crashes` at all of them, and plays
the stories of the whole controller, too.
"""

import os
from pathlib import Path

import pytest

from tests.crash import batch, family, pipeline, reports
from tests.crash.harness import (
    Story,
    killed_again_and_again,
    killed_everywhere,
    killed_once,
    undisturbed,
)
from tests.crash.states import Databases
from tests.servers.postgresql import Postgresql

# Each life has a deadline of its own; how many there are is the test's length on a slow machine.
pytestmark = [pytest.mark.postgresql, pytest.mark.timeout(900)]

THOROUGH = os.environ.get("CRASHES") == "all"
STEP = 1 if THOROUGH else 6
whole = pytest.mark.skipif(
    not THOROUGH, reason="`make test-crashes` kills everywhere on PostgreSQL, and takes minutes"
)


@pytest.fixture
def databases(postgresql_server: Postgresql) -> Databases:
    """Those of one test."""
    return Databases(postgresql_server)


def test_a_kill_at_a_boundary_changes_nothing_about_the_end(
    tmp_path: Path, databases: Databases
) -> None:
    expected = undisturbed(family.STORY, tmp_path / "undisturbed", databases)
    usual = family.applied(tmp_path / "undisturbed")
    boundaries = 0
    for boundary, end in killed_once(family.STORY, tmp_path, step=STEP, databases=databases):
        assert end == expected, f"killed at boundary {boundary}"
        again = family.applied(tmp_path / f"killed-at-{boundary}")
        # Only the action that was under way may be asked for twice, and one per worker is.
        assert (again - usual).total() <= 2, f"killed at boundary {boundary}: {again - usual}"
        boundaries = boundary
    # Per child two actions, each with six boundaries, and what the other reconciles save.
    assert boundaries > family.CHILDREN * 2 * 6


def test_a_controller_that_is_killed_in_each_of_its_lives_comes_to_the_same_end(
    tmp_path: Path, databases: Databases
) -> None:
    expected = undisturbed(family.STORY, tmp_path / "undisturbed", databases)
    lives, end = killed_again_and_again(family.STORY, tmp_path / "killed", databases)
    assert lives > 5
    assert end == expected


@whole
def test_a_batch_of_reports_that_is_half_pushed_is_pushed_again(
    tmp_path: Path, databases: Databases
) -> None:
    expected = undisturbed(reports.STORY, tmp_path / "undisturbed", databases)
    lives, end = killed_again_and_again(reports.STORY, tmp_path / "killed", databases)
    assert lives > 10
    assert end == expected


@whole
@pytest.mark.parametrize(
    ("story", "kinds"),
    [
        (pipeline.STORY, {"repository", "pipeline", "run"}),
        (pipeline.STORY, {"environment"}),
        (batch.STORY, {"environment"}),
    ],
    ids=["before a release", "in a release", "a batch"],
)
def test_a_release_comes_to_the_same_end_wherever_the_controller_is_killed(
    tmp_path: Path, databases: Databases, story: Story, kinds: set[str]
) -> None:
    expected = undisturbed(story, tmp_path / "undisturbed", databases)
    lives, end = killed_everywhere(story, tmp_path / "killed", frozenset(kinds), databases)
    assert end == expected
    assert lives > 15  # each step of some objects twice
