"""Repositories as git has them: branches, commits, files, comparisons, and who may do what."""

import base64

from tests.doubles.github import render
from tests.doubles.github.calls import Call, Json, Refusal, Reply, route
from tests.doubles.github.git import Commit
from tests.doubles.github.state import Repository

PREFIX = "/repos/{owner}/{repo}"


@route("GET " + PREFIX, needs="metadata:read")
def repository(call: Call) -> Reply:
    shown = render.full_repository(call.hub, call.repo)
    if call.who is not None and call.who.installation is None:
        shown["permissions"] = _rights(call.repo.permission(call.user.login))
    return Reply(200, shown)


def _rights(level: str) -> dict[str, bool]:
    rights = {
        "admin": ["admin"],
        "maintain": ["admin", "maintain"],
        "push": ["admin", "maintain", "write"],
    }
    return {name: level in levels for name, levels in rights.items()} | {
        "triage": level not in ("none", "read"),
        "pull": level != "none",
    }


@route("GET " + PREFIX + "/collaborators/{username}/permission", needs="metadata:read")
def permission(call: Call) -> Reply:
    who = call.hub.users.get(call.params["username"])
    if who is None:
        raise Refusal(404, "Not Found")
    level = call.repo.permission(who.login)
    # The old word has four values: maintain counts as write, triage as read.
    legacy = {"maintain": "write", "triage": "read"}.get(level, level)
    shown = render.user(call.hub, who)
    shown["permissions"] = _rights(level)
    shown["role_name"] = level
    return Reply(200, {"permission": legacy, "role_name": level, "user": shown})


def commit_of(call: Call, revision: str) -> Commit:
    """The commit that a revision means; 422 if there is none."""
    sha = call.repo.git.resolve(revision.removeprefix("heads/"))
    if sha is None:
        raise Refusal(422, f"No commit found for SHA: {revision}")
    return call.repo.git.commit(sha)


@route("GET " + PREFIX + "/commits/{ref}", needs="contents:read")
def commit(call: Call) -> Reply:
    repo, it = call.repo, commit_of(call, call.params["ref"])
    files = repo.git.changed_by(it.sha)
    parent = it.parents[0] if it.parents else None
    added, deleted = sum(c.additions for c in files), sum(c.deletions for c in files)
    return Reply(
        200,
        render.commit(call.hub, repo, it)
        | {
            "stats": {"additions": added, "deletions": deleted, "total": added + deleted},
            "files": [
                render.file(
                    call.hub,
                    repo,
                    it.sha,
                    c,
                    repo.git.patch(parent, it.sha, c.path) if parent else "",
                )
                for c in files
            ],
        },
    )


@route("GET " + PREFIX + "/git/ref/{ref}", needs="contents:read")
def reference(call: Call) -> Reply:
    name = f"refs/{call.params['ref']}"
    listed = call.repo.git.run("for-each-ref", "--format=%(objectname) %(objecttype)", name).split()
    sha = call.repo.git.resolve(name)
    if sha is None or len(listed) != 2:
        raise Refusal(404, "Not Found")
    url = render.repository_url(call.hub, call.repo)
    target = {"sha": listed[0], "type": listed[1], "url": f"{url}/git/{listed[1]}s/{listed[0]}"}
    number = int(sha[:8], 16)
    shown = {
        "ref": name,
        "node_id": render.node_id("Ref", number),
        "url": f"{url}/git/{name}",
        "object": target,
    }
    return Reply(200, shown)


@route("GET " + PREFIX + "/branches", needs="contents:read")
def branches(call: Call) -> Reply:
    def show(item: tuple[str, str]) -> Json:
        url = f"{render.repository_url(call.hub, call.repo)}/commits/{item[1]}"
        return {"name": item[0], "commit": {"sha": item[1], "url": url}, "protected": False}

    return call.page(sorted(call.repo.git.heads().items()), show)


@route("GET " + PREFIX + "/branches/{branch}", needs="contents:read")
def branch(call: Call) -> Reply:
    name = call.params["branch"]
    sha = call.repo.git.heads().get(name)
    if sha is None:
        raise Refusal(404, "Branch not found")
    url = f"{render.repository_url(call.hub, call.repo)}/branches/{name}"
    page = f"{render.html_url(call.hub, call.repo)}/tree/{name}"
    shown = {
        "name": name,
        "commit": render.commit(call.hub, call.repo, call.repo.git.commit(sha)),
        "_links": {"self": url, "html": page},
        "protected": name in call.repo.protected or name in call.repo.ruled,
        "protection": _protection(call.repo.protected.get(name)),
        "protection_url": f"{url}/protection",
    }
    return Reply(200, shown)


