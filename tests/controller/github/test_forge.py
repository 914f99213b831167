"""Reports as GitHub shows them, on the double."""

import pytest

from controller.github.auth import Personal
from controller.github.check_ids import Mark
from controller.github.check_ids import parse as parse_mark
from controller.github.client import Client
from controller.github.comment import MARK, parse
from controller.github.forge import GitHubForge
from controller.github.transport import Transport, api_of
from controller.reports.forge import Annotation, CommitReport, Kind
from tests.contracts.forge import ForgeContract, Shown
from tests.controller.github.reporting import NAMES, said
from tests.doubles.github import GitHub, Repository

KINDS: tuple[Kind, ...] = ("gates", "policy")


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


async def test_a_held_commit_asks_for_approval_by_a_button_that_goes_when_it_runs(
    github: GitHub, repository: Repository, commit: str, forge: GitHubForge
) -> None:
    asks = {"conclusion": "action_required", "asks": "approve"}
    held = said(commit, "held", "Of a fork.", run=None, **asks)
    await forge.report(held)
    await forge.report(held)
    (check,) = github.check_runs(repository, commit)
    assert check.conclusion == "action_required"
    assert [button["identifier"] for button in check.actions] == ["approve"]
    await forge.report(said(commit, "running", "It waits.", run=None))
    await forge.report(said(commit, "running", "It runs."))
    await forge.report(said(commit, "passed", "It passed.", conclusion="success"))
    _, run = github.check_runs(repository, commit)
    assert (run.conclusion, run.actions) == ("success", [])


async def test_the_step_that_runs_is_in_the_title_at_one_request_and_not_in_the_comment(
    github: GitHub, repository: Repository, commit: str, forge: GitHubForge
) -> None:
    await forge.report(said(commit, "running", "The plan.", pull=1))
    before = len(github.calls())
    for done, step in enumerate(("train", "evaluate")):
        title = f"{step} runs ({done} of 2 done)"
        await forge.report(said(commit, "running", "Running.", title=title, pull=1, step=step))
    assert len(github.calls()) == before + 2
    (check,) = github.check_runs(repository, commit)
    assert (check.status, check.output["title"]) == ("in_progress", "evaluate runs (1 of 2 done)")
    (comment,) = github.comments(repository, repository.issues[1])
    assert "The plan." in comment.body


async def test_a_run_again_by_githubs_button_has_its_own_check_also_for_a_restarted_controller(
    github: GitHub, repository: Repository, commit: str, client: Client
) -> None:
    await GitHubForge(client, NAMES).report(said(commit, "failed", "No.", conclusion="failure"))
    (first,) = github.check_runs(repository, commit)
    github.click_rerun(repository, first)
    again = {"run": "flight-delay-2"}
    await GitHubForge(client, NAMES).report(said(commit, "running", "Again.", run=None))
    await GitHubForge(client, NAMES).report(said(commit, "running", "Again.", **again))
    ended = said(commit, "passed", "Yes.", conclusion="success", **again)
    await GitHubForge(client, NAMES).report(ended)
    assert [(check.external_id, check.conclusion) for check in github.check_runs(repository)] == [
        (f"{commit}/flight-delay/flight-delay-1", "failure"),
        (f"{commit}/flight-delay/flight-delay-2", "success"),
    ]


async def test_a_later_run_of_a_commit_goes_on_with_the_check_of_one_that_has_not_ended(
    github: GitHub, repository: Repository, commit: str, forge: GitHubForge
) -> None:
    await forge.report(said(commit, "running", "As a branch."))
    later = {"run": "flight-delay-2", "pull": 1}
    await forge.report(said(commit, "running", "As a pull request.", **later))
    await forge.report(said(commit, "failed", "No.", conclusion="failure", **later))
    assert [check.conclusion for check in github.check_runs(repository, commit)] == ["failure"]


async def test_two_controllers_share_a_check_and_a_comment_and_take_no_conclusion_back(
    github: GitHub, repository: Repository, commit: str, client: Client
) -> None:
    one, other = GitHubForge(client, NAMES), GitHubForge(client, NAMES)
    runs = said(commit, "running", "It runs.", pull=1)
    passed = said(commit, "passed", "It passed.", pull=1, conclusion="success")
    await one.report(runs)
    await other.report(runs)
    await one.report(passed)
    await other.report(runs.model_copy(update={"step": "train"}))
    await other.report(passed)
    (check,) = github.check_runs(repository, commit)
    assert (check.status, check.conclusion) == ("completed", "success")
    (comment,) = github.comments(repository, repository.issues[1])
    assert "It passed." in comment.body


async def test_one_head_with_two_bases_has_two_checks_and_two_comments_whoever_ends_first(
    github: GitHub, repository: Repository, commit: str, client: Client
) -> None:
    """Loose rules let it into `team/easy`; that says nothing of main, nor of a watched branch."""
    github.push(repository, {"other.py": "c"}, branch="team/easy")
    github.open_pull_request(repository, "deeper", base="team/easy")
    main: dict[str, object] = {"run": "flight-delay-1", "pull": 1}
    easy: dict[str, object] = {"run": "flight-delay-2", "pull": 2, "scope": "into team/easy"}
    trial: dict[str, object] = {"run": "flight-delay-3", "scope": "on trial"}
    forge = GitHubForge(client, NAMES)
    for each in (main, easy, trial):
        await forge.report(said(commit, "running", "It waits.", **{**each, "run": None}))
        await forge.report(said(commit, "running", "It runs.", **each))
    ends = {"failed": ("failure", main), "passed": ("success", easy), "skipped": ("neutral", trial)}
    for state, (conclusion, each) in ends.items():
        # Also by a controller that was started anew.
        ended = said(commit, state, f"It {state}.", conclusion=conclusion, **each)
        await GitHubForge(client, NAMES).report(ended)
    assert {run.name: run.conclusion for run in github.check_runs(repository)} == {
        "headgate / flight-delay": "failure",
        "headgate / flight-delay (into team/easy)": "success",
        "headgate / flight-delay (on trial)": "neutral",
    }
    assert len(github.check_runs(repository)) == 3
    texts = [github.comments(repository, repository.issues[n])[0].body for n in (1, 2)]
    assert ["It failed." in text for text in texts] == [True, False]
    assert ["It passed." in text for text in texts] == [False, True]


