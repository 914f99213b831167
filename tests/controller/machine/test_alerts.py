"""Who is woken, how often, and when it is resolved."""

from typing import Any

import pytest

from controller.machine.actions import Deploy, Notify
from controller.machine.core import parsed
from controller.machine.environments.alerts import watch_stable
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    ObservedEnvironment,
    RolloutDecisionBuilder,
    converge,
    desired,
    server_name,
)
from deployers.protocol import Deployed, ServerStatus
from tests.controller.machine.kit import fields, version
from tests.controller.machine.site import Site, running

EVERYTHING = [{"to": "json://on-call", "on": ["refused", "rollback", "stuck", "gate_failed"]}]


def site() -> Site:
    return Site({n: version(n) for n in range(1, 6)})


def test_a_rollback_fires_once_and_is_over_once_stable_has_all_the_traffic_again() -> None:
    one = running(site(), 1)
    one.faulty = {2}
    one.release(2)
    alert = "mean/production/rollback/mean-production-2"
    while not one.alerts("firing"):
        one.reconcile(apply=True)
    assert one.alerts("firing") == [alert]
    assert one.alerts("resolved") == []
    one.run(20)
    assert one.alerts("firing") == [alert]
    assert one.alerts("resolved") == [alert]
    assert one.env.alerts == ()
    assert [q.version for q in one.env.quarantine] == [2]


def test_a_rollback_that_is_not_deployed_stays_open_until_it_is() -> None:
    one = running(site(), 1)
    one.faulty = {2}
    one.release(2)
    while not (one.env.rollout and one.env.rollout.step >= 0):
        one.reconcile()
    one.refuses_deploys = True  # the canary has its weight, and keeps it
    one.run(30)
    assert "mean/production/rollback/mean-production-2" in one.env.alerts
    assert "mean/production/stuck/deploy" in one.env.alerts
    one.refuses_deploys = False
    one.run(70)
    assert one.env.alerts == ()


def test_a_first_release_that_does_not_start_needs_somebody_until_something_serves() -> None:
    one = site()
    one.never_ready = {1}
    one.release(1)
    one.run(80)
    alert = "mean/production/gate_failed/mean-production-1"
    assert one.alerts("firing") == [alert]
    incident = one.notified[-1].incident
    assert incident.needs_human
    assert "Nothing serves there." in incident.what
    running(one, 2)
    assert one.alerts("resolved") == [alert]


def test_whoever_was_notified_is_notified_of_the_end_though_the_next_spec_names_others() -> None:
    one = running(site(), 1)
    theirs = [{"to": "json://theirs", "on": ["gate_failed"]}]
    one.versions = {**one.versions, 2: version(2, ("notify", theirs))}
    one.never_ready = {2}
    one.release(2)
    one.run(80)
    running(one, 3)
    assert [(n.status, n.to) for n in one.notified if n.event == "gate_failed"] == [
        ("firing", "json://theirs"),
        ("resolved", "json://theirs"),
    ]


def test_a_failed_rollback_is_resolved_once_a_retry_succeeds() -> None:
    one = running(site(), 1, 2)
    one.never_ready = {1}
    one.send("rollback", by="ada", reason="it smells")
    one.run(80)
    alert = "mean/production/stuck/mean-production-3"
    assert one.alerts("firing") == [alert]
    one.never_ready = set()
    one.send("retry", by="ada")
    one.run(20)
    assert one.serves == 1
    assert one.alerts("resolved") == [alert]


def test_a_rollback_does_not_resolve_that_the_newest_failed_to_start() -> None:
    one = running(site(), 1, 2)
    one.never_ready = {3}
    one.release(3)
    one.run(80)
    one.send("rollback", by="ada")
    one.run(20)
    assert one.serves == 1
    assert one.env.alerts == ("mean/production/gate_failed/mean-production-3",)


def test_a_stable_server_that_is_down_fires_after_a_while_and_resolves_when_it_is_back() -> None:
    one = running(site(), 1)
    one.never_ready = {1}
    one.run(20)
    assert one.alerts("firing") == []
    one.run(40)
    assert one.alerts("firing") == ["mean/production/stuck/stable"]
    one.never_ready = set()
    one.run(5)
    assert one.alerts("resolved") == ["mean/production/stuck/stable"]


