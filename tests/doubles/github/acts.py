"""State changes, the same for a person's click and an API call, with their webhooks."""

from typing import Any

from tests.doubles.github import render, render_checks
from tests.doubles.github.calls import Refusal, invalid
from tests.doubles.github.git import ZERO
from tests.doubles.github.state import CheckRun, Comment, Hub, Issue, Pull, Repository, Suite, User


def notice(hub: Hub, repo: Repository) -> None:
    """Take in what was pushed: events, new heads of pull requests, those that ended."""
    before, now = repo.known_heads, repo.git.heads()
    if before == now:
        return
    repo.known_heads = dict(now)
    for branch in sorted(before.keys() | now.keys()):
        old, new = before.get(branch), now.get(branch)
        if old != new:
            _pushed(hub, repo, branch, old, new)
            _move_pulls(hub, repo, branch, new)


def _pushed(hub: Hub, repo: Repository, branch: str, old: str | None, new: str | None) -> None:
    if new:
        suite_for(hub, repo, new, branch, before=old or ZERO)
    if not hub.heard():
        return
    commits = []
    forced = False
    if new:
        base = repo.git.merge_base(old, new) if old else None
        forced = old is not None and base != old
        span = [f"{old}..{new}"] if old else [new]
        commits = [_pushed_commit(hub, repo, c.sha) for c in repo.git.commits(span, "-n", "20")]
    payload = {
        "ref": f"refs/heads/{branch}",
        "before": old or ZERO,
        "after": new or ZERO,
        "created": old is None,
        "deleted": new is None,
        "forced": forced,
        "base_ref": None,
        "compare": f"{render.html_url(hub, repo)}/compare/{old or ZERO}...{new or ZERO}",
        "commits": commits,
        "head_commit": _pushed_commit(hub, repo, new) if new else None,
        "pusher": {"name": repo.owner.login, "email": f"{repo.owner.login}@example.com"},
    }
    hub.emit(repo, "push", repo.owner, payload)


def _pushed_commit(hub: Hub, repo: Repository, sha: str) -> dict[str, Any]:
    by_status: dict[str, list[str]] = {"added": [], "removed": [], "modified": []}
    for change in repo.git.changed_by(sha):
        by_status.get(change.status, by_status["modified"]).append(change.path)
    shown = render.simple_commit(repo.git.commit(sha))
    return (
        shown | {"distinct": True, "url": f"{render.html_url(hub, repo)}/commit/{sha}"} | by_status
    )


def _move_pulls(hub: Hub, repo: Repository, branch: str, new: str | None) -> None:
    for base in hub.repositories.values():
        for issue in base.pulls():
            pull = issue.request
            if issue.state != "open":
                continue
            if base is repo and pull.base_ref == branch and new:
                pull.base_sha = new
                if base.git.merge_base(pull.head_sha, new) == pull.head_sha:
                    _merged(hub, base, issue, base.owner, new)
                    continue
            if pull.head_repository is repo and pull.head_ref == branch:
                if new is None:
                    close(hub, base, issue, issue.user)
                else:
                    _synchronize(hub, base, issue, new)


def _synchronize(hub: Hub, base: Repository, issue: Issue, new: str) -> None:
    pull = issue.request
    assert pull.head_repository is not None
    base.git.fetch(pull.head_repository.git, new, f"refs/pull/{issue.number}/head")
    old, pull.head_sha = pull.head_sha, new
    issue.updated_at = hub.now()
    tell_pull(hub, base, issue, "synchronize", issue.user, before=old, after=new)


def tell_pull(
    hub: Hub, repo: Repository, issue: Issue, action: str, who: User, **more: Any
) -> None:
    if not hub.heard():
        return
    payload = {
        "action": action,
        "number": issue.number,
        "pull_request": render.full_pull(hub, repo, issue),
        **more,
    }
    hub.emit(repo, "pull_request", who, payload)


