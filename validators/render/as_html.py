"""Reports as one self-contained HTML page: no scripts, fonts or links to other files.

It prints well, and follows the reader's choice of light or dark.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from validators.render.common import (
    NOT_ENFORCING,
    NOTHING_CHECKED,
    SYMBOLS,
    Reports,
    as_reports,
    counts,
    evidence,
    examples,
    failing_objects,
    gate_of,
    headline,
    not_shown,
    ordered,
    overall,
    place,
    short_digest,
    spans,
    subject_of,
    tally,
)
from validators.render.histogram import HEIGHT, WIDTH, drawing, legend, member_rows
from validators.render.metrics import MetricChange, table
from validators.render.safe_text import clean
from validators.verdict import Verdict

if TYPE_CHECKING:
    from jinja2 import Template


def render(reports: Reports, title: str) -> str:
    """The whole page; the template engine escapes every text."""
    every = as_reports(reports)
    return _template().render(
        reports=every, title=title, verdict=overall(every), counts_all=tally(every)
    )


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(clean=clean, spans=spans, short_digest=short_digest)
    environment.globals.update(
        counts=counts,
        drawing=drawing,
        legend=legend,
        member_rows=member_rows,
        picture={"width": WIDTH, "height": HEIGHT},
        evidence=evidence,
        examples=examples,
        failing_objects=failing_objects,
        not_shown=not_shown,
        gate_of=gate_of,
        headline=headline,
        metrics_of=table,
        changes={MetricChange.BETTER: "pass", MetricChange.WORSE: "fail"},
        subject_of=subject_of,
        ordered=ordered,
        place=place,
        symbols=SYMBOLS,
        passed=Verdict.PASS,
        not_enforcing=NOT_ENFORCING,
        nothing_checked=NOTHING_CHECKED,
    )
    return environment.get_template("report.html.j2")
