"""PURE. What Headgate needs on GitHub, and what of it was not granted."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

LEVELS = ("none", "read", "write", "admin")
CALLS_A_POLL = 2
"""Of a repository: its open pull requests, and the last comment. What is as it was is answered with
304, which GitHub does not count against the limit."""
HOOK = "/webhooks/github"


class Need(NamedTuple):
    """A permission of an app, or of a fine-grained token, as GitHub's API names it."""

    name: str
    level: str
    why: str
    vital: bool = True
    """Without it there is no report; without the others, something less is shown."""

    def __str__(self) -> str:
        return f"{self.name}: {self.level}"


PERMISSIONS = (
    Need("metadata", "read", "who may give commands"),
    Need("contents", "read", "to be told of pushes"),
    Need("checks", "write", "the verdict on each commit"),
    Need("pull_requests", "write", "plans, comments, and releases proposed as pull requests"),
    Need("issues", "write", "comments, reactions and `github-issue`"),
    Need("deployments", "write", "what staging and production run", vital=False),
    Need("statuses", "write", "a rollback, on the commit that it takes back", vital=False),
)
"""What git pushes (the environments branch, proposals, notes) it pushes with what authenticates git
there, so the app itself only reads contents."""
EVENTS = ("push", "pull_request", "check_run", "check_suite", "issue_comment")
"""`installation` and `installation_repositories` are sent to every app."""


def needs_of(teams: Sequence[str]) -> tuple[Need, ...]:
    """Those of a repository whose specs name `teams`, each `@organisation/team`, as approvers."""
    if not teams:
        return PERMISSIONS
    why = f"who is in {', '.join(teams)} and may accept changed rules"
    return (*PERMISSIONS, Need("members", "read", why, vital=False))


def elsewhere(full: str, teams: Iterable[str]) -> list[str]:
    """The teams of other organisations than that of the repository `full`, `owner/name`: the app
    is installed in that one, and is told of no other's members."""
    owner = full.partition("/")[0].lower()
    return [team for team in teams if team.removeprefix("@").partition("/")[0].lower() != owner]


def lacking(granted: Mapping[str, str], needs: Iterable[Need] = PERMISSIONS) -> list[Need]:
    """The needs that `granted`, levels by name, does not meet."""
    return [need for need in needs if not _meets(granted.get(need.name, "none"), need.level)]


def _meets(level: str, needed: str) -> bool:
    return level in LEVELS and LEVELS.index(level) >= LEVELS.index(needed)


def missing_events(subscribed: Iterable[str]) -> list[str]:
    """The events that webhooks are read of, and the app is not subscribed to."""
    return sorted({*EVENTS} - {*subscribed})


def calls_an_hour(polls: Iterable[float]) -> int:
    """What polling asks of GitHub; `polls` has the seconds between two polls of each repository."""
    return round(sum(3600 / seconds * CALLS_A_POLL for seconds in polls))


def lacks_scope(scopes: Iterable[str], *, private: bool) -> str | None:
    """The scope that a classic token lacks for a repository."""
    if "repo" in scopes or (not private and "public_repo" in scopes):
        return None
    return "repo" if private else "public_repo"


def sees_teams(scopes: Iterable[str]) -> bool:
    """Whether a classic token with these is told who is in a team."""
    return not {"read:org", "write:org", "admin:org"}.isdisjoint(scopes)
