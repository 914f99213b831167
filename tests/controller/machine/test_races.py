"""Whatever comes between a decision and its commit: the file and what runs agree in the end."""

import pytest

from controller.machine.actions import WriteEnvironment
from tests.controller.machine.kit import version
from tests.controller.machine.site import Site, ref, running


def site(**more: object) -> Site:
    return Site({n: version(n) for n in range(1, 6)}, **more)  # type: ignore[arg-type]  # a few fields


def decided(number: int = 2, after: int = 1) -> Site:
    """A site where that version is decided, and git does not answer."""
    one = running(site(), after)
    one.writes = "is down"
    one.release(number)
    one.run(12)
    assert one.env.rollout is not None
    assert one.env.rollout.decided is not None
    return one


def agrees(one: Site) -> None:
    """The file says what serves, and nothing is left to write or to roll out."""
    one.run(20)
    assert one.env.rollout is None
    assert one.file is not None
    said = one.file.model.version if one.file.model else None
    assert said == one.serves
    assert one.deployed is not None
    assert (one.deployed.stable, one.deployed.canary) == (one.serves, None)
    assert one.env.write is None
    assert not any(isinstance(a, WriteEnvironment) for _, a in one.outbox.values())


def test_a_promotion_that_was_superseded_before_its_commit_is_never_committed() -> None:
    one = decided(2)
    one.release(3)
    one.reconcile()
    one.writes = "works"
    agrees(one)
    assert one.serves == 3
    assert "mean-production-2/promote" not in one.subjects


@pytest.mark.parametrize("name", ["staging", "production"])
def test_a_release_of_what_serves_already_stops_the_newer_one_in_progress(name: str) -> None:
    one = running(site(name=name), 1)
    one.never_ready = {2}
    one.release(2)
    one.run(3)
    one.release(1)
    decision = one.reconcile()
    assert decision.state.rollout is None
    one.never_ready = set()
    agrees(one)
    assert one.serves == 1
    assert one.env.quarantine == ()
    assert one.facts[-1].body["outcome"] == "superseded"


def test_a_release_of_what_serves_already_withdraws_a_promotion_that_waits_for_git() -> None:
    one = decided(2)
    one.release(1)
    one.reconcile()
    one.writes = "works"
    agrees(one)
    assert one.serves == 1
    assert one.subjects == ["mean-production-1/promote"]


def test_a_promotion_that_was_aborted_before_its_commit_is_never_committed() -> None:
    one = decided(2)
    one.send("abort", by="ada")
    one.reconcile()
    one.writes = "works"
    agrees(one)
    assert one.serves == 1
    assert one.subjects == ["mean-production-1/promote"]


def test_a_commit_that_reached_git_before_the_abort_is_told_first_and_stands() -> None:
    one = decided(2)
    one.send("abort", by="ada")  # waits in the inbox while the write is applied
    one.writes = "works"
    one.apply()
    agrees(one)
    assert one.serves == 2


@pytest.mark.parametrize("verb", ["abort", "release"])
def test_a_commit_that_reached_git_unnoticed_and_was_withdrawn_is_taken_back(verb: str) -> None:
    one = decided(2)
    one.writes = "pushes and dies"
    one.apply()
    one.writes = "is down"
    if verb == "abort":
        one.send("abort", by="ada")
    else:
        one.never_ready = {3}
        one.release(3)
    one.reconcile()
    one.writes = "works"
    one.reconcile()
    assert one.serves == 1
    assert one.file is not None
    one.run(80)
    agrees(one)
    assert one.serves == 1


@pytest.mark.parametrize("reached_git", [False, True])
def test_a_canary_that_turns_bad_while_git_is_down_is_rolled_back(reached_git: bool) -> None:
    one = decided(2)
    if reached_git:
        one.writes = "pushes and dies"
        one.apply()
        one.writes = "is down"
    one.faulty = {2}
    one.run(10)
    assert one.env.rollout is None
    assert one.deployed is not None
    assert (one.deployed.stable, one.deployed.canary) == (1, None)
    one.writes = "works"
    agrees(one)
    assert one.serves == 1
    assert [q.version for q in one.env.quarantine] == [2]
    assert ("mean-production-2/promote" in one.subjects) is reached_git
    assert one.file is not None
    assert one.file.is_quarantined(one.versions[2].digest)


def test_a_crash_between_the_push_and_its_acknowledgement_promotes_once() -> None:
    one = decided(2)
    one.writes = "pushes and dies"
    one.apply()
    one.writes = "works"
    agrees(one)
    assert one.serves == 2
    assert one.subjects.count("mean-production-2/promote") == 1


def test_a_revert_of_a_promotion_that_nobody_knew_was_written_wins_in_the_end() -> None:
    one = decided(2)
    one.writes = "pushes and dies"
    one.apply()
    one.revert()
    one.writes = "works"
    agrees(one)
    assert one.serves == 1


def test_a_broken_file_while_a_promotion_waits_for_git_does_not_lose_the_promotion() -> None:
    one = decided(2)
    one.garble()
    one.reconcile()
    one.writes = "works"
    agrees(one)
    assert one.serves == 2
    assert [s.split("/")[-2] for s in one.subjects[-2:]] == ["refuse", "mean-production-2"]


def test_a_broken_file_on_top_of_an_unnoticed_promotion_ends_with_the_file_saying_what_serves() -> (
    None
):
    one = decided(2)
    one.writes = "pushes and dies"
    one.apply()
    one.garble()
    one.writes = "works"
    agrees(one)


