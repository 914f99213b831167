"""What Headgate asks of GitHub: one method per question, values in and out.

Changes of what github3.py models (check runs, comments, statuses, issues, pull requests) are made
by it, over our transport. By httpx alone go: everything that is read (github3.py fails for a whole
list when one author's account is gone, and cannot ask conditionally page by page), reactions
(unknown to it), and deployments (it lacks `task`, `production_environment`, `environment_url`,
`log_url` and `auto_inactive`).

Every method may raise `specs.failures.TryAgain` (limits, time-outs, a GitHub that is down) and
`NeedsHuman`; of the latter, `answers.Missing` says that it is not there, and `answers.Refused`
has GitHub's status. What is created is created once: if nobody can tell whether GitHub took the
request, it is looked for by the mark that the caller gave before it is sent again.
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
    CheckRun,
    Closed,
    Comment,
    Deployment,
    Issue,
    Person,
    PullRequest,
    read,
)

LONGEST = 65_535
"""Characters that GitHub takes of a comment, or of one field of a check's output."""
ANNOTATIONS = 50
"""What GitHub takes with one request; further ones are added by `update_check`."""
LONGEST_DESCRIPTION = 140
"""Characters that GitHub takes of a status's description."""

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
    """Asks one GitHub, as an app or a person. Repositories are named `owner/name`.

    `reserve`, where a method has it: fail with `TryAgain` while GitHub lets us ask fewer times
    than that, so that a poll never takes what a report needs.
    """

    def __init__(self, transport: Transport, auth: Auth) -> None:
        self._transport = transport
        self._auth = auth
        self._calls = Calls(transport, auth)
        self._login = ""

    @property
    def can_create_checks(self) -> bool:
        """May create check runs; a person may only create statuses."""
        return self._auth.app_id is not None

    @property
    def budget(self) -> Budget | None:
        """The scarcest of what may be asked still; None before the first answer."""
        budgets = self._transport.budgets.values()
        return min(budgets, key=lambda budget: budget.remaining, default=None)

    async def repositories(self) -> tuple[str, ...]:
        """Every repository that the app is installed on, or that the person reaches."""
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
        """Whether that person is in that team, invitations not counted; `repository` says whose
        credentials ask. Raises `GitHubRefused` where these may not read members."""
        where = f"/orgs/{quote(organisation, safe='')}/teams/{quote(team, safe='')}"
        path = f"{where}/memberships/{quote(user, safe='')}"
        try:
            reply = await self._calls.ask(repository, "GET", path)
        except NotFound:
            return False
        return isinstance(reply.data, dict) and reply.data.get("state") == "active"

    # Pull requests

    async def open_pulls(self, repository: str, *, reserve: int = 0) -> tuple[PullRequest, ...]:
        """Those that are open, the latest change first. Costs nothing while none changes."""
        params = {"state": "open", "sort": "updated", "direction": "desc"}
        entries = await self._calls.pages(
            repository, f"{repo(repository)}/pulls", params=params, reserve=reserve
        )
        return tuple(read(PullRequest, entry) for entry in entries)

    async def pull(self, repository: str, number: int, *, reserve: int = 0) -> PullRequest:
        """One of any state, with `mergeable` and `merged_by`."""
        path = f"{repo(repository)}/pulls/{number:d}"
        return read(
            PullRequest, (await self._calls.ask(repository, "GET", path, reserve=reserve)).data
        )

    async def closed_by(self, repository: str, number: int) -> str:
        """Who closed a pull request or an issue; empty if that is not known."""
        path = f"{repo(repository)}/issues/{number:d}"
        return read(Closed, (await self._calls.ask(repository, "GET", path)).data).by

    async def find_pull(
        self, repository: str, *, head: str, base: str, state: Literal["open", "all"] = "open"
    ) -> PullRequest | None:
        """The newest from branch `head` of the same repository to `base`."""
        whose = f"{repository.partition('/')[0]}:{head}"
        params = {"state": state, "head": whose, "base": base}
        entries = await self._calls.pages(repository, f"{repo(repository)}/pulls", params=params)
        return read(PullRequest, entries[0]) if entries else None

    async def create_pull(
        self, repository: str, *, title: str, head: str, base: str, body: str
    ) -> PullRequest:
        """From branch `head` of the same repository; the one that is open already, if it is."""
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
        """Change what is given; `state="closed"` closes it."""
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
        """This app's own of a commit whose external id starts with `prefix`; older tries too."""
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
        """A check run; `external_id` is what the newest of that name is known by. Needs an app.

        `output` is GitHub's: `title`, `summary`, `text`, `annotations` (`ANNOTATIONS` at most);
        `actions` are buttons, three at most, with `label`, `description` and `identifier`.
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
        """Change what is given. Annotations are added to those that are there.

        Raises `answers.OutcomeUnknown` if nobody can tell whether they were.
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
        """The status of a commit under the name `context`; the last one counts."""
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
        """Of a pull request or an issue, oldest first."""
        path = f"{repo(repository)}/issues/{number:d}/comments"
        entries = await self._calls.pages(repository, path, reserve=reserve)
        return tuple(read(Comment, entry) for entry in entries)

    async def comments_since(
        self, repository: str, moment: str, *, reserve: int = 0
    ) -> tuple[Comment, ...]:
        """On all its pull requests and issues since `moment` (ISO 8601), oldest first; also what
        was written before and edited since. Costs nothing while nothing is new."""
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
        """Those of this app or person that start with `prefix`, which anybody can write."""
        found = await self.comments(repository, number, reserve=reserve)
        mine = self._auth.app_id
        if mine is None and not self._login and found:
            self._login = read(
                Person, (await self._calls.ask(repository, "GET", "/user")).data
            ).login
        return tuple(
            one
            for one in found
            if one.body.startswith(prefix)
            and (mine in (str(one.app), one.client) if mine else one.author == self._login)
        )

    async def create_comment(
        self, repository: str, number: int, body: str, *, mark: str
    ) -> Comment:
        """A new comment; `mark` is text in `body` that it is known by."""
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
        """Its new text. Raises `NotFound` if somebody deleted it."""
        at = self._at(repository, f"issues/comments/{comment:d}")
        data = await self._calls.write(
            repository, lambda session: by_github3.comment(session, at).edit(body[:LONGEST])
        )
        return read(Comment, data)

    async def delete_comment(self, repository: str, comment: int) -> None:
        """Delete it, if nobody has yet."""
        path = f"{repo(repository)}/issues/comments/{comment:d}"
        with suppress(NotFound):
            await self._calls.ask(repository, "DELETE", path)

    async def react(self, repository: str, comment: int, reaction: Reaction) -> None:
        """To a comment; GitHub keeps one of each kind."""
        path = f"{repo(repository)}/issues/comments/{comment:d}/reactions"
        await self._calls.send(repository, path, {"content": reaction}, again=True)

    async def open_issue(
        self, repository: str, *, title: str, body: str, mark: str, labels: Sequence[str] = ()
    ) -> Issue:
        """A new issue; `mark` is text in `body` that it is known by."""
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
        """Those that are open and, if one is given, have that label; pull requests among them."""
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
        """Of a commit to an environment, newest first."""
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
        """Of exactly this commit, whatever its statuses; `mark` is what it is known by."""

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
        """What has become of a deployment; a success makes earlier ones of its environment
        inactive unless told otherwise."""
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
