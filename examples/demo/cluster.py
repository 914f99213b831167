"""A real Kubernetes for the story: its steps are Jobs of an API server, a scheduler and a kubelet
that the demo starts, and ends with itself."""

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
from examples.demo.engine import NoEngine, Say, StoryEngine, keeper, training_image
from examples.demo.image import installed, make
from tests.servers.kubernetes.programs import VERSION, hindrance

if TYPE_CHECKING:
    from lightkube import Client

NAMESPACE = "headgate"
SECRET = "artifact-store"  # noqa: S105 - its name
IMAGE = "headgate-demo/headgate:1"
OURS = ("controller", "deployers", "specs", "validators")
ROOT = Path(__file__).parents[2]
NEEDED = ("obstore", "pydantic")
"""The distributions that the containers of Headgate's own image import."""
FURNISHED = 60.0
"""Seconds in which a new namespace gets its account."""
_READS = ("    reads: [train.py, flights.py]\n", "    reads: [evaluate.py, flights.py]\n")
"""Of the steps in the spec."""


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
        say("making Headgate's image, which fetches the inputs and stores the outputs of steps")
        _make_own_image(found.docker)
        with _client(found) as client:
            _furnish(client)
        yield StoryEngine(
            settings=_settings(found),
            changes={
                reads: f"    executor: kubernetes\n    image: {image}\n{reads}" for reads in _READS
            },
            machine=found.machine,
            remote=True,
            look=f"kubectl --kubeconfig {found.kubeconfig} -n {NAMESPACE} get jobs,pods",
            told=partial(_told, found),
        )


def check() -> None:
    """Raise `NoEngine` where no cluster can be started."""
    if (lacking := hindrance()) is not None:
        raise NoEngine(lacking)
    if os.geteuid() != 0:
        raise NoEngine("only root starts a Kubernetes: run it as root, or in a machine of your own")


def _settings(found: _Cluster) -> str:
    return (
        "kubernetes:\n"
        f"  namespace: {NAMESPACE}\n"
        f"  kubeconfig: {found.kubeconfig}\n"
        f"  image: {IMAGE}\n"
        f"  store_networks: [{found.machine}/32]\n"
        f"  profiles: {{default: {{store_secret: {SECRET}, cpu: 500m, memory: 2Gi}}}}\n"
    )


def _make_own_image(host: str) -> None:
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


def _client(found: _Cluster) -> "Client":
    from lightkube import Client, KubeConfig

    return Client(KubeConfig.from_file(found.kubeconfig), namespace=NAMESPACE, trust_env=False)


def _furnish(client: "Client") -> None:
    """Make the namespace, with the credentials of the artifact store."""
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Namespace, Secret, ServiceAccount

    client.create(Namespace(metadata=ObjectMeta(name=NAMESPACE)))
    client.create(Secret(metadata=ObjectMeta(name=SECRET), stringData=dict(CREDENTIALS)))
    deadline = time.monotonic() + FURNISHED
    while not any(each.secrets for each in client.list(ServiceAccount)):  # pods need one
        if time.monotonic() > deadline:
            raise NoEngine(f"the namespace {NAMESPACE} gets no account within {FURNISHED:.0f} s")
        time.sleep(0.1)


def _told(found: _Cluster) -> str:
    """How many Jobs and pods there were, by the cluster's own events."""
    from lightkube.resources.core_v1 import Event

    with _client(found) as client:
        made = [e.involvedObject.name for e in client.list(Event) if e.reason == "SuccessfulCreate"]
    return f"{len(set(made))} Jobs, {len(made)} pods on {found.node} of Kubernetes {VERSION}"
