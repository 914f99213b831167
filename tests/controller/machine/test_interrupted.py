"""What can interrupt a rollout, and what is reported of it."""

from dataclasses import dataclass, field

import pytest

from controller.machine.actions import Background, RunSmoke, WriteEnvironment
from controller.machine.core import Action, Envelope
from controller.machine.environments.environment import ObservedEnvironment
from controller.machine.environments.needs import TrafficNeed
from controller.machine.environments.promotion import CANARY, SMOKE_DEADLINE, STARTING
from controller.machine.environments.rollout import Rollout
from controller.machine.incidents import rolled_back
from deployers.protocol import ServerStatus, Traffic
from tests.controller.machine.kit import version
from tests.controller.machine.site import Site, ref, running

TOLD = "json://on-call"


@dataclass
class Trouble(Site):
    """A site whose smoke requests, servers or router keep silent."""

    smoke_ends: bool = True
    asked: int = 0
    """How often smoke requests were sent."""
    moved_away: bool = False
    """The servers are gone: none is ready, and none has an address."""
    router_is_read: bool = True
    written: list[str] = field(default_factory=list)
    """The subjects of the commits."""

    def _effect(self, action: Action) -> list[Envelope] | None:
        if isinstance(action, RunSmoke):
            self.asked += 1
            if not self.smoke_ends:
                return []
        if isinstance(action, WriteEnvironment):
            self.written.append(action.subject)
        return super()._effect(action)

    def observe(self) -> ObservedEnvironment:
        seen = super().observe()
        if not self.router_is_read:
            seen = seen.model_copy(update={"unheard": "its router hangs"})
        if not self.moved_away:
            return seen
        servers = tuple(
            ServerStatus(name=each.name, alive=False, ready=False) for each in seen.deployed.servers
        )
        return seen.model_copy(
            update={"deployed": seen.deployed.model_copy(update={"servers": servers})}
        )

    def _traffic(self, need: TrafficNeed) -> Traffic | None:
        return super()._traffic(need) if self.router_is_read else None


def rollout_of(one: Site) -> Rollout | None:
    """The rollout in progress now."""
    return one.env.rollout


def site(name: str = "production") -> Trouble:
    return Trouble({n: version(n) for n in range(1, 4)}, name=name)


def is_rolling_out(one: Trouble) -> bool:
    return one.env.rollout is not None


def canary(one: Trouble, number: int) -> Trouble:
    """The site while a canary of that version has its share."""
    one.release(number)
    while not (one.env.rollout and one.env.rollout.step >= 0):
        one.reconcile()
    return one


def test_smoke_requests_that_do_not_end_stop_the_release_and_say_so() -> None:
    one = site("staging")
    one.smoke_ends = False
    one.release(1)
    one.run(5)
    assert is_rolling_out(one)
    one.reconcile(SMOKE_DEADLINE - 10)
    assert is_rolling_out(one)
    one.run(2, 10.0)
    assert not is_rolling_out(one)
    assert one.serves is None
    assert one.alerts("firing") == ["mean/staging/gate_failed/mean-staging-1"]
    assert "The smoke requests did not finish." in one.notified[-1].incident.what


def test_smoke_requests_wait_for_a_server_that_went_away() -> None:
    one = site("staging")
    one.release(1)
    one.reconcile()
    while one.env.rollout is None or one.env.rollout.ready is None:
        one.reconcile()
    one.moved_away = True
    one.run(10)
    assert (one.asked, one.serves) == (0, None)
    rollout = rollout_of(one)
    assert rollout is not None
    assert rollout.ready is None  # it is waited for anew, until the deadline
    one.moved_away = False
    one.run(10)
    assert (one.asked, one.serves) == (1, 1)


def test_a_canary_is_given_up_when_a_person_stops_all_serving() -> None:
    one = canary(running(site(), 1), 2)
    one.edit(version=None)
    one.run(5)
    assert one.env.rollout is None
    assert one.serves is None
    assert one.env.stopped is not None
    assert one.env.stopped.version == ref(one, 2)
    assert one.env.former[0] == ref(one, 1)
    assert one.env.quarantine == ()


def test_a_canary_whose_router_cannot_be_read_is_held_at_its_deadline() -> None:
    one = running(site(), 1)
    one.router_is_read = False
    canary(one, 2)
    one.run(100)
    assert one.serves == 1
    assert one.env.rollout is not None
    assert one.env.rollout.judgement is not None
    assert one.env.rollout.judgement.canary.requests == 0
    assert one.env.rollout.judgement.window > 60
    assert one.env.rollout.unheard == "its router hangs"
    one.router_is_read = True
    one.run(1)
    assert one.env.rollout is None or not one.env.rollout.unheard


