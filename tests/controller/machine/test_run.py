"""A run executes its nodes, retries, uses the cache, and ends."""

from typing import Any

import pytest

from controller.machine.actions import ReportCommit, StartAttempt
from controller.machine.core import Blocked, parsed
from controller.machine.messages import StartRun
from controller.machine.runs.attempt import AttemptState, Status
from controller.machine.runs.data_exceptions import AcceptedVersion
from controller.machine.runs.execution import POLL, PROGRESS, RAREST_POLL
from controller.machine.runs.graph import key_of
from controller.machine.runs.node_progress import LATE, PATIENCE
from controller.machine.runs.run import RENEWED, Run, why_ended
from tests.controller.machine.kit import baseline, fields
from tests.controller.machine.lab import Lab, lab
from tests.controller.machine.test_error_text import WORDS
from tests.controller.machine.test_own_metrics import BOTH
from validators.verdict import Verdict


def test_a_run_executes_its_nodes_in_order_and_reports_its_model() -> None:
    one = lab()
    run = one.finish()
    assert run.outcome == "passed"
    assert one.order == ["gate.data.numbers", "train", "evaluate", "gate.model"]
    reports = [a.state for a in one.actions if isinstance(a, ReportCommit)]
    assert reports == ["running", "passed"]
    assert [m.message.type for m in one.messages] == ["run_ended"]
    body = fields(one.messages[0])
    assert body["model"] == run.nodes["train"].outputs["model"]  # type: ignore[index]  # it passed
    assert body["package"]
    assert body["verdicts"] == {"data.numbers": "PASS", "model": "PASS"}


def test_a_second_equal_run_is_cached_throughout() -> None:
    first = lab()
    first.finish()
    second = lab(cache=first.cache)
    second.reconcile()
    assert second.run.outcome == "passed"
    assert set(second.phases().values()) == {"cached"}
    assert second.started == {}
    assert {n.cached_from for n in second.run.nodes.values()} == {"mean-1"}


def test_the_reuse_of_a_result_is_recorded_once_a_day_so_that_it_is_kept() -> None:
    first = lab()
    first.finish()
    made = dict(first.cache)
    same_day = lab(cache=dict(made), now=first.now + RENEWED / 2)
    assert same_day.reconcile().facts == ()
    next_day = lab(cache=dict(made), now=first.now + RENEWED)
    facts = next_day.reconcile().facts
    assert {fact.key.name for fact in facts} == made.keys()
    for key, hit in next_day.cache.items():
        assert hit == made[key].model_copy(update={"used": next_day.now}), "its maker is the same"


def test_a_changed_step_with_an_equal_result_leaves_the_nodes_after_it_cached() -> None:
    first = lab()
    first.finish()
    second = lab(("params.depth", 7), cache=first.cache)
    run = second.finish()
    assert second.phases() == {
        "gate.data.numbers": "cached",
        "train": "succeeded",
        "evaluate": "cached",
        "gate.model": "cached",
    }
    assert run.outcome == "passed"


def test_a_failed_attempt_is_retried_after_a_backoff_that_doubles() -> None:
    one = lab(("steps.train.retries", 2), ("steps.train.backoff", "10s"))
    one.reconcile()
    one.end("gate.data.numbers")
    one.reconcile()
    starts: list[str] = []
    for wait in (10.0, 20.0):
        one.end("train", AttemptState.FAILED)
        one.reconcile(0.0)
        assert one.run.nodes["train"].open is None
        one.reconcile(wait - 0.1)
        assert one.run.nodes["train"].open is None
        one.reconcile(0.2)
        starts += [t.id for t in one.run.nodes["train"].attempts[-1:]]
    assert starts == ["mean-1.train.2", "mean-1.train.3"]
    one.end("train", AttemptState.FAILED)
    one.reconcile()
    assert one.run.outcome == "failed"
    assert one.phases()["evaluate"] == "skipped"
    assert one.run.nodes["evaluate"].skipped == "train did not succeed: it ended failed"


