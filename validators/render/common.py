"""Shared by all renderers: the order of checks, their evidence in words, and safe text."""

import re
from collections.abc import Sequence
from typing import Final

from specs.figures import clip, duration, number, percent, signed, significant
from validators.render.safe_text import LONGEST_TEXT, clean
from validators.report import HEADGATE, LONGEST_EXAMPLE, MOST_EXAMPLES, Check, Interval, Report
from validators.verdict import Verdict, worst

Reports = Report | Sequence[Report]

SYMBOLS: Final = {
    Verdict.PASS: "✓",
    Verdict.WARN: "!",
    Verdict.SKIPPED: "-",
    Verdict.INCONCLUSIVE: "?",
    Verdict.ERROR: "✗",
    Verdict.FAIL: "✗",
}

_DONE: Final = {
    Verdict.FAIL: "failed",
    Verdict.ERROR: "in error",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.WARN: "warned",
    Verdict.PASS: "passed",
    Verdict.SKIPPED: "skipped",
}

NOT_ENFORCING: Final = "This gate does not enforce: it cannot stop a candidate."
NOTHING_CHECKED: Final = "No check was evaluated: a gate that checks nothing cannot pass."

LONGEST_KEY: Final = 120
"""Characters of an object's key."""

_GATES: Final = ("model", "data", "canary", "switch", "smoke")


def as_reports(reports: Reports) -> tuple[Report, ...]:
    """The reports in the order to show them: model before data, and per gate the worst first. A
    single report is a sequence of one."""
    every = (reports,) if isinstance(reports, Report) else reports
    return tuple(sorted(every, key=lambda one: (_GATES.index(one.gate), -one.verdict.rank)))


def headline(verdict: Verdict, title: str) -> str:
    """The title with its verdict, cleaned. PASS is left out: the title may be about more than the
    gates, and must not promise anything."""
    return clean(title) if verdict is Verdict.PASS else f"{verdict.value}: {clean(title)}"


def gate_of(report: Report) -> str:
    """What was judged, and by whose evaluation; cleaned."""
    exam = f", judged by {report.exam}" if report.exam else ""
    return clean(f"{report.subject}{exam}")


def overall(reports: Sequence[Report]) -> Verdict:
    """The worst of their verdicts; ERROR when there is none."""
    return worst(report.verdict for report in reports)


def ordered(report: Report) -> list[Check]:
    """The checks, those that need attention first, then in the gate's order."""
    return sorted(report.checks, key=lambda check: attention(check.verdict))


def attention(verdict: Verdict) -> int:
    """A key to sort by; a skipped check needs more attention than one that passed."""
    order = (
        Verdict.FAIL,
        Verdict.ERROR,
        Verdict.INCONCLUSIVE,
        Verdict.WARN,
        Verdict.SKIPPED,
        Verdict.PASS,
    )
    return order.index(verdict)


def counts(reports: Sequence[Report]) -> str:
    """`2 failed, 1 warned, 17 passed`."""
    parts = [
        f"{total:,} {done}"
        for verdict, done in _DONE.items()
        if (total := sum(report.count(verdict) for report in reports))
    ]
    return ", ".join(parts) or "no checks"


def tally(reports: Sequence[Report]) -> str:
    """The same for several gates, with their number: `2 gates, 6 checks: 1 warned, 5 passed`."""
    if len(reports) < 2:
        return counts(reports)
    checks = sum(len(report.checks) for report in reports)
    many = f"{len(reports)} gates, {checks:,} check{'s' * (checks != 1)}"
    return f"{many}: {counts(reports)}" if checks else f"{len(reports)} gates, no checks"


def spans(text: str) -> list[tuple[str, bool]]:
    """The parts of a sentence, cleaned, each with whether it was between backticks."""
    parts = clean(text).split("`")
    if len(parts) % 2 == 0:  # an unpaired backtick quotes nothing
        return [(clean(text), False)]
    return [(part, bool(at % 2)) for at, part in enumerate(parts) if part]


