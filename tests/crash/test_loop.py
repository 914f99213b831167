"""Kill the loop wherever it saves or applies: nothing is lost, nothing is doubled."""

from pathlib import Path

import pytest

from tests.crash import family
from tests.crash.harness import killed_again_and_again, killed_once, undisturbed

# Each life has a deadline of its own; how many there are is the test's length on a slow machine.
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("first", [1, 2])  # the odd and the even, to be run beside each other
def test_a_kill_at_any_boundary_changes_nothing_about_the_end(tmp_path: Path, first: int) -> None:
    expected = undisturbed(family.STORY, tmp_path / "undisturbed")
    boundaries = 0
    for boundary, end in killed_once(family.STORY, tmp_path, first, step=2):
        assert end == expected, f"killed at boundary {boundary}"
        again = family.applied(tmp_path / f"killed-at-{boundary}")
        # Only the action that was under way may be asked for twice, and one per worker is.
        usual = family.applied(tmp_path / "undisturbed")
        assert (again - usual).total() <= 2, f"killed at boundary {boundary}: {again - usual}"
        boundaries = boundary
    # Per child two actions, each with six boundaries, and what the other reconciles save.
    assert boundaries > family.CHILDREN * 2 * 6


def test_a_controller_that_is_killed_in_each_of_its_lives_comes_to_the_same_end(
    tmp_path: Path,
) -> None:
    expected = undisturbed(family.STORY, tmp_path / "undisturbed")
    lives, end = killed_again_and_again(family.STORY, tmp_path / "killed")
    assert lives > 5
    assert end == expected
