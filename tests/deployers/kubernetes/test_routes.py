"""How traffic is split by an HTTPRoute, and what is believed of its status."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deployers.kubernetes.routes import (
    Split,
    Wish,
    hostname_of,
    http_route,
    is_in_force,
    refusal_of,
    split_of,
    wish_of,
)
from deployers.kubernetes.servers import ServingPlace
from deployers.kubernetes.settings import GatewaySettings

AT = ServingPlace("0123", "flight-delay/production", "serving", "headgate:1", {})
GIVEN = {
    "parents": [{"name": "public", "namespace": "edge", "section": "https"}, {"name": "inner"}],
    "hostname": "{pipeline}.{environment}.models.test",
    "counters": {"preset": "istio"},
}
SETTINGS = GatewaySettings.model_validate(GIVEN)


def route(split: Split) -> dict[str, Any]:
    return http_route(AT, split, SETTINGS, Wish(("v1", "v2"), ("no_answer", "5xx")))


def weights(split: Split) -> list[int]:
    return [one["weight"] for one in route(split)["spec"]["rules"][0]["backendRefs"]]


@given(weight=st.floats(0, 1))
def test_the_sum_of_the_weights_is_always_the_same(weight: float) -> None:
    split = Split("v1", "v2", weight)
    assert sum(weights(split)) == 10_000
    read = split_of(route(split), AT)
    assert (read.stable, read.canary) == ("v1", "v2")
    assert abs(read.weight - weight) <= 1e-4
    assert (read.weight > 0) == (weight > 0)


def test_a_server_without_a_share_is_no_backend() -> None:
    assert weights(Split("v1", "v2", 0.0)) == [10_000]
    assert weights(Split("v1")) == [10_000]
    assert weights(Split()) == []
    assert split_of(route(Split()), AT) == Split()
    assert split_of(None, AT) == Split()


def test_what_is_made_names_gateways_host_and_servers() -> None:
    made = route(Split("v1", "v2", 0.25))
    assert made["spec"]["parentRefs"] == [
        {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "name": "public",
            "namespace": "edge",
            "sectionName": "https",
        },
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "inner"},
    ]
    assert made["spec"]["hostnames"] == ["flight-delay.production.models.test"]
    assert hostname_of(SETTINGS, "Team_A/staging") == "team-a.staging.models.test"
    names = [one["name"] for one in made["spec"]["rules"][0]["backendRefs"]]
    assert names == [AT.name("v1"), AT.name("v2")]
    assert wish_of(made) == Wish(("v1", "v2"), ("no_answer", "5xx"))
    assert wish_of(None) == Wish()


def said(generation: int, **conditions: str) -> dict[str, Any]:
    """What all Gateways say of a route of generation 3."""
    made = route(Split("v1", "v2", 0.25))
    made["metadata"]["generation"] = 3
    found = [
        {
            "type": kind,
            "status": status,
            "observedGeneration": generation,
            "reason": "Why",
            "message": "so",
        }
        for kind, status in conditions.items()
    ]
    parents = [
        {"parentRef": {"name": "public", "namespace": "edge", "sectionName": "https"}},
        {"parentRef": {"name": "inner", "namespace": "serving"}},
    ]
    made["status"] = {"parents": [{**one, "conditions": found} for one in parents]}
    return made


GOOD = {"Accepted": "True", "ResolvedRefs": "True"}


@pytest.mark.parametrize(
    ("generation", "conditions", "words"),
    [
        (3, {"Accepted": "False", "ResolvedRefs": "True"}, "is not accepted"),
        (3, {"Accepted": "True", "ResolvedRefs": "False"}, "has backends that do not resolve"),
        (3, {**GOOD, "PartiallyInvalid": "True"}, "is valid in part only"),
        (3, {"Accepted": "True"}, ""),
        (2, GOOD, ""),
        (2, {"Accepted": "False"}, ""),
    ],
)
def test_a_route_is_believed_only_as_it_is_now(
    generation: int, conditions: dict[str, str], words: str
) -> None:
    assert not is_in_force(said(generation, **conditions), SETTINGS)
    refused = refusal_of(said(generation, **conditions), SETTINGS)
    name = said(3)["metadata"]["name"]
    whole = f"the HTTPRoute {name} {words} at the Gateway edge/public, https: Why: so"
    assert refused == (whole if words else "")


def test_all_gateways_have_to_accept_it() -> None:
    good = said(3, **GOOD)
    assert is_in_force(good, SETTINGS)
    del good["status"]["parents"][1]
    assert not is_in_force(good, SETTINGS)


@pytest.mark.parametrize(
    "changes",
    [
        {"hostname": "models.test"},
        {"hostname": "{pipeline}.test"},
        {"hostname": "{pipeline}.{environment}.test/path"},
        {"parents": []},
        {"split": "units"},
        {"counters": {}},
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings.model_validate({**GIVEN, **changes})