def test_a_deployment_that_fails_for_good_fires_once_is_not_hammered_and_resolves() -> None:
    one = running(site(), 1)
    one.ready.clear()  # the machine was restarted
    one.deployed = None
    one.refuses_deploys = True
    asked = sum(isinstance(a, Deploy) for _ in range(30) for a in one.reconcile().actions)
    assert asked == 1
    assert one.alerts("firing").count("mean/production/stuck/deploy") == 1
    one.refuses_deploys = False
    one.run(70)
    assert one.serves == 1
    assert "mean/production/stuck/deploy" in one.alerts("resolved")
    assert one.env.alerts == ()


def test_a_commit_that_is_refused_wakes_somebody_also_at_the_first_release() -> None:
    one = site()
    one.writes = "is refused"
    one.release(1)
    one.run(10)
    assert one.alerts("firing") == ["mean/production/stuck/write_environment"]
    one.writes = "works"
    one.send("retry", by="ada")
    one.run(5)
    assert one.serves == 1
    assert one.alerts("resolved") == ["mean/production/stuck/write_environment"]


def test_an_alert_of_a_rollout_is_resolved_when_the_rollout_ends() -> None:
    one = running(site(), 1)
    one.versions = {**one.versions, 2: version(2, ("release.production.approval", "pull-request"))}
    one.release(2)
    one.run(3)
    alert = "mean/production/approval_needed/mean-production-2"
    assert one.alerts("firing") == [alert]
    one.release(3)
    one.run(2)
    assert one.alerts("resolved") == [alert]


def test_a_request_for_approval_has_the_command_that_approves() -> None:
    one = running(site(), 1)
    one.versions = {**one.versions, 2: version(2, ("release.production.approval", "pull-request"))}
    one.release(2)
    one.run(3)
    told = next(n for n in one.notified if n.event == "approval_needed")
    assert told.incident.commands == (
        "headgate approve mean/production",
        "headgate abort mean/production",
        "headgate show mean-production-2",
    )


def test_a_refused_command_without_a_version_is_still_reported_to_somebody() -> None:
    one = Site({n: version(n, ("notify", EVERYTHING)) for n in (1, 2)})
    running(one, 1)
    one.send("rollback", by="ada")
    one.run(2)
    told = [n for n in one.notified if n.event == "refused"]
    assert [n.to for n in told] == ["json://on-call"]


@pytest.mark.parametrize(
    "refusal", ["quarantined", "pinned", "too early", "an edit that names nothing"]
)
def test_a_refusal_after_which_all_is_well_is_no_alert_and_needs_nobody(refusal: str) -> None:
    one = running(site(), 1, 2)
    match refusal:
        case "quarantined":
            one.faulty = {3}
            one.release(3)
            one.run(20)
            one.release(3)
        case "pinned":
            one.edit(version=2, pinned=True)
            one.run(3)
            one.release(3)
        case "too early":
            one.never_ready = {3}
            one.release(3)
            one.run(2)
            one.send("promote", by="ada")
        case _:
            one.edit(version=99)
    one.run(3)
    (told,) = [n for n in one.notified if n.event == "refused"]
    assert told.status == "info"
    assert not told.incident.needs_human
    assert not any("/refused/" in alert for alert in one.env.alerts)


@pytest.mark.parametrize("way", ["the command", "the branch"])
def test_a_rollback_that_is_refused_needs_somebody(way: str) -> None:
    one = running(site(), 1) if way == "the command" else running(site(), 1, 2)
    if way == "the command":  # nothing served before
        one.send("rollback", by="ada")
    else:
        one.never_ready = {1}
        one.edit(version=1)
    one.run(80)
    (told,) = [n for n in one.notified if n.event == "refused"]
    assert told.status == "firing"
    assert told.incident.needs_human
    assert told.incident.title.endswith("still serves the version that somebody wanted to leave")
    one.never_ready = set()
    running(one, 3)
    assert told.alert in one.alerts("resolved")


def test_a_notification_during_a_canary_says_who_has_which_share() -> None:
    one = running(site(), 1)
    one.load = 0
    one.release(2)
    one.run(70)
    held = one.notified[-1].incident
    assert (
        held.now
        == f"{one.versions[1].ref} for 50 % of the requests, {one.versions[2].ref} for 50 %"
    )
    assert held.evidence[0].signal == "errors"
    assert "evidence that it is worse" in held.evidence[0].note
    one.edit(version=99)
    one.run(2)
    assert one.notified[-1].event == "refused"
    assert one.notified[-1].incident.now == held.now


