"""Deployments and their statuses, environments, and commit statuses."""

from tests.doubles.github import render
from tests.doubles.github.api.repositories import commit_of
from tests.doubles.github.calls import Call, Json, Refusal, Reply, invalid, route
from tests.doubles.github.state import Deployment

PREFIX = "/repos/{owner}/{repo}"


@route("GET " + PREFIX + "/deployments", needs="deployments:read")
def listed(call: Call) -> Reply:
    found = list(reversed(call.repo.deployments.values()))
    for name in ("sha", "ref", "task", "environment"):
        want = call.query.get(name)
        if want not in (None, "none"):
            found = [it for it in found if getattr(it, name) == want]
    return call.page(found, lambda it: render.deployment(call.hub, call.repo, it))


@route("POST " + PREFIX + "/deployments", needs="deployments:write")
def create(call: Call) -> Reply:
    said, repo = call.body, call.repo
    sha = repo.git.resolve(said["ref"])
    if sha is None:
        raise Refusal(422, f"No ref found for: {said['ref']}")
    if said.get("required_contexts") is None and any(
        run.head_sha == sha and run.conclusion not in ("success", "neutral", "skipped")
        for run in repo.check_runs.values()
    ):
        raise Refusal(409, "Conflict: Commit status checks failed.")
    name = said.get("environment") or "production"
    made = Deployment(
        id=call.hub.next_id(),
        creator=call.user,
        sha=sha,
        ref=said["ref"],
        task=said.get("task", "deploy"),
        environment=name,
        description=said.get("description") or None,
        payload=said.get("payload") or {},
        transient=said.get("transient_environment", False),
        production=said.get("production_environment", name == "production"),
        created_at=call.hub.now(),
        updated_at=call.hub.now(),
    )
    repo.deployments[made.id] = made
    _environment(call, name)
    return Reply(201, render.deployment(call.hub, repo, made))


def _deployment(call: Call) -> Deployment:
    if it := call.repo.deployments.get(call.params["deployment_id"]):
        return it
    raise Refusal(404, "Not Found")


@route("GET " + PREFIX + "/deployments/{deployment_id}", needs="deployments:read")
def one(call: Call) -> Reply:
    return Reply(200, render.deployment(call.hub, call.repo, _deployment(call)))


@route("GET " + PREFIX + "/deployments/{deployment_id}/statuses", needs="deployments:read")
def statuses(call: Call) -> Reply:
    return call.page(list(reversed(_deployment(call).statuses)), lambda it: it)


@route("POST " + PREFIX + "/deployments/{deployment_id}/statuses", needs="deployments:write")
def add_status(call: Call) -> Reply:
    it, said, repo = _deployment(call), call.body, call.repo
    made = _deployment_status(call, it, said)
    it.statuses.append(made)
    it.updated_at = call.hub.now()
    it.environment = said.get("environment", it.environment)
    if said["state"] == "success" and said.get("auto_inactive", True):
        for other in repo.deployments.values():
            same = other.environment == it.environment and other.id < it.id
            if same and not other.transient and not other.production and other.state == "success":
                other.statuses.append(_deployment_status(call, other, {"state": "inactive"}))
    return Reply(201, made)


def _deployment_status(call: Call, it: Deployment, said: Json) -> Json:
    if len(said.get("description") or "") > 140:
        raise invalid(
            "DeploymentStatus", "description", "description is too long (maximum is 140 characters)"
        )
    number = call.hub.next_id()
    url = f"{render.repository_url(call.hub, call.repo)}/deployments/{it.id}"
    log = said.get("log_url") or said.get("target_url") or ""
    return {
        "id": number,
        "node_id": render.node_id("DeploymentStatus", number),
        "url": f"{url}/statuses/{number}",
        "state": said["state"],
        "creator": render.user(call.hub, call.user),
        "description": said.get("description") or "",
        "environment": said.get("environment", it.environment),
        "environment_url": said.get("environment_url") or "",
        "log_url": log,
        "target_url": log,
        "deployment_url": url,
        "repository_url": render.repository_url(call.hub, call.repo),
        "created_at": call.hub.now(),
        "updated_at": call.hub.now(),
    }


