"""github3.py over our transport: it knows GitHub's resources, and we send its requests.

On its own it is unsafe in a controller: it ignores rate limits and does not retry, it cannot renew
an installation token, it has to fetch an object before changing it, a response without one of
hundreds of fields raises after the change was made, and it keeps every URL it ever built. So its
session passes each request on to our transport, its objects are built from their URL alone, and
GitHub's response is returned as it is.

Importing it takes half a second, so it is imported on first use.
"""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from controller.github.responses import Reply

if TYPE_CHECKING:
    import requests
    from github3.session import GitHubSession

Send = Callable[[str, str, bytes | None], Awaitable[Reply]]
"""Sends a request (method, URL, body). Raises `specs.failures.Failure`."""

_FIELDS = 200
"""More fields than any of its objects requires."""


async def through(send: Send, api: str, act: Callable[["GitHubSession"], object]) -> Any:
    """GitHub's response to the one request that `act` makes with a github3.py session.

    `act` runs in a thread. Raises what `send` raises.
    """
    loop = asyncio.get_running_loop()
    replies: list[Reply] = []

    def sent(method: str, address: str, body: bytes | None) -> Reply:
        reply = asyncio.run_coroutine_threadsafe(_sent(send, method, address, body), loop).result()
        replies.append(reply)
        return reply

    def run() -> None:
        from github3.exceptions import GitHubException

        try:
            act(_session(api, sent))
        except (GitHubException, AttributeError, KeyError, TypeError, ValueError):
            if (
                not replies
            ):  # otherwise only parsing the response failed, and its result is not used
                raise

    await asyncio.to_thread(run)
    return replies[-1].data


async def _sent(send: Send, method: str, address: str, body: bytes | None) -> Reply:
    return await send(method, address, body)


def check_run(session: "GitHubSession", address: str) -> Any:
    """The check run at `address`."""
    from github3.checks import CheckRun

    return _at(CheckRun, session, address, check_suite={"id": 0})


def comment(session: "GitHubSession", address: str) -> Any:
    """The comment at `address`."""
    from github3.issues.comment import IssueComment

    return _at(IssueComment, session, address)


def issue(session: "GitHubSession", address: str) -> Any:
    """The issue, or the conversation of the pull request, at `address`."""
    from github3.issues.issue import ShortIssue

    return _at(ShortIssue, session, address)


def pull(session: "GitHubSession", address: str) -> Any:
    """The pull request at `address`."""
    from github3.pulls import ShortPullRequest

    return _at(ShortPullRequest, session, address, base={"repo": {"owner": {"login": ""}}})


def repository(session: "GitHubSession", address: str) -> Any:
    """The repository at `address`."""
    from github3.repos.repo import ShortRepository

    return _at(ShortRepository, session, address)


def _at(model: Any, session: "GitHubSession", address: str, **known: Any) -> Any:
    """An object of github3.py with made-up fields, so that it need not be fetched.

    The methods that change it only use its URL.
    """
    return model.from_dict(
        {**json.loads(_skeleton(model, json.dumps(known))), "url": address}, session
    )


@cache
def _skeleton(model: Any, known: str) -> str:
    """The smallest JSON that github3.py accepts for one of its objects."""
    from github3.exceptions import IncompleteResponse
    from github3.session import GitHubSession

    data = {"url": "/", **json.loads(known)}
    for _ in range(_FIELDS):
        try:
            model.from_dict(data, GitHubSession())
        except IncompleteResponse as error:
            name = error.exception.args[0]
            error.json[name] = "/" if name.endswith("_url") else {}
        else:
            return json.dumps(data)
    raise AssertionError(f"github3.py wants more of a {model.__name__} than it has fields")


def _session(api: str, send: Callable[[str, str, bytes | None], Reply]) -> "GitHubSession":
    import requests
    from github3.session import AppInstallationTokenAuth, GitHubSession
    from requests.adapters import BaseAdapter

    class Bridge(BaseAdapter):
        """Sends through our transport."""

        def send(
            self, request: "requests.PreparedRequest", *_: object, **__: object
        ) -> "requests.Response":
            body = request.body.encode() if isinstance(request.body, str) else request.body
            reply = send(str(request.method), str(request.url), body)
            response = requests.Response()
            response.status_code = reply.status
            response.url = str(request.url)
            response.request = request
            response.raw = io.BytesIO(json.dumps(reply.data).encode())
            return response

        def close(self) -> None:
            """Nothing is open."""

    class Unsigned(AppInstallationTokenAuth):  # type: ignore[misc] # its base has no types
        """The kind of auth that some methods require; the transport adds the actual token."""

        def __init__(self) -> None:
            super().__init__("", "9999-01-01T00:00:00Z")

        def __call__(self, request: "requests.PreparedRequest") -> "requests.PreparedRequest":
            return request

    class Session(GitHubSession):  # type: ignore[misc] # its base has no types
        """Without the list of every URL ever built."""

        def build_url(self, *parts: object, base_url: str | None = None) -> str:
            return "/".join([base_url or api, *map(str, parts)])

    session = Session()
    session.auth = Unsigned()
    session.trust_env = False
    session.mount("https://", Bridge())
    session.mount("http://", Bridge())
    return session
