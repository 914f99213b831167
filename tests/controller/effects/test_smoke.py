"""Smoke requests: what a candidate has to answer before it meets anybody."""

import asyncio
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from controller.effects import smoke
from controller.effects.smoke import LARGEST, Smoker
from controller.machine.actions import RunSmoke
from controller.machine.core import Fact, Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.messages import SmokeDone
from controller.store.protocol import Transaction
from specs.digests import digest
from specs.failures import NeedsHuman, TryAgain
from tests.controller.releases import released
from validators.report import Report
from validators.verdict import Verdict

OWNER = Key("environment", "mean/staging")
FILES = {"smoke.json": '{"ask": 1}'}


class Candidate(BaseHTTPRequestHandler):
    """A server that answers as its path says."""

    protocol_version = "HTTP/1.1"
    asked: list[str]
    go: threading.Event

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append(f"{self.command} {self.path} {body.decode()}")
        if self.path == "/wait":
            self.go.wait(30)
        content = b"x" * (2 * LARGEST) + b"needle" if self.path == "/large" else b"prediction: 2"
        self.send_response(404 if self.path == "/gone" else 200)
        if self.path == "/endless":
            self.send_header("Connection", "close")
            self.end_headers()
            while self._write(b"x" * 65536):
                pass
            return
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self._write(content)

    do_POST = do_GET  # noqa: N815 - the library's name

    def _write(self, content: bytes) -> bool:
        try:
            self.wfile.write(content)
        except OSError:  # the asker has read enough
            self.close_connection = True
            return False
        return True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


class Running:
    """A running candidate."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = threading.Event()
        handler = type("Handler", (Candidate,), {"asked": self.asked, "go": self.go})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def action(self) -> RunSmoke:
        address = f"http://127.0.0.1:{self.server.server_port}"
        return RunSmoke(
            pipeline="mean", environment="staging", rollout="r1", version=1, address=address
        )


@pytest.fixture
def candidate() -> Iterator[Running]:
    running = Running()
    yield running
    running.go.set()
    running.server.shutdown()
    running.server.server_close()
    running.thread.join()


def release(*requests: dict[str, Any]) -> dict[str, Any]:
    return {"serve": {"run": "serve {model} {port}"}, "staging": {"smoke": list(requests)}}


async def report(root: Path, candidate: Running, *requests: dict[str, Any]) -> Report:
    """What is found by asking these."""
    async with released(root, release(*requests), FILES) as v1:
        (envelope,) = await Smoker(v1.versions, v1.repositories).smoke(OWNER, candidate.action)
    assert envelope.to == OWNER
    assert isinstance(envelope.message, SmokeDone)
    assert envelope.message.rollout == "r1"
    return envelope.message.report


async def test_all_requests_are_asked_in_order_and_each_is_a_check(
    tmp_path: Path, candidate: Running
) -> None:
    found = await report(
        tmp_path,
        candidate,
        {"get": "/healthz"},
        {"post": "/predict", "body": "smoke.json", "expect": {"contains": "prediction"}},
        {"get": "/gone", "expect": {"status": 404}},
    )
    assert candidate.asked == ["GET /healthz ", 'POST /predict {"ask": 1}', "GET /gone "]
    assert [check.name for check in found.checks] == ["GET /healthz", "POST /predict", "GET /gone"]
    assert found.verdict is Verdict.PASS


async def test_a_body_that_production_was_not_tested_with_is_noted(
    tmp_path: Path, candidate: Running
) -> None:
    asks = {"post": "/predict", "body": "smoke.json"}
    async with released(tmp_path, release(asks), FILES) as v1:
        first = await v1.versions.get("mean", 1)
        assert first is not None
        same = first.model_copy(update={"number": 2})
        files = {**first.source.files, "smoke.json": digest("easier")}
        other = first.source.model_copy(update={"files": files})
        changed = first.model_copy(update={"number": 3, "source": other})
        production = EnvironmentState(
            pipeline="mean", name="production", repository="team", stable=first.ref
        )
        bodies = {f"mean/{one.number}": one for one in (same, changed)}
        facts = [Fact(key=Key("model", name), body=one.plain()) for name, one in bodies.items()]
        facts.append(Fact(key=Key("environment", "mean/production"), body=production.plain()))
        await v1.store.commit(Transaction(facts=tuple(facts)), 0.0)
        smoker, notes = Smoker(v1.versions, v1.repositories), {}
        for number in (2, 3):
            action = candidate.action.model_copy(
                update={"version": number, "rollout": f"r{number}"}
            )
            (envelope,) = await smoker.smoke(OWNER, action)
            assert isinstance(envelope.message, SmokeDone)
            notes[number] = list(envelope.message.report.notes)
    assert notes[2] == []
    assert notes[3][0].startswith("smoke.json is not what v1 in production was tested with")


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"get": "/gone"}, "status 404"),
        ({"get": "/", "expect": {"contains": "nothing"}}, "does not contain"),
        ({"get": "/wait", "expect": {"within": "50ms"}}, "no answer in time"),
    ],
)
async def test_an_answer_that_is_not_as_expected_fails_and_says_why(
    tmp_path: Path, candidate: Running, request_: dict[str, Any], words: str
) -> None:
    found = await report(tmp_path, candidate, request_, {"get": "/healthz"})
    assert [check.verdict for check in found.checks] == [Verdict.FAIL, Verdict.PASS]
    assert words in found.checks[0].message


async def test_of_a_large_answer_only_the_beginning_is_read(
    tmp_path: Path, candidate: Running
) -> None:
    found = await report(
        tmp_path,
        candidate,
        {"get": "/large", "expect": {"contains": "needle"}},
        {"get": "/endless"},  # read whole, it would never end
    )
    assert [check.verdict for check in found.checks] == [Verdict.FAIL, Verdict.PASS]


async def test_no_proxy_is_asked_for_a_candidate_of_this_machine(
    tmp_path: Path, candidate: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await report(tmp_path, candidate, {"get": "/healthz"})).verdict is Verdict.PASS


async def test_a_candidate_that_does_not_listen_fails(tmp_path: Path, candidate: Running) -> None:
    candidate.server.socket.close()
    found = await report(tmp_path, candidate, {"get": "/healthz", "expect": {"within": "2s"}})
    assert found.verdict is Verdict.FAIL


async def test_a_slow_answer_is_waited_for_in_the_background_and_asked_for_once(
    tmp_path: Path, candidate: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoke, "PROMPT", 0.05)
    slow = release({"get": "/wait", "expect": {"within": "5m"}})
    async with released(tmp_path, slow, FILES) as v1:
        smoker = Smoker(v1.versions, v1.repositories)
        for _ in range(3):
            with pytest.raises(TryAgain, match="not all answered"):
                await smoker.smoke(OWNER, candidate.action)
        candidate.go.set()
        deadline = time.monotonic() + 30
        while True:
            try:
                (envelope,) = await smoker.smoke(OWNER, candidate.action)
                break
            except TryAgain:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
    assert isinstance(envelope.message, SmokeDone)
    assert envelope.message.report.checks[0].verdict is Verdict.PASS
    assert candidate.asked == ["GET /wait "]


async def test_an_unknown_version_needs_a_human(tmp_path: Path, candidate: Running) -> None:
    unknown = candidate.action.model_copy(update={"version": 9})
    async with released(tmp_path, release({"get": "/healthz"}), FILES) as v1:
        with pytest.raises(NeedsHuman, match="v9 of mean is not in the store"):
            await Smoker(v1.versions, v1.repositories).smoke(OWNER, unknown)
