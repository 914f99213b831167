"""PURE. GitHub's webhooks: verifies that one is from GitHub, and reads where to look.

Only the body is signed. The event's name and the delivery's id are in headers that are not, so
whatever a hint leads to is looked up at GitHub and done once per comment, check run or commit,
never once per delivery.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import Any, Literal

from controller.machine.core import Value
from controller.machine.messages import ButtonPressed, ForgeMoved
from controller.machine.repositories.pull import is_command

LONGEST_BODY = 4096
"""Characters of a comment that are kept; a command is on its first line."""
LONGEST_NAME = 300
MOST_REPOSITORIES = 1000

Kind = Literal["moved", "pull", "comment", "rerun", "action", "installation"]

_PULL_ACTIONS = frozenset(
    {
        "opened", "synchronize", "reopened", "closed", "edited",
        "ready_for_review", "converted_to_draft",
    }
)  # fmt: skip


class Malformed(Exception):  # noqa: N818 - it describes the body
    """The body is not a JSON object."""


class Hint(Value):
    """Where to look. A hint is never the truth: GitHub and git are asked."""

    kind: Kind
    """`moved`: branches; `pull`: a pull request; `comment`: a command by comment; `rerun` and
    `action`: a button of a check; `installation`: which repositories the app may see."""
    repository: str = ""
    """`owner/name`; empty for `installation`."""
    repositories: tuple[str, ...] = ()
    """For `installation`: the repositories that it names."""
    pull: int | None = None
    head: str = ""
    """For `pull`: its head branch."""
    comment: int | None = None
    author: str = ""
    """Who commented or pressed the button. GitHub is asked what that person may do."""
    body: str = ""
    """Of the comment, at most `LONGEST_BODY` characters."""
    check: int | None = None
    """The check run; None if a whole suite is to be run again."""
    external_id: str = ""
    """Of the check run, as Headgate gave it."""
    action: str = ""
    """The identifier of the button."""
    sha: str = ""
    """The commit that the check is on."""

    @property
    def message(self) -> ForgeMoved | ButtonPressed:
        """What a repository is told."""
        if self.kind not in ("rerun", "action"):
            return ForgeMoved(pull=self.kind == "pull", head=self.head)
        return ButtonPressed(
            author=self.author,
            rerun=self.kind == "rerun",
            action=self.action,
            check=self.check,
            external_id=self.external_id,
            sha=self.sha,
        )


def verify(secrets: Iterable[str], body: bytes, signature: str | None) -> bool:
    """Whether `signature` (`X-Hub-Signature-256`) is that of `body` with one of `secrets`.

    Takes constant time. Several secrets allow one to be replaced by another. Without any secret, or
    with an empty one, nothing is genuine.
    """
    given = (signature or "").encode()
    genuine = False
    for secret in secrets:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        genuine |= bool(secret) and hmac.compare_digest(f"sha256={digest}".encode(), given)
    return genuine


def read(event: str, body: bytes) -> Hint | None:
    """The hint in a delivery; None if it is of no interest. Raises `Malformed`.

    Lenient: if a detail is missing, the hint only says which repository to look at.
    """
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("the body is not JSON") from None
    if not isinstance(payload, dict):
        raise Malformed("the body is not a JSON object")
    if event in ("installation", "installation_repositories"):
        return Hint(kind="installation", repositories=_repositories(payload))
    repository = _text(payload, "repository", "full_name")
    if not repository:
        return None
    if event in ("push", "merge_group"):
        return Hint(kind="moved", repository=repository)
    if event == "pull_request":
        return _pull(repository, payload)
    if event == "issue_comment":
        return _comment(repository, payload)
    if event in ("check_run", "check_suite"):
        return _check(repository, payload, event)
    return None


def _pull(repository: str, payload: dict[str, Any]) -> Hint | None:
    if payload.get("action") not in _PULL_ACTIONS:
        return None
    number = _number(payload, "pull_request", "number")
    if number is None:
        return Hint(kind="moved", repository=repository)
    head = _text(payload, "pull_request", "head", "ref")
    return Hint(kind="pull", repository=repository, pull=number, head=head)


def _comment(repository: str, payload: dict[str, Any]) -> Hint | None:
    """A new comment with a command. Comments edited into a command are ignored."""
    body = _text(payload, "comment", "body", longest=LONGEST_BODY)
    if payload.get("action") != "created" or not is_command(body):
        return None
    if not isinstance(_at(payload, "issue", "pull_request"), dict):
        return None
    return Hint(
        kind="comment",
        repository=repository,
        pull=_number(payload, "issue", "number"),
        comment=_number(payload, "comment", "id"),
        author=_text(payload, "comment", "user", "login"),
        body=body,
    )


def _check(repository: str, payload: dict[str, Any], event: str) -> Hint | None:
    action = payload.get("action")
    if action not in ("rerequested", "requested_action"):
        return None
    return Hint(
        kind="rerun" if action == "rerequested" else "action",
        repository=repository,
        check=_number(payload, event, "id") if event == "check_run" else None,
        external_id=_text(payload, event, "external_id"),
        action=_text(payload, "requested_action", "identifier"),
        author=_text(payload, "sender", "login"),
        sha=_text(payload, event, "head_sha"),
    )


def _repositories(payload: dict[str, Any]) -> tuple[str, ...]:
    entries = [
        entry
        for key in ("repositories", "repositories_added", "repositories_removed")
        if isinstance(payload.get(key), list)
        for entry in payload[key]
    ]
    names = (_text(entry, "full_name") for entry in entries[:MOST_REPOSITORIES])
    return tuple(filter(None, names))


def _at(payload: object, *path: str) -> object:
    for name in path:
        payload = payload.get(name) if isinstance(payload, dict) else None
    return payload


def _text(payload: object, *path: str, longest: int = LONGEST_NAME) -> str:
    """The text at `path`, fit for the store: bounded, and without unpaired surrogates."""
    found = _at(payload, *path)
    if not isinstance(found, str):
        return ""
    return found[:longest].encode(errors="replace").decode()


def _number(payload: object, *path: str) -> int | None:
    found = _at(payload, *path)
    return found if type(found) is int and 0 < found < 2**63 else None
