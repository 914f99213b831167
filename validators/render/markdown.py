"""Reports as GitHub-flavoured Markdown: for check runs, comments and git notes.

All text is foreign: nothing of it may become markup, a link, a mention or a reference.
"""

import re
from collections.abc import Sequence
from typing import Final

from validators.render.common import (
    NOT_ENFORCING,
    NOTHING_CHECKED,
    Reports,
    as_reports,
    attention,
    clean,
    counts,
    evidence,
    measured,
    ordered,
    overall,
    place,
    short_digest,
    spans,
)
from validators.report import Check, Report
from validators.verdict import Verdict

LONGEST: Final = 65_535
"""What GitHub takes in a comment or in a check run's summary."""

_ICONS: Final = {
    Verdict.PASS: "✅",
    Verdict.WARN: "⚠️",
    Verdict.SKIPPED: "⏭️",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.ERROR: "🛑",
    Verdict.FAIL: "❌",
}


def render(
    reports: Reports, title: str, *, whole: str | None = None, longest: int = LONGEST
) -> str:
    """Verdict first, then what needs attention, then the passes folded.

    At most `longest` characters: whole checks are cut, the least important first, and the text
    says how many, and where the `whole` report is (a URL or a command).
    """
    every = as_reports(reports)
    ranked = sorted(
        (attention(check.verdict), report, place)
        for report, one in enumerate(every)
        for place, check in enumerate(one.checks)
    )
    text = _text(every, title, {(report, at) for _, report, at in ranked}, whole)
    low, high = 0, len(ranked)
    if len(text) <= longest:
        return text
    # The more checks, the longer: the most that fit.
    while low < high:
        middle = (low + high + 1) // 2
        kept = {(report, at) for _, report, at in ranked[:middle]}
        fits = len(_text(every, title, kept, whole)) <= longest
        low, high = (middle, high) if fits else (low, middle - 1)
    text = _text(every, title, {(report, at) for _, report, at in ranked[:low]}, whole)
    return text if len(text) <= longest else _least(every, whole, longest)


def _least(reports: Sequence[Report], whole: str | None, longest: int) -> str:
    """When not even the headings fit."""
    verdict = overall(reports)
    text = f"{_ICONS[verdict]} **{verdict.value}**: {counts(reports)}. "
    return (text + _cut(sum(len(report.checks) for report in reports), whole))[:longest]


def _cut(number: int, whole: str | None) -> str:
    checks = "1 check is" if number == 1 else f"{number:,} checks are"
    where = f" The whole report: {_whole(whole)}" if whole else ""
    return f"_{checks} not shown here, for length._{where}"


def _whole(whole: str) -> str:
    """A link of the controller's own, or a command."""
    if re.fullmatch(r"https?://[\w.:/?&=%#~-]+", whole):
        return f"<{whole}>"
    return code(whole)


def _text(
    reports: Sequence[Report], title: str, kept: set[tuple[int, int]], whole: str | None
) -> str:
    verdict = overall(reports)
    parts = [f"## {_ICONS[verdict]} {verdict.value}: {escape(title)}", f"{counts(reports)}."]
    left_out = sum(len(report.checks) for report in reports) - len(kept)
    if left_out:
        parts.append(_cut(left_out, whole))
    for index, report in enumerate(reports):
        shown = [at for at in range(len(report.checks)) if (index, at) in kept]
        slim = report.model_copy(update={"checks": tuple(report.checks[at] for at in shown)})
        parts += _report(report, slim)
    return "\n\n".join(parts) + "\n"