def evidence(check: Check) -> dict[str, str]:
    """The known facts that the verdict is based on, by name; cleaned."""
    beside = limits_of(check)
    facts = {
        "observed": _value(check.observed, beside),
        "limit": check.limit,
        "baseline": _value(check.baseline),
        "difference": _signed(check.difference, beside),
        "interval": _interval(check.interval, signs=check.difference is not None),
        "n": None if check.n is None else number(check.n),
        "window": None if check.window is None else duration(check.window),
        "evaluated by": other_engine(check),
    }
    return {name: clean(fact) for name, fact in facts.items() if fact}


def other_engine(check: Check) -> str:
    """What evaluated the check, if that was not Headgate itself."""
    return "" if check.engine in (None, HEADGATE) else check.engine


def unsaid(check: Check) -> dict[str, str]:
    """The evidence that the check's name and message do not already contain, subject first."""
    said = _words(f"{check.name} {check.message}")
    subject = {"of": clean(check.subject)} if check.subject else {}
    return {
        name: fact
        for name, fact in {**subject, **evidence(check)}.items()
        if not _words(fact) <= said
    }


def subject_of(check: Check) -> str:
    """The check's subject if its name and message leave it out, cleaned."""
    return unsaid(check).get("of", "")


def _words(text: str) -> set[str]:
    return {word.strip(".,") for word in re.findall(r"[^\s()`;:%]+", clean(text))}


def limits_of(check: Check) -> list[float]:
    """The numbers in its limit, with both signs, for `significant`."""
    limit = (check.limit or "")[:LONGEST_TEXT]
    found = re.findall(r"\d[\d,]{0,30}(?:\.\d{1,30})?(?:e[+-]?\d{1,3})?", limit)
    numbers = [float(one.replace(",", "")) for one in found]
    return [*numbers, *(-one for one in numbers)]


def _value(value: float | str | None, limits: Sequence[float] = ()) -> str | None:
    return significant(value, limits) if isinstance(value, float) else value


def _signed(difference: float | None, limits: Sequence[float] = ()) -> str:
    return "" if difference is None else signed(difference, limits)


def _interval(found: Interval | None, *, signs: bool) -> str | None:
    if found is None:
        return None
    return f"{bounds(found, signs=signs)} ({percent(found.confidence)})"


def bounds(of: Interval, *, signs: bool) -> str:
    """Both bounds; with signs for a difference."""
    write = signed if signs else significant
    return f"{write(of.low)} to {write(of.high)}"


def failing_objects(check: Check) -> list[tuple[str, str]]:
    """The objects with rows that fail the check, each with how many of its rows those are; cleaned.
    The last may say how many more there are."""
    found = check.objects
    if found is None:
        return []
    named = [
        (clean(clip(one.key, LONGEST_KEY)), f"{number(one.failing)} of {number(one.rows)} {share}")
        for one in found.worst
        for share in [f"({percent(one.failing / one.rows)})" if one.rows else ""]
    ]
    more = f"and {number(found.more)} more object{'s' * (found.more != 1)}"
    return [*named, *([("", more)] if found.more else [])]


def examples(check: Check) -> list[str]:
    """Values that fail the check, in quotes; cleaned."""
    return [f'"{clean(value)}"' for value in check.examples.values] if check.examples else []


def not_shown(check: Check) -> str:
    """What the examples leave out; empty if that is nothing."""
    hidden = check.examples.hidden if check.examples else 0
    if not hidden:
        return ""
    verb = "is" if hidden == 1 else "are"
    return (
        f"{number(hidden)} other value{'s' * (hidden != 1)} {verb} not shown: at most "
        f"{MOST_EXAMPLES}, of up to {LONGEST_EXAMPLE} characters"
    )


def place(check: Check) -> str | None:
    """`file:line` where the check is written."""
    if check.where is None:
        return None
    line = f":{check.where.line}" if check.where.line else ""
    return clean(check.where.file + line)


def short_digest(value: str) -> str:
    """A digest shortened to 12 digits; anything else unchanged."""
    found = re.fullmatch(r"((?:sha\d+:)?)([0-9a-f]{32,})", value)
    return clean(f"{found[1]}{found[2][:12]}" if found else value)
