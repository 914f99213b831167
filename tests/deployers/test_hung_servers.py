"""Servers that run without answering: stable ones are restarted, and no others."""

# ruff: noqa: ASYNC240 - files by which the test talks to its servers, and none of it waits
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from deployers.liveness import Patience
from deployers.local import LocalDeployer
from deployers.place_folder import Site
from deployers.protocol import Bounds, Desired, Server, ServerStatus
from specs.failures import TryAgain
from tests.contracts.deployer import PLACE, address, applied, converge
from tests.contracts.test_deployers import local_server
from tests.deployers.caller import Caller, ask
from tests.deployers.world import eventually, living


@pytest.fixture
async def deployer(tmp_path: Path) -> AsyncIterator[LocalDeployer]:
    made = LocalDeployer(tmp_path / "home", redact=str)
    yield made
    await made.remove(PLACE)
    await made.close()
    assert living(tmp_path / "home") == []


def impatient(tmp_path: Path, name: str) -> Server:
    """A server that counts as hung after half a second and three probes without an answer."""
    return local_server(tmp_path, name).model_copy(update={"hung_after": 0.5, "startup": 0.5})


async def looked_at(deployer: LocalDeployer, name: str, times: int) -> ServerStatus:
    """The last status of so many observations."""
    status = None
    for _ in range(times):
        status = (await deployer.observe(PLACE)).server(name)
    assert status is not None
    return status


async def pid_of(deployer: LocalDeployer) -> int:
    """The process that answers now, once its answer was observed."""
    answer = await ask(address(await deployer.observe(PLACE)))
    await deployer.observe(PLACE)
    return int(answer.json()["pid"])


