"""The Kubernetes double under the contract that the real API server is held to."""

from collections.abc import Iterator

import httpx
import pytest

from tests.contracts.kubernetes import KubernetesApiContract
from tests.doubles.kubernetes import ADMIN, Kubernetes


class DoubleSite:
    """The double as a site of the contract."""

    version = (1, 37)

    def __init__(self, cluster: Kubernetes) -> None:
        self._cluster = cluster

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {ADMIN}"}
        return httpx.Client(base_url=self._cluster.url, headers=headers, trust_env=False)

    def compact(self) -> None:
        self._cluster.store.compact()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kubernetes]:
    with Kubernetes() as double:
        yield double


class TestTheDouble(KubernetesApiContract):
    @pytest.fixture
    def site(self, cluster: Kubernetes) -> DoubleSite:
        return DoubleSite(cluster)
