"""Deployments, commit statuses and issues, on the double; each effect twice, as after a crash."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.config.secrets import Secrets
from controller.github.auth import App
from controller.github.client import Client
from controller.github.issues import GitHubIssues
from controller.github.releases import GitHubReleases
from controller.github.transport import Transport, api_of
from controller.machine.actions import DeploymentState, ReportDeployment, ReportRelease
from controller.machine.core import Key
from controller.notify import NotifyApplier
from controller.notify.by_apprise import AppriseNotifier
from controller.store.protocol import Put, Transaction
from controller.store.sqlite import SqliteStore
from specs.failures import Ignore, NeedsHuman
from tests.contracts.notifier import INCIDENT
from tests.controller.notify.test_applier import notify
from tests.doubles.github import GitHub, Repository

REPO = "octo/flights"
OWNER = Key("environment", "flight-delay/production")
ELSEWHERE = Key("environment", "fares/production")


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    with GitHub(tmp_path) as double:
        yield double


@pytest.fixture
def repository(github: GitHub) -> Repository:
    made = github.repository(REPO)
    github.app()
    github.install(made)
    return made


@pytest.fixture
def commit(github: GitHub, repository: Repository) -> str:
    return github.push(repository, {"ml-pipeline.yaml": "a"})


@pytest.fixture
async def client(github: GitHub, repository: Repository) -> AsyncIterator[Client]:
    transport = Transport(api_of(github.url))
    yield Client(transport, App(github.hub.the_app().id, github.private_key, transport))
    await transport.close()


def releases(client: Client) -> GitHubReleases:
    """As a controller that has just started has it."""
    secrets = Secrets({"DB": "hunter2!"})
    return GitHubReleases(client, {"flights": REPO}, "https://h/", secrets.redact)


def report(commit: str, state: DeploymentState, text: str, **more: str) -> ReportDeployment:
    said = {"repository": "flights", "pipeline": "flight-delay", "environment": "production"}
    return ReportDeployment.model_validate(
        {
            "commit": commit,
            "shown": "production",
            "mark": "flight-delay-production-2",
            "version": 2,
            "state": state,
            "text": text,
            **said,
            **more,
        }
    )


async def test_a_rollout_is_one_deployment_however_many_controllers_tell_of_it(
    github: GitHub, repository: Repository, client: Client, commit: str
) -> None:
    for text in ("is brought up", "canary at 5 %"):
        await releases(client).deployment(OWNER, report(commit, "in_progress", text))
    await releases(client).deployment(OWNER, report(commit, "success", "serves all traffic"))
    (made,) = github.deployments(repository)
    assert (made.environment, made.production, made.sha) == ("production", True, commit)
    assert [one["description"] for one in made.statuses] == [
        "v2: is brought up",
        "v2: canary at 5 %",
        "v2: serves all traffic",
    ]


async def test_a_long_reason_is_cut_without_its_secrets_and_links_the_whole(
    github: GitHub, repository: Repository, client: Client, commit: str
) -> None:
    why = f"the password hunter2! was refused {'again ' * 50}"
    await releases(client).deployment(OWNER, report(commit, "failure", why))
    told = ReportRelease(
        repository="flights",
        commit=commit,
        pipeline="flight-delay",
        environment="production",
        healthy=False,
        text=why,
    )
    await releases(client).release(OWNER, told)
    (made,), (status,) = github.deployments(repository), github.statuses(repository, commit)
    for said in (made.statuses[-1], status):
        assert said["description"].endswith("…")
        assert len(said["description"]) <= 140
        assert "hunter2" not in said["description"]
        assert said["target_url"] == (
            f"https://h/{REPO}/commits/headgate/environments/production/flight-delay.yaml"
        )
    assert status["context"] == "headgate / flight-delay / production"


async def test_what_was_never_shown_is_not_made_to_be_withdrawn(
    github: GitHub, repository: Repository, client: Client, commit: str
) -> None:
    with pytest.raises(Ignore):
        await releases(client).deployment(OWNER, report(commit, "inactive", "superseded by v3"))
    assert github.deployments(repository) == []


async def test_of_a_repository_elsewhere_github_is_not_asked(
    github: GitHub, client: Client, commit: str
) -> None:
    asked = len(github.calls())
    elsewhere = report(commit, "success", "serves", repository="elsewhere")
    with pytest.raises(Ignore, match="not on GitHub"):
        await releases(client).deployment(OWNER, elsewhere)
    assert len(github.calls()) == asked


@pytest.fixture
async def applier(tmp_path: Path, client: Client) -> AsyncIterator[NotifyApplier]:
    """Knows the owner, whose repository is on GitHub, and one that is elsewhere."""
    store = await SqliteStore.open(tmp_path / "state.db")
    for owner, name in ((OWNER, "flights"), (ELSEWHERE, "elsewhere")):
        text = json.dumps({"repository": name})
        put = Put(key=owner, revision=0, text=text, live=False)
        await store.commit(Transaction(put=put), 0.0)
    issues = GitHubIssues(client, {"flights": REPO}, store)
    yield NotifyApplier(AppriseNotifier(), Secrets({}), issues.tell)
    await store.close()


async def test_an_alert_is_one_issue_that_its_resolve_comments_on_and_closes(
    github: GitHub, repository: Repository, applier: NotifyApplier
) -> None:
    firing, resolved = notify("github-issue"), notify("github-issue", status="resolved")
    for action in (firing, firing, resolved, resolved):
        await applier.apply(OWNER, action)
    (issue,) = repository.issues.values()
    assert (issue.title, issue.state) == (INCIDENT.title, "closed")
    assert "errors" in str(issue.body)
    (comment,) = github.comments(repository, issue)
    assert "Alert a/1: resolved." in comment.body
    await applier.apply(OWNER, firing)
    assert [one.state for one in repository.issues.values()] == ["closed", "open"]


async def test_an_info_notification_opens_no_issue_as_nothing_would_close_it(
    repository: Repository, applier: NotifyApplier
) -> None:
    await applier.apply(OWNER, notify("github-issue", status="info"))
    assert not repository.issues


async def test_a_repository_elsewhere_gets_no_issue_and_the_reason_says_what_to_set(
    applier: NotifyApplier,
) -> None:
    firing = notify("github-issue")
    with pytest.raises(NeedsHuman, match="elsewhere is not known to be on GitHub; set its"):
        await applier.apply(ELSEWHERE, firing)
    with pytest.raises(NeedsHuman, match="neither an app nor a token"):
        await NotifyApplier(AppriseNotifier(), Secrets({})).apply(OWNER, firing)