def test_another_refusal_that_waits_for_git_survives_the_end_of_a_rollout() -> None:
    one = running(site(), 1)
    one.writes = "is down"
    one.garble()
    one.reconcile()
    one.load = 0
    one.release(2)
    one.run(4)
    one.send("abort", by="ada")
    one.run(4)
    one.writes = "works"
    agrees(one)
    assert "refuse" in one.subjects[-1]


def test_a_pending_commit_does_not_overwrite_a_persons_newer_edit() -> None:
    one = running(site(), 1, 2)
    one.writes = "is down"
    one.send("rollback", by="ada", reason="it smells")
    one.run(6)
    assert one.serves == 1
    assert one.env.write is not None
    one.edit(version=None)
    one.run(3)
    one.writes = "works"
    agrees(one)
    assert one.env.stable is None
    assert one.subjects[-1] == "by hand"


def test_an_aborted_rollout_that_a_person_had_merged_is_taken_out_of_the_file() -> None:
    one = running(site(), 1)
    one.load = 0
    one.release(2)
    one.run(4)
    one.edit(version=2)
    one.run(2)
    one.send("abort", by="ada")
    agrees(one)
    assert one.serves == 1


def test_an_edit_that_is_taken_back_while_its_server_starts_is_not_carried_out() -> None:
    one = running(site(), 1, 2)
    one.never_ready = {1}
    one.edit(version=1)
    one.run(3)
    assert one.env.rollout is not None
    one.edit(version=2)
    one.reconcile()
    one.never_ready = set()
    agrees(one)
    assert one.serves == 2


def test_a_pin_stops_the_release_in_progress() -> None:
    one = running(site(), 1)
    one.load = 0
    one.release(2)
    one.run(4)
    one.edit(version=1, pinned=True)
    one.load = 20
    agrees(one)
    assert one.serves == 1


def test_a_pin_that_comes_with_the_approval_is_kept_by_the_promotion() -> None:
    one = decided(2)
    one.edit(version=2, pinned=True)
    one.reconcile()
    one.writes = "works"
    agrees(one)
    assert one.serves == 2
    assert one.file is not None
    assert one.file.pinned


def test_what_was_released_while_pinned_is_released_once_unpinned() -> None:
    one = running(site(), 1)
    one.edit(version=1, pinned=True)
    one.reconcile()
    one.release(2)
    one.release(3)
    one.run(5)
    assert one.serves == 1
    one.edit(version=1)
    agrees(one)
    assert one.serves == 3
    assert one.env.rollouts == 2


def test_retry_does_not_go_around_a_pin() -> None:
    one = running(site(), 1)
    one.load = 0
    one.release(2)
    one.run(4)
    one.send("abort", by="ada")
    one.edit(version=1, pinned=True)
    one.run(3)
    one.load = 20
    one.send("retry", by="ada")
    agrees(one)
    assert one.serves == 1


def test_a_rollback_that_is_requested_twice_happens_once() -> None:
    one = running(site(), 1, 2, 3)
    one.never_ready = {2}
    one.send("rollback", by="ada")
    one.reconcile()
    one.send("rollback", by="ada")
    one.reconcile()
    one.never_ready = set()
    agrees(one)
    assert one.serves == 2
    assert [q.version for q in one.env.quarantine] == [3]


def test_a_second_rollback_goes_further_back_past_what_is_quarantined() -> None:
    one = running(site(), 1, 2, 3)
    one.send("rollback", by="ada")
    agrees(one)
    assert one.serves == 2
    one.send("rollback", by="ada")
    agrees(one)
    assert one.serves == 1
    assert [q.version for q in one.env.quarantine] == [3, 2]


def test_a_rollback_while_a_release_waits_for_approval_brings_back_the_former_version() -> None:
    one = running(site(), 1, 2)
    one.versions = {
        **one.versions,
        3: version(3, ("release.production.approval", "pull-request")),
    }
    one.release(3)
    one.run(3)
    assert one.env.rollout is not None
    assert one.env.rollout.deployed is None
    one.send("rollback", by="ada")
    agrees(one)
    assert one.serves == 1
    assert [q.version for q in one.env.quarantine] == [2]


def test_a_release_waits_until_a_rollback_is_done_and_does_not_undo_it() -> None:
    one = running(site(), 1, 2)
    one.never_ready = {1}
    one.send("rollback", by="ada")
    one.reconcile()
    one.release(3)
    one.run(3)
    assert one.env.rollout is not None
    assert one.env.rollout.version == ref(one, 1)
    one.never_ready = set()
    one.run(6)
    assert 1 in [r.version for r in one.env.former] or one.serves == 1
    agrees(one)
    assert one.serves == 3


def test_a_rollback_to_a_version_that_is_gone_quarantines_nothing() -> None:
    one = running(site(), 1, 2)
    one.versions = {2: one.versions[2]}
    one.send("rollback", by="ada")
    agrees(one)
    assert one.serves == 2
    assert one.env.quarantine == ()


def test_retry_of_a_version_that_serves_by_now_starts_nothing() -> None:
    one = running(site(), 1)
    one.load = 0
    one.release(2)
    one.run(4)
    one.send("abort", by="ada")
    one.edit(version=2)
    one.run(6)
    assert one.serves == 2
    one.send("retry", by="ada")
    one.reconcile()
    assert one.env.rollout is None


def test_a_retried_edit_is_written_to_the_branch_again() -> None:
    one = running(site(), 1, 2)
    one.never_ready = {1}
    one.edit(version=1)
    one.run(80)
    assert "refuse" in one.subjects[-1]
    one.never_ready = set()
    one.send("retry", by="ada")
    agrees(one)
    assert one.serves == 1
