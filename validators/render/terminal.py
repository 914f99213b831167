"""Reports for a terminal: verdict first, checks that need attention in full, passes counted."""

from collections.abc import Iterator, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Final

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
    not_shown,
    ordered,
    overall,
    place,
    short_digest,
    spans,
    subject_of,
)
from validators.render.metrics import MetricChange, MetricsTable, table
from validators.render.safe_text import clean
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


_CHANGES: Final = {MetricChange.BETTER: "green", MetricChange.WORSE: "red"}


def render(reports: Reports, title: str, *, width: int = 100, colour: bool = False) -> str:
    """The text for a terminal of the given width."""
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
    style = _STYLES[verdict]
    word = SYMBOLS[verdict] if verdict is Verdict.PASS else f" {verdict.value} "
    top = Text.assemble(
        (word, f"bold {style}" if verdict is Verdict.PASS else f"bold reverse {style}"),
        " ",
        (clean(title), "bold"),
        (f"  {counts(every)}", "dim"),
    )
    parts: list[RenderableType] = [top]
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
        f"  {gate_of(report)}  ",
        (f"{report.verdict.value}  " * (report.verdict is not Verdict.PASS), f"bold {style}"),
        (counts([report]), "dim"),
    )
    if report.accepted:
        said = f"The verdict is overruled: {clean(report.accepted)}."
        yield Padding(Text(said, "bold yellow"), (0, 0, 0, 2))
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
    if found := table(report):
        yield Padding(_metrics(found), (0, 0, 0, 2))
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


def _metrics(found: MetricsTable) -> "RenderableType":
    """All of them: a terminal folds nothing."""
    from rich.console import Group
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=None, padding=(0, 2, 0, 0))
    for at, name in enumerate((*found.head, "")):
        grid.add_column(Text(name, "dim"), justify="right" if 0 < at < len(found.head) else "left")
    rows = (*found.named, *found.others)
    for row in rows:
        grid.add_row(*map(Text, row.cells), Text(row.change.value, _CHANGES.get(row.change, "dim")))
    notes = [row.note for row in rows if row.note]
    return Group(grid, *(Text(line, "dim") for line in (" · ".join(found.caption), *notes)))


def _symbol(check: Check, style: str) -> "RenderableType":
    from rich.text import Text

    return Text(f"{SYMBOLS[check.verdict]} {check.verdict.value}", f"bold {style}")


def _body(check: Check, style: str) -> "RenderableType":
    from rich.text import Text

    body = Text(overflow="fold")
    body.append(clean(check.name), "bold")
    if subject := subject_of(check):
        body.append(f"  {subject}")
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
    for key, said in failing_objects(check):
        body.append(f"\n  {key} ", "dim")
        body.append(said)
    if values := examples(check):
        body.append("\nfor example ", "dim")
        body.append(", ".join(values))
    if left_out := not_shown(check):
        body.append(f"\n{left_out}", "dim")
    if check.next_step:
        body.append("\n→ ", style)
        body.append(clean(check.next_step))
    if where := place(check):
        body.append(f"\n{where}", "dim underline")
    return body
