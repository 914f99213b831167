"""The contract of a Kubernetes API server, as far as Headgate relies on it.

It runs over the double and over a real server, so it needs no controller and no node. A server's
tests subclass `KubernetesApiContract` and provide the fixture `site`. Where releases differ, the
double follows 1.37, and the test is for those from which it holds.
"""

import uuid
from collections.abc import Iterator

import pytest

from tests.contracts.kubernetes_caller import ApiCaller, KubernetesSite, ok
from tests.contracts.kubernetes_deleting import DeletingContract
from tests.contracts.kubernetes_patching import PatchingContract
from tests.contracts.kubernetes_reading import ReadingContract
from tests.contracts.kubernetes_writing import WritingContract


class KubernetesApiContract(WritingContract, PatchingContract, ReadingContract, DeletingContract):
    """What any API server does."""

    @pytest.fixture
    def site(self) -> KubernetesSite:
        raise NotImplementedError

    @pytest.fixture
    def api(self, site: KubernetesSite) -> Iterator[ApiCaller]:
        """A namespace of the test's own."""
        name = f"contract-{uuid.uuid4().hex[:10]}"
        with site.client() as http:
            ok(http.post("/api/v1/namespaces", json={"metadata": {"name": name}}), 201)
            api = ApiCaller(http, name)
            made = api.create("serviceaccounts", {"metadata": {"name": "default"}})
            assert made.status_code in (201, 409)  # a controller may have been faster
            yield api
            http.delete(f"/api/v1/namespaces/{name}")