def test_a_rollback_is_reported_with_times_harm_and_differences() -> None:
    one = running(site(), 1)
    one.versions = {**one.versions, 2: version(2, ("params", {"depth": 7, "unused": 1}))}
    one.faulty = {2}
    one.release(2)
    one.run(20)
    incident = next(n for n in one.notified if n.event == "rollback").incident
    known = incident.background
    assert known is not None
    assert known.rollout == "mean-production-2"
    assert known.beside == str(one.versions[1].ref)
    assert known.differs == ("params.depth: 6 → 7",)
    assert known.hurt == "10 of 10 requests to the canary failed (100 %; stable: 0 %)"
    began, failed, *_, ended = known.since
    assert (began.what, failed.what) == ("canary began", "first failed request")
    assert ended.what == "rolled back"
    assert began.at < failed.at <= ended.at
    assert incident.commands[:2] == (
        "headgate show mean-production-2",
        "headgate logs mean/production --version 2",
    )


def test_smoke_requests_are_not_lost_when_a_deployment_is_asked_for_meanwhile() -> None:
    one = Site({1: version(1)}, name="staging")
    one.release(1)
    one.reconcile()
    one.reconcile()
    one.reconcile(apply=False)  # the smoke requests are in the outbox
    one.ready[1] = False
    one.deployed = None
    one.run(10)
    assert one.serves == 1


def test_a_smoke_failure_stops_in_staging_and_says_which_check() -> None:
    one = Site({1: version(1)}, name="staging", fails_smoke={1})
    one.release(1)
    one.run(10)
    assert one.serves is None
    assert one.alerts("firing") == ["mean/staging/gate_failed/mean-staging-1"]
    assert one.sent == []
    incident = one.notified[-1].incident
    assert incident.title == "mean: v1 failed in staging"
    assert "smoke requests ended FAIL" in incident.what
    assert [line.signal for line in incident.evidence] == ["a check"]
    assert incident.commands == (
        "headgate show mean-staging-1",
        "headgate logs mean/staging --version 1",
        "headgate retry mean/staging --version 1",
    )


def test_a_server_that_does_not_start_in_staging_stops_there_and_may_be_retried() -> None:
    one = Site({1: version(1)}, name="staging", never_ready={1})
    one.release(1)
    one.run(80)
    assert one.alerts("firing") == ["mean/staging/gate_failed/mean-staging-1"]
    assert "was not ready within" in one.notified[-1].incident.what
    one.never_ready = set()
    one.send("retry", by="ada")
    one.run(10)
    assert one.serves == 1
    assert one.alerts("resolved") == ["mean/staging/gate_failed/mean-staging-1"]


def test_a_full_disk_holds_the_release_without_quarantine_and_a_retry_brings_it_up() -> None:
    one = running(site(), 1)
    one.refuses_deploys = True
    one.release(2)
    one.run(5)
    assert one.env.rollout is None
    assert one.env.quarantine == ()
    assert one.alerts("firing") == ["mean/production/stuck/mean-production-2"]
    assert one.subjects == ["mean-production-1/promote"]
    incident = one.notified[-1].incident
    assert incident.needs_human
    assert "The model file is gone." in incident.what
    assert "headgate retry mean/production --version 2" in incident.commands
    one.refuses_deploys = False
    one.send("retry", by="ada")
    one.run(20)
    assert one.serves == 2
    assert one.alerts("resolved") == ["mean/production/stuck/mean-production-2"]


def test_a_candidate_whose_server_never_answers_in_production_was_not_rolled_back() -> None:
    one = running(site(), 1)
    one.never_ready = {2}
    one.release(2)
    one.run(80)
    assert [q.version for q in one.env.quarantine] == [2]
    assert one.alerts("firing") == ["mean/production/gate_failed/mean-production-2"]
    incident = one.notified[-1].incident
    assert incident.title == "mean: v2 did not start in production"
    assert f"{one.versions[1].ref} keeps serving: nothing was rolled back." in incident.what
    assert incident.was is None
    assert not incident.needs_human
    assert "rolled back" not in str(one.commits[-1].file.changed if one.commits[-1].file else "")


