"""What is specific to local processes: bad servers, taken ports, restarts, and messages."""

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployers.ended_logs import MOST, EndedLogs
from deployers.local import LocalDeployer
from deployers.place_folder import ENDED, Placed, Site, free_port
from deployers.processes import Processes, ProcessSpec, ProcessState
from deployers.protocol import Desired, ServerStatus
from specs.failures import NeedsHuman, TryAgain
from tests.contracts.deployer import PLACE, address, applied, converge
from tests.contracts.test_deployers import local_server
from tests.deployers.caller import ask
from tests.deployers.world import eventually, let_go, living, until_held
from tests.ports import reserved_port


def hidden(text: str) -> str:
    """Hide the secret that every server of these tests gets."""
    return text.replace("hush-hush", "***")


@contextlib.asynccontextmanager
async def opened(home: Path) -> AsyncIterator[LocalDeployer]:
    deployer = LocalDeployer(home, redact=hidden)
    try:
        yield deployer
    finally:
        await deployer.remove(PLACE)
        await deployer.close()
    assert living(home) == []


@pytest.fixture
async def deployer(tmp_path: Path) -> AsyncIterator[LocalDeployer]:
    async with opened(tmp_path / "home") as made:
        yield made


async def ended(deployer: LocalDeployer, name: str) -> ServerStatus:
    """The status of a server once its end was noticed."""

    async def look() -> ServerStatus | None:
        status = (await deployer.observe(PLACE)).server(name)
        return status if status is not None and not status.alive and status.detail else None

    status = await eventually(look)
    assert status is not None
    return status


