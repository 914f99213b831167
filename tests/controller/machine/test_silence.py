"""A canary that lost its traffic while no controller watched it, and the controller is back."""

from deployers.protocol import Silence
from tests.controller.machine.kit import version
from tests.controller.machine.site import Site, running

SILENCE = Silence(since=1000.0, limit=30.0)


def canary() -> Site:
    """A site with a canary that could get the next weight a moment later."""
    one = running(Site({n: version(n) for n in range(1, 4)}), 1)
    one.release(2)
    while one.env.rollout is None or one.env.rollout.step < 0:
        one.reconcile()
    return one


def test_the_next_reconcile_restores_its_weight_and_judging_continues() -> None:
    one = canary()
    asked = len(one.deploys)
    one.silence = SILENCE
    one.reconcile()
    assert len(one.deploys) == asked + 1
    assert one.deploys[-1] == one.deploys[-2]
    one.run(20)
    assert one.serves == 2


def test_its_records_before_the_silence_are_judged_before_it_gets_traffic_again() -> None:
    one = canary()
    one.faulty, one.load = {2}, 2000
    one._live()  # while the controller was gone
    one.silence = SILENCE
    one.reconcile()
    assert one.deploys[-1].canary is None
    assert [q.version for q in one.env.quarantine] == [2]


def test_the_loss_of_its_traffic_is_reported_once_with_times_and_harm() -> None:
    one = canary()
    one._live()  # while the controller was gone
    for _ in range(5):  # the router does not give it back at the first look
        one.silence = SILENCE
        one.reconcile()
    one.run(20)
    (told,) = [n for n in one.notified if n.alert.startswith("mean/production/stuck/unwatched/")]
    assert told.incident.background is not None
    assert told.incident.background.hurt.startswith("0 of 10 requests to the canary failed")
    moments = {moment.what: moment.at for moment in told.incident.background.since}
    assert moments["the router took its traffic away"] == SILENCE.since
    assert not told.incident.needs_human


def test_a_second_silence_is_reported_as_well() -> None:
    one = canary()
    for since in (5.0, 6.0):
        one.silence = Silence(since=since, limit=30.0)
        one.reconcile()
        one.silence = Silence(since=since, limit=30.0)
        one.reconcile()
    assert len([n for n in one.notified if "unwatched" in n.alert]) == 2


def test_without_traffic_it_does_not_bake() -> None:
    one = canary()
    rollout = one.env.rollout
    assert rollout is not None
    for _ in range(100):
        one.silence = SILENCE
        one.reconcile(apply=False)
    after = one.env.rollout
    assert after is not None
    assert (after.step, after.step_since) == (rollout.step, one.now)


def test_a_silence_does_not_count_as_time_to_decide_or_to_bake() -> None:
    one = canary()
    one.load = 0
    before = one.now
    one.now += 3600.0  # the spec's deadline is a minute
    one.silence = Silence(since=before, limit=30.0)
    one.reconcile()
    one.reconcile()
    rollout = one.env.rollout
    assert rollout is not None
    assert rollout.held is None
    assert rollout.judgement is not None
    assert rollout.judgement.decision == "wait"
    assert not rollout.judgement.baked
    one.run(80)
    assert one.env.rollout is not None
    assert one.env.rollout.held is not None, "the minute goes on once it has traffic again"
