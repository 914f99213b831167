"""The page about operations lists every metric that a controller exports."""

from pathlib import Path

import pytest

from controller.telemetry.catalogue import BEGIN, CATALOGUE, render

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_table_of_metrics_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == render(text), "docs/operations.md is out of date: run `make docs`"
    for metric in CATALOGUE:
        assert text.count(f"| `{metric.name}` | {metric.kind} |") == 1


def test_a_page_without_the_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="lacks the lines"):
        render(f"{BEGIN} and no end")
