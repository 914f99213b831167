"""The fast replicates equal the metrics, and their intervals have the right coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from specs.metrics import METRICS, Task
from validators.model.measure import EvaluatedRows, measure
from validators.model.resample import Weights, poisson_weights
from validators.model.study import Measurement, Subset, study
from validators.model.weighted import weighted

Floats = NDArray[np.float64]

rows_of_both_classes = (
    st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.integers(0, 5)), min_size=2)
    .map(lambda rows: np.array(rows, dtype=np.float64))
    # Scores of nine values tie often; every row of both classes weighs something somewhere.
    .filter(lambda rows: {0.0, 1.0} == set(rows[rows[:, 2] > 0, 0]))
)


@given(rows_of_both_classes)
def test_rank_metrics_under_weights_are_those_of_scikit_learn_ties_included(rows: Floats) -> None:
    label, score, weight = rows[:, 0], rows[:, 1] / 8, rows[:, 2]
    outcome = EvaluatedRows(Task.BINARY, label, score)
    weights = Weights(weight[None, :].astype(np.uint8))
    assert weighted("roc_auc", outcome)(weights)[0] == pytest.approx(
        sk.roc_auc_score(label, score, sample_weight=weight)
    )
    assert weighted("average_precision", outcome)(weights)[0] == pytest.approx(
        sk.average_precision_score(label, score, sample_weight=weight)
    )


def _outcome(task: Task, n: int = 300) -> EvaluatedRows:
    source = np.random.default_rng(2)
    if task is Task.REGRESSION:
        label = source.normal(5, 2, n)
        return EvaluatedRows(task, label, said=label + source.normal(size=n))
    classes = 2 if task is Task.BINARY else 4
    label = source.integers(0, classes, n).astype(np.float64)
    said = np.where(source.random(n) < 0.3, source.permutation(label), label)
    if task is Task.BINARY:
        return EvaluatedRows(task, label, source.random(n), said)
    scores = source.dirichlet(np.ones(classes), n)
    return EvaluatedRows(task, label, said=said, scores=scores, scored=tuple(range(classes)))


CASES = [(task, name) for name, metric in METRICS.items() for task in metric.tasks]


@pytest.mark.parametrize(("task", "name"), CASES)
def test_repeating_rows_is_what_weights_mean(task: Task, name: str) -> None:
    outcome = _outcome(task)
    counts = np.random.default_rng(4).integers(0, 4, len(outcome)).astype(np.uint8)
    once = np.ones_like(counts)
    values = weighted(name, outcome)(Weights(np.stack([once, counts])))
    repeated = outcome.take(np.repeat(np.arange(len(outcome)), counts))
    assert values[0] == pytest.approx(measure(name, outcome))
    assert values[1] == pytest.approx(measure(name, repeated))


def test_weights_are_poisson_and_follow_the_seed_alone() -> None:
    blocks = [weights.counts for weights in poisson_weights(20_000, 120, seed=9)]
    counts = np.concatenate(blocks)
    assert len(blocks) > 1
    assert counts.shape == (120, 20_000)
    assert counts.mean() == pytest.approx(1, abs=0.003)
    assert counts.var() == pytest.approx(1, abs=0.006)
    again = np.concatenate([weights.counts for weights in poisson_weights(20_000, 120, seed=9)])
    assert np.array_equal(counts, again)


def _compared(
    candidate: EvaluatedRows, baseline: EvaluatedRows, name: str, seed: int = 0
) -> Measurement:
    found = study(candidate, baseline, [(Subset(), [name])], resamples=300, seed=seed)[None, name]
    assert isinstance(found, Measurement)
    return found


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    name=st.sampled_from(["roc_auc", "log_loss", "brier_score", "accuracy", "balanced_accuracy"]),
)
def test_swapping_candidate_and_baseline_mirrors_the_interval(seed: int, name: str) -> None:
    source = np.random.default_rng(seed)
    label = (source.random(200) < 0.4).astype(np.float64)
    one, other = (
        EvaluatedRows(Task.BINARY, label, score, (score > 0.5).astype(np.float64))
        for score in (source.random(200), source.random(200))
    )
    there, back = _compared(one, other, name).gain(0.95), _compared(other, one, name).gain(0.95)
    assert there.value == pytest.approx(-back.value)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


@pytest.mark.parametrize("name", ["roc_auc", "accuracy"])
def test_the_interval_holds_the_true_difference_about_as_often_as_it_says(name: str) -> None:
    """150 samples of 300 rows; at 95%, 132 hits or fewer come up less than once in 1,000 times."""
    truth = _difference(*_two_models(np.random.default_rng(0), 200_000), name)
    hits = 0
    for trial in range(150):
        one, other = _two_models(np.random.default_rng(trial + 1), 300)
        gain = _compared(one, other, name, seed=trial).gain(0.95)
        hits += gain.low <= truth <= gain.high
    assert hits > 132


def test_the_standard_error_is_that_of_delong() -> None:
    """DeLong, DeLong and Clarke-Pearson, Comparing the Areas under ROC Curves, Biometrics 1988."""
    one, other = _two_models(np.random.default_rng(7), 3000)
    label = one.label == 1
    placed = [_placements(outcome.score, label) for outcome in (one, other)]
    variances = [
        float(np.var(ours - theirs, ddof=1)) / len(ours)
        for ours, theirs in zip(*placed, strict=True)
    ]
    found = study(one, other, [(Subset(), ["roc_auc"])], resamples=3000, seed=1)[None, "roc_auc"]
    assert isinstance(found, Measurement)
    assert found.gain(0.95).deviation == pytest.approx(sum(variances) ** 0.5, rel=0.05)


def _placements(score: Floats | None, label: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """For each positive the share of negatives below it, for each negative of positives above."""
    assert score is not None
    high, low = score[label], score[~label]
    above = high[:, None] > low
    return above.mean(axis=1), above.mean(axis=0)


def _difference(one: EvaluatedRows, other: EvaluatedRows, name: str) -> float:
    return METRICS[name].gain(measure(name, one), measure(name, other))


def _two_models(source: np.random.Generator, n: int) -> tuple[EvaluatedRows, EvaluatedRows]:
    risk = source.normal(size=n)
    label = (source.random(n) < 1 / (1 + np.exp(0.5 - 2 * risk))).astype(np.float64)
    seen = (risk + source.normal(size=n) * noise for noise in (0.4, 0.7))
    good, bad = (1 / (1 + np.exp(0.5 - 2 * one)) for one in seen)
    return (
        EvaluatedRows(Task.BINARY, label, good, (good > 0.5).astype(np.float64)),
        EvaluatedRows(Task.BINARY, label, bad, (bad > 0.5).astype(np.float64)),
    )
