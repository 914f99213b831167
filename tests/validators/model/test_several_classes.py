"""Several classes with text labels: the value of each metric, and what cannot be judged."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from specs.metrics import METRICS, Task
from tests.validators.model.tables import Bench, one
from validators.model.measure import EvaluatedRows, UndefinedMetric, measure
from validators.model.resample import Weights
from validators.model.study import Measurement, Subset, study
from validators.model.weighted import weighted
from validators.report import Check, MetricComparison, Report
from validators.verdict import Verdict

SPECIES = np.array(["adelie", "chinstrap", "gentoo"])
COLUMNS = {"key": "id", "label": "species", "prediction": "said", "scores": "p_*"}
MACRO = {"metric": "f1_macro", "at_least": 0.5}
LOSS = {"metric": "log_loss", "not_worse_than_baseline_by": 0.05}


def penguins(noise: float = 0.8, n: int = 900, seed: int = 3) -> dict[str, Any]:
    """A model that sees each species with noise; the same seed gives the same rows and labels."""
    source = np.random.default_rng(seed)
    code = source.choice(3, n, p=[0.5, 0.2, 0.3])
    island = np.where(code == 2, "Biscoe", source.choice(["Dream", "Torgersen"], n))
    seen = np.eye(3)[code] * 3 + np.random.default_rng(seed + 9).normal(size=(n, 3)) * noise * 2
    scores = np.exp(seen) / np.exp(seen).sum(axis=1, keepdims=True)
    found = {"id": np.arange(n), "species": SPECIES[code], "island": island}
    found["said"] = SPECIES[scores.argmax(axis=1)]
    return found | {f"p_{name}": scores[:, at] for at, name in enumerate(SPECIES)}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, columns=COLUMNS, checks=(MACRO, LOSS))


def scores_of(rows: Mapping[str, Any]) -> NDArray[np.float64]:
    return np.stack([rows[f"p_{name}"] for name in SPECIES], axis=1)


def by_scikit_learn(rows: Mapping[str, Any]) -> dict[str, float]:
    """Every metric for several classes, from text labels."""
    label, said, scores = rows["species"], rows["said"], scores_of(rows)
    found = {
        f"{kind}_{average}": of(label, said, average=average, zero_division=0)
        for kind, of in (
            ("f1", sk.f1_score),
            ("precision", sk.precision_score),
            ("recall", sk.recall_score),
        )
        for average in ("macro", "weighted")
    }
    return found | {
        "accuracy": sk.accuracy_score(label, said),
        "balanced_accuracy": sk.balanced_accuracy_score(label, said),
        "log_loss": sk.log_loss(label, scores, labels=SPECIES),
        "roc_auc_ovr": sk.roc_auc_score(label, scores, multi_class="ovr", labels=SPECIES),
        "roc_auc_ovr_weighted": sk.roc_auc_score(
            label, scores, multi_class="ovr", average="weighted", labels=SPECIES
        ),
    }


def measured(report: Report, metric: str) -> MetricComparison:
    return next(each for each in report.metrics if each.metric == metric)


def test_every_metric_of_several_classes_is_that_of_scikit_learn(bench: Bench) -> None:
    rows = penguins()
    expected = by_scikit_learn(rows)
    assert expected.keys() == {n for n, of in METRICS.items() if Task.MULTICLASS in of.tasks}
    asked = [{"metric": name, "at_least": 0} for name in expected]
    report = bench.asking(*asked).judge(rows, penguins(noise=1.0))
    for name, value in expected.items():
        assert measured(report, name).candidate == pytest.approx(value), name
        assert measured(report, name).interval is not None, name
    assert not any("guessed" in note for note in report.notes)


def test_a_model_that_is_as_good_passes_and_a_worse_one_does_not(bench: Bench) -> None:
    assert bench.judge(penguins(0.8), penguins(0.82)).verdict is Verdict.PASS
    worse = bench.judge(penguins(2.0), penguins(0.8))
    assert worse.verdict is Verdict.FAIL
    check = one(worse, "log_loss not worse than baseline by 0.05")
    assert check.verdict is Verdict.FAIL
    assert check.interval is not None


def test_without_predictions_the_class_with_the_highest_score_is_the_predicted_one(
    bench: Bench,
) -> None:
    rows = penguins()
    columns = {name: of for name, of in COLUMNS.items() if name != "prediction"}
    report = replace(bench, columns=columns).judge(rows)
    assert one(report, "f1_macro at least 0.5").observed == pytest.approx(
        by_scikit_learn(rows)["f1_macro"]
    )
    assert "The class with the highest score counts as predicted." in report.notes


def test_columns_whose_names_are_not_the_classes_are_named_one_by_one(bench: Bench) -> None:
    rows = penguins()
    named = {f"s{at}": rows.pop(f"p_{name}") for at, name in enumerate(SPECIES)}
    by_class: Any = {**COLUMNS, "scores": {name: f"s{at}" for at, name in enumerate(SPECIES)}}
    report = (
        replace(bench, columns=by_class)
        .asking({"metric": "log_loss", "at_most": 2})
        .judge(rows | named)
    )
    assert one(report, "log_loss at most 2").observed == pytest.approx(
        by_scikit_learn(penguins())["log_loss"]
    )


def test_classes_that_are_numbers_find_their_columns(bench: Bench) -> None:
    rows = penguins()
    code = {name: at for at, name in enumerate(SPECIES.tolist())}
    for name in ("species", "said"):
        rows[name] = np.array([code[each] for each in rows[name]])
    rows |= {f"p_{at}": rows.pop(f"p_{name}") for at, name in enumerate(SPECIES)}
    report = bench.asking(MACRO, {"metric": "roc_auc_ovr", "at_least": 0.5}).judge(rows)
    expected = by_scikit_learn(penguins())
    assert measured(report, "roc_auc_ovr").candidate == pytest.approx(expected["roc_auc_ovr"])
    assert measured(report, "f1_macro").candidate == pytest.approx(expected["f1_macro"])


# -- what cannot be judged -------------------------------------------------------------------------


def _without(rows: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: of for name, of in rows.items() if name not in names}


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (
            _without(penguins(), "p_gentoo"),
            "gentoo is a label without a score column; there are score columns for adelie and",
        ),
        (_without(penguins(), "p_gentoo", "p_adelie"), "1 is named p_*"),
        (_without(penguins(), *(f"p_{name}" for name in SPECIES)), "0 are named p_*"),
        (penguins() | {"p_gentoo": np.full(900, "high")}, "p_gentoo is of type string"),
        (penguins() | {"p_gentoo": np.full(900, np.nan)}, "900 rows whose p_gentoo is empty, NaN"),
        (penguins() | {"species": np.arange(900) % 3}, "no value is in both"),
    ],
)
def test_scores_that_do_not_go_with_the_labels_are_an_error_that_names_them(
    bench: Bench, broken: dict[str, Any], words: str
) -> None:
    report = bench.judge(broken)
    assert report.verdict is Verdict.ERROR
    assert words in one(report, "predictions").message


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([0.5, 0.5, 0.5], "the scores of 900 rows do not sum to 1 (from 1.5 to 1.5)"),
        ([1.2, -0.1, -0.1], "900 rows have scores outside 0 to 1"),
    ],
)
def test_scores_that_are_no_probabilities_have_no_loss_and_still_rank(
    bench: Bench, scores: list[float], words: str
) -> None:
    rows = penguins() | {f"p_{name}": np.full(900, scores[at]) for at, name in enumerate(SPECIES)}
    report = bench.asking(
        {"metric": "log_loss", "at_most": 9}, {"metric": "roc_auc_ovr", "at_least": 0.4}
    ).judge(rows)
    assert words in one(report, "log_loss at most 9").message
    assert one(report, "log_loss at most 9").verdict is Verdict.ERROR
    assert one(report, "roc_auc_ovr at least 0.4").observed == 0.5


def test_probabilities_that_were_rounded_to_two_digits_are_probabilities(bench: Bench) -> None:
    rows = penguins()
    rows |= {f"p_{name}": rows[f"p_{name}"].round(2) for name in SPECIES}
    limit = bench.asking({"metric": "log_loss", "at_most": 2})
    assert one(limit.judge(rows), "log_loss at most 2").verdict is Verdict.PASS


# -- classes that are not there --------------------------------------------------------------------


def _in_slices(report: Report, metric: str) -> dict[str, Check]:
    return {c.subject: c for c in report.checks if c.name.startswith(metric) and c.subject}


def test_a_slice_without_a_class_has_no_area_and_the_f1_that_scikit_learn_gives(
    bench: Bench,
) -> None:
    """There is no gentoo outside Biscoe, and nothing else there."""
    rows = penguins(noise=0.9, n=2400)
    asked = [
        {"metric": name, "at_least": 0.9999, "slice": "island"}
        for name in ("roc_auc_ovr", "f1_macro", "log_loss")
    ]
    report = replace(bench, slices=("island",)).asking(*asked).judge(rows)
    areas = _in_slices(report, "roc_auc_ovr at least")
    assert areas["island=Dream"].verdict is Verdict.INCONCLUSIVE
    assert "no label is gentoo, which has scores" in areas["island=Dream"].message
    assert "labels are gentoo" in areas["island=Biscoe"].message
    of_slice = {name: values[rows["island"] == "Dream"] for name, values in rows.items()}
    there = _in_slices(report, "f1_macro at least")["island=Dream"]
    assert there.observed == pytest.approx(
        sk.f1_score(of_slice["species"], of_slice["said"], average="macro")
    )


def test_a_class_that_no_label_has_leaves_only_the_area_open(bench: Bench) -> None:
    rows = penguins()
    kept = rows["species"] != "gentoo"
    rows = {name: values[kept] for name, values in rows.items()}
    asked = ({"metric": "roc_auc_ovr", "at_least": 0.1}, {"metric": "log_loss", "at_most": 9})
    report = bench.asking(*asked, MACRO, {"metric": "roc_auc_ovr_weighted", "at_least": 0.1}).judge(
        rows
    )
    assert one(report, "roc_auc_ovr at least 0.1").verdict is Verdict.INCONCLUSIVE
    assert one(report, "roc_auc_ovr_weighted at least 0.1").verdict is Verdict.PASS
    assert one(report, "log_loss at most 9").observed == pytest.approx(
        sk.log_loss(rows["species"], scores_of(rows), labels=SPECIES)
    )


def test_a_new_class_that_the_baseline_never_saw_does_not_stop_who_knows_it(bench: Bench) -> None:
    theirs = penguins()
    two = theirs["p_adelie"] + theirs["p_chinstrap"]
    old = _without(theirs, "p_gentoo")
    old |= {name: theirs[name] / two for name in ("p_adelie", "p_chinstrap")}
    old["said"] = np.where(old["p_adelie"] > 0.5, "adelie", "chinstrap")
    report = bench.judge(penguins(), old)
    assert one(report, "log_loss not worse than baseline by 0.05").verdict is Verdict.PASS
    assert "The baseline has no scores for gentoo; they count as 0." in report.notes


def test_a_mean_over_classes_is_not_compared_where_one_has_a_handful_of_labels(
    bench: Bench,
) -> None:
    ours, theirs = penguins(), penguins(0.9)
    rare = np.where(np.arange(900) < 6, "chinstrap", np.where(ours["id"] % 2, "adelie", "gentoo"))
    report = bench.asking({"metric": "f1_macro", "not_worse_than_baseline_by": 0.5}).judge(
        ours | {"species": rare}, theirs | {"species": rare}
    )
    check = one(report, "f1_macro not worse than baseline by 0.5")
    assert check.verdict is Verdict.INCONCLUSIVE
    assert "6 labels are chinstrap, at least 10 are needed" in check.message


# -- against scikit-learn, whatever the rows -------------------------------------------------------

few_rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2), st.integers(0, 10_000)),
    min_size=1,
    max_size=40,
)


def _outcome(rows: list[tuple[int, int, int, int]]) -> tuple[EvaluatedRows, NDArray[np.uint8]]:
    label, said, weight, seed = np.array(rows).T
    scores = np.random.default_rng(int(seed.sum())).dirichlet(np.ones(4), len(rows)).round(2)
    outcome = EvaluatedRows(
        Task.MULTICLASS,
        label.astype(np.float64),
        said=said.astype(np.float64),
        scores=scores / scores.sum(axis=1, keepdims=True),
        scored=(0, 1, 2, 3),
        names=("a", "b", "c", "d"),
    )
    return outcome, weight.astype(np.uint8)


@settings(deadline=None)
@given(few_rows)
def test_each_has_scikit_learns_value_or_none_and_so_do_its_replicates(
    rows: list[tuple[int, int, int, int]],
) -> None:
    outcome, weight = _outcome(rows)
    assert outcome.said is not None
    repeated = outcome.take(np.repeat(np.arange(len(rows)), weight))
    for average in ("macro", "weighted"):
        for kind, of in (("f1", sk.f1_score), ("recall", sk.recall_score)):
            expected = of(outcome.label, outcome.said, average=average, zero_division=0)
            assert measure(f"{kind}_{average}", outcome) == pytest.approx(expected)
    for name in ("f1_macro", "f1_weighted", "precision_macro", "log_loss", "roc_auc_ovr"):
        try:
            there, again = measure(name, outcome), measure(name, repeated)
        except UndefinedMetric:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            once, many = weighted(name, outcome)(Weights(np.stack([np.ones_like(weight), weight])))
        assert once == pytest.approx(there), name
        assert np.isnan(many) or many == pytest.approx(again), name


COVERED = ("f1_macro", "log_loss", "roc_auc_ovr", "precision_macro")


def _two_models(source: np.random.Generator, n: int) -> list[EvaluatedRows]:
    label = source.choice(3, n, p=[0.6, 0.15, 0.25])
    seen = np.eye(3)[label] * 2 + source.normal(size=(n, 3))
    models = []
    for noise in (0.6, 0.8):
        scores = np.exp(seen + source.normal(size=(n, 3)) * noise)
        models.append(
            EvaluatedRows(
                Task.MULTICLASS,
                label.astype(np.float64),
                said=scores.argmax(axis=1).astype(np.float64),
                scores=scores / scores.sum(axis=1, keepdims=True),
                scored=(0, 1, 2),
                names=("a", "b", "c"),
            )
        )
    return models


def test_the_intervals_hold_the_true_difference_about_as_often_as_they_say() -> None:
    """150 samples of 300 rows; at 95%, 132 hits or fewer come up less than once in 1,000 times."""
    large = _two_models(np.random.default_rng(0), 200_000)
    truth = {name: METRICS[name].gain(*(measure(name, one) for one in large)) for name in COVERED}
    hits = dict.fromkeys(COVERED, 0)
    for trial in range(150):
        ours, theirs = _two_models(np.random.default_rng(trial + 1), 300)
        found = study(ours, theirs, [(Subset(), COVERED)], resamples=300, seed=trial)
        for name in COVERED:
            measurement = found[None, name]
            assert isinstance(measurement, Measurement)
            gain = measurement.gain(0.95)
            hits[name] += gain.low <= truth[name] <= gain.high
    assert min(hits.values()) > 132, hits
