"""Sends requests to GitHub's API: retries, rate limits, conditional requests, size limits.

Every request to GitHub goes through `Transport.ask`, including those of github3.py.
"""

import asyncio
import json
import random
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import httpx

from controller.github.responses import (
    Budget,
    NotFound,
    OutcomeUnknown,
    Reply,
    budget_of,
    failure,
    pause,
)
from specs.failures import NeedsHuman, TryAgain
from specs.figures import duration

TRIES = 3
PATIENCE = 20.0
"""Seconds for one attempt, from the connection to the last byte."""
CONNECT = 5.0
REDIRECTS = 3
AT_ONCE = 16
"""Concurrent requests; GitHub allows 100 in total."""
LARGEST = 16 * 1024 * 1024
"""Bytes of a decompressed response."""
KEPT = 16 * 1024 * 1024
"""Bytes of responses kept for conditional requests."""
HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",  # the API keeps its shape until this is raised
    "User-Agent": "headgate",
}
ERROR_KINDS = ("unreachable", "server", "refused", "not_found", "rate_limit")
_SAFE = frozenset({"GET", "PUT", "PATCH", "DELETE"})
_NOT_ARRIVED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Token(NamedTuple):
    """The token that authenticates a request."""

    secret: str
    holder: str
    """Whose rate limit it counts against; the same for every token of an installation."""
    expires: float | None = None
    """Seconds since the epoch; None if it is not known to expire."""

    def __repr__(self) -> str:
        return f"Token(of {self.holder})"


def api_of(url: str) -> str:
    """The API's URL for the GitHub server with the web address `url`.

    Covers GitHub.com, GHE.com tenants and GitHub Enterprise Server; the URL of an API is returned
    unchanged. Raises NeedsHuman for a URL that would send a token unencrypted.
    """
    parts = urlsplit(url if "://" in url else f"https://{url}")
    host = (parts.hostname or "").lower()
    loopback = host in ("localhost", "127.0.0.1", "::1")
    if not host or (parts.scheme != "https" and not (parts.scheme == "http" and loopback)):
        raise NeedsHuman(f"{url!r} is not the address of a GitHub server: expected https://HOST")
    path = parts.path.rstrip("/")
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if host in ("github.com", "www.github.com"):
        return "https://api.github.com"
    if host.endswith(".ghe.com") and not host.startswith("api."):
        return f"https://api.{host}"
    if path or host.startswith("api."):
        return base + path
    return f"{base}/api/v3"


