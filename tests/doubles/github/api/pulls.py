"""Pull requests."""

from tests.doubles.github import acts, render
from tests.doubles.github.calls import Call, Json, Refusal, Reply, invalid, route
from tests.doubles.github.state import Issue

PREFIX = "/repos/{owner}/{repo}/pulls"


@route("GET " + PREFIX, needs="pull_requests:read")
def listed(call: Call) -> Reply:
    want, found = call.query, call.repo.pulls()
    if want["state"] != "all":
        found = [it for it in found if it.state == (want["state"] or "open")]
    if head := want.get("head"):
        found = [it for it in found if _label(it) == head]
    if base := want.get("base"):
        found = [it for it in found if it.request.base_ref == base]
    newest_first = want.get("direction") != "asc" and (
        want.get("direction") == "desc" or want.get("sort") in (None, "created")
    )
    by_update = want.get("sort") == "updated"
    found.sort(key=lambda it: (it.updated_at if by_update else "", it.number), reverse=newest_first)
    return call.page(found, lambda it: render.pull(call.hub, call.repo, it))


def _label(it: Issue) -> str:
    source = it.request.head_repository
    return f"{source.owner.login if source else it.user.login}:{it.request.head_ref}"


@route("POST " + PREFIX, needs="pull_requests:write")
def opened(call: Call) -> Reply:
    said, repo = call.body, call.repo
    owner, _, branch = said["head"].rpartition(":")
    source = repo
    if owner and owner != repo.owner.login:
        forks = [
            r for r in call.hub.repositories.values() if r.parent is repo and r.owner.login == owner
        ]
        if not forks:
            raise invalid("PullRequest", "head", "head is not a fork", "invalid")
        source = forks[0]
        acts.notice(call.hub, source)
    if "title" not in said:
        raise invalid("PullRequest", "title", "title can't be blank", "missing_field")
    made = acts.open_pull(
        call.hub, repo, call.user, said["title"], said.get("body"), said["base"], branch, source,
        said.get("draft", False),
    )  # fmt: skip  # one line of names reads best
    return Reply(201, render.full_pull(call.hub, repo, made))


@route("GET " + PREFIX + "/{pull_number}", needs="pull_requests:read")
def one(call: Call) -> Reply:
    return Reply(200, render.full_pull(call.hub, call.repo, call.pull()))


@route("PATCH " + PREFIX + "/{pull_number}", needs="pull_requests:write")
def update(call: Call) -> Reply:
    it, said, repo = call.pull(), call.body, call.repo
    changes: Json = {}
    for name in ("title", "body"):
        if name in said and said[name] != getattr(it, name):
            changes[name] = {"from": getattr(it, name) or ""}
            setattr(it, name, said[name])
    if base := said.get("base"):
        changes["base"] = acts.set_base(repo, it, base)
    if changes:
        it.updated_at = call.hub.now()
        acts.tell_pull(call.hub, repo, it, "edited", call.user, changes=changes)
    if said.get("state") == "closed":
        acts.close(call.hub, repo, it, call.user)
    elif said.get("state") == "open":
        acts.reopen(call.hub, repo, it, call.user)
    return Reply(200, render.full_pull(call.hub, repo, it))


@route("GET " + PREFIX + "/{pull_number}/files", needs="pull_requests:read")
def files(call: Call) -> Reply:
    repo, ask = call.repo, call.pull().request
    base = repo.git.merge_base(ask.base_sha, ask.head_sha) or ask.base_sha
    changes = repo.git.changes(base, ask.head_sha)[:3000]

    return call.page(
        changes,
        lambda c: render.file(
            call.hub, repo, ask.head_sha, c, repo.git.patch(base, ask.head_sha, c.path)
        ),
    )


@route("GET " + PREFIX + "/{pull_number}/commits", needs="pull_requests:read")
def commits(call: Call) -> Reply:
    ask = call.pull().request
    found = call.repo.git.commits([f"{ask.base_sha}..{ask.head_sha}"])[:250]
    return call.page(found, lambda it: render.commit(call.hub, call.repo, it))


@route("GET " + PREFIX + "/{pull_number}/merge", needs="pull_requests:read")
def merged(call: Call) -> Reply:
    if call.pull().request.merged_at:
        return Reply(204)
    raise Refusal(404, "Not Found")


@route("PUT " + PREFIX + "/{pull_number}/merge", needs="contents:write")
def merge(call: Call) -> Reply:
    said = call.body
    made = acts.merge(
        call.hub,
        call.repo,
        call.pull(),
        call.user,
        said.get("merge_method", "merge"),
        said.get("commit_title"),
        said.get("commit_message"),
        said.get("sha"),
    )
    return Reply(200, {"sha": made, "merged": True, "message": "Pull Request successfully merged"})


@route("GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls", needs="pull_requests:read")
def of_commit(call: Call) -> Reply:
    sha, repo = call.params["commit_sha"], call.repo
    found = [
        it
        for it in repo.pulls()
        if sha in (it.request.head_sha, it.request.merge_commit_sha)
        or any(
            c.sha == sha
            for c in repo.git.commits([f"{it.request.base_sha}..{it.request.head_sha}"])
        )
    ]
    return call.page(found, lambda it: render.pull(call.hub, repo, it))
