"""The router as a process: correct HTTP, limits, and failures."""

import asyncio
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deployers import control
from deployers.control import Backend, RouterRefusedError, RouterStatus, Routing
from deployers.processes import Processes, ProcessSpec, ProcessState
from specs.traffic import NO_ANSWER
from tests.deployers import model_server_path
from tests.deployers.caller import Caller, ask
from tests.deployers.world import PATH, ROOT, eventually, let_go, living, until, until_held
from tests.ports import reserved_port


class World:
    """A router and model servers, as processes of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes = Processes(folder / "processes")
        self._ports = ExitStack()

    def start_router(self, name: str = "router") -> None:
        argv = (sys.executable, "-m", "deployers.router", "--folder", str(self.folder))
        self.processes.start(name, ProcessSpec(argv=argv, cwd=str(ROOT)))

    def start_server(self, name: str) -> Backend:
        model, port = self.folder / f"{name}.json", self._ports.enter_context(reserved_port())
        model.write_text(json.dumps({"name": name}))
        argv = (sys.executable, str(model_server_path()), str(model), str(port))
        environment = {"PATH": PATH}
        self.processes.start(
            name, ProcessSpec(argv=argv, cwd=str(self.folder), environment=environment)
        )
        until(lambda: listens(port))
        return Backend(name=name, host="127.0.0.1", port=port)

    async def route(self, **routing: object) -> str:
        """Give the routing to the router as soon as there is one; returns its address."""
        wanted = Routing.model_validate(routing).model_dump()
        async with asyncio.timeout(30):
            while True:
                try:
                    settled = await control.ask(self.folder, "route", routing=wanted)
                    return f"http://127.0.0.1:{settled['port']}"
                except OSError:
                    await asyncio.sleep(0.02)

    async def status(self) -> RouterStatus:
        return RouterStatus.model_validate(await control.ask(self.folder, "status"))

    async def statuses(self) -> list[int]:
        """The recorded status of each request so far."""
        page = await control.ask(self.folder, "traffic", epoch=None, after=0)
        return [record[3] for record in page["records"]]

    def close(self) -> None:
        self.processes.close()
        self._ports.close()

    def end(self, name: str) -> None:
        self.processes.stop(name, grace=2)
        until(lambda: self.processes.status(name).state is not ProcessState.RUNNING)


def listens(port: int) -> bool:
    """Whether anything accepts connections on that port."""
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    made.start_router()
    yield made
    for name in made.processes.names():
        made.processes.stop(name, grace=1)
    made.close()
    until(lambda: not living(tmp_path))


async def test_a_request_reaches_the_server_as_it_was_sent_and_says_where_from(
    world: World,
) -> None:
    address = await world.route(stable=world.start_server("v1"))
    answer = await ask(
        address, "/predict?a=%20b", body=b'{"x": 1}', X_Forwarded_For="10.0.0.1",
        Connection="keep-alive, X-Secret", X_Secret="hop", TE="trailers", X_Own="kept",
    )  # fmt: skip
    seen = answer.json()
    headers = seen["headers"]
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/predict?a=%20b", '{"x": 1}')
    assert (headers["host"], headers["x-own"]) == ("model.test", "kept")
    assert headers["x-forwarded-for"] == "10.0.0.1, 127.0.0.1"
    assert (headers["x-forwarded-host"], headers["x-forwarded-proto"]) == ("model.test", "http")
    assert headers["x-request-id"]
    assert not headers.keys() & {"connection", "te", "x-secret"}


@pytest.mark.parametrize(
    ("trusted", "given", "told"),
    [
        (("127.0.0.1",), {"X_Forwarded_Proto": "https"}, ("https", "model.test")),
        (("127.0.0.1",), {"X_Forwarded_Proto": "HTTPS"}, ("https", "model.test")),
        (("127.0.0.0/8",), {"X_Forwarded_Host": "shop.example"}, ("http", "shop.example")),
        (("127.0.0.1",), {"X_Forwarded_Proto": "gopher"}, ("http", "model.test")),
        (("127.0.0.1",), {}, ("http", "model.test")),
        (
            ("10.0.0.0/8",),
            {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "forged"},
            ("http", "model.test"),
        ),
        ((), {"X_Forwarded_Proto": "https"}, ("http", "model.test")),
    ],
)
async def test_what_a_trusted_proxy_forwards_is_kept_and_what_others_forge_is_not(
    world: World, trusted: tuple[str, ...], given: dict[str, str], told: tuple[str, str]
) -> None:
    address = await world.route(stable=world.start_server("v1"), trusted=trusted)
    headers = (await ask(address, **given)).json()["headers"]
    assert (headers["x-forwarded-proto"], headers["x-forwarded-host"]) == told


async def test_a_callers_request_id_is_kept(world: World) -> None:
    address = await world.route(stable=world.start_server("v1"))
    answer = await ask(address, X_Request_Id="mine")
    assert answer.json()["headers"]["x-request-id"] == "mine"


async def test_every_form_of_answer_comes_through_and_the_connection_lives_on(
    world: World,
) -> None:
    address = await world.route(stable=world.start_server("v1"))
    async with Caller(address) as caller:
        chunked = await caller.ask("/chunked?chunks=2000", "GET", b"")
        assert chunked.body == b"".join(b"part%d" % (number % 10) for number in range(2000))
        head = await caller.ask("/anything", "HEAD", b"")
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["content-length"]) > 0
        assert (await caller.ask("/until-closed", "GET", b"")).body == b"all of it"
        assert (await caller.ask("/x?status=204", "GET", b"")).status == 204
        assert (await caller.ask("/x?status=404")).status == 404
        assert (await caller.ask("/x?status=500")).status == 500
    assert await world.statuses() == [200, 200, 200, 204, 404, 500]


async def test_a_server_that_says_more_than_it_announced_is_heard_that_far(world: World) -> None:
    address = await world.route(stable=world.start_server("v1"))
    async with Caller(address) as caller:
        assert (await caller.ask("/babble", "GET", b"")).body == b"ok"
        assert (await caller.ask()).status == 200
    assert await world.statuses() == [200, 200]


async def test_an_offer_to_change_protocols_is_ignored(world: World) -> None:
    address = await world.route(stable=world.start_server("v1"))
    answer = await ask(address, Connection="Upgrade, HTTP2-Settings", Upgrade="h2c")
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert "upgrade" not in answer.json()["headers"]


async def test_an_old_caller_gets_its_answer_by_the_end_of_the_connection(world: World) -> None:
    address = await world.route(stable=world.start_server("v1"))
    async with Caller(address) as caller:
        caller.writer.write(b"GET /chunked HTTP/1.0\r\n\r\n")
        assert (await caller.answer()).body == b"part0part1part2"
        assert await caller.reader.read() == b""


async def test_pipelined_requests_are_answered_in_their_order(world: World) -> None:
    address = await world.route(stable=world.start_server("v1"))
    async with Caller(address) as caller:
        for number in range(20):
            line = b"GET /%d?sleep=0.00%d HTTP/1.1\r\n" % (number, 20 - number)
            caller.writer.write(line + b"Host: model.test\r\n\r\n")
        paths = [(await caller.answer()).json()["path"] for _ in range(20)]
    assert [path.partition("?")[0] for path in paths] == [f"/{number}" for number in range(20)]


async def test_a_large_body_waits_for_100_continue_and_comes_through_chunked(world: World) -> None:
    address = await world.route(stable=world.start_server("v1"))
    async with Caller(address) as caller:
        caller.writer.write(
            b"POST /predict HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        assert await caller.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        for _ in range(100):
            caller.writer.write(b"10000\r\n%s\r\n" % (b"x" * 65536))
        caller.writer.write(b"0\r\n\r\n")
        assert (await caller.answer()).json()["size"] == 6_553_600


async def test_a_server_that_is_not_there_is_named_and_on_record(world: World) -> None:
    with reserved_port() as port:
        address = await world.route(stable=Backend(name="v1", host="127.0.0.1", port=port))
        answer = await ask(address)
    assert answer.status == 502
    assert answer.json()["error"].startswith("cannot reach model server v1: ")
    assert answer.json()["request_id"]
    assert await world.statuses() == [NO_ANSWER]


async def test_half_an_answer_is_cut_off_and_never_passed_for_a_whole_one(world: World) -> None:
    address = await world.route(stable=world.start_server("v1"))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await ask(address, "/cut-off")
    assert await world.statuses() == [NO_ANSWER]


async def test_a_server_that_dies_in_a_request_is_not_asked_again_for_what_may_change_it(
    world: World,
) -> None:
    address = await world.route(stable=world.start_server("v1"))
    async with Caller(address) as caller:
        await caller.ask()
        answer = await caller.ask("/die")
        assert (answer.status, answer.json()["by"]) == (502, "headgate router")
    assert await world.statuses() == [200, NO_ANSWER]


async def test_one_connection_to_the_server_is_used_again_and_again(world: World) -> None:
    address = await world.route(stable=world.start_server("v1"))
    async with Caller(address) as caller:
        ports = {(await caller.ask()).json()["caller_port"] for _ in range(20)}
    assert len(ports) == 1


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced(world: World) -> None:
    address = await world.route(stable=(backend := world.start_server("v1")))
    async with Caller(address) as caller:
        before = (await caller.ask()).json()["pid"]
        world.end("v1")
        world.processes.remove("v1")
        argv = (sys.executable, str(model_server_path()), str(world.folder / "v1.json"))
        again = ProcessSpec(argv=(*argv, str(backend.port)), cwd=str(world.folder))
        world.processes.start("v1", again)
        until(lambda: listens(backend.port))
        answer = await caller.ask()
        assert (answer.status, answer.json()["pid"] != before) == (200, True)


async def test_a_caller_that_goes_away_costs_the_record_nothing(world: World) -> None:
    address = await world.route(stable=world.start_server("v1"))
    async with Caller(address) as caller:
        caller.writer.write(b"GET /predict?hold=1 HTTP/1.1\r\nHost: a\r\n\r\n")
        await until_held(world.folder / "v1.json")
    let_go(world.folder / "v1.json")
    assert await eventually(world.statuses) == [200]


async def test_a_slow_reader_holds_up_the_server_and_not_the_memory(world: World) -> None:
    address = await world.route(stable=world.start_server("v1"))
    async with Caller(address) as caller:
        caller.writer.write(b"GET /large?bytes=100000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        await caller.reader.readuntil(b"\r\n\r\n")
        assert (await ask(address)).status == 200  # others are served meanwhile
        router = next(line for line in living(world.folder) if "deployers.router" in line)
        assert resident(int(router.split(":")[0])) < 80_000_000


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_a_killed_router_comes_back_with_its_port_and_its_split(world: World) -> None:
    stable, canary = world.start_server("v1"), world.start_server("v2")
    address = await world.route(stable=stable, canary=canary, weight=0.25, seed=3)
    before = await world.status()
    router = next(line for line in living(world.folder) if "deployers.router" in line)
    os.kill(int(router.split(":")[0]), signal.SIGKILL)
    until(lambda: world.processes.status("router").state is ProcessState.ENDED)
    world.start_router("router-again")
    async with asyncio.timeout(30):
        while True:
            try:
                after = await world.status()
                break
            except OSError:
                await asyncio.sleep(0.02)
    assert after.routing == before.routing
    assert after.epoch != before.epoch
    assert (await ask(address)).status == 200


async def test_a_router_that_is_asked_to_end_answers_what_is_in_flight(world: World) -> None:
    address = await world.route(stable=world.start_server("v1"))
    async with Caller(address) as caller:
        caller.writer.write(b"GET /predict?hold=1 HTTP/1.1\r\nHost: a\r\n\r\n")
        await until_held(world.folder / "v1.json")
        world.processes.stop("router", grace=30)

        async def refuses() -> bool:
            try:
                async with Caller(address):
                    return False
            except ConnectionRefusedError:
                return True

        await eventually(refuses)
        let_go(world.folder / "v1.json")
        answer = await caller.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")


async def test_a_port_that_is_taken_is_refused_and_all_stays_as_it_was(world: World) -> None:
    address = await world.route(stable=world.start_server("v1"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RouterRefusedError, match="address already in use"):
            await world.route(port=taken.getsockname()[1])
    assert (await ask(address)).status == 200


async def test_the_port_can_move(world: World) -> None:
    stable = world.start_server("v1")
    await world.route(stable=stable)
    with reserved_port() as port:
        address = await world.route(stable=stable, port=port)
    assert address.endswith(f":{port}")
    assert (await ask(address)).status == 200


async def test_a_routing_that_no_file_can_keep_holds_all_the_same_and_is_kept_once_there_is_room(
    world: World,
) -> None:
    """A rollback does not wait for a disk. The limit makes a write fail like a full disk."""
    stable, canary = world.start_server("v1"), world.start_server("v2")
    address = await world.route(stable=stable, canary=canary, weight=1.0)
    kept = (world.folder / control.STATE).read_bytes()
    router = next(line for line in living(world.folder) if "deployers.router" in line)
    pid = int(router.partition(":")[0])
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    await world.route(stable=stable)
    assert (await ask(address)).json()["model"] == "v1"
    status = await world.status()
    assert (status.routing.canary, status.routing.weight) == (None, 0.0)
    assert status.unkept == f"{world.folder / control.STATE}: File too large"
    assert (world.folder / control.STATE).read_bytes() == kept, "and not half of it either"
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

    async def written() -> bool:
        return not (await world.status()).unkept

    await eventually(written)
    now = Routing.model_validate_json((world.folder / control.STATE).read_bytes())
    assert now == status.routing


async def test_a_router_that_can_write_nothing_begins_all_the_same(world: World) -> None:
    address = await world.route(stable=world.start_server("v1"))
    world.end("router")
    (world.folder / "router.new").mkdir()  # makes every write fail
    with reserved_port() as port:
        state = world.folder / control.STATE
        known = Routing.model_validate_json(state.read_bytes())
        state.write_text(known.model_copy(update={"port": 0}).model_dump_json())
        world.start_router("router-again")
        moved = await world.route(stable=known.stable, port=port)
    assert moved != address
    assert (await ask(moved)).status == 200
    assert (await world.status()).unkept.endswith("Is a directory")


async def test_nonsense_on_the_control_socket_is_refused(world: World) -> None:
    await world.route()
    with pytest.raises(RouterRefusedError, match="there is no order 'dance'"):
        await control.ask(world.folder, "dance")
    with pytest.raises(RouterRefusedError, match="weight"):
        await control.ask(world.folder, "route", routing={"weight": "much"})
    assert (world.folder / control.SOCKET).stat().st_mode & 0o077 == 0


async def test_a_router_of_another_headgate_is_understood_as_far_as_it_goes(world: World) -> None:
    await world.route(stable=world.start_server("v1"))
    said = await control.ask(world.folder, "status")
    newer = RouterStatus.model_validate({**said, "mood": "good"})
    assert newer == RouterStatus.model_validate(said)
    for unknown_then in ("heard", "unkept", "silence"):
        del said[unknown_then]
    assert RouterStatus.model_validate(said).routing == newer.routing
