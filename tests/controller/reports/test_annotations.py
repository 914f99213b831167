"""What a report means for a merge, and its annotations on lines."""

from controller.machine.run_incidents import is_overruled
from controller.machine.runs.run import Progress
from controller.reports.annotations import of_gates, of_problems
from controller.reports.changes import rows_read
from controller.reports.commit_report import build
from specs.loading.load import load
from tests.controller.reports.stories import done, failed_step, graph, run
from tests.controller.reports.test_commit_report import SHA, STOPPED, action
from validators.report import Check, Location, Report
from validators.verdict import Verdict

PASSED = run("f" * 40, {name: done(1, Verdict.PASS) for name in STOPPED.nodes})


def test_a_commit_that_runs_nothing_is_as_good_as_the_run_that_it_equals_and_no_better() -> None:
    skipped = action("skipped", "nothing to run")
    stopped = STOPPED.model_copy(update={"commit": "f" * 40})
    going = run("f" * 40, {"train": Progress(key="k")}, finished=None)
    conclusions = [
        build(skipped, one, graph(SHA), {}).conclusion for one in (PASSED, stopped, going, None)
    ]
    assert conclusions == ["neutral", "failure", "cancelled", "failure"]
    of_no_run = action("skipped", "there is no spec", None)
    assert build(of_no_run, None, None, {}).conclusion == "neutral"


def test_while_it_runs_nothing_is_concluded_and_a_failure_is_one() -> None:
    failed = run(SHA, {"train": failed_step("no")})
    assert build(action("running", "runs"), failed, None, {}).conclusion is None
    assert build(action("failed", "failed"), failed, None, {}).conclusion == "failure"
    assert build(action("invalid", "invalid", None), None, None, {}).conclusion == "failure"
    assert build(action("cancelled", "superseded"), None, None, {}).conclusion == "cancelled"


def test_the_problems_of_a_spec_stand_on_their_lines_with_their_fix() -> None:
    file = "team/ml-pipeline.yaml"
    posing = "\u2028x.yaml:9:1: error: y [z]"
    text = f"apiVersion: headgate.dev/v1\nkind: MLPipeline\nparms: {{a: '{posing}'}}\n"
    loaded = load(text, file)
    found = of_problems(loaded.problems)
    assert [one.file for one in found] == [file] * len(loaded.problems)
    assert [one.line for one in found] == [problem.line for problem in loaded.problems]
    (unknown,) = (one for one in found if one.line == 3)
    assert (unknown.level, unknown.title) == ("failure", "unknown-key")
    assert "did you mean" in unknown.message


def test_failing_expectations_stand_in_their_suite_the_worst_first() -> None:
    def check(verdict: Verdict, line: int) -> Check:
        return Check(
            name="nulls",
            verdict=verdict,
            message="9 nulls.",
            where=Location(file="team/s.yaml", line=line),
        )

    verdicts = (Verdict.PASS, Verdict.WARN, Verdict.FAIL)
    report = Report(
        gate="data",
        subject="flights",
        checks=tuple(check(verdict, line) for line, verdict in enumerate(verdicts, 1)),
    )
    found = [(one.file, one.line, one.level) for one in of_gates([report])]
    assert found == [("team/s.yaml", 3, "failure"), ("team/s.yaml", 2, "warning")]


def test_the_checks_beside_a_suite_do_not_take_the_place_of_its_report() -> None:
    check = Check(
        name="nulls", verdict=Verdict.FAIL, message="9.", where=Location(file="s.yaml", line=3)
    )
    suite = Report(gate="data", subject="flights", checks=(check,))
    history = suite.model_copy(update={"subject": "flights against other data", "checks": ()})
    assert [one.line for one in of_gates([suite, history])] == [3]


def test_rows_are_those_of_the_dataset_whichever_of_its_gates_read_them() -> None:
    read = Report(gate="data", subject="flights against other data", notes=("9 rows in 1 object.",))
    assert rows_read({"gate.data.flights.history": read}) == {"flights": 9}


def test_an_alert_leaves_out_the_gate_that_a_person_has_overruled() -> None:
    failed = Check(name="nulls", verdict=Verdict.FAIL, message="9.")
    report = Report(gate="data", subject="flights", checks=(failed,))
    assert is_overruled(report, Verdict.WARN)
    assert not is_overruled(report, Verdict.FAIL)
    assert not is_overruled(report, None)
