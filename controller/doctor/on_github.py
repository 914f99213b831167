"""Checks what Headgate needs from GitHub, as the app or person that the settings name."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import httpx

from controller.config.secrets import Secrets
from controller.config.settings import Settings
from controller.config.settings_file import load_secrets
from controller.doctor.findings import Finding, bad, ok, warn
from controller.github.auth import App
from controller.github.connect import Connection, connect
from controller.github.permissions import (
    HOOK,
    PERMISSIONS,
    Need,
    calls_an_hour,
    elsewhere,
    lacking,
    lacks_scope,
    missing_events,
    needs_of,
    sees_teams,
)
from controller.github.pulls import RESERVE
from controller.github.responses import GitHubRefused, NotFound
from controller.github.transport import Token
from controller.github.values import Access, AppItself, HookConfig, Installation, Person, read
from controller.web.server import listen
from specs.failures import Failure
from specs.figures import duration
from specs.values import format_duration

PATIENCE = 20.0
"""Timeout of a request, in seconds."""
SOON = 14
"""Days before a token expires from which on there is a warning."""
_READ_BY = {
    "pull_requests": "pulls?per_page=1",
    "issues": "issues?per_page=1",
    "deployments": "deployments?per_page=1",
    "statuses": "commits/HEAD/status?per_page=1",
}
"""A path of a repository that each permission allows to read."""

Teams = Mapping[str, Sequence[str]]
"""The teams that the specs name in `policy.approvers`, by repository."""

T = TypeVar("T")


async def examine_github(
    settings: Settings, base: Path, environ: Mapping[str, str], teams: Teams
) -> AsyncIterator[Finding]:
    """All findings about GitHub; none if the settings name neither an app nor a token."""
    try:
        secrets = load_secrets(settings, base, environ)
    except Failure:  # another finding reports it
        secrets = Secrets({})
    try:
        there = connect(settings, base, secrets)
    except Failure as failure:
        fix = "set the secret, or correct `github` in the settings"
        yield bad("github", str(failure), fix)
        return
    if there is None:
        return
    try:
        looks = _as_app if isinstance(there.auth, App) else _as_person
        async for finding in looks(settings, there, teams):
            yield finding
        if there.names:
            yield await _webhook(settings, there, secrets)
    finally:
        await there.transport.close()


async def _asked(what: str, fix: str, ask: Callable[[], Awaitable[T]]) -> T | Finding:
    """The answer, or the finding that there is none."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await ask()
    except (Failure, TimeoutError) as failure:
        said = str(failure) or f"GitHub did not answer within {duration(PATIENCE)}"
        return bad(what, said, fix)


