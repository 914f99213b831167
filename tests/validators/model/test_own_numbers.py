"""The team's own numbers: each can be checked, none is trusted to be a number."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from specs.gates import ModelGate
from tests.validators.model.tables import AUC_LIMIT, flights, one, write
from validators.model.gate import judge
from validators.model.own_metric_files import MOST_BYTES
from validators.model.request import BaselineNumbers, ModelGateRequest, NoBaseline, NoCandidate
from validators.report import Report
from validators.verdict import Verdict

FIRST = NoBaseline(kind="first_model")
MAP = {"metric": "metrics.map", "at_least": 0.4}
PAIRED = {"metric": "metrics.map", "not_worse_than_baseline_by": 0.01, "better": "higher"}
PAIRED_NAME = "metrics.map not worse than baseline by 0.01"
NESTED = {
    "map": 0.41,
    "per_class": {"cat": 0.3, "weighted avg": {"f1-score": 0.7}},
    "latency": {"p95": 12.5},
    "rows": 1200,
}


class Desk:
    """A folder with the files that steps wrote, and the request about them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, name: str, holds: object) -> Path:
        """Bytes and text as they are, anything else as JSON."""
        path = self.folder / name
        text = holds if isinstance(holds, bytes | str) else json.dumps(holds)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def judge(
        self,
        ours: object,
        *checks: Mapping[str, Any],
        theirs: object = None,
        none: NoBaseline = FIRST,
        **more: Any,
    ) -> Report:
        gate = {"metrics": "steps.evaluate.metrics", "checks": list(checks), **more.pop("gate", {})}
        baseline: BaselineNumbers | NoBaseline = none
        if theirs is not None:
            baseline = BaselineNumbers(path=self.file("theirs", theirs), subject="v6")
        return judge(
            ModelGateRequest(
                subject="ranker 7",
                numbers=ours if isinstance(ours, NoCandidate) else self.file("ours", ours),
                baseline=none,
                baseline_numbers=baseline,
                gate=ModelGate.model_validate(gate),
                resamples=200,
                **more,
            )
        )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("check", "verdict", "words"),
    [
        ({"metric": "metrics.map", "at_least": 0.4}, "PASS", "metrics.map is 0.41"),
        ({"metric": "metrics.map", "at_least": 0.42}, "FAIL", "the limit is >= 0.42"),
        ({"metric": "metrics.per_class.cat", "at_least": 0.3}, "PASS", "is 0.3"),
        ({"metric": "metrics.latency.p95", "at_most": 12}, "FAIL", "the limit is <= 12"),
        ({"metric": "metrics.per_class.weighted avg.f1-score", "at_least": 0.5}, "PASS", "0.7"),
        ({"metric": "metrics.rows", "at_least": 1000, "at_most": 2000}, "PASS", "1,200"),
        ({"metric": "metrics.map", "at_least": 0.5, "severity": "warn"}, "WARN", "0.41"),
    ],
)
def test_every_number_of_the_file_can_be_held_to_a_limit(
    desk: Desk, check: dict[str, Any], verdict: str, words: str
) -> None:
    report = desk.judge(NESTED, check)
    assert report.verdict == verdict
    assert words in report.checks[1].message
    assert report.checks[1].interval is None
    assert any("no interval" in note for note in report.notes)