async def test_a_frozen_stable_server_is_killed_and_started_again(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    desired = Desired(stable=impatient(tmp_path, "v1"))
    await converge(deployer, desired)
    pid = await pid_of(deployer)
    os.kill(pid, signal.SIGSTOP)
    one = await looked_at(deployer, "v1", 1)
    assert (one.alive, one.ready, one.hung) == (True, False, False)
    assert "restarted after 0.5 s" in one.detail
    hung = await looked_at(deployer, "v1", 2)
    assert (hung.alive, hung.hung) == (True, True)
    with structlog.testing.capture_logs() as logs:
        again = await converge(deployer, desired)
    said = "a server hangs and is restarted"
    assert [one["server"] for one in logs if one["event"] == said] == ["v1"]
    assert await pid_of(deployer) != pid
    assert again.server("v1") == ServerStatus(
        name="v1", alive=True, ready=True, address=one.address, detail="restarted once"
    )
    assert not Path(f"/proc/{pid}").exists()


async def test_how_a_server_that_hung_ended_is_told_until_it_is_back(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    desired = Desired(stable=impatient(tmp_path, "v1"))
    await converge(deployer, desired)
    os.kill(await pid_of(deployer), signal.SIGSTOP)
    await looked_at(deployer, "v1", 3)
    await applied(deployer, desired)
    ended = (await deployer.observe(PLACE)).server("v1")
    assert ended is not None
    if not ended.alive:  # its pause is not over, unless the machine is busy
        assert "it hung: it did not answer for 0.5 s or longer, and was ended" in ended.detail


async def test_a_canary_that_hangs_is_left_to_the_judge(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    stable, canary = impatient(tmp_path, "v1"), impatient(tmp_path, "v2")
    desired = Desired(stable=stable, canary=canary, canary_weight=1.0)
    await converge(deployer, desired)
    pid = await pid_of(deployer)
    os.kill(pid, signal.SIGSTOP)
    status = await looked_at(deployer, "v2", 4)
    assert (status.alive, status.ready, status.hung) == (True, False, False)
    assert status.detail == "/healthz did not answer within 2 s"
    await applied(deployer, desired)
    assert Path(f"/proc/{pid}").exists()


async def test_a_busy_server_that_answers_its_callers_lives(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    desired = Desired(stable=impatient(tmp_path, "v1"))
    seen = await converge(deployer, desired)
    pid = await pid_of(deployer)
    busy = Path(f"{tmp_path / 'v1.json'}.busy")
    busy.touch()
    for _ in range(5):
        assert (await ask(address(seen))).json()["pid"] == pid
        status = await looked_at(deployer, "v1", 1)
    assert (status.ready, status.hung) == (False, False)
    assert status.detail == (
        "/healthz did not answer within 2 s; "
        "it has answered callers meanwhile, so it is not restarted"
    )
    await applied(deployer, desired)
    busy.unlink()
    assert await pid_of(deployer) == pid


async def test_a_server_that_is_busy_with_a_stream_that_goes_on_lives(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    seen = await converge(deployer, Desired(stable=impatient(tmp_path, "v1")))
    await pid_of(deployer)
    busy = Path(f"{tmp_path / 'v1.json'}.busy")
    busy.touch()
    async with Caller(address(seen)) as caller:
        caller.writer.write(b"GET /chunked?chunks=2000&every=0.02 HTTP/1.1\r\nHost: a\r\n\r\n")
        await caller.reader.readuntil(b"part0")
        status = await looked_at(deployer, "v1", 4)
    busy.unlink()
    assert (status.ready, status.hung) == (False, False)


async def test_what_the_router_says_in_its_place_is_no_sign_that_a_server_lives(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    small, large = Bounds(largest_request=1000), Bounds(largest_request=2000)
    stable = impatient(tmp_path, "v1").model_copy(update={"bounds": small})
    canary = local_server(tmp_path, "v2").model_copy(update={"bounds": large})
    seen = await converge(deployer, Desired(stable=stable, canary=canary, canary_weight=1e-12))
    os.kill(await pid_of(deployer), signal.SIGSTOP)
    hung = []
    for _ in range(4):
        answer = await ask(address(seen), method="POST", body=b"x" * 1500)
        assert answer.status == 413
        hung.append((await looked_at(deployer, "v1", 1)).hung)
    assert hung[-1]


async def test_a_server_that_says_it_is_not_ready_lives(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    server = local_server(tmp_path, "v1", gated=True)
    desired = Desired(stable=server.model_copy(update={"hung_after": 0.1, "startup": 0.1}))
    gate = Path(f"{server.model}.gate")
    gate.touch()
    await converge(deployer, desired)
    pid = await pid_of(deployer)
    gate.unlink()
    status = await looked_at(deployer, "v1", 5)
    assert (status.ready, status.hung) == (False, False)
    assert status.detail == "/healthz answered 503; it is alive, so it is not restarted"
    await applied(deployer, desired)
    assert await pid_of(deployer) == pid


async def test_a_stable_server_that_freezes_while_it_starts_is_started_again(
    deployer: LocalDeployer, tmp_path: Path
) -> None:
    seen = await converge(deployer, Desired(stable=impatient(tmp_path, "v1")))
    busy = Path(f"{tmp_path / 'v2.json'}.busy")
    busy.touch()
    desired = Desired(stable=impatient(tmp_path, "v2"))
    site = Site.of(tmp_path / "home" / "places", PLACE)

    async def ended() -> bool:
        await applied(deployer, desired)
        await deployer.observe(PLACE)
        return site.placed()["v2"].crashes == 1

    await eventually(ended)
    assert (await ask(address(seen))).json()["model"] == "v1", "who serves until then goes on"
    busy.unlink()
    after = await converge(deployer, desired)
    status = after.server("v2")
    assert status is not None
    assert status.detail == "restarted once"


async def test_a_frozen_router_is_killed_and_started_again_on_its_port(
    deployer: LocalDeployer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployers.router_processes._PATIENCE", Patience(0.5, 0.5))
    monkeypatch.setattr("deployers.router_processes._ANSWERS", 0.2)
    desired = Desired(stable=local_server(tmp_path, "v1"))
    seen = await converge(deployer, desired)
    router = next(line for line in living(tmp_path) if "deployers.router" in line)
    os.kill(int(router.partition(":")[0]), signal.SIGSTOP)
    first = await deployer.observe(PLACE)
    assert (first.address, first.hung_router) == (None, ""), "one slow answer is no hang"

    async def hangs() -> bool:
        return (await deployer.observe(PLACE)).hung_router != ""

    await eventually(hangs)
    hung = await deployer.observe(PLACE)
    assert (hung.address, hung.servers[0].ready) == (None, True)
    assert "it is restarted after 0.5 s" in hung.hung_router

    async def gone() -> bool:
        await applied(deployer, desired)
        return not Path(f"/proc/{router.partition(':')[0]}").exists()

    with structlog.testing.capture_logs() as logs:
        await eventually(gone)
    (said,) = (one for one in logs if "hangs" in one["event"])
    assert (said["event"], said["log_level"]) == (
        "a router hangs and is restarted",
        "warning",
    )
    assert said["process"] == Site.of(tmp_path, PLACE).router
    again = await converge(deployer, desired)
    assert (again.address, again.hung_router) == (seen.address, "")
    assert (await ask(address(seen))).json()["model"] == "v1"


async def test_no_router_is_ended_for_a_hang_that_no_look_has_found_yet(
    deployer: LocalDeployer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployers.router_processes._PATIENCE", Patience(1.5, 1.5))
    monkeypatch.setattr("deployers.router_processes._ANSWERS", 0.1)
    desired = Desired(stable=local_server(tmp_path, "v1"))
    await converge(deployer, desired)
    router = next(line for line in living(tmp_path) if "deployers.router" in line)
    os.kill(int(router.partition(":")[0]), signal.SIGSTOP)
    assert (await deployer.observe(PLACE)).hung_router == ""
    for _ in range(20):  # its time runs out during these
        with pytest.raises(TryAgain):
            await deployer.apply(PLACE, desired)
    assert router in living(tmp_path)

    async def found() -> bool:
        return (await deployer.observe(PLACE)).hung_router != ""

    await eventually(found)
    await converge(deployer, desired)
    assert router not in living(tmp_path)
