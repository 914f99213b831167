"""The GitHub client: one method per request, values in and out.

Check runs, comments, statuses, issues and pull requests are changed with github3.py, over our
transport. Everything else uses httpx directly: all reads (github3.py fails for a whole list if one
author's account is gone, and cannot make conditional requests page by page), reactions (which it
does not know), and deployments (it lacks `task`, `production_environment`, `environment_url`,
`log_url` and `auto_inactive`).

Every method may raise `specs.failures.TryAgain` (rate limits, time-outs, GitHub is down) and
`NeedsHuman`, of which `responses.NotFound` means that it does not exist, and
`responses.GitHubRefused` has GitHub's status. Nothing is created twice: if it is unknown whether
GitHub carried out a request, the result is looked for by the caller's mark before a retry.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal
from urllib.parse import quote

from controller.github import by_github3
from controller.github.auth import Auth
from controller.github.calls import Calls, commit, created, repo
from controller.github.responses import Budget, GitHubRefused, NotFound
from controller.github.transport import Transport
from controller.github.values import (
    BranchRule,
    CheckRun,
    Closed,
    Comment,
    Deployment,
    Issue,
    Person,
    PullRequest,
    RemoteBranch,
    read,
)

LONGEST = 65_535
"""Characters that GitHub accepts in a comment, or in one field of a check's output."""
ANNOTATIONS = 50
"""The most that GitHub accepts in one request; `update_check` adds more."""
LONGEST_DESCRIPTION = 140
"""Characters that GitHub accepts in the description of a status."""

Conclusion = Literal[
    "success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required"
]
CheckStatus = Literal["queued", "in_progress", "completed"]
StatusState = Literal["pending", "success", "failure", "error"]
DeploymentState = Literal[
    "queued", "pending", "in_progress", "success", "failure", "error", "inactive"
]
Reaction = Literal["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"]


