"""Each command in a comment is read once, whatever the times of the comments."""

import pytest

from controller.github.client import Client
from controller.github.pulls import Pulls, begin
from controller.machine.repositories.pull import LastComment
from tests.controller.github.reporting import NAMES
from tests.doubles.github import GitHub, Issue, Repository


@pytest.fixture
def pull(github: GitHub, repository: Repository) -> Issue:
    github.push(repository, {"train.py": "b"}, branch="deeper")
    return github.open_pull_request(repository, "deeper")


async def said(pulls: Pulls, seen: LastComment | None) -> tuple[list[str], LastComment]:
    """What the commands since then say, and the comment that was seen last."""
    asked, last = await pulls.asked("flights", seen, ())
    return [str(each.verb) for each in asked], last


async def test_a_comment_that_is_stamped_earlier_than_the_one_before_it_is_read(
    github: GitHub, repository: Repository, client: Client, pull: Issue
) -> None:
    pulls = Pulls(client, NAMES)
    _, seen = await said(pulls, None)
    github.comment(repository, pull, "/headgate run")
    found, seen = await said(pulls, seen)
    assert found == ["run"]
    github.advance(-20)
    github.comment(repository, pull, "/headgate approve")
    found, seen = await said(pulls, seen)
    assert found == ["approve"]
    assert (await said(pulls, seen))[0] == []


async def test_comments_from_before_the_first_look_are_not_read(
    github: GitHub, repository: Repository, client: Client, pull: Issue
) -> None:
    pulls = Pulls(client, NAMES)
    github.comment(repository, pull, "/headgate run")
    assert (await said(pulls, None))[0] == []
    assert (await said(pulls, begin(github.hub.seconds() + 5)))[0] == []
    github.advance(10)
    github.comment(repository, pull, "/headgate approve")
    assert (await said(pulls, begin(github.hub.seconds() - 5)))[0] == ["approve"]
