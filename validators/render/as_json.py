"""Reports for programs: every field, and the values derived from them."""

import json
from typing import Any

from validators.render.common import Reports, as_reports, overall
from validators.report import Report
from validators.verdict import Verdict


def render(reports: Reports, title: str) -> str:
    """A JSON object; `verdict`, `passes` and `counts` are derived, the rest is as in `Report`."""
    return json.dumps(to_dict(reports, title), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_dict(reports: Reports, title: str) -> dict[str, Any]:
    """The same as plain values."""
    every = as_reports(reports)
    verdict = overall(every)
    return {
        "title": title,
        "verdict": verdict.value,
        "passes": verdict.passes,
        "reports": [_report(report) for report in every],
    }


def _report(report: Report) -> dict[str, Any]:
    return {
        "gate": report.gate,
        "subject": report.subject,
        "verdict": report.verdict.value,
        "passes": report.verdict.passes,
        "counts": {verdict.value: report.count(verdict) for verdict in Verdict},
        # Through pydantic's JSON, which writes infinite values as strings.
        **json.loads(report.model_dump_json(exclude={"gate", "subject"})),
    }
