"""A run on data that its gate stopped and a person accepted: what its report says, and what not."""

from controller.machine import run_incidents
from controller.machine.runs.data_exceptions import AcceptedVersion, Fallback
from controller.machine.runs.run import Run
from controller.reports import headline
from controller.reports.commit_report import build
from controller.reports.exceptions import with_exceptions
from controller.reports.gates import completed
from specs.digests import digest, short
from tests.controller.reports.stories import FLIGHTS, done, graph, model_report, run
from tests.controller.reports.test_commit_report import SHA, action
from validators.report import Check, Location, Report
from validators.verdict import Verdict

DATA, MODEL = "gate.data.flights", "gate.model"
NULLS = Check(
    name="no nulls",
    verdict=Verdict.FAIL,
    message="412 of 27,004 values are null.",
    where=Location(file="suite.yaml", line=7),
)
ACCEPTED = AcceptedVersion(
    dataset="flights",
    version=FLIGHTS,
    gate=DATA,
    key="k",
    run="flight-delay-11",
    verdict=Verdict.FAIL,
    failed=1,
    by="ana",
    reason="a *strike*",
    at=86_400.0,
)
SAID = "accepted by ana on 1970-01-02: a *strike*; the gate failed 1 check"


def accepted(model: Verdict = Verdict.PASS) -> Run:
    gates = {DATA: done(1, Verdict.FAIL, report="r"), MODEL: done(2, model, report="m")}
    steps = {"train": done(3, model="x"), "evaluate": done(3, predictions="y")}
    return run(SHA, {**gates, **steps}, accepted_versions=(ACCEPTED,))


def reports(model: Verdict = Verdict.PASS) -> dict[str, Report]:
    data = Report(gate="data", subject="flights", checks=(NULLS,))
    return with_exceptions({DATA: data, MODEL: model_report(model)}, (ACCEPTED,), ())


def test_it_passes_and_says_in_the_heading_who_overruled_what_and_why() -> None:
    report = build(action("passed", "passed"), accepted(), graph(SHA), reports())
    assert report.conclusion == "success"
    assert report.title == f"roc_auc 0.8679, the first model; flights {SAID}"
    assert report.text.startswith("## ✅")
    assert "**The verdict is overruled: accepted by ana on 1970-01-02: a &#42;strike&#42;;" in (
        report.text
    )
    assert "412 of 27,004 values are null." in report.text, "what failed is still to be read"
    assert "FAIL; accepted by ana" in report.text
    assert [each.level for each in report.annotations] == ["warning"]


def test_another_gate_that_stops_it_is_what_stopped_it() -> None:
    stopped = accepted(Verdict.FAIL)
    found = reports(Verdict.FAIL)
    assert headline.stopped(stopped, found) == "stopped: roc_auc 0.512, limit >= 0.6"
    data, model = (one.model_copy(update={"accepted": ""}) for one in found.values())
    said = ((data, Verdict.WARN), (model, Verdict.FAIL))
    counted = [one for one, verdict in said if not run_incidents.is_overruled(one, verdict)]
    told = run_incidents.gate_failed(stopped, counted)
    assert [line.signal for line in told.evidence] == ["roc_auc at least 0.6"]


def test_a_report_that_is_lost_is_overruled_all_the_same() -> None:
    found = completed(accepted(), graph(SHA), {MODEL: reports()[MODEL]})
    lost = next(one for one in found if one.subject == DATA)
    assert (lost.verdict, lost.accepted) == (Verdict.WARN, SAID)


def test_without_a_model_gate_the_heading_does_not_say_that_the_data_passed() -> None:
    only = accepted().model_copy(update={"nodes": {DATA: done(1, Verdict.FAIL, report="r")}})
    found = {DATA: reports()[DATA]}
    assert headline.passed(only, found, None) == (
        f"no data gate passed; no model gate; flights {SAID}"
    )


def test_data_that_is_read_at_its_last_good_version_is_named_with_that_which_failed() -> None:
    older = Fallback(
        dataset="flights",
        version=FLIGHTS,
        failed=digest("flights of April"),
        run="flight-delay-11",
    )
    gates = {DATA: done(1, Verdict.PASS, report="r"), MODEL: done(2, Verdict.PASS, report="m")}
    one = run(SHA, gates, fallbacks=(older,))
    data = Report(gate="data", subject="flights")
    found = with_exceptions({DATA: data, MODEL: model_report(Verdict.PASS)}, (), (older,))
    said = f"flights is read at {short(FLIGHTS)}, the last version that passed its gate"
    assert found[DATA].notes == (f"{older}.",)
    text = build(action("passed", "passed"), one, graph(SHA), found).text
    assert text.count(said) == 2, "in the summary, and with its gate"
    assert f"as {short(older.failed)} failed it in flight-delay-11" in text
