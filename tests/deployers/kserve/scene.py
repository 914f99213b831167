"""A place that is served by the double's KServe, and what a controller does there turn by turn."""

from contextlib import suppress
from pathlib import Path

from deployers.counting.prometheus import NO_SERVERS
from deployers.counting.reader import CounterReader
from deployers.kserve.deployer import KServeDeployer
from deployers.kserve.naming import service_name
from deployers.kubernetes.access import KSERVE
from deployers.kubernetes.cluster import ClusterAccess
from deployers.kubernetes.profile import ClusterProfile
from deployers.kubernetes.settings import KServeMode, KServeSettings, RouterPod, ServingCluster
from deployers.protocol import Deployed, Desired, Server
from specs.counters import BackendCounters
from specs.failures import TryAgain
from specs.resources import Resources
from tests.deployers.kubernetes.builders import SERVER, SHIPMENT
from tests.doubles.kubernetes import AccessRule, Kubernetes
from tests.doubles.kubernetes.base.objects import Obj, dig

PLACE = "flight-delay/production"
OWNER = "0123456789abcdef"
NAME = service_name(OWNER, PLACE)
NAMESPACE = "headgate-serving"
IMAGE = "registry.example/headgate@sha256:1"
_TURNS = 12


class Scene:
    """A controller's turns at one place, on the cluster's clock."""

    def __init__(
        self,
        cluster: Kubernetes,
        folder: Path,
        mode: KServeMode,
        image: str = IMAGE,
        counters: CounterReader | None = None,
    ) -> None:
        self.cluster, self.mode = cluster, mode
        rights = [
            AccessRule(need.verbs, (need.resource,), (need.group,), (NAMESPACE,)) for need in KSERVE
        ]
        token = cluster.token("headgate", *rights)  # what the chart allows, and no more
        config = cluster.write_kubeconfig(folder / "kubeconfig", token, NAMESPACE)
        gateway = BackendCounters(preset="istio") if counters is not None else None
        serving = ServingCluster(
            access=ClusterAccess(namespace=NAMESPACE, kubeconfig=config, calls=1000),
            owner=OWNER,
            image=image,
            profiles={"default": ClusterProfile()},
            router=RouterPod(),
            kserve=KServeSettings(mode=mode, counters=gateway, split="turns"),
        )
        reader = counters or CounterReader(folder / "home", NO_SERVERS, lambda _: {})
        self.holds = True
        self.deployer = KServeDeployer(
            folder / "home", serving, reader, str, may=lambda _: self.holds
        )

    async def apply(self, desired: Desired) -> Deployed:
        """One turn: apply, let KServe do what is due, look."""
        with suppress(TryAgain):
            await self.deployer.apply(PLACE, desired)
        self.cluster.settle()
        return await self.deployer.observe(PLACE)

    async def converge(self, desired: Desired, wait: float = 11) -> Deployed:
        """Turns until what runs is what should, with time for pods to become ready between."""
        seen = await self.apply(desired)
        for _ in range(_TURNS):
            if _is_as(seen, desired):
                return seen
            self.cluster.advance(wait)
            seen = await self.apply(desired)
        raise AssertionError(f"not {desired}, but {seen}")

    async def close(self) -> None:
        await self.deployer.close()

    @property
    def service(self) -> Obj:
        found = self.cluster.get("InferenceService", NAME, NAMESPACE)
        assert found is not None
        return found

    @property
    def predictor(self) -> Obj:
        return dict(self.service["spec"]["predictor"])

    def change(self, *path: str, to: object) -> None:
        """Somebody edits the InferenceService by hand."""

        def edit(obj: Obj) -> None:
            inner = dig(obj, *path[:-1])
            inner[path[-1]] = to

        self.edit(edit)

    def edit(self, how: object) -> None:
        self.cluster.update("InferenceService", NAME, how, NAMESPACE)  # type: ignore[arg-type]
        self.cluster.settle()

    def pods(self, server: str) -> set[str]:
        """The pods of a server that are not about to end."""
        return {
            pod["metadata"]["uid"]
            for pod in self.cluster.all("Pod", NAMESPACE)
            if dig(pod, "metadata", "annotations", "headgate.dev/server") == server
            and not pod["metadata"].get("deletionTimestamp")
        }

    def revisions(self) -> list[str]:
        """The servers of the revisions, oldest first."""
        found = sorted(self.cluster.all("Revision", NAMESPACE), key=lambda r: r["metadata"]["name"])
        return [dig(r, "metadata", "annotations", "headgate.dev/server") for r in found]


def _is_as(seen: Deployed, desired: Desired) -> bool:
    """As `controller.machine.environments.environment.converge` compares them."""
    stable = desired.stable.name if desired.stable else None
    canary = desired.canary.name if desired.canary else None
    wanted = {name for name in (stable, canary) if name}
    servers = {server.name: server for server in seen.servers}
    return (
        (seen.stable, seen.canary) == (stable, canary)
        and abs(seen.canary_weight - desired.canary_weight) < 1e-9
        and seen.configured
        and servers.keys() == wanted
        and all(server.alive and server.ready for server in servers.values())
    )


def server(version: int, **more: object) -> Server:
    """A version's server."""
    about = {
        "name": f"flight-delay-production-v{version}-0f5a8c21d9e{version}",
        "shipment": SHIPMENT.model_copy(
            update={"address": f"s3://ml/artifacts/files/{version:02}/plan", "plan": str(version)}
        ),
        "profile": None,
        "replicas": 1,
        "resources": Resources(),
        **more,
    }
    return SERVER.model_copy(update=about)