def _report(report: Report, slim: Report) -> list[str]:
    """One gate; `slim` holds the checks that are shown."""
    verdict = report.verdict
    heading = f"{_ICONS[verdict]} {report.gate} gate: {escape(report.subject)}"
    parts = [f"### {heading}", f"**{verdict.value}** · {counts([report])}"]
    if not report.enforces:
        parts.append(f"> **{NOT_ENFORCING}**")
    if not report.checks:
        parts.append(NOTHING_CHECKED)
    checks = ordered(slim)
    if loud := [check for check in checks if check.verdict is not Verdict.PASS]:
        parts.append(_table(loud))
    if report.metrics:
        parts.append(_metrics(report))
    if passed := [check for check in checks if check.verdict is Verdict.PASS]:
        total = report.count(Verdict.PASS)
        parts += [
            f"<details><summary>{total:,} passed</summary>",
            _table(passed),
            "</details>",
        ]
    parts += [f"- {prose(note)}" for note in report.notes]
    if report.provenance:
        digests = " · ".join(
            f"{escape(name)} {code(short_digest(value))}"
            for name, value in sorted(report.provenance.items())
        )
        parts.append(f"<sub>{digests}</sub>")
    return parts


def _table(checks: Sequence[Check]) -> str:
    facts = [evidence(check) for check in checks]
    known = dict.fromkeys(name for fact in facts for name in fact)
    order = ("observed", "limit", "baseline", "difference", "interval", "n", "window")
    columns = [name for name in order if name in known]
    head = ["", "Check", *(name if name == "n" else name.capitalize() for name in columns)]
    rule = ["---", "---", *("---" if name == "limit" else "---:" for name in columns)]
    rows = [
        [_ICONS[check.verdict], _cell(check), *(escape(fact.get(name, "")) for name in columns)]
        for check, fact in zip(checks, facts, strict=True)
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


_NUMBERS: Final = ("candidate", "baseline", "difference", "interval", "n")


def _metrics(report: Report) -> str:
    rows = measured(report)
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    texts = [
        [name if name == "n" else name.capitalize() for name in columns],
        ["---:" if name in _NUMBERS else "---" for name in columns],
        *([escape(row[name]) for name in columns] for row in rows),
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in texts)


def _cell(check: Check) -> str:
    lines = [f"**{escape(check.name)}**"]
    if check.message != check.name:
        lines.append(prose(check.message))
    if check.next_step:
        lines.append(f"→ {prose(check.next_step)}")
    if where := place(check):
        lines.append(f"<sub>{code(where)}</sub>")
    return "<br>".join(lines)


# Invisible; keeps what follows from becoming a mention, a reference, a link or an emoji. GitHub
# looks for these in the rendered text, where an entity is already its character again.
_BREAK: Final = "&#8203;"
_ACTS: Final = re.compile(
    r"(?P<text>[@#]|\bGH(?=-\d)|(?i:\b(?:https?|ftp|mailto|xmpp)(?=:)|\bwww(?=\.))"
    r"|:(?=(?:[A-Za-z+-][\w+-]*|100|1234):))"
    r"|(?P<markup>[\\`*\[\]<>|~$&]|^[+=-]|^\d+[.)](?!\d)|(?<![^\W_])_|_(?![^\W_]))"
)


def escape(text: str) -> str:
    """The text as itself: no markup, no HTML, no mention, no reference, no link, one line."""
    return _ACTS.sub(_harmless, " ".join(clean(text).split()))


def _harmless(found: re.Match[str]) -> str:
    if found["text"]:
        return found[0] + _BREAK
    return "".join(f"&#{ord(character)};" for character in found[0])


def code(text: str) -> str:
    """The text in a code span, also inside a table."""
    line = " ".join(clean(text).split())
    if re.search(r"[`|\\]", line):
        return f"<code>{escape(line)}</code>"
    return f"`{line}`" if line else ""


def prose(text: str) -> str:
    """A sentence of a gate: what stands between backticks becomes a code span."""
    return "".join(code(part) if quoted else _kept(part) for part, quoted in spans(text))


def _kept(part: str) -> str:
    """Escaped, with the blanks at its ends."""
    before = " " if part[:1].isspace() else ""
    after = " " if part[-1:].isspace() and part.strip() else ""
    return before + escape(part) + after