@pytest.mark.parametrize(
    ("ours", "theirs", "better", "verdict", "words"),
    [
        (0.42, 0.41, "higher", "PASS", "0.41 → 0.42, difference +0.01: better"),
        (0.40, 0.41, "higher", "PASS", "worse by no more than 0.01"),
        (0.39, 0.40, "higher", "PASS", "worse by no more than 0.01"),
        (0.389, 0.40, "higher", "FAIL", "worse by more than 0.01"),
        (0.41, 0.41, "lower", "PASS", "the same"),
        (0.42, 0.41, "lower", "PASS", "worse by no more than 0.01"),
        (0.43, 0.41, "lower", "FAIL", "worse by more than 0.01"),
        (0.30, 0.41, "lower", "PASS", "better"),
        (3, 5, "lower", "PASS", "better"),
    ],
)
def test_a_number_is_compared_with_the_baselines_exactly_as_both_are_written(
    desk: Desk, ours: float, theirs: float, better: str, verdict: str, words: str
) -> None:
    check = {**PAIRED, "better": better}
    report = desk.judge({"map": ours}, check, theirs={"map": theirs})
    found = one(report, PAIRED_NAME)
    assert (report.verdict, found.verdict) == (verdict, verdict)
    assert words in found.message
    assert "the team's own number, without an interval" in found.message
    assert report.baseline == "v6"
    assert report.metrics[0].greater_is_better is (better == "higher")


NO_NUMBER = [
    ({"mep": 0.5}, "ERROR", "did you mean `metrics.mep`"),
    ({"loss": 0.5}, "ERROR", "the file has no `map`; it has loss"),
    ({"map": {"mean": 0.5}}, "ERROR", "`map` is an object; name a value in it, such as"),
    ({"map": "0.9"}, "ERROR", "text for it, expected a number"),
    ({"map": True}, "ERROR", "true or false for it, expected a number"),
    ({"map": [0.9]}, "ERROR", "a list for it, expected a number"),
    ({"map": None}, "INCONCLUSIVE", "wrote null for it"),
    ('{"map": NaN}', "INCONCLUSIVE", "wrote NaN for it"),
    ('{"map": Infinity}', "INCONCLUSIVE", "wrote Infinity for it"),
    ('{"map": 1e999}', "INCONCLUSIVE", "wrote Infinity for it"),
    ('{"map": 1' + "0" * 400 + "}", "ERROR", "too large"),
]
NO_NUMBERS = [
    ("", "INCONCLUSIVE", "the file is empty"),
    ("map: 0.9", "ERROR", "the file is not JSON: Expecting value (line 1, column 1)"),
    ('{"map": 0.9}\n{"map": 0.8}', "ERROR", "Extra data (line 2, column 1)"),
    (b"\xff\xfe\x00{", "ERROR", "the file is not JSON"),
    ([{"map": 0.9}], "ERROR", "the file holds a list, expected an object of numbers"),
    ("0.9", "ERROR", "the file holds a number, expected an object"),
    ('{"map": 0.9, "map": 0.1}', "ERROR", "holds `map` twice"),
    (
        '{"a": {"b": 1}, "a.b": 2, "map": 0.9}',
        "ERROR",
        "two values in the file have the name `a.b`",
    ),
    ('{"map": ' + "9" * 5000 + "}", "ERROR", "too many digits"),
    ("[" * 100_000, "ERROR", "nested too deeply"),
    (b'{"map": 0.9' + b" " * MOST_BYTES + b"}", "ERROR", "more than 8 MiB"),
]


@pytest.mark.parametrize("check", [MAP, PAIRED])
@pytest.mark.parametrize(("holds", "verdict", "words"), NO_NUMBER)
def test_what_is_no_number_never_passes_and_says_what_it_is(
    desk: Desk, holds: object, verdict: str, words: str, check: dict[str, Any]
) -> None:
    report = desk.judge(holds, check, theirs={"map": 0.1})
    assert report.verdict == verdict
    assert words in report.checks[1].message
    assert "??" not in report.checks[1].message


@pytest.mark.parametrize(("holds", "verdict", "words"), NO_NUMBERS)
def test_a_file_that_holds_no_numbers_is_told_and_its_checks_are_not_answered(
    desk: Desk, holds: object, verdict: str, words: str
) -> None:
    report = desk.judge(holds, MAP, PAIRED, theirs={"map": 0.1})
    assert report.verdict == verdict
    assert words in one(report, "metrics").message
    assert [check.verdict for check in report.checks[1:]] == [Verdict.SKIPPED] * 2


