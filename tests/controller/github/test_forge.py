"""Reports as GitHub shows them, on the double."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.github.auth import App, Personal
from controller.github.client import Client
from controller.github.forge import GitHubForge, cut
from controller.github.transport import Transport, api_of
from controller.reports import Annotation, CommitReport
from tests.contracts.forge import ForgeContract, Shown
from tests.doubles.github import GitHub, Repository

REPO = "octo/flights"
NAMES = {"flights": REPO}


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    with GitHub(tmp_path) as double:
        yield double


@pytest.fixture
def repository(github: GitHub) -> Repository:
    made = github.repository(REPO)
    github.push(made, {"ml-pipeline.yaml": "a"})
    github.app()
    github.install(made)
    return made


@pytest.fixture
def commit(github: GitHub, repository: Repository) -> str:
    """The head of an open pull request."""
    sha = github.push(repository, {"train.py": "b"}, branch="deeper")
    github.open_pull_request(repository, "deeper")
    return sha


@pytest.fixture
async def client(github: GitHub, repository: Repository) -> AsyncIterator[Client]:
    transport = Transport(api_of(github.url))
    yield Client(transport, App(github.hub.the_app().id, github.private_key, transport))
    await transport.close()


@pytest.fixture
def forge(client: Client) -> GitHubForge:
    return GitHubForge(client, NAMES)


class TestGitHubForge(ForgeContract):
    @pytest.fixture
    def shown(self, github: GitHub, repository: Repository) -> Shown:
        async def shown(commit: str) -> str:
            checks = github.check_runs(repository, commit)
            return "\n".join(check.output["summary"] for check in checks)

        return shown


def said(commit: str, state: str, text: str, **more: object) -> CommitReport:
    return CommitReport.model_validate(
        {
            "repository": "flights",
            "commit": commit,
            "pipeline": "flight-delay",
            "state": state,
            "title": state,
            "run": "flight-delay-1",
            "text": text,
            **more,
        }
    )


async def test_one_check_is_queued_runs_and_ends_and_a_retry_gets_its_own(
    github: GitHub, repository: Repository, commit: str, forge: GitHubForge
) -> None:
    seen = []
    for report in (
        said(commit, "running", "It waits.", run=None),
        said(commit, "running", "It runs."),
        said(commit, "failed", "It failed.", conclusion="failure"),
        said(commit, "running", "Again.", run="flight-delay-2"),
    ):
        await forge.report(report)
        checks = github.check_runs(repository, commit)
        seen.append([(check.status, check.conclusion) for check in checks])
    assert seen == [
        [("queued", None)],
        [("in_progress", None)],
        [("completed", "failure")],
        [("completed", "failure"), ("in_progress", None)],
    ]


async def test_what_a_controller_that_died_left_open_is_concluded_by_the_next(
    github: GitHub, repository: Repository, commit: str, client: Client
) -> None:
    await GitHubForge(client, NAMES).report(said(commit, "running", "It runs."))
    ended = said(commit, "passed", "It passed.", conclusion="success")
    await GitHubForge(client, NAMES).report(ended)
    await GitHubForge(client, NAMES).report(ended)
    (check,) = github.check_runs(repository, commit)
    assert check.conclusion == "success"


async def test_many_annotations_come_in_several_requests_and_once(
    github: GitHub, repository: Repository, commit: str, client: Client
) -> None:
    many = [
        Annotation(file="suite.yaml", line=n, level="failure", title="FAIL", message="null")
        for n in range(1, 121)
    ]
    report = said(commit, "stopped", "FAIL", conclusion="failure", annotations=many)
    await GitHubForge(client, NAMES).report(report)
    await GitHubForge(client, NAMES).report(report)
    (check,) = github.check_runs(repository, commit)
    assert [one["start_line"] for one in check.annotations] == list(range(1, 121))


async def test_a_pull_request_has_one_comment_per_pipeline_that_is_updated(
    github: GitHub, repository: Repository, commit: str, client: Client
) -> None:
    (pull,) = repository.pulls()
    github.comment(repository, pull, "<!-- headgate: flight-delay -->\nIt passed, honestly", "eve")
    await GitHubForge(client, NAMES).report(said(commit, "running", "The plan."))
    forge = GitHubForge(client, NAMES)
    await forge.report(said(commit, "passed", "It passed.", conclusion="success"))
    await forge.report(said(commit, "passed", "Of fares.", pipeline="fares"))
    stale = github.push(repository, {"a": "1"}, branch="elsewhere")
    await forge.report(said(stale, "failed", "Of a commit that is no head.", conclusion="failure"))
    assert [one.body for one in github.comments(repository, pull)][1:] == [
        "<!-- headgate: flight-delay -->\nIt passed.",
        "<!-- headgate: fares -->\nOf fares.",
    ]


async def test_a_comment_that_somebody_deleted_is_made_anew(
    github: GitHub, repository: Repository, commit: str, forge: GitHubForge
) -> None:
    (pull,) = repository.pulls()
    await forge.report(said(commit, "running", "The plan."))
    repository.comments.clear()
    await forge.report(said(commit, "passed", "It passed.", conclusion="success"))
    (comment,) = github.comments(repository, pull)
    assert comment.body.endswith("It passed.")


async def test_a_person_who_may_not_make_checks_makes_statuses(
    github: GitHub, repository: Repository, commit: str
) -> None:
    transport = Transport(api_of(github.url))
    forge = GitHubForge(Client(transport, Personal(github.token("octo"))), NAMES)
    await forge.report(said(commit, "running", "It runs."))
    await forge.report(said(commit, "stopped", "It is stopped.", conclusion="failure"))
    await transport.close()
    assert [(one["context"], one["state"]) for one in github.statuses(repository, commit)] == [
        ("headgate / flight-delay", "pending"),
        ("headgate / flight-delay", "failure"),
    ]
    assert github.check_runs(repository, commit) == []


def test_what_is_cut_closes_what_it_leaves_open_and_says_where_the_whole_is() -> None:
    text = "## FAIL\n\n<details>\n\n````text\n" + "word\n" * 500
    short = cut(text, 1000, "flight-delay-1")
    assert len(short) <= 1000
    assert "word\n````\n</details>\n\nThe rest is cut; the whole: `headgate show flight" in short
    assert cut("whole\n", 1000, None) == "whole\n"