@pytest.mark.parametrize("fault", ["the server", "the disk"])
def test_a_rollback_that_cannot_be_carried_out_says_which_bad_version_still_serves(
    fault: str,
) -> None:
    one = running(site(), 1, 2)
    one.never_ready = {1} if fault == "the server" else set()
    one.refuses_deploys = fault == "the disk"
    one.send("rollback", by="ada", reason="it smells")
    one.run(80)
    assert one.serves == 2
    assert one.env.rollout is None
    assert [q.version for q in one.env.quarantine] == [2]  # and not the one that was healthy
    incident = next(n for n in one.notified if n.status == "firing").incident
    assert incident.needs_human
    assert f"{one.versions[2].ref} is still serving" in incident.what
    one.never_ready, one.refuses_deploys = set(), False
    one.send("retry", by="ada")
    one.run(80)
    assert one.serves == 1


def test_a_pass_in_staging_is_sent_on_to_production() -> None:
    one = running(Site({1: version(1)}, name="staging"), 1)
    assert [(m.to.name, m.message.type, fields(m)["version"]) for m in one.sent] == [
        ("mean/production", "release", 1)
    ]


def test_a_canary_that_gets_no_traffic_is_held_at_its_deadline_and_people_decide() -> None:
    one = running(site(), 1)
    one.load = 0
    one.release(2)
    one.run(70)
    assert one.serves == 1
    assert one.alerts("firing") == ["mean/production/stuck/mean-production-2"]
    one.send("promote", by="ada")
    one.run(4)
    assert one.serves == 2


def test_a_canary_that_gets_no_traffic_is_rolled_back_where_the_spec_says_so() -> None:
    one = running(site(), 1)
    two = version(2, ("release.production.canary.on_inconclusive", "rollback"))
    one.versions = {**one.versions, 2: two}
    one.load = 0
    one.release(2)
    one.run(70)
    assert one.serves == 1
    assert [q.version for q in one.env.quarantine] == [2]


def test_a_canary_that_refuses_everything_is_rolled_back_though_only_errors_are_named() -> None:
    one = running(site(), 1)
    one.refusing = {2}
    one.release(2)
    one.run(20)
    assert one.serves == 1
    (quarantined,) = one.env.quarantine
    assert "worse than stable in refusals" in quarantined.reason


def test_a_canary_that_answers_with_pages_is_held_at_once_and_a_person_decides() -> None:
    one = running(site(), 1)
    one.pages = {2}
    one.release(2)
    one.run(30)
    assert (one.serves, one.env.rollout is not None) == (1, True)
    (told,) = [n for n in one.notified if n.status == "firing"]
    assert told.alert == "mean/production/stuck/mean-production-2"
    assert "differ from stable's in content" in told.incident.what
    assert "the canary's answers are text/html" in told.incident.what
    for command in (
        "headgate promote mean/production",
        "headgate rollback mean/production --from 2",
    ):
        assert command in told.incident.commands
    one.send("promote", by="ada")
    one.run(4)
    assert one.serves == 2


def test_a_canary_that_was_held_is_not_promoted_by_itself_when_its_answers_look_right_again() -> (
    None
):
    one = running(site(), 1)
    one.pages = {2}
    one.release(2)
    one.run(10)
    assert one.env.rollout is not None
    assert one.env.rollout.differs
    one.pages = set()
    one.run(200)
    assert one.serves == 1
    one.faulty = {2}
    one.run(20)
    assert [q.version for q in one.env.quarantine] == [2], "it is judged all the same"


def test_a_held_canary_is_rolled_back_at_the_deadline_where_the_spec_says_so() -> None:
    one = running(site(), 1)
    two = version(2, ("release.production.canary.on_inconclusive", "rollback"))
    one.versions = {**one.versions, 2: two}
    one.pages = {2}
    one.release(2)
    one.run(30)
    assert not one.env.quarantine
    one.run(40)
    assert [q.version for q in one.env.quarantine] == [2]


def test_a_canary_that_an_earlier_headgate_judged_begins_again() -> None:
    one = running(site(), 1)
    one.release(2)
    one.run(3)
    stored = one.env.plain()
    judge = stored["rollout"]["judge"]
    for name in ("format", "usual", "answers", "seen", "base_statuses"):
        judge.pop(name, None)
    for name in ("counts", "refusals_margin", "others_margin", "content_margin", "size_margin"):
        del judge["policy"][name]
    for stratum in judge["strata"]:
        for arm in ("stable", "canary"):
            stratum[arm] = {"requests": 9, "errors": 0, "latencies": []}
    one.state = parsed(EnvironmentState, stored)
    one.run(1)
    assert one.env.rollout is not None
    assert one.env.rollout.judge is not None
    assert one.env.rollout.judge.began == one.now
    one.run(20)
    assert one.serves == 2


