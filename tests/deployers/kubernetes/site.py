"""A cluster that serves: the double, whose nodes really run servers and routers, and moto's S3."""

import asyncio
import base64
import json
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from controller.artifacts import Artifacts
from controller.artifacts.remote import RemoteArtifacts
from controller.buckets.stores import Stores
from controller.config.settings import ObjectStore
from controller.effects.shipping import Shipper
from deployers.control import SILENCE
from deployers.counting.prometheus import PrometheusServer
from deployers.kubernetes.cluster import ClusterAccess
from deployers.kubernetes.gateway_place import GATEWAY
from deployers.kubernetes.place_cluster import anything
from deployers.kubernetes.profile import ClusterProfile
from deployers.kubernetes.router_link import KUBERNETES
from deployers.kubernetes.settings import GatewaySettings, RouterPod, ServingCluster
from deployers.kubernetes.window import KubernetesWindow
from deployers.protocol import Deployer, Desired, Server, Shipment
from deployers.registry import DEPLOYERS, DeployerSetup
from tests.contracts.deployer import Target
from tests.controller.executors.kubernetes_site import python_paths
from tests.deployers import model_server_path
from tests.deployers.world import ROOT, living
from tests.doubles.kubernetes import Kubernetes, LocalImage
from tests.servers.moto import KEY, Moto

OWNER = "0123456789abcdef"
NAMESPACE = "headgate-serving"
IMAGE = f"registry.example/team/server@sha256:{'0' * 64}"
OURS = "registry.example/headgate:test"
SECRET = "store-credentials"
SPEED = 5.0
"""How much faster the cluster's clock is: a container that crashed is restarted after 2 s."""

CONTROLLER = """
import asyncio, sys
from pathlib import Path
from deployers.kubernetes.settings import GatewaySettings
from deployers.protocol import Desired
from tests.contracts.deployer import converge
from tests.deployers.kubernetes.site import opened

async def main():
    gateway = GatewaySettings.model_validate_json(sys.argv[2]) if sys.argv[2] else None
    async with opened(Path(sys.argv[1]), gateway=gateway) as deployer:
        await converge(deployer, Desired.model_validate_json(sys.stdin.read()))
        print("converged", flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


@asynccontextmanager
async def opened(
    root: Path,
    silence: float = SILENCE,
    *,
    may: Callable[[str], bool] = anything,
    gateway: GatewaySettings | None = None,
    prometheus: Mapping[str, PrometheusServer] | None = None,
) -> AsyncIterator[Deployer]:
    """A deployer at this place, behind a gateway if there is one; leaving closes it, and ends no
    server."""
    told = {
        "path": str(root),
        "source": {"hostPath": {"path": str(root)}},
        "writable": True,
    }
    profile = {"store_secret": SECRET, "volumes": {"told": told}}
    cluster = ServingCluster(
        access=ClusterAccess(namespace=NAMESPACE, kubeconfig=root / "kubeconfig.json", calls=1000),
        owner=OWNER,
        image=OURS,
        profiles={"default": ClusterProfile.model_validate(profile)},
        router=RouterPod(),
        gateway=gateway,
    )
    setup = DeployerSetup(
        home=root / "home",
        redact=str,
        cluster=cluster,
        silence=silence,
        may=may,
        prometheus=prometheus or {},
    )
    deployer = DEPLOYERS[KUBERNETES if gateway is None else GATEWAY](setup)
    try:
        yield deployer
    finally:
        await deployer.close()


class ServingSite:
    """A place on a cluster."""

    def __init__(self, root: Path, cluster: Kubernetes, store: str, uri: str) -> None:
        self.root = root
        self.cluster = cluster
        self._stores = (ObjectStore(uri=uri.rpartition("/")[0], endpoint=store),)
        self._uri = uri
        self.gateway: GatewaySettings | None = None
        """What splits the traffic, if that is not our router."""

    def target(self) -> Target:
        """As the contract's suite needs it."""
        return Target(
            open=lambda: opened(self.root, gateway=self.gateway),
            server=self.server,
            apply_and_die=self._apply_and_die,
            living=self._living,
            process=self._process,
            window=KubernetesWindow(self.root / "home"),
            has_logs=False,
        )

    def server(self, name: str, *, gated: bool = False, **said: object) -> Server:
        """A server that answers with its name; a gated one is ready once its gate file exists."""
        model = self.root / f"{name}.json"
        gate = {"wait_for": f"{model}.gate"} if gated else {}
        model.write_text(json.dumps({"name": name, "beside": str(model), **gate, **said}))
        with ThreadPoolExecutor(1) as pool:  # the caller's thread has a loop of its own
            shipment = pool.submit(lambda: asyncio.run(self._ship(model))).result()
        return Server(
            name=name,
            run="python serve.py {model} {port} {host}",
            model=str(model),  # where the suite finds what the server tells it
            image=IMAGE,
            ready="/healthz",
            predict="/predict",
            environment={"TOKEN": "hush-hush", "TOLD": str(self.root)},
            secrets=("TOKEN",),
            shipment=shipment,
        )

    async def _ship(self, model: Path) -> Shipment:
        remote = RemoteArtifacts(self._uri, Stores(self._stores), OWNER)
        artifacts = Artifacts(self.root / "artifacts", remote)
        code = self.root / f"{model.stem}-shipped" / "code"
        (code / "team").mkdir(parents=True, exist_ok=True)
        (code / "team" / "ml-pipeline.yaml").touch()
        shutil.copy(model_server_path(), code / "serve.py")
        stored = await artifacts.put(model)
        shipper = Shipper(artifacts, remote, self._stores)
        return await shipper.ship(stored.digest, model.name, code, "")

    async def _apply_and_die(self, desired: Desired) -> None:
        gateway = self.gateway.model_dump_json() if self.gateway is not None else ""
        controller = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CONTROLLER, str(self.root), gateway, cwd=ROOT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert controller.stdin is not None
        assert controller.stdout is not None
        controller.stdin.write(desired.model_dump_json().encode())
        controller.stdin.close()
        assert await controller.stdout.readline() == b"converged\n"
        controller.kill()
        await controller.wait()

    def _living(self) -> list[str]:
        return living(self.root / "cluster")

    def _process(self, server: str) -> int:
        found = [one for one in living(self.root) if f"{server}.json" in one]
        (line,) = (one for one in found if "bwrap" not in one)
        return int(line.partition(":")[0])


@contextmanager
def serving_site(root: Path, moto: Moto) -> Iterator[ServingSite]:
    """A cluster of one node on which nothing runs, with the namespace of servers."""
    with Kubernetes(root / "cluster", speed=SPEED) as cluster:
        prepare_serving(cluster)
        cluster.write_kubeconfig(root / "kubeconfig.json")
        yield ServingSite(root, cluster, moto.url, f"s3://{moto.bucket()}/artifacts")


def prepare_serving(cluster: Kubernetes) -> None:
    """The namespace, the images and the credentials that servers need."""
    cluster.namespace(NAMESPACE)
    paths = python_paths()
    environment = {"PATH": f"{sys.prefix}/bin:/usr/bin:/bin"}
    cluster.images.add(IMAGE, LocalImage(env=environment, paths=paths))
    ours = {**environment, "PYTHONPATH": str(ROOT)}
    cluster.images.add(OURS, LocalImage(env=ours, paths=paths))
    data = {key: base64.b64encode(text.encode()).decode() for key, text in KEY.items()}
    cluster.create("Secret", {"metadata": {"name": SECRET}, "data": data}, NAMESPACE)
