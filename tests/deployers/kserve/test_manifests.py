"""How things are named, what is a whole percent, and when a service is as it was applied."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.kserve.manifests import is_kept, percent_of
from deployers.kserve.naming import predictor_name, service_name, workload_name
from deployers.kserve.predictors import model_address, predictor
from specs.failures import NeedsHuman
from tests.deployers.kserve.scene import server
from tests.deployers.kubernetes.builders import AT

PLACES = st.text(min_size=1, max_size=80)


@given(PLACES, st.text(min_size=1, max_size=80))
def test_every_name_is_one_that_kserve_and_dns_take(place: str, name: str) -> None:
    service = service_name("owner", place)
    workload = workload_name(service, predictor_name(name))
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", workload)
    assert service[0].isalpha()
    assert len(f"{service}-predictor-headgate-serving") <= 63  # KServe's name of a host


def test_names_tell_owners_places_and_servers_apart() -> None:
    names = {
        service_name(owner, place)
        for owner in ("a", "b")
        for place in ("x/production", "x/staging", "x-production", "X/production")
    }
    assert len(names) == 8
    assert predictor_name("flights-production-v3-0f5a8c21d9e4") == "v3-0f5a8c21d9e4"
    assert predictor_name("mine") != predictor_name("yours")


@pytest.mark.parametrize(("weight", "percent"), [(0, 0), (0.05, 5), (0.29, 29), (1, 100)])
def test_whole_percents_are_taken(weight: float, percent: int) -> None:
    assert percent_of(weight) == percent


def test_a_part_of_a_percent_is_not() -> None:
    with pytest.raises(NeedsHuman, match=r"2\.5% is none"):
        percent_of(0.025)


APPLIED = {
    "predictor": {"name": "v1", "env": [{"name": "A", "value": "1"}], "canaryTrafficPercent": 5},
    "canary": [],
}


@pytest.mark.parametrize(
    ("live", "kept"),
    [
        (APPLIED, True),
        ({**APPLIED, "explainer": {}}, True),
        ({"predictor": {**APPLIED["predictor"], "timeout": 60}}, True),  # type: ignore[dict-item]
        ({**APPLIED, "canary": [{"trafficPercent": 1}]}, False),
        ({**APPLIED, "predictor": {"name": "v1"}}, False),
        ({**APPLIED, "predictor": {**APPLIED["predictor"], "name": "v2"}}, False),  # type: ignore[dict-item]
    ],
)
def test_what_was_applied_is_kept_whatever_others_add(live: object, kept: bool) -> None:
    assert is_kept(APPLIED, live) is kept


def test_variables_that_others_add_do_not_count_and_those_they_change_do() -> None:
    mine = [{"name": "A", "value": "1"}]
    assert is_kept(mine, [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}])
    assert not is_kept(mine, [{"name": "A", "value": "2"}])


def test_the_annotations_of_a_predictor_do_not_depend_on_its_role() -> None:
    """KServe copies them to the pods: if a promotion changed them, it would restart the pods."""
    made = predictor(server(1), AT, "Standard")
    assert made.whole(name="v1", minReplicas=1) == {
        **made.whole(name="v1", minReplicas=3),
        "minReplicas": 1,
    }
    about = made.whole()["annotations"]
    assert about["headgate.dev/server"] == server(1).name


def test_what_cannot_be_served_is_told_with_its_fix() -> None:
    with pytest.raises(NeedsHuman, match="fetches no models from az://"):
        model_address("az://ml/artifacts/plan")
    with pytest.raises(NeedsHuman, match="pods reach no artifact store"):
        predictor(server(1, shipment=None), AT, "Standard")
    elsewhere = AT._replace(profiles={})
    with pytest.raises(NeedsHuman, match="no profile gpu"):
        predictor(server(1, profile="gpu"), elsewhere, "Knative")
