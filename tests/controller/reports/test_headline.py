"""The verdict in one line: the deciding number, warnings, and loosened rules."""

from controller.machine.pipelines.plan import Plan
from controller.machine.pipelines.rule_change import RuleChange
from controller.reports import headline
from controller.reports.trend import PastMeasurement, trend
from tests.controller.reports.stories import data_report, done, model_report, run
from tests.controller.reports.test_commit_report import SHA, STOPPED
from tests.validators.render.test_own_numbers import OWN
from validators.report import Check, Report
from validators.verdict import Verdict

NODES = {**STOPPED.nodes, "gate.model": done(2, Verdict.PASS, report="y")}
RUN = run(SHA, NODES, baseline=1)
LOOSER = RuleChange(
    rule="gates.model: roc_auc", was="at least 0.6", now="at least 0.5", loosens=True
)


def plan(*changes: RuleChange) -> Plan:
    return Plan(
        pipeline="flight-delay",
        commit=SHA,
        compared_with="flight-delay-11",
        nothing_to_do=False,
        nodes=(),
        policy=changes,
        policy_base="b" * 40,
    )


def test_a_pass_says_the_metric_against_the_version_in_production_slices_and_rules() -> None:
    gate = model_report(Verdict.PASS, baseline=0.752, worse=["carrier=AA"])
    said = headline.passed(RUN, {"gate.model": gate}, plan())
    assert said == "roc_auc 0.752 → 0.8679 (+0.1159) against v1; 1 slice worse; no rule loosened"


def test_loosened_rules_are_counted_and_who_accepted_them_is_named() -> None:
    gate = {"gate.model": model_report(Verdict.PASS, baseline=0.752)}
    assert headline.passed(RUN, gate, plan(LOOSER)).endswith("; 1 rule loosened")
    accepted = RUN.model_copy(update={"accepted": "grace"})
    said = headline.passed(accepted, gate, plan(LOOSER, LOOSER))
    assert said.endswith("; 2 rules loosened, accepted by @grace")


def test_the_first_model_says_that_it_is_the_first() -> None:
    first = run(SHA, NODES)
    said = headline.passed(first, {"gate.model": model_report(Verdict.PASS)}, None)
    assert said == "roc_auc 0.8679, the first model"


def test_without_a_model_gate_it_says_what_was_checked() -> None:
    data = run(SHA, {"gate.data.flights": NODES["gate.data.flights"], "train": done(1, model="m")})
    said = headline.passed(data, {"gate.data.flights": data_report()}, None)
    assert said == "flights passed 1 check; no model gate"
    bare = run(SHA, {"train": done(1, model="m")})
    said = headline.passed(bare, {}, None)
    assert said == "all steps ran; there is no gate, so nothing was judged"


def test_a_stopped_run_says_the_number_that_failed_its_limit_and_what_it_is_held_against() -> None:
    stopped = STOPPED.model_copy(update={"baseline": 1})
    reports = {"gate.data.flights": data_report(), "gate.model": model_report(Verdict.FAIL)}
    assert headline.stopped(stopped, reports) == "stopped: roc_auc 0.512, limit >= 0.6"
    reports["gate.model"] = model_report(Verdict.FAIL, baseline=0.752)
    said = "stopped: roc_auc 0.752 → 0.512 (-0.24) against v1, limit >= 0.6"
    assert headline.stopped(stopped, reports) == said


def test_what_the_base_branch_s_own_evaluation_found_is_said_to_be_its() -> None:
    reports = {
        "gate.model": model_report(Verdict.PASS),
        "gate.model.base": model_report(Verdict.FAIL),
    }
    said = "stopped: by the base branch's evaluation, roc_auc 0.512, limit >= 0.6"
    assert headline.stopped(STOPPED, reports) == said


def test_data_that_was_stopped_says_how_much_of_it_and_a_gate_that_could_not_judge_says_why() -> (
    None
):
    def gate(verdict: Verdict, message: str) -> Report:
        check = Check(name="late: in 0, 1", verdict=verdict, message=message, observed="41")
        return Report(gate="data", subject="flights", checks=(check, check))

    bad = {"gate.data.flights": gate(Verdict.FAIL, "`late`: 41 of 120,000 values are not in 0, 1")}
    said = "stopped: flights: late: 41 of 120,000 values are not in 0, 1; 1 more check did not pass"
    assert headline.stopped(STOPPED, bad) == said
    unread = {"gate.data.flights": gate(Verdict.ERROR, "the suite does not exist")}
    why = headline.stopped(STOPPED, unread) or ""
    assert why.startswith("stopped, the gate could not judge: flights: the suite does not exist")


