"""The reports that reviewers see: stories of candidates, baselines and the rows they share."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.validators.model.tables import AUC_LIMIT, AUC_PAIRED, Bench, flights, one
from validators.model.request import NoBaseline
from validators.report import Location
from validators.verdict import Verdict

LIMIT = "roc_auc at least 0.6"
PAIRED = "roc_auc not worse than baseline by 0.01"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_equally_good_candidate_passes_with_its_evidence(bench: Bench) -> None:
    report = bench.judge(flights(noise=0.30), flights(noise=0.31))
    assert report.verdict is Verdict.PASS
    assert report.enforces
    check = one(report, PAIRED)
    assert check.n == 4000
    assert isinstance(check.observed, float)
    assert isinstance(check.baseline, float)
    assert check.difference == pytest.approx(check.observed - check.baseline)
    assert check.interval is not None
    assert check.difference is not None
    assert check.interval.low < check.difference < check.interval.high
    assert "4,000 rows" in check.message
    assert "95 % interval" in check.message


def test_a_worse_candidate_fails_and_the_report_says_by_how_much(bench: Bench) -> None:
    report = bench.judge(flights(noise=2.0), flights(noise=0.3))
    assert report.verdict is Verdict.FAIL
    check = one(report, PAIRED)
    assert check.verdict is Verdict.FAIL
    assert check.interval is not None
    assert check.interval.high < -0.01
    assert "worse by more than 0.01" in check.message
    assert check.next_step is not None


def test_an_undecided_comparison_says_about_how_many_more_rows_would_decide(bench: Bench) -> None:
    narrow = bench.asking({"metric": "roc_auc", "not_worse_than_baseline_by": 0.004})
    report = narrow.judge(flights(n=400, noise=0.8), flights(n=400, seed=1, noise=0.81))
    wide = narrow.judge(flights(n=400, noise=0.8), {**flights(n=400), "p": _other_noise(400)})
    assert report.verdict is Verdict.PASS
    assert wide.verdict is Verdict.INCONCLUSIVE
    check = wide.checks[1]
    assert "do not show" in check.message
    assert check.next_step is not None
    assert "more rows" in check.next_step


def _other_noise(n: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    risk = np.random.default_rng(1).normal(size=n)
    seen = risk + np.random.default_rng(77).normal(size=n) * 0.8
    return 1 / (1 + np.exp(1.2 - 1.5 * seen))


def test_a_candidate_below_its_own_limit_fails_whatever_the_baseline(bench: Bench) -> None:
    report = bench.asking({"metric": "roc_auc", "at_least": 0.95}).judge(flights(), flights())
    check = one(report, "roc_auc at least 0.95")
    assert check.verdict is Verdict.FAIL
    assert check.limit == ">= 0.95"


def test_a_loss_has_its_limit_above_and_its_gain_below(bench: Bench) -> None:
    losses = bench.asking(
        {"metric": "log_loss", "at_most": 0.6},
        {"metric": "log_loss", "not_worse_than_baseline_by": 0.01},
    )
    better = losses.judge(flights(noise=0.1), flights(noise=1.5))
    assert better.verdict is Verdict.PASS
    check = one(better, "log_loss not worse than baseline by 0.01")
    assert check.interval is not None
    assert check.interval.high < 0
    assert "better" in check.message
    assert losses.judge(flights(noise=1.5), flights(noise=0.1)).verdict is Verdict.FAIL


def test_a_check_that_only_warns_never_stops_the_candidate(bench: Bench) -> None:
    report = bench.asking(AUC_LIMIT, {**AUC_PAIRED, "severity": "warn"}).judge(
        flights(noise=2.0), flights(noise=0.3)
    )
    assert report.verdict is Verdict.WARN
    assert not one(report, PAIRED).blocks


def test_the_first_model_is_judged_by_its_own_limits_and_says_so(bench: Bench) -> None:
    report = bench.judge(flights())
    assert report.verdict is Verdict.PASS
    assert report.enforces
    assert one(report, PAIRED).verdict is Verdict.SKIPPED
    assert any("first model" in note for note in report.notes)


def test_a_first_model_without_limits_of_its_own_passes_a_gate_that_does_not_enforce(
    bench: Bench,
) -> None:
    report = bench.asking(AUC_PAIRED).judge(flights())
    assert report.verdict is Verdict.PASS
    assert not report.enforces
    assert any("No check of this gate can stop" in note for note in report.notes)


def test_a_baseline_that_could_not_run_is_inconclusive_and_says_why(bench: Bench) -> None:
    broken = NoBaseline(kind="could_not_run", reason="KeyError: 'wind_gust'")
    report = replace(bench, none_because=broken).judge(flights())
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.enforces
    assert one(report, LIMIT).verdict is Verdict.PASS
    assert "wind_gust" in one(report, PAIRED).message


def test_a_candidate_compared_with_itself_is_named_and_does_not_enforce(bench: Bench) -> None:
    report = replace(bench.asking(AUC_PAIRED), same_model=True).judge(flights(), flights())
    assert not report.enforces
    check = one(report, PAIRED)
    assert check.verdict is Verdict.SKIPPED
    assert "same digest" in check.message


def test_the_same_model_with_other_predictions_is_called_not_deterministic(bench: Bench) -> None:
    report = replace(bench, same_model=True).judge(flights(noise=0.3), flights(noise=0.4))
    assert any("not deterministic" in note for note in report.notes)


def test_equal_predictions_of_another_model_are_remarked_on(bench: Bench) -> None:
    report = bench.judge(flights(), flights())
    assert report.verdict is Verdict.PASS
    assert any("the same on every row" in note for note in report.notes)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: {**t, "p": np.where(t["id"] < 7, np.nan, t["p"])}, "7 rows whose p is empty"),
        (lambda t: {**t, "id": np.maximum(t["id"], 3)}, "3 rows with a duplicate key (id)"),
        (lambda t: {**t, "p": t["p"].astype(str)}, "expected a number"),
        (lambda t: {k: v for k, v in t.items() if k != "late"}, "no column late"),
        (lambda t: {**t, "late": t["id"] % 3}, "there are 0, 1 and 2"),
    ],
)
def test_predictions_that_cannot_be_judged_are_an_error_with_a_count(
    bench: Bench, spoil: object, words: str
) -> None:
    assert callable(spoil)
    report = bench.judge(spoil(flights()), flights())
    assert report.verdict is Verdict.ERROR
    assert words in one(report, "predictions").message
    assert one(report, LIMIT).verdict is Verdict.SKIPPED


def test_predictions_without_rows_decide_nothing(bench: Bench) -> None:
    empty = {name: values[:0] for name, values in flights().items()}
    assert bench.judge(empty, flights()).verdict is Verdict.INCONCLUSIVE


def test_rows_that_the_candidate_leaves_out_are_an_error_not_a_smaller_comparison(
    bench: Bench,
) -> None:
    some = {name: values[5:] for name, values in flights().items()}
    report = bench.judge(some, flights())
    assert report.verdict is Verdict.ERROR
    assert "5 keys of the baseline missing in the candidate" in one(report, PAIRED).message


def test_rows_that_the_baseline_leaves_out_leave_the_comparison_open(bench: Bench) -> None:
    some = {name: values[1:] for name, values in flights().items()}
    report = bench.judge(flights(), some)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "1 key of the candidate missing in the baseline" in one(report, PAIRED).message


def test_labels_that_differ_between_the_two_are_an_error(bench: Bench) -> None:
    other = flights()
    other["late"] = np.where(other["id"] < 9, ~other["late"], other["late"])
    report = bench.judge(flights(), other)
    assert report.verdict is Verdict.ERROR
    assert "disagree about the label of 9 rows" in one(report, PAIRED).message


def test_labels_of_one_class_leave_the_metric_undefined_never_passed(bench: Bench) -> None:
    early = {**flights(), "late": np.zeros(4000, dtype=bool)}
    report = bench.judge(early, early)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "all 4,000 labels are 0" in one(report, LIMIT).message


def test_too_few_rows_allow_no_comparison(bench: Bench) -> None:
    report = bench.judge(flights(n=60), flights(n=60))
    assert one(report, PAIRED).verdict is Verdict.INCONCLUSIVE
    assert "at least 100 are needed" in one(report, PAIRED).message
    assert one(report, LIMIT).verdict is Verdict.PASS


def test_scores_that_are_no_probabilities_are_an_error_for_a_loss(bench: Bench) -> None:
    scores = {**flights(), "p": flights()["p"] * 3}
    report = bench.asking({"metric": "log_loss", "at_most": 9}).judge(scores)
    assert report.verdict is Verdict.ERROR
    assert "no probabilities" in report.checks[1].message


def test_models_that_agree_on_every_row_of_a_small_sample_are_not_proven_equal(
    bench: Bench,
) -> None:
    accuracy = bench.asking({"metric": "accuracy", "not_worse_than_baseline_by": 0.001})
    few, many = flights(n=300), flights(n=9000)
    assert accuracy.judge(few, few).verdict is Verdict.INCONCLUSIVE
    assert accuracy.judge(many, many).verdict is Verdict.PASS


def test_a_regression_is_measured_in_the_unit_of_its_label(bench: Bench) -> None:
    source = np.random.default_rng(5)
    delay = source.normal(10, 30, 2000)
    good = {"id": np.arange(2000), "y": delay, "yhat": delay + source.normal(0, 5, 2000)}
    bad = {**good, "yhat": delay + source.normal(0, 9, 2000)}
    minutes = replace(bench, columns={"key": "id", "label": "y", "prediction": "yhat"}).asking(
        {"metric": "mean_absolute_error", "at_most": 6},
        {"metric": "root_mean_squared_error", "not_worse_than_baseline_by": 1},
        {"metric": "r2", "not_worse_than_baseline_by": 0.01},
    )
    assert minutes.judge(good, bad).verdict is Verdict.PASS
    assert minutes.judge(bad, good).verdict is Verdict.FAIL
    zero = {**good, "y": np.where(good["id"] == 0, 0.0, delay)}
    notes = [metric.note for metric in minutes.judge(zero).metrics]
    assert any(note and "1 labels are 0" in note for note in notes)


def test_classes_may_be_words(bench: Bench) -> None:
    words = np.array(["late", "on time", "cancelled"])
    truth = np.random.default_rng(3).choice(words, 1000)
    table = {"id": np.arange(1000), "y": truth, "yhat": np.roll(truth, 1)}
    report = replace(bench, columns={"key": "id", "label": "y", "prediction": "yhat"}).asking(
        {"metric": "accuracy", "not_worse_than_baseline_by": 0.05}
    )
    good = {**table, "yhat": np.where(table["id"] % 5, truth, np.roll(truth, 1))}
    assert report.judge(good, table).verdict is Verdict.PASS
    assert report.judge(table, good).verdict is Verdict.FAIL


def test_a_metric_of_another_task_is_an_error(bench: Bench) -> None:
    report = bench.asking(AUC_LIMIT, {"metric": "r2", "at_least": 0}).judge(flights())
    assert report.verdict is Verdict.ERROR
    assert "regression" in one(report, "r2 at least 0").message


def test_every_check_points_at_its_line_and_the_report_at_its_inputs(bench: Bench) -> None:
    lines = tuple(Location(file="ml-pipeline.yaml", line=line) for line in (40, 41))
    more = {"where": lines, "provenance": {"candidate": "sha256:ab"}}
    report = replace(bench, more=more).judge(flights(), flights())
    assert [check.where for check in report.checks[1:]] == list(lines)
    assert report.provenance == {"candidate": "sha256:ab"}


def test_the_usual_metrics_of_the_task_stand_beside_the_checked_ones(bench: Bench) -> None:
    report = bench.judge(flights(noise=0.3), flights(noise=0.5))
    shown = {metric.metric: metric for metric in report.metrics}
    assert next(iter(shown)) == "roc_auc"
    assert {"log_loss", "expected_calibration_error", "recall"} <= shown.keys()
    assert all(metric.baseline is not None for metric in shown.values())
    assert not shown["log_loss"].greater_is_better


def test_a_threshold_stands_in_for_predictions_and_the_report_states_it(bench: Bench) -> None:
    report = bench.asking({"metric": "recall", "at_least": 0.1}).judge(flights())
    assert "A score of 0.5 or more counts as class 1." in report.notes
