"""Abandoned checks: which ones the sweep concludes, how, and at which cost."""

import time
from pathlib import Path

import pytest

from controller.artifacts import Artifacts
from controller.config.secrets import Secrets
from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.github.abandoned_checks import GIVEN_UP, ChecksSweep
from controller.github.client import Client
from controller.github.comment import parse
from controller.github.forge import GitHubForge
from controller.github.transport import Transport
from controller.machine.core import Fact, Key
from controller.machine.pipelines.pipeline import PipelineState, Wanted
from controller.machine.repositories.repository import RepositoryState as Watched
from controller.machine.runs.run import Run, Trigger
from controller.reports.applier import ReportApplier
from controller.store.protocol import Store, Transaction
from specs.failures import TryAgain
from tests.controller.github.reporting import NAMES, said
from tests.controller.reports.stories import SPEC, graph, run
from tests.doubles.github import CheckRun, GitHub, Repository

RUN = "flight-delay-12"


@pytest.fixture
def forge(client: Client) -> GitHubForge:
    return GitHubForge(client, NAMES)


@pytest.fixture
def sweep(
    client: Client, repository: Repository, store: Store, forge: GitHubForge, tmp_path: Path
) -> ChecksSweep:
    mirrors = {"flights": Mirror(str(repository.git.path), tmp_path / "mirror.git")}
    repositories = Repositories(mirrors, tmp_path / "checkouts")
    artifacts = Artifacts(tmp_path / "artifacts")
    applier = ReportApplier(store, artifacts, repositories, forge, Secrets({}))
    return ChecksSweep(client, NAMES, store, applier.apply)


async def know(store: Store, *runs: Run) -> None:
    """The store has these runs."""
    facts = [Fact(key=Key("run", each.id), body=each.plain()) for each in runs]
    facts += [Fact(key=Key("graph", each.id), body=graph(each.commit).plain()) for each in runs]
    await store.commit(Transaction(facts=tuple(facts)), now=1.0)


def only(github: GitHub, repository: Repository) -> CheckRun:
    (check,) = github.check_runs(repository)
    return check


async def test_a_run_that_ended_unreported_gets_its_conclusion_and_its_comment(
    github: GitHub, repository: Repository, commit: str,
    forge: GitHubForge, store: Store, sweep: ChecksSweep,
) -> None:  # fmt: skip
    commit = github.push(repository, {"ml-pipeline.yaml": SPEC}, branch="deeper")
    await forge.report(said(commit, "running", "It runs.", run=RUN, pull=1))
    await know(store, run(commit, {}, pull=1))
    assert await sweep.sweep(time.time()) == 1
    assert only(github, repository).conclusion == "success"
    (comment,) = github.comments(repository, repository.issues[1])
    assert f"{RUN} passed" in parse(comment.body)[0].text
    assert await sweep.sweep(time.time()) == 0


async def test_the_check_of_another_base_is_ended_by_its_own_run_and_of_rules_none_is_open(
    github: GitHub, repository: Repository, commit: str,
    forge: GitHubForge, store: Store, sweep: ChecksSweep,
) -> None:  # fmt: skip
    commit = github.push(repository, {"ml-pipeline.yaml": SPEC}, branch="deeper")
    await forge.report(said(commit, "running", "It runs.", run=RUN))
    rules = {"kind": "policy", "conclusion": "failure", "asks": "accept"}
    await forge.report(said(commit, "failed", "Loosened.", run=None, **rules))
    await know(store, run(commit, {}, scope="into team/easy"))
    assert await sweep.sweep(time.time()) == 0, "that run is of another check"
    gates, policy = github.check_runs(repository)
    assert (gates.conclusion, policy.conclusion) == (None, "failure")


async def test_a_run_that_goes_on_is_left_however_long_it_takes(
    github: GitHub, repository: Repository, commit: str,
    forge: GitHubForge, store: Store, sweep: ChecksSweep,
) -> None:  # fmt: skip
    await forge.report(said(commit, "running", "It runs.", run=RUN))
    await know(store, run(commit, {}, finished=None))
    assert await sweep.sweep(time.time() + 9 * GIVEN_UP) == 0
    assert only(github, repository).conclusion is None


