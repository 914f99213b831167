"""PURE. What a response of GitHub's API means: the remaining rate limit, and what went wrong.

https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from specs.failures import Failure, NeedsHuman, TryAgain

SECONDARY = 60.0
"""Seconds to pause at a secondary limit that names no time (GitHub: at least one minute)."""
LONGEST_BLOCK = 3600.0
"""Seconds; both limits end within an hour, whatever the headers say."""
MOST_WORDS = 400
"""Characters of GitHub's own explanation in a message."""
_SECRET = re.compile(r"\b(?:gh[a-z]_|github_pat_|eyJ)[\w.-]{8,}")


class GitHubRefused(NeedsHuman):
    """GitHub rejected the request; `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class NotFound(GitHubRefused):
    """It does not exist (404, 410), or these credentials may not see it."""


class OutcomeUnknown(TryAgain):
    """The request may or may not have been carried out."""


class Reply(NamedTuple):
    """A complete response."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    data: Any
    """The parsed JSON; None without any."""


class Budget(NamedTuple):
    """The rate limit of one installation or person, as of the last response."""

    limit: int
    remaining: int
    reset: float
    """When `remaining` is reset to `limit`, in seconds since the epoch."""


def budget_of(headers: Mapping[str, str]) -> Budget | None:
    """The primary rate limit in the headers, if there is one."""
    try:
        return Budget(
            int(headers["x-ratelimit-limit"]),
            int(headers["x-ratelimit-remaining"]),
            float(headers["x-ratelimit-reset"]),
        )
    except (KeyError, ValueError):
        return None


def pause(reply: Reply, now: float) -> float | None:
    """Seconds to wait before the next request; None if no rate limit was reached."""
    if reply.status not in (403, 429):
        return None
    after = reply.headers.get("retry-after", "")
    budget = budget_of(reply.headers)
    if after.isdecimal():
        seconds = float(after)
    elif budget is not None and budget.remaining == 0:
        seconds = budget.reset - now + 1
    elif reply.status == 429 or "rate limit" in words(reply).lower():
        seconds = SECONDARY
    else:
        return None
    return min(max(seconds, 1.0), LONGEST_BLOCK)


def words(reply: Reply) -> str:
    """GitHub's error message on one line, without anything that looks like a token."""
    if not isinstance(reply.data, dict):
        return "no explanation"
    said = [str(reply.data.get("message") or "no explanation")]
    errors = reply.data.get("errors")
    for error in errors if isinstance(errors, list) else [errors] if errors else []:
        if isinstance(error, dict):
            field = error.get("field") or error.get("resource") or ""
            detail = error.get("message") or error.get("code") or ""
            said.append(f"{field}: {detail}" if field and detail else str(field or detail))
        else:
            said.append(str(error))
    line = " ".join("; ".join(part for part in said if part).split())
    return _SECRET.sub("***", line)[:MOST_WORDS]


def failure(what: str, reply: Reply) -> Failure:
    """The failure for a response of 400 or more that is no rate limit; `what` names the request."""
    said = f"{what}: GitHub answered {reply.status}: {words(reply)}"
    if reply.status >= 500 or reply.status in (408, 409, 423, 425):
        return TryAgain(said)
    if reply.status == 401:
        return GitHubRefused(
            f"{said}. Use a valid token, or check the app's id and private key", 401
        )
    if reply.status == 403:
        return GitHubRefused(f"{said}. {_permission(reply.headers)}", 403)
    if reply.status in (404, 410):
        return NotFound(
            f"{said}. It does not exist, or these credentials may not see it: check the name, "
            "and that the app is installed on that repository",
            reply.status,
        )
    return GitHubRefused(said, reply.status)


def _permission(headers: Mapping[str, str]) -> str:
    """The missing permission, which GitHub names in a header; `;` separates alternatives."""
    needed = headers.get("x-accepted-github-permissions", "")
    if needed:
        sets = [
            " and ".join(f"`{part.strip().replace('=', ': ')}`" for part in each.split(","))
            for each in needed.split(";")
        ]
        return (
            f"The app or token lacks {' or '.join(sets)}: grant it in the app's settings and "
            "accept it in the installation, or in the token's settings"
        )
    scopes = headers.get("x-accepted-oauth-scopes", "")
    if scopes:
        return f"The token needs one of the scopes {scopes}"
    return "Check what the app or token is allowed to do"
