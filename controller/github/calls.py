"""Calls of GitHub's API for a repository: authenticated, paginated, changes one at a time."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from controller.github.auth import Auth
from controller.github.by_github3 import through
from controller.github.responses import GitHubRefused, OutcomeUnknown, Reply
from controller.github.transport import Token, Transport
from specs.failures import NeedsHuman, TryAgain

if TYPE_CHECKING:
    from github3.session import GitHubSession

PAGES = 100
"""Pages of a hundred entries that are read of one list."""

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NEXT = re.compile(r'<([^>]+)>\s*;[^,]*\brel="next"')

T = TypeVar("T")


class Calls:
    """Sends each call with a token of `auth`, and once more with a new one if GitHub rejects it."""

    def __init__(self, transport: Transport, auth: Auth) -> None:
        self.transport = transport
        self.auth = auth
        self._writing: dict[str, asyncio.Lock] = {}

    async def ask(
        self,
        repository: str,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        data: object = None,
        again: bool | None = None,
        reserve: int = 0,
    ) -> Reply:
        """See `Transport.ask`; `data` is sent as JSON."""
        body = None if data is None else json.dumps(data).encode()

        async def once(token: Token) -> Reply:
            return await self.transport.ask(
                method, url, token, params=params, body=body, again=again, reserve=reserve
            )

        return await self._signed(repository, once)

    async def pages(
        self,
        repository: str,
        url: str,
        *,
        key: str | None = None,
        params: Mapping[str, Any] | None = None,
        token: Token | None = None,
        reserve: int = 0,
    ) -> list[dict[str, Any]]:
        """All entries of a list, or of the list at `key`; asked with `token`, if it is given."""
        entries: list[dict[str, Any]] = []
        asked: Mapping[str, Any] | None = {"per_page": 100, **(params or {})}
        for _ in range(PAGES):

            async def once(
                token: Token, url: str = url, asked: Mapping[str, Any] | None = asked
            ) -> Reply:
                return await self.transport.ask("GET", url, token, params=asked, reserve=reserve)

            reply = await (once(token) if token else self._signed(repository, once))
            page = reply.data.get(key) if key and isinstance(reply.data, dict) else reply.data
            if not isinstance(page, list):
                raise TryAgain(f"GET {url}: GitHub's response is not the expected list")
            entries += [entry for entry in page if isinstance(entry, dict)]
            following = _NEXT.search(reply.headers.get("link", ""))
            if following is None:
                return entries
            url, asked = following[1], None
        raise NeedsHuman(f"{url}: more than {PAGES * 100} entries; close or delete some")

    async def write(
        self,
        repository: str,
        act: Callable[["GitHubSession"], object],
        *,
        again: bool | None = None,
    ) -> Any:
        """GitHub's response to the change that `act` makes with github3.py."""

        async def send(method: str, address: str, body: bytes | None) -> Reply:
            async def once(token: Token) -> Reply:
                return await self.transport.ask(method, address, token, body=body, again=again)

            return await self._signed(repository, once)

        async with self.write_lock(repository):
            return await through(send, self.transport.api, act)

    async def send(self, repository: str, url: str, data: object, *, again: bool = False) -> Any:
        """GitHub's response to a POST."""
        async with self.write_lock(repository):
            return (await self.ask(repository, "POST", url, data=data, again=again)).data

    def write_lock(self, repository: str) -> asyncio.Lock:
        """The lock for changes: GitHub rate-limits clients that make several at a time."""
        return self._writing.setdefault(repository.partition("/")[0], asyncio.Lock())

    async def _signed(self, repository: str, once: Callable[[Token], Awaitable[Reply]]) -> Reply:
        token = await self.auth.token(repository)
        try:
            return await once(token)
        except GitHubRefused as error:
            # A request that got a 401 was not carried out, so even a POST may be repeated.
            if error.status != 401 or not self.auth.forget(token):
                raise
        return await once(await self.auth.token(repository))


async def created(create: Callable[[], Awaitable[T]], find: Callable[[], Awaitable[T | None]]) -> T:
    """Create something; if it is unknown whether that worked, look for it before a second attempt.

    GitHub may still complete the first request after the look. Then there are two, which is why
    each carries a mark.
    """
    try:
        return await create()
    except OutcomeUnknown:
        found = await find()
        return found if found is not None else await create()


def repo(repository: str) -> str:
    """The API path of a repository. Raises NeedsHuman for an invalid name."""
    if not _REPOSITORY.fullmatch(repository):
        raise NeedsHuman(f"{repository!r} is not a GitHub repository: expected OWNER/NAME")
    return f"/repos/{repository}"


def commit(sha: str) -> str:
    """`sha`, checked to be a full commit id, since it becomes part of a path."""
    if not _SHA.fullmatch(sha):
        raise NeedsHuman(f"{sha!r} is not a full commit id")
    return sha
