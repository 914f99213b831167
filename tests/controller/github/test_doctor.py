"""The doctor's findings on GitHub: each mistake is made on the double, and its fix is named."""

import asyncio
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from controller.config.settings import Settings
from controller.config.settings_file import load_settings
from controller.doctor.examine import examine
from controller.doctor.findings import Finding
from controller.doctor.on_github import examine_github, settings_page
from controller.github.permissions import (
    EVENTS,
    PERMISSIONS,
    calls_an_hour,
    lacking,
    lacks_scope,
    missing_events,
    needs_of,
)
from controller.github.values import AppItself
from tests.controller.github.conftest import REPO
from tests.controller.github.little_github import Asked, LittleGitHub, Says
from tests.doubles.github import GitHub, Repository
from tests.ports import reserved_port

LEAST = {need.name: need.level for need in PERMISSIONS}
DOCUMENT = Path(__file__).parents[3] / "docs" / "github.md"


class Found(list[Finding]):
    """The findings, by what a test wants to know."""

    def of(self, state: str) -> list[tuple[str, str]]:
        return [(one.message, one.fix) for one in self if one.state == state]

    @property
    def troubles(self) -> list[tuple[str, str]]:
        return self.of("error") + self.of("warning")


async def look(
    url: str, folder: Path, secrets: dict[str, str], teams: Sequence[str] = (), **github: Any
) -> Found:
    settings = Settings.model_validate(
        {
            "repositories": [{"name": "flights", "url": "remote.git", "github": REPO}],
            "github": {"url": url, **github},
        }
    )
    environ = {f"HEADGATE_SECRET_{name}": value for name, value in secrets.items()}
    by_repository = {"flights": teams}
    looked = examine_github(settings, folder, environ, by_repository)
    return Found([finding async for finding in looked])


async def as_app(github: GitHub, folder: Path, **more: Any) -> Found:
    app = {"id": github.hub.the_app().id, "private_key": "KEY"}
    given = {"KEY": github.private_key, "HOOK": github.hub.the_app().webhook_secret}
    return await look(github.url, folder, given, app=app, **more)


@pytest.fixture
def bare(github: GitHub) -> Repository:
    """A repository without the app."""
    made = github.repository(REPO)
    github.push(made, {"a.txt": "a"})
    return made


async def test_an_app_with_the_least_permissions_and_its_webhook_is_found_good(
    github: GitHub, bare: Repository, tmp_path: Path
) -> None:
    github.app(permissions=LEAST)
    github.install(bare, permissions=LEAST)
    github.webhooks.url = "https://hooks.example.org/webhooks/github"
    with reserved_port() as port:
        found = await as_app(github, tmp_path, webhook={"secret": "HOOK", "port": port})
    assert found.troubles == []
    said = "\n".join(finding.message for finding in found)
    assert "accepts the key of app headgate of app-owner" in said
    assert "may metadata: read, contents: read, checks: write, pull_requests: write" in said
    assert "of 5,000 calls are left for octo/flights until" in said
    assert "GitHub posts to https://hooks.example.org/webhooks/github" in said
    assert f"127.0.0.1:{port} is free to listen on" in said


async def test_nothing_is_looked_at_without_an_app_or_token(tmp_path: Path) -> None:
    assert await look("http://127.0.0.1:1", tmp_path, {}) == []


async def test_each_permission_that_lacks_is_named_with_the_page_that_grants_it(
    github: GitHub, bare: Repository, tmp_path: Path
) -> None:
    granted = {**LEAST, "checks": "read"}
    del granted["deployments"]
    github.app(permissions={**granted, "checks": "write"})
    installation = github.install(bare, permissions=granted)
    found = await as_app(github, tmp_path)
    accept = f"{github.url}/settings/installations/{installation.id}"
    assert found.of("error") == [
        (
            "the app lacks checks: write (the verdict on each commit)",
            f"accept the app's new permissions: {accept}",
        )
    ]
    (message, fix), _ = found.of("warning")
    assert message == "the app lacks deployments: write (what staging and production run)"
    page = f"{github.url}/settings/apps/headgate/permissions"
    assert fix == f"grant it: {page}, then accept it: {accept}"


