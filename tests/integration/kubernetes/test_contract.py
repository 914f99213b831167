"""The real API server under the contract of its double, and both of them side by side."""

from collections.abc import Iterator

import httpx
import pytest

from tests.contracts.kubernetes import KubernetesApiContract
from tests.contracts.kubernetes_twins import KubernetesTwinsContract
from tests.doubles.kubernetes import ADMIN
from tests.doubles.kubernetes import Kubernetes as Double
from tests.servers.kubernetes.handle import Kubernetes

pytestmark = pytest.mark.kubernetes


class RealSite:
    """The real server as a site of the contract."""

    version = (1, 20)

    def __init__(self, cluster: Kubernetes) -> None:
        self._cluster = cluster

    def client(self) -> httpx.Client:
        return self._cluster.http()

    def compact(self) -> None:
        self._cluster.compact()


class TestTheRealServer(KubernetesApiContract):
    @pytest.fixture
    def site(self, kubernetes: Kubernetes) -> RealSite:
        return RealSite(kubernetes)


class TestBoth(KubernetesTwinsContract):
    @pytest.fixture
    def real(self, http: httpx.Client) -> httpx.Client:
        return http

    @pytest.fixture
    def double(self) -> Iterator[httpx.Client]:
        headers = {"Authorization": f"Bearer {ADMIN}"}
        with (
            Double() as double,
            httpx.Client(base_url=double.url, headers=headers, trust_env=False) as client,
        ):
            yield client
