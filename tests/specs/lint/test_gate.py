"""Lint of the model gate: its metrics and the evidence that they need."""

import pytest

from specs.lint.check import check
from specs.loading.problems import Problem
from specs.metrics import ALIASES, METRICS

SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: ranker}
datasets: {queries: {uri: "data/*.parquet"}}
steps:
  train:
    run: python train.py {inputs.queries} {outputs.model}
    inputs: {queries: datasets.queries}
    outputs: {model: model.json}
  evaluate:
    run: python evaluate.py {inputs.model} {inputs.queries} {outputs.rows} {outputs.metrics}
    inputs: {model: steps.train.model, queries: datasets.queries}
    outputs: {rows: rows.csv, metrics: metrics.json}
model: steps.train.model
gates:
  model:
"""
ROWS = "    predictions: steps.evaluate.rows\n    columns: {key: k, label: l, %s}\n"
NUMBERS = "    metrics: steps.evaluate.metrics\n"


def problems(gate: str, *checks: str) -> list[Problem]:
    asked = "".join(f"      - {{{each}}}\n" for each in checks)
    found = check(f"{SPEC}{gate}    checks:\n{asked}", "ml-pipeline.yaml").problems
    return [one for one in found if not one.message.startswith("the command of")]


@pytest.mark.parametrize(
    ("gate", "checks"),
    [
        (ROWS % "scores: p_*", ["metric: log_loss, at_most: 1", "metric: f1_macro, at_least: 0.5"]),
        (ROWS % "scores: {cat: c, 1: one}", ["metric: roc_auc_ovr, at_least: 0.5"]),
        (ROWS % "prediction: p", ["metric: f1_weighted, at_least: 0.5"]),
        (ROWS % "score: s", ["metric: log_loss, at_most: 1"]),
        (ROWS % "scores: p_*" + "    task: multiclass\n", ["metric: accuracy, at_least: 0.5"]),
        (NUMBERS, ["metric: metrics.map, at_least: 0.5"]),
        (NUMBERS, ["metric: metrics.weighted avg.f1-score, at_least: 0.5"]),
        (
            NUMBERS,
            ["metric: metrics.a.b, not_worse_than_baseline_by: 1, better: lower, severity: warn",
             "metric: metrics.a.c, at_most: 1"],
        ),
        (
            ROWS % "score: s" + NUMBERS,
            ["metric: roc_auc, at_least: 0.5", "metric: metrics.roc_auc, at_least: 0.5"],
        ),
    ],
)  # fmt: skip
def test_checks_with_their_evidence_have_no_problem(gate: str, checks: list[str]) -> None:
    assert problems(gate, *checks) == []


BETTER = "not_worse_than_baseline_by: 0.1"


@pytest.mark.parametrize(
    ("gate", "check_", "words", "near"),
    [
        (NUMBERS, f"metric: metrics.map, {BETTER}", "`better` is missing", None),
        (NUMBERS, f"metric: metrics.map, {BETTER}, better: lower, confidence: 0.9",
         "so `confidence` has no effect", None),
        (NUMBERS, "metric: metrics.map, at_least: 1, slice: lang", "sliced by `lang`", None),
        (NUMBERS, "metric: roc_auc, at_least: 0.5", "`gates.model.predictions`, which is missing",
         "metrics.roc_auc"),
        (ROWS % "score: s", "metric: metrics.roc_auc, at_least: 0.5",
         "`gates.model.metrics`, which is missing", "roc_auc"),
        (ROWS % "score: s" + NUMBERS, "metric: roc_auc, at_least: 0.5", "no check uses", None),
        (NUMBERS + "    slices: [lang]\n", "metric: metrics.map, at_least: 1",
         "`slices` applies to `gates.model.predictions`", None),
        (ROWS % "score: s", f"metric: roc_auc, {BETTER}, better: lower", "better when higher",
         None),
        (ROWS % "score: s", f"metric: roc_auc, {BETTER}, better: higher", "`better` out", None),
        (ROWS % "prediction: p", "metric: log_loss, at_most: 1",
         "log_loss needs `gates.model.columns.score` or `gates.model.columns.scores`", None),
        (ROWS % "scores: p_*", "metric: roc_auc, at_least: 0.5",
         "roc_auc needs `gates.model.columns.score`", None),
        (ROWS % "score: s", "metric: roc_auc_ovr, at_least: 0.5",
         "roc_auc_ovr needs `gates.model.columns.scores`", None),
        (ROWS % "scores: p_*" + "    task: binary\n", "metric: accuracy, at_least: 0.5",
         "`scores` is for several classes, but the task is binary", None),
        (ROWS % "scores: p", "metric: accuracy, at_least: 0.5", "wrong value for", None),
        (ROWS % "score: s, scores: p_*", "metric: accuracy, at_least: 0.5", "wrong value for",
         None),
        ("    predictions: steps.evaluate.rows\n", "metric: roc_auc, at_least: 0.5",
         "wrong value for `gates.model`", None),
        ("", "metric: metrics.map, at_least: 0.5", "wrong value for `gates.model`", None),
        ("    metrics: steps.evaluate.metric\n", "metric: metrics.map, at_least: 0.5",
         "there is no `steps.evaluate.metric` in this file", "steps.evaluate.metrics"),
        (NUMBERS, "metric: metrics., at_least: 1", "wrong value for", None),
        (NUMBERS, "metric: map, at_least: 1", "wrong value for", None),
    ],
)  # fmt: skip
def test_a_check_without_its_evidence_is_a_problem(
    gate: str, check_: str, words: str, near: str | None
) -> None:
    found = problems(gate, check_)
    assert len(found) == 1, found
    assert words in found[0].message
    if near:
        assert found[0].nearest == near


def test_numbers_have_to_come_from_the_model() -> None:
    deaf = SPEC.replace("{model: steps.train.model, queries", "{queries").replace(
        "{inputs.model} {inputs.queries} {outputs.rows}", "{inputs.queries} {outputs.rows}"
    )
    limit = f"{deaf}{NUMBERS}    checks: [{{metric: metrics.map, at_least: 1}}]\n"
    paired = limit.replace("at_least: 1", f"{BETTER}, better: lower")
    codes = [
        [one.code for one in check(text, "ml-pipeline.yaml").problems if one.severity == "error"]
        for text in (limit, paired)
    ]
    assert codes == [["another-model"], ["baseline"]]


@pytest.mark.parametrize("alias", ALIASES)
def test_a_foreign_name_of_a_metric_gets_the_right_name(alias: str) -> None:
    found = problems(ROWS % "prediction: p, score: s", f"metric: {alias}, at_least: 0.5")
    assert found[0].nearest == ALIASES[alias]
    assert alias not in METRICS
