"""A canary that lost its traffic because nobody watched it, seen by the controller that is back."""

from deployers.protocol import Silence
from tests.controller.machine.kit import version
from tests.controller.machine.site import Site, running

SILENCE = Silence(since=0.0, limit=30.0)


def canary() -> Site:
    """A site with a canary that could get the next weight a moment later."""
    one = running(Site({n: version(n) for n in range(1, 4)}), 1)
    one.release(2)
    while one.env.rollout is None or one.env.rollout.step < 0:
        one.turn()
    return one


def test_the_next_turn_gives_it_its_weight_again_and_judging_goes_on() -> None:
    one = canary()
    asked = len(one.deploys)
    one.silence = SILENCE
    one.turn()
    assert len(one.deploys) == asked + 1
    assert one.deploys[-1] == one.deploys[-2]
    one.run(20)
    assert one.serves == 2


def test_what_it_did_before_the_silence_is_judged_before_it_gets_anything_again() -> None:
    one = canary()
    one.faulty, one.load = {2}, 2000
    one._live()  # while the controller was gone
    one.silence = SILENCE
    one.turn()
    assert one.deploys[-1].canary is None
    assert [q.version for q in one.env.quarantine] == [2]


def test_without_traffic_it_does_not_bake() -> None:
    one = canary()
    rollout = one.env.rollout
    assert rollout is not None
    for _ in range(100):
        one.silence = SILENCE
        one.turn(apply=False)
    after = one.env.rollout
    assert after is not None
    assert (after.step, after.step_since) == (rollout.step, one.now)
