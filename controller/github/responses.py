"""PURE. What an answer of GitHub's API means: how much may be asked still, and what went wrong.

https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from specs.failures import Failure, NeedsHuman, TryAgain

SECONDARY = 60.0
"""Seconds to stay away after a secondary limit that names none (GitHub: at least one minute)."""
LONGEST_BLOCK = 3600.0
"""Seconds; both limits end within an hour, whatever a header says."""
MOST_WORDS = 400
"""Characters of GitHub's own words in a message."""
_SECRET = re.compile(r"\b(?:gh[a-z]_|github_pat_|eyJ)[\w.-]{8,}")


class GitHubRefused(NeedsHuman):
    """GitHub understood and said no; `status` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class NotFound(GitHubRefused):
    """Not there (404, 410), or not shown to these credentials."""


class OutcomeUnknown(TryAgain):
    """The request may have been carried out; nobody can tell from here."""


class Reply(NamedTuple):
    """An answer, read whole."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    data: Any
    """The parsed JSON; None if there was none."""


class Budget(NamedTuple):
    """What GitHub lets one installation or person ask, as of its last answer."""

    limit: int
    remaining: int
    reset: float
    """Seconds since the epoch when `remaining` is `limit` again."""


def budget_of(headers: Mapping[str, str]) -> Budget | None:
    """The primary limit that the answer tells of, if it does."""
    try:
        return Budget(
            int(headers["x-ratelimit-limit"]),
            int(headers["x-ratelimit-remaining"]),
            float(headers["x-ratelimit-reset"]),
        )
    except (KeyError, ValueError):
        return None


def pause(reply: Reply, now: float) -> float | None:
    """Seconds for which GitHub wants to be left alone; None if no limit was met."""
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
    """What GitHub says went wrong, on one line and without anything that looks like a token."""
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
    """What an answer of 400 or more that is no rate limit means; `what` says what was asked."""
    said = f"{what}: GitHub answered {reply.status}: {words(reply)}"
    if reply.status >= 500 or reply.status in (408, 409, 423, 425):
        return TryAgain(said)
    if reply.status == 401:
        return GitHubRefused(
            f"{said}. Give a token that is valid, or check the app's id and private key", 401
        )
    if reply.status == 403:
        return GitHubRefused(f"{said}. {_permission(reply.headers)}", 403)
    if reply.status in (404, 410):
        return NotFound(
            f"{said}. Either it is gone, or these credentials may not see it: check the name and "
            "that the app is installed on that repository",
            reply.status,
        )
    return GitHubRefused(said, reply.status)


def _permission(headers: Mapping[str, str]) -> str:
    """GitHub names the permission that would do in a header: `checks=write; ...` means either."""
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
