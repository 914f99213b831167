"""Strategies other than a canary: all traffic at once, with and without a former server."""

from typing import Any

import pytest

from tests.controller.machine.kit import version
from tests.controller.machine.site import Site, running

DIRECT = (("release.production.canary", None), ("release.production.strategy", "direct"))
BLUE_GREEN: tuple[tuple[str, Any], ...] = (
    ("release.production.canary", None),
    ("release.production.strategy", "blue-green"),
    ("release.production.blue_green", {"keep_for": "1m"}),
)


def site(how: tuple[tuple[str, Any], ...], **more: Any) -> Site:
    return Site({n: version(n, *how) for n in range(1, 5)}, **more)


def released(one: Site, number: int) -> Site:
    """The site up to where that version serves."""
    one.release(number)
    for _ in range(10):
        one.reconcile()
        if one.serves == number:
            break
    one.reconcile()
    return one


def test_direct_sends_all_traffic_at_once_and_ends_the_former_server() -> None:
    one = released(running(site(DIRECT), 1), 2)
    assert one.serves == 2
    assert {deploy.canary_weight for deploy in one.deploys} == {0.0}
    assert one.deployed is not None
    assert (one.deployed.stable, one.deployed.canary) == (2, None)
    assert one.ready.keys() == {2}


def test_direct_waits_until_the_server_is_ready_and_gives_up_on_one_that_never_is() -> None:
    one = running(site(DIRECT), 1)
    one.never_ready = {2}
    one.release(2)
    one.run(3)
    assert one.deployed is not None
    assert (one.deployed.stable, one.deployed.canary, one.serves) == (1, 2, 1)
    one.run(5, dt=30.0)
    assert one.serves == 1
    assert [q.version for q in one.env.quarantine] == [2]


def test_direct_waits_for_its_approval_like_any_release() -> None:
    one = running(site(DIRECT), 1)
    asks = version(2, *DIRECT, ("release.production.approval", "pull-request"))
    one.versions = {**one.versions, 2: asks}
    one.release(2)
    one.run(5)
    assert one.serves == 1
    one.send("approve", by="ada")
    one.run(5)
    assert one.serves == 2


def test_blue_green_keeps_the_former_server_up_for_a_while_without_traffic() -> None:
    one = released(running(site(BLUE_GREEN), 1), 2)
    assert one.deployed is not None
    assert (one.deployed.stable, one.deployed.canary) == (2, 1)
    assert one.deployed.canary_weight == 0.0
    assert one.ready == {1: True, 2: True}
    one.run(3, dt=30.0)
    assert one.env.warm is None
    assert one.ready.keys() == {2}
    assert one.serves == 2


def test_going_back_to_what_is_kept_starts_no_server() -> None:
    one = released(running(site(BLUE_GREEN), 1), 2)
    one.never_ready = {1}  # were it started anew, it would not come up
    one.send("rollback", by="ada", leave=2)
    was_ready = dict(one.ready)
    one.never_ready = set()
    one.run(3)
    assert was_ready[1]
    assert one.serves == 1
    one.run(3)
    assert one.ready.keys() == {1}
    assert [q.version for q in one.env.quarantine] == [2]


def test_a_version_that_fails_after_the_switch_is_switched_back_and_reported() -> None:
    one = running(site(BLUE_GREEN), 1)
    one.faulty = {2}
    released(one, 2)
    one.run(6)
    assert one.serves == 1
    assert [q.version for q in one.env.quarantine] == [2]
    told = next(n for n in one.notified if n.event == "rollback" and n.status == "firing")
    assert told.incident.title == "mean: production rolled back v2"
    assert "requests failed" in told.incident.what
    assert "v1" in (told.incident.now or "")
    assert told.incident.background is not None
    assert "requests failed" in told.incident.background.hurt
    origin = told.incident.background.origin
    assert origin is not None, "on-call reads who made the version that was left"
    assert origin.commit == one.versions[2].source.commit
    assert "mean/production/rollback/mean-production-2" in one.alerts("resolved")
    assert one.file is not None
    assert one.file.changed is not None
    assert "requests failed" in one.file.changed.reason
    assert one.file.model is not None
    assert one.file.model.version == 1


def test_one_that_fails_as_the_former_did_is_kept() -> None:
    one = running(site(BLUE_GREEN, faulty={1, 2}), 1)
    released(one, 2)
    one.run(20)
    assert one.serves == 2
    assert one.env.quarantine == ()


def test_failures_before_the_switch_do_not_count_against_the_new_version() -> None:
    one = running(site(BLUE_GREEN), 1)
    one.faulty = {1}
    released(one, 2)
    one.faulty = {1}
    one.run(10)
    assert one.serves == 2
    warm = one.env.warm
    assert warm is not None
    assert warm.watched is not None
    assert warm.watched.failed == 0
    assert warm.watched.requests > 0


def test_nothing_is_watched_where_the_spec_says_so() -> None:
    silent = {"keep_for": "1m", "errors": None}
    one = running(site((*BLUE_GREEN, ("release.production.blue_green", silent))), 1)
    one.faulty = {2}
    released(one, 2)
    one.run(10)
    assert one.serves == 2


def test_the_next_release_ends_the_former_server() -> None:
    one = released(running(site(BLUE_GREEN), 1), 2)
    released(one, 3)
    assert one.serves == 3
    assert one.env.warm is not None
    assert one.env.warm.version.version == 2
    assert one.ready.keys() == {2, 3}


@pytest.mark.parametrize("verb", ["null", "quarantine"])
def test_no_server_is_kept_of_a_version_that_a_person_left(verb: str) -> None:
    one = released(running(site(BLUE_GREEN), 1), 2)
    if verb == "null":
        one.edit(version=None)
    else:
        one.put_on_the_list(1)
    one.run(3)
    assert one.env.warm is None
    assert one.deployed is not None
    assert one.deployed.canary is None


def test_a_lost_state_continues_without_the_former_server() -> None:
    one = released(running(site(BLUE_GREEN), 1), 2)
    one.lose_the_state()
    one.release(2)
    one.run(5)
    assert one.serves == 2
    assert one.deployed is not None
    assert one.deployed.canary is None


def test_a_first_release_keeps_no_former_server() -> None:
    one = running(site(BLUE_GREEN), 1)
    assert one.env.warm is None


def test_staging_switches_without_a_way_back() -> None:
    one = released(running(site(BLUE_GREEN, name="staging"), 1), 2)
    assert one.serves == 2
    assert one.env.warm is None
