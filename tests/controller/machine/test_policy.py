"""Which changes of the rules loosen them."""

import pytest

from controller.machine.pipelines.policy import changes
from controller.machine.runs.graph import Rules
from specs.lint import check
from tests.controller.cli.seeds import SPEC
from tests.controller.machine.kit import source

FULL = SPEC.replace(
    "release:\n",
    "release:\n  staging: {smoke: [{get: /healthz}, {post: /predict}]}\n",
).replace(
    "production: {canary: {steps: [5%, 50%], minimum_bake: 1m}}",
    "production: {approval: pull-request, canary: {steps: [5%, 50%], minimum_bake: 1m, "
    "on_inconclusive: rollback, "
    "signals: {errors: {not_worse_by: 1%, at_most: 5%}, latency_p99: {not_worse_by: 20%}}}}",
)


def spec(text: str, **files: str) -> Rules:
    """The rules of a spec; `files` has new contents, with `__` for a dot in the name."""
    loaded = check(text, "ml-pipeline.yaml")
    assert loaded.pipeline is not None, loaded.problems
    return Rules(spec=loaded.pipeline, source=source(**files))


def between(was: str, now: str) -> list[tuple[str, bool]]:
    assert FULL.count(was) == 1
    found = changes(spec(FULL), spec(FULL.replace(was, now)))
    return [(change.rule, change.loosens) for change in found]


ROLLOUT = "release.production.canary"
LOOSER = [
    ("      - {metric: roc_auc, at_least: 0.6}\n", "", "gates.model: roc_auc by itself"),
    ("at_least: 0.6", "at_least: 0.5", "gates.model: roc_auc by itself"),
    ("at_least: 0.6", "at_least: 0.6, severity: warn", "gates.model: roc_auc by itself"),
    ("baseline_by: 0.01", "baseline_by: 0.02", "gates.model: roc_auc against the baseline"),
    ("by: 0.01}", "by: 0.01, confidence: 0.6}", "gates.model: roc_auc against the baseline"),
    (", expectations: suite.yaml", "", "datasets.rows.expectations"),
    ("expectations: suite.yaml", "expectations: other.yaml", "datasets.rows.expectations"),
    ("pull-request", "automatic", "release.production.approval"),
    ("{get: /healthz}, ", "", "release.staging.smoke"),
    ("not_worse_by: 1%", "not_worse_by: 2%", f"{ROLLOUT}.signals.errors"),
    (", at_most: 5%", "", f"{ROLLOUT}.signals.errors"),
    (", latency_p99: {not_worse_by: 20%}", "", f"{ROLLOUT}.signals.latency_p99"),
    ("steps: [5%", "steps: [20%", f"{ROLLOUT}.steps"),
    ("minimum_bake: 1m", "minimum_bake: 10s", f"{ROLLOUT}.minimum_bake"),
    ("on_inconclusive: rollback", "on_inconclusive: hold", f"{ROLLOUT}.on_inconclusive"),
    ("minimum_bake: 1m", "minimum_bake: 1m, false_promotion: 20%", f"{ROLLOUT}.false_promotion"),
    ("minimum_bake: 1m", "minimum_bake: 1m, false_rollback: 0.1%", f"{ROLLOUT}.false_rollback"),
]


@pytest.mark.parametrize(("was", "now", "rule"), LOOSER)
def test_a_rule_that_is_loosened_is_called_so(was: str, now: str, rule: str) -> None:
    assert between(was, now) == [(rule, True)]


@pytest.mark.parametrize(
    ("was", "now", "rule"),
    [
        ("at_least: 0.6", "at_least: 0.7", "gates.model: roc_auc by itself"),
        ("baseline_by: 0.01", "baseline_by: 0.001", "gates.model: roc_auc against the baseline"),
        ("not_worse_by: 20%", "not_worse_by: 10%", f"{ROLLOUT}.signals.latency_p99"),
        ("minimum_bake: 1m", "minimum_bake: 2m", f"{ROLLOUT}.minimum_bake"),
        ("{get: /healthz},", "{get: /healthz}, {get: /},", "release.staging.smoke"),
    ],
)
def test_a_rule_that_is_tightened_is_told_and_not_called_loosened(
    was: str, now: str, rule: str
) -> None:
    assert between(was, now) == [(rule, False)]


@pytest.mark.parametrize(
    ("was", "now", "looser"),
    [
        ("", "[LAKE_KEY]", True),
        ("[LAKE_KEY]", "[OTHER_KEY]", True),
        ("[LAKE_KEY, OTHER_KEY]", "[LAKE_KEY]", False),
    ],
)
def test_more_secrets_for_code_that_nobody_has_merged_loosen(
    was: str, now: str, looser: bool
) -> None:
    before, after = (
        spec(FULL + (f"triggers: {{pull_requests: {{secrets: {names}}}}}\n" if names else ""))
        for names in (was, now)
    )
    (change,) = changes(before, after)
    assert (change.rule, change.loosens) == ("triggers.pull_requests.secrets", looser)
    assert (change.was, change.now) == (was.strip("[]") or "none", now.strip("[]"))


def test_an_added_check_is_no_loosening() -> None:
    more = "      - {metric: f1, at_least: 0.1}\n      - {metric: roc_auc, at_least: 0.6}\n"
    found = between("      - {metric: roc_auc, at_least: 0.6}\n", more)
    assert found == [("gates.model: f1 by itself", False)]


def test_a_gate_that_is_removed_loosens_once_per_check() -> None:
    start = FULL.index("gates:")
    end = FULL.index("release:")
    found = changes(spec(FULL), spec(FULL[:start] + FULL[end:]))
    assert [(c.now, c.loosens) for c in found] == [("removed", True), ("removed", True)]


def test_what_loosens_comes_first() -> None:
    now = FULL.replace("at_least: 0.6", "at_least: 0.7").replace("by: 20%", "by: 30%")
    assert [change.loosens for change in changes(spec(FULL), spec(now))] == [True, False]


def test_the_same_rules_are_no_change() -> None:
    assert changes(spec(FULL), spec(FULL)) == ()
    assert between("depth: 3", "depth: 4") == []
