"""Reports for a terminal: verdict first, what needs attention in full, passes counted."""

from collections.abc import Iterator, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Final

from validators.render.common import (
    NOT_ENFORCING,
    NOTHING_CHECKED,
    SYMBOLS,
    Reports,
    as_reports,
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

if TYPE_CHECKING:
    from rich.console import RenderableType

_STYLES: Final = {
    Verdict.PASS: "green",
    Verdict.WARN: "yellow",
    Verdict.SKIPPED: "dim",
    Verdict.INCONCLUSIVE: "cyan",
    Verdict.ERROR: "magenta",
    Verdict.FAIL: "red",
}


def render(reports: Reports, title: str, *, width: int = 100, colour: bool = False) -> str:
    """The text for a terminal of that width."""
    from rich.console import Console

    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=colour,
        color_system="truecolor" if colour else None,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as captured:
        console.print(renderable(reports, title))
    lines = captured.get().splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def renderable(reports: Reports, title: str) -> "RenderableType":
    """The same for a rich console, e.g. inside a live display."""
    from rich.console import Group
    from rich.text import Text

    every = as_reports(reports)
    verdict = overall(every)
    headline = Text.assemble(
        (f" {verdict.value} ", f"bold reverse {_STYLES[verdict]}"),
        " ",
        (clean(title), "bold"),
        (f"  {counts(every)}", "dim"),
    )
    parts: list[RenderableType] = [headline]
    for report in every:
        parts += [Text(""), *_report(report)]
    return Group(*parts)


def _report(report: Report) -> "Iterator[RenderableType]":
    from rich.padding import Padding
    from rich.text import Text

    style = _STYLES[report.verdict]
    yield Text.assemble(
        (f"{SYMBOLS[report.verdict]} ", f"bold {style}"),
        (f"{report.gate} gate", "bold"),
        f"  {clean(report.subject)}  ",
        (report.verdict.value, f"bold {style}"),
        (f"  {counts([report])}", "dim"),
    )
    if not report.enforces:
        yield Padding(Text(NOT_ENFORCING, "bold yellow"), (0, 0, 0, 2))
    if not report.checks:
        yield Padding(Text(NOTHING_CHECKED, _STYLES[Verdict.ERROR]), (0, 0, 0, 2))
    loud = [check for check in ordered(report) if check.verdict is not Verdict.PASS]
    if loud:
        yield Padding(_table(loud), (0, 0, 0, 2))
    passed = report.count(Verdict.PASS)
    if passed:
        yield Padding(Text(f"{SYMBOLS[Verdict.PASS]} {passed:,} passed", "green"), (0, 0, 0, 2))
    if report.metrics:
        yield Padding(_metrics(report), (0, 0, 0, 2))
    for note in report.notes:
        yield Padding(Text(clean(note), "dim"), (0, 0, 0, 2))
    if report.provenance:
        digests = "  ".join(
            f"{clean(name)} {short_digest(value)}"
            for name, value in sorted(report.provenance.items())
        )
        yield Padding(Text(digests, "dim"), (0, 0, 0, 2))


def _table(checks: Sequence[Check]) -> "RenderableType":
    from rich.table import Table

    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for at, check in enumerate(checks):
        if at:
            table.add_row()
        style = _STYLES[check.verdict]
        table.add_row(_symbol(check, style), _body(check, style))
    return table


def _metrics(report: Report) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    rows = measured(report)
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        right = name in ("candidate", "baseline", "difference", "n")
        table.add_column(name, justify="right" if right else "left")
    for row in rows:
        table.add_row(*(Text(row[name]) for name in columns))
    return table


def _symbol(check: Check, style: str) -> "RenderableType":
    from rich.text import Text

    return Text(f"{SYMBOLS[check.verdict]} {check.verdict.value}", f"bold {style}")


def _body(check: Check, style: str) -> "RenderableType":
    from rich.text import Text

    body = Text(overflow="fold")
    body.append(clean(check.name), "bold")
    if check.message != check.name:
        body.append("\n")
        for part, quoted in spans(check.message):
            body.append(f"`{part}`" if quoted else part, "cyan" if quoted else "")
    facts = evidence(check)
    if facts:
        body.append("\n")
        for at, (name, fact) in enumerate(facts.items()):
            body.append("   " * bool(at))
            body.append(f"{name} ", "dim")
            body.append(fact, "bold" if name == "observed" else "")
    if check.next_step:
        body.append("\n→ ", style)
        body.append(clean(check.next_step))
    if where := place(check):
        body.append(f"\n{where}", "dim underline")
    return body
