"""Every executor by the name that specs use for it (`executor: NAME`).

To run steps elsewhere, write a `ManagedExecutor` in a file beside this one and add it to
`EXECUTORS`. The contract suite in `tests/contracts/executor.py` holds it to the protocol.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from controller.artifacts.remote import RemoteArtifacts
from controller.config.kubernetes import KubernetesSettings
from controller.config.settings import ObjectStore
from controller.executors.docker import DockerExecutor
from controller.executors.kubernetes.executor import KubernetesExecutor
from controller.executors.kubernetes.launching import Launcher
from controller.executors.kubernetes.staging import AttemptStaging
from controller.executors.kubernetes.tenancy import AttemptTenancy
from controller.executors.local import LocalExecutor
from controller.executors.protocol import ManagedExecutor
from controller.executors.router import ExecutorRouter
from controller.executors.workspace import Workspace
from controller.reconcile.tenure import Alone, Tenure
from deployers.confinement import Confinement
from deployers.engine import Engine
from deployers.kubernetes.cluster import Cluster
from deployers.processes import Processes


@dataclass(frozen=True)
class ExecutorSetup:
    """What executors are made from; each uses what it needs. Those on this machine share the
    slots."""

    workspace: Workspace
    slots: asyncio.Semaphore
    """An attempt runs while it holds one."""
    processes: Processes
    confinement: Confinement
    engine: Engine
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)
    base: Path = Path()
    """The folder that paths in the settings are relative to."""
    remote: RemoteArtifacts | None = None
    """The artifact store, if pods reach it."""
    stores: tuple[ObjectStore, ...] = ()
    identity: str = ""
    """Of the installation, by which it knows its own in a cluster."""
    tenure: Tenure = field(default_factory=Alone)
    """What of the work this controller has."""

    def redact(self, text: str) -> str:
        """The text without the values of secrets."""
        return self.workspace.secrets.redact(text)


def _local(setup: ExecutorSetup) -> ManagedExecutor:
    return LocalExecutor(
        setup.workspace,
        setup.processes,
        slots=setup.slots,
        redact=setup.redact,
        confinement=setup.confinement,
    )


def _docker(setup: ExecutorSetup) -> ManagedExecutor:
    return DockerExecutor(setup.workspace, setup.engine, slots=setup.slots, redact=setup.redact)


def _kubernetes(setup: ExecutorSetup) -> ManagedExecutor:
    remote, workspace = setup.remote, setup.workspace
    cluster = Cluster(setup.kubernetes.access(setup.base))
    staging = None if remote is None else AttemptStaging(workspace, remote, setup.stores)
    tenancy = AttemptTenancy(setup.tenure, cluster)
    launcher = Launcher(workspace, cluster, tenancy, setup.kubernetes, staging, setup.identity)
    slots = asyncio.Semaphore(setup.kubernetes.slots)  # the others are about this machine
    return KubernetesExecutor(
        workspace, cluster, launcher, slots=slots, redact=setup.redact, tenancy=tenancy
    )


DEFAULT: Final = "local"
"""The executor that is asked about attempts that no executor knows."""
EXECUTORS: Final[Mapping[str, Callable[[ExecutorSetup], ManagedExecutor]]] = {
    DEFAULT: _local,
    "docker": _docker,
    "kubernetes": _kubernetes,
}


def make_executor(setup: ExecutorSetup) -> ExecutorRouter:
    """All registered executors behind one."""
    return ExecutorRouter({name: make(setup) for name, make in EXECUTORS.items()}, DEFAULT)