def open_pull(
    hub: Hub,
    repo: Repository,
    who: User,
    title: str,
    body: str | None,
    base: str,
    head: str,
    source: Repository | None = None,
    draft: bool = False,
) -> Issue:
    """Open a pull request for branch `head` of `source` (itself, or a fork of it)."""
    source = source or repo
    heads, bases = source.git.heads(), repo.git.heads()
    if head not in heads:
        raise invalid("PullRequest", "head", "head is not a branch", "invalid")
    if base not in bases:
        raise invalid("PullRequest", "base", "base is not a branch", "invalid")
    twin = [
        issue
        for issue in repo.pulls()
        if issue.state == "open"
        and (issue.request.head_repository, issue.request.head_ref, issue.request.base_ref)
        == (source, head, base)
    ]
    if twin:
        label = f"{source.owner.login}:{head}"
        raise invalid("PullRequest", "head", f"A pull request already exists for {label}.")
    issue = new_issue(hub, repo, who, title, body)
    repo.git.fetch(source.git, heads[head], f"refs/pull/{issue.number}/head")
    if repo.git.merge_base(bases[base], heads[head]) == heads[head]:
        del repo.issues[issue.number]
        raise invalid("PullRequest", "base", f"No commits between {base} and {head}")
    issue.pull = Pull(source, head, heads[head], base, bases[base], draft)
    tell_pull(hub, repo, issue, "opened", who)
    return issue


def set_base(repo: Repository, issue: Issue, base: str) -> dict[str, Any]:
    """Let a pull request be for another branch; what it was for, as events tell of it."""
    if base not in repo.git.heads():
        raise invalid("PullRequest", "base", "base is not a branch", "invalid")
    pull = issue.request
    old = {"ref": {"from": pull.base_ref}, "sha": {"from": pull.base_sha}}
    pull.base_ref, pull.base_sha = base, repo.git.heads()[base]
    return old


def new_issue(hub: Hub, repo: Repository, who: User, title: str, body: str | None) -> Issue:
    number = max(repo.issues, default=0) + 1
    issue = Issue(hub.next_id(), number, who, title, body, hub.now(), hub.now())
    hub.next_id()  # a pull request has an id beside that of its issue
    repo.issues[number] = issue
    return issue


def close(hub: Hub, repo: Repository, issue: Issue, who: User) -> None:
    if issue.state == "closed":
        return
    issue.state, issue.closed_at, issue.closed_by = "closed", hub.now(), who
    issue.updated_at = hub.now()
    if issue.pull:
        tell_pull(hub, repo, issue, "closed", who)


def reopen(hub: Hub, repo: Repository, issue: Issue, who: User) -> None:
    if issue.state == "open":
        return
    if issue.pull and issue.pull.merged_at:
        raise invalid(
            "PullRequest",
            "state",
            "state cannot be changed. The pull request is merged.",
            "invalid",
        )
    issue.state, issue.closed_at, issue.closed_by = "open", None, None
    issue.updated_at = hub.now()
    if issue.pull:
        tell_pull(hub, repo, issue, "reopened", who)


def merge(
    hub: Hub,
    repo: Repository,
    issue: Issue,
    who: User,
    method: str = "merge",
    title: str | None = None,
    message: str | None = None,
    sha: str | None = None,
) -> str:
    """Merge a pull request; refuses what does not merge (405) or has moved (409)."""
    notice(hub, repo)
    pull = issue.request
    if sha and sha != pull.head_sha:
        raise Refusal(409, "Head branch was modified. Review and try the merge again.")
    if method == "rebase" or not repo.allow_merge:
        raise Refusal(405, f"{method.capitalize()} merges are not allowed on this repository.")
    tree = repo.git.merged_tree(pull.base_sha, pull.head_sha)
    if issue.state != "open" or pull.draft or tree is None:
        raise Refusal(405, "Pull Request is not mergeable")
    source = pull.head_repository.owner.login if pull.head_repository else issue.user.login
    subject = title or (
        f"{issue.title} (#{issue.number})"
        if method == "squash"
        else f"Merge pull request #{issue.number} from {source}/{pull.head_ref}"
    )
    parents = [pull.base_sha] + ([pull.head_sha] if method == "merge" else [])
    text = f"{subject}\n\n{message if message is not None else issue.title}".rstrip() + "\n"
    author = (who.login, f"{who.id}+{who.login}@users.noreply.github.com")
    made = repo.git.commit_tree(tree, parents, text, author)
    repo.git.set_ref(f"refs/heads/{pull.base_ref}", made, pull.base_sha)
    _merged(hub, repo, issue, who, made)
    notice(hub, repo)
    return made