def test_a_quarantined_version_is_refused_until_it_is_retried() -> None:
    one = running(site(), 1)
    one.faulty = {2}
    one.release(2)
    one.run(20)
    one.release(2)
    one.run(2)
    assert one.env.rollout is None
    assert "mean/production/refused/release/2" in one.alerts("info")
    one.faulty = set()
    one.send("retry", by="ada")
    one.run(20)
    assert one.serves == 2
    assert one.env.quarantine == ()


def test_a_paused_canary_neither_grows_nor_promotes_until_it_is_resumed() -> None:
    one = running(site(), 1)
    one.send("pause", by="ada")
    one.release(2)
    one.run(20)
    assert one.serves == 1
    assert one.env.rollout is not None
    one.send("resume", by="ada")
    one.run(4)
    assert one.serves == 2


def test_a_paused_staging_and_a_paused_first_release_are_not_promoted_until_resumed() -> None:
    for name in ("staging", "production"):
        one = Site({1: version(1)}, name=name)
        one.release(1)
        one.reconcile()
        one.send("pause", by="ada", reason="lunch")
        one.run(20)
        assert one.serves is None
        assert one.env.paused == "ada: lunch"
        one.send("resume", by="ada")
        one.run(4)
        assert one.serves == 1


def test_under_a_pause_a_bad_canary_is_rolled_back_and_a_person_may_go_back() -> None:
    one = running(site(), 1, 2)
    one.send("pause", by="ada")
    one.faulty = {3}
    one.release(3)
    one.run(20)
    assert [q.version for q in one.env.quarantine] == [3]
    one.send("rollback", by="ada")
    one.run(5)
    assert one.serves == 1


def test_the_reason_of_an_approval_and_of_a_retry_is_in_the_release_history() -> None:
    one = running(site(), 1)
    one.versions = {**one.versions, 2: version(2, ("release.production.approval", "pull-request"))}
    one.release(2)
    one.run(3)
    one.send("approve", by="ada", reason="seen in the review")
    one.run(2)
    one.send("abort", by="ada")
    one.run(2)
    one.send("retry", by="bob", reason="traffic is back")
    one.run(2)
    one.send("approve", by="bob")
    one.run(20)
    assert one.serves == 2
    why = one.facts[-1].body["reason"]
    assert "approved by ada: seen in the review" in why
    assert "retried by bob: traffic is back" in why


def test_a_promotion_that_is_requested_too_early_is_refused_with_a_notification() -> None:
    one = running(site(), 1)
    one.never_ready = {2}
    one.release(2)
    one.run(2)
    one.send("promote", by="ada")
    one.run(2)
    assert one.serves == 1
    told = one.notified[-1]
    assert told.event == "refused"
    assert "Not promoted, though ada asked for it: the server of v2 is not" in told.incident.what


def test_an_edit_that_may_not_run_is_refused_and_the_file_restored() -> None:
    one = running(site(), 1, 2)
    one.send("rollback", by="ada", reason="it smells")
    one.run(8)
    assert one.serves == 1
    for edit in ("unknown", "another digest", "quarantined", "broken"):
        match edit:
            case "unknown":
                one.edit(version=99)
            case "another digest":
                one.edit(version=1, digest="sha256:" + "1" * 64)
            case "quarantined":
                one.edit(version=2)
            case _:
                one.garble()
        one.run(6)
        assert one.serves == 1
        assert one.file is not None
        assert one.file.model is not None
        assert one.file.model.version == 1
        assert "refuse" in one.subjects[-1]


def test_model_null_stops_serving_and_a_later_edit_serves_again() -> None:
    one = running(site(), 1)
    one.edit(version=None)
    one.run(3)
    assert one.env.stable is None
    assert one.ready == {}
    one.edit(version=1)
    one.run(5)
    assert one.serves == 1


WORDS = [
    (None, None, "is not running and is being started again."),
    (
        {"alive": False, "detail": "it ended"},
        None,
        "is not running and is being started again: it ",
    ),
    ({"alive": False, "detail": "it ended"}, 1.0, "is not running and cannot be started: it ended"),
    ({"alive": True, "detail": "slow", "hung": True}, None, "hangs and is being restarted: slow"),
    ({"alive": True, "detail": "503"}, None, "is not ready: 503"),
]