def of_rules(commit: str, state: str, text: str, **more: object) -> CommitReport:
    return said(commit, state, text, **{"kind": "policy", "run": None, "pull": 1, **more})


async def test_rules_have_a_check_beside_at_one_request_with_a_button_and_no_comment(
    github: GitHub, repository: Repository, commit: str, forge: GitHubForge
) -> None:
    await forge.report(said(commit, "running", "The plan.", run=None))
    before = len(github.calls())
    loosened = {"conclusion": "failure", "asks": "accept"}
    await forge.report(of_rules(commit, "failed", "Loosened.", **loosened))
    assert len(github.calls()) == before + 1
    await forge.report(said(commit, "running", "It runs."))
    await forge.report(said(commit, "passed", "It passed.", conclusion="success"))
    gates, rules = github.check_runs(repository, commit)
    assert (gates.name, gates.conclusion) == ("headgate / flight-delay", "success")
    assert (rules.name, rules.conclusion) == ("headgate policy / flight-delay", "failure")
    assert [button["identifier"] for button in rules.actions] == ["accept"]
    assert github.comments(repository, repository.issues[1]) == []


async def test_the_policy_check_shows_the_last_report_even_if_it_repeats_an_earlier_one(
    github: GitHub, repository: Repository, commit: str, client: Client
) -> None:
    """They were accepted, and then the pull request got another base and its own again."""
    forge = GitHubForge(client, NAMES)
    loosened = of_rules(commit, "failed", "Loosened.", conclusion="failure", asks="accept")
    accepted = of_rules(commit, "accepted", "Accepted by ada.", conclusion="success")
    for report in (loosened, accepted, loosened):
        # The answer to the first try gets lost, carried out or not.
        for applied in (False, True):
            github.fail("POST /repos/{owner}/{repo}/check-runs", drop=True, applied=applied)
            await forge.report(report)
            shown = github.check_runs(repository, commit)[-1]
            assert shown.conclusion == report.conclusion
    # Those of another base are beside these.
    await forge.report(accepted.model_copy(update={"scope": "into easy"}))
    newest = {check.name: check.conclusion for check in github.check_runs(repository, commit)}
    assert newest == {
        "headgate policy / flight-delay": "failure",
        "headgate policy / flight-delay (into easy)": "success",
    }


@pytest.mark.parametrize("scope", ["", "into main", "into a/b@c (d)", "on ünï/✓%2F"])
@pytest.mark.parametrize("kind", ["gates", "policy"])
def test_a_check_is_known_by_what_it_is_of_and_no_two_are_taken_for_each_other(
    kind: Kind, scope: str
) -> None:
    mark = Mark("a" * 40, "flight-delay", kind, scope, "flight-delay-12")
    assert parse_mark(str(mark)) == mark
    others = [
        Mark("a" * 40, pipeline, other, its, "flight-delay-12")
        for pipeline in ("flight-delay", "flight", "")
        for other in KINDS
        for its in ("", "into", "into main", "into a", "into a/b@c (d)", "on ünï/✓%2F")
    ]
    taken = [one for one in others if str(one).startswith(mark.prefix)]
    assert [one for one in taken if one != mark] == []


async def test_a_token_of_a_person_comments_as_that_person_and_leaves_others_alone(
    github: GitHub, repository: Repository, commit: str
) -> None:
    (pull,) = repository.pulls()
    posed = github.comment(repository, pull, f"{MARK}\nIt passed, honestly", "eve")
    transport = Transport(api_of(github.url))
    forge = GitHubForge(Client(transport, Personal(github.token("octo"))), NAMES)
    await forge.report(said(commit, "running", "The plan.", pull=1))
    await forge.report(said(commit, "passed", "It passed.", pull=1, conclusion="success"))
    await transport.close()
    first, second = github.comments(repository, pull)
    assert (first.id, first.body) == (posed.id, f"{MARK}\nIt passed, honestly")
    assert (second.user.login, [one.text for one in parse(second.body)]) == ("octo", ["It passed."])
    assert len(github.calls("GET /user")) == 1


async def test_a_person_who_may_not_make_checks_makes_statuses(
    github: GitHub, repository: Repository, commit: str
) -> None:
    transport = Transport(api_of(github.url))
    forge = GitHubForge(Client(transport, Personal(github.token("octo"))), NAMES)
    await forge.report(said(commit, "running", "It runs."))
    await forge.report(said(commit, "stopped", "It is stopped.", conclusion="failure"))
    await forge.report(said(commit, "passed", "Yes.", conclusion="success", scope="into easy"))
    await forge.report(of_rules(commit, "accepted", "By ada.", conclusion="success"))
    await transport.close()
    assert [(one["context"], one["state"]) for one in github.statuses(repository, commit)] == [
        ("headgate / flight-delay", "pending"),
        ("headgate / flight-delay", "failure"),
        ("headgate / flight-delay (into easy)", "success"),
        ("headgate policy / flight-delay", "success"),
    ]
    assert github.check_runs(repository, commit) == []
