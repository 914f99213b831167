"""State in the shapes of the REST API, as its description has them."""

import base64
import hashlib
from typing import Any

from tests.doubles.github.addresses import REPOSITORY_URLS, USER_URLS
from tests.doubles.github.git import Change, Commit
from tests.doubles.github.state import (
    Comment,
    Deployment,
    Hub,
    Installation,
    Issue,
    Repository,
    User,
)

Json = dict[str, Any]


def node_id(kind: str, number: int) -> str:
    return base64.b64encode(f"{kind}{number}".encode()).decode()


def user(hub: Hub, who: User) -> Json:
    url = f"{hub.url}/users/{who.login}"
    return {
        "login": who.login,
        "id": who.id,
        "node_id": node_id("User", who.id),
        "avatar_url": f"{hub.url}/avatars/{who.id}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{hub.url}/{who.login}",
        **{name: url + path for name, path in USER_URLS.items()},
        "type": who.kind,
        "site_admin": False,
    }


def profile(hub: Hub, who: User, repositories: int) -> Json:
    unsaid = ("name", "company", "blog", "location", "email", "hireable", "bio", "twitter_username")
    return (
        user(hub, who)
        | dict.fromkeys(unsaid)
        | {
            "public_repos": repositories,
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "created_at": "2020-01-01T00:00:00Z",
            "updated_at": "2020-01-01T00:00:00Z",
        }
    )


def repository_url(hub: Hub, repo: Repository) -> str:
    return f"{hub.url}/repos/{repo.full_name}"


def html_url(hub: Hub, repo: Repository) -> str:
    return f"{hub.url}/{repo.full_name}"


def repository(hub: Hub, repo: Repository) -> Json:
    url, html = repository_url(hub, repo), html_url(hub, repo)
    is_open = sum(issue.state == "open" for issue in repo.issues.values())
    forks = sum(other.parent is repo for other in hub.repositories.values())
    counted = {"forks": forks, "open_issues": is_open, "stargazers": 0, "watchers": 0}
    return {
        "id": repo.id,
        "node_id": node_id("Repository", repo.id),
        "name": repo.name,
        "full_name": repo.full_name,
        "owner": user(hub, repo.owner),
        "private": repo.private,
        "visibility": "private" if repo.private else "public",
        "html_url": html,
        "description": None,
        "fork": repo.parent is not None,
        "url": url,
        **{name: url + path for name, path in REPOSITORY_URLS.items()},
        # Where git itself reaches the repository: the folder on disk.
        "clone_url": repo.git.path.as_uri(),
        "git_url": repo.git.path.as_uri(),
        "ssh_url": str(repo.git.path),
        "svn_url": html,
        "mirror_url": None,
        "homepage": None,
        "language": None,
        "license": None,
        "size": 0,
        "default_branch": repo.git.default_branch,
        "topics": [],
        "has_issues": True,
        "has_projects": False,
        "has_wiki": False,
        "has_pages": False,
        "has_downloads": False,
        "has_discussions": False,
        "archived": False,
        "disabled": False,
        "allow_forking": True,
        "is_template": False,
        "web_commit_signoff_required": False,
        **{f"{name}_count": number for name, number in counted.items()},
        "forks": forks,
        "open_issues": is_open,
        "watchers": 0,
        "pushed_at": repo.created_at,
        "created_at": repo.created_at,
        "updated_at": repo.created_at,
    }


def full_repository(hub: Hub, repo: Repository) -> Json:
    whole = repository(hub, repo) | {
        "network_count": 0,
        "subscribers_count": 0,
        "allow_merge_commit": repo.allow_merge,
        "allow_squash_merge": repo.allow_merge,
        "allow_rebase_merge": False,
        "delete_branch_on_merge": False,
    }
    if repo.parent:
        whole["parent"] = whole["source"] = repository(hub, repo.parent)
    return whole


def _milestones() -> Json:
    return {"milestone": None, "labels": [], "assignee": None, "assignees": [], "locked": False}


def association(repo: Repository, who: User) -> str:
    if who.login == repo.owner.login:
        return "OWNER"
    return "COLLABORATOR" if who.login in repo.collaborators else "NONE"


