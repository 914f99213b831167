"""The whole cluster: an API server on a port, its controllers, its nodes, and its faults."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pydantic_core import to_json

from tests.doubles.kubernetes.api.access import AccessRule
from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.api.calls import ApiCall, ApiUser
from tests.doubles.kubernetes.api.server import ApiServer
from tests.doubles.kubernetes.api.service import ApiService
from tests.doubles.kubernetes.api.verbs import Verbs
from tests.doubles.kubernetes.base.clock import ClusterClock
from tests.doubles.kubernetes.base.objects import Obj, copied
from tests.doubles.kubernetes.controllers.garbage import (
    ClaimController,
    GarbageController,
    NamespaceController,
    QuotaController,
)
from tests.doubles.kubernetes.controllers.gateways import GatewayController
from tests.doubles.kubernetes.controllers.inference import InferenceController
from tests.doubles.kubernetes.controllers.jobs import JobController
from tests.doubles.kubernetes.controllers.manager import ClusterController, Manager
from tests.doubles.kubernetes.controllers.queues import QueueController, TrainerController
from tests.doubles.kubernetes.controllers.services import EndpointController
from tests.doubles.kubernetes.controllers.workloads import (
    DeploymentController,
    ReplicaSetController,
)
from tests.doubles.kubernetes.kubelet.images import ImageRegistry
from tests.doubles.kubernetes.kubelet.keeper import Kubelets
from tests.doubles.kubernetes.kubelet.nodes import NodeController, Nodes
from tests.doubles.kubernetes.kubelet.plays import Plays
from tests.doubles.kubernetes.kubelet.proxy import ServiceProxy
from tests.doubles.kubernetes.kubelet.scheduler import Scheduler
from tests.doubles.kubernetes.validation.custom import GATEWAY_API, KSERVE, KUEUE, TRAINER

ADMIN = "token-of-the-administrator"


class Kubernetes:
    """A cluster for tests. Use it as a context manager; its end raises what went wrong inside."""

    def __init__(self, folder: Path | None = None, speed: float = 1.0, nodes: int = 1) -> None:
        """`folder` holds the volumes of pods; `speed` hastens the cluster's clock."""
        self._own = None if folder else tempfile.TemporaryDirectory(prefix="kubernetes-")
        self.folder = folder or Path(self._own.name if self._own else "")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.clock = ClusterClock(speed)
        self.verbs = Verbs(self.clock)
        self.images = ImageRegistry()
        self.plays = Plays()
        self.kubelets = Kubelets(self.verbs, self.folder, self.images, self.plays)
        self.service = ApiService(self.verbs, self.kubelets)
        self.faults = self.service.faults
        self.count = self.service.count
        self.watches = self.service.watches
        self.store = self.verbs.store
        self.nodes = Nodes(self.verbs, self.kubelets, self._look_at_node)
        self._actor = Actor(self.verbs, "test")
        self.kueue = QueueController(self.verbs)
        self.gateways = GatewayController(self.verbs)
        self.kserve = InferenceController(self.verbs)
        self.trainer = TrainerController(self.verbs)
        self._proxy = ServiceProxy(self.verbs, self.folder)
        self._node_controller = NodeController(self.verbs, self.kubelets)
        self.manager = Manager(self.store, self.clock, self._controllers())
        self.kubelets.wake = lambda key: self.manager.look(self.kubelets, key)
        self.kserve.look = lambda key: self.manager.look(self.kserve, key)
        self._server = ApiServer(self.service)
        self.service.access.tokens[ADMIN] = ApiUser("kubernetes-admin", ("system:masters",))
        for namespace in ("default", "kube-system"):
            self._actor.create("Namespace", "", {"metadata": {"name": namespace}})
        for number in range(nodes):
            self.nodes.add(f"node-{number + 1}")

    def _controllers(self) -> list[ClusterController]:
        return [
            NamespaceController(self.verbs),
            GarbageController(self.verbs),
            QuotaController(self.verbs),
            ClaimController(self.verbs),
            self.kueue,
            self.trainer,
            self.kserve,
            self.gateways,
            JobController(self.verbs),
            DeploymentController(self.verbs),
            ReplicaSetController(self.verbs),
            EndpointController(self.verbs),
            self._proxy,
            Scheduler(self.verbs),
            self.kubelets,
            self._node_controller,
        ]

    def __enter__(self) -> Self:
        self.manager.start()
        self._server.start()
        self.settle()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kubelets.stop()
        self._server.stop()
        self.manager.stop()
        self._proxy.stop()
        self.kubelets.join()
        if self._own:
            self._own.cleanup()
        if kind is None and self.failures:
            raise AssertionError("the double itself failed:\n" + "\n".join(self.failures))

    @property
    def failures(self) -> list[str]:
        """What the double itself failed at."""
        return [*self._server.failures, *self.manager.failures]

    @property
    def url(self) -> str:
        return self._server.url

    def settle(self) -> None:
        """Wait until the controllers have done all that is to be done now."""
        self.manager.settle()

    def advance(self, seconds: float) -> None:
        """Let time pass at once, and wait until the controllers have done what was due."""
        self.clock.advance(seconds)
        self.settle()

    def _look_at_node(self, name: str) -> None:
        self.manager.look(self._node_controller, ("", name))
        for pod in self._actor.all("Pod"):
            key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
            self.manager.look(self.kubelets, key)

    # What may be installed

    def install(self, *names: Literal["gateway-api", "kserve", "kueue", "trainer"]) -> None:
        """Add the kinds of a project, and the controllers that act on them."""
        whole = {"gateway-api": GATEWAY_API, "kserve": KSERVE, "kueue": KUEUE, "trainer": TRAINER}
        webhooks = self.verbs.admission.webhooks
        for name in names:
            for definition in whole[name]:
                self.create("CustomResourceDefinition", definition)
            self.service.definitions.refresh()
            if name == "kueue":
                self.kueue.installed = True
                webhooks.append(self.kueue.admit_job)
            elif name == "kserve":
                webhooks.append(self.kserve.refuse)
            elif name == "trainer":
                self.kueue.kinds.append("TrainJob")
                webhooks.append(self.trainer.refuse)
        self.settle()

    # Who may do what

    def token(self, user: str, *rules: AccessRule, groups: tuple[str, ...] = ()) -> str:
        """A token for a user, or a service account by its whole name, with these rules."""
        token = f"token-of-{user}"
        self.service.access.tokens[token] = ApiUser(user, groups)
        self.service.access.scripted[user] = list(rules)
        return token

    def kubeconfig(self, token: str = ADMIN, namespace: str = "default") -> Obj:
        """A configuration of clients, as a value."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "double", "cluster": {"server": self.url}}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [
                {
                    "name": "double",
                    "context": {"cluster": "double", "user": "user", "namespace": namespace},
                }
            ],
            "current-context": "double",
        }

    def write_kubeconfig(self, path: Path, token: str = ADMIN, namespace: str = "default") -> Path:
        path.write_bytes(to_json(self.kubeconfig(token, namespace)))  # JSON is YAML
        path.chmod(0o600)
        return path

    # What is in the cluster

    def create(self, kind: str, obj: Obj, namespace: str = "default") -> Obj:
        """Create an object past HTTP, so that it counts as no call."""
        whole = namespace if self.verbs.kinds.of(kind).namespaced else ""
        return self._actor.create(kind, whole, obj)

    def update(
        self, kind: str, name: str, how: Callable[[Obj], None], namespace: str = "default"
    ) -> Obj:
        """Change an object as a client would, past HTTP."""
        found = self.get(kind, name, namespace)
        assert found is not None, name
        changed = copied(found)
        how(changed)
        whole = self.verbs.kinds.of(kind)
        call = ApiCall("update", whole, namespace if whole.namespaced else "", name, body=changed)
        return self.verbs.update(call)[0]

    def delete(self, kind: str, name: str, namespace: str = "default", **options: object) -> None:
        found = self.get(kind, name, namespace)
        assert found is not None, name
        self._actor.delete(found, **options)

    def namespace(self, name: str) -> str:
        """A namespace with its service account."""
        self.create("Namespace", {"metadata": {"name": name}})
        self.settle()
        return name

    def get(self, kind: str, name: str, namespace: str = "default") -> Obj | None:
        whole = namespace if self.verbs.kinds.of(kind).namespaced else ""
        return self._actor.get(kind, whole, name)

    def all(self, kind: str, namespace: str = "") -> list[Obj]:
        return self._actor.all(kind, namespace)

    def wait_for(self, test: Any, seconds: float = 30.0) -> Any:
        """Wait for the first true value of a function of the cluster; looked at on each write."""
        import time

        until = time.monotonic() + seconds
        with self.store.written:
            while True:
                found = test()
                if found:
                    return found
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError("it did not come to pass")
                self.store.written.wait(left)
