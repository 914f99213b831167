"""The app, its installation and tokens, its webhook deliveries, and who one is."""

from typing import Any

from tests.doubles.github import render
from tests.doubles.github.calls import Call, Json, Refusal, Reply, route
from tests.doubles.github.state import LEVELS, Installation, Token, stamp


@route("GET /app", by="jwt")
def app(call: Call) -> Reply:
    shown = render.app(call.hub) | {"installations_count": len(call.hub.installations)}
    return Reply(200, shown)


@route("GET /app/installations", by="jwt")
def installations(call: Call) -> Reply:
    return call.page(
        list(call.hub.installations.values()), lambda it: render.installation(call.hub, it)
    )


@route("GET /repos/{owner}/{repo}/installation", by="jwt")
def installation(call: Call) -> Reply:
    wanted = f"{call.params['owner']}/{call.params['repo']}".lower()
    for it in call.hub.installations.values():
        if any(repo.full_name.lower() == wanted for repo in it.repositories):
            return Reply(200, render.installation(call.hub, it))
    raise Refusal(404, "Not Found")


@route("POST /app/installations/{installation_id}/access_tokens", by="jwt")
def access_token(call: Call) -> Reply:
    it = call.hub.installations.get(call.params["installation_id"])
    if it is None:
        raise Refusal(404, "Not Found")
    if it.suspended_at:
        raise Refusal(403, "This installation has been suspended")
    permissions = call.body.get("permissions", it.permissions)
    for name, level in permissions.items():
        if LEVELS.index(level) > LEVELS.index(it.permissions.get(name, "none")):
            raise Refusal(422, "The permissions requested are not granted to this installation.")
    repositories = _narrowed(it, call.body)
    expires = call.hub.seconds() + call.hub.token_life
    token = Token(call.hub.the_app().bot, it, expires, permissions, repositories)
    shown: Json = {
        "token": call.hub.new_token("ghs_", token),
        "expires_at": stamp(expires),
        "permissions": permissions,
        "repository_selection": "selected",
    }
    if repositories is not it.repositories:
        shown["repositories"] = [render.repository(call.hub, repo) for repo in repositories]
    return Reply(201, shown)


def _narrowed(it: Installation, body: Json) -> list[Any]:
    if "repositories" not in body and "repository_ids" not in body:
        return it.repositories
    names, ids = set(body.get("repositories", [])), set(body.get("repository_ids", []))
    chosen = [repo for repo in it.repositories if repo.name in names or repo.id in ids]
    if len(chosen) < len(names | ids):
        raise Refusal(
            422,
            "There is at least one repository that does not exist or is not accessible to the "
            "parent installation.",
        )
    return chosen


@route("GET /installation/repositories", by="installation")
def repositories(call: Call) -> Reply:
    if call.who is None or call.who.installation is None:
        raise Refusal(403, "Resource not accessible by personal access token")
    repos = call.who.repositories or call.who.installation.repositories
    return call.page(repos, lambda repo: render.repository(call.hub, repo), "repositories")


@route("GET /user")
def user(call: Call) -> Reply:
    if call.who is None or call.who.installation:
        raise Refusal(403, "Resource not accessible by integration")
    owned = sum(repo.owner is call.user for repo in call.hub.repositories.values())
    return Reply(200, render.profile(call.hub, call.user, owned))


@route("GET /meta")
def meta(call: Call) -> Reply:
    return Reply(200, {"verifiable_password_authentication": False, "hooks": ["127.0.0.0/8"]})


@route("GET /rate_limit")
def rate_limit(call: Call) -> Reply:
    core = call.hub.rate(call.who)
    none = {"limit": 0, "remaining": 0, "reset": core["reset"], "used": 0}
    return Reply(200, {"resources": {"core": core, "search": none}, "rate": core})


@route("GET /app/hook/config", by="jwt")
def hook_config(call: Call) -> Reply:
    it = call.hub.the_app()
    shown: Json = {"content_type": it.webhook_type, "insecure_ssl": "0"}
    if url := call.hub.webhook_url():
        shown["url"] = url
    if it.webhook_secret:
        shown["secret"] = "********"
    return Reply(200, shown)


@route("GET /app/hook/deliveries", by="jwt")
def deliveries(call: Call) -> Reply:
    found = list(reversed(call.hub.deliveries))
    cursor = call.query.get("cursor")
    if cursor:
        found = [it for it in found if it["id"] <= int(cursor)]
    size = min(max(call.query.get("per_page") or 30, 1), 100)
    shown = [{k: v for k, v in it.items() if k not in ("request", "response")} for it in found]
    headers = {}
    if len(shown) > size:
        following = f"{call.hub.url}{call.path}?per_page={size}&cursor={shown[size]['id']}"
        headers["Link"] = f'<{following}>; rel="next"'
    return Reply(200, shown[:size], headers)


def _delivery(call: Call) -> Json:
    for it in call.hub.deliveries:
        if it["id"] == call.params["delivery_id"]:
            return it
    raise Refusal(404, "Not Found")


@route("GET /app/hook/deliveries/{delivery_id}", by="jwt")
def delivery(call: Call) -> Reply:
    return Reply(200, _delivery(call))


@route("POST /app/hook/deliveries/{delivery_id}/attempts", by="jwt")
def redeliver(call: Call) -> Reply:
    call.hub.redeliver(_delivery(call))
    return Reply(202, {})
