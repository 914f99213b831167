"""The GitHub that tests talk to: the server, and what people do on its web pages and with git."""

import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.doubles.github import acts, render, render_checks
from tests.doubles.github.git import Bare
from tests.doubles.github.guard import Fault
from tests.doubles.github.server import Server
from tests.doubles.github.service import Record, Service, key_of
from tests.doubles.github.state import (
    App,
    CheckRun,
    Comment,
    Deployment,
    Hub,
    Installation,
    Issue,
    Repository,
    Token,
    User,
)
from tests.doubles.github.webhooks import Webhooks

PERMISSIONS = {
    "actions": "read",
    "administration": "write",
    "checks": "write",
    "contents": "write",
    "deployments": "write",
    "issues": "write",
    "metadata": "read",
    "pull_requests": "write",
    "statuses": "write",
}
EVENTS = ["push", "pull_request", "check_run", "check_suite", "issue_comment"]


@cache
def _key() -> rsa.RSAPrivateKey:
    """One key for all doubles of a process: making one takes a good part of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class GitHub:
    """A GitHub on a port of this machine, for one test: state in memory, git on disk.

    Use it as a context manager: leaving it stops the server and raises AssertionError if a request
    or an answer did not fit GitHub's description, unless `forgive` was called after it.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self.hub = Hub("")
        self.service = Service(self.hub)
        self.limits = self.service.limits
        self.server = Server(self.service, port)
        self.hub.url = self.url = self.server.url
        self.webhooks = Webhooks(self.hub, violations=self.service.violations)
        self.hub.emit = self.webhooks.emit
        self.hub.heard = lambda: self.webhooks.url is not None
        self.hub.webhook_url = lambda: self.webhooks.url
        self.hub.redeliver = self.webhooks.redeliver
        self.hub.rate = lambda who: self.limits.state(key_of(who), self.hub.seconds())
        self.private_key = ""
        self.server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is None:
            self.verify()

    def stop(self) -> None:
        self.webhooks.stop()
        self.server.stop()

    def verify(self) -> None:
        """Raise AssertionError if anything did not fit GitHub's description."""
        if self.service.violations:
            told = "\n  ".join(self.service.violations)
            raise AssertionError(f"the double saw what GitHub would not accept:\n  {told}")

    def forgive(self) -> list[str]:
        """The violations so far, forgotten: for a test that sends something wrong on purpose."""
        found = list(self.service.violations)
        self.service.violations.clear()
        return found

    # Setting the scene.

    def repository(
        self, full_name: str, path: Path | None = None, private: bool = False
    ) -> Repository:
        """A repository over the bare one at `path`, or over a new one."""
        owner, name = full_name.split("/")
        git = Bare(path) if path else Bare.create(self.folder / owner / f"{name}.git")
        return self._add(
            Repository(self.hub.next_id(), self.hub.user(owner), name, git, private, self.hub.now())
        )

    def fork(self, repo: Repository, owner: str) -> Repository:
        """A fork: a second bare repository, beside the first."""
        path = self.folder / owner / f"{repo.name}.git"
        subprocess.run(["git", "clone", "-q", "--bare", str(repo.git.path), str(path)], check=True)
        who = self.hub.user(owner)
        return self._add(
            Repository(
                self.hub.next_id(), who, repo.name, Bare(path), repo.private, self.hub.now(), repo
            )
        )

    def _add(self, repo: Repository) -> Repository:
        with self.service.lock:
            repo.known_heads = dict(repo.git.heads())
            self.hub.repositories[repo.full_name.lower()] = repo
        return repo

    def app(
        self,
        slug: str = "headgate",
        secret: str = "webhook secret",
        events: list[str] | None = None,
        permissions: Mapping[str, str] | None = None,
    ) -> App:
        """Register the app. Its PEM key is `private_key` afterwards; `permissions` are what it
        asks for, which an installation grants."""
        key = _key()
        self.private_key = key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        ).decode()
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        owner, bot = self.hub.user("app-owner"), self.hub.user(f"{slug}[bot]", "Bot")
        self.hub.app = App(
            self.hub.next_id(),
            slug,
            owner,
            bot,
            public.decode(),
            secret,
            EVENTS if events is None else events,
            dict(PERMISSIONS if permissions is None else permissions),
            self.hub.now(),
        )
        return self.hub.app

    def install(
        self, *repositories: Repository, permissions: Mapping[str, str] | None = None
    ) -> Installation:
        """Install the app on repositories of one owner."""
        account = repositories[0].owner
        granted = dict(PERMISSIONS if permissions is None else permissions)
        it = Installation(self.hub.next_id(), account, granted, list(repositories), self.hub.now())
        with self.service.lock:
            self.hub.installations[it.id] = it
            self._tell_installation(it, "created")
        return it

    def suspend(self, installation: Installation) -> None:
        with self.service.lock:
            installation.suspended_at = self.hub.now()
            self._tell_installation(installation, "suspend")

    def uninstall(self, installation: Installation) -> None:
        with self.service.lock:
            del self.hub.installations[installation.id]
            self.end_tokens()
            self._tell_installation(installation, "deleted")

    def _tell_installation(self, it: Installation, action: str) -> None:
        if self.hub.app is None:
            return
        shown = render.installation(self.hub, it)
        if action == "suspend":
            shown["suspended_by"] = render.user(self.hub, it.account)
        repositories = [
            {
                "id": repo.id,
                "node_id": render.node_id("Repository", repo.id),
                "name": repo.name,
                "full_name": repo.full_name,
                "private": repo.private,
            }
            for repo in it.repositories
        ]
        payload = {"action": action, "installation": shown, "repositories": repositories}
        self.hub.emit(None, "installation", it.account, payload)

    def token(self, login: str) -> str:
        """A personal access token of a user."""
        return self.hub.new_token("ghp_", Token(self.hub.user(login)))

    def end_tokens(self) -> None:
        """Let every installation token end now."""
        for token in self.hub.tokens.values():
            if token.installation:
                token.expires = 0.0

    def advance(self, seconds: float) -> None:
        """Set the service's clock ahead."""
        self.hub.ahead += seconds

    def fail(self, operation: str, **what: Any) -> None:
        """Let the next calls of an operation go wrong; see `Fault`."""
        self.service.faults.add(Fault(operation, **what))

    # What people do.

    def grant(self, repo: Repository, login: str, permission: str) -> User:
        repo.collaborators[login] = permission
        return self.hub.user(login)

    def require(self, repo: Repository, branch: str, *checks: str, by: str = "protection") -> None:
        """Let merges into a branch require these checks, by its protection or by a ruleset."""
        with self.service.lock:
            (repo.protected if by == "protection" else repo.ruled)[branch] = [*checks]

    def team(self, organisation: str, slug: str, *members: str, state: str = "active") -> None:
        """Put people into a team; "pending" while they have not taken the invitation."""
        team = self.hub.teams.setdefault((organisation.lower(), slug.lower()), {})
        team.update({self.hub.user(login).login.lower(): state for login in members})

    def push(
        self,
        repo: Repository,
        files: Mapping[str, str | bytes | None],
        branch: str = "main",
        author: str = "dev",
        message: str = "Change",
        parent: str | None = None,
    ) -> str:
        """Commit files on a branch and push; `parent` makes a new branch or a forced push."""
        with self.service.lock:
            start = (
                parent
                or repo.git.heads().get(branch)
                or repo.git.heads().get(repo.git.default_branch)
            )
            sha = repo.git.write(branch, files, message, (author, f"{author}@example.com"), start)
            acts.notice(self.hub, repo)
        return sha

    def delete_branch(self, repo: Repository, branch: str) -> None:
        with self.service.lock:
            repo.git.delete_ref(f"refs/heads/{branch}")
            acts.notice(self.hub, repo)

    def notice(self) -> None:
        """Take in what was pushed with git itself. Every API call does so for its repository."""
        with self.service.lock:
            for repo in list(self.hub.repositories.values()):
                acts.notice(self.hub, repo)

    def open_pull_request(
        self,
        repo: Repository,
        head: str,
        base: str | None = None,
        author: str = "dev",
        title: str = "A change",
        body: str | None = None,
        fork: Repository | None = None,
        draft: bool = False,
    ) -> Issue:
        with self.service.lock:
            self.notice()
            who = self.hub.user(author)
            base = base or repo.git.default_branch
            return acts.open_pull(self.hub, repo, who, title, body, base, head, fork, draft)

    def comment(self, repo: Repository, issue: Issue, body: str, author: str = "dev") -> Comment:
        with self.service.lock:
            return acts.add_comment(self.hub, repo, issue, self.hub.user(author), body)

    def edit_comment(
        self, repo: Repository, comment: Comment, body: str, author: str = "dev"
    ) -> None:
        """Edit a comment, of oneself or, with write access, of somebody else."""
        with self.service.lock:
            acts.edit_comment(self.hub, repo, comment, self.hub.user(author), body)

    def retarget(self, repo: Repository, issue: Issue, base: str, author: str = "dev") -> None:
        """Let a pull request be for another base."""
        with self.service.lock:
            changes = {"base": acts.set_base(repo, issue, base)}
            issue.updated_at = self.hub.now()
            who = self.hub.user(author)
            acts.tell_pull(self.hub, repo, issue, "edited", who, changes=changes)

    def close(self, repo: Repository, issue: Issue, author: str = "dev") -> None:
        with self.service.lock:
            acts.close(self.hub, repo, issue, self.hub.user(author))

    def reopen(self, repo: Repository, issue: Issue, author: str = "dev") -> None:
        with self.service.lock:
            acts.reopen(self.hub, repo, issue, self.hub.user(author))

    def merge(
        self,
        repo: Repository,
        issue: Issue,
        author: str = "dev",
        method: Literal["merge", "squash"] = "merge",
    ) -> str:
        """Press the merge button; the new commit on the base branch."""
        with self.service.lock:
            return acts.merge(self.hub, repo, issue, self.hub.user(author), method)

    def queue(self, repo: Repository, issue: Issue, behind: str | None = None) -> tuple[str, str]:
        """Press "Merge when ready" where a merge queue is required; see `acts.queue`."""
        with self.service.lock:
            return acts.queue(self.hub, repo, issue, behind)

    def click_rerun(self, repo: Repository, run: CheckRun, author: str = "dev") -> None:
        """Press "Re-run" of a check run."""
        with self.service.lock:
            acts.tell_check(self.hub, repo, run, "rerequested", self.hub.user(author))

    def click_rerun_all(self, repo: Repository, sha: str, author: str = "dev") -> None:
        """Press "Re-run all checks" of a commit."""
        with self.service.lock:
            suite = render_checks.check_suite(self.hub, repo, acts.suite_for(self.hub, repo, sha))
            payload = {"action": "rerequested", "check_suite": suite}
            self.hub.emit(repo, "check_suite", self.hub.user(author), payload)

    def click_action(
        self, repo: Repository, run: CheckRun, identifier: str, author: str = "dev"
    ) -> None:
        """Press a button that the check run itself offers."""
        assert identifier in {action["identifier"] for action in run.actions}, "no such button"
        with self.service.lock:
            action = {"identifier": identifier}
            who = self.hub.user(author)
            acts.tell_check(self.hub, repo, run, "requested_action", who, requested_action=action)

    def ping(self) -> None:
        """What GitHub sends first to a new webhook address."""
        app = self.hub.the_app()
        hook = {
            "type": "App",
            "id": app.id,
            "name": "web",
            "active": True,
            "events": app.events,
            "app_id": app.id,
            "config": {"content_type": "json", "insecure_ssl": "0", "url": self.webhooks.url},
            "created_at": app.created_at,
            "updated_at": app.created_at,
        }
        payload = {"zen": "Keep it logically awesome.", "hook_id": app.id, "hook": hook}
        self.hub.emit(None, "ping", app.owner, payload)

    # What can be seen.

    def check_runs(self, repo: Repository, sha: str | None = None) -> list[CheckRun]:
        """Check runs of a commit (or all), oldest first."""
        with self.service.lock:
            return [run for run in repo.check_runs.values() if sha in (None, run.head_sha)]

    def comments(self, repo: Repository, issue: Issue) -> list[Comment]:
        with self.service.lock:
            return [it for it in repo.comments.values() if it.issue is issue]

    def deployments(self, repo: Repository) -> list[Deployment]:
        with self.service.lock:
            return list(repo.deployments.values())

    def statuses(self, repo: Repository, sha: str) -> list[dict[str, Any]]:
        """Commit statuses, oldest first."""
        with self.service.lock:
            return [it for it in repo.statuses if it["sha"] == sha]

    def calls(self, operation: str | None = None) -> list[Record]:
        """The calls so far, or those of one operation, "POST /repos/{owner}/{repo}/pulls"."""
        with self.service.lock:
            return [it for it in self.service.records if operation in (None, it.operation)]
