"""What targets save in the home folder, read by an older version."""

import json

import pytest

from deployers.command_place import CommandPlace
from deployers.counting.eras import Era, Eras
from deployers.kserve.place import KServePlace
from deployers.kubernetes.gateway_place import GatewayPlace
from deployers.kubernetes.router_link import ClusterPlace
from deployers.protocol import SavedValue, Scripts

PLACE = "mean/production"


@pytest.mark.parametrize(
    "saved",
    [
        CommandPlace(scripts=Scripts(commands={}, folder="", root="")),
        KServePlace(),
        GatewayPlace(place=PLACE),
        ClusterPlace(place=PLACE, orders="http://10.0.0.1:9090", token="hush"),
    ],
)
def test_fields_of_a_newer_version_are_passed_over(saved: SavedValue) -> None:
    later = json.dumps({**saved.model_dump(mode="json"), "later": {"more": 1}})
    assert type(saved).model_validate_json(later) == saved


def test_every_place_in_the_home_is_such_a_value() -> None:
    assert {one.__name__ for one in SavedValue.__subclasses__()} == {
        one.__name__ for one in (CommandPlace, KServePlace, GatewayPlace, ClusterPlace, Era, Eras)
    }