@pytest.mark.parametrize(("losses", "outcome"), [(3, "passed"), (4, "failed")])
def test_lost_attempts_do_not_use_up_retries_but_are_limited(losses: int, outcome: str) -> None:
    one = lab(endings={"train": [AttemptState.LOST] * losses})
    assert one.finish().outcome == outcome
    assert len(one.run.nodes["train"].attempts) == min(losses + 1, 4)


@pytest.mark.parametrize(
    "verdict", [Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.SKIPPED]
)
def test_a_data_gate_that_does_not_pass_stops_everything_that_reads_the_data(
    verdict: Verdict,
) -> None:
    one = lab(verdicts={"gate.data.numbers": verdict})
    run = one.finish()
    assert run.outcome == "stopped"
    assert one.order == ["gate.data.numbers"]
    assert run.nodes["train"].skipped == f"gate.data.numbers: {verdict}"
    assert fields(one.messages[0])["package"] is None


def accepting(one: Lab, verdict: Verdict) -> AcceptedVersion:
    """A person's acceptance of the data that a run reads, as its gate judges it."""
    gate = one.graph.by_name["gate.data.numbers"]
    version = one.datasets["numbers"]
    return AcceptedVersion(
        dataset="numbers",
        version=version,
        gate=gate.name,
        key=key_of(gate, {"dataset": version}),
        run="mean-0",
        verdict=verdict,
        failed=3,
        by="ana",
        reason="a strike",
        at=0.0,
    )


def lab_with(verdict: Verdict, **facts: Any) -> Lab:
    """A run whose data gate gives that verdict, and whose data was accepted as FAIL before."""
    one = lab(verdicts={"gate.data.numbers": verdict})
    accepted = accepting(one, Verdict.FAIL).model_copy(update=facts)
    (sent,) = one.inbox
    run = parsed(Run, fields(sent)["run"]).model_copy(update={"accepted_versions": (accepted,)})
    one.inbox.clear()
    one.send("start_run", {"run": run.model_dump(mode="json")})
    return one


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_accepted_data_is_read_though_its_gate_does_not_pass_and_that_is_a_warning(
    verdict: Verdict,
) -> None:
    one = lab_with(verdict)
    run = one.finish()
    assert (run.outcome, run.nodes["gate.data.numbers"].verdict) == ("passed", verdict)
    assert run.verdicts["data.numbers"] is Verdict.WARN
    assert str(run.accepted_versions[0]) == (
        "accepted by ana on 1970-01-01: a strike; the gate failed 3 checks"
    )
    assert fields(one.messages[0])["verdict"] == "WARN"


@pytest.mark.parametrize(
    ("verdict", "facts"),
    [(Verdict.ERROR, {}), (Verdict.SKIPPED, {}), (Verdict.FAIL, {"key": "of another suite"})],
)
def test_what_was_not_judged_or_was_judged_by_another_suite_is_not_accepted(
    verdict: Verdict, facts: dict[str, Any]
) -> None:
    one = lab_with(verdict, **facts)
    assert one.finish().outcome == "stopped"
    assert one.order == ["gate.data.numbers"]


def test_an_accepted_version_lets_no_other_gate_pass() -> None:
    one = lab_with(Verdict.FAIL)
    one.verdicts["gate.model"] = Verdict.FAIL
    run = one.finish()
    assert (run.outcome, why_ended(run)) == ("stopped", "gate.model (FAIL)")


def test_a_warning_does_not_stop_a_run() -> None:
    one = lab(verdicts={"gate.data.numbers": Verdict.WARN, "gate.model": Verdict.WARN})
    assert one.finish().outcome == "passed"


def test_a_gate_that_crashes_is_an_error_and_is_not_cached() -> None:
    one = lab(endings={"gate.model": [AttemptState.FAILED, AttemptState.OUT_OF_MEMORY]})
    run = one.finish()
    assert run.outcome == "stopped"
    assert run.verdicts["model"] is Verdict.ERROR
    again = lab(cache=one.cache)
    again.reconcile()
    assert again.phases()["gate.model"] == "running"


