"""A state that was lost: what runs keeps serving, and the branch decides."""

import pytest

from controller.machine.core import Fact
from controller.machine.environments.environment import EnvironmentState
from tests.controller.machine.kit import fields, version
from tests.controller.machine.site import Site, running


def site(**more: object) -> Site:
    return Site({n: version(n) for n in range(1, 8)}, **more)  # type: ignore[arg-type]  # a few fields


def lost(one: Site, times: int = 4) -> Site:
    """The state is lost, and the controller looks again."""
    one.run(2)
    one.deploys.clear()
    one.facts.clear()
    one.notified.clear()
    one.lose_the_state()
    one.run(times)
    return one


def models(facts: list[Fact]) -> set[str]:
    return {fact.key.name for fact in facts if fact.key.kind == "model"}


def test_what_the_branch_says_is_adopted_and_what_serves_is_not_touched() -> None:
    one = lost(running(site(), 1, 2))
    assert one.serves == 2
    assert one.deploys == []
    assert [r.version for r in one.env.former] == [1]
    assert models(one.facts) == {"mean/1", "mean/2"}
    assert [n.status for n in one.notified] == ["info"]
    assert "was state.db lost" in one.notified[0].incident.what
    assert "Quarantined" not in one.notified[0].incident.what


def test_a_quarantine_is_read_before_anything_is_released_and_the_committer_is_told() -> None:
    one = running(site(), 1)
    one.faulty = {2}
    one.release(2)
    one.run(20)
    one.lose_the_state()
    digest = one.versions[2].digest
    asked = {"run": "mean-1", "commit": "c" * 40}
    one.send("release", version=2, digest=digest, repository="team", why="it passed", **asked)
    decision = one.reconcile()
    assert [q.version for q in one.env.quarantine] == [2]
    assert one.env.rollout is None
    (said,) = [a for a in decision.actions if a.type == "report_commit"]
    body = said.plain()
    assert (body["commit"], body["run"], body["state"]) == ("c" * 40, "mean-1", "held")
    assert "quarantined" in body["title"]
    one.run(20)
    assert one.serves == 1


def test_rollouts_are_numbered_on_so_that_no_commit_is_taken_for_an_old_one() -> None:
    one = lost(running(site(), 1, 2, 3))
    running(one, 4)
    assert one.subjects[-1] == "mean-production-4/promote"
    assert one.file is not None
    assert one.file.model is not None
    assert one.file.model.version == 4


def test_a_rollback_may_go_to_what_the_branch_remembers() -> None:
    one = lost(running(site(), 1, 2, 3))
    one.send("rollback", by="ada", leave=3)
    one.run(10)
    assert one.serves == 2


def test_a_canary_whose_state_is_lost_leaves_traffic_to_stable_and_begins_anew() -> None:
    one = running(site(), 1)
    one.load = 0
    one.release(2)
    one.run(4)
    assert one.deployed is not None
    assert one.deployed.canary == 2
    lost(one)
    assert one.deploys[-1].stable == 1
    assert one.deploys[-1].canary is None
    one.load = 20
    one.release(2)
    one.run(20)
    assert one.serves == 2


def test_a_pin_is_adopted_and_keeps_a_push_from_being_released() -> None:
    one = running(site(), 1)
    one.edit(version=1, pinned=True)
    one.run(3)
    lost(one)
    assert one.env.pinned is not None
    one.release(2)
    one.run(12)
    assert one.serves == 1


def test_a_persons_revert_that_was_followed_stays_in_force() -> None:
    one = running(site(), 1, 2)
    one.edit(version=1)
    one.run(6)
    assert one.serves == 1
    lost(one)
    assert one.serves == 1
    assert one.deploys == []


def test_a_persons_edit_that_came_meanwhile_is_followed_or_refused() -> None:
    one = running(site(), 1, 2)
    one.edit(version=9)
    one.lose_the_state()
    one.run(6)
    assert one.serves == 2
    assert "refuse" in one.subjects[-1]


def test_staging_is_adopted_and_sends_on_what_production_does_not_know() -> None:
    one = lost(running(site(name="staging"), 1, 2))
    assert one.serves == 2
    one.sent.clear()
    one.release(2)
    one.run(3)
    (handed,) = one.sent
    assert handed.to.name == "mean/production"
    assert fields(handed)["again"]


