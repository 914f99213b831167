"""Reports as JUnit XML, which every CI system shows.

There is no official schema; this is the form that Jenkins, GitLab and the Maven Surefire schema
agree on. A WARN passes there, with its message as output.
"""

import xml.etree.ElementTree as ET

from validators.render.common import (
    NOTHING_CHECKED,
    Reports,
    as_reports,
    evidence,
    examples,
    failing_objects,
    gate_of,
    not_shown,
    other_engine,
    place,
)
from validators.render.safe_text import clean
from validators.report import Check, Report
from validators.verdict import Verdict

_ELEMENT = {
    Verdict.FAIL: "failure",
    Verdict.ERROR: "error",
    Verdict.INCONCLUSIVE: "error",
    Verdict.SKIPPED: "skipped",
}


def render(reports: Reports, title: str) -> str:
    """One `testsuite` per report, one `testcase` per check."""
    suites = [_suite(report) for report in as_reports(reports)]
    root = ET.Element("testsuites", {"name": clean(title), **_totals(suites)})
    root.extend(suites)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _totals(suites: list[ET.Element]) -> dict[str, str]:
    keys = ("tests", "failures", "errors", "skipped")
    return {key: str(sum(int(suite.get(key, "0")) for suite in suites)) for key in keys}


def _suite(report: Report) -> ET.Element:
    checks = report.checks or (
        Check(name="checks", verdict=report.verdict, message=NOTHING_CHECKED),
    )
    elements = [_element(report, check) for check in checks]
    suite = ET.Element(
        "testsuite",
        {
            "name": f"{report.gate}: {gate_of(report)}",
            "tests": str(len(checks)),
            "failures": str(elements.count("failure")),
            "errors": str(elements.count("error")),
            "skipped": str(elements.count("skipped")),
        },
    )
    properties = ET.SubElement(suite, "properties")
    facts = {"verdict": report.verdict.value, "enforces": str(report.enforces).lower()}
    facts |= {"accepted": report.accepted} if report.accepted else {}
    for name, value in {**report.provenance, **facts}.items():
        ET.SubElement(properties, "property", {"name": clean(name), "value": clean(value)})
    suite.extend(_case(report, check) for check in checks)
    if report.notes:
        ET.SubElement(suite, "system-out").text = clean("\n".join(report.notes))
    return suite


def _case(report: Report, check: Check) -> ET.Element:
    case = ET.Element(
        "testcase",
        {
            "classname": f"{report.gate}.{gate_of(report)}",
            "name": clean(f"{check.name} [{check.subject}]" if _of(check) else check.name),
        },
    )
    if check.where is not None:
        case.set("file", clean(check.where.file))
        if check.where.line is not None:
            case.set("line", str(check.where.line))
    kind = _element(report, check)
    if kind == "skipped":
        ET.SubElement(case, kind, {"message": clean(check.message)})
    elif kind is not None:
        attributes = {"message": clean(check.message), "type": check.verdict.value}
        ET.SubElement(case, kind, attributes).text = _details(check)
    elif check.verdict is not Verdict.PASS:
        said = f"{check.verdict.value}: {clean(check.message)}\n{_details(check)}"
        ET.SubElement(case, "system-out").text = said
    elif engine := other_engine(check):
        ET.SubElement(case, "system-out").text = f"evaluated by: {clean(engine)}"
    return case


def _element(report: Report, check: Check) -> str | None:
    """How a check ended, in JUnit's words; None: it passed, warned, or was overruled."""
    return None if report.overrules(check) else _ELEMENT.get(check.verdict)


def _of(check: Check) -> bool:
    """Whether the name needs the subject to be unique."""
    return check.subject is not None and check.subject not in check.name


def _details(check: Check) -> str:
    lines = [f"{name}: {fact}" for name, fact in evidence(check).items()]
    lines += [f"in: {key} {said}" if key else said for key, said in failing_objects(check)]
    if values := examples(check):
        lines.append(f"for example: {', '.join(values)}")
    if left_out := not_shown(check):
        lines.append(left_out)
    if check.next_step:
        lines.append(f"next: {clean(check.next_step)}")
    if where := place(check):
        lines.append(f"at: {where}")
    return "\n".join(lines)