class Client:
    """A client of one GitHub server, as an app or a person. Repositories are named `owner/name`.

    Methods with a `reserve` raise `TryAgain` while the rate limit leaves fewer requests than that,
    so that polling never uses up what reports need.
    """

    def __init__(self, transport: Transport, auth: Auth) -> None:
        self._transport = transport
        self._auth = auth
        self._calls = Calls(transport, auth)
        self._login = ""

    @property
    def can_create_checks(self) -> bool:
        """Whether it may create check runs; with a personal token it may only create statuses."""
        return self._auth.app_id is not None

    @property
    def budget(self) -> Budget | None:
        """The rate limit with the fewest requests left; None before the first response."""
        budgets = self._transport.budgets.values()
        return min(budgets, key=lambda budget: budget.remaining, default=None)

    async def repositories(self) -> tuple[str, ...]:
        """Every repository that the app is installed on, or that the person has access to."""
        path = "/installation/repositories" if self.can_create_checks else "/user/repos"
        key = "repositories" if self.can_create_checks else None
        found: list[str] = []
        for token in await self._auth.everything():
            entries = await self._calls.pages("", path, key=key, token=token)
            found += [str(entry["full_name"]) for entry in entries if not entry.get("archived")]
        return tuple(found)

    async def permission(self, repository: str, user: str) -> str:
        """`admin`, `write`, `read` or `none`; maintainers count as `write`."""
        path = f"{repo(repository)}/collaborators/{quote(user, safe='')}/permission"
        try:
            reply = await self._calls.ask(repository, "GET", path)
        except NotFound:
            return "none"
        permission = reply.data.get("permission") if isinstance(reply.data, dict) else None
        return permission if permission in ("admin", "write", "read") else "none"

    async def is_member(self, repository: str, organisation: str, team: str, user: str) -> bool:
        """Whether a person is in a team, not counting invitations. `repository` selects the
        credentials; raises `GitHubRefused` if these may not read members."""
        where = f"/orgs/{quote(organisation, safe='')}/teams/{quote(team, safe='')}"
        path = f"{where}/memberships/{quote(user, safe='')}"
        try:
            reply = await self._calls.ask(repository, "GET", path)
        except NotFound:
            return False
        return isinstance(reply.data, dict) and reply.data.get("state") == "active"

    async def required_checks(self, repository: str, branch: str, reserve: int) -> frozenset[str]:
        """The names of the checks that its protection or rulesets require for a merge into it."""
        at, name = repo(repository), quote(branch, safe="")
        shown = await self._calls.ask(repository, "GET", f"{at}/branches/{name}", reserve=reserve)
        rules = await self._calls.pages(repository, f"{at}/rules/branches/{name}", reserve=reserve)
        ruled = (read(BranchRule, rule).required for rule in rules)
        return read(RemoteBranch, shown.data).required.union(*ruled)

    # Pull requests

    async def open_pulls(self, repository: str, *, reserve: int = 0) -> tuple[PullRequest, ...]:
        """The open ones, most recently changed first. Free of the rate limit while none changes."""
        params = {"state": "open", "sort": "updated", "direction": "desc"}
        entries = await self._calls.pages(
            repository, f"{repo(repository)}/pulls", params=params, reserve=reserve
        )
        return tuple(read(PullRequest, entry) for entry in entries)

    async def pull(self, repository: str, number: int, *, reserve: int = 0) -> PullRequest:
        """A pull request in any state, with `merged_by`."""
        path = f"{repo(repository)}/pulls/{number:d}"
        found = await self._calls.ask(repository, "GET", path, reserve=reserve)
        return read(PullRequest, found.data)

    async def closed_by(self, repository: str, number: int) -> str:
        """Who closed a pull request or an issue; empty if unknown."""
        path = f"{repo(repository)}/issues/{number:d}"
        return read(Closed, (await self._calls.ask(repository, "GET", path)).data).by

    async def find_pull(
        self, repository: str, *, head: str, base: str, state: Literal["open", "all"] = "open"
    ) -> PullRequest | None:
        """The newest one from branch `head` of the same repository into `base`."""
        whose = f"{repository.partition('/')[0]}:{head}"
        params = {"state": state, "head": whose, "base": base}
        entries = await self._calls.pages(repository, f"{repo(repository)}/pulls", params=params)
        return read(PullRequest, entries[0]) if entries else None

    async def create_pull(
        self, repository: str, *, title: str, head: str, base: str, body: str
    ) -> PullRequest:
        """Open one from branch `head` of the same repository, or return the one already open."""
        at = self._at(repository)

        async def find() -> PullRequest | None:
            return await self.find_pull(repository, head=head, base=base)

        async def create() -> PullRequest:
            data = await self._calls.write(
                repository,
                lambda session: by_github3.repository(session, at).create_pull(
                    title, base, head, body[:LONGEST]
                ),
            )
            return read(PullRequest, data)

        try:
            return await created(create, find)
        except GitHubRefused as error:
            existing = await find() if error.status == 422 else None
            if existing is None:
                raise
            return existing

    async def update_pull(
        self,
        repository: str,
        number: int,
        *,
        title: str | None = None,
        body: str | None = None,
        state: Literal["open", "closed"] | None = None,
    ) -> PullRequest:
        """Change the given fields; `state="closed"` closes it."""
        at = self._at(repository, f"pulls/{number:d}")
        text = body and body[:LONGEST]
        data = await self._calls.write(
            repository, lambda session: by_github3.pull(session, at).update(title, text, state)
        )
        return read(PullRequest, data)

    # Check runs and statuses

    async def list_checks(
        self, repository: str, sha: str, prefix: str = "", *, reserve: int = 0
    ) -> tuple[CheckRun, ...]:
        """This app's check runs of a commit with external ids that start with `prefix`, old ones
        too."""
        entries = await self._calls.pages(
            repository,
            f"{repo(repository)}/commits/{commit(sha)}/check-runs",
            key="check_runs",
            params={"filter": "all"},
            reserve=reserve,
        )
        checks = (read(CheckRun, entry) for entry in entries)
        mine = self._auth.app_id
        return tuple(
            check
            for check in checks
            if mine in (str(check.app), check.client) and check.external_id.startswith(prefix)
        )

    async def create_check(
        self,
        repository: str,
        *,
        name: str,
        sha: str,
        external_id: str,
        status: CheckStatus = "queued",
        conclusion: Conclusion | None = None,
        output: Mapping[str, Any] | None = None,
        url: str | None = None,
        actions: Sequence[Mapping[str, str]] = (),
    ) -> CheckRun:
        """Create a check run; `external_id` identifies the newest of its name. Needs an app.

        `output` has GitHub's fields `title`, `summary`, `text` and `annotations` (at most
        `ANNOTATIONS`); `actions` are at most three buttons, each with `label`, `description` and
        `identifier`.
        """
        at = self._at(repository)
        head = commit(sha)

        async def find() -> CheckRun | None:
            found = await self.list_checks(repository, sha)
            of_name = [check for check in found if check.name == name]
            newest = max(of_name, key=lambda check: check.id, default=None)
            return newest if newest and newest.external_id == external_id else None

        async def create() -> CheckRun:
            data = await self._calls.write(
                repository,
                lambda session: by_github3.repository(session, at).create_check_run(
                    name,
                    head,
                    details_url=url,
                    external_id=external_id,
                    status=status,
                    conclusion=conclusion,
                    output=output,
                    actions=list(actions) or None,
                ),
            )
            return read(CheckRun, data)

        return await created(create, find)

    async def update_check(
        self,
        repository: str,
        number: int,
        *,
        external_id: str | None = None,
        status: CheckStatus | None = None,
        conclusion: Conclusion | None = None,
        output: Mapping[str, Any] | None = None,
        url: str | None = None,
        actions: Sequence[Mapping[str, str]] | None = None,
    ) -> CheckRun:
        """Change the given fields. Annotations are added to the existing ones.

        Raises `responses.OutcomeUnknown` if it is unknown whether annotations were added.
        """
        at = self._at(repository, f"check-runs/{number:d}")
        data = await self._calls.write(
            repository,
            lambda session: by_github3.check_run(session, at).update(
                external_id=external_id,
                status=status,
                conclusion=conclusion,
                output=output,
                details_url=url,
                actions=None if actions is None else list(actions),
            ),
            again=False if output and output.get("annotations") else None,
        )
        return read(CheckRun, data)

    async def create_status(
        self,
        repository: str,
        sha: str,
        *,
        state: StatusState,
        context: str,
        description: str = "",
        url: str | None = None,
    ) -> None:
        """Set the status of a commit under the name `context`; the last one counts."""
        at = self._at(repository)
        head = commit(sha)
        await self._calls.write(
            repository,
            lambda session: by_github3.repository(session, at).create_status(
                head, state, url, description[:LONGEST_DESCRIPTION], context
            ),
            again=True,
        )

    # Comments and issues

    async def comments(
        self, repository: str, number: int, *, reserve: int = 0
    ) -> tuple[Comment, ...]:
        """The comments of a pull request or issue, oldest first."""
        path = f"{repo(repository)}/issues/{number:d}/comments"
        entries = await self._calls.pages(repository, path, reserve=reserve)
        return tuple(read(Comment, entry) for entry in entries)

    async def comments_since(
        self, repository: str, moment: str, *, reserve: int = 0
    ) -> tuple[Comment, ...]:
        """All comments in a repository since `moment` (ISO 8601), oldest first, including older
        ones edited since. Free of the rate limit while nothing is new."""
        params = {"since": moment, "sort": "created", "direction": "asc"}
        path = f"{repo(repository)}/issues/comments"
        entries = await self._calls.pages(repository, path, params=params, reserve=reserve)
        return tuple(read(Comment, entry) for entry in entries)

    async def last_comment(self, repository: str, *, reserve: int = 0) -> Comment | None:
        """The newest comment on any pull request or issue."""
        params = {"sort": "created", "direction": "desc", "per_page": 1}
        path = f"{repo(repository)}/issues/comments"
        reply = await self._calls.ask(repository, "GET", path, params=params, reserve=reserve)
        return next((read(Comment, entry) for entry in reply.data or ()), None)

    async def own_comments(
        self, repository: str, number: int, prefix: str, *, reserve: int = 0
    ) -> tuple[Comment, ...]:
        """The comments of this app or person that start with `prefix`. Others may use it, too."""
        found = await self.comments(repository, number, reserve=reserve)
        mine = self._auth.app_id
        if mine is None and not self._login and found:
            me = await self._calls.ask(repository, "GET", "/user")
            self._login = read(Person, me.data).login
        return tuple(
            one
            for one in found
            if one.body.startswith(prefix)
            and (mine in (str(one.app), one.client) if mine else one.author == self._login)
        )

    async def create_comment(
        self, repository: str, number: int, body: str, *, mark: str
    ) -> Comment:
        """Create a comment; `mark` is text in `body` that identifies it."""
        at = self._at(repository, f"issues/{number:d}")

        async def find() -> Comment | None:
            found = await self.comments(repository, number)
            return next((comment for comment in found if mark in comment.body), None)

        async def create() -> Comment:
            data = await self._calls.write(
                repository,
                lambda session: by_github3.issue(session, at).create_comment(body[:LONGEST]),
            )
            return read(Comment, data)

        return await created(create, find)

    async def update_comment(self, repository: str, comment: int, body: str) -> Comment:
        """Replace its text. Raises `NotFound` if somebody deleted it."""
        at = self._at(repository, f"issues/comments/{comment:d}")
        data = await self._calls.write(
            repository, lambda session: by_github3.comment(session, at).edit(body[:LONGEST])
        )
        return read(Comment, data)

    async def delete_comment(self, repository: str, comment: int) -> None:
        """Delete it, if it still exists."""
        path = f"{repo(repository)}/issues/comments/{comment:d}"
        with suppress(NotFound):
            await self._calls.ask(repository, "DELETE", path)

    async def react(self, repository: str, comment: int, reaction: Reaction) -> None:
        """React to a comment; GitHub keeps one reaction of each kind."""
        path = f"{repo(repository)}/issues/comments/{comment:d}/reactions"
        await self._calls.send(repository, path, {"content": reaction}, again=True)

    async def open_issue(
        self, repository: str, *, title: str, body: str, mark: str, labels: Sequence[str] = ()
    ) -> Issue:
        """Open an issue; `mark` is text in `body` that identifies it."""
        at = self._at(repository)

        async def find() -> Issue | None:
            issues = await self.open_issues(repository, label=labels[0] if labels else "")
            return next((issue for issue in issues if mark in issue.body), None)

        async def create() -> Issue:
            data = await self._calls.write(
                repository,
                lambda session: by_github3.repository(session, at).create_issue(
                    title, body[:LONGEST], labels=list(labels) or None
                ),
            )
            return read(Issue, data)

        return await created(create, find)

    async def open_issues(self, repository: str, *, label: str = "") -> tuple[Issue, ...]:
        """The open issues, with that label if given; includes pull requests."""
        params = {"state": "open", **({"labels": label} if label else {})}
        entries = await self._calls.pages(repository, f"{repo(repository)}/issues", params=params)
        return tuple(read(Issue, entry) for entry in entries)

    async def close_issue(self, repository: str, number: int) -> None:
        """Close it as completed. Raises `NotFound` if somebody deleted it."""
        at = self._at(repository, f"issues/{number:d}")
        await self._calls.write(
            repository, lambda session: by_github3.issue(session, at).edit(state="closed")
        )

    # Deployments

    async def list_deployments(
        self, repository: str, *, sha: str, environment: str
    ) -> tuple[Deployment, ...]:
        """The deployments of a commit to an environment, newest first."""
        params = {"sha": commit(sha), "environment": environment}
        path = f"{repo(repository)}/deployments"
        entries = await self._calls.pages(repository, path, params=params)
        return tuple(read(Deployment, entry) for entry in entries)

    async def create_deployment(
        self,
        repository: str,
        *,
        sha: str,
        environment: str,
        mark: str,
        description: str = "",
        production: bool = False,
    ) -> Deployment:
        """Create one of exactly this commit, whatever its statuses; `mark` identifies it."""

        async def find() -> Deployment | None:
            found = await self.list_deployments(repository, sha=sha, environment=environment)
            return next((deployment for deployment in found if deployment.mark == mark), None)

        async def create() -> Deployment:
            data = await self._calls.send(
                repository,
                f"{repo(repository)}/deployments",
                {
                    "ref": commit(sha),
                    "auto_merge": False,
                    "required_contexts": [],
                    "environment": environment,
                    "description": description[:LONGEST_DESCRIPTION],
                    "production_environment": production,
                    "payload": {"headgate": mark},
                },
            )
            return read(Deployment, data)

        return await created(create, find)

    async def deployment_status(
        self,
        repository: str,
        deployment: int,
        *,
        state: DeploymentState,
        description: str = "",
        environment_url: str | None = None,
        log_url: str | None = None,
        auto_inactive: bool = True,
    ) -> None:
        """Set the state of a deployment. With `auto_inactive`, a success makes earlier ones of its
        environment inactive."""
        status = {
            "state": state,
            "description": description[:LONGEST_DESCRIPTION],
            "environment_url": environment_url,
            "log_url": log_url,
            "auto_inactive": auto_inactive,
        }
        await self._calls.send(
            repository,
            f"{repo(repository)}/deployments/{deployment:d}/statuses",
            {name: value for name, value in status.items() if value is not None},
            again=True,
        )

    def _at(self, repository: str, path: str = "") -> str:
        return "/".join(filter(None, (self._transport.api + repo(repository), path)))
