"""The table of metrics on the page of the model gate.

`python -m specs.docs.metric_table PAGE` writes it anew between its two marks.
"""

import sys
from pathlib import Path
from typing import Final

from specs.metrics import METRICS, Metric, Task

BEGIN: Final = "<!-- The table of metrics: made by `make docs` from specs/metrics.py. -->"
END: Final = "<!-- The end of the table of metrics. -->"
_HEAD: Final = ("metric", "better", "columns", "is")


def render(page: str) -> str:
    """The page with the table of today. Raises ValueError where it lacks the marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the lines {BEGIN} and {END}")
    parts = [part for task in (*Task, None) for part in _part(task)]
    return before + "\n\n".join([BEGIN, *parts, END]) + after


def _part(task: Task | None) -> list[str]:
    """The metrics of a task alone; for None, those of several."""
    found = [m for m in METRICS.values() if (m.tasks[0] if len(m.tasks) == 1 else None) is task]
    title = task.words.capitalize() if task else "Of two classes and of several"
    lines = [_HEAD, ("---",) * len(_HEAD), *map(_row, found)]
    return [f"**{title}**", "\n".join(f"| {' | '.join(line)} |" for line in lines)]


def _row(metric: Metric) -> tuple[str, ...]:
    columns = " or ".join(f"`{name}`" for name in metric.columns) or "any"
    return f"`{metric.name}`", metric.better, columns, metric.meaning


def main() -> None:
    """Write the page anew."""
    page = Path(sys.argv[1])
    page.write_text(render(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
