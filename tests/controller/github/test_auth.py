"""Tokens: requested by the app, renewed once and in time, never written anywhere."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from controller.github.auth import App, Personal
from controller.github.client import Client
from controller.github.responses import GitHubRefused, NotFound
from controller.github.transport import Transport
from specs.failures import NeedsHuman, TryAgain
from tests.controller.github.little_github import Asked, LittleGitHub, Says

REPO = "octo/flights"
START = 1_800_000_000.0
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEY = _KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
PUBLIC = _KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class GitHub:
    """Two installations that hand out tokens for an hour; takes only tokens that are valid."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.installations = {"octo/flights": 1, "octo/trains": 1, "hexa/ships": 2}
        self.made = 0
        self.valid: dict[str, float] = {}
        self.claims: list[dict[str, Any]] = []

    async def answer(self, asked: Asked) -> Says:
        await asyncio.sleep(0.01)
        bearer = asked.headers["authorization"].removeprefix("Bearer ")
        if asked.path.endswith("/installation") or asked.path.startswith("/app/"):
            return self._to_the_app(asked, bearer)
        if self.valid.get(bearer, 0) <= self.clock.now:
            return Says(401, {"message": "Bad credentials"})
        if asked.path == "/installation/repositories":
            return Says(200, {"repositories": [{"full_name": f"of/{bearer[:5]}"}]})
        return Says(201 if asked.method == "POST" else 200, {"id": 5, "permission": "write"})

    def _to_the_app(self, asked: Asked, bearer: str) -> Says:
        # Not against this machine's clock, which is not the test's.
        claims = jwt.decode(
            bearer, PUBLIC, ["RS256"], options={"verify_exp": False, "verify_iat": False}
        )
        self.claims.append(claims)
        if asked.path == "/app/installations":
            entries = [{"id": 1}, {"id": 2}, {"id": 3, "suspended_at": "2026-01-01T00:00:00Z"}]
            return Says(200, entries)
        if asked.method == "GET":
            number = self.installations.get(asked.path.removeprefix("/repos/").rpartition("/")[0])
            return Says(200, {"id": number}) if number else Says(404, {"message": "Not Found"})
        number = int(asked.path.split("/")[3])
        if number not in self.installations.values() and number != 3:
            return Says(404, {"message": "Not Found"})
        self.made += 1
        ends = self.clock.now + 3600
        self.valid[f"ghs_{number}-{self.made}"] = ends
        return Says(
            201,
            {
                "token": f"ghs_{number}-{self.made}",
                "expires_at": datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        )


@asynccontextmanager
async def an_app() -> AsyncIterator[tuple[LittleGitHub, GitHub, App, Client]]:
    clock = Clock()
    github = GitHub(clock)
    async with LittleGitHub.serving(github.answer) as little:
        transport = Transport(little.api, now=clock)
        app = App(123, KEY, transport)
        try:
            yield little, github, app, Client(transport, app)
        finally:
            await transport.close()


async def test_an_app_signs_with_its_id_as_text_and_for_less_than_ten_minutes() -> None:
    async with an_app() as (_, github, app, _):
        await app.token(REPO)
    for claims in github.claims:
        assert claims == {"iss": "123", "iat": START - 60, "exp": START + 540}


async def test_fifty_that_wait_for_a_token_are_served_by_one() -> None:
    async with an_app() as (little, github, app, _):
        tokens = await asyncio.gather(*(app.token(REPO) for _ in range(50)))
        assert len(set(tokens)) == 1
        assert github.made == 1
        assert await app.token("octo/trains") == tokens[0]
        assert (await app.token("hexa/ships")).holder != tokens[0].holder
        assert github.made == 2
        assert little.times("POST /app/installations/1/access_tokens") == 1


async def test_a_token_is_renewed_five_minutes_before_it_ends() -> None:
    async with an_app() as (_, github, app, _):
        first = await app.token(REPO)
        github.clock.now = START + 3600 - 301
        assert await app.token(REPO) == first
        github.clock.now = START + 3600 - 300
        second, again = await asyncio.gather(app.token(REPO), app.token(REPO))
        assert second == again != first
        assert second.holder == first.holder
        assert github.made == 2


async def test_a_token_that_ends_in_the_middle_is_replaced_and_the_change_made_once() -> None:
    async with an_app() as (little, github, _, client):
        assert await client.permission(REPO, "ada") == "write"
        github.valid.clear()  # revoked, long before its time
        comment = await client.create_comment(REPO, 3, "PASS", mark="PASS")
        assert comment.id == 5
        assert github.made == 2
        assert little.times(f"POST /repos/{REPO}/issues/3/comments") == 2


async def test_credentials_that_stay_refused_are_tried_twice_and_told() -> None:
    async with an_app() as (little, github, _, client):
        github.clock.now = START
        github.valid = Forgetful()
        with pytest.raises(GitHubRefused, match="401: Bad credentials"):
            await client.permission(REPO, "ada")
        assert little.times(f"GET /repos/{REPO}/collaborators/ada/permission") == 2


class Forgetful(dict[str, float]):
    """Takes no token."""

    def get(self, *_: object) -> float:
        return 0.0


async def test_an_app_that_is_installed_anew_is_found_again() -> None:
    async with an_app() as (_, github, app, _):
        first = await app.token(REPO)
        github.installations = {"octo/flights": 4}
        app.forget(first)
        assert (await app.token(REPO)).holder == "installation 4"


async def test_an_app_that_is_not_installed_says_where_to_install_it() -> None:
    async with an_app() as (_, _, app, _):
        with pytest.raises(NotFound, match="123 is not installed on octo/cars: install it there"):
            await app.token("octo/cars")


async def test_the_repositories_of_every_installation_that_works_are_listed() -> None:
    async with an_app() as (_, _, _, client):
        assert await client.repositories() == ("of/ghs_1", "of/ghs_2")


async def test_a_key_or_clock_that_github_rejects_is_named_as_the_cause() -> None:
    said = Says(401, {"message": "'Expiration time' claim ('exp') is too far in the future"})
    async with LittleGitHub.serving(lambda _: said) as little:
        transport = Transport(little.api)
        with pytest.raises(GitHubRefused, match=r"too far in the future.*private key.*clock"):
            await App("123", KEY, transport).token(REPO)
        await transport.close()


async def test_an_answer_without_a_token_is_tried_again_later() -> None:
    def answer(asked: Asked) -> Says:
        return Says(200, {"id": 1} if asked.method == "GET" else {"token": "ghs_x"})

    async with LittleGitHub.serving(answer) as little:
        transport = Transport(little.api)
        with pytest.raises(TryAgain, match="no installation token"):
            await App("123", KEY, transport).token(REPO)
        await transport.close()


async def test_a_private_key_that_is_none_is_refused_at_once_and_not_shown() -> None:
    transport = Transport("https://api.github.com")
    curve = ec.generate_private_key(ec.SECP256R1())
    other = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for text in ("", "hunter2", KEY[:300], other):
        with pytest.raises(NeedsHuman, match=r"expected the \.pem file") as failed:
            App(1, text, transport)
        assert "hunter2" not in str(failed.value)
    await transport.close()


@pytest.mark.parametrize("token", ["", "two words", "ghp_x\n", "ghp_é"])
def test_a_personal_token_with_a_line_break_is_refused_before_it_is_sent(token: str) -> None:
    with pytest.raises(NeedsHuman, match="invalid characters"):
        Personal(token)


async def test_a_person_has_one_token_and_no_checks() -> None:
    transport = Transport("https://api.github.com")
    person = Personal("ghp_x")
    assert await person.token(REPO) == await person.token("hexa/ships")
    assert not person.forget(await person.token(REPO))
    assert not Client(transport, person).can_create_checks
    await transport.close()
