"""The page about the model gate lists every metric that a check can name."""

from pathlib import Path

import pytest

from specs.docs.metric_table import BEGIN, END, main, render
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


def test_the_page_is_rewritten_between_its_markers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before é\n{BEGIN}\nan old table\n{END}\nafter\n", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["metric_table", str(page)])
    main()
    written = page.read_text(encoding="utf-8")
    assert written.startswith(f"before é\n{BEGIN}\n\n**Binary classification**")
    assert written.endswith(f"{END}\nafter\n")
    assert "an old table" not in written
