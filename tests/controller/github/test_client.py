"""The GitHub client, against a server that fails in the ways GitHub does."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controller.github.auth import Personal
from controller.github.client import Client
from controller.github.responses import GitHubRefused, NotFound
from controller.github.transport import LARGEST, Token, Transport, api_of
from specs.failures import NeedsHuman, TryAgain
from tests.controller.github.little_github import Answer, Asked, LittleGitHub, Says

REPO = "octo/flights"
SHA = "a" * 40
SECRET = "ghp_" + "s3cret" * 6
NOW = 1_800_000_000.0
CHECKS = f"/repos/{REPO}/check-runs"
LISTED = f"/repos/{REPO}/commits/{SHA}/check-runs"


class AsApp(Personal):
    """A token, and the name of an app."""

    app_id = "7"


@asynccontextmanager
async def asking(
    answer: Answer, *, patience: float = 30.0
) -> AsyncIterator[tuple[LittleGitHub, Client, Transport]]:
    async def at_once(_: float) -> None:
        """Nobody waits in a test."""

    async with LittleGitHub.serving(answer) as little:
        transport = Transport(little.api, now=lambda: NOW, sleep=at_once, patience=patience)
        try:
            yield little, Client(transport, AsApp(SECRET)), transport
        finally:
            await transport.close()


def a_pull(number: int, **other: Any) -> dict[str, Any]:
    return {
        "number": number,
        "title": "Deeper trees",
        "user": {"login": "ada"},
        "head": {"sha": SHA, "ref": "deeper", "repo": {"full_name": REPO}},
        "base": {"sha": "b" * 40, "ref": "main", "repo": {"full_name": REPO}},
        **other,
    }


def a_check(number: int, external_id: str, app: int = 7) -> dict[str, Any]:
    return {"id": number, "external_id": external_id, "app": {"id": app}, "head_sha": SHA}


async def test_a_poll_that_finds_nothing_new_costs_nothing() -> None:
    def answer(asked: Asked) -> Says:
        page = asked.query.get("page", "1")
        tag = f'"page-{page}"'
        if asked.headers.get("if-none-match") == tag:
            return Says(304, None, {"ETag": tag})
        following = f'<http://{asked.headers["host"]}{asked.path}?page=2>; rel="next"'
        return Says(200, [a_pull(int(page))], {"ETag": tag, "Link": following * (page == "1")})

    async with asking(answer) as (_, client, transport):
        first = await client.open_pulls(REPO)
        assert [pull.number for pull in first] == [1, 2]
        assert await client.open_pulls(REPO) == first
        assert (transport.asked, transport.free) == (4, 2)


async def test_a_next_page_on_another_server_is_not_asked_for() -> None:
    async with LittleGitHub.serving(lambda _: Says(200, [])) as thief:

        def answer(_: Asked) -> Says:
            return Says(200, [a_pull(1)], {"Link": f'<{thief.api}/pulls>; rel="next"'})

        async with asking(answer) as (_, client, _):
            with pytest.raises(NeedsHuman, match="another server"):
                await client.open_pulls(REPO)
        assert thief.asked == []


async def test_a_renamed_repository_is_followed_but_never_to_another_server() -> None:
    async with LittleGitHub.serving(lambda _: Says(200, a_pull(1))) as thief:

        def answer(asked: Asked) -> Says:
            if asked.path == "/repositories/5/pulls/1":
                return Says(200, a_pull(1))
            there = "/repositories/5/pulls/1" if asked.path.endswith("/1") else thief.api
            return Says(301, None, {"Location": there})

        async with asking(answer) as (_, client, _):
            assert (await client.pull(REPO, 1)).number == 1
            with pytest.raises(NeedsHuman, match="another server"):
                await client.pull(REPO, 2)
        assert thief.asked == []


async def test_a_pull_request_whose_author_and_fork_are_gone_is_listed_like_any_other() -> None:
    gone = a_pull(2, user=None)
    gone["head"]["repo"] = None
    async with asking(lambda _: Says(200, [a_pull(1), gone])) as (_, client, _):
        mine, theirs = await client.open_pulls(REPO)
    assert (mine.author, mine.fork) == ("ada", False)
    assert (theirs.author, theirs.fork) == ("", True)


@pytest.mark.parametrize(
    ("said", "after"),
    [
        (Says(403, {"message": "You have exceeded a secondary rate limit"}), 60),
        (Says(403, {"message": "secondary rate limit"}, {"Retry-After": "17"}), 17),
        (Says(429, {"message": "Slow down"}), 60),
        (
            Says(
                403,
                {"message": "API rate limit exceeded"},
                {
                    "X-RateLimit-Limit": "5000",
                    "X-RateLimit-Remaining": "0",
                    "X-RateLimit-Reset": str(int(NOW) + 900),
                },
            ),
            901,
        ),
        (Says(429, {"message": "later"}, {"Retry-After": "999999"}), 3600),
    ],
)
async def test_a_reached_rate_limit_is_waited_out_without_further_requests(
    said: Says, after: float
) -> None:
    async with asking(lambda _: said) as (little, client, _):
        for _ in range(3):
            with pytest.raises(TryAgain, match="limit") as failed:
                await client.pull(REPO, 1)
            assert failed.value.after is not None
            assert abs(failed.value.after - after) <= 1
        assert len(little.asked) == 1


async def test_a_poll_leaves_the_last_requests_to_reports() -> None:
    left = {
        "X-RateLimit-Limit": "5000",
        "X-RateLimit-Remaining": "40",
        "X-RateLimit-Reset": str(int(NOW) + 60),
    }

    def answer(asked: Asked) -> Says:
        return Says(200, [] if asked.path.endswith("pulls") else a_pull(1), left)

    async with asking(answer) as (little, client, _):
        await client.open_pulls(REPO, reserve=100)
        assert client.budget == (5000, 40, NOW + 60)
        with pytest.raises(TryAgain, match="40 of 5000") as failed:
            await client.open_pulls(REPO, reserve=100)
        assert failed.value.after == 60
        await client.pull(REPO, 1)
        assert len(little.asked) == 2


async def never(_: Asked) -> Says:
    await asyncio.sleep(3600)
    raise AssertionError("somebody waited for an hour")


HALF = b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"number": 1'
CUT = b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"number": 1'
BROKEN: dict[str, Answer] = {
    "502": lambda _: Says(502, None),
    "a page of HTML": lambda _: b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<h1>Unicorn</h1>",
    "half an answer": lambda _: HALF,
    "half a JSON": lambda _: CUT,
    "nothing": lambda _: b"",
    "silence": never,
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_what_may_be_asked_twice_is_asked_three_times_and_then_later(kind: str) -> None:
    # Only silence is waited out; the others come whole, however busy the machine is.
    async with asking(BROKEN[kind], patience=0.5 if kind == "silence" else 30.0) as (
        little,
        client,
        _,
    ):
        with pytest.raises(TryAgain, match=f"GET /repos/{REPO}/pulls/1"):
            await client.pull(REPO, 1)
        assert len(little.asked) == 3


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_check_that_was_made_although_the_answer_got_lost_is_found_not_doubled(
    kind: str,
) -> None:
    made: list[dict[str, Any]] = []

    def answer(asked: Asked) -> Any:
        if asked.method == "POST":
            made.append(a_check(11, asked.data["external_id"]) | {"name": asked.data["name"]})
            return BROKEN[kind](asked)
        return Says(200, {"check_runs": [a_check(9, "run-1"), *made]})

    async with asking(answer, patience=1.0 if kind == "silence" else 30) as (little, client, _):
        check = await client.create_check(REPO, name="headgate", sha=SHA, external_id="run-12")
        assert (check.id, len(made)) == (11, 1)
        assert [str(asked) for asked in little.asked] == [f"POST {CHECKS}", f"GET {LISTED}"]


async def test_a_report_repeated_after_another_is_not_taken_for_the_earlier_one() -> None:
    """A check with that id exists, but GitHub shows a newer one with another report."""
    name = "headgate policy / mean"
    there = [a_check(n, id_) | {"name": name} for n, id_ in enumerate("ab", 1)]
    tries: Iterator[Says | bytes] = iter([b"", Says(201, a_check(3, "a"))])

    def answer(asked: Asked) -> Says | bytes:
        return next(tries) if asked.method == "POST" else Says(200, {"check_runs": there})

    async with asking(answer) as (_, client, _):
        check = await client.create_check(REPO, name=name, sha=SHA, external_id="a")
        assert check.id == 3


async def test_a_comment_that_was_lost_on_its_way_is_sent_again_once_nobody_has_it() -> None:
    tries: Iterator[Says | bytes] = iter([b"", Says(201, {"id": 5, "body": "<!-- m --> PASS"})])

    def answer(asked: Asked) -> Says | bytes:
        return next(tries) if asked.method == "POST" else Says(200, [])

    async with asking(answer) as (little, client, _):
        comment = await client.create_comment(REPO, 3, "<!-- m --> PASS", mark="<!-- m -->")
        assert comment.id == 5
        assert [asked.method for asked in little.asked] == ["POST", "GET", "POST"]


async def test_a_github_that_is_not_there_is_asked_later() -> None:
    async with asking(lambda _: Says()) as (little, client, _):
        pass
    transport = Transport(little.api, sleep=lambda _: asyncio.sleep(0))
    client = Client(transport, AsApp(SECRET))
    with pytest.raises(TryAgain, match="incomplete response"):
        await client.create_status(REPO, SHA, state="success", context="headgate")
    assert transport.asked == 3
    await transport.close()


async def test_a_check_run_is_made_and_changed_with_one_request_each() -> None:
    def answer(asked: Asked) -> Says:
        return Says(201 if asked.method == "POST" else 200, {"id": 11})

    output = {"title": "PASS", "summary": "9 of 9 checks", "annotations": []}
    async with asking(answer) as (little, client, _):
        made = await client.create_check(REPO, name="headgate", sha=SHA, external_id="run-1")
        changed = await client.update_check(
            REPO, made.id, status="completed", conclusion="success", output=output
        )
    assert changed.id == 11
    created, updated = little.asked
    assert str(created) == f"POST {CHECKS}"
    assert created.data == {
        "name": "headgate",
        "head_sha": SHA,
        "external_id": "run-1",
        "status": "queued",
    }
    assert str(updated) == f"PATCH {CHECKS}/11"
    assert updated.data == {"status": "completed", "conclusion": "success", "output": output}
    assert created.headers["authorization"] == f"Bearer {SECRET}"
    assert created.headers["x-github-api-version"] == "2022-11-28"


async def test_every_other_change_goes_where_it_belongs() -> None:
    def answer(asked: Asked) -> Says:
        data = {"id": 5, "sha": SHA, **a_pull(3)}
        return Says(201 if asked.method == "POST" else 200, data)

    async with asking(answer) as (little, client, _):
        await client.update_comment(REPO, 5, "PASS")
        await client.update_pull(REPO, 3, state="closed")
        await client.create_status(REPO, SHA, state="failure", context="h", description="x" * 200)
        await client.open_issue(REPO, title="Rolled back", body="m", mark="m", labels=["incident"])
        await client.react(REPO, 5, "eyes")
        await client.create_deployment(REPO, sha=SHA, environment="staging", mark="run-1")
        await client.deployment_status(REPO, 5, state="in_progress", log_url="https://h/l")
        await client.create_pull(REPO, title="Release", head="release", base="env", body="why")
    repo = f"/repos/{REPO}"
    assert [(str(asked), asked.data) for asked in little.asked] == [
        (f"PATCH {repo}/issues/comments/5", {"body": "PASS"}),
        (f"PATCH {repo}/pulls/3", {"state": "closed"}),
        (
            f"POST {repo}/statuses/{SHA}",
            {"state": "failure", "context": "h", "description": "x" * 140},
        ),
        (f"POST {repo}/issues", {"title": "Rolled back", "body": "m", "labels": ["incident"]}),
        (f"POST {repo}/issues/comments/5/reactions", {"content": "eyes"}),
        (
            f"POST {repo}/deployments",
            {
                "ref": SHA,
                "auto_merge": False,
                "required_contexts": [],
                "environment": "staging",
                "description": "",
                "production_environment": False,
                "payload": {"headgate": "run-1"},
            },
        ),
        (
            f"POST {repo}/deployments/5/statuses",
            {
                "state": "in_progress",
                "description": "",
                "log_url": "https://h/l",
                "auto_inactive": True,
            },
        ),
        (
            f"POST {repo}/pulls",
            {"title": "Release", "body": "why", "base": "env", "head": "release"},
        ),
    ]


async def test_a_pull_request_that_is_open_already_is_the_one() -> None:
    def answer(asked: Asked) -> Says:
        if asked.method == "POST":
            return Says(422, {"message": "Validation Failed", "errors": [{"message": "exists"}]})
        assert asked.query["head"] == "octo:release"
        return Says(200, [a_pull(8)])

    async with asking(answer) as (_, client, _):
        pull = await client.create_pull(REPO, title="R", head="release", base="env", body="")
    assert pull.number == 8


async def test_only_this_apps_own_checks_are_listed() -> None:
    checks = [a_check(1, "run-1"), a_check(2, "run-1", app=8), a_check(3, "other")]
    checks.append({"id": 4, "app": None, "external_id": None})
    async with asking(lambda _: Says(200, {"check_runs": checks})) as (_, client, _):
        assert [check.id for check in await client.list_checks(REPO, SHA, "run-")] == [1]
        assert [check.id for check in await client.list_checks(REPO, SHA)] == [1, 3]


async def test_changes_of_one_owner_go_one_after_the_other_and_reading_goes_on() -> None:
    async def answer(asked: Asked) -> Says:
        await asyncio.sleep(0.02)
        return Says(201 if asked.method == "POST" else 200, {"id": 1})

    async with asking(answer) as (little, client, _):
        await asyncio.gather(*(client.update_comment(REPO, n, "x") for n in range(1, 7)))
        assert little.at_once == 1
        await asyncio.gather(*(client.permission(REPO, f"user-{n}") for n in range(6)))
        assert little.at_once > 1


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            Says(
                403,
                {"message": "Resource not accessible by integration"},
                {"X-Accepted-GitHub-Permissions": "checks=write"},
            ),
            GitHubRefused,
            r"Resource not accessible by integration.*lacks `checks: write`: grant it",
        ),
        (
            Says(
                403, {"message": "no"}, {"X-Accepted-GitHub-Permissions": "a=read,b=read; c=write"}
            ),
            GitHubRefused,
            r"lacks `a: read` and `b: read` or `c: write`",
        ),
        (
            Says(403, {"message": "no"}, {"X-Accepted-OAuth-Scopes": "repo"}),
            GitHubRefused,
            "one of the scopes repo",
        ),
        (
            Says(401, {"message": "Bad credentials"}),
            GitHubRefused,
            "Bad credentials.*Use a valid token",
        ),
        (Says(404, {"message": "Not Found"}), NotFound, "Not Found.*app is installed"),
        (Says(410, {"message": "Issues are disabled"}), NotFound, "Issues are disabled"),
        (
            Says(
                422,
                {
                    "message": "Validation Failed",
                    "errors": [{"resource": "X", "field": "title", "code": "missing"}, "odd"],
                },
            ),
            GitHubRefused,
            "422: Validation Failed; title: missing; odd",
        ),
        (Says(409, {"message": "Head moved"}), TryAgain, "Head moved"),
        (Says(451, ["what"]), GitHubRefused, "no explanation"),
    ],
)
async def test_a_refusal_has_githubs_explanation_and_the_fix(
    said: Says, kind: type[Exception], words: str
) -> None:
    async with asking(lambda _: said) as (_, client, _):
        with pytest.raises(kind, match=words):
            await client.update_comment(REPO, 5, "x")


async def test_no_token_is_ever_shown() -> None:
    def answer(asked: Asked) -> Says:
        return Says(422, {"message": f"odd: {asked.headers['authorization']}", "errors": SECRET})

    async with asking(answer) as (_, client, _):
        with pytest.raises(GitHubRefused) as failed:
            await client.pull(REPO, 1)
    assert SECRET not in str(failed.value)
    assert SECRET not in repr(Token(SECRET, "somebody"))


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    def answer(_: Asked) -> bytes:
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b" " * (LARGEST + 1)

    async with asking(answer) as (_, client, _):
        with pytest.raises(NeedsHuman, match="larger than"):
            await client.pull(REPO, 1)


@pytest.mark.parametrize(
    "name", ["flights", "../flights", "octo/..", "octo/a/b", "octo/a?x", "octo/", "o c/to", "é/x"]
)
async def test_an_invalid_repository_name_is_never_sent(name: str) -> None:
    async with asking(lambda _: Says(200, [])) as (little, client, _):
        with pytest.raises(NeedsHuman, match="expected OWNER/NAME"):
            await client.open_pulls(name)
        with pytest.raises(NeedsHuman, match="is not a full commit id"):
            await client.list_checks(REPO, f"../{SHA}")
        assert little.asked == []


async def test_a_user_cannot_name_another_path() -> None:
    async with asking(lambda _: Says(404, {"message": "Not Found"})) as (little, client, _):
        assert await client.permission(REPO, "../../x?y") == "none"
        assert re.fullmatch(f"/repos/{REPO}/collaborators/[^/?]+/permission", little.asked[0].path)


@pytest.mark.parametrize(
    ("given", "api"),
    [
        ("https://github.com", "https://api.github.com"),
        ("github.com/", "https://api.github.com"),
        ("https://api.github.com", "https://api.github.com"),
        ("https://octo.ghe.com", "https://api.octo.ghe.com"),
        ("https://git.example.com", "https://git.example.com/api/v3"),
        ("https://git.example.com:8443/api/v3/", "https://git.example.com:8443/api/v3"),
        ("https://someone:secret@git.example.com", "https://git.example.com/api/v3"),
        ("http://127.0.0.1:99", "http://127.0.0.1:99/api/v3"),
    ],
)
def test_the_api_is_found_from_the_address_in_the_browser(given: str, api: str) -> None:
    assert api_of(given) == api


@pytest.mark.parametrize("given", ["http://git.example.com", "ftp://x", "https://", ""])
def test_an_address_that_would_send_the_token_in_the_clear_is_refused(given: str) -> None:
    with pytest.raises(NeedsHuman, match="expected https"):
        api_of(given)