async def test_an_app_that_may_not_see_the_team_that_a_spec_names_is_told_of_and_works(
    github: GitHub, bare: Repository, tmp_path: Path
) -> None:
    github.app(permissions=LEAST)
    installation = github.install(bare, permissions=LEAST)
    assert "members" not in str((await as_app(github, tmp_path)).troubles), "nobody asks for it"
    found = await as_app(github, tmp_path, teams=["@Octo/risk"])
    assert found.of("error") == []
    (message, fix), _ = found.of("warning")
    assert message == (
        "the app lacks members: read (who is in @Octo/risk and may accept changed rules)"
    )
    page = f"{github.url}/settings/apps/headgate/permissions"
    accept = f"{github.url}/settings/installations/{installation.id}"
    assert fix == f"grant it: {page}, then accept it: {accept}"
    github.hub.the_app().permissions["members"] = "read"
    installation.permissions["members"] = "read"
    found = await as_app(github, tmp_path, teams=["@Octo/risk"])
    assert "members: read" in "\n".join(message for message, _ in found.of("ok"))
    found = await as_app(github, tmp_path, teams=["@octo/risk", "@acme/risk"])
    (message, fix), _ = found.of("warning")
    assert message.startswith("the members of @acme/risk cannot be read")
    assert "teams of octo" in fix


SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: flight-delay}
steps: {train: {run: "true"}}
policy: {approvers: ["@ada", "@octo/risk"]}
"""


async def test_the_teams_are_those_of_the_specs_at_the_default_branch(
    github: GitHub, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.push(repository, {"ml-pipeline.yaml": SPEC})
    monkeypatch.setenv("HEADGATE_SECRET_KEY", github.private_key)
    app = {"id": github.hub.the_app().id, "private_key": "KEY"}
    settings = Settings.model_validate(
        {
            "home": "home",
            "repositories": [{"name": "flights", "url": str(repository.git.path), "github": REPO}],
            "github": {"url": github.url, "app": app},
        }
    )
    found = Found([finding async for finding in examine(settings, tmp_path)])
    said = "the app lacks members: read (who is in @octo/risk and may accept changed rules)"
    assert said in [message for message, _ in found.of("warning")]


async def test_an_app_that_is_not_installed_or_suspended_is_an_error(
    github: GitHub, bare: Repository, tmp_path: Path
) -> None:
    github.app()
    other = github.repository("octo/trains")
    installation = github.install(other)
    ((message, fix),) = (await as_app(github, tmp_path)).of("error")
    assert "the app headgate is not installed there" in message
    assert fix == f"install it: {github.url}/apps/headgate/installations/new"
    installation.repositories.append(bare)
    github.suspend(installation)
    ((message, fix),) = (await as_app(github, tmp_path)).of("error")
    assert "suspended" in message
    assert fix == f"resume it: {github.url}/settings/installations/{installation.id}"


async def test_without_webhooks_the_cost_of_polling_is_told(
    github: GitHub,
    repository: Repository,
    tmp_path: Path,
) -> None:
    found = await as_app(github, tmp_path)
    ((message, fix),) = found.troubles
    assert "polling GitHub 720 times an hour" in message
    assert "noticed after up to 10s" in message
    assert "github.webhook.secret" in fix


async def test_a_webhook_that_cannot_work_is_told_from_both_ends(
    github: GitHub, bare: Repository, tmp_path: Path
) -> None:
    app = github.app(events=["push"])
    github.install(bare)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = await as_app(github, tmp_path, webhook={"secret": "HOOK", "port": port})
    errors = found.of("error")
    assert "the app has no webhook URL" in errors[0][0]
    assert f"cannot listen on 127.0.0.1:{port}" in errors[1][0]
    ((message, _),) = found.of("warning")
    assert message.startswith("webhooks for check_run, check_suite, issue_comment, pull_request")
    github.webhooks.url = "https://hooks.example.org/webhooks/github"
    app.webhook_secret = ""
    ((message, _), *_) = (await as_app(github, tmp_path, webhook={"secret": "GONE"})).of("error")
    assert "no secret, so deliveries are rejected" in message
    app.webhook_secret, app.webhook_type = "x", "form"
    ((message, fix), gone) = (await as_app(github, tmp_path, webhook={"secret": "GONE"})).of(
        "error"
    )
    assert "as form" in message
    assert "application/json" in fix
    assert "GONE" in gone[0]


async def test_a_delivery_that_was_refused_hints_at_the_secret(
    github: GitHub, repository: Repository, tmp_path: Path
) -> None:
    async with LittleGitHub.serving(lambda _: Says(401, {})) as receiver:
        github.webhooks.url = f"{receiver.api}/webhooks/github"
        github.push(repository, {"b.txt": "b"})
        assert await _settled(github)
        with reserved_port() as port:
            found = await as_app(github, tmp_path, webhook={"secret": "HOOK", "port": port})
    ((message, fix),) = found.troubles
    assert "was answered with 401" in message
    assert "set the same secret" in fix


async def _settled(github: GitHub) -> bool:
    await asyncio.to_thread(github.webhooks.settle)
    return bool(github.webhooks.sent)


async def test_a_port_that_a_controller_has_is_well(
    github: GitHub,
    repository: Repository,
    tmp_path: Path,
) -> None:
    async def healthy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(healthy, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        found = await as_app(github, tmp_path, webhook={"secret": "HOOK", "port": port})
    said = [finding.message for finding in found]
    assert f"a controller listens on 127.0.0.1:{port}" in said


async def test_a_key_of_another_app_and_a_server_that_is_no_github_are_told_apart(
    github: GitHub,
    repository: Repository,
    tmp_path: Path,
) -> None:
    key = {"KEY": github.private_key}
    found = await look(github.url, tmp_path, key, app={"id": 5, "private_key": "KEY"})
    ((message, fix),) = found.of("error")
    assert "GitHub rejects app 5 with this private key" in message
    assert "github.app" in fix
    async with LittleGitHub.serving(lambda _: Says(404, {})) as little:
        found = await look(little.api, tmp_path, key, app={"id": 5, "private_key": "KEY"})
    ((message, fix),) = found.of("error")
    assert message == f"{little.api}/api/v3 is not a GitHub API"
    assert "github.url" in fix
    found = await look("http://127.0.0.1:1", tmp_path, key, app={"id": 5, "private_key": "KEY"})
    ((message, fix),) = found.of("error")
    assert "incomplete response" in message
    assert "http://127.0.0.1:1" in fix
    found = await look(github.url, tmp_path, {}, app={"id": 5, "private_key": "KEY"})
    ((message, fix),) = found.of("error")
    assert "KEY" in message


async def test_a_limit_that_is_nearly_used_up_is_a_warning(
    github: GitHub,
    repository: Repository,
    tmp_path: Path,
) -> None:
    github.limits.primary = 400
    (message, fix), _ = (await as_app(github, tmp_path)).of("warning")
    assert "of 400 calls are left" in message
    assert "`poll`" in fix


# With a personal token


async def test_a_person_who_may_write_is_found_good_and_what_lacks_is_said(
    github: GitHub, bare: Repository, tmp_path: Path
) -> None:
    github.grant(bare, "ada", "write")
    found = await look(github.url, tmp_path, {"PAT": github.token("ada")}, token="PAT")
    assert found.of("error") == []
    said = "\n".join(finding.message for finding in found)
    assert "accepts the token of ada; with commit statuses instead of checks" in said
    assert "the token can read pull_requests, issues, deployments, statuses" in said


async def test_a_person_who_may_only_read_or_is_not_let_in_is_an_error(
    github: GitHub, bare: Repository, tmp_path: Path
) -> None:
    token = {"PAT": github.token("eve")}
    ((message, fix),) = (await look(github.url, tmp_path, token, token="PAT")).of("error")
    assert (message, fix) == ("eve may not write there", "give eve the role Write")
    bare.private = True
    ((message, _),) = (await look(github.url, tmp_path, token, token="PAT")).of("error")
    assert message == "the token of eve cannot see that repository"
    ((message, _),) = (await look(github.url, tmp_path, {"PAT": "ghp_x"}, token="PAT")).of("error")
    assert "Bad credentials" in message
    assert "ghp_x" not in message


def says_of_ada(headers: dict[str, str], refused: str = "") -> Any:
    """A GitHub that says in headers what its description has none for."""

    def answer(asked: Asked) -> Says:
        path = asked.path.removeprefix("/api/v3")
        if refused and path.endswith(refused):
            return Says(403, {"message": "Resource not accessible by personal access token"})
        if path == "/user":
            return Says(200, {"login": "ada"}, headers)
        if path == "/rate_limit":
            return Says(404, {"message": "Rate limiting is not enabled."})
        return Says(200, {"private": True, "permissions": {"push": True}})

    return answer


async def test_a_classic_token_is_judged_by_its_scopes_and_its_end(tmp_path: Path) -> None:
    headers = {
        "X-OAuth-Scopes": "public_repo, gist",
        "GitHub-Authentication-Token-Expiration": "2020-02-03 10:00:00 UTC",
    }
    async with LittleGitHub.serving(says_of_ada(headers)) as little:
        found = await look(little.api, tmp_path, {"PAT": "ghp_x"}, token="PAT")
        ((message, fix),) = found.of("error")
        assert message == "the token lacks the scope `repo`"
        assert fix.endswith("/settings/tokens")
        assert found.of("warning")[0][0] == "the token expires on 2020-02-03"
        little.answer = says_of_ada({"X-OAuth-Scopes": "repo"})
        teams = ["@octo/risk"]
        found = await look(little.api, tmp_path, {"PAT": "ghp_x"}, teams, token="PAT")
        message, _ = found.of("warning")[0]
        assert message == "the token lacks the scope `read:org` to read the members of @octo/risk"
        little.answer = says_of_ada({"X-OAuth-Scopes": "repo, read:org"})
        found = await look(little.api, tmp_path, {"PAT": "ghp_x"}, teams, token="PAT")
    assert "read:org" not in str(found.troubles)
    assert found.of("error") == []
    assert ("this GitHub has no limit", "") in found.of("ok")


async def test_a_fine_grained_token_is_told_what_it_cannot_even_read(tmp_path: Path) -> None:
    async with LittleGitHub.serving(says_of_ada({}, refused="/deployments")) as little:
        found = await look(little.api, tmp_path, {"PAT": "github_pat_x"}, token="PAT")
    ((message, _),) = found.of("error")
    assert message == "the token lacks deployments: write"


# Pure


def test_what_lacks_is_what_is_not_granted_or_less() -> None:
    assert lacking(LEAST) == []
    assert lacking({**LEAST, "contents": "write"}) == []
    assert list(map(str, lacking({**LEAST, "issues": "read"}))) == ["issues: write"]
    assert list(map(str, lacking({**LEAST, "issues": "other"}))) == ["issues: write"]
    assert lacking({}) == list(PERMISSIONS)
    assert missing_events([*EVENTS, "star"]) == []
    assert missing_events(["push"]) == sorted({*EVENTS} - {"push"})
    assert calls_an_hour([10.0, 3600.0]) == 722
    assert lacks_scope(["repo"], private=True) is None
    assert lacks_scope(["public_repo"], private=False) is None
    assert lacks_scope([], private=False) == "public_repo"


def test_an_organizations_app_has_its_settings_there() -> None:
    app = AppItself(slug="gate", owner="acme", owner_kind="Organization")
    page = "https://github.com/organizations/acme/settings/apps/gate"
    assert settings_page("https://github.com/", app) == page


def test_the_document_has_every_permission_with_its_level_and_every_event() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (read|write) \|", text, re.MULTILINE)
    assert dict(rows) == {need.name: need.level for need in needs_of(["@acme/risk"])}
    assert all(f"`{event}`" in text for event in EVENTS)


def test_the_settings_in_the_document_load_without_a_warning() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    whole = [
        block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "url:" in block
    ]
    assert len(whole) == 2
    for block in whole:
        loaded = load_settings(block, "headgate.yaml", {})
        assert loaded.settings is not None
        assert loaded.problems == ()
