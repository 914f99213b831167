"""A real Kubernetes for the story: its steps are Jobs and its model servers Deployments of an API
server, a scheduler, a kubelet and a kube-proxy that the demo starts, and ends with itself."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from examples.demo.data import Data
from examples.demo.delivery import CREDENTIALS
from examples.demo.engine import ENVIRONMENT, NoEngine, Say, StoryEngine, keeper, training_image
from examples.demo.image import installed, make
from tests.servers.kubernetes.programs import VERSION, hindrance

if TYPE_CHECKING:
    from lightkube import Client

STEPS, SERVING = "headgate", "headgate-serving"
"""The namespaces."""
SECRET = "artifact-store"  # noqa: S105 - its name
IMAGE = "headgate-demo/headgate:1"
OURS = ("controller", "deployers", "specs", "validators")
ROOT = Path(__file__).parents[2]
NEEDED = ("httptools", "obstore", "pydantic", "starlette", "uvicorn", "uvloop")
"""The distributions that containers of Headgate's own image import."""
RATE = 80
"""Requests per second: API server, kubelet and engine need processors, too."""
FURNISHED = 60.0
"""Seconds in which a new namespace gets its account."""
_DEPLOYER = "    deployer: kubernetes\n"


class _Cluster(NamedTuple):
    kubeconfig: str
    docker: str
    machine: str
    node: str


@contextlib.contextmanager
def cluster(data: Data, say: Say) -> Iterator[StoryEngine]:
    """A cluster of one node with the images. Raises `NoEngine`."""
    check()
    with keeper() as asked:
        say(f"starting Kubernetes {VERSION}: API server, controllers, scheduler and a node")
        answer = asked("kubernetes up")
        if answer.startswith("no: "):
            raise NoEngine(f"a Kubernetes does not start here: {answer[4:]}")
        told = json.loads(answer)
        found = _Cluster(*(told[name] for name in _Cluster._fields))
        image = training_image(found.docker, data, say)
        say("making Headgate's image, for the traffic router and the inputs and outputs of steps")
        make_own_image(found.docker)
        for namespace in (STEPS, SERVING):
            with _client(found, namespace) as client:
                _furnish(client, namespace)
        yield StoryEngine(
            settings=_settings(found),
            changes=changes(image),
            machine=found.machine,
            remote=True,
            rate=RATE,
            look=f"kubectl --kubeconfig {found.kubeconfig} get deployments,services,jobs,pods -A",
            told=partial(_told, found),
        )


def check() -> None:
    """Raise `NoEngine` where no cluster can be started."""
    if (lacking := hindrance()) is not None:
        raise NoEngine(lacking)
    if os.geteuid() != 0:
        raise NoEngine("only root starts a Kubernetes: run it as root, or in a machine of your own")


def changes(image: str) -> dict[str, str]:
    """Texts of the example's spec, and what a pipeline has instead whose steps and servers are on a
    cluster, in that image."""
    return {
        ENVIRONMENT: f"environment: {{executor: kubernetes, image: {image}}}",
        "  staging:\n": f"  staging:\n{_DEPLOYER}",
        "  production:\n": f"  production:\n{_DEPLOYER}",
        "    ready: /healthz\n": (
            "    ready: /healthz\n    profile: serving\n    startup_deadline: 5m\n"
        ),
    }


def _settings(found: _Cluster) -> str:
    # So that two routers, four servers and two steps have room on two processors.
    return (
        "kubernetes:\n"
        f"  namespace: {STEPS}\n"
        f"  kubeconfig: {found.kubeconfig}\n"
        f"  image: {IMAGE}\n"
        f"  store_networks: [{found.machine}/32]\n"
        f"  serving: {{namespace: {SERVING}, router: {{cpu: 200m, memory: 384Mi}}}}\n"
        "  profiles:\n"
        f"    default: {{store_secret: {SECRET}, cpu: 400m, memory: 1Gi}}\n"
        f"    serving: {{store_secret: {SECRET}, cpu: 200m, memory: 768Mi}}\n"
    )


def make_own_image(host: str) -> str:
    """The tag of Headgate's image, made on the engine there."""
    from docker import DockerClient

    files = [
        (f"{path.relative_to(ROOT)}", path)
        for folder in OURS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file()
    ]
    client = DockerClient(base_url=host)
    try:
        make(client, IMAGE, busybox=None, python=True, packages=[*installed(*NEEDED), *files])
    finally:
        client.close()
    return IMAGE


def _client(found: _Cluster, namespace: str) -> "Client":
    from lightkube import Client, KubeConfig

    return Client(KubeConfig.from_file(found.kubeconfig), namespace=namespace, trust_env=False)


def _furnish(client: "Client", namespace: str) -> None:
    """Make the namespace, with the credentials of the artifact store."""
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Namespace, Secret, ServiceAccount

    client.create(Namespace(metadata=ObjectMeta(name=namespace)))
    client.create(Secret(metadata=ObjectMeta(name=SECRET), stringData=dict(CREDENTIALS)))
    deadline = time.monotonic() + FURNISHED
    while not any(each.secrets for each in client.list(ServiceAccount)):  # pods need one
        if time.monotonic() > deadline:
            raise NoEngine(f"the namespace {namespace} gets no account within {FURNISHED:.0f} s")
        time.sleep(0.1)


def _told(found: _Cluster) -> str:
    """How many pods there were, by the cluster's own events."""
    jobs, of_jobs = _made(found, STEPS, "Job")
    versions, of_versions = _made(found, SERVING, "ReplicaSet")
    return (
        f"Kubernetes {VERSION}: {jobs} Jobs with {of_jobs} pods, {versions} Deployments of servers "
        f"and routers with {of_versions}"
    )


def _made(found: _Cluster, namespace: str, kind: str) -> tuple[int, int]:
    """The objects that made pods, and these pods."""
    from lightkube.resources.core_v1 import Event

    with _client(found, namespace) as client:
        events = [each for each in client.list(Event) if each.reason == "SuccessfulCreate"]
    made = [e.involvedObject.name for e in events if e.involvedObject.kind == kind]
    return len(set(made)), len(made)