def test_a_server_that_is_down_wakes_whom_the_spec_names() -> None:
    one = running(site(), 1)
    one.never_ready = {1}
    one.run(60)
    (told,) = [each for each in one.notified if each.status == "firing"]
    assert (told.event, told.to) == ("stuck", TOLD)
    one.never_ready = set()
    one.run(5)
    end = one.notified[-1]
    assert (end.status, end.to) == ("resolved", TOLD)
    assert "production" in end.incident.title


def test_the_end_of_a_rollback_names_what_was_rolled_back() -> None:
    one = running(site(), 1)
    one.faulty = {2}
    one.release(2)
    one.run(40)
    (end,) = [each for each in one.notified if each.status == "resolved"]
    assert end.incident.title == "mean: the rollback of v2 in production is done"
    assert end.to == TOLD


def test_the_end_of_an_older_rollback_names_no_other_version() -> None:
    one = running(site(), 1)
    one.faulty = {2}
    one.release(2)
    while not one.alerts("firing"):
        one.reconcile(apply=True)
    alert = "mean/production/rollback/mean-production-99"
    one.state = one.env.model_copy(update={"alerts": (alert,)})
    one.run(20)
    (end,) = [each for each in one.notified if each.alert == alert]
    assert end.incident.title == "mean: the rollback in production is done"


@pytest.mark.parametrize(
    ("hurt", "did", "was"),
    [("14 of 412 requests failed", "rolled back", True), ("", "will not get", False)],
)
def test_a_canary_that_got_no_request_is_not_called_rolled_back(
    hurt: str, did: str, was: bool
) -> None:
    background = Background(rollout="mean-production-2", because="it passed", since=(), hurt=hurt)
    bad, now = version(2).ref, version(1).ref
    told = rolled_back("mean", "production", bad, now, "it fails", (), background)
    assert told.title == f"mean: production {did} v2"
    assert not told.needs_human
    assert (told.was, told.now) == (str(bad) if was else None, str(now))
    assert told.background == background


def test_a_version_that_cannot_be_started_is_reported_with_its_background() -> None:
    one = running(site(), 1)
    one.refuses_deploys = True
    one.release(2)
    one.run(5)
    assert one.notified[-1].incident.now == str(ref(one, 1))
    background = one.notified[-1].incident.background
    assert background is not None
    assert background.rollout == "mean-production-2"
    assert background.because == "it passed"
    assert background.beside == str(ref(one, 1))
    assert background.since[0].what == "its server was started"


def test_a_rollout_is_looked_at_as_often_as_its_phase_asks_for() -> None:
    one = running(site(), 1)
    one.never_ready = {2}
    one.release(2)
    starting = [one.reconcile().requeue_after for _ in range(5)][-1]
    one.never_ready = set()
    canary(one, 2)
    growing = one.reconcile().requeue_after
    assert (starting, growing) == (STARTING, CANARY)


def test_a_first_release_that_takes_its_time_is_deployed_once() -> None:
    one = site()
    one.never_ready = {1}
    one.release(1)
    one.run(8)
    assert one.env.rollout is not None
    assert len(one.deploys) == 1


def test_a_version_that_nobody_knows_is_refused_to_those_who_look_after_what_serves() -> None:
    one = running(site(), 1)
    one.send("release", version=9, digest="sha256:9", repository="team", why="it passed")
    one.run(3)
    assert one.serves == 1
    assert one.env.rollout is None
    told = one.notified[-1]
    assert told.event == "refused"
    assert "v9 is not known" in told.incident.what


def test_a_version_that_did_not_start_is_reported_with_what_serves_instead() -> None:
    one = running(site(), 1)
    one.never_ready = {2}
    one.release(2)
    one.run(80)
    assert one.notified[-1].event == "gate_failed"
    assert one.notified[-1].incident.now == str(ref(one, 1))


def test_the_history_tells_a_promotion_from_a_way_back() -> None:
    one = running(site(), 1, 2)
    one.send("rollback", by="ada")
    one.run(10)
    assert one.serves == 1
    assert one.written[0] == "promote v1 in production"
    assert one.written[-1] == "roll back to v1 in production"


def test_who_wants_back_to_what_is_quarantined_is_told_what_lifts_that() -> None:
    one = running(site(), 1, 2)
    one.put_on_the_list(1)
    one.run(3)
    one.send("rollback", by="ada", to=1)
    one.run(3)
    assert one.serves == 2
    incident = one.notified[-1].incident
    assert "v1 is quarantined: `headgate retry mean/production --version 1` lifts" in incident.what
    one.send("rollback", by="ada", to=2)
    one.run(3)
    assert "v2 already serves here" in one.notified[-1].incident.what


def test_a_retry_of_what_serves_is_over_at_once() -> None:
    one = running(site(), 1)
    one.faulty = {2}
    one.release(2)
    one.run(40)
    assert one.env.stopped is not None
    one.send("retry", by="ada", version=1)
    one.run(3)
    assert (is_rolling_out(one), one.serves) == (False, 1)
    assert one.state is not None
    assert "stopped" not in one.state.model_dump(exclude_none=True)