def queue(hub: Hub, repo: Repository, issue: Issue, behind: str | None = None) -> tuple[str, str]:
    """Add a pull request to the merge queue: the branch and the head of its merge group, which is
    on top of the base, or of the group `behind`."""
    notice(hub, repo)
    pull = issue.request
    onto = behind or pull.base_sha
    tree = repo.git.merged_tree(onto, pull.head_sha)
    if issue.state != "open" or tree is None:
        raise Refusal(422, "Pull Request is not mergeable")
    # Each is another commit, also of the same content within a second.
    text = f"Merge pull request #{issue.number}\n\n{issue.title} ({hub.next_id()})\n"
    bot = ("github-merge-queue[bot]", "118344674+github-merge-queue@users.noreply.github.com")
    made = repo.git.commit_tree(tree, [onto, pull.head_sha], text, bot)
    branch = f"gh-readonly-queue/{pull.base_ref}/pr-{issue.number}-{onto}"
    repo.git.set_ref(f"refs/heads/{branch}", made)
    notice(hub, repo)
    return branch, made


def _merged(hub: Hub, repo: Repository, issue: Issue, who: User, made: str) -> None:
    pull = issue.request
    pull.merged_at, pull.merged_by, pull.merge_commit_sha = hub.now(), who, made
    close(hub, repo, issue, who)


def add_comment(
    hub: Hub, repo: Repository, issue: Issue, who: User, body: str, by_app: bool = False
) -> Comment:
    _bounded(body)
    now = hub.now()  # once: a comment that was updated later than it was created was edited
    comment = Comment(hub.next_id(), issue, who, body, now, now, by_app)
    repo.comments[comment.id] = comment
    tell_comment(hub, repo, comment, "created", who)
    return comment


def edit_comment(hub: Hub, repo: Repository, comment: Comment, who: User, body: str) -> None:
    _bounded(body)
    old, comment.body, comment.updated_at = comment.body, body, hub.now()
    tell_comment(hub, repo, comment, "edited", who, changes={"body": {"from": old}})


def delete_comment(hub: Hub, repo: Repository, comment: Comment, who: User) -> None:
    del repo.comments[comment.id]
    tell_comment(hub, repo, comment, "deleted", who)


def tell_comment(
    hub: Hub, repo: Repository, comment: Comment, action: str, who: User, **more: Any
) -> None:
    payload = {
        "action": action,
        "issue": render.issue(hub, repo, comment.issue),
        "comment": render.comment(hub, repo, comment),
        **more,
    }
    hub.emit(repo, "issue_comment", who, payload)


def _bounded(body: str) -> None:
    if not body.strip():
        raise invalid("IssueComment", "body", "body can't be blank", "missing_field")
    if len(body) > 65536:
        raise invalid("IssueComment", "body", "body is too long (maximum is 65536 characters)")


def suite_for(
    hub: Hub, repo: Repository, sha: str, branch: str | None = None, before: str | None = None
) -> Suite:
    """The app's check suite of a commit, made when there is none."""
    for suite in repo.suites.values():
        if suite.head_sha == sha:
            return suite
    if branch is None:
        branch = next((name for name, head in repo.git.heads().items() if head == sha), None)
    suite = Suite(hub.next_id(), sha, branch, hub.now(), hub.now(), before)
    repo.suites[suite.id] = suite
    if hub.app and hub.heard():
        shown = render_checks.check_suite(hub, repo, suite)
        hub.emit(repo, "check_suite", repo.owner, {"action": "requested", "check_suite": shown})
    return suite


def tell_check(
    hub: Hub, repo: Repository, run: CheckRun, action: str, who: User, **more: Any
) -> None:
    shown = render_checks.check_run(hub, repo, run, suite_shown=True)
    hub.emit(repo, "check_run", who, {"action": action, "check_run": shown, **more})
