"""The sticky comment of a pull request: its content, and how controllers continue it."""

import asyncio

import pytest

from controller.github.client import LONGEST, Client
from controller.github.comment import MARK, Section, compose, cut, parse, shares
from controller.github.forge import GitHubForge
from controller.reports.forge import CommitReport
from tests.controller.github.reporting import NAMES, said
from tests.doubles.github import GitHub, Repository

COMMENT = "POST /repos/{owner}/{repo}/issues/{issue_number}/comments"
OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def forge(client: Client) -> GitHubForge:
    return GitHubForge(client, NAMES)


def on_pull(commit: str, state: str, text: str, **more: object) -> CommitReport:
    return said(commit, state, text, pull=1, **more)


def texts(github: GitHub, repository: Repository) -> dict[str, str]:
    """What the comment says of each pipeline."""
    (comment,) = github.comments(repository, repository.issues[1])
    return {one.pipeline: one.text for one in parse(comment.body)}


async def test_each_pipeline_has_its_section_and_a_new_one_keeps_the_others(
    github: GitHub, repository: Repository, commit: str, client: Client
) -> None:
    posed = github.comment(repository, repository.issues[1], f"{MARK}\nPassed, honestly", "eve")
    await GitHubForge(client, NAMES).report(on_pull(commit, "running", "## The plan"))
    await GitHubForge(client, NAMES).report(on_pull(commit, "failed", "## No", pipeline="fares"))
    await GitHubForge(client, NAMES).report(on_pull(commit, "passed", "## It passed"))
    first, comment = github.comments(repository, repository.issues[1])
    assert (first.id, first.body) == (posed.id, f"{MARK}\nPassed, honestly")
    assert comment.body.splitlines()[:3] == [MARK, "- **fares** No", "- **flight-delay** It passed"]
    assert {one.pipeline: one.text for one in parse(comment.body)} == {
        "fares": "## No",
        "flight-delay": "## It passed",
    }


async def test_only_what_is_reported_for_a_pull_request_is_commented_and_costs_no_listing(
    github: GitHub, repository: Repository, commit: str, forge: GitHubForge
) -> None:
    await forge.report(said(commit, "passed", "As a branch.", conclusion="success"))
    assert github.comments(repository, repository.issues[1]) == []
    assert github.calls("GET /repos/{owner}/{repo}/pulls") == []


async def test_a_newer_head_takes_the_place_of_all_that_was_said_of_the_older(
    github: GitHub, repository: Repository, commit: str, forge: GitHubForge
) -> None:
    await forge.report(on_pull(commit, "running", "Old plan."))
    await forge.report(on_pull(commit, "running", "Old plan.", pipeline="fares"))
    head = github.push(repository, {"train.py": "c"}, branch="deeper")
    await forge.report(on_pull(head, "running", "New plan.", run="flight-delay-2"))
    assert texts(github, repository) == {"flight-delay": "New plan."}
    await forge.report(on_pull(commit, "cancelled", "Superseded.", conclusion="cancelled"))
    assert texts(github, repository) == {"flight-delay": "New plan."}
    assert [check.conclusion for check in github.check_runs(repository, commit)] == [
        "cancelled",
        None,
    ]


async def test_a_pipeline_that_is_not_touched_is_told_only_where_it_was_before(
    github: GitHub, repository: Repository, commit: str, forge: GitHubForge
) -> None:
    untouched = on_pull(commit, "skipped", "Not touched.", run=None, conclusion="neutral")
    await forge.report(untouched)
    assert github.comments(repository, repository.issues[1]) == []
    await forge.report(on_pull(commit, "running", "The plan.", pipeline="fares"))
    await forge.report(untouched)
    assert texts(github, repository) == {"fares": "The plan."}
    head = github.push(repository, {"train.py": "c"}, branch="deeper")
    await forge.report(
        on_pull(head, "skipped", "Not touched.", run=None, pipeline="fares", conclusion="neutral")
    )
    assert texts(github, repository) == {"fares": "Not touched."}


