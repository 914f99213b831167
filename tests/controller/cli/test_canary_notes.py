"""A plan says what production's traffic can tell about the canary to come."""

import asyncio
import json
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from controller.machine.core import Key
from controller.machine.environments.environment import EnvironmentState
from controller.planning.canary_notes import canary_notes, cluster_notes
from controller.store.protocol import Put, Store, Transaction
from deployers import control
from deployers.control import Backend, Routing
from deployers.place_folder import Site
from deployers.processes import Processes, ProcessSpec
from specs.model import Pipeline
from specs.target_scripts import UNWATCHED
from tests.controller.cli.conftest import Desk, silent_router
from tests.controller.machine.kit import spec, version
from tests.deployers.world import ROOT, until

PLACE = "mean/production"


def notes(desk: Desk, of: Pipeline) -> Sequence[str]:
    async def ask(store: Store) -> Sequence[str]:
        return await canary_notes(of, store, desk.home)

    found = desk.look(ask)
    assert isinstance(found, Sequence)
    return found


def serving(desk: Desk) -> None:
    """v1 serves in production."""
    env = EnvironmentState(
        pipeline="mean", name="production", repository="team", stable=version(1).ref
    )
    put = Put(key=Key("environment", PLACE), revision=0, text=json.dumps(env.plain()), live=True)
    desk.keep(Transaction(put=put))


class Model(BaseHTTPRequestHandler):
    """A model server that always answers."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def busy_router(home: Path, requests: int) -> Iterator[None]:
    """A router that has answered so many requests, with no canary."""
    folder = Site.of(home / "serving" / "places", PLACE).folder
    folder.mkdir(parents=True)

    def port() -> int:
        with suppress(OSError):
            return int(asyncio.run(control.ask(folder, "status"))["routing"]["port"])
        return 0

    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as model:
        Thread(target=model.serve_forever, daemon=True).start()
        stable = Backend(name="mean-v1", host="127.0.0.1", port=model.server_port)
        (folder / control.STATE).write_text(Routing(stable=stable).model_dump_json())
        argv = (sys.executable, "-m", "deployers.router", "--folder", str(folder))
        with Processes(home.parent / "routers") as processes:
            processes.start("router", ProcessSpec(argv=argv, cwd=str(ROOT)))
            until(port)
            for _ in range(requests):
                with urllib.request.urlopen(f"http://127.0.0.1:{port()}/predict") as answer:
                    answer.read()
            yield
            processes.stop("router", grace=5)
        model.shutdown()


def test_a_router_that_has_seen_nothing_means_a_canary_that_cannot_be_decided(desk: Desk) -> None:
    assert notes(desk, spec()) == ()  # nothing serves yet, so there is no canary
    serving(desk)
    assert notes(desk, spec()) == ()  # its traffic is unknown
    with silent_router(desk.home, PLACE):
        (said,) = notes(desk, spec())
        canary, strategy = "release.production.canary", "release.production.strategy"
        direct = notes(desk, spec((canary, None), (strategy, "direct")))
    assert "cannot be decided without traffic" in said
    assert direct == ()


def test_the_traffic_of_a_busy_router_tells_how_soon_errors_are_found(desk: Desk) -> None:
    serving(desk)
    with busy_router(desk.home, 50):
        canary = {"signals": {"errors": {}}, "deadline": "2h"}
        said = notes(desk, spec(("release.production.canary", canary)))
    assert said[0].startswith("this traffic can tell that 0.2 % of requests fail within ")


def test_a_plan_says_who_watches_a_canary_that_scripts_deploy_and_what_turns_cost(
    desk: Desk,
) -> None:
    commands = {name: f"{name}.py" for name in ("apply", "observe", "traffic", "remove")}

    def by_scripts(split: str) -> Pipeline:
        return spec(
            ("release.command", {**commands, "split": split}),
            ("release.production.deployer", "command"),
        )

    assert notes(desk, by_scripts("draw")) == (UNWATCHED,)
    assert "no arm is compared with the other" in notes(desk, by_scripts("turns"))[1]
    assert "no counts" in notes(desk, by_scripts("units"))[1]


def test_a_plan_says_what_is_served_on_a_cluster() -> None:
    assert cluster_notes(spec()) == ()
    one = spec(("release.staging.deployer", "kubernetes"))
    assert cluster_notes(one) == (
        "staging is on a cluster (`deployer: kubernetes`), with one pod of each version",
    )
    both = spec(
        ("release.staging.deployer", "kubernetes"),
        ("release.production.deployer", "kubernetes"),
        ("release.serve.replicas", 3),
    )
    assert [note.partition(" ")[0] for note in cluster_notes(both)] == ["staging", "production"]
    assert "3 pods of each version" in cluster_notes(both)[1]