def _protection(checks: list[str] | None) -> Json:
    required = {
        "enforcement_level": "off" if checks is None else "non_admins",
        "contexts": checks or [],
        "checks": [{"context": name, "app_id": None} for name in checks or []],
    }
    return {"enabled": checks is not None, "required_status_checks": required}


@route("GET " + PREFIX + "/rules/branches/{branch}", needs="metadata:read")
def rules(call: Call) -> Reply:
    checks = call.repo.ruled.get(call.params["branch"])
    if checks is None:
        return call.page([], lambda _: {})
    of_checks: Json = {
        "type": "required_status_checks",
        "parameters": {
            "strict_required_status_checks_policy": False,
            "do_not_enforce_on_create": False,
            "required_status_checks": [{"context": name} for name in checks],
        },
    }
    return call.page(
        [of_checks, {"type": "deletion"}],
        lambda rule: {
            **rule,
            "ruleset_id": 1,
            "ruleset_source_type": "Repository",
            "ruleset_source": call.repo.full_name,
        },
    )


@route("GET " + PREFIX + "/contents/{path}", needs="contents:read")
def contents(call: Call) -> Reply:
    repo, path = call.repo, call.params["path"].strip("/")
    ref = call.query.get("ref") or repo.git.default_branch
    sha = repo.git.resolve(ref)
    entries = repo.git.tree(sha, path) if sha else None
    if sha is None or entries is None:
        raise Refusal(404, "Not Found" if sha else f"No commit found for the ref {ref}")
    if len(entries) == 1 and entries[0][3] == path and entries[0][0] == "blob":
        return _file(call, repo, ref, entries[0])
    return Reply(200, [_entry(call, repo, ref, entry) for entry in entries])


def _file(call: Call, repo: Repository, ref: str, entry: tuple[str, str, int, str]) -> Reply:
    content = repo.git.blob(entry[1])
    if "raw" in call.accept:
        return Reply(200, content)
    encoded = base64.encodebytes(content).decode() if len(content) <= 1 << 20 else ""
    encoding = "base64" if encoded or not content else "none"
    return Reply(200, _entry(call, repo, ref, entry) | {"content": encoded, "encoding": encoding})


def _entry(call: Call, repo: Repository, ref: str, entry: tuple[str, str, int, str]) -> Json:
    kind, sha, size, path = entry
    url = f"{render.repository_url(call.hub, repo)}/contents/{path}?ref={ref}"
    git = f"{render.repository_url(call.hub, repo)}/git/{kind}s/{sha}"
    page = f"{render.html_url(call.hub, repo)}/{kind}/{ref}/{path}"
    return {
        "type": "file" if kind == "blob" else "dir",
        "size": size,
        "name": path.rsplit("/", 1)[-1],
        "path": path,
        "sha": sha,
        "url": url,
        "git_url": git,
        "html_url": page,
        "download_url": f"{render.html_url(call.hub, repo)}/raw/{ref}/{path}"
        if kind == "blob"
        else None,
        "_links": {"self": url, "git": git, "html": page},
    }


@route("GET " + PREFIX + "/compare/{basehead}", needs="contents:read")
def compare(call: Call) -> Reply:
    repo = call.repo
    base_name, dots, head_name = call.params["basehead"].partition("...")
    base, head = repo.git.resolve(base_name), repo.git.resolve(head_name)
    fork = repo.git.merge_base(base, head) if base and head and dots else None
    if base is None or head is None or fork is None:
        raise Refusal(404, "Not Found")
    ahead = repo.git.commits([f"{base}..{head}"])
    behind = len(repo.git.commits([f"{head}..{base}"]))
    status = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}
    url = f"{render.repository_url(call.hub, repo)}/compare/{call.params['basehead']}"
    page = f"{render.html_url(call.hub, repo)}/compare/{call.params['basehead']}"
    shown = {
        "url": url,
        "html_url": page,
        "permalink_url": page,
        "diff_url": page + ".diff",
        "patch_url": page + ".patch",
        "base_commit": render.commit(call.hub, repo, repo.git.commit(base)),
        "merge_base_commit": render.commit(call.hub, repo, repo.git.commit(fork)),
        "status": status.get((bool(ahead), bool(behind)), "diverged"),
        "ahead_by": len(ahead),
        "behind_by": behind,
        "total_commits": len(ahead),
        "commits": [render.commit(call.hub, repo, it) for it in ahead[:250]],
        "files": [
            render.file(call.hub, repo, head, c, repo.git.patch(fork, head, c.path))
            for c in repo.git.changes(fork, head)[:300]
        ],
    }
    return Reply(200, shown)