def issue(hub: Hub, repo: Repository, it: Issue) -> Json:
    url = f"{repository_url(hub, repo)}/issues/{it.number}"
    page = f"{html_url(hub, repo)}/{'pull' if it.pull else 'issues'}/{it.number}"
    shown: Json = _milestones() | {
        "id": it.id,
        "node_id": node_id("Issue", it.id),
        "number": it.number,
        "url": url,
        "repository_url": repository_url(hub, repo),
        "labels_url": url + "/labels{/name}",
        "comments_url": url + "/comments",
        "events_url": url + "/events",
        "html_url": page,
        "title": it.title,
        "body": it.body,
        "user": user(hub, it.user),
        "state": it.state,
        "state_reason": it.state_reason,
        "active_lock_reason": None,
        "comments": sum(comment.issue is it for comment in repo.comments.values()),
        "assignee": user(hub, it.assignees[0]) if it.assignees else None,
        "assignees": [user(hub, who) for who in it.assignees],
        "labels": [_label(hub, repo, name) for name in it.labels],
        "created_at": it.created_at,
        "updated_at": it.updated_at,
        "closed_at": it.closed_at,
        "author_association": association(repo, it.user),
        "reactions": _reactions(url, []),
    }
    if it.pull:
        pull = f"{repository_url(hub, repo)}/pulls/{it.number}"
        shown["pull_request"] = {
            "url": pull,
            "html_url": page,
            "diff_url": page + ".diff",
            "patch_url": page + ".patch",
            "merged_at": it.pull.merged_at,
        }
        shown["draft"] = it.pull.draft
    return shown


def _label(hub: Hub, repo: Repository, name: str) -> Json:
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    return {
        "id": number,
        "node_id": node_id("Label", number),
        "url": f"{repository_url(hub, repo)}/labels/{name}",
        "name": name,
        "color": "ededed",
        "default": False,
        "description": None,
    }


def _reactions(url: str, contents: list[str]) -> Json:
    kinds = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")
    counts = {kind: contents.count(kind) for kind in kinds}
    return {"url": url + "/reactions", "total_count": len(contents), **counts}


def pull(hub: Hub, repo: Repository, it: Issue) -> Json:
    """A pull request as lists show it."""
    ask = it.request
    url = f"{repository_url(hub, repo)}/pulls/{it.number}"
    issue_url = f"{repository_url(hub, repo)}/issues/{it.number}"
    page = f"{html_url(hub, repo)}/pull/{it.number}"
    places = {
        "self": url,
        "html": page,
        "issue": issue_url,
        "comments": issue_url + "/comments",
        "review_comments": url + "/comments",
        "review_comment": f"{repository_url(hub, repo)}/pulls/comments{{/number}}",
        "commits": url + "/commits",
        "statuses": f"{repository_url(hub, repo)}/statuses/{ask.head_sha}",
    }
    return _milestones() | {
        "id": it.id + 1,
        "node_id": node_id("PullRequest", it.id),
        "number": it.number,
        "url": url,
        "html_url": page,
        "diff_url": page + ".diff",
        "patch_url": page + ".patch",
        "issue_url": issue_url,
        "commits_url": places["commits"],
        "review_comments_url": places["review_comments"],
        "review_comment_url": places["review_comment"],
        "comments_url": places["comments"],
        "statuses_url": places["statuses"],
        "state": it.state,
        "title": it.title,
        "body": it.body,
        "user": user(hub, it.user),
        "created_at": it.created_at,
        "updated_at": it.updated_at,
        "closed_at": it.closed_at,
        "merged_at": ask.merged_at,
        "merge_commit_sha": ask.merge_commit_sha,
        "active_lock_reason": None,
        "auto_merge": None,
        "draft": ask.draft,
        "requested_reviewers": [],
        "requested_teams": [],
        "labels": [_label(hub, repo, name) for name in it.labels],
        "author_association": association(repo, it.user),
        "head": _end(hub, ask.head_repository, it.user, ask.head_ref, ask.head_sha),
        "base": _end(hub, repo, repo.owner, ask.base_ref, ask.base_sha),
        "_links": {name: {"href": href} for name, href in places.items()},
    }


def _end(hub: Hub, repo: Repository | None, author: User, ref: str, sha: str) -> Json:
    owner = repo.owner if repo else author
    return {
        "label": f"{owner.login}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": user(hub, owner),
        "repo": repository(hub, repo) if repo else None,
    }


def full_pull(hub: Hub, repo: Repository, it: Issue) -> Json:
    ask = it.request
    base = repo.git.merge_base(ask.base_sha, ask.head_sha) or ask.base_sha
    files = repo.git.changes(base, ask.head_sha)
    clean = None if it.state == "closed" else bool(repo.git.merged_tree(ask.base_sha, ask.head_sha))
    state = {None: "unknown", True: "clean", False: "dirty"}[clean]
    return pull(hub, repo, it) | {
        "merged": ask.merged_at is not None,
        "merged_by": user(hub, ask.merged_by) if ask.merged_by else None,
        "mergeable": clean,
        "rebaseable": None,
        "mergeable_state": state,
        "comments": sum(comment.issue is it for comment in repo.comments.values()),
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": len(repo.git.commits([f"{base}..{ask.head_sha}"])),
        "additions": sum(change.additions for change in files),
        "deletions": sum(change.deletions for change in files),
        "changed_files": len(files),
    }


