"""The environments branch is deleted, force-pushed or takes no commits: somebody is told."""

from controller.machine.actions import WriteEnvironment
from tests.controller.machine.kit import version
from tests.controller.machine.site import Site, running


def site() -> Site:
    return Site({n: version(n) for n in range(1, 6)})


def says(one: Site) -> int | None:
    return one.file.model.version if one.file and one.file.model else None


def told_of_loss(one: Site) -> list[str]:
    return [n.incident.what for n in one.notified if "/stuck/lost/" in n.alert]


def test_a_deleted_branch_is_restored_and_reported_once() -> None:
    one = running(site(), 1, 2)
    deploys = len(one.deploys)
    one.push_over(0)
    one.run(6)
    assert [c.action for c in one.commits] == [one.subjects[0]]
    assert says(one) == 2
    assert len(one.deploys) == deploys
    (what,) = told_of_loss(one)
    assert "was deleted" in what
    assert "v2" in what
    assert one.file is not None
    assert one.file.changed is not None
    assert "was deleted" in one.file.changed.reason
    assert one.env.lost_history == what


def test_a_branch_that_is_deleted_before_the_promotion_is_committed_still_gets_it() -> None:
    one = running(site(), 1)
    one.writes = "is down"
    one.release(2)
    one.run(12)
    assert one.env.write is not None
    one.push_over(0)
    one.writes = "works"
    one.run(10)
    assert (one.serves, says(one)) == (2, 2)
    assert not one.env.model_dump()["write"]
    assert len(told_of_loss(one)) == 1


def test_a_branch_that_is_deleted_repeatedly_is_restored_and_reported_each_time() -> None:
    one = running(site(), 1)
    for _ in range(3):
        one.push_over(0)
        one.run(4)
        assert says(one) == 1
    assert len(told_of_loss(one)) == 3


def test_a_force_push_that_drops_a_persons_revert_is_reported_and_the_revert_stands() -> None:
    one = running(site(), 1, 2)
    reverted = one.revert()
    one.run(6)
    assert one.serves == 1
    one.push_over(2)
    one.run(6)
    assert (one.serves, says(one)) == (1, 1)
    (what,) = told_of_loss(one)
    assert reverted[:12] in what
    assert "force-pushed" in what
    assert one.commits[1].sha[:12] in what, "where it is now"


def test_a_force_push_back_to_our_older_commit_is_reported_and_written_over() -> None:
    one = running(site(), 1, 2, 3)
    one.push_over(1)
    one.run(6)
    assert (one.serves, says(one)) == (3, 3)
    assert len(told_of_loss(one)) == 1


def test_a_force_push_with_a_persons_new_commit_is_reported_and_followed() -> None:
    one = running(site(), 1, 2)
    one.edit(version=2, pinned=True)
    one.run(3)
    one.push_over(2)
    one.edit(version=1)
    one.run(8)
    assert (one.serves, says(one)) == (1, 1)
    (what,) = told_of_loss(one)
    assert "by ada, is followed" in what


def test_a_quarantine_that_a_force_push_drops_stays_and_is_written_again() -> None:
    one = running(site(), 1)
    one.faulty = {2}
    one.release(2)
    one.run(20)
    one.push_over(1)
    one.run(6)
    assert [q.version for q in one.env.quarantine] == [2]
    assert one.file is not None
    assert one.file.is_quarantined(one.versions[2].digest)


def test_a_quarantine_is_not_lifted_by_a_persons_commit_on_a_history_that_never_listed_it() -> None:
    one = running(site(), 1)
    one.faulty = {2}
    one.release(2)
    one.run(20)
    one.push_over(1)
    one.edit(version=1)
    one.run(6)
    assert [q.version for q in one.env.quarantine] == [2]


def test_a_file_that_a_person_removed_is_written_again_with_the_reason() -> None:
    one = running(site(), 1)
    one.garble()
    one.run(6)
    assert says(one) == 1
    assert "refuse" in one.subjects[-1]


def test_a_commit_that_the_branch_does_not_take_is_reported_after_a_while_and_resolved() -> None:
    one = running(site(), 1)
    one.writes = "is down"
    one.release(2)
    one.run(20)
    assert one.alerts("firing") == []
    one.run(10, dt=60.0)
    assert one.alerts("firing") == ["mean/production/stuck/write_environment"]
    assert "has not taken a commit" in one.notified[-1].incident.what
    one.writes = "works"
    one.run(10)
    assert one.serves == 2
    assert one.alerts("firing") == one.alerts("resolved")


def test_a_loss_is_forgotten_by_status_once_something_is_promoted() -> None:
    one = running(site(), 1)
    one.push_over(0)
    one.run(4)
    assert one.env.model_dump()["lost_history"]
    running(one, 2)
    assert one.env.lost_history is None
    assert not any(isinstance(a, WriteEnvironment) for _, a in one.outbox.values())
