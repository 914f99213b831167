"""The addresses of Services on the real cluster, which kube-proxy leads to pods."""

import httpx
import pytest

from tests.integration.kubernetes.scene import Scene, until

pytestmark = pytest.mark.kubernetes

SERVES = "mkdir /tmp/www; echo $0 > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www"
"""A web server that says its name."""


def _pod(scene: Scene, name: str) -> None:
    from lightkube.models.core_v1 import Container, PodSpec
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Pod

    image = scene.kubernetes.image
    main = Container(name="main", image=image, command=["sh", "-c", SERVES, name])
    spec = PodSpec(containers=[main], terminationGracePeriodSeconds=0)
    about = ObjectMeta(name=name, namespace=scene.name, labels={"app": "web"})
    scene.client.create(Pod(metadata=about, spec=spec))


def _service(scene: Scene) -> str:
    """Make a Service for the pods; its address."""
    from lightkube.models.core_v1 import ServicePort, ServiceSpec
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Service

    spec = ServiceSpec(selector={"app": "web"}, ports=[ServicePort(port=80, targetPort=8080)])
    made = scene.client.create(
        Service(metadata=ObjectMeta(name="web", namespace=scene.name), spec=spec)
    )
    assert made.spec
    return f"http://{made.spec.clusterIP}/"


def _answers(address: str, times: int = 20) -> set[str]:
    """The names in so many answers; none of a request that was refused or not answered."""
    seen = set()
    for _ in range(times):
        try:
            seen.add(httpx.get(address, trust_env=False, timeout=5).text.strip())
        except httpx.TransportError:
            seen.add("none")
    return seen


def test_this_machine_reaches_all_pods_of_a_service_and_none_that_is_gone(scene: Scene) -> None:
    from lightkube.resources.core_v1 import Pod

    address = _service(scene)
    for name in ("one", "two"):
        _pod(scene, name)
    until(lambda: _answers(address) == {"one", "two"})
    scene.client.delete(Pod, "one", namespace=scene.name)
    until(lambda: _answers(address) == {"two"})


def test_a_pod_reaches_a_service(scene: Scene) -> None:
    address = _service(scene)
    _pod(scene, "one")
    until(lambda: _answers(address) == {"one"})
    ask = f"import urllib.request; urllib.request.urlopen({address!r}, timeout=20)"
    job = scene.ended(scene.job("python3", "-c", ask))
    assert job.status
    assert job.status.succeeded == 1
