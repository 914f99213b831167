"""Reports as GitHub-flavoured Markdown, for check runs, comments and git notes.

All text is untrusted: none of it may become markup, a link, a mention or a reference.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from validators.render.common import (
    NOT_ENFORCING,
    NOTHING_CHECKED,
    Reports,
    as_reports,
    attention,
    counts,
    examples,
    failing_objects,
    gate_of,
    headline,
    not_shown,
    ordered,
    other_engine,
    overall,
    place,
    short_digest,
    spans,
    subject_of,
    tally,
    unsaid,
)
from validators.render.metrics import MetricChange, MetricsRow, table
from validators.render.safe_text import clean
from validators.report import Check, Report
from validators.verdict import Verdict

LONGEST: Final = 65_535
"""GitHub's limit for a comment or the summary of a check run."""

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
    """Verdict first, then the checks that need attention, then the passes, folded.

    At most `longest` characters: whole checks are left out, the least important first, and the text
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
    # Longer with every check: bisect for the most that fit.
    while low < high:
        middle = (low + high + 1) // 2
        kept = {(report, at) for _, report, at in ranked[:middle]}
        fits = len(_text(every, title, kept, whole)) <= longest
        low, high = (middle, high) if fits else (low, middle - 1)
    text = _text(every, title, {(report, at) for _, report, at in ranked[:low]}, whole)
    return text if len(text) <= longest else _least(every, whole, longest)


def _least(reports: Sequence[Report], whole: str | None, longest: int) -> str:
    """The text if not even the headings fit."""
    text = f"{_ICONS[overall(reports)]} **{headline(overall(reports), counts(reports))}**. "
    return (text + _cut(sum(len(report.checks) for report in reports), whole))[:longest]


def _cut(number: int, whole: str | None) -> str:
    checks = "1 check is" if number == 1 else f"{number:,} checks are"
    where = f" The whole report: {_whole(whole)}" if whole else ""
    return f"_{checks} not shown here, for length._{where}"


def _whole(whole: str) -> str:
    """A link made by the controller, or a command."""
    if re.fullmatch(r"https?://[\w.:/?&=%#~-]+", whole):
        return f"<{whole}>"
    return code(whole)


def _text(
    reports: Sequence[Report], title: str, kept: set[tuple[int, int]], whole: str | None
) -> str:
    verdict = overall(reports)
    parts = [f"## {_ICONS[verdict]} {escape(headline(verdict, title))}", f"{tally(reports)}."]
    left_out = sum(len(report.checks) for report in reports) - len(kept)
    if left_out:
        parts.append(_cut(left_out, whole))
    for index, report in enumerate(reports):
        shown = [at for at in range(len(report.checks)) if (index, at) in kept]
        slim = report.model_copy(update={"checks": tuple(report.checks[at] for at in shown)})
        parts += _report(report, slim, alone=len(reports) == 1)
    return "\n\n".join(parts) + "\n"


def _report(report: Report, slim: Report, *, alone: bool) -> Iterator[str]:
    """One gate; `slim` holds the checks that are shown."""
    yield f"### {_ICONS[report.verdict]} {report.gate} gate: {escape(gate_of(report))}"
    if not alone and report.count(Verdict.PASS) < len(report.checks):
        yield f"{counts([report])}."
    if report.accepted:
        yield f"> **The verdict is overruled: {escape(report.accepted)}.**"
    if not report.enforces:
        yield f"> **{NOT_ENFORCING}**"
    if not report.checks:
        yield NOTHING_CHECKED
    checks = ordered(slim)
    loud = [check for check in checks if check.verdict is not Verdict.PASS]
    if loud:
        yield "\n".join(_item(tuple(alike)) for _, alike in groupby(loud, _alike))
    yield from _metrics(report)
    if passed := checks[len(loud) :]:
        total = f"{report.count(Verdict.PASS):,} passed"
        yield from _folded(total, ["\n".join(map(_passed, passed))])
    if report.notes:
        yield "\n".join(f"* {prose(note)}" for note in report.notes)
    if report.provenance:
        digests = " · ".join(
            f"{escape(name)} {code(short_digest(value))}"
            for name, value in sorted(report.provenance.items())
        )
        yield f"<sub>{digests}</sub>"


def _folded(summary: str, parts: Sequence[str]) -> Iterator[str]:
    yield f"<details><summary>{summary}</summary>"
    yield from parts
    yield "</details>"


def _alike(check: Check) -> tuple[object, ...]:
    """The key of checks that answer one question, such as one for each value of a slice."""
    return check.verdict, check.name, check.next_step, check.where


def _item(alike: Sequence[Check]) -> str:
    """Like checks as one item of a list: what was found, the evidence not already in it, and what
    to do."""
    first = alike[0]
    facts = [unsaid(check) for check in alike]
    shared = dict(set.intersection(*(set(fact.items()) for fact in facts)))
    shared = {name: fact for name, fact in facts[0].items() if name in shared}
    where = place(first)
    head = [f"{_ICONS[first.verdict]} {_name(first)}", escape(shared.pop("of", ""))]
    lines = [" · ".join(part for part in (*head, code(where or "")) if part)]
    if len(alike) == 1 and first.message != first.name:
        lines.append(prose(first.message))
    lines[-1] += _brackets(shared)
    if len(alike) == 1:
        lines += _found_in(first)
    if first.next_step:
        lines.append(f"→ {prose(first.next_step)}")
    own = [{n: fact for n, fact in one.items() if n not in shared} for one in facts]
    below = map(_below, alike, own) if len(alike) > 1 else ()
    return "\n".join(("- " + "<br>".join(lines), *below))


def _below(check: Check, facts: Mapping[str, str]) -> str:
    """One of several like checks."""
    said = ": ".join(part for part in (escape(facts.get("of", "")), prose(check.message)) if part)
    head = f"  - {said or '…'}{_brackets({n: facts[n] for n in facts if n != 'of'})}"
    return "<br>".join((head, *_found_in(check)))


def _found_in(check: Check) -> Iterator[str]:
    """Which objects have the rows that fail a check, and some of the values."""
    if found := failing_objects(check):
        yield "in " + ", ".join(f"{code(key)} {escape(said)}".strip() for key, said in found)
    if values := examples(check):
        yield "for example " + ", ".join(map(code, values))
    if left_out := not_shown(check):
        yield escape(left_out)


def _brackets(facts: Mapping[str, str]) -> str:
    said = ", ".join(f"{name} {escape(fact)}" for name, fact in facts.items())
    return f" ({said})" if said else ""


def _name(check: Check) -> str:
    return f"**{escape(check.name) or '…'}**"  # four asterisks alone would draw a line


def _passed(check: Check) -> str:
    subject = subject_of(check)
    message = prose(check.message) if check.message != check.name else ""
    name = _name(check) + (f" · {escape(subject)}" if subject else "")
    engine = escape(other_engine(check))
    name += f" · evaluated by {engine}" if engine else ""
    return f"- {name}" + (f"<br>{message}" if message else "")


_CHANGES: Final = {
    MetricChange.BETTER: "🟢 ",
    MetricChange.WORSE: "🔻 ",
    MetricChange.OPEN: "⚪ ",
    MetricChange.NONE: "",
}


def _metrics(report: Report) -> Iterator[str]:
    """The metrics that a check names, then the others, folded."""
    found = table(report)
    if found is None:
        return
    yield _table(found.head, found.named)
    changes = {row.change for row in (*found.named, *found.others)} - {MetricChange.NONE}
    legend = [f"{_CHANGES[change]}{change.value}" for change in MetricChange if change in changes]
    yield f"<sub>{' · '.join([*found.caption, *legend])}</sub>"
    yield from _undefined(found.named)
    if found.others:
        rest = [_table(found.head, found.others), *_undefined(found.others)]
        yield from _folded(f"{len(found.others)} more metrics", rest)


def _undefined(rows: Sequence[MetricsRow]) -> Iterator[str]:
    if notes := [row.note for row in rows if row.note]:
        yield "\n".join(f"- {escape(note)}" for note in notes)


def _table(head: Sequence[str], rows: Sequence[MetricsRow]) -> str:
    lines = [[escape(name) for name in head], ["---", *["---:"] * (len(head) - 1)]]
    for row in rows:
        name, values, *rest = (escape(cell) for cell in row.cells)
        changed = [f"{_CHANGES[row.change]}{rest[0]}", *rest[1:]] if rest else []
        lines.append([name, values, *changed])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# Invisible; keeps what follows from becoming a mention, reference, link or emoji. GitHub looks for
# these in the rendered text, where entities are characters again.
_BREAK: Final = "&#8203;"
_ACTS: Final = re.compile(
    r"(?P<text>[@#]|\bGH(?=-\d)|(?i:\b(?:https?|ftp|mailto|xmpp)(?=:)|\bwww(?=\.))"
    r"|:(?=(?:[A-Za-z+-][\w+-]*|100|1234):))"
    r"|(?P<markup>[\\`*\[\]<>|~$&]|^[+=-]|^\d+[.)](?!\d)|(?<![^\W_])_|_(?![^\W_]))"
)


def escape(text: str) -> str:
    """The text, escaped: no markup, HTML, mention, reference or link, on one line."""
    return _ACTS.sub(_harmless, " ".join(clean(text).split()))


def _harmless(found: re.Match[str]) -> str:
    if found["text"]:
        return found[0] + _BREAK
    return "".join(f"&#{ord(character)};" for character in found[0])


def code(text: str) -> str:
    """The text as a code span, valid inside a table, too."""
    line = " ".join(clean(text).split())
    if re.search(r"[`|\\]", line):
        return f"<code>{escape(line)}</code>"
    return f"`{line}`" if line else ""


def prose(text: str) -> str:
    """A sentence of a gate: text between backticks becomes a code span."""
    return "".join(code(part) if quoted else _kept(part) for part, quoted in spans(text))


def _kept(part: str) -> str:
    """Escaped, with a blank kept at either end."""
    before = " " if part[:1].isspace() else ""
    after = " " if part[-1:].isspace() and part.strip() else ""
    return before + escape(part) + after
