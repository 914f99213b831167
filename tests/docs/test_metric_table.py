"""The page of the model gate has every metric that a check can name, as the gate knows it."""

from pathlib import Path

import pytest

from specs.docs.metric_table import BEGIN, render
from specs.metrics import METRICS

PAGE = Path(__file__).parents[2] / "docs" / "model-gate.md"


def test_the_table_is_that_of_the_metrics() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == render(text), "docs/model-gate.md is out of date: run `make docs`"
    for metric in METRICS.values():
        assert text.count(f"| `{metric.name}` | {metric.better} |") == 1


def test_a_page_without_a_place_for_it_is_told() -> None:
    with pytest.raises(ValueError, match="lacks the lines"):
        render(f"{BEGIN} and no end")