async def test_a_server_that_dies_at_once_tells_its_code_and_last_words_without_secrets(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    desired = Desired(stable=local_server(tmp_path, "v1", dies=3))
    await applied(deployer, desired)
    status = await ended(deployer, "v1")
    assert not status.ready
    assert status.detail == ("it ended: exit code 3; its log ends:\ncannot load the model: ***")


async def test_a_deployer_that_started_nothing_yet_hides_secrets_and_nothing_else(
    tmp_path: Path,
) -> None:
    server = local_server(tmp_path, "v1", dies=3)
    server = server.model_copy(
        update={"environment": {**server.environment, "HARMLESS": "cannot load"}}
    )
    async with opened(tmp_path / "home") as first:
        await applied(first, Desired(stable=server))
        await ended(first, "v1")
        second = LocalDeployer(tmp_path / "home", redact=hidden)  # as after a restart
        status = await ended(second, "v1")
        await second.close()
    assert status.detail.endswith("cannot load the model: ***")


async def test_a_secret_at_the_edge_of_what_is_quoted_is_not_told_in_half(
    tmp_path: Path,
) -> None:
    filler = "x" * 1995  # with it, the quoted end begins within the secret
    server = local_server(tmp_path, "v1")
    script = f"echo hush-hush{filler}; exit 3 # {{model}} {{port}}"
    server = server.model_copy(update={"run": f"sh -c {shlex.quote(script)}"})
    async with opened(tmp_path / "home") as deployer:
        await applied(deployer, Desired(stable=server))
        status = await ended(deployer, "v1")
    assert "hush" not in status.detail
    assert status.detail.endswith(f"***{filler}"[-1990:])


async def test_what_a_server_wrote_outlives_it_until_its_time_is_over(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    site = Site.of(tmp_path / "home" / "places", PLACE)
    stable, canary = (local_server(tmp_path, name) for name in ("v1", "v2"))
    command = f"sh -c {shlex.quote('echo the canary was here; exec ' + canary.run)}"
    canary = canary.model_copy(update={"run": command})
    await converge(deployer, Desired(stable=stable, canary=canary, canary_weight=0.5))
    await applied(deployer, Desired(stable=stable))
    log = tmp_path / "home" / ENDED / site.server("v2") / "log"

    async def gone() -> bool:
        return "v2" not in site.placed()

    await eventually(gone)
    assert "the canary was here" in log.read_text()
    assert await deployer.forget_logs(time.time() - 3600) == 0
    assert log.exists()
    assert await deployer.forget_logs(time.time() + 3600) == 1
    assert not log.exists()


async def test_of_a_server_that_keeps_dying_the_log_before_the_present_one_is_kept(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    desired = Desired(stable=local_server(tmp_path, "v1", dies=3))
    site = Site.of(tmp_path / "home" / "places", PLACE)

    async def died_again() -> bool:
        await applied(deployer, desired)
        return site.placed()["v1"].crashes >= 2

    await eventually(died_again)
    ended = tmp_path / "home" / ENDED
    assert [log.name for log in ended.iterdir()] == [site.server("v1")], "one for each server"
    assert "cannot load the model" in (ended / site.server("v1") / "log").read_text()


def test_only_the_servers_that_ended_last_are_remembered_for_each_place(tmp_path: Path) -> None:
    logs = EndedLogs(tmp_path / ENDED)
    one, other = (Site.of(tmp_path / "places", place) for place in (PLACE, "toy/staging"))
    with Processes(tmp_path / "processes") as processes:
        for site, number in [(other, 0), *((one, n) for n in range(MOST + 2))]:
            process = site.server(f"v{number}")
            processes.start(process, ProcessSpec(argv=("true",), cwd=str(tmp_path)))
            while processes.status(process).state is not ProcessState.ENDED:
                time.sleep(0.005)
            logs.put_away(processes, site, process)
            os.utime(tmp_path / ENDED / process, (number, number))
    kept = {path.name for path in (tmp_path / ENDED).iterdir()}
    assert kept == {other.server("v0"), *(one.server(f"v{n}") for n in range(2, MOST + 2))}
    logs.forget_site(one)
    assert [path.name for path in (tmp_path / ENDED).iterdir()] == [other.server("v0")]


async def test_a_server_that_runs_keeps_the_values_that_it_was_started_with(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    """Changed secrets apply only to servers that are started afterwards."""
    server = local_server(tmp_path, "v1")
    newer = server.model_copy(update={"environment": {**server.environment, "TOKEN": "renewed"}})
    await converge(deployer, Desired(stable=server))
    before = having("TOKEN=hush-hush", tmp_path)
    await converge(deployer, Desired(stable=newer))
    assert having("TOKEN=hush-hush", tmp_path) == before
    assert having("TOKEN=renewed", tmp_path) == []
    os.kill(before[-1], signal.SIGKILL)

    async def renewed() -> bool:
        await applied(deployer, Desired(stable=newer))
        return having("TOKEN=renewed", tmp_path) != []

    await eventually(renewed)


def having(variable: str, folder: Path) -> list[int]:
    """The folder's server processes that have the variable; a keeper before its server."""
    pids = sorted(int(line.partition(":")[0]) for line in living(folder))
    return [pid for pid in pids if variable.encode() in _environ(pid).split(b"\0")]


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


async def test_a_server_that_keeps_dying_is_started_again_with_growing_pauses(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    desired = Desired(stable=local_server(tmp_path, "v1", dies=3))
    site = Site.of(tmp_path / "home" / "places", PLACE)
    pauses: list[float] = []
    for crashes in (1, 2):

        async def counted(crashes: int = crashes) -> Placed | None:
            await applied(deployer, desired)
            placed = site.placed()["v1"]
            return placed if placed.crashes == crashes else None

        placed = await eventually(counted)
        assert placed is not None
        await applied(deployer, desired)  # too early: nothing is started
        status = (await deployer.observe(PLACE)).servers[0]
        if time.time() < placed.not_before:  # on a busy machine the pause may not be over yet
            assert status.detail.startswith(f"it ended {('once', '2 times')[crashes - 1]}")
        pauses.append(placed.not_before)
    assert pauses[1] - pauses[0] >= 2.0  # the second pause alone is that long


async def test_a_pause_that_another_clock_put_hours_ahead_is_over(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    desired = Desired(stable=local_server(tmp_path, "v1"))
    site = Site.of(tmp_path / "home" / "places", PLACE)
    later = time.time() + 7200
    site.save(Placed(name="v1", port=free_port(), ready="/healthz", predict="/predict",
                     crashes=1, not_before=later))  # fmt: skip
    assert (await converge(deployer, desired)).stable == "v1"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": "/no/such/model"}, "server v1: there is no model file at /no/such/model"),
        ({"folder": "/no/such/folder"}, "server v1: there is no folder /no/such/folder"),
        ({"run": "python {modle}"}, "server v1: {modle} is not a placeholder"),
    ],
)
async def test_a_server_that_cannot_be_started_needs_a_human(
    deployer: LocalDeployer, tmp_path: Path, change: dict[str, str], told: str
) -> None:
    server = local_server(tmp_path, "v1").model_copy(update=change)
    with pytest.raises(NeedsHuman) as caught:
        await deployer.apply(PLACE, Desired(stable=server))
    assert str(caught.value).startswith(told)


async def test_a_canary_that_cannot_be_started_does_not_keep_stable_from_its_traffic(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    stable, canary = local_server(tmp_path, "v1"), local_server(tmp_path, "v2")
    seen = await converge(deployer, Desired(stable=stable, canary=canary, canary_weight=1.0))
    broken = local_server(tmp_path, "v3").model_copy(update={"model": "/no/such/model"})
    with pytest.raises(NeedsHuman, match="there is no model file"):
        await deployer.apply(PLACE, Desired(stable=stable, canary=broken, canary_weight=1.0))
    now = await deployer.observe(PLACE)
    assert (now.stable, now.canary, now.canary_weight) == ("v1", None, 0.0)
    assert (await ask(address(seen))).json()["model"] == "v1"


async def test_a_command_that_does_not_exist_is_named(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    server = local_server(tmp_path, "v1").model_copy(update={"run": "no-such-server {port}"})
    await applied(deployer, Desired(stable=server))
    status = await ended(deployer, "v1")
    assert "cannot run 'no-such-server': No such file or directory" in status.detail


async def test_a_server_whose_port_was_taken_meanwhile_comes_back_on_another(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    desired = Desired(stable=local_server(tmp_path, "v1"))
    seen = await converge(deployer, desired)
    site = Site.of(tmp_path / "home" / "places", PLACE)
    before = site.placed()["v1"].port
    os.kill((await ask(address(seen))).json()["pid"], signal.SIGKILL)
    await ended(deployer, "v1")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", before))
        taken.listen()
        after = await converge(deployer, desired)
    assert site.placed()["v1"].port != before
    assert (await ask(address(after))).status == 200


async def test_a_fixed_port_that_is_taken_says_so(deployer: LocalDeployer, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        desired = Desired(port=taken.getsockname()[1])

        async def said() -> bool:
            with pytest.raises(TryAgain) as failure:
                await deployer.apply(PLACE, desired)
            return "address already in use" in str(failure.value)

        await eventually(said)


async def test_a_router_moves_to_another_port_and_callers_of_the_old_one_find_nobody(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    stable = local_server(tmp_path, "v1")
    seen = await converge(deployer, Desired(stable=stable))
    with reserved_port() as port:
        await applied(deployer, Desired(stable=stable, port=port))
        moved = await deployer.observe(PLACE)
        assert moved.address == f"http://127.0.0.1:{port}"
        assert (await ask(address(moved))).json()["model"] == "v1"
        with pytest.raises(OSError, match="Connect call failed"):
            await ask(address(seen))
        await applied(deployer, Desired(stable=stable))
        assert (await deployer.observe(PLACE)).address == moved.address, "without one, it is kept"


async def test_a_port_that_is_taken_is_told_and_holds_up_no_rollback(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    stable, canary = local_server(tmp_path, "v1"), local_server(tmp_path, "v2")
    before = await converge(deployer, Desired(stable=stable, canary=canary, canary_weight=1.0))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TryAgain) as failure:
            await deployer.apply(PLACE, Desired(stable=stable, port=port))
        assert failure.value.human
        assert f"port {port} is not available, so the router stays on port" in str(failure.value)
        now = await deployer.observe(PLACE)
        assert (now.address, now.canary) == (before.address, None)
        assert (await ask(address(now))).json()["model"] == "v1"
    await applied(deployer, Desired(stable=stable, port=port))
    assert (await deployer.observe(PLACE)).address == f"http://127.0.0.1:{port}"


async def test_a_disk_without_room_holds_up_no_rollback_and_is_told(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    stable, canary = local_server(tmp_path, "v1"), local_server(tmp_path, "v2")
    seen = await converge(deployer, Desired(stable=stable, canary=canary, canary_weight=1.0))
    site = Site.of(tmp_path / "home" / "places", PLACE)
    in_the_way = [site.folder / name for name in ("router.new", "v1.server.new", "v2.server.new")]
    for each in in_the_way:
        each.mkdir()
    for _ in range(2):  # it is reported as long as it lasts
        with pytest.raises(TryAgain):
            await deployer.apply(PLACE, Desired(stable=stable))
        now = await deployer.observe(PLACE)
        assert (now.stable, now.canary, now.canary_weight) == ("v1", None, 0.0)
        assert (await ask(address(seen))).json()["model"] == "v1"
    (site.folder / "v1.server.new").rmdir()
    (site.folder / "v2.server.new").rmdir()
    with pytest.raises(TryAgain, match="the router cannot save it") as failure:
        await deployer.apply(PLACE, Desired(stable=stable))
    assert failure.value.human
    assert str(site.folder / "router.json") in str(failure.value)
    (site.folder / "router.new").rmdir()
    await applied(deployer, Desired(stable=stable))


async def test_a_router_whose_port_was_taken_while_it_was_down_comes_back_where_the_settings_say(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    stable = local_server(tmp_path, "v1")
    seen = await converge(deployer, Desired(stable=stable))
    router = next(line for line in living(tmp_path) if "deployers.router" in line)
    os.kill(int(router.split(":")[0]), signal.SIGKILL)

    async def gone() -> bool:
        return (await deployer.observe(PLACE)).address is None

    await eventually(gone)
    with socket.socket() as taken, reserved_port() as port:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(address(seen).rpartition(":")[2])))
        taken.listen()

        async def told() -> bool:
            with pytest.raises(TryAgain) as failure:
                await deployer.apply(PLACE, Desired(stable=stable))
            return failure.value.human and "address already in use" in str(failure.value)

        await eventually(told)
        desired = Desired(stable=stable, port=port)
        assert (await converge(deployer, desired)).address == f"http://127.0.0.1:{port}"


async def test_a_killed_router_is_started_again_on_its_port_by_the_next_apply(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    desired = Desired(stable=local_server(tmp_path, "v1"))
    seen = await converge(deployer, desired)
    router = next(line for line in living(tmp_path) if "deployers.router" in line)
    os.kill(int(router.split(":")[0]), signal.SIGKILL)

    async def gone() -> bool:
        return (await deployer.observe(PLACE)).address is None

    await eventually(gone)
    with pytest.raises(TryAgain, match="does not answer"):
        await deployer.traffic(PLACE, None, 0)
    assert (await converge(deployer, desired)).address == seen.address
    assert (await ask(address(seen))).status == 200


async def test_a_controller_that_died_while_a_server_was_leaving_lets_the_next_one_end_it(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    stable, canary = local_server(tmp_path, "v1"), local_server(tmp_path, "v2")
    desired = Desired(stable=stable, canary=canary, canary_weight=1.0)
    first = LocalDeployer(home, redact=hidden)
    seen = await converge(first, desired)
    slow = asyncio.create_task(ask(address(seen), "/predict?hold=1"))
    await until_held(canary.model)
    await applied(first, Desired(stable=stable))
    await first.close()  # for processes this is the same as being killed
    async with opened(home) as second:
        let_go(canary.model)

        async def gone() -> bool:
            return (await second.observe(PLACE)).server("v2") is None

        await eventually(gone)
        assert (await slow).json()["model"] == "v2"