def test_a_gate_that_could_not_judge_is_not_cached() -> None:
    one = lab(verdicts={"gate.model": Verdict.ERROR})
    one.finish()
    assert one.run.nodes["gate.model"].key not in one.cache


def test_outputs_that_cannot_be_stored_fail_the_node_with_the_reason() -> None:
    one = lab(uncollectable={"train"})
    run = one.finish()
    assert run.outcome == "failed"
    assert run.nodes["train"].failed == "model.json was not written"


def test_the_gate_is_told_why_the_baseline_could_not_be_evaluated() -> None:
    one = lab(baseline=baseline(1), endings={"baseline.evaluate": [AttemptState.FAILED]})
    run = one.finish()
    assert run.outcome == "passed"
    gate = next(a for a in one.started.values() if a.node == "gate.model")
    assert "baseline" not in gate.inputs
    assert "it ended failed" in gate.request["no_baseline"]


@pytest.mark.parametrize(
    ("kind", "given"),
    [("predictions", "baseline"), ("metrics", "baseline_numbers")],
)
def test_the_reason_for_a_failed_evaluation_has_no_traceback(kind: str, given: str) -> None:
    both = BOTH if kind == "metrics" else ()
    rows = "a row of data\n" * 60
    one = lab(
        *both,
        baseline=baseline(1, *both),
        endings={"baseline.evaluate": [AttemptState.FAILED]},
        end_messages={"baseline.evaluate": WORDS.replace("UA 1545 EWR late\n", rows)},
    )
    one.finish()
    gate = next(a for a in one.started.values() if a.node == "gate.model")
    assert given not in gate.inputs
    assert gate.request[f"{given}_lost"]  # a baseline that fails is not a first model
    assert gate.request[f"no_{given}"] == (
        "the baseline could not be evaluated on this data: it ended with exit code 1: "
        "KeyError: 'carrier_rank' (train.py, line 20)"
    )


def test_a_traceback_reaches_neither_later_steps_nor_reports() -> None:
    one = lab(endings={"train": [AttemptState.FAILED]}, end_messages={"train": WORDS})
    run = one.finish()
    exception = "it ended with exit code 1: KeyError: 'carrier_rank' (train.py, line 20)"
    assert why_ended(run) == f"train: {exception}"
    assert run.nodes["evaluate"].skipped == f"train did not succeed: {exception}"
    assert run.nodes["train"].failed == WORDS  # whoever may read the log reads all of it


def test_a_cancelled_run_ends_at_once_and_cancels_its_attempts() -> None:
    one = lab()
    one.reconcile()
    one.send("cancel_run", {"reason": "by ada"})
    one.reconcile()
    assert one.run.outcome == "cancelled"
    assert one.cancelled == ["mean-1.gate.data.numbers.1"]
    assert one.run.nodes["train"].skipped == "cancelled: by ada"
    one.send("cancel_run", {"reason": "again"})
    after = one.reconcile()
    assert (after.actions, after.messages, after.requeue_after) == ((), (), None)


def test_an_attempt_that_the_executor_does_not_know_is_started_again_under_its_id() -> None:
    one = lab()
    one.reconcile()
    first = one.started["mean-1.gate.data.numbers.1"]
    one.statuses.clear()  # the machine was replaced
    again = [a for a in one.reconcile().actions if isinstance(a, StartAttempt)]
    assert [a.attempt for a in again] == [first]


def test_an_attempt_far_past_its_timeout_is_cancelled_and_retried() -> None:
    one = lab()
    one.reconcile()
    one.reconcile(3600 + LATE - 1)
    assert one.run.nodes["gate.data.numbers"].open is not None
    one.reconcile(3.0)
    assert one.cancelled == ["mean-1.gate.data.numbers.1"]
    assert one.started["mean-1.gate.data.numbers.2"]


def test_no_timeout_applies_while_an_attempt_waits_for_a_free_slot() -> None:
    one = lab()
    one.reconcile()
    id_ = "mean-1.gate.data.numbers.1"
    one.statuses[id_] = Status(state=AttemptState.PREPARING)
    one.reconcile(3600 + LATE + 5000)
    one.statuses[id_] = Status(state=AttemptState.RUNNING, started=one.now)
    one.reconcile(3600)
    assert list(one.started) == [id_]


