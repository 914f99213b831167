"""What the double remembers: users, repositories, pull requests, checks, comments, deployments."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from tests.doubles.github.git import Bare

# Each level includes those before it.
LEVELS = ("none", "read", "triage", "write", "maintain", "admin")


@dataclass
class User:
    id: int
    login: str
    kind: str = "User"  # or "Bot", "Organization"


@dataclass
class Pull:
    """What makes an issue a pull request. `head_repository` is None once the fork is deleted."""

    head_repository: "Repository | None"
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    draft: bool = False
    merged_at: str | None = None
    merged_by: User | None = None
    merge_commit_sha: str | None = None


@dataclass
class Issue:
    id: int
    number: int
    user: User
    title: str
    body: str | None
    created_at: str
    updated_at: str
    state: str = "open"
    state_reason: str | None = None
    closed_at: str | None = None
    closed_by: User | None = None
    labels: list[str] = field(default_factory=list)
    assignees: list[User] = field(default_factory=list)
    pull: Pull | None = None

    @property
    def request(self) -> Pull:
        assert self.pull is not None, f"#{self.number} is no pull request"
        return self.pull


@dataclass
class Comment:
    id: int
    issue: Issue
    user: User
    body: str
    created_at: str
    updated_at: str
    by_app: bool = False
    reactions: list[tuple[int, User, str, str]] = field(default_factory=list)  # id, who, what, when


@dataclass
class Suite:
    id: int
    head_sha: str
    head_branch: str | None
    created_at: str
    updated_at: str
    before: str | None = None


@dataclass
class CheckRun:
    id: int
    suite: Suite
    name: str
    head_sha: str
    status: str
    started_at: str | None
    conclusion: str | None = None
    completed_at: str | None = None
    external_id: str = ""
    details_url: str | None = None
    output: dict[str, Any] = field(default_factory=dict)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    actions: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Deployment:
    id: int
    creator: User
    sha: str
    ref: str
    task: str
    environment: str
    description: str | None
    payload: Any
    transient: bool
    production: bool
    created_at: str
    updated_at: str
    statuses: list[dict[str, Any]] = field(default_factory=list)  # oldest first

    @property
    def state(self) -> str:
        """The latest status, "pending" before the first."""
        return str(self.statuses[-1]["state"]) if self.statuses else "pending"


@dataclass
class Repository:
    id: int
    owner: User
    name: str
    git: Bare
    private: bool
    created_at: str
    parent: "Repository | None" = None
    allow_merge: bool = True
    collaborators: dict[str, str] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    comments: dict[int, Comment] = field(default_factory=dict)
    suites: dict[int, Suite] = field(default_factory=dict)
    check_runs: dict[int, CheckRun] = field(default_factory=dict)
    deployments: dict[int, Deployment] = field(default_factory=dict)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)  # oldest first
    known_heads: dict[str, str] = field(default_factory=dict)
    protected: dict[str, list[str]] = field(default_factory=dict)  # checks, by branch
    ruled: dict[str, list[str]] = field(default_factory=dict)  # the same by a ruleset

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"

    def pulls(self) -> list[Issue]:
        return [issue for issue in self.issues.values() if issue.pull]

    def permission(self, login: str) -> str:
        """The level of a user: the owner's is admin, a stranger's read on what is public."""
        if login == self.owner.login:
            return "admin"
        return self.collaborators.get(login, "none" if self.private else "read")


@dataclass
class Installation:
    """The app on the repositories of one owner, with what it may do there."""

    id: int
    account: User
    permissions: dict[str, str]
    repositories: list[Repository]
    created_at: str
    suspended_at: str | None = None


@dataclass
class App:
    id: int
    slug: str
    owner: User
    bot: User
    public_key: str
    webhook_secret: str
    events: list[str]
    permissions: dict[str, str]
    created_at: str
    webhook_type: str = "json"


@dataclass
class Token:
    """A token of a user, or of an installation until `expires` (seconds since the epoch)."""

    user: User
    installation: Installation | None = None
    expires: float | None = None
    permissions: dict[str, str] | None = None
    repositories: list[Repository] | None = None


@dataclass
class Hub:
    """All of the service's state. `emit` is told of every event, as (repository, name, payload)."""

    url: str
    users: dict[str, User] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    installations: dict[int, Installation] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    # By organisation and slug: "active", or "pending" until the invitation is taken, by login.
    teams: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    app: App | None = None
    token_life: float = 3600.0
    ahead: float = 0.0
    deliveries: list[dict[str, Any]] = field(default_factory=list)  # oldest first
    emit: Callable[[Repository | None, str, User, dict[str, Any]], None] = lambda *_: None
    # Whether anyone hears events: what nobody hears need not be worked out.
    heard: Callable[[], bool] = lambda: False
    webhook_url: Callable[[], str | None] = lambda: None
    redeliver: Callable[[dict[str, Any]], None] = lambda _: None
    rate: Callable[[Token | None], dict[str, int]] = lambda _: {}
    _ids: "count[int]" = field(default_factory=lambda: count(1_000_001))

    def next_id(self) -> int:
        return next(self._ids)

    def seconds(self) -> float:
        """The service's clock, which a test may set ahead."""
        return time.time() + self.ahead

    def now(self) -> str:
        return stamp(self.seconds())

    def user(self, login: str, kind: str = "User") -> User:
        if login not in self.users:
            self.users[login] = User(self.next_id(), login, kind)
        return self.users[login]

    def the_app(self) -> App:
        assert self.app is not None, "the double has no app yet"
        return self.app

    def new_token(self, prefix: str, token: Token) -> str:
        text = prefix + secrets.token_hex(18)
        self.tokens[text] = token
        return text


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