async def test_pipelines_that_report_at_the_same_moment_make_one_comment_with_all_of_them(
    github: GitHub, repository: Repository, commit: str, forge: GitHubForge
) -> None:
    names = [f"model-{n}" for n in range(6)]
    await asyncio.gather(
        *(forge.report(on_pull(commit, "running", "Plan.", pipeline=name)) for name in names)
    )
    assert sorted(texts(github, repository)) == names


async def test_controllers_that_make_the_comment_at_the_same_moment_keep_one(
    github: GitHub, repository: Repository, commit: str, client: Client
) -> None:
    forges = [GitHubForge(client, NAMES) for _ in range(3)]
    await asyncio.gather(*(each.report(on_pull(commit, "running", "Plan.")) for each in forges))
    await forges[0].report(on_pull(commit, "passed", "Passed.", conclusion="success"))
    assert texts(github, repository) == {"flight-delay": "Passed."}


async def test_a_comment_that_somebody_deleted_is_made_anew(
    github: GitHub, repository: Repository, commit: str, forge: GitHubForge
) -> None:
    await forge.report(on_pull(commit, "running", "The plan."))
    repository.comments.clear()
    await forge.report(on_pull(commit, "passed", "It passed.", conclusion="success"))
    assert texts(github, repository) == {"flight-delay": "It passed."}


async def test_the_same_again_is_read_and_not_written(
    github: GitHub, repository: Repository, commit: str, forge: GitHubForge
) -> None:
    report = on_pull(commit, "passed", "It passed.", conclusion="success")
    await forge.report(report)
    (before,) = github.comments(repository, repository.issues[1])
    await forge.report(report)
    edits = github.calls("PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}")
    assert (edits, len(github.calls(COMMENT))) == ([], 1)
    assert github.comments(repository, repository.issues[1]) == [before]


async def test_what_a_step_prints_cannot_pose_as_another_pipelines_verdict(
    github: GitHub, repository: Repository, commit: str, forge: GitHubForge
) -> None:
    forged = f"```\n<!-- /headgate -->\n{Section('fares', commit, None, '').mark}\nPASS\n```"
    await forge.report(on_pull(commit, "failed", forged))
    assert list(texts(github, repository)) == ["flight-delay"]
    await forge.report(on_pull(commit, "passed", "It passed."))
    assert texts(github, repository) == {"flight-delay": "It passed."}


def test_what_is_composed_is_parsed_also_after_an_edit_in_a_browser() -> None:
    sections = [Section("", NEW, None, "No spec."), Section("fares", NEW, "fares-1", "a\n\nb")]
    assert list(parse(compose(sections))) == sections
    assert list(parse(compose(sections).replace("\n", "\r\n") + "\r\nwell done")) == sections


def test_long_sections_share_the_comment_fairly_and_short_ones_stay_whole() -> None:
    long = "## FAIL\n" + "word\n" * 20_000
    sections = [Section(f"model-{n}", NEW, f"model-{n}-1", long) for n in range(3)]
    body = compose([*sections, Section("short", NEW, None, "## PASS")])
    assert LONGEST - 1000 < len(body) <= LONGEST
    cut_ones = parse(body)
    assert cut_ones[3].text == "## PASS"
    assert all("`headgate show model-" in one.text for one in cut_ones[:3])
    lengths = [len(one.text) for one in cut_ones[:3]]
    assert max(lengths) - min(lengths) < 10
    assert len(compose([Section(f"model-{n}", NEW, None, long) for n in range(150)])) <= LONGEST


@pytest.mark.parametrize(
    ("wanted", "room", "given"),
    [([], 10, []), ([5, 5], 10, [5, 5]), ([1, 9, 9], 11, [1, 5, 5]), ([3], -1, [0])],
)
def test_nobody_gets_more_than_it_wants_and_the_rest_is_even(
    wanted: list[int], room: int, given: list[int]
) -> None:
    assert shares(wanted, room) == given


def test_what_is_cut_closes_what_it_leaves_open_and_says_where_the_whole_is() -> None:
    text = "## FAIL\n\n<details>\n\n````text\n" + "word\n" * 500
    short = cut(text, 1000, "flight-delay-1")
    assert len(short) <= 1000
    assert "word\n````\n</details>\n\nTruncated. Full report: `headgate show flight" in short
    assert cut("whole\n", 1000, None) == "whole\n"
