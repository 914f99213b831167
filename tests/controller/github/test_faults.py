"""What goes wrong at GitHub in the middle of a report: afterwards one check and one comment tell
the truth."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress

import pytest

from controller.github.client import Client
from controller.github.comment import parse
from controller.github.forge import GitHubForge
from controller.github.responses import GitHubRefused
from controller.github.transport import Transport, api_of
from controller.reports.forge import Annotation, CommitReport
from specs.failures import Failure, TryAgain
from tests.controller.github.reporting import NAMES, said
from tests.doubles.github import GitHub, Repository

CREATE = "POST /repos/{owner}/{repo}/check-runs"
UPDATE = "PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}"
CHECKS = "GET /repos/{owner}/{repo}/commits/{ref}/check-runs"
COMMENT = "POST /repos/{owner}/{repo}/issues/{issue_number}/comments"
COMMENTS = "GET /repos/{owner}/{repo}/issues/{issue_number}/comments"
EDIT = "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}"

Break = Callable[[GitHub, str], None]


def answers(status: int, headers: Mapping[str, str] = {}, times: int = 1) -> Break:
    return lambda github, operation: github.fail(
        operation, times=times, status=status, headers=headers
    )


FAULTS: dict[str, Break] = {
    "401": answers(401, times=2),
    "403": answers(403),
    "403, the primary limit": answers(
        403, {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "0"}
    ),
    "403, the secondary limit": answers(403, {"retry-after": "30"}),
    "404": answers(404),
    "409": answers(409),
    "422": answers(422),
    "429": answers(429),
    "502 until it gives up": answers(502, times=3),
    "502 once": answers(502),
    "no answer": lambda github, operation: github.fail(operation, times=3, drop=True),
    "half an answer": lambda github, operation: github.fail(operation, times=3, half=True),
    "an answer that got lost": lambda github, operation: github.fail(
        operation, drop=True, applied=True
    ),
    "a token that ended": lambda github, _: github.end_tokens(),
}


@pytest.fixture
async def transport(github: GitHub) -> AsyncIterator[Transport]:
    """By the double's clock, which each wait sets ahead."""

    async def pass_by(seconds: float) -> None:
        github.advance(seconds)

    made = Transport(api_of(github.url), now=github.hub.seconds, sleep=pass_by)
    yield made
    await made.close()


@pytest.mark.parametrize("fault", FAULTS)
async def test_after_the_fault_one_check_and_one_comment_tell_the_truth(
    github: GitHub, repository: Repository, commit: str, client: Client, fault: str
) -> None:
    met = 0

    async def meets(operation: str, report: CommitReport) -> None:
        """The report while that operation fails; an hour later it works again."""
        nonlocal met
        FAULTS[fault](github, operation)
        before = len(github.calls(operation))
        with suppress(Failure):
            await GitHubForge(client, NAMES).report(report)
        met += len(github.calls(operation)) > before
        github.service.faults.clear()
        github.advance(3600)

    runs = said(commit, "running", "The plan.", pull=1)
    await meets(CREATE, runs.model_copy(update={"pull": None}))
    await meets(COMMENT, runs)
    await GitHubForge(client, NAMES).report(runs)
    ended = said(
        commit,
        "failed",
        "It failed.",
        pull=1,
        conclusion="failure",
        annotations=[
            Annotation(file="a.py", line=n, level="failure", title="FAIL", message="null")
            for n in range(1, 61)
        ],
    )
    for operation in (CHECKS, UPDATE, COMMENTS, EDIT):
        await meets(operation, ended.model_copy(update={"text": f"Before {operation}."}))
    await GitHubForge(client, NAMES).report(ended)
    assert met == 6, "every operation met its fault"
    (check,) = github.check_runs(repository)
    assert (check.conclusion, check.output["summary"]) == ("failure", "It failed.")
    assert [one["start_line"] for one in check.annotations] == list(range(1, 61))
    (comment,) = github.comments(repository, repository.issues[1])
    assert [one.text for one in parse(comment.body)] == ["It failed."]


async def test_while_a_limit_holds_nothing_is_asked_and_the_report_says_when_to_come_back(
    github: GitHub, commit: str, client: Client
) -> None:
    forge = GitHubForge(client, NAMES)
    github.limits.trip(retry_after=90)
    asked = 0
    for _ in range(2):
        with pytest.raises(TryAgain) as limited:
            await forge.report(said(commit, "running", "The plan."))
        assert 80 < (limited.value.after or 0) <= 90
        asked = asked or len(github.calls())
    assert len(github.calls()) == asked
    github.advance(91)
    await forge.report(said(commit, "running", "The plan."))
    assert len(github.calls(CREATE)) == 1


async def test_what_the_app_may_not_do_is_told_and_the_check_stands_without_the_comment(
    github: GitHub, repository: Repository, commit: str, client: Client
) -> None:
    (installation,) = github.hub.installations.values()
    installation.permissions |= {"issues": "read", "pull_requests": "read"}
    report = said(commit, "passed", "It passed.", pull=1, conclusion="success")
    with pytest.raises(GitHubRefused, match="403"):
        await GitHubForge(client, NAMES).report(report)
    assert [check.conclusion for check in github.check_runs(repository)] == ["success"]
