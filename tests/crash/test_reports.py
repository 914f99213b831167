"""Kill the controller in the middle of a batch of notes: each report is there once at the end."""

from pathlib import Path

import pytest

from tests.crash import reports
from tests.crash.harness import killed_again_and_again, killed_once, undisturbed

# Each life has a deadline of its own; how many there are is the test's length on a slow machine.
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("first", [1, 2])  # the odd and the even, to be run beside each other
def test_a_batch_that_is_half_pushed_is_pushed_again_and_no_report_is_lost_or_doubled(
    tmp_path: Path, first: int
) -> None:
    expected = undisturbed(reports.STORY, tmp_path / "undisturbed")
    boundaries = 0
    for boundary, end in killed_once(reports.STORY, tmp_path, first, step=2):
        assert end == expected, f"killed at boundary {boundary}"
        boundaries = boundary
    due = len(reports.REPORTERS) * reports.COMMITS * 2
    # Each report is applied and acknowledged; and batches are committed and pushed.
    assert boundaries > due * 4


def test_reports_come_to_the_same_end_if_every_life_of_the_controller_is_killed(
    tmp_path: Path,
) -> None:
    expected = undisturbed(reports.STORY, tmp_path / "undisturbed")
    assert reports.pushes(tmp_path / "undisturbed") < len(reports.REPORTERS) * reports.COMMITS * 2
    lives, end = killed_again_and_again(reports.STORY, tmp_path / "killed")
    assert lives > 10
    assert end == expected
