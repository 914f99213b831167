"""PURE. The permissions and events that Headgate needs on GitHub, and which are missing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

LEVELS = ("none", "read", "write", "admin")
CALLS_A_POLL = 2
"""Per repository: the open pull requests and the last comment. An unchanged answer is a 304, which
GitHub does not count against the rate limit."""
HOOK = "/webhooks/github"


class Need(NamedTuple):
    """A permission of an app or a fine-grained token, by its name in GitHub's API."""

    name: str
    level: str
    why: str
    vital: bool = True
    """Whether reports need it; without the others, reports only show less."""

    def __str__(self) -> str:
        return f"{self.name}: {self.level}"


PERMISSIONS = (
    Need("metadata", "read", "who may use commands"),
    Need("contents", "read", "to be notified of pushes"),
    Need("checks", "write", "the verdict on each commit"),
    Need("pull_requests", "write", "plans, comments, and releases proposed as pull requests"),
    Need("issues", "write", "comments, reactions and `github-issue`"),
    Need("deployments", "write", "what staging and production run", vital=False),
    Need("statuses", "write", "rollbacks, on the commit that is rolled back", vital=False),
)
"""git pushes (the environments branch, proposals, notes) use git's own credentials, so the app only
needs to read contents."""
EVENTS = ("push", "pull_request", "check_run", "check_suite", "issue_comment")
"""Every app also gets `installation` and `installation_repositories`."""


def needs_of(teams: Sequence[str]) -> tuple[Need, ...]:
    """The needs of a repository whose specs name `teams` (`@organisation/team`) as approvers."""
    if not teams:
        return PERMISSIONS
    why = f"who is in {', '.join(teams)} and may accept changed rules"
    return (*PERMISSIONS, Need("members", "read", why, vital=False))


def elsewhere(full: str, teams: Iterable[str]) -> list[str]:
    """The teams that belong to another organisation than the repository `full` (`owner/name`): the
    app is installed in that organisation and cannot read the members of others."""
    owner = full.partition("/")[0].lower()
    return [team for team in teams if team.removeprefix("@").partition("/")[0].lower() != owner]


def lacking(granted: Mapping[str, str], needs: Iterable[Need] = PERMISSIONS) -> list[Need]:
    """The needs that `granted`, levels by name, does not meet."""
    return [need for need in needs if not _meets(granted.get(need.name, "none"), need.level)]


def _meets(level: str, needed: str) -> bool:
    return level in LEVELS and LEVELS.index(level) >= LEVELS.index(needed)


def missing_events(subscribed: Iterable[str]) -> list[str]:
    """The events that Headgate reads but the app is not subscribed to."""
    return sorted({*EVENTS} - {*subscribed})


def calls_an_hour(polls: Iterable[float]) -> int:
    """Requests per hour of polling; `polls` has the seconds between polls of each repository."""
    return round(sum(3600 / seconds * CALLS_A_POLL for seconds in polls))


def lacks_scope(scopes: Iterable[str], *, private: bool) -> str | None:
    """The scope that a classic token lacks for a repository, if any."""
    if "repo" in scopes or (not private and "public_repo" in scopes):
        return None
    return "repo" if private else "public_repo"


def sees_teams(scopes: Iterable[str]) -> bool:
    """Whether a classic token with these scopes may read who is in a team."""
    return not {"read:org", "write:org", "admin:org"}.isdisjoint(scopes)