@pytest.mark.parametrize("holds", [case[0] for case in (*NO_NUMBER, *NO_NUMBERS)])
def test_what_the_baseline_has_not_got_leaves_the_comparison_open(
    desk: Desk, holds: object
) -> None:
    report = desk.judge({"map": 0.9}, MAP, PAIRED, theirs=holds)
    assert one(report, "metrics.map at least 0.4").verdict is Verdict.PASS
    assert one(report, PAIRED_NAME).verdict is Verdict.INCONCLUSIVE
    assert one(report, PAIRED_NAME).observed == 0.9


def test_a_first_model_has_nobody_to_be_compared_with(desk: Desk) -> None:
    report = desk.judge({"map": 0.9}, PAIRED)
    assert one(report, PAIRED_NAME).verdict is Verdict.SKIPPED
    assert not report.enforces
    assert any("No check of this gate can stop" in note for note in report.notes)
    assert desk.judge({"map": 0.9}, PAIRED, MAP).enforces


def test_a_baseline_that_wrote_no_numbers_leaves_it_open_and_says_what_to_do(desk: Desk) -> None:
    none = NoBaseline(kind="could_not_run", reason="the spec of v3 has no `gates.model.metrics`")
    check = one(desk.judge({"map": 0.9}, PAIRED, none=none), PAIRED_NAME)
    assert check.verdict is Verdict.INCONCLUSIVE
    assert "the spec of v3 has no `gates.model.metrics`" in check.message
    assert check.next_step is not None
    assert "severity: warn" in check.next_step


def test_the_model_in_production_is_never_worse_than_itself(desk: Desk) -> None:
    report = desk.judge({"map": 0.1}, PAIRED, theirs={"map": 0.9}, same_model=True)
    assert one(report, PAIRED_NAME).verdict is Verdict.SKIPPED
    assert any("not deterministic" in note for note in report.notes)
    assert not report.enforces


@pytest.mark.parametrize(
    ("kind", "verdict"), [("missing", Verdict.ERROR), ("could_not_run", Verdict.INCONCLUSIVE)]
)
def test_a_candidate_without_numbers_does_not_pass(desk: Desk, kind: Any, verdict: Verdict) -> None:
    report = desk.judge(NoCandidate(kind=kind, reason="no step writes them"), MAP)
    assert report.verdict is verdict
    assert one(report, "metrics.map at least 0.4").verdict is Verdict.SKIPPED


def test_numbers_and_predictions_are_judged_together(desk: Desk, tmp_path: Path) -> None:
    gate = {
        "predictions": "steps.evaluate.rows",
        "columns": {"key": "id", "label": "late", "score": "p"},
    }
    rows = write(tmp_path / "rows", flights())
    good = desk.judge({"map": 0.9}, AUC_LIMIT, MAP, gate=gate, candidate=rows)
    assert good.verdict is Verdict.PASS
    assert {check.name for check in good.checks} == {
        *("predictions", "metrics", "roc_auc at least 0.6", "metrics.map at least 0.4")
    }
    assert [each.metric for each in good.metrics][:2] == ["metrics.map", "roc_auc"]
    bad = desk.judge({"map": 0.1}, AUC_LIMIT, MAP, gate=gate, candidate=rows)
    assert bad.verdict is Verdict.FAIL
    assert one(bad, "roc_auc at least 0.6").verdict is Verdict.PASS
    broken = desk.judge("?", AUC_LIMIT, MAP, gate=gate, candidate=rows)
    assert broken.verdict is Verdict.ERROR
    assert one(broken, "roc_auc at least 0.6").verdict is Verdict.PASS


def test_other_numbers_of_the_file_are_shown_beside_those_that_are_checked(desk: Desk) -> None:
    report = desk.judge(NESTED, MAP, theirs=NESTED)
    assert [(each.metric, each.checked) for each in report.metrics][:2] == [
        ("metrics.map", True),
        ("metrics.per_class.cat", False),
    ]
    many = {f"n{number}": number for number in range(500)} | {"map": 0.5}
    assert len(desk.judge(many, MAP).metrics) == 21
