"""How Headgate authenticates to GitHub: as an app installed on repositories, or with a token."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from controller.github.responses import GitHubRefused, NotFound, Reply
from controller.github.transport import Token, Transport
from specs.failures import NeedsHuman, TryAgain

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

EARLY = 300.0
"""Seconds before its expiry at which an installation token is renewed; it lasts an hour."""
JWT_LIFE = 540
"""Seconds; GitHub accepts at most ten minutes, by its own clock."""
SKEW = 60
"""Seconds by which this clock may be ahead of GitHub's."""


class Auth(Protocol):
    """Provides tokens."""

    @property
    def app_id(self) -> str | None:
        """The app's id; None for a personal token."""
        ...

    async def token(self, repository: str) -> Token:
        """A valid token for `owner/name`. Raises `specs.failures.Failure`."""
        ...

    async def everything(self) -> Sequence[Token]:
        """One token per installation: together they reach every repository."""
        ...

    def forget(self, token: Token) -> bool:
        """Discard a token that GitHub rejects; False if there is no other."""
        ...


class Personal:
    """A personal access token: no check runs (GitHub gives those to apps only)."""

    app_id: str | None = None

    def __init__(self, token: str) -> None:
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise NeedsHuman("the GitHub token is empty or contains invalid characters")
        self._token = Token(token, "the personal token")

    async def token(self, repository: str) -> Token:  # noqa: ARG002 - the same for all
        """See `Auth.token`."""
        return self._token

    async def everything(self) -> Sequence[Token]:
        """See `Auth.everything`."""
        return (self._token,)

    def forget(self, token: Token) -> bool:  # noqa: ARG002 - there is one
        """See `Auth.forget`."""
        return False


class App:
    """A GitHub App: signs its own requests, and gets a token for each installation.

    Tokens are renewed before they expire, with one request no matter how many callers wait.
    """

    def __init__(self, app_id: str | int, private_key: str, transport: Transport) -> None:
        self.app_id = str(app_id)
        """A string, as PyJWT rejects a number as the issuer."""
        self._key = _private_key(private_key)
        self._transport = transport
        self._installations: dict[str, int] = {}
        self._tokens: dict[int, Token] = {}
        self._renewing: dict[int, asyncio.Lock] = {}

    async def token(self, repository: str) -> Token:
        """See `Auth.token`."""
        installation = await self._installation(repository)
        try:
            return await self._current(installation)
        except NotFound:  # uninstalled, and perhaps installed again with another id
            self._installations = {
                name: number
                for name, number in self._installations.items()
                if number != installation
            }
            return await self._current(await self._installation(repository))

    async def everything(self) -> Sequence[Token]:
        """See `Auth.everything`."""
        found: list[int] = []
        page = 1
        while True:
            reply = await self.ask("GET", f"/app/installations?per_page=100&page={page}")
            entries = [entry for entry in reply.data or () if not entry.get("suspended_at")]
            found += [int(entry["id"]) for entry in entries]
            if len(reply.data or ()) < 100:
                return [await self._current(installation) for installation in found]
            page += 1

    def forget(self, token: Token) -> bool:
        """See `Auth.forget`."""
        for installation, known in list(self._tokens.items()):
            if known.secret == token.secret:
                del self._tokens[installation]
        return True

    async def ask(self, method: str, path: str) -> Reply:
        """Ask as the app itself. Creating a token twice is harmless, so POST may be retried."""
        try:
            return await self._transport.ask(method, path, self._jwt(), again=True)
        except GitHubRefused as error:
            if error.status != 401:
                raise
            raise GitHubRefused(
                f"{error}. GitHub rejects app {self.app_id} with this private key: check both "
                "against the app's settings page, and whether this machine's clock is right",
                401,
            ) from None

    async def _installation(self, repository: str) -> int:
        known = self._installations.get(repository)
        if known is not None:
            return known
        try:
            reply = await self.ask("GET", f"/repos/{repository}/installation")
        except NotFound as error:
            raise NotFound(
                f"the GitHub App {self.app_id} is not installed on {repository}: install it "
                "there, or use a token with access to that repository",
                error.status,
            ) from None
        installation = int(reply.data["id"])
        self._installations[repository] = installation
        return installation

    async def _current(self, installation: int) -> Token:
        async with self._renewing.setdefault(installation, asyncio.Lock()):
            token = self._tokens.get(installation)
            if token and token.expires and token.expires - EARLY > self._transport.now():
                return token
            reply = await self.ask("POST", f"/app/installations/{installation}/access_tokens")
            token = _installation_token(reply, installation)
            self._tokens[installation] = token
            return token

    def _jwt(self) -> Token:
        import jwt

        now = int(self._transport.now())
        claims = {"iat": now - SKEW, "exp": now + JWT_LIFE, "iss": self.app_id}
        return Token(jwt.encode(claims, self._key, algorithm="RS256"), "the app")


def _installation_token(reply: Reply, installation: int) -> Token:
    try:
        secret, ends = reply.data["token"], datetime.fromisoformat(reply.data["expires_at"])
    except (KeyError, TypeError, ValueError):
        raise TryAgain("GitHub's response contains no installation token") from None
    return Token(str(secret), f"installation {installation}", ends.timestamp())


def _private_key(text: str) -> "RSAPrivateKey":
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise NeedsHuman(
            "the private key of the GitHub App cannot be read: expected the .pem file that GitHub "
            "made, with its line breaks (-----BEGIN RSA PRIVATE KEY-----)"
        )
    return key
