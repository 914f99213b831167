"""A router that takes orders over HTTP, as in a pod."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from deployers.control import RouterRefusedError, Routing
from deployers.kubernetes.router_link import ClusterPlace, RouterLink
from deployers.processes import Processes, ProcessSpec
from deployers.remote_control import TOKEN, ControlApp
from tests.deployers.caller import ask
from tests.deployers.world import ROOT, eventually
from tests.ports import reserved_port

PATH = "/usr/bin:/bin"


@pytest.fixture
async def router(tmp_path: Path) -> AsyncIterator[ClusterPlace]:
    """How it is asked; it begins with a routing that it was given."""
    with reserved_port() as data, reserved_port() as control:
        first = tmp_path / "first.json"
        first.write_text(Routing(port=data, silence=7.0).model_dump_json())
        processes = Processes(tmp_path / "processes")
        (tmp_path / "router").mkdir()
        argv = (
            sys.executable, "-m", "deployers.router", "--folder", str(tmp_path / "router"),
            "--control-port", str(control), "--start", str(first),
        )  # fmt: skip
        processes.start(
            "router",
            ProcessSpec(argv=argv, cwd=str(ROOT), environment={"PATH": PATH, TOKEN: "secret"}),
        )
        orders = f"http://127.0.0.1:{control}"
        yield ClusterPlace(
            place="p", orders=orders, token="secret", address=f"http://127.0.0.1:{data}"
        )
        processes.stop("router", 5.0)
        processes.close()


async def test_it_obeys_whoever_has_the_token_and_begins_as_it_was_told(
    router: ClusterPlace,
) -> None:
    link = RouterLink()
    status = await eventually(lambda: link.status(router))
    assert status is not None
    assert status.routing.silence == 7.0
    assert router.address is not None
    assert (await ask(router.address)).status == 503
    ordered = status.routing.model_copy(update={"silence": 9.0})
    settled = await link.ask(router, "route", routing=ordered.model_dump())
    assert settled["silence"] == 9.0
    page = await link.ask(router, "traffic", epoch=None, after=0)
    assert page["records"] == []
    with pytest.raises(RouterRefusedError, match="no order 'dance'"):
        await link.ask(router, "dance")
    await link.close()


async def test_it_obeys_nobody_else(router: ClusterPlace) -> None:
    link = RouterLink()
    await eventually(lambda: link.status(router))
    for token in ("other", "secret2", "Secret"):
        stranger = router.model_copy(update={"token": token})
        with pytest.raises(RouterRefusedError, match="not this router's"):
            await link.ask(stranger, "route", routing={})
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(f"{router.orders}/orders", json={})).status_code == 401
        assert (await client.get(f"{router.orders}/livez")).status_code == 200
        assert (await client.get(f"{router.orders}/orders")).status_code == 404
        large = await client.post(
            f"{router.orders}/orders",
            content=b"x" * (2 << 20),
            headers={"Authorization": "Bearer secret"},
        )
        assert large.status_code == 413
    status = await link.status(router)
    assert status is not None
    assert status.routing.silence == 7.0
    await link.close()


def test_an_interface_without_a_token_is_refused() -> None:
    async def obey(_order: bytes) -> dict[str, object]:
        return {}

    with pytest.raises(ValueError, match="without a token"):
        ControlApp("", obey)


async def test_the_program_wants_a_token_too(tmp_path: Path) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deployers.router", "--folder", str(tmp_path), "--control-port", "1",
        cwd=ROOT, env={"PATH": os.defpath}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await program.communicate()
    assert program.returncode == 1
    assert b"needs a token in HEADGATE_ROUTER_TOKEN" in said
