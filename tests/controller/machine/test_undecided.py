"""A canary that could not be decided by its deadline, where the spec accepts that."""

from typing import Any

import pytest

from tests.controller.machine.kit import version
from tests.controller.machine.site import Site, running
from validators.verdict import Verdict

ACCEPTS = ("release.production.canary.on_inconclusive", "promote")


def late(**more: Any) -> Site:
    """A site whose canary comes to its deadline with two requests on each side."""
    one = running(Site({1: version(1), 2: version(2, ACCEPTS)}), 1)
    for name, value in {"load": 2, **more}.items():
        setattr(one, name, value)
    one.release(2)
    one.run(4)
    one.run(3, dt=30.0)
    return one


def test_it_is_promoted_and_every_notification_says_so_in_bold() -> None:
    one = late()
    one.run(3)
    assert one.serves == 2
    assert one.file is not None
    assert one.file.changed is not None
    assert one.file.changed.reason.startswith("**Promoted without a decision**")
    assert one.file.verdicts["canary"] is Verdict.INCONCLUSIVE
    ended = next(f.body for f in reversed(one.facts) if f.key.kind == "rollout")
    assert ended["outcome"] == "promoted"
    assert "**Promoted without a decision**" in ended["reason"]
    told = [n for n in one.notified if n.event == "promoted"][-1]
    assert "**Promoted without a decision**" in told.incident.what
    assert told.incident.title.endswith("without a decision")


def test_a_canary_without_requests_is_held_all_the_same() -> None:
    one = late(load=0)
    rollout = one.env.rollout
    assert one.serves == 1
    assert rollout is not None
    assert rollout.held is not None
    assert "an untried version is never promoted" in rollout.held


@pytest.mark.parametrize("failing", [4, 5, 6])
def test_a_canary_with_evidence_against_it_is_held_and_not_promoted(failing: int) -> None:
    one = running(Site({1: version(1), 2: version(2, ACCEPTS)}), 1)
    one.load, one.faulty = 2, {2}
    one.release(2)
    one.run(failing, dt=8.0)
    one.load = 0
    one.run(2, dt=31.0)
    rollout = one.env.rollout
    assert one.serves == 1
    assert rollout is not None
    assert rollout.held is not None
    assert "the evidence is against it" in rollout.held


def test_a_paused_canary_is_promoted_once_it_is_resumed() -> None:
    one = running(Site({1: version(1), 2: version(2, ACCEPTS)}), 1)
    one.load = 2
    one.send("pause", by="ada")
    one.release(2)
    one.run(4)
    one.run(3, dt=30.0)
    assert one.serves == 1
    assert one.env.rollout is not None
    assert one.env.rollout.held is None
    one.send("resume", by="ada")
    one.run(3)
    assert one.serves == 2
