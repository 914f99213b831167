"""What targets save in the home folder, read by an older version."""

import json
from pathlib import Path

import pytest

from deployers.command_place import CommandPlace
from deployers.counting.eras import Era, Eras
from deployers.kserve.place import KServePlace
from deployers.kubernetes.gateway_place import GatewayPlace
from deployers.kubernetes.router_link import ClusterPlace
from deployers.protocol import SavedValue, Scripts
from deployers.saved_place import SavedPlace

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
    assert {one.__name__ for one in SavedPlace.__subclasses__()} == {
        one.__name__ for one in (CommandPlace, KServePlace, GatewayPlace, ClusterPlace)
    }
    assert issubclass(Era, SavedValue)
    assert issubclass(Eras, SavedValue)


def test_what_is_saved_of_a_place_is_its_owners_alone_and_can_be_forgotten(tmp_path: Path) -> None:
    saved = GatewayPlace(place=PLACE, address="http://a.test")
    assert GatewayPlace.load(tmp_path, PLACE) is None
    saved.save(tmp_path, PLACE)
    (file,) = (tmp_path / "gateway").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert GatewayPlace.load(tmp_path, PLACE) == saved
    GatewayPlace.forget(tmp_path, PLACE)
    assert GatewayPlace.load(tmp_path, PLACE) is None
