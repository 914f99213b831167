"""Leaving a version: rollbacks that name it, pauses that stay, and quarantines that end."""

import pytest

from tests.controller.machine.kit import version
from tests.controller.machine.site import Site, running


def site() -> Site:
    return Site({n: version(n) for n in range(1, 6)})


def quarantined(one: Site) -> list[int]:
    return [q.version for q in one.env.quarantine]


def test_a_rollback_leaves_a_freeze_as_it_is_and_a_push_is_not_promoted() -> None:
    one = running(site(), 1, 2)
    one.send("pause", by="ada", reason="until Monday")
    one.send("rollback", by="bob", leave=2)
    one.run(8)
    assert (one.serves, one.env.paused) == (1, "ada: until Monday")
    one.release(3)
    one.run(40)
    assert one.serves == 1
    one.send("resume", by="ada")
    one.run(20)
    assert one.serves == 3


@pytest.mark.parametrize("how", ["rollback", "edit", "retry", "promote"])
def test_only_resume_ends_a_freeze(how: str) -> None:
    one = running(site(), 1, 2)
    one.send("pause", by="ada")
    one.run(2)
    match how:
        case "edit":
            one.edit(version=1)
        case "retry":
            one.release(3)
            one.run(3)
            one.send("abort", by="ada")
            one.run(3)
            one.send("retry", by="ada")
        case "promote":
            one.release(3)
            one.run(4)
            one.send("promote", by="ada")
        case _:
            one.send("rollback", by="ada", leave=2)
    one.run(20)
    assert one.env.paused == "ada"


def test_of_two_people_who_roll_back_at_once_the_second_leaves_nothing() -> None:
    one = running(site(), 1, 2, 3)
    one.send("rollback", by="ada", leave=3)
    one.send("rollback", by="bob", leave=3)
    one.run(8)
    assert (one.serves, quarantined(one)) == (2, [3])


def test_a_rollback_of_what_somebody_else_has_left_is_refused_and_says_what_serves() -> None:
    one = running(site(), 1, 2, 3)
    one.send("rollback", by="ada", leave=3)
    one.run(8)
    one.send("rollback", by="bob", leave=3)
    one.run(8)
    assert (one.serves, quarantined(one)) == (2, [3])
    said = one.notified[-1]
    assert said.event == "refused"
    assert "v3 no longer serves; v2 does" in said.incident.what
    assert "--from 2" in said.incident.what


def test_two_people_who_leave_a_canary_at_once_leave_only_the_canary() -> None:
    one = running(site(), 1, 2)
    one.load = 0
    one.release(3)
    one.run(4)
    assert one.env.rollout is not None
    one.send("rollback", by="ada", leave=3)
    one.send("rollback", by="bob", leave=3)
    one.run(8)
    assert (one.serves, quarantined(one)) == (2, [3])


def test_a_rollback_asked_for_before_a_canary_began_leaves_what_was_seen_to_serve() -> None:
    one = running(site(), 1, 2)
    one.load = 0
    one.release(3)
    one.run(4)
    one.send("rollback", by="ada", leave=2)
    one.run(8)
    assert (one.serves, quarantined(one)) == (1, [2])


def test_a_rollback_of_a_canary_that_was_promoted_meanwhile_leaves_it_all_the_same() -> None:
    one = running(site(), 1, 2, 3)
    one.send("rollback", by="ada", leave=3)
    one.run(8)
    assert (one.serves, quarantined(one)) == (2, [3])


@pytest.mark.parametrize("named", [True, False])
def test_what_was_in_production_and_was_left_can_be_tried_again(named: bool) -> None:
    one = running(site(), 1, 2)
    one.send("rollback", by="ada", leave=2, reason="scores look shifted")
    one.run(8)
    assert (one.serves, quarantined(one)) == (1, [2])
    which = {"version": 2} if named else {}
    one.send("retry", by="bob", reason="the feature store was down", **which)
    one.reconcile()
    one.reconcile()
    lifting = next(c for c in one.commits if c.action and "/lift/" in c.action)
    assert lifting.file is not None
    assert lifting.file.changed is not None
    assert lifting.file.changed.by == "bob"
    assert "the feature store was down" in lifting.file.changed.reason
    assert "scores look shifted" in lifting.file.changed.reason
    assert not lifting.file.is_quarantined(one.versions[2].digest)
    one.run(20)
    assert one.serves == 2, "judged as a canary once more"
    assert one.env.quarantine == ()


def test_of_several_that_were_left_the_one_that_is_named_is_tried_again() -> None:
    one = running(site(), 1, 2, 3)
    one.send("rollback", by="ada", leave=3)
    one.run(8)
    one.send("rollback", by="ada", leave=2)
    one.run(8)
    assert (one.serves, quarantined(one)) == (1, [3, 2])
    one.send("retry", by="ada", version=3)
    one.run(20)
    assert (one.serves, quarantined(one)) == (3, [2])


def test_a_list_that_a_person_empties_in_git_is_followed_and_the_branch_says_why() -> None:
    one = running(site(), 1, 2)
    one.send("rollback", by="ada", leave=2, reason="it smells")
    one.run(8)
    commit = one.edit(version=1, lifts=True)
    one.run(8)
    assert one.env.quarantine == ()
    assert one.serves == 1
    said = one.notified[-1]
    assert "v2" in said.incident.title
    assert "quarantine" in said.incident.what
    assert one.file is not None
    assert one.file.changed is not None
    assert commit[:12] in one.file.changed.reason
    assert one.file.changed.by == "ada"
    one.release(2)
    one.run(20)
    assert one.serves == 2


def test_a_person_may_lift_and_choose_in_one_commit() -> None:
    one = running(site(), 1, 2)
    one.send("rollback", by="ada", leave=2)
    one.run(8)
    one.edit(version=2, lifts=True)
    one.run(8)
    assert one.serves == 2
    assert one.env.quarantine == ()
    assert one.file is not None
    assert one.file.model is not None
    assert one.file.model.version == 2


def test_a_revert_of_the_commit_that_quarantined_lifts_it() -> None:
    one = running(site(), 1)
    one.faulty = {2}
    one.release(2)
    one.run(20)
    assert quarantined(one) == [2]
    one.revert()
    one.run(8)
    assert one.env.quarantine == ()
    assert one.serves == 1


def test_what_was_quarantined_and_is_not_on_the_branch_yet_is_not_lifted_by_an_edit() -> None:
    one = running(site(), 1, 2)
    one.writes = "is down"
    one.send("rollback", by="ada", leave=2)
    one.run(6)
    one.edit(version=1)
    one.writes = "works"
    one.run(12)
    assert quarantined(one) == [2]
    assert one.file is not None
    assert one.file.is_quarantined(one.versions[2].digest)


def test_a_digest_that_a_person_puts_on_the_list_is_not_released() -> None:
    one = running(site(), 1)
    one.put_on_the_list(2)
    one.run(4)
    assert quarantined(one) == [2]
    one.release(2)
    one.run(12)
    assert one.serves == 1


def test_a_rollback_may_name_a_version_older_than_the_former_one() -> None:
    one = running(site(), 1, 2, 3)
    one.send("rollback", by="ada", to=1, leave=3)
    one.run(8)
    assert one.serves == 1
    assert [q.version for q in one.env.quarantine] == [3]


def test_an_edit_may_name_a_version_older_than_the_former_one() -> None:
    one = running(site(), 1, 2, 3)
    one.edit(version=1)
    one.run(8)
    assert one.serves == 1
    assert quarantined(one) == []
