"""A message that was set aside is shown by `status` and `doctor`, and to whoever sent it."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from controller.cli.terminal.views import StatusSnapshot
from controller.machine.core import Envelope, Key
from controller.machine.messages import Pause, ReleaseRequested
from controller.store.protocol import Delivered, SetAside, Store, Transaction
from tests.controller.cli import seeds
from tests.controller.cli.conftest import Desk

PLACE = Key("environment", "toy/production")
REASON = "digest: Field required"

SETS_ASIDE = """\
import asyncio, fcntl, os, sys, time
from pathlib import Path
from controller.store.protocol import SetAside, Transaction
from controller.store.sqlite import SqliteStore

home = Path(sys.argv[1])
lock = os.open(home / "controller.lock", os.O_RDWR | os.O_CREAT)
fcntl.lockf(lock, fcntl.LOCK_EX)

async def work():
    store = await SqliteStore.open(home / "state.db")
    print("ready", flush=True)
    while not (inbox := await store.inbox()):
        await asyncio.sleep(0.01)
    aside = tuple(SetAside(number=each.number, reason="it is malformed") for each in inbox)
    await store.commit(Transaction(set_aside=aside), time.time())
    await store.close()

asyncio.run(work())
sys.stdin.read()
"""
"""A controller that can handle no message."""


def set_aside(desk: Desk, count: int = 1) -> None:
    """Releases that the controller could not read, an hour ago."""
    release = ReleaseRequested(version=2, digest="sha256:0", repository="toys", why="toy-2 passed")
    sent = tuple(Envelope(to=PLACE, id=f"r{n}", message=release) for n in range(count))
    desk.keep(Transaction(send=sent))

    async def inbox(store: Store) -> Sequence[Delivered]:
        return await store.inbox()

    found = desk.look(inbox)
    assert isinstance(found, Sequence)
    aside = tuple(SetAside(number=each.number, reason=REASON) for each in found)
    desk.keep(Transaction(set_aside=aside), at=time.time() - 3600)


def test_status_says_what_was_set_aside_for_whom_since_when_why_and_the_fix(desk: Desk) -> None:
    set_aside(desk)
    shown = " ".join(desk.do("status").stdout.split())
    assert "! environment/toy/production set aside a message of type release 60 min ago" in shown
    assert REASON in shown
    assert "repeat the request" in shown
    (view,) = StatusSnapshot.model_validate_json(desk.do("status", "--json").stdout).set_aside
    assert (view.to, view.type, view.reason) == (str(PLACE), "release", REASON)
    assert view.sent == 1000.0
    assert json.loads(view.text)["version"] == 2


def test_of_many_status_shows_the_newest_and_counts_the_others(desk: Desk) -> None:
    set_aside(desk, 7)
    shown = desk.do("status").stdout
    assert shown.count("set aside a message of type release") == 5
    assert "and 2 more messages set aside" in shown


def test_what_waits_in_an_inbox_is_not_said_to_be_set_aside(desk: Desk) -> None:
    desk.keep(Transaction(send=(Envelope(to=PLACE, id="p", message=Pause(by="ada")),)))
    assert "set aside" not in desk.do("status").stdout


@pytest.mark.parametrize(("count", "warnings"), [(0, 0), (1, 1), (22, 21)])
def test_doctor_warns_of_each_with_the_fix(desk: Desk, count: int, warnings: int) -> None:
    desk.person.push({"a.txt": ""})
    set_aside(desk, count)
    found = [
        each
        for each in json.loads(desk.do("doctor", "--json").stdout)
        if each["what"].startswith("message")
    ]
    assert len(found) == warnings
    if found:
        first = found[0]
        assert (first["what"], first["state"]) == (f"message to {PLACE}", "warning")
        assert REASON in first["message"]
        assert "type release" in first["message"]
        assert "repeat the request" in first["fix"]


def test_who_asked_is_told_that_the_request_was_set_aside(desk: Desk) -> None:
    env = seeds.environment(stable=seeds.version(1).ref)
    desk.keep(
        seeds.put("pipeline", "toy", seeds.pipeline()),
        seeds.put("environment", "toy/production", env),
    )
    argv = [sys.executable, "-c", SETS_ASIDE, str(desk.home)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as controller:
        assert controller.stdout is not None
        assert controller.stdout.readline() == b"ready\n"
        result = desk.do("pause", "toy")
        controller.communicate()
    assert result.exit_code == 1
    assert "could not handle the request: it is malformed" in result.stderr