def _environment(call: Call, name: str) -> Json:
    repo = call.repo
    if name not in repo.environments:
        page = f"{render.html_url(call.hub, repo)}/deployments/activity_log"
        number = call.hub.next_id()
        repo.environments[name] = {
            "id": number,
            "node_id": render.node_id("Environment", number),
            "name": name,
            "url": f"{render.repository_url(call.hub, repo)}/environments/{name}",
            "html_url": f"{page}?environment={name}",
            "created_at": call.hub.now(),
            "updated_at": call.hub.now(),
            "protection_rules": [],
            "deployment_branch_policy": None,
        }
    return repo.environments[name]


@route("GET " + PREFIX + "/environments", needs="actions:read")
def environments(call: Call) -> Reply:
    return call.page(list(call.repo.environments.values()), lambda it: it, "environments")


@route("GET " + PREFIX + "/environments/{environment_name}", needs="actions:read")
def environment(call: Call) -> Reply:
    if it := call.repo.environments.get(call.params["environment_name"]):
        return Reply(200, it)
    raise Refusal(404, "Not Found")


@route("PUT " + PREFIX + "/environments/{environment_name}", needs="administration:write")
def put_environment(call: Call) -> Reply:
    it, said = _environment(call, call.params["environment_name"]), call.body
    it["deployment_branch_policy"] = said.get("deployment_branch_policy")
    it["updated_at"] = call.hub.now()
    if wait := said.get("wait_timer"):
        number = call.hub.next_id()
        node = render.node_id("Gate", number)
        it["protection_rules"] = [
            {"id": number, "node_id": node, "type": "wait_timer", "wait_timer": wait}
        ]
    return Reply(200, it)


@route("POST " + PREFIX + "/statuses/{sha}", needs="statuses:write")
def add_commit_status(call: Call) -> Reply:
    said, repo, sha = call.body, call.repo, call.params["sha"]
    if repo.git.resolve(sha) != sha:
        raise Refusal(422, f"No commit found for SHA: {sha}")
    if len(said.get("description") or "") > 140:
        raise invalid(
            "Status", "description", "description is too long (maximum is 140 characters)"
        )
    number = call.hub.next_id()
    made = {
        "id": number,
        "node_id": render.node_id("Status", number),
        "url": f"{render.repository_url(call.hub, repo)}/statuses/{sha}",
        "avatar_url": f"{call.hub.url}/avatars/{call.user.id}",
        "state": said["state"],
        "description": said.get("description"),
        "target_url": said.get("target_url"),
        "context": said.get("context", "default"),
        "created_at": call.hub.now(),
        "updated_at": call.hub.now(),
        "creator": render.user(call.hub, call.user),
    }
    repo.statuses.append(made | {"sha": sha})
    return Reply(201, made)


def _of(call: Call) -> tuple[str, list[Json]]:
    """The commit of a reference and its statuses, newest first."""
    sha = commit_of(call, call.params["ref"]).sha
    found = [it for it in reversed(call.repo.statuses) if it["sha"] == sha]
    return sha, [{k: v for k, v in it.items() if k != "sha"} for it in found]


@route("GET " + PREFIX + "/commits/{ref}/statuses", needs="statuses:read")
def commit_statuses(call: Call) -> Reply:
    return call.page(_of(call)[1], lambda it: it)


@route("GET " + PREFIX + "/commits/{ref}/status", needs="statuses:read")
def combined(call: Call) -> Reply:
    sha, found = _of(call)
    latest = list({it["context"]: it for it in reversed(found)}.values())
    states = {it["state"] for it in latest}
    state = "failure" if states & {"failure", "error"} else "success"
    if not latest or (state == "success" and "pending" in states):
        state = "pending"
    url = f"{render.repository_url(call.hub, call.repo)}/commits/{sha}"
    shown = [{k: v for k, v in it.items() if k != "creator"} for it in latest]
    reply = call.page(shown, lambda it: it, "statuses")
    reply.body |= {
        "state": state,
        "sha": sha,
        "commit_url": url,
        "url": f"{url}/status",
        "repository": render.repository(call.hub, call.repo),
    }
    return reply
