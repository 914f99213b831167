"""The demo's own parts. The story itself is `make demo`."""

import asyncio
import io
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store
from rich.console import Console

from controller.config.settings_file import load_settings
from controller.store.sqlite import SqliteStore
from examples.demo.cluster import changes
from examples.demo.data import Data
from examples.demo.delivery import S3, Directory
from examples.demo.image import installed
from examples.demo.oncall import on_duty
from examples.demo.show import Show
from examples.demo.world import EXAMPLE, Unexpected, World, end_all, expect
from specs.lint.check import check


def post(port: int, body: bytes) -> int:
    """The status that on-call's web server answers with."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", body, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def notification(alert: str, status: str) -> bytes:
    told = {"title": "v4 was rolled back", "message": "errors", "alert": alert, "status": status}
    return json.dumps(told).encode()


def test_on_call_keeps_what_it_is_told_and_tells_events_apart(tmp_path: Path) -> None:
    with on_duty(tmp_path / "told.jsonl") as oncall:
        assert (
            post(oncall.port, notification("flight-delay/production/rollback/1", "firing")) == 200
        )
        assert post(oncall.port, notification("flight-delay/gate/flight-delay-4", "firing")) == 200
        assert (
            post(oncall.port, notification("flight-delay/gate/flight-delay-4", "resolved")) == 200
        )
    assert [one.title for one in oncall.alerts("rollback")] == ["v4 was rolled back"]
    assert len(oncall.alerts("gate")) == 1
    assert len(oncall.alerts("gate", "resolved")) == 1
    assert oncall.alerts("rollback", since=1) == []
    assert len(oncall.record.read_text().splitlines()) == 3


@pytest.mark.parametrize("body", [b"", b"[]", b'{"title": "no message"}'])
def test_on_call_refuses_what_is_no_notification(tmp_path: Path, body: bytes) -> None:
    with on_duty(tmp_path / "told.jsonl") as oncall:
        assert post(oncall.port, body) == 400
    assert oncall.told == []


@pytest.fixture
def world(tmp_path: Path) -> World:
    folder = tmp_path / "story"
    folder.mkdir()
    with on_duty(folder / "oncall.jsonl") as oncall:
        made = World(
            folder, Data(tmp_path / "cache", EXAMPLE), oncall, Directory(folder / "bucket")
        )
        made.begin()
        return made


def test_the_repository_of_the_story_holds_the_pipeline_and_nothing_of_the_world(
    world: World,
) -> None:
    commit = world.push("Add the flight-delay pipeline")
    tree = ["git", "ls-tree", "-r", "--name-only", commit]
    listed = subprocess.check_output(tree, cwd=world.remote, text=True).splitlines()
    names = [name.removeprefix("flight-delay/") for name in listed]
    assert {"ml-pipeline.yaml", "train.py", "serve.py", "smoke/request.json"} <= set(names)
    assert not [name for name in names if name.startswith(("variants", "load", "bucket", "data-"))]
    spec = (world.pipeline / "ml-pipeline.yaml").read_bytes()
    assert check(spec, "ml-pipeline.yaml", names).problems == ()
    assert world.delivery.uri in spec.decode()


def test_the_changes_of_the_story_fit_the_example(world: World) -> None:
    world.push("Add the flight-delay pipeline")
    world.edit("ml-pipeline.yaml", "rounds: 60", "rounds: 80")
    world.edit("ml-pipeline.yaml", "learning_rate: 0.1", "learning_rate: 1.5")
    patch = EXAMPLE / "variants" / "fails-under-load.patch"
    subprocess.run(["git", "apply", patch], cwd=world.pipeline, check=True)
    world.edit("serve.py", "self._checked.popitem(last=False)", "self._checked.clear()")
    with pytest.raises(Unexpected, match="a file without it"):
        world.edit("ml-pipeline.yaml", "rounds: 60", "rounds: 80")


def test_answers_are_read_along_and_half_a_line_waits(world: World) -> None:
    record = world.folder / "answers.jsonl"
    assert world.traffic().total == 0
    with record.open("w") as lines:
        lines.write('{"status": 200, "model": "abc"}\n{"status": 500, "mod')
        lines.flush()
        assert dict(world.traffic().statuses) == {200: 1}
        lines.write('el": null}\n')
        lines.flush()
        assert dict(world.traffic().statuses) == {200: 1, 500: 1}
    assert dict(world.traffic().models) == {"abc": 1}


def test_an_end_where_nothing_was_started_is_no_failure(tmp_path: Path) -> None:
    asyncio.run(end_all(tmp_path / "headgate"))
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_every_event_is_one_line() -> None:
    written = io.StringIO()
    show = Show(["It begins", "It ends"], Console(file=written, width=100))
    show.begin(1)
    show.say("something happens")
    show.end("seen", well=True)
    show.begin(2)
    show.end("expected more", well=False)
    lines = written.getvalue().splitlines()
    assert lines[:2] == ["act 1: It begins", "  something happens"]
    assert [line.split(" after ")[0] for line in lines if " after " in line] == [
        "  passed",
        "  FAILED",
    ]


def test_the_summary_says_of_each_act_how_it_ended() -> None:
    written = io.StringIO()
    console = Console(file=written, width=100)
    show = Show(["It begins", "It goes on", "It ends"], Console(file=io.StringIO()))
    show.begin(1)
    show.end("seen", well=True)
    show.begin(2)
    show.end("expected more", well=False)
    console.print(show.summary())
    rows = [line.split() for line in written.getvalue().splitlines()]
    marks = {row[1]: row[0] for row in rows if len(row) > 1 and row[1] in "123"}
    assert marks == {"1": "✓", "2": "✗", "3": "·"}
    assert "not played" in written.getvalue()


def test_what_is_expected_is_told_with_what_was_seen() -> None:
    expect(True, "anything", "nothing")
    with pytest.raises(Unexpected) as caught:
        expect(False, "v3", {"version": 2})
    assert (caught.value.expected, caught.value.seen) == ("v3", "{'version': 2}")


def test_on_a_cluster_the_spec_says_so_of_steps_and_servers(world: World) -> None:
    for old, new in changes("registry.example/flights@sha256:" + "0" * 64).items():
        world.edit("ml-pipeline.yaml", old, new)
    commit = world.push("Move to the cluster")
    tree = ["git", "ls-tree", "-r", "--name-only", commit]
    listed = subprocess.check_output(tree, cwd=world.remote, text=True).splitlines()
    names = [name.removeprefix("flight-delay/") for name in listed]
    spec = (world.pipeline / "ml-pipeline.yaml").read_bytes()
    checked = check(spec, "ml-pipeline.yaml", names)
    assert checked.problems == ()
    assert checked.pipeline is not None
    assert checked.pipeline.executor_of("train") == "kubernetes"
    assert checked.pipeline.release is not None
    assert checked.pipeline.release.deployer_for("production") == "kubernetes"


def test_where_no_cluster_can_be_started_it_says_at_once_what_to_do(tmp_path: Path) -> None:
    demo = [sys.executable, "-m", "examples.demo", "--engine", "kubernetes"]
    done = subprocess.run(
        [*demo, "--folder", str(tmp_path / "demo")],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "kube-apiserver" in done.stdout
    assert "run `make kubernetes` as root on Debian 12" in done.stdout
    assert done.stderr == ""
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["lock"]


def test_the_image_of_a_distribution_has_all_that_it_imports() -> None:
    names = [name for name, _ in installed("pydantic")]
    assert {"pydantic/__init__.py", "typing_extensions.py"} <= set(names)
    assert not [name for name in names if name.startswith("..")]


async def test_what_is_waited_for_in_vain_is_told_with_the_last_errors_of_the_log(
    world: World,
) -> None:
    world.patience = 0.0
    await (await SqliteStore.open(world.home / "state.db")).close()
    world.log.write_text(
        "2026-11-30T01:00:00Z [error    ] an action failed   key=run/a reason='full'\n"
    )
    with pytest.raises(Unexpected) as caught:
        await world.seen(lambda: None, "v1 in production")
    assert caught.value.expected == "v1 in production"
    assert "nothing within 0 s" in caught.value.seen
    assert "[error ] an action failed: run/a: full" in caught.value.seen
    assert "the state cannot be read" not in caught.value.seen


def test_months_land_in_and_leave_the_s3_server_of_the_demo(tmp_path: Path) -> None:
    month = tmp_path / "flights-2013-01.parquet"
    month.write_bytes(b"flights")
    delivery = S3(tmp_path / "s3.log")
    try:
        delivery.begin()
        delivery.deliver(month)
        settings = f"repositories: [{{name: team, url: remote.git}}]\n{delivery.settings}"
        loaded = load_settings(settings, "headgate.yaml").settings
        assert loaded is not None
        store = S3Store(
            "lake",
            endpoint=loaded.stores[0].endpoint,
            region=loaded.stores[0].region,
            client_options={"allow_http": True},
            access_key_id=delivery.environ["AWS_ACCESS_KEY_ID"],
            secret_access_key=delivery.environ["AWS_SECRET_ACCESS_KEY"],
        )
        there = f"flights/{month.name}"
        assert obstore.get(store, there).bytes() == b"flights"
        delivery.withdraw(month)
        assert not list(obstore.list(store))
    finally:
        delivery.end()
