"""Issues, and the comments on them and on pull requests."""

from tests.doubles.github import acts, render
from tests.doubles.github.calls import Call, Refusal, Reply, route
from tests.doubles.github.state import Comment

PREFIX = "/repos/{owner}/{repo}/issues"


@route("GET " + PREFIX, needs="issues:read")
def listed(call: Call) -> Reply:
    want, found = call.query, list(reversed(call.repo.issues.values()))
    if want["state"] != "all":
        found = [it for it in found if it.state == (want["state"] or "open")]
    if labels := want.get("labels"):
        found = [it for it in found if set(labels.split(",")) <= set(it.labels)]
    if creator := want.get("creator"):
        found = [it for it in found if it.user.login == creator]
    if since := want.get("since"):
        found = [it for it in found if it.updated_at >= since]
    if want.get("direction") == "asc":
        found.reverse()
    return call.page(found, lambda it: render.issue(call.hub, call.repo, it))


@route("POST " + PREFIX, needs="issues:write")
def create(call: Call) -> Reply:
    said = call.body
    it = acts.new_issue(call.hub, call.repo, call.user, str(said["title"]), said.get("body"))
    it.labels = _names(said.get("labels", []))
    it.assignees = [call.hub.user(login) for login in said.get("assignees", [])]
    return Reply(201, render.issue(call.hub, call.repo, it))


def _names(labels: list[object]) -> list[str]:
    return [str(label["name"]) if isinstance(label, dict) else str(label) for label in labels]


@route("GET " + PREFIX + "/{issue_number}", needs="issues:read")
def one(call: Call) -> Reply:
    it = call.issue()
    closer = render.user(call.hub, it.closed_by) if it.closed_by else None
    return Reply(200, render.issue(call.hub, call.repo, it) | {"closed_by": closer})


@route("PATCH " + PREFIX + "/{issue_number}", needs="issues:write")
def update(call: Call) -> Reply:
    it, said = call.issue(), call.body
    it.title = str(said.get("title", it.title))
    it.body = said.get("body", it.body)
    it.labels = _names(said["labels"]) if "labels" in said else it.labels
    it.updated_at = call.hub.now()
    if said.get("state") == "closed":
        acts.close(call.hub, call.repo, it, call.user)
        it.state_reason = said.get("state_reason") or "completed"
    elif said.get("state") == "open":
        acts.reopen(call.hub, call.repo, it, call.user)
        it.state_reason = "reopened"
    return Reply(200, render.issue(call.hub, call.repo, it))


@route("GET " + PREFIX + "/{issue_number}/comments", needs="issues:read")
def comments(call: Call) -> Reply:
    it, since = call.issue(), call.query.get("since") or ""
    found = [c for c in call.repo.comments.values() if c.issue is it and c.updated_at >= since]
    return call.page(found, lambda c: render.comment(call.hub, call.repo, c))


@route("POST " + PREFIX + "/{issue_number}/comments", needs="issues:write")
def comment(call: Call) -> Reply:
    by_app = call.who is not None and call.who.installation is not None
    made = acts.add_comment(call.hub, call.repo, call.issue(), call.user, call.body["body"], by_app)
    return Reply(201, render.comment(call.hub, call.repo, made))


@route("GET " + PREFIX + "/comments", needs="issues:read")
def all_comments(call: Call) -> Reply:
    since, by = call.query.get("since") or "", call.query["sort"] or "created"
    found = [c for c in call.repo.comments.values() if c.updated_at >= since]
    # GitHub ignores the direction unless it is told what to sort by.
    down = call.query.get("sort") is not None and call.query.get("direction") != "asc"
    moment = {"updated": lambda c: (c.updated_at, c.id)}.get(by, lambda c: (c.created_at, c.id))
    found.sort(key=moment, reverse=down)
    return call.page(found, lambda c: render.comment(call.hub, call.repo, c))


def _comment(call: Call) -> Comment:
    if it := call.repo.comments.get(call.params["comment_id"]):
        return it
    raise Refusal(404, "Not Found")


def _own(call: Call) -> Comment:
    """A comment that the caller may change: its own, or anyone's with write access."""
    it = _comment(call)
    by_app = (
        call.who is not None and call.who.installation is not None
    )  # authorised by its permission
    level = call.repo.permission(call.user.login)
    if by_app or it.user is call.user or level in ("write", "maintain", "admin"):
        return it
    raise Refusal(403, "Must have push access to the repository.")


@route("GET " + PREFIX + "/comments/{comment_id}", needs="issues:read")
def one_comment(call: Call) -> Reply:
    return Reply(200, render.comment(call.hub, call.repo, _comment(call)))


@route("PATCH " + PREFIX + "/comments/{comment_id}", needs="issues:write")
def edit(call: Call) -> Reply:
    it = _own(call)
    acts.edit_comment(call.hub, call.repo, it, call.user, call.body["body"])
    return Reply(200, render.comment(call.hub, call.repo, it))


@route("DELETE " + PREFIX + "/comments/{comment_id}", needs="issues:write")
def delete(call: Call) -> Reply:
    acts.delete_comment(call.hub, call.repo, _own(call), call.user)
    return Reply(204)


@route("POST " + PREFIX + "/comments/{comment_id}/reactions", needs="issues:write")
def react(call: Call) -> Reply:
    it, content = _comment(call), call.body["content"]
    for number, who, what, when in it.reactions:
        if (who, what) == (call.user, content):  # once a person and kind: the first one is answered
            return Reply(200, _reaction(call, number, what, when))
    made = (call.hub.next_id(), call.user, content, call.hub.now())
    it.reactions.append(made)
    return Reply(201, _reaction(call, made[0], content, made[3]))


def _reaction(call: Call, number: int, content: str, when: str) -> dict[str, object]:
    who = render.user(call.hub, call.user)
    node = render.node_id("Reaction", number)
    return {"id": number, "node_id": node, "user": who, "content": content, "created_at": when}