class Transport:
    """Sends requests to one GitHub server, within one event loop. `close` it at the end."""

    def __init__(
        self,
        api: str,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        patience: float = PATIENCE,
    ) -> None:
        self.api = api.rstrip("/")
        self.now = now
        self.asked = 0
        """Requests that were sent."""
        self.free = 0
        """Of those, the ones answered with 304, which do not count against the rate limit."""
        self.errors = Counter(dict.fromkeys(ERROR_KINDS, 0))
        """Attempts that failed, by kind."""
        self.budgets: dict[str, Budget] = {}
        """By holder."""
        self._sleep = sleep
        self._patience = patience
        self._blocked: dict[str, float] = {}
        self._kept = _ResponseCache()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._http = httpx.AsyncClient(
            headers=HEADERS,
            timeout=httpx.Timeout(patience, connect=min(CONNECT, patience)),
            limits=httpx.Limits(max_connections=AT_ONCE),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        url: str,
        token: Token,
        *,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        again: bool | None = None,
        reserve: int = 0,
    ) -> Reply:
        """The response, with a status below 400; `url` is a path or a full URL of this API.

        GET, PUT, PATCH and DELETE are attempted `TRIES` times, POST once, unless `again` says
        otherwise; a request that certainly did not arrive is repeated in any case. Fails at once,
        without a request, while a rate limit applies or fewer than `reserve` requests are left.

        Raises `TryAgain` (with `after` where GitHub says when), `OutcomeUnknown` for a request that
        is sent once and may have been carried out, `NotFound` and `GitHubRefused` with GitHub's
        explanation.
        """
        what = f"{method} {urlsplit(url).path}"
        address = self._address(url, params)
        self._check(token.holder, reserve)
        again = method in _SAFE if again is None else again
        problem = ""
        for attempt in range(TRIES):
            if attempt:
                await self._sleep(0.5 * 3**attempt * (0.5 + random.random()))  # noqa: S311 - jitter
                self._check(token.holder, reserve)
            try:
                reply = await self._once(method, address, token, body)
            except (httpx.TransportError, TimeoutError, _Broken) as error:
                self.errors["unreachable"] += 1
                problem = f"{what}: incomplete response from GitHub: {_reason(error)}"
                if not again and not isinstance(error, _NOT_ARRIVED):
                    raise OutcomeUnknown(problem) from None
                continue
            self._note(what, token.holder, reply)
            if reply.status < 400:
                return reply
            failed = failure(what, reply)
            self.errors[_kind(reply, failed)] += 1
            if reply.status < 500:
                raise failed
            problem = str(failed)
            if not again:
                raise OutcomeUnknown(problem)
        raise TryAgain(problem)

    def _address(self, url: str, params: Mapping[str, Any] | None = None) -> str:
        whole = url if "://" in url else self.api + url
        if not whole.startswith(f"{self.api}/"):
            raise NeedsHuman(f"GitHub redirects to another server: {urlsplit(whole).netloc}")
        return str(httpx.URL(whole, params=params)) if params else whole

    def _check(self, holder: str, reserve: int) -> None:
        now = self.now()
        until = self._blocked.get(holder, 0.0)
        if until > now:
            raise TryAgain(
                f"GitHub's rate limit is reached; retrying in {duration(until - now)}",
                after=until - now,
            )
        budget = self.budgets.get(holder)
        if budget and budget.remaining < max(reserve, 1) and budget.reset > now:
            raise TryAgain(
                f"{budget.remaining} of {budget.limit} requests are left until GitHub's rate "
                f"limit resets in {duration(budget.reset - now)}; they are reserved for reports",
                after=budget.reset - now,
            )

    def _note(self, what: str, holder: str, reply: Reply) -> None:
        # A 401 carries the rate limit of anonymous requests.
        budget = budget_of(reply.headers) if reply.status != 401 else None
        if budget and reply.headers.get("x-ratelimit-resource", "core") == "core":
            self.budgets[holder] = budget
        seconds = pause(reply, self.now())
        if seconds is not None:
            self.errors["rate_limit"] += 1
            self._blocked[holder] = self.now() + seconds
            raise TryAgain(
                f"{what}: GitHub's rate limit is reached ({reply.status}); retrying in "
                f"{duration(seconds)}",
                after=seconds,
            )

    async def _once(self, method: str, address: str, token: Token, body: bytes | None) -> Reply:
        """One attempt. Redirects (of a renamed repository) are followed within this API only."""
        for _ in range(REDIRECTS):
            async with self._slots, asyncio.timeout(self._patience):
                reply = await self._exchange(method, address, token, body)
            if reply.status not in (301, 302, 303, 307, 308):
                return reply
            target = urljoin(address, reply.headers.get("location", ""))
            if method != "GET" and reply.status not in (307, 308):
                raise NeedsHuman(
                    f"{urlsplit(address).path} has moved to {urlsplit(target).path}: update the "
                    "repository's name in the settings"
                )
            address = self._address(target)
        raise TryAgain(f"{urlsplit(address).path}: redirect loop at GitHub")

    async def _exchange(self, method: str, address: str, token: Token, body: bytes | None) -> Reply:
        headers = {"Authorization": f"Bearer {token.secret}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        key = (token.holder, address)
        kept = self._kept.get(key) if method == "GET" else None
        if kept is not None:
            headers["If-None-Match"] = kept.etag
        self.asked += 1
        async with self._http.stream(method, address, headers=headers, content=body) as response:
            found = dict(response.headers)
            content = await _read(response)
        if response.status_code == 304 and kept is not None:
            self.free += 1
            return Reply(200, {**found, "link": kept.link}, _parse(kept.content, found))
        reply = Reply(response.status_code, found, _parse(content, found, response.status_code))
        if method == "GET" and reply.status == 200 and "etag" in found:
            self._kept.put(key, _Answer(found["etag"], found.get("link", ""), content))
        return reply


class _Broken(Exception):  # noqa: N818 - it describes the response
    """An incomplete response."""


class _Answer(NamedTuple):
    etag: str
    link: str
    content: bytes


class _ResponseCache:
    """Responses by token holder and URL; the least recently used are dropped first."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[str, str], _Answer] = OrderedDict()
        self._size = 0

    def get(self, key: tuple[str, str]) -> _Answer | None:
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def put(self, key: tuple[str, str], answer: _Answer) -> None:
        old = self._answers.pop(key, None)
        self._size += len(answer.content) - (len(old.content) if old else 0)
        self._answers[key] = answer
        while self._size > KEPT:
            _, dropped = self._answers.popitem(last=False)
            self._size -= len(dropped.content)


async def _read(response: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > LARGEST:
            raise NeedsHuman(
                f"GitHub's response for {response.url.path} is larger than {LARGEST} bytes"
            )
    return bytes(content)


def _parse(content: bytes, headers: Mapping[str, str], status: int = 200) -> Any:
    """The JSON, or None for an error without any. Raises `_Broken` for a truncated response."""
    if not content:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        if status >= 300:
            return None
        kind = headers.get("content-type", "no content type")
        raise _Broken(f"{len(content)} bytes that are not JSON ({kind})") from None


def _kind(reply: Reply, failed: Exception) -> str:
    if isinstance(failed, NotFound):
        return "not_found"
    return "server" if reply.status >= 500 else "refused"


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