@pytest.mark.parametrize("number", [None, RUN])
async def test_an_unknown_check_is_abandoned_after_a_day_and_says_what_to_do(
    github: GitHub, repository: Repository, commit: str,
    forge: GitHubForge, sweep: ChecksSweep, number: str | None,
) -> None:  # fmt: skip
    await forge.report(said(commit, "running", "It runs.", run=number))
    assert await sweep.sweep(time.time() + GIVEN_UP - 600) == 0
    assert await sweep.sweep(time.time() + GIVEN_UP + 600) == 1
    check = only(github, repository)
    assert check.conclusion == "cancelled"
    assert "abandoned" in check.output["title"]
    assert "`headgate trigger flight-delay`" in check.output["summary"]


async def test_a_run_of_the_same_name_but_another_commit_is_another_controllers(
    github: GitHub, repository: Repository, commit: str,
    forge: GitHubForge, store: Store, sweep: ChecksSweep,
) -> None:  # fmt: skip
    await forge.report(said(commit, "running", "It runs.", run=RUN))
    await know(store, run("f" * 40, {}))
    assert await sweep.sweep(time.time()) == 0
    assert only(github, repository).conclusion is None


async def test_a_commit_that_waits_for_its_data_is_left_also_on_a_watched_branch(
    github: GitHub, repository: Repository, forge: GitHubForge, store: Store, sweep: ChecksSweep
) -> None:
    head = github.push(repository, {"train.py": "c"})
    await forge.report(said(head, "running", "It waits.", run=None))
    wanted = Wanted(trigger=Trigger(kind="commit", why="a commit"), commit=head, at=1.0)
    pipeline = PipelineState(
        name="flight-delay", repository="flights", default_branch="main", wanted={"main": wanted}
    )
    watched = Watched(name="flights", default_branch="main", heads={"main": head})
    facts = (
        Fact(key=Key("pipeline", "flight-delay"), body=pipeline.plain()),
        Fact(key=Key("repository", "flights"), body=watched.plain()),
    )
    await store.commit(Transaction(facts=facts), now=1.0)
    later = time.time() + 2 * GIVEN_UP
    assert await sweep.sweep(later) == 0
    idle = pipeline.model_copy(update={"wanted": {}})
    fact = Fact(key=Key("pipeline", "flight-delay"), body=idle.plain())
    await store.commit(Transaction(facts=(fact,)), now=2.0)
    assert await sweep.sweep(later) == 1


async def test_a_run_that_a_later_one_of_its_commit_has_overtaken_is_cancelled(
    github: GitHub, repository: Repository, commit: str,
    forge: GitHubForge, store: Store, sweep: ChecksSweep,
) -> None:  # fmt: skip
    await forge.report(said(commit, "running", "It runs.", run=RUN))
    await know(store, run(commit, {}), run(commit, {}, number=13))
    assert await sweep.sweep(time.time()) == 1
    assert only(github, repository).conclusion == "cancelled"


async def test_a_sweep_asks_once_per_head_and_again_for_nothing_and_leaves_a_reserve(
    github: GitHub, repository: Repository, commit: str,
    transport: Transport, sweep: ChecksSweep,
) -> None:  # fmt: skip
    for number in range(12):
        branch = f"change-{number}"
        github.push(repository, {"train.py": str(number)}, branch=branch)
        github.open_pull_request(repository, branch)
    await sweep.sweep(time.time())
    asked = transport.asked
    assert len(github.calls("GET /repos/{owner}/{repo}/commits/{ref}/check-runs")) == 13
    assert len(github.calls("GET /repos/{owner}/{repo}/pulls")) == 1
    await sweep.sweep(time.time())
    assert (transport.asked, transport.free) == (asked + 14, 14)
    github.limits.primary = 1000
    github.push(repository, {"train.py": "z"}, branch="change-1")
    with pytest.raises(TryAgain, match="reserved for reports"):
        await sweep.sweep(time.time())
