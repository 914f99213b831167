"""The contract suite, run over every deployer of the registry."""

import asyncio
import contextlib
import json
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from deployers.chosen_target import DEFAULT
from deployers.command_place import COMMAND, CommandPlace, CommandWindow
from deployers.confinement import Kind
from deployers.kserve.place import KSERVE
from deployers.kubernetes.gateway_place import GATEWAY
from deployers.kubernetes.router_link import KUBERNETES
from deployers.place_folder import free_port
from deployers.protocol import Deployer, Desired, Scripts, Server
from deployers.registry import DEPLOYERS, DeployerSetup
from deployers.windows import WINDOWS
from specs.target_scripts import TargetName
from tests.contracts.deployer import PLACE, DeployerContract, Target, applied
from tests.deployers import model_server_path
from tests.deployers.cloud import SCRIPT, Cloud
from tests.deployers.kubernetes.data_plane import data_plane, gateway_target
from tests.deployers.kubernetes.site import serving_site
from tests.deployers.world import living
from tests.servers.gateways import Envoy, Traefik
from tests.servers.moto import Moto
from tests.told import ToldConfinement

ROOT = Path(__file__).parents[2]

CONTROLLER = """
import asyncio, sys
from pathlib import Path
from deployers.protocol import Desired
from deployers.registry import DEPLOYERS, DeployerSetup
from tests.contracts.deployer import converge
from tests.servers.moto import Moto
from tests.told import ToldConfinement

async def main():
    home = Path(sys.argv[1])
    confinement = ToldConfinement((home,), kind=sys.argv[2], told=home.parent)
    setup = DeployerSetup(home=home, redact=str, confinement=confinement)
    deployer = DEPLOYERS[sys.argv[3]](setup)
    await converge(deployer, Desired.model_validate_json(sys.stdin.read()))
    print("converged", flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


def command_target(tmp_path: Path) -> Target:
    """The same, run by a cloud that only the team's scripts know."""
    script, port, home = tmp_path / "team.py", free_port(), tmp_path / "home"
    script.write_text(SCRIPT)
    commands = {
        name: f"{sys.executable} -I -S {{root}}/team.py {port} {name}"
        for name in ("apply", "observe", "traffic", "remove")
    }
    scripts = Scripts(commands=commands, folder=str(tmp_path), root=str(tmp_path))
    CommandPlace(scripts=scripts).save(home, PLACE)  # as if it had been deployed before
    beside = local_target(tmp_path, name=COMMAND)
    cloud = Cloud(tmp_path / "cloud", ToldConfinement((home,), told=tmp_path))

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[Deployer]:
        async with cloud.serving(port), beside.open() as deployer:
            yield deployer

    window = CommandWindow(home)
    return replace(beside, open=opened, has_logs=False, is_told=False, window=window)


def local_target(tmp_path: Path, kind: Kind = "none", name: str = DEFAULT) -> Target:
    """A target in a folder of its own."""
    confinement = ToldConfinement((tmp_path / "home",), kind=kind, told=tmp_path)

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[Deployer]:
        setup = DeployerSetup(home=tmp_path / "home", redact=str, confinement=confinement)
        deployer = DEPLOYERS[name](setup)
        try:
            yield deployer
        finally:
            await deployer.close()

    async def apply_and_die(desired: Desired) -> None:
        controller = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CONTROLLER, str(tmp_path / "home"), kind, name, cwd=ROOT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert controller.stdin is not None
        assert controller.stdout is not None
        controller.stdin.write(desired.model_dump_json().encode())
        controller.stdin.close()
        assert await controller.stdout.readline() == b"converged\n"
        controller.kill()
        await controller.wait()

    def running() -> list[str]:
        zygote = "supervisor.main"  # it ends with the deployer; supervisors look alike
        return [line for line in living(tmp_path) if zygote not in line]

    def process(server: str) -> int:
        (line,) = (one for one in running() if f"{server}.json" in one and "bwrap" not in one)
        return int(line.partition(":")[0])

    return Target(
        open=opened,
        process=process,
        server=lambda server, **said: local_server(tmp_path, server, **said),
        apply_and_die=apply_and_die,
        living=running,
        window=WINDOWS[name](tmp_path / "home"),
    )