@pytest.mark.parametrize(("server", "refused", "said"), WORDS)
def test_a_restart_is_only_reported_if_there_is_one(
    server: dict[str, Any] | None, refused: float | None, said: str
) -> None:
    env = running(site(), 1).env.model_copy(update={"unready_since": 0.0, "refused": refused})
    name = server_name(env.place, version(1).ref)
    servers = (ServerStatus(name=name, ready=False, **server),) if server else ()
    out = RolloutDecisionBuilder()
    seen = ObservedEnvironment(deployed=Deployed(servers=servers, stable=name))
    watch_stable(env, EnvironmentContext(seen, out, 1000.0))
    (told,) = (action for action in out.actions if isinstance(action, Notify))
    assert f"The server of {env.stable} {said}" in told.incident.what
    due = converge(env, observed_with(name, servers))
    assert (due is not None) is ("start" in said)


def observed_with(name: str, servers: tuple[ServerStatus, ...]) -> ObservedEnvironment:
    return ObservedEnvironment(
        deployed=Deployed(servers=servers, stable=name, address="http://router")
    )


def test_a_stable_server_that_hangs_is_reported_at_once() -> None:
    env = running(site(), 1).env
    name = server_name(env.place, version(1).ref)
    hung = ServerStatus(name=name, alive=True, ready=False, hung=True)
    ready = ServerStatus(name=name, alive=True, ready=True)
    out = RolloutDecisionBuilder()
    for at, server in enumerate((hung, hung, ready, ready)):
        env = watch_stable(env, EnvironmentContext(observed_with(name, (server,)), out, float(at)))
    told = [action for action in out.actions if isinstance(action, Notify)]
    assert [notify.status for notify in told] == ["firing", "resolved"]
    assert env.unready_since is None


SILENT = "nothing was answered for 16 s; it is restarted after 15 s"


def test_a_router_that_hangs_is_reported_once_and_resolved_when_it_answers() -> None:
    env = running(site(), 1).env
    name = server_name(env.place, version(1).ref)
    servers = (ServerStatus(name=name, alive=True, ready=True),)
    silent = Deployed(servers=servers)
    hung = silent.model_copy(update={"hung_router": SILENT})
    back = Deployed(servers=servers, stable=name, address="http://router")
    out, since = RolloutDecisionBuilder(), []
    for at, seen in enumerate((silent, hung, hung, silent, back, back)):
        observed = ObservedEnvironment(deployed=seen)
        env = watch_stable(env, EnvironmentContext(observed, out, float(at)))
        since.append(env.unready_since)
        assert bool(converge(env, ObservedEnvironment(deployed=seen))) is (seen is not back)
    fires, over = (action for action in out.actions if isinstance(action, Notify))
    assert (fires.status, over.status) == ("firing", "resolved")
    assert fires.alert == over.alert == "mean/production/stuck/stable"
    said = "The router of production does not answer and is being started again: "
    assert fires.incident.what == f"{said}{SILENT}."
    assert "rollback" not in str(fires.incident.commands), "no version is to blame"
    assert since == [0.0, 0.0, 0.0, 0.0, None, None]


def test_a_router_that_stays_away_is_reported_after_a_while() -> None:
    env = running(site(), 1).env
    name = server_name(env.place, version(1).ref)
    seen = Deployed(servers=(ServerStatus(name=name, alive=True, ready=True),))
    out = RolloutDecisionBuilder()
    observed = ObservedEnvironment(deployed=seen)
    for at in (0.0, 29.0):
        env = watch_stable(env, EnvironmentContext(observed, out, at))
    assert out.actions == []
    watch_stable(env, EnvironmentContext(observed, out, 30.0))
    (told,) = (action for action in out.actions if isinstance(action, Notify))
    assert told.incident.what == "The router of production does not answer."


def test_a_canary_that_hangs_is_left_to_its_judge() -> None:
    one = running(site(), 1)
    one.release(2)
    one.run(2)
    env = one.env
    assert env.rollout is not None
    stable, canary = server_name(env.place, version(1).ref), server_name(env.place, version(2).ref)
    want = desired(env, one.versions)
    servers = (
        ServerStatus(name=stable, alive=True, ready=True),
        ServerStatus(name=canary, alive=True, ready=False, detail="/healthz did not answer"),
    )
    seen = Deployed(
        servers=servers,
        stable=stable,
        canary=canary,
        canary_weight=want.canary_weight,
        address="http://router",
    )
    assert converge(env, ObservedEnvironment(deployed=seen, versions=one.versions)) is None