def test_model_gates_come_before_those_of_the_data_but_what_stops_comes_first() -> None:
    model, data = model_report(Verdict.PASS), data_report()
    good = {"gate.data.flights": data, "gate.model": model}
    assert list(headline.arranged(good)) == ["gate.model", "gate.data.flights"]
    bad = data.checks[0].model_copy(update={"verdict": Verdict.FAIL})
    worse = {**good, "gate.data.flights": data.model_copy(update={"checks": (bad,)})}
    assert list(headline.arranged(worse)) == ["gate.data.flights", "gate.model"]


def test_a_number_beside_its_limit_reads_on_the_side_on_which_it_is() -> None:
    gate = model_report(Verdict.FAIL, baseline=0.752)
    (check,) = gate.checks
    close = gate.model_copy(update={"checks": (check.model_copy(update={"observed": 0.59996}),)})
    said = headline.stopped(STOPPED, {"gate.model": close})
    assert said == "stopped: roc_auc 0.752 → 0.59996 (-0.152), limit >= 0.6"
    (roc, *others) = gate.metrics
    just = roc.model_copy(update={"candidate": 0.60004, "baseline": None})
    passes = model_report(Verdict.PASS).model_copy(update={"metrics": (just, *others)})
    assert headline.passed(run(SHA, NODES), {"gate.model": passes}, None) == (
        "roc_auc 0.60004, the first model"
    )


def test_the_trend_is_a_line_for_each_metric_that_the_gate_asks_for() -> None:
    values = ((1, 0.7), (2, 0.741), (3, 0.744), (4, 0.752), (5, 0.7513), (6, 0.75))
    past = [
        PastMeasurement(number, {"roc_auc": value, "log_loss": 0.5}) for number, value in values
    ]
    (line,) = trend(model_report(Verdict.PASS), past)
    assert line == (
        "roc_auc over the last five versions, then here: "
        "0.741 (v2) · 0.744 · 0.752 · 0.7513 · 0.75 (v6) · **0.8679**"
    )
    assert list(trend(model_report(Verdict.PASS), [])) == []


def test_a_score_that_is_too_good_to_be_true_is_in_the_headline() -> None:
    gate = model_report(Verdict.PASS, baseline=0.752)
    odd = Check(name="too good to be true", verdict=Verdict.WARN, message="It is.", blocks=False)
    gate = gate.model_copy(update={"checks": (*gate.checks, odd)})
    said = headline.passed(RUN, {"gate.model": gate}, None)
    assert said == "roc_auc 0.752 → 0.8679 (+0.1159) against v1; ⚠️ too good to be true"


def test_where_the_exam_changed_the_number_is_that_of_the_base_branch_s_exam() -> None:
    (roc, *others) = model_report(Verdict.PASS, baseline=0.752).metrics
    perfect = roc.model_copy(update={"candidate": 1.0})
    leaks = model_report(Verdict.PASS, baseline=0.752)
    leaks = leaks.model_copy(update={"metrics": (perfect, *others)})
    reports = {"gate.model": leaks, "gate.model.base": model_report(Verdict.PASS, baseline=0.752)}
    assert headline.passed(RUN, reports, None) == (
        "roc_auc 0.752 → 0.8679 (+0.1159) against v1; "
        "the exam changed; this score is by the base branch's exam"
    )
    (line,) = trend(headline.trusted(reports) or leaks, [PastMeasurement(1, {"roc_auc": 0.7})])
    assert line.endswith("**0.8679**")


def test_a_number_of_the_teams_own_leads_and_has_a_trend_though_its_name_has_spaces() -> None:
    report = OWN.model_copy(update={"checks": (OWN.checks[0],)})
    said = headline.stopped(RUN, {"gate.model": report})
    assert said is not None
    assert "metrics.weighted avg.f1 0.5125 → 0.4125 (-0.1)" in said
    (line,) = trend(report, [PastMeasurement(1, {"metrics.weighted avg.f1": 0.7})])
    assert line.startswith("metrics.weighted avg.f1 over the version before, then here: 0.7")
