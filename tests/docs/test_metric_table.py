"""The page about the model gate lists every metric that a check can name."""

from pathlib import Path

import pytest

from specs.docs.metric_table import BEGIN, render
from specs.metrics import METRICS

PAGE = Path(__file__).parents[2] / "docs" / "model-gate.md"


def test_the_table_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == render(text), "docs/model-gate.md is out of date: run `make docs`"
    for metric in METRICS.values():
        assert text.count(f"| `{metric.name}` | {metric.better} |") == 1


def test_a_page_without_the_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="lacks the lines"):
        render(f"{BEGIN} and no end")
