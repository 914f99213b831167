"""The task and the positive class: from the spec, or guessed and reported."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.validators.model.tables import Bench, one
from validators.report import Report
from validators.verdict import Verdict

COLUMNS = {"key": "id", "label": "y", "prediction": "yhat"}
ACCURACY = {"metric": "accuracy", "at_least": 0.85}
RECALL = {"metric": "recall", "at_least": 0.5}
PAIRED = {"metric": "accuracy", "not_worse_than_baseline_by": 0.02}
IDS = np.arange(1000)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, columns=COLUMNS, checks=(ACCURACY,))


def _two(negative: Any, positive: Any) -> dict[str, Any]:
    """A quarter is positive. Of the positive half is found, and nothing else taken for it."""
    label = np.where(IDS % 4 == 0, positive, negative)
    return {"id": IDS, "y": label, "yhat": np.where(IDS % 8 == 0, positive, negative)}


def _said(report: Report, words: str) -> str:
    found = [note for note in report.notes if words in note]
    return found[0] if found else ""


@pytest.mark.parametrize(
    ("negative", "positive"),
    [
        *[(0, 1), (-1, 1), (-1.0, 1.0), (False, True), ("0", "1"), ("-1", "1"), ("no", "yes")],
        *[("No", "Yes"), ("n", "y"), ("F", "T"), ("neg", "pos"), ("negative", "positive")],
    ],
)
def test_the_positive_class_of_two_that_all_know_is_found(
    bench: Bench, negative: Any, positive: Any
) -> None:
    report = bench.asking(RECALL).judge(_two(negative, positive), _two(negative, positive))
    assert one(report, "recall at least 0.5").observed == 0.5
    usual = str(negative) in ("0", "False")
    note = _said(report, "positive class")
    assert bool(note) is not usual
    assert usual or f"`positive: {str(positive).removesuffix('.0')}` under gates.model in" in note


@pytest.mark.parametrize(("one_", "other"), [(1, 2), (0, 2), ("cat", "dog"), ("yes", "maybe")])
def test_two_classes_of_which_nobody_knows_the_positive_one_ask_for_it(
    bench: Bench, one_: Any, other: Any
) -> None:
    report = bench.asking(RECALL).judge(_two(one_, other))
    assert report.verdict is Verdict.ERROR
    message = one(report, "predictions").message
    assert "`positive:` under gates.model in ml-pipeline.yaml" in message
    assert str(one_) in message
    assert str(other) in message
    stated = replace(bench, gate={"positive": other}).asking(RECALL)
    assert one(stated.judge(_two(one_, other)), "recall at least 0.5").observed == 0.5
    stated = replace(bench, gate={"positive": one_}).asking(RECALL)
    assert one(stated.judge(_two(one_, other)), "recall at least 0.5").observed == 1


@pytest.mark.parametrize(
    "classes", [(0, 1), (0, 2), (1, 2), (-1, 1), ("no", "yes"), ("cat", "dog")]
)
def test_an_accuracy_needs_no_positive_class_and_the_guess_is_said(
    bench: Bench, classes: tuple[Any, Any]
) -> None:
    report = bench.judge(_two(*classes))
    assert one(report, "accuracy at least 0.85").observed == 0.875
    note = _said(report, "The task was guessed to be ")
    low, high = sorted(map(str, classes))
    assert f"labels and predictions are {low} and {high}" in note
    assert "`task: " in note
    assert "under gates.model in ml-pipeline.yaml" in note


@pytest.mark.parametrize("third", [2, "unknown"])
def test_a_class_that_only_the_predictions_have_makes_it_multiclass(
    bench: Bench, third: Any
) -> None:
    table = _two(0, 1)
    table["yhat"] = [
        third if n < 10 else value for n, value in zip(IDS, table["yhat"], strict=True)
    ]
    if third == "unknown":
        table["yhat"] = [str(value) for value in table["yhat"]]
    report = bench.judge(table)
    assert report.verdict is Verdict.PASS
    note = _said(report, "The task was guessed to be multi-class classification")
    assert f"0, 1 and {third}" in note
    balanced = bench.asking({"metric": "balanced_accuracy", "at_least": 0.5})
    assert balanced.judge(table).verdict is Verdict.PASS


def test_the_task_is_that_of_both_models_together(bench: Bench) -> None:
    table = _two(0, 1)
    other = {**table, "yhat": np.where(IDS == 3, 2, table["yhat"])}
    report = bench.asking(ACCURACY, PAIRED).judge(table, other)
    assert report.verdict is Verdict.PASS
    assert "0, 1 and 2" in _said(report, "The task was guessed to be multi-class")
    assert not _said(report, "the same on every row")


def test_a_slice_has_the_task_of_the_whole(bench: Bench) -> None:
    label = np.where(IDS < 500, IDS % 2, IDS % 3)
    table = {"id": IDS, "y": label, "yhat": label, "region": np.where(IDS < 500, "a", "b")}
    each = bench.asking({"metric": "balanced_accuracy", "at_least": 0.9, "slice": "region"})
    report = each.judge(table)
    check = one(report, "balanced_accuracy at least 0.9, each region")
    assert (check.verdict, check.n) == (Verdict.PASS, 1000)
    one_class = np.where(IDS < 500, 1, IDS % 2)
    report = each.judge({**table, "y": one_class, "yhat": one_class})
    small = [check for check in report.checks if check.subject == "region=a"]
    assert "0 labels are 0, at least 10 are needed" in small[0].message


def test_a_stated_task_is_not_guessed(bench: Bench) -> None:
    stated = replace(bench, gate={"task": "multiclass"})
    report = stated.judge(_two(0, 1))
    assert one(report, "accuracy at least 0.85").observed == 0.875
    assert not _said(report, "guessed")
    assert "recall" not in {metric.metric for metric in report.metrics}
    report = replace(bench, gate={"task": "binary", "positive": "yes"}).judge(_two("no", "yes"))
    assert not _said(report, "guessed")
    assert not _said(report, "positive class")
    assert "recall" in {metric.metric for metric in report.metrics}


def test_a_stated_positive_class_says_that_there_are_two(bench: Bench) -> None:
    report = replace(bench, gate={"positive": "dog"}).judge(_two("cat", "dog"))
    assert {m.metric: m.candidate for m in report.metrics}["recall"] == 0.5
    assert not _said(report, "guessed")


@pytest.mark.parametrize(
    ("positive", "classes"),
    [
        *[(one_, (0, 1)) for one_ in (1, 1.0, "1", True, "01")],
        *[
            ("true", (False, True)),
            (True, ("False", "True")),
            (1, ("0", "1")),
            ("01", ("00", "01")),
        ],
    ],
)
def test_a_positive_class_is_stated_by_value(
    bench: Bench, positive: Any, classes: tuple[Any, Any]
) -> None:
    stated = replace(bench, gate={"positive": positive}).asking(RECALL)
    assert one(stated.judge(_two(*classes)), "recall at least 0.5").observed == 0.5


@pytest.mark.parametrize(("positive", "classes"), [("late", ("no", "yes")), (2, (0, 1))])
def test_a_positive_class_that_never_occurs_is_an_error_that_lists_what_does(
    bench: Bench, positive: Any, classes: tuple[Any, Any]
) -> None:
    report = replace(bench, gate={"positive": positive}).judge(_two(*classes))
    assert report.verdict is Verdict.ERROR
    message = one(report, "predictions").message
    assert f"`positive: {positive}`" in message
    assert f"there are {classes[0]} and {classes[1]}" in message


def test_a_third_value_in_binary_classification_is_named(bench: Bench) -> None:
    table = _two("no", "yes")
    table["yhat"] = np.where(IDS < 3, "maybe", table["yhat"])
    binary = replace(bench, gate={"task": "binary"})
    message = one(binary.judge(table), "predictions").message
    assert "there are maybe, no and yes" in message
    assert "`task: multiclass`" in message
    paired = replace(binary, checks=(ACCURACY, PAIRED))
    report = paired.judge(_two("no", "yes"), table)
    assert report.verdict is Verdict.INCONCLUSIVE
    check = one(report, "accuracy not worse than baseline by 0.02")
    assert "the prediction has values other than no and yes: maybe" in check.message


def test_scores_of_words_count_for_the_positive_one(bench: Bench) -> None:
    table = _two("no", "yes")
    score = np.where(table["yhat"] == "yes", 0.9, 0.1)
    scored = replace(bench, columns={"key": "id", "label": "y", "score": "p"})
    report = scored.asking({"metric": "roc_auc", "at_least": 0.5}, RECALL).judge(
        {"id": IDS, "y": table["y"], "p": score}
    )
    assert one(report, "recall at least 0.5").observed == 0.5
    assert one(report, "roc_auc at least 0.5").observed == 0.75
    assert "A score of 0.5 or more counts as class yes." in report.notes
    report = scored.judge({"id": IDS, "y": _two(0, 1)["y"], "p": score})
    assert "there are scores, and no column of predictions" in _said(report, "guessed")


def test_one_class_alone_leaves_open_what_needs_both(bench: Bench) -> None:
    only: Mapping[str, Any] = {"id": IDS, "y": ["no"] * 1000, "yhat": ["no"] * 1000}
    report = bench.asking(RECALL).judge(only)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "no label is yes" in one(report, "recall at least 0.5").message


def test_a_label_of_numbers_without_end_is_no_class(bench: Bench) -> None:
    table = {"id": IDS, "y": IDS / 7, "yhat": IDS / 7}
    message = one(bench.judge(table), "predictions").message
    assert "1,000 classes; at most 100" in message
    message = one(bench.asking(RECALL).judge(table), "predictions").message
    assert "1,000 different values" in message


def test_names_of_classes_are_printable_and_bounded(bench: Bench) -> None:
    table = _two("x" * 500, "bell\x07|")
    message = one(bench.asking(RECALL).judge(table), "predictions").message
    assert "bell?|" in message
    assert "x" * 61 not in message


def test_a_metric_that_does_not_fit_the_stated_task_is_an_error(bench: Bench) -> None:
    report = replace(bench, gate={"task": "multiclass"}).asking(RECALL).judge(_two(0, 1))
    check = one(report, "recall at least 0.5")
    assert check.verdict is Verdict.ERROR
    assert "measures binary classification, and this is multi-class" in check.message