def test_an_attempt_that_waits_for_what_its_executor_told_is_not_lost_by_its_timeout() -> None:
    one = lab()
    one.reconcile()
    name, id_ = "gate.data.numbers", "mean-1.gate.data.numbers.1"
    away = Blocked(reason="the store s3://lake cannot be reached", human=False)
    one.statuses[id_] = Status(state=AttemptState.UNKNOWN, waits=away)
    assert one.reconcile(3600 + LATE + PATIENCE - 1).waits == away
    assert list(one.started) == [id_]
    one.reconcile(3.0)
    (record, *_) = one.run.nodes[name].attempts
    assert record.status is not None
    assert record.status.state is AttemptState.FAILED
    assert record.status.message == f"it could not go on for 7 days: {away.reason}"
    assert one.cancelled == [id_]


def test_the_refusal_of_an_attempt_that_has_ended_is_ignored() -> None:
    one = lab()
    one.reconcile()
    attempt = one.started["mean-1.gate.data.numbers.1"]
    one.end("gate.data.numbers", AttemptState.LOST)
    one.reconcile()
    one.send(
        "action_failed",
        {"action": StartAttempt(attempt=attempt).plain(), "reason": "no such image"},
    )
    one.reconcile()
    assert one.phases()["gate.data.numbers"] == "running"
    assert one.finish().outcome == "passed"


def test_an_attempt_that_the_executor_refuses_ends_the_run() -> None:
    one = lab()
    one.reconcile()
    attempt = one.started["mean-1.gate.data.numbers.1"]
    one.send(
        "action_failed",
        {"action": StartAttempt(attempt=attempt).plain(), "reason": "no such image"},
    )
    one.reconcile()
    assert one.run.outcome == "failed"
    assert fields(one.messages[0])["why"] == "gate.data.numbers: no such image"


def test_a_live_run_is_always_requeued() -> None:
    one = lab(("steps.train.retries", 1), endings={"train": [AttemptState.FAILED]})
    for _ in range(50):
        decision = one.reconcile()
        assert (decision.requeue_after is None) is (not decision.state.live)
        if not decision.state.live:
            return
        one.end_all()


def test_a_pull_request_is_told_of_each_step_once_and_not_too_often() -> None:
    one = lab()
    start = one.inbox[0].message
    assert isinstance(start, StartRun)
    begun = StartRun(run=start.run.model_copy(update={"pull": 7}))
    one.inbox[0] = one.inbox[0].model_copy(update={"message": begun})
    for _ in range(12):
        one.reconcile()
    one.end("gate.data.numbers")
    one.reconcile(PROGRESS)
    one.reconcile(PROGRESS)
    told = [(a.pull, a.step) for a in one.actions if isinstance(a, ReportCommit)]
    assert told == [(7, None), (7, "gate.data.numbers"), (7, "train")]


def test_a_branch_is_not_told_of_each_step() -> None:
    one = lab()
    one.finish()
    assert [a.step for a in one.actions if isinstance(a, ReportCommit)] == [None, None]


def test_a_run_says_what_it_waits_for_while_it_waits() -> None:
    one = lab()
    one.reconcile()
    (attempt,) = one.started
    for waits, said in ((Blocked(reason="a GPU is free"), "a GPU is free"), (None, None)):
        one.statuses[attempt] = Status(state=AttemptState.PREPARING, waits=waits)
        one.reconcile()
        assert one.run.waits_for == said


def test_a_run_that_waits_for_an_hour_is_polled_ever_more_rarely() -> None:
    one, waits = lab(), list[float]()
    while sum(waits) < 3600.0:
        wait = one.reconcile(waits[-1] if waits else 0.0).requeue_after
        assert wait is not None
        waits.append(wait)
    assert (waits[0], waits[-1]) == (POLL, RAREST_POLL)
    assert len(waits) < 70, "every two seconds it would be 1,800"
