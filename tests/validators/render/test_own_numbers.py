"""The team's own numbers in every report format: no rows, no interval, no unknown direction."""

import json
from collections.abc import Callable

import pytest

from validators.render import as_html, as_json, junit, markdown, terminal
from validators.report import Check, MetricComparison, Report
from validators.verdict import Verdict

FORMS: dict[str, Callable[..., str]] = {
    "html": as_html.render,
    "json": as_json.render,
    "md": markdown.render,
    "txt": terminal.render,
    "xml": junit.render,
}
NAME = "metrics.weighted avg.f1"


def _measured(name: str, better: bool | None) -> MetricComparison:
    return MetricComparison(
        metric=name,
        candidate=0.4125,
        baseline=0.5125,
        difference=-0.1,
        greater_is_better=better,
        n=None,
        checked=better is not None,
    )


OWN = Report(
    gate="model",
    subject="ranker 7",
    baseline="v6",
    checks=(
        Check(
            name=f"{NAME} at least 0.5",
            verdict=Verdict.FAIL,
            message=f"{NAME} is 0.4125; the limit is >= 0.5.",
            observed=0.4125,
            limit=">= 0.5",
        ),
    ),
    metrics=(_measured(NAME, better=True), _measured("metrics.searches", better=None)),
)


@pytest.mark.parametrize("form", FORMS)
def test_a_number_is_shown_with_its_limit_and_without_rows(form: str) -> None:
    text = FORMS[form](OWN, "ranker")
    assert "0.4125" in text
    assert " rows" not in text
    if form == "json":
        assert json.loads(text)["reports"][0]["metrics"][0]["n"] is None


@pytest.mark.parametrize("form", ["html", "md", "txt"])
def test_only_a_number_whose_way_is_known_has_an_arrow_and_is_worse(form: str) -> None:
    text = FORMS[form](OWN, "ranker").replace("&#95;", "_")
    assert f"{NAME} ↑" in text
    assert "metrics.searches ↑" not in text
    assert "metrics.searches ↓" not in text
    assert "lower is better" not in text
    assert text.count("worse") >= 1
