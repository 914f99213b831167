"""The model card in the pull request of a release."""

from controller.reports.forge import LONGEST
from controller.reports.model_card import ModelCard, render
from tests.controller.machine.kit import version
from validators.report import Check, Interval, MetricComparison, Report
from validators.verdict import Verdict


def check(name: str = "roc_auc not worse", subject: str | None = None) -> Check:
    return Check(
        name=name,
        verdict=Verdict.PASS,
        message="0.71 against 0.70",
        subject=subject,
        observed=0.71,
        baseline=0.7,
        difference=0.01,
        interval=Interval(low=-0.002, high=0.022, confidence=0.95),
        limit="not worse by more than 0.005",
        n=12_000,
    )


def gate(*checks: Check) -> Report:
    measured = MetricComparison(
        metric="roc_auc",
        candidate=0.71,
        baseline=0.7,
        difference=0.01,
        interval=Interval(low=-0.002, high=0.022, confidence=0.95),
        greater_is_better=True,
        n=12_000,
    )
    return Report(gate="model", subject="mean-2", checks=checks, metrics=(measured,))


def card(
    *checks: Check, baseline: bool = True, why: str = "new data", compared_with: int = 1
) -> ModelCard:
    old = version(1) if baseline else None
    reports = {"model": gate(*checks)} if checks else {}
    held = compared_with if baseline else None
    return ModelCard(version(2), old, held, reports, "production", "headgate", why)


def test_the_verdict_comes_first_then_the_card_then_what_merging_does() -> None:
    text = render(card(check(), check(subject="carrier=AA")))
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    verdict = "## ✅ mean v2: roc_auc 0.7 → 0.71 (+0.01) against v1"
    assert heads == [verdict, "## Model card", "## What happens next"]


def test_the_card_names_version_code_data_and_parameters() -> None:
    one = version(2)
    text = render(card(check()))
    for said in (one.digest, one.source.commit, one.run, *one.datasets.values(), "depth=6"):
        assert said in text


def test_metrics_have_their_interval_against_the_baseline_and_slices_are_told() -> None:
    text = render(card(check(), check(subject="carrier=AA")))
    metrics = text.partition("### Metrics, baseline v1")[2].partition("###")[0]
    assert "| roc_auc | 0.7 → 0.71 | +0.01 | -0.002 to +0.022 |" in metrics
    assert "carrier=AA" in text.partition("### Slices")[2]


def test_metrics_against_a_version_that_does_not_serve_any_more_say_so() -> None:
    assert "no longer serves" not in render(card(check()))
    text = render(card(check(), compared_with=7))
    assert "### Metrics, baseline v7" in text
    assert "v7 no longer serves" in text


def test_what_follows_a_merge_is_the_canary_of_that_version() -> None:
    text = render(card(check()))
    following = text.partition("## What happens next")[2]
    assert "canary beside v1: 50 % of the traffic" in following
    assert "`errors`: at most 30 more requests per hundred may fail" in following
    for command in ("approve", "abort", "retry"):
        assert f"`headgate {command} mean/production`" in following


def test_a_first_release_says_that_there_is_no_canary() -> None:
    text = render(card(check(), baseline=False))
    assert "nothing serves yet, so it gets all traffic" in text


def test_a_report_of_a_thousand_checks_is_cut_and_the_card_is_whole() -> None:
    many = [check(f"{n} " + "x" * 200, subject=f"carrier={n}") for n in range(1000)]
    text = render(card(*many))
    assert len(text) <= LONGEST
    assert text.rstrip().endswith("changes what merging releases.")
    assert "not shown here, for length" in text


def test_foreign_text_is_no_markup() -> None:
    text = render(card(check(), why="@everyone <img src=x> | [a](http://b)"))
    assert "@everyone" not in text
    assert "<img" not in text