def local_server(tmp_path: Path, name: str, *, gated: bool = False, **said: object) -> Server:
    """A server that answers with its name; a gated one is ready once its gate file exists."""
    model = tmp_path / f"{name}.json"
    gate = {"wait_for": f"{model}.gate"} if gated else {}
    model.write_text(json.dumps({"name": name, **gate, **said}))
    # In the server's own folder: a confined server may not see the tests' folder.
    script = tmp_path / "serve.py"
    if not script.exists():
        shutil.copy(model_server_path(), script)
    return Server(
        name=name,
        run=f"{sys.executable} {script} {{model}} {{port}} {{host}}",
        model=str(model),
        folder=str(tmp_path),
        ready="/healthz",
        predict="/predict",
        environment={"TOKEN": "hush-hush", "VIRTUAL_ENV": sys.prefix},
    )


class TestLocalDeployer(DeployerContract):
    @pytest.fixture
    def target(self, tmp_path: Path) -> Target:
        return local_target(tmp_path)


class TestCommandDeployer(DeployerContract):
    @pytest.fixture
    def target(self, tmp_path: Path) -> Target:
        return command_target(tmp_path)


@pytest.mark.bwrap
@pytest.mark.usefixtures("namespaces", "aws")
class TestKubernetesDeployer(DeployerContract):
    @pytest.fixture
    def target(self, tmp_path: Path, moto: Moto) -> Iterator[Target]:
        with serving_site(tmp_path, moto) as site:
            yield site.target()


@pytest.mark.bwrap
@pytest.mark.usefixtures("namespaces")
class TestConfinedDeployer(DeployerContract):
    @pytest.fixture
    def target(self, tmp_path: Path) -> Target:
        return local_target(tmp_path, kind="namespace")


@pytest.mark.bwrap
@pytest.mark.gateway
@pytest.mark.usefixtures("namespaces", "aws")
class TestGatewayDeployer(DeployerContract):
    @pytest.fixture
    def target(
        self, tmp_path: Path, moto: Moto, gateways: tuple[Envoy, Traefik]
    ) -> Iterator[Target]:
        envoy, _ = gateways
        with serving_site(tmp_path, moto) as site, data_plane(site.cluster, envoy):
            yield gateway_target(site, envoy.url)


HELD_TO_THE_CONTRACT = {
    DEFAULT: (TestLocalDeployer, TestConfinedDeployer),
    COMMAND: (TestCommandDeployer,),
    KUBERNETES: (TestKubernetesDeployer,),
    GATEWAY: (TestGatewayDeployer,),
}


TOLD_IN_STORIES = {KSERVE}
"""Targets whose traffic flows through no gateway here: `tests/deployers/kserve` tells of them."""


def test_every_target_has_a_deployer_and_a_window() -> None:
    assert DEPLOYERS.keys() == WINDOWS.keys() == HELD_TO_THE_CONTRACT.keys() | TOLD_IN_STORIES


def test_a_spec_may_name_every_registered_deployer_and_no_other() -> None:
    assert set(get_args(TargetName)) == DEPLOYERS.keys()


async def test_two_places_of_one_home_do_not_meet(tmp_path: Path) -> None:
    target = local_target(tmp_path)
    async with target.open() as deployer:
        for place in (PLACE, "flight-delay/staging"):
            await applied(deployer, Desired(stable=target.server("v1")), place)
        await deployer.remove("flight-delay/staging")
        assert [server.name for server in (await deployer.observe(PLACE)).servers] == ["v1"]
        await deployer.remove(PLACE)
    assert target.living() == []
