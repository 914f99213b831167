"""A place for attempts on a cluster: the double, whose nodes really run commands."""

import asyncio
import base64
import os
import sys
import sysconfig
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from controller.artifacts import Artifacts
from controller.artifacts.remote import RemoteArtifacts
from controller.buckets.catalog import Catalog
from controller.buckets.stores import Stores
from controller.config.kubernetes import KubernetesSettings
from controller.config.settings import ObjectStore
from controller.executors.kubernetes.executor import KubernetesExecutor
from controller.executors.kubernetes.launching import Launcher
from controller.executors.kubernetes.staging import AttemptStaging
from controller.executors.kubernetes.tenancy import AttemptTenancy
from controller.machine.runs.attempt import Attempt
from controller.reconcile.tenure import Alone, Tenure
from deployers.kubernetes.cluster import Cluster
from tests.controller.executors.site import ROOT, LocalSite
from tests.doubles.kubernetes import Kubernetes, LocalImage
from tests.servers.moto import KEY

OWNER = "0123456789abcdef"
IMAGE = f"registry.example/team/trainer@sha256:{'0' * 64}"
OURS = "registry.example/headgate:test"
SECRET = "store-credentials"

CONTROLLER = """
import asyncio, sys
from pathlib import Path
from controller.machine.runs.attempt import Attempt, AttemptState
from tests.contracts.executor import becomes
from tests.controller.executors.kubernetes_site import KubernetesSite

async def main():
    root, team, commit, kubeconfig, store, uri = sys.argv[1:]
    site = KubernetesSite(Path(root), (Path(team), commit), Path(kubeconfig), store, uri)
    attempt = Attempt.model_validate_json(sys.stdin.read())
    async with site.open() as executor:
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)
        print("running", flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


def python_paths() -> tuple[Path, ...]:
    """What Python and the packages of this project consist of."""
    environment = Path(sys.prefix).resolve()
    base = {Path(sys.base_prefix), Path(sysconfig.get_path("stdlib"))}
    return tuple(sorted({environment, ROOT, *base} - {Path("/usr")}))


def prepare_cluster(cluster: Kubernetes) -> None:
    """The namespace, the images and the credentials that attempts need."""
    cluster.namespace("headgate")
    cluster.images.add(IMAGE, LocalImage())
    environment = {"PATH": f"{sys.prefix}/bin:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    cluster.images.add(OURS, LocalImage(env=environment, paths=python_paths()))
    data = {key: base64.b64encode(text.encode()).decode() for key, text in KEY.items()}
    cluster.create("Secret", {"metadata": {"name": SECRET}, "data": data}, "headgate")


class KubernetesSite(LocalSite):
    """See `tests.contracts.executor.Site`. `store` is the address of a server with S3's interface,
    and `uri` where artifacts are kept there."""

    def __init__(
        self,
        root: Path,
        team: tuple[Path, str],
        kubeconfig: Path,
        store: str,
        uri: str,
        cluster: Kubernetes | None = None,
    ) -> None:
        super().__init__(root, *team)
        self._own = [str(root), str(team[0]), team[1], str(kubeconfig), store, uri]
        self.stores = (ObjectStore(uri=uri.rpartition("/")[0], endpoint=store),)
        self.remote = RemoteArtifacts(uri, Stores(self.stores), OWNER)
        self.artifacts = Artifacts(root / "artifacts", self.remote)
        self.catalog = Catalog(root / "datasets", Stores(self.stores))
        self.told = {
            "path": str(self.folder),
            "source": {"hostPath": {"path": str(self.folder)}},
            "writable": True,
        }
        self.kubeconfig = kubeconfig
        self._cluster = cluster
        self.changes: Mapping[str, Any] = {}
        """Of the default profile."""
        self.more: Mapping[str, Any] = {}
        """Further settings."""
        self.tenure: Tenure = Alone()

    def beside(self, root: Path) -> "KubernetesSite":
        """That of another controller of the same installation, with a home of its own there."""
        root.mkdir()
        team, kubeconfig = (Path(self._own[1]), self._own[2]), Path(self._own[3])
        store, uri = self._own[4:]
        found = KubernetesSite(root, team, kubeconfig, store, uri, self._cluster)
        found.told = self.told
        return found

    @property
    def cluster(self) -> Kubernetes:
        """The double."""
        assert self._cluster is not None
        return self._cluster

    @property
    def settings(self) -> KubernetesSettings:
        """The settings of the controller."""
        profile = {"store_secret": SECRET, "volumes": {"told": self.told}, **self.changes}
        return KubernetesSettings.model_validate(
            {
                "image": OURS,
                "kubeconfig": str(self.kubeconfig),
                "store_networks": ["127.0.0.1/32"],
                "profiles": {"default": profile},
                **self.more,
            }
        )

    def make(self, slots: int = 4, **changes: Any) -> KubernetesExecutor:
        """An executor at this place."""
        settings = self.settings
        client = Cluster(settings.access(Path()))
        staging = AttemptStaging(self.workspace, self.remote, self.stores)
        tenancy = AttemptTenancy(self.tenure, client)
        launcher = Launcher(self.workspace, client, tenancy, settings, staging, OWNER)
        return KubernetesExecutor(
            self.workspace,
            client,
            launcher,
            slots=asyncio.Semaphore(slots),
            redact=self.secrets.redact,
            tenancy=tenancy,
            **{"settles": 0.0, **changes},
        )

    @asynccontextmanager
    async def open(self, slots: int = 4, **changes: Any) -> AsyncIterator[KubernetesExecutor]:  # type: ignore[override]  # another executor
        executor = self.make(slots, **changes)
        try:
            yield executor
        finally:
            await executor.close()

    async def start_and_die(self, attempt: Attempt) -> None:
        controller = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CONTROLLER, *self._own,
            cwd=ROOT, env=dict(os.environ),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert controller.stdin is not None
        assert controller.stdout is not None
        controller.stdin.write(attempt.model_dump_json().encode())
        controller.stdin.close()
        assert await controller.stdout.readline() == b"running\n"
        controller.kill()
        await controller.wait()

    def attempt(self, command: str, name: str = "train", **changes: Any) -> Attempt:
        given = {"executor": "kubernetes", "image": IMAGE, **changes}
        return super().attempt(command, name, **given)

    def lives(self, pid_file: Path) -> bool:  # noqa: ARG002 - inside it has another number
        over = ("Succeeded", "Failed")
        return any(p["status"].get("phase") not in over for p in self.cluster.all("Pod"))

    def tear_down(self) -> None:
        """The cluster ends all that a test left running."""