@pytest.mark.parametrize("ended", ["aborted", "reverted", "served"])
def test_a_release_that_is_sent_on_again_undoes_no_decision_of_a_person(ended: str) -> None:
    one = running(site(), 1)
    if ended == "aborted":
        one.load = 0
        one.release(2)
        one.run(4)
        one.send("abort", by="ada")
        one.run(3)
        one.load = 20
    else:
        running(one, 2)
        if ended == "reverted":
            one.edit(version=1)
            one.run(6)
    before = one.serves
    digest = one.versions[2].digest
    one.send("release", version=2, digest=digest, repository="team", why="again", again=True)
    one.run(20)
    assert one.serves == before


def unadoptable() -> Site:
    one = running(site(), 1, 2)
    one.lacking = {2: "its artifact is not there any more"}
    return lost(one)


def test_a_version_that_cannot_be_adopted_keeps_serving_and_a_person_is_asked() -> None:
    one = unadoptable()
    assert one.deploys == []
    assert one.serves is None
    assert one.alerts("firing") == ["mean/production/stuck/unknown-state"]
    assert one.notified[0].incident.needs_human
    what = one.notified[0].incident.what
    assert "its artifact is not there any more" in what
    assert "Quarantined" not in what
    assert "headgate resume mean/production" in what
    before = len(one.commits)
    one.release(3)
    one.garble()
    one.run(20)
    assert one.env.rollout is None
    assert one.deploys == []
    assert len(one.commits) == before + 1, "nothing is written over what is not known"


def test_once_the_artifact_is_back_it_is_adopted_and_what_was_deferred_is_released() -> None:
    one = unadoptable()
    one.release(3)
    one.run(5)
    one.lacking = {}
    one.send("retry", by="ada")
    one.run(20)
    assert one.serves == 3
    assert [r.version for r in one.env.former] == [2, 1]
    assert "mean/production/stuck/unknown-state" in one.alerts("resolved")


def test_a_person_may_let_the_next_release_take_its_place_without_a_gap() -> None:
    one = unadoptable()
    one.never_ready = {3}
    one.send("resume", by="ada")
    one.run(3)
    assert one.deploys == []
    one.release(3)
    one.run(5)
    assert {(d.stable, d.canary) for d in one.deploys} == {(3, None)}, "2 has it until 3 is ready"
    one.never_ready = set()
    one.run(10)
    assert one.serves == 3


def test_model_null_by_a_person_ends_unknown_servers() -> None:
    one = unadoptable()
    one.edit(version=None)
    one.run(6)
    assert one.env.unknown is None
    assert one.ready == {}


def test_servers_that_neither_state_nor_branch_know_are_left_alone_and_asked_about() -> None:
    one = running(site(), 1)
    one.commits.clear()
    one.fetched = 0
    lost(one)
    one.release(2)
    one.run(10)
    assert one.deploys == []
    assert one.alerts("firing") == ["mean/production/stuck/unknown-state"]
    assert "runs in production" in one.notified[0].incident.what


def set_back(one: Site, state: EnvironmentState) -> Site:
    """An older state.db is brought back, and the controller looks again."""
    one.run(2)
    one.lose_the_state()
    one.state = state
    one.deploys.clear()
    one.run(6)
    return one


def test_a_state_from_a_backup_continues_from_the_branch() -> None:
    one = running(site(), 1)
    before = one.env
    running(one, 2)
    set_back(one, before)
    assert one.serves == 2
    assert one.deploys == []
    assert one.env.rollouts == 2
    assert [r.version for r in one.env.former] == [1]


def test_a_state_from_a_backup_releases_nothing_that_was_quarantined_since() -> None:
    one = running(site(), 1)
    before = one.env
    one.faulty = {2}
    one.release(2)
    one.run(20)
    set_back(one, before)
    assert one.serves == 1
    one.release(2)
    one.run(20)
    assert [q.version for q in one.env.quarantine] == [2]
    assert one.serves == 1
    assert one.env.rollout is None


def test_a_state_from_a_backup_drops_its_canary_for_what_came_since() -> None:
    one = running(site(), 1)
    one.load = 0
    one.release(2)
    one.run(4)
    before = one.env
    assert before.rollout is not None
    one.send("abort", by="ada")
    one.load = 20
    one.run(3)
    running(one, 3)
    set_back(one, before)
    assert one.serves == 3
    assert one.env.rollout is None


def test_a_state_from_a_backup_forgets_the_release_that_it_deferred() -> None:
    one = running(site(), 1)
    one.edit(version=1, pinned=True)
    one.run(3)
    one.release(2)
    one.run(3)
    before = one.env
    assert before.deferred_release is not None
    one.edit(version=1)
    one.run(20)
    assert one.serves == 2
    running(one, 3)
    set_back(one, before)
    assert one.serves == 3
    assert one.env.deferred_release is None
    assert one.env.rollout is None
