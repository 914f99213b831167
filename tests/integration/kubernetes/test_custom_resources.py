"""Kinds of others on the real API server, as those of Kueue and KServe are."""

from collections.abc import Iterator

import httpx
import pytest

from tests.integration.kubernetes.scene import Scene, until

pytestmark = pytest.mark.kubernetes

GROUP = "tests.headgate.dev"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SPEC = {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"queues.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": "queues", "singular": "queue", "kind": "Queue"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": SPEC, "status": {"type": "object"}},
                    }
                },
            }
        ],
    },
}


@pytest.fixture
def queues(http: httpx.Client, scene: Scene) -> Iterator[str]:
    """Where objects of a kind are that was just defined."""
    path = f"/apis/{GROUP}/v1/namespaces/{scene.name}/queues"
    http.post(CRDS, json=DEFINITION).raise_for_status()
    until(lambda: http.get(path).status_code == 200)
    yield path
    http.delete(f"{CRDS}/queues.{GROUP}").raise_for_status()
    until(lambda: http.get(path).status_code == 404)


def _apply(http: httpx.Client, path: str, size: int, by: str) -> httpx.Response:
    made = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Queue",
        "metadata": {"name": "night"},
        "spec": {"size": size},
    }
    return http.request(
        "PATCH",
        f"{path}/night",
        json=made,
        headers={"content-type": "application/apply-patch+yaml"},
        params={"fieldManager": by},
    )


def test_a_custom_resource_is_applied_as_others_are(http: httpx.Client, queues: str) -> None:
    first = _apply(http, queues, 1, "headgate")
    grown = _apply(http, queues, 2, "headgate")
    refused = _apply(http, queues, 3, "somebody")
    wrong = _apply(http, queues, 0, "headgate")

    assert (first.status_code, grown.status_code) == (201, 200)
    assert grown.json()["spec"] == {"size": 2}
    # Its generation counts changes of the spec, unlike that of a ConfigMap, which has none.
    assert (first.json()["metadata"]["generation"], grown.json()["metadata"]["generation"]) == (
        1, 2,
    )  # fmt: skip
    assert (refused.status_code, refused.json()["reason"]) == (409, "Conflict")
    assert (wrong.status_code, wrong.json()["reason"]) == (422, "Invalid")
