"""What is seen of an attempt in a cluster, and what it means; `stories` has the table."""

import re

import pytest

from controller.executors.kubernetes.interpret import SeenObjects, observe
from controller.machine.runs.attempt import AttemptState as S
from tests.controller.executors.kubernetes.builders import (
    BEGIN,
    FETCHED,
    PROFILE,
    STORED,
    ended,
    job,
    pod,
    waits,
)
from tests.controller.executors.kubernetes.stories import STORIES


@pytest.mark.parametrize(
    ("seen", "after", "state", "words"),
    [story[1:] for story in STORIES],
    ids=[story[0] for story in STORIES],
)
def test_what_is_seen_of_an_attempt(seen: SeenObjects, after: float, state: S, words: str) -> None:

    found = observe(seen, PROFILE, BEGIN + after)
    assert found.state is state, found
    assert re.search(words, found.why or found.waits), found
    assert bool(found.why) == (state.ended and state is not S.SUCCEEDED)


def test_times_and_exit_codes_are_those_of_the_step() -> None:
    found = observe(SeenObjects(job(), pod(FETCHED, ended(3), phase="Failed")), PROFILE, BEGIN + 60)
    assert (found.exit_code, found.started, found.ended) == (3, BEGIN + 20, BEGIN + 30)


def test_what_was_stored_is_told() -> None:
    seen = SeenObjects(job(), pod(FETCHED, ended(), STORED, "Succeeded"))
    assert observe(seen, PROFILE, BEGIN + 60).said == {"outputs": {"model": "sha256:1"}}


@pytest.mark.parametrize("message", ["no JSON", "[1]", '"text"', "{", "null"])
def test_a_message_that_is_none_of_ours_is_no_message(message: str) -> None:
    seen = SeenObjects(job(), pod(ended(1, message=message), phase="Failed"))
    assert observe(seen, PROFILE, BEGIN + 60).state is S.FAILED


def test_a_long_message_is_cut() -> None:
    long = waits("InvalidImageName", "x" * 100_000)
    assert len(observe(SeenObjects(job(), pod(FETCHED, long)), PROFILE, BEGIN).why) < 1000