async def _self(
    there: Connection, settings: Settings, ask: Callable[[], Awaitable[T]]
) -> T | Finding:
    """The answer to the first request, or the finding that this is no GitHub that accepts us."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await ask()
    except NotFound:
        said = f"{there.transport.api} is not a GitHub API"
        return bad("github", said, "correct `github.url`, the URL of GitHub in a browser")
    except GitHubRefused as failure:
        fix = "correct `github.app` in the settings, or the secret"
        app = there.client.can_create_checks
        return bad("github", str(failure), fix if app else "set another token")
    except (Failure, TimeoutError) as failure:
        said = str(failure) or f"{there.transport.api} did not answer within {duration(PATIENCE)}"
        fix = f"check `github.url` ({settings.github.url}), the network, and GitHub's status page"
        return bad("github", said, fix)


# As an app


async def _as_app(settings: Settings, there: Connection, teams: Teams) -> AsyncIterator[Finding]:
    auth = there.auth
    assert isinstance(auth, App), "the caller has checked"

    async def who() -> AppItself:
        return read(AppItself, (await auth.ask("GET", "/app")).data)

    app = await _self(there, settings, who)
    if isinstance(app, Finding):
        yield app
        return
    yield ok("github", f"{there.transport.api} accepts the key of app {app.slug} of {app.owner}")
    page = settings_page(settings.github.url, app)
    seen: set[int] = set()
    for name, full in there.names.items():
        installed = await _installation(auth, app, full)
        if isinstance(installed, Finding):
            yield installed
            continue
        heard = settings.github.webhook.secret is not None
        needs = needs_of(teams.get(name, ()))
        for finding in granted(full, app, installed, page, needs, heard=heard):
            yield finding
        for finding in _unseen(full, teams.get(name, ())):
            yield finding
        if installed.id not in seen and not installed.suspended:
            seen.add(installed.id)
            yield await _limit(there, full)
    if settings.github.webhook.secret is not None:
        yield await _hook(auth, page)
        yield await _delivered(auth, page)


def settings_page(url: str, app: AppItself) -> str:
    """The page where the owner of the app changes its permissions."""
    whose = f"/organizations/{app.owner}" if app.owner_kind == "Organization" else ""
    return f"{url.rstrip('/')}{whose}/settings/apps/{app.slug}"


async def _installation(auth: App, app: AppItself, full: str) -> Installation | Finding:
    async def ask() -> Installation | Finding:
        try:
            reply = await auth.ask("GET", f"/repos/{full}/installation")
        except NotFound:
            said = f"the app {app.slug} is not installed there, or the name is wrong"
            fix = f"install it: {app.url}/installations/new"
            return bad(f"github {full}", said, fix)
        return read(Installation, reply.data)

    return await _asked(f"github {full}", "see the message", ask)


def granted(
    full: str,
    app: AppItself,
    it: Installation,
    page: str,
    needs: Sequence[Need],
    *,
    heard: bool,
) -> Iterator[Finding]:
    """Whether an installation has all permissions, and with `heard` all webhook events."""
    what = f"github {full}"
    if it.suspended:
        yield bad(
            what,
            f"the installation has been suspended since {it.suspended}",
            f"resume it: {it.url}",
        )
        return
    lacks = lacking(it.permissions, needs)
    unasked = {need.name for need in lacking(app.permissions, needs)}
    for need in lacks:
        fix = f"accept the app's new permissions: {it.url}"
        if need.name in unasked:
            fix = f"grant it: {page}/permissions, then accept it: {it.url}"
        say = bad if need.vital else warn
        yield say(what, f"the app lacks {need} ({need.why})", fix)
    if not lacks:
        yield ok(what, f"the app is installed and may {', '.join(map(str, needs))}")
    if heard and (missing := missing_events(app.events)):
        said = f"webhooks for {', '.join(missing)} are not sent; these are noticed only by polling"
        yield warn(what, said, f"subscribe to them: {page}/permissions")


def _unseen(full: str, teams: Sequence[str]) -> Iterator[Finding]:
    """A finding about the teams whose members cannot be read."""
    if others := elsewhere(full, teams):
        said = f"the members of {', '.join(others)} cannot be read by an app of another owner"
        fix = f"name people or teams of {full.partition('/')[0]} in `policy.approvers`"
        yield warn(f"github {full}", said, fix)


async def _limit(there: Connection, full: str) -> Finding:
    async def ask() -> Finding:
        return await _budget(there, await there.auth.token(full), full)

    return await _asked(f"github {full}", "see the message", ask)


async def _budget(there: Connection, token: Token, of: str) -> Finding:
    """The rate limit; reading it is free. A GitHub Enterprise Server without one answers 404."""
    what = "github limit"
    try:
        core = (await there.transport.ask("GET", "/rate_limit", token)).data["resources"]["core"]
    except NotFound:
        return ok(what, "this GitHub has no limit")
    limit, left, reset = int(core["limit"]), int(core["remaining"]), float(core["reset"])
    until = datetime.fromtimestamp(reset, UTC)
    said = f"{left:,} of {limit:,} calls are left for {of} until {until:%H:%M} UTC"
    if left < RESERVE:
        fix = "raise `poll`, or find out what else uses the calls"
        return warn(what, f"{said}; polling is suspended", fix)
    return ok(what, said)


async def _hook(auth: App, page: str) -> Finding:
    """Where GitHub sends webhooks to, according to GitHub."""

    async def ask() -> Finding:
        try:
            hook = read(HookConfig, (await auth.ask("GET", "/app/hook/config")).data)
        except NotFound:
            hook = HookConfig()
        return _hook_is(hook, page)

    return await _asked("webhook", "see the message", ask)


def _hook_is(hook: HookConfig, page: str) -> Finding:
    what = "webhook"
    if not hook.url:
        fix = f"set it to https://YOUR-HOST{HOOK} and tick Active: {page}"
        return bad(what, "the app has no webhook URL", fix)
    if not hook.url.rstrip("/").endswith(HOOK):
        said = f"GitHub posts to {hook.url}"
        return warn(what, said, f"unless a proxy rewrites it, it has to end with {HOOK}: {page}")
    if not hook.secret:
        fix = f"set the secret of `github.webhook.secret`: {page}"
        return bad(what, "the app's webhook has no secret, so deliveries are rejected", fix)
    if hook.content_type != "json":
        said = f"GitHub sends webhooks as {hook.content_type or 'a form'}"
        return bad(what, said, f"choose application/json: {page}")
    return ok(what, f"GitHub posts to {hook.url}")


async def _delivered(auth: App, page: str) -> Finding:
    """How the last webhook delivery was answered."""

    async def ask() -> Finding:
        deliveries = (await auth.ask("GET", "/app/hook/deliveries?per_page=1")).data
        if not deliveries:
            return ok("webhook", "GitHub has not sent any yet")
        last = deliveries[0]
        status, event = int(last.get("status_code") or 0), str(last.get("event"))
        said = f"the last one ({event}, {last.get('delivered_at')}) was answered with {status}"
        if 200 <= status < 300:
            return ok("webhook", said)
        fix = f"see the delivery on GitHub: {page}/advanced"
        if status == 401:
            fix = f"set the same secret there ({page}) and in `github.webhook.secret`"
        return warn("webhook", said if status else f"the last one ({event}) did not arrive", fix)

    return await _asked("webhook", "see the message", ask)


# As a person


async def _as_person(settings: Settings, there: Connection, teams: Teams) -> AsyncIterator[Finding]:
    token = await there.auth.token("")
    found = await _self(there, settings, lambda: there.transport.ask("GET", "/user", token))
    if isinstance(found, Finding):
        yield found
        return
    login = read(Person, found.data).login
    yield ok(
        "github",
        f"{there.transport.api} accepts the token of {login}; with commit statuses instead of "
        "checks there is no progress, no annotations, and no buttons to re-run or approve",
    )
    ends = found.headers.get("github-authentication-token-expiration", "")[:10]
    if ends and ends <= _day(there.transport.now() + SOON * 86400):
        fix = f"create a new one: {settings.github.url}/settings/tokens"
        yield warn("github", f"the token expires on {ends}", fix)
    scopes = found.headers.get("x-oauth-scopes")
    for full in there.names.values():
        yield await _reached(settings, there, token, full, login, scopes)
    asked = sorted({team for name in there.names for team in teams.get(name, ())})
    if asked and scopes is not None and not sees_teams(_split(scopes)):
        said = f"the token lacks the scope `read:org` to read the members of {', '.join(asked)}"
        yield warn("github", said, f"grant it: {settings.github.url.rstrip('/')}/settings/tokens")
    if there.names:
        full = login
        yield await _asked("github limit", "see the message", lambda: _budget(there, token, full))


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def _split(scopes: str) -> list[str]:
    return [scope.strip() for scope in scopes.split(",")]


async def _reached(
    settings: Settings, there: Connection, token: Token, full: str, login: str, scopes: str | None
) -> Finding:
    """What a person's token may do in a repository. `scopes` are those of a classic token. GitHub
    does not say what a fine-grained token was granted, so reading is tried instead."""
    what, page = f"github {full}", f"{settings.github.url.rstrip('/')}/settings/tokens"

    async def ask() -> Finding:
        try:
            reply = await there.transport.ask("GET", f"/repos/{full}", token)
        except NotFound:
            fix = "correct `github` in the settings, or select it for the token"
            return bad(what, f"the token of {login} cannot see that repository", f"{fix}: {page}")
        access = read(Access, reply.data)
        if not access.push:
            return bad(what, f"{login} may not write there", f"give {login} the role Write")
        if scopes is not None:
            lacks = lacks_scope(_split(scopes), private=access.private)
            if lacks:
                said = f"the token lacks the scope `{lacks}`"
                return bad(what, said, f"grant it: {page}")
            return ok(what, f"{login} may write there, and the token's scopes suffice")
        return await _tried(there, token, full, page)

    return await _asked(what, "see the message", ask)


async def _tried(there: Connection, token: Token, full: str, page: str) -> Finding:
    lacks: list[Need] = []
    for need in PERMISSIONS:
        if path := _READ_BY.get(need.name):
            try:
                await there.transport.ask("GET", f"/repos/{full}/{path}", token)
            except GitHubRefused as failure:
                if failure.status not in (403, 404):
                    raise
                lacks.append(need)
    if lacks:
        names = ", ".join(map(str, lacks))
        return bad(f"github {full}", f"the token lacks {names}", f"grant it: {page}")
    wanted = ", ".join(need.name for need in PERMISSIONS if need.name in _READ_BY)
    said = f"the token can read {wanted}; whether it can write them is not known before it does"
    return ok(f"github {full}", said)


# Webhooks on this machine


async def _webhook(settings: Settings, there: Connection, secrets: Secrets) -> Finding:
    webhook = settings.github.webhook
    if webhook.secret is None:
        polls = [each.poll for each in settings.repositories if each.name in there.names]
        calls = calls_an_hour(poll.total_seconds() for poll in polls)
        said = (
            f"webhooks are off: changes are noticed after up to {format_duration(max(polls))}, by "
            f"polling GitHub {calls:,} times an hour (unchanged answers do not count to the limit)"
        )
        return warn("webhook", said, "set `github.webhook.secret`; see docs/github.md")
    try:
        secret = secrets.expand(f"${{{webhook.secret}}}")
    except Failure as failure:
        fix = "set the secret, or correct `github.webhook.secret`"
        return bad("webhook", str(failure), fix)
    return await _listening(webhook.host, webhook.port, secret)


async def _listening(host: str, port: int, secret: str) -> Finding:
    """Whether the address is free, or a controller listens there."""
    try:
        listen(host, port, [secret]).close()
    except Failure as failure:
        if await _is_ours(host, port):
            return ok("webhook", f"a controller listens on {host}:{port}")
        fix = "free it, or correct `github.webhook.host` and `port`"
        return bad("webhook", str(failure), fix)
    return ok("webhook", f"{host}:{port} is free to listen on")


async def _is_ours(host: str, port: int) -> bool:
    shown = f"[{host}]" if ":" in host else host
    try:
        async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
            return (await http.get(f"http://{shown}:{port}/healthz")).text == "ok\n"
    except httpx.HTTPError:
        return False
