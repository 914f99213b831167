"""The manifests of a router on a cluster."""

import base64
import json
from typing import Any

import kubernetes_validate
import pytest

from deployers.control import Backend, Routing
from deployers.kubernetes.routers import (
    caller_name,
    caller_service,
    first_routing,
    order_service,
    router_deployment,
    token_secret,
)
from deployers.kubernetes.servers import deployment, service
from deployers.kubernetes.settings import RouterPod
from specs.failures import NeedsHuman
from tests.deployers.kubernetes.builders import AT, SERVER

CANARY = Backend(name="v2", host="10.96.0.8", port=8080)
ROUTING = Routing(stable=CANARY.model_copy(update={"name": "v1"}), canary=CANARY, weight=0.25)


def selects(service: dict[str, Any], labels: dict[str, str]) -> bool:
    return bool(service["spec"]["selector"].items() <= labels.items())


def test_every_manifest_is_valid_in_strict_form() -> None:
    made = [
        router_deployment(AT, RouterPod()),
        router_deployment(AT, RouterPod(profile="gpu")),
        caller_service(AT, None),
        order_service(AT),
        token_secret(AT, "t"),
        first_routing(AT, ROUTING),
    ]
    for manifest in made:
        for version in ("1.29", "1.33", "1.37"):
            kubernetes_validate.validate(manifest, version, strict=True)


def test_callers_find_it_by_the_name_of_the_place_and_reach_no_server_and_no_orders() -> None:
    callers, orders = caller_service(AT, 9000), order_service(AT)
    assert callers["metadata"]["name"] == "flight-delay-production"
    (port,) = callers["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (9000, 8080)
    router = router_deployment(AT, RouterPod())["spec"]["template"]["metadata"]["labels"]
    server = deployment(SERVER, AT)["spec"]["template"]["metadata"]["labels"]
    assert selects(callers, router)
    assert selects(orders, router)
    assert not selects(callers, server)
    assert selects(service(SERVER, AT), server)
    assert not selects(service(SERVER, AT), router)


@pytest.mark.parametrize("place", ["Flights/production", "4x/staging", f"{'x' * 60}/staging"])
def test_a_place_that_is_no_name_for_a_service_gets_one(place: str) -> None:
    name = caller_name(place)
    assert name.startswith("hg-")
    assert len(name) <= 63
    assert name == name.lower()


def test_a_new_pod_begins_with_the_last_routing_and_no_traffic_for_the_canary() -> None:
    (text,) = first_routing(AT, ROUTING)["data"].values()
    begun = Routing.model_validate_json(text)
    assert (begun.stable, begun.canary) == (ROUTING.stable, ROUTING.canary)
    assert (begun.weight, begun.port) == (0.0, 8080)


def test_the_token_is_in_the_secret_alone() -> None:
    (data,) = token_secret(AT, "t0ken")["data"].values()
    assert base64.b64decode(data) == b"t0ken"
    made = router_deployment(AT, RouterPod())
    assert "t0ken" not in json.dumps(made)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each for each in container["env"]}
    assert "secretKeyRef" in variables["HEADGATE_ROUTER_TOKEN"]["valueFrom"]


def test_there_is_one_pod_that_leaves_a_lost_node_soon() -> None:
    spec = router_deployment(AT, RouterPod(profile="gpu"))["spec"]
    pod = spec["template"]["spec"]
    assert spec["replicas"] == 1
    assert [each.get("tolerationSeconds") for each in pod["tolerations"]] == [None, 30, 30]
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert pod["automountServiceAccountToken"] is False
    with pytest.raises(NeedsHuman, match="none-such, which is not in"):
        router_deployment(AT, RouterPod(profile="none-such"))
