"""The client and the webhook server against the GitHub double, which judges every request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from controller.github.auth import App
from controller.github.client import Client
from controller.github.responses import GitHubRefused, NotFound
from controller.github.transport import Transport, api_of
from controller.github.webhooks import Hint
from controller.machine.core import Envelope, Key, Message
from controller.machine.messages import ForgeMoved
from controller.web.server import application, listen, serve
from specs.failures import TryAgain
from tests.doubles.github.double import GitHub
from tests.doubles.github.state import Repository

REPO = "octo/flights"
CREATE_CHECK = "POST /repos/{owner}/{repo}/check-runs"


@asynccontextmanager
async def connected(github: GitHub) -> AsyncIterator[tuple[Client, Transport]]:
    transport = Transport(api_of(github.url))
    assert github.hub.app is not None
    try:
        yield Client(transport, App(github.hub.app.id, github.private_key, transport)), transport
    finally:
        await transport.close()


def a_repository(github: GitHub) -> Repository:
    repository = github.repository(REPO)
    github.push(repository, {"ml-pipeline.yaml": "a"})
    github.app()
    return repository


async def test_the_life_of_a_pull_request(tmp_path: Path) -> None:
    with GitHub(tmp_path) as github:
        repository = a_repository(github)
        github.install(repository)
        github.grant(repository, "ada", "maintain")
        sha = github.push(repository, {"train.py": "b"}, branch="deeper")
        github.open_pull_request(repository, "deeper", author="ada", title="Deeper trees")
        async with connected(github) as (client, transport):
            (pull,) = await client.open_pulls(REPO)
            assert (pull.head_sha, pull.head_ref, pull.author) == (sha, "deeper", "ada")
            assert not pull.fork
            assert await client.permission(REPO, "ada") == "write"
            assert await client.permission(REPO, "nobody") in ("none", "read")

            check = await client.create_check(
                REPO, name="headgate / flights", sha=sha, external_id="run-1", status="queued"
            )
            comment = await client.create_comment(REPO, 1, "<!-- flights --> plan", mark="flights")
            await client.update_check(
                REPO,
                check.id,
                status="completed",
                conclusion="failure",
                output={
                    "title": "FAIL",
                    "summary": "roc_auc is 0.58, limit 0.60",
                    "annotations": [
                        {
                            "path": "ml-pipeline.yaml",
                            "start_line": 1,
                            "end_line": 1,
                            "annotation_level": "failure",
                            "message": "no such step",
                        }
                    ],
                },
                actions=[{"label": "Retry", "description": "Run again", "identifier": "retry"}],
            )
            await client.update_comment(REPO, comment.id, "<!-- flights --> FAIL")
            await client.react(REPO, comment.id, "eyes")
            await client.react(REPO, comment.id, "eyes")
            (listed,) = await client.list_checks(REPO, sha, "run-")
            assert (listed.id, listed.conclusion) == (check.id, "failure")
            assert [one.body for one in await client.comments(REPO, 1)] == ["<!-- flights --> FAIL"]

            await client.create_status(REPO, sha, state="failure", context="headgate/production")
            deployment = await client.create_deployment(
                REPO, sha=sha, environment="production", mark="rollout-1", production=True
            )
            await client.deployment_status(
                REPO,
                deployment.id,
                state="in_progress",
                description="canary at 25%",
                environment_url="https://example.org",
                log_url="https://example.org/log",
            )
            (known,) = await client.list_deployments(REPO, sha=sha, environment="production")
            assert (known.id, known.mark) == (deployment.id, "rollout-1")
            issue = await client.open_issue(REPO, title="Rolled back", body="why", mark="why")
            assert issue.number == 2
            made = await client.create_pull(
                REPO, title="Release", head="deeper", base="main", body="evidence"
            )
            assert made.number == 1  # the one that is open already
            closed = await client.update_pull(REPO, 1, state="closed")
            assert (closed.state, closed.merged) == ("closed", False)
            with pytest.raises(NotFound):
                await client.update_comment(REPO, 999_999, "gone")
            assert client.budget is not None
            assert client.budget.remaining < client.budget.limit

            await client.open_pulls(REPO)
            before = transport.free
            await client.open_pulls(REPO)
            assert transport.free == before + 1


async def test_tokens_end_answers_are_lost_and_limits_met_and_there_is_one_check(
    tmp_path: Path,
) -> None:
    with GitHub(tmp_path) as github:
        repository = a_repository(github)
        github.install(repository)
        sha = github.push(repository, {"train.py": "b"})
        async with connected(github) as (client, _):
            assert await client.open_pulls(REPO) == ()
            github.end_tokens()
            assert await client.open_pulls(REPO, reserve=500) == (), (
                "the limit that a 401 tells of is that of strangers"
            )
            github.end_tokens()
            github.fail(CREATE_CHECK, drop=True, applied=True)
            check = await client.create_check(REPO, name="headgate", sha=sha, external_id="run-1")
            assert [run.id for run in github.check_runs(repository)] == [check.id]
            github.limits.trip(retry_after=90)
            for _ in range(2):
                with pytest.raises(TryAgain, match="rate limit") as limited:
                    await client.update_check(REPO, check.id, status="in_progress")
                assert limited.value.after is not None
                assert 80 < limited.value.after <= 90
            assert len(github.calls("PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}")) == 1


async def test_what_the_app_may_not_do_needs_a_human(tmp_path: Path) -> None:
    with GitHub(tmp_path) as github:
        repository = a_repository(github)
        github.install(repository, permissions={"metadata": "read", "checks": "read"})
        sha = github.push(repository, {"train.py": "b"})
        async with connected(github) as (client, _):
            with pytest.raises(GitHubRefused, match="Resource not accessible by integration"):
                await client.create_check(REPO, name="headgate", sha=sha, external_id="run-1")


async def test_what_happens_on_github_arrives_as_hints(tmp_path: Path) -> None:
    hints: dict[str, Hint] = {}
    sent: list[Message] = []
    arrived = asyncio.Event()

    def whom(hint: Hint) -> list[Key]:
        hints[hint.kind] = hint
        return [Key("repository", "flights")]

    async def send(envelope: Envelope) -> None:
        sent.append(envelope.message)
        if {"moved", "pull", "comment"} <= hints.keys():
            arrived.set()

    listening = listen("127.0.0.1", 0, ["webhook secret"])
    running = asyncio.create_task(
        serve(application(["old", "webhook secret"], whom, send), listening)
    )
    with GitHub(tmp_path) as github:
        repository = a_repository(github)
        github.install(repository)
        github.webhooks.url = f"http://127.0.0.1:{listening.getsockname()[1]}/webhooks/github"
        await asyncio.to_thread(github.push, repository, {"train.py": "b"}, "deeper")
        pull = await asyncio.to_thread(github.open_pull_request, repository, "deeper")
        await asyncio.to_thread(github.comment, repository, pull, "/headgate retry", "ada")
        async with asyncio.timeout(30):
            await arrived.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert hints["pull"].pull == 1
    assert {ForgeMoved(), ForgeMoved(pull=True, head="deeper")} == set(sent)
    comment = hints["comment"]
    assert (comment.author, comment.body) == ("ada", "/headgate retry")