def file(hub: Hub, repo: Repository, head: str, change: Change, patch: str) -> Json:
    place = f"{head}/{change.path}"
    shown: Json = {
        "sha": change.sha,
        "filename": change.path,
        "status": change.status,
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": f"{html_url(hub, repo)}/blob/{place}",
        "raw_url": f"{html_url(hub, repo)}/raw/{place}",
        "contents_url": f"{repository_url(hub, repo)}/contents/{change.path}?ref={head}",
    }
    if patch:
        shown["patch"] = patch
    return shown | ({"previous_filename": change.previous} if change.previous else {})


def commit(hub: Hub, repo: Repository, it: Commit) -> Json:
    url, page = repository_url(hub, repo), html_url(hub, repo)

    def person(who: tuple[str, str, str]) -> Json:
        return dict(zip(("name", "email", "date"), who, strict=True))

    return {
        "sha": it.sha,
        "node_id": node_id("Commit", int(it.sha[:8], 16)),
        "url": f"{url}/commits/{it.sha}",
        "html_url": f"{page}/commit/{it.sha}",
        "comments_url": f"{url}/commits/{it.sha}/comments",
        "author": None,
        "committer": None,
        "parents": [
            {"sha": sha, "url": f"{url}/commits/{sha}", "html_url": f"{page}/commit/{sha}"}
            for sha in it.parents
        ],
        "commit": {
            "message": it.message,
            "author": person(it.author),
            "committer": person(it.committer),
            "tree": {"sha": it.tree, "url": f"{url}/git/trees/{it.tree}"},
            "url": f"{url}/git/commits/{it.sha}",
            "comment_count": 0,
            "verification": {
                "verified": False,
                "reason": "unsigned",
                "signature": None,
                "payload": None,
                "verified_at": None,
            },
        },
    }


def simple_commit(it: Commit) -> Json:
    return {
        "id": it.sha,
        "tree_id": it.tree,
        "message": it.message,
        "timestamp": it.committer[2],
        "author": {"name": it.author[0], "email": it.author[1]},
        "committer": {"name": it.committer[0], "email": it.committer[1]},
    }


def app(hub: Hub) -> Json:
    it = hub.the_app()
    return {
        "id": it.id,
        "slug": it.slug,
        "client_id": f"Iv1.{it.id:016x}",
        "node_id": node_id("App", it.id),
        "owner": user(hub, it.owner),
        "name": it.slug,
        "description": "",
        "external_url": hub.url,
        "html_url": f"{hub.url}/apps/{it.slug}",
        "created_at": it.created_at,
        "updated_at": it.created_at,
        "permissions": it.permissions,
        "events": it.events,
    }


def installation(hub: Hub, it: Installation) -> Json:
    return {
        "id": it.id,
        "app_id": hub.the_app().id,
        "app_slug": hub.the_app().slug,
        "client_id": f"Iv1.{hub.the_app().id:016x}",
        "account": user(hub, it.account),
        "target_id": it.account.id,
        "target_type": it.account.kind,
        "repository_selection": "selected",
        "access_tokens_url": f"{hub.url}/app/installations/{it.id}/access_tokens",
        "repositories_url": f"{hub.url}/installation/repositories",
        "html_url": f"{hub.url}/settings/installations/{it.id}",
        "permissions": it.permissions,
        "events": hub.the_app().events,
        "single_file_name": None,
        "created_at": it.created_at,
        "updated_at": it.created_at,
        "suspended_at": it.suspended_at,
        "suspended_by": None,
    }


def comment(hub: Hub, repo: Repository, it: Comment) -> Json:
    url = f"{repository_url(hub, repo)}/issues/comments/{it.id}"
    page = f"{html_url(hub, repo)}/{'pull' if it.issue.pull else 'issues'}/{it.issue.number}"
    return {
        "id": it.id,
        "node_id": node_id("IssueComment", it.id),
        "url": url,
        "html_url": f"{page}#issuecomment-{it.id}",
        "issue_url": f"{repository_url(hub, repo)}/issues/{it.issue.number}",
        "body": it.body,
        "user": user(hub, it.user),
        "created_at": it.created_at,
        "updated_at": it.updated_at,
        "author_association": association(repo, it.user),
        "performed_via_github_app": app(hub) if it.by_app else None,
        "reactions": _reactions(url, [what for _, _, what, _ in it.reactions]),
    }


def deployment(hub: Hub, repo: Repository, it: Deployment) -> Json:
    url = f"{repository_url(hub, repo)}/deployments/{it.id}"
    return {
        "id": it.id,
        "node_id": node_id("Deployment", it.id),
        "url": url,
        "sha": it.sha,
        "ref": it.ref,
        "task": it.task,
        "payload": it.payload,
        "original_environment": it.environment,
        "environment": it.environment,
        "description": it.description,
        "creator": user(hub, it.creator),
        "created_at": it.created_at,
        "updated_at": it.updated_at,
        "statuses_url": url + "/statuses",
        "repository_url": repository_url(hub, repo),
        "transient_environment": it.transient,
        "production_environment": it.production,
    }
