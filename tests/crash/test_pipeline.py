"""Kill the real controller wherever it saves or applies, and compare where it comes to."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.crash import batch, canary, pipeline
from tests.crash.harness import killed_everywhere, undisturbed

# Each life has a deadline of its own; how many there are is the test's length on a slow machine.
pytestmark = pytest.mark.timeout(600)

HALVES = {  # to be run beside each other
    "before a release": frozenset({"repository", "pipeline", "run"}),
    "in a release": frozenset({"environment"}),
}


@pytest.mark.parametrize("half", HALVES)
def test_a_first_release_comes_to_the_same_end_wherever_the_controller_is_killed(
    tmp_path: Path, half: str
) -> None:
    expected = undisturbed(pipeline.STORY, tmp_path / "undisturbed")
    lives, end = killed_everywhere(pipeline.STORY, tmp_path / "killed", HALVES[half])
    assert end == expected
    assert lives > 15  # of three kinds, and of two objects of one, each step twice


def test_a_batch_runs_once_in_each_environment_wherever_the_controller_is_killed(
    tmp_path: Path,
) -> None:
    expected = undisturbed(batch.STORY, tmp_path / "undisturbed")
    lives, end = killed_everywhere(batch.STORY, tmp_path / "killed", frozenset({"environment"}))
    assert end == expected
    assert lives > 15
    assert set(end["ran"].values()) == {1}  # type: ignore[index]  # as `batch.end` has it


def test_a_canary_comes_to_its_promotion_although_the_controller_is_killed_and_stable_answers(
    tmp_path: Path,
) -> None:
    canary.STORY.prepare(tmp_path)
    with requests(canary.address(tmp_path)) as statuses:
        lives = canary.killed_now_and_then(tmp_path)
    end = canary.STORY.end(tmp_path)
    assert lives > 5
    assert len(statuses) > 50
    assert set(statuses) == {200}
    assert end == {
        "left": ([], []),
        "releases": ["mean: promote v2 in production", "mean: promote v1 in production"],
        "trained": {"mean-1.train.1": 1, "mean-2.train.1": 1},
        "serves": 2,
        "versions": ["mean/1", "mean/2"],
    }


@contextmanager
def requests(address: str) -> Iterator[list[int]]:
    """About a hundred requests a second from another thread; the list gathers their statuses."""
    statuses: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.01):
            connection = HTTPConnection(urlsplit(address).netloc, timeout=10)
            try:
                connection.request("POST", "/predict", body="{}")
                statuses.append(connection.getresponse().status)
            except (OSError, HTTPException):
                statuses.append(0)
            finally:
                connection.close()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield statuses
    finally:
        over.set()
        asking.join()
