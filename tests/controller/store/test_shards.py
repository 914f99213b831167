"""How the work is divided between controllers."""

from collections import Counter

import pytest

from controller.machine.core import Key
from controller.store.shards import SHARDS, shard_of, shares


def test_all_that_is_of_one_pipeline_is_in_one_shard() -> None:
    names = [
        Key("pipeline", "flights"),
        Key("run", "flights-12"),
        Key("environment", "flights/staging"),
        Key("environment", "flights/production"),
        Key("stall", "run/flights-12"),
        Key("stall", "environment/flights/production"),
    ]
    assert len({shard_of(key) for key in names}) == 1


def test_a_shard_never_changes_as_controllers_of_all_versions_have_to_agree() -> None:
    assert SHARDS == 64
    assert [shard_of(Key("pipeline", name)) for name in ("flights", "mean", "fraud")] == [34, 26, 5]
    assert shard_of(Key("repository", "team")) == 33


@pytest.mark.parametrize("count", [1, 2, 3, 5, 64, 70])
def test_each_has_a_fair_share_whatever_the_order_in_which_they_are_told(count: int) -> None:
    names = [f"controller-{n}" for n in range(count)]
    found = shares(names)
    assert found == shares(names[::-1])
    assert found.keys() == set(range(SHARDS))
    assert max(Counter(found.values()).values()) == -(-SHARDS // count)


def test_nobody_has_anything_where_nobody_is() -> None:
    assert shares([]) == {}


def test_when_one_of_three_leaves_hardly_more_than_its_share_moves() -> None:
    three, two = shares(["a", "b", "c"]), shares(["a", "b"])
    moved = [shard for shard in three if three[shard] != "c" and three[shard] != two[shard]]
    assert len(moved) <= SHARDS // 8
