"""`headgate show`."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from controller.artifacts.opening import open_artifacts
from controller.cli.context import CliContext, with_state
from controller.cli.look.lookup import (
    Attempted,
    Shown,
    ShownEvidence,
    ShownRollout,
    ShownRun,
    ShownVersion,
    evidence_of,
    find,
    validation_results,
)
from controller.cli.terminal.formatting import clean, moment
from controller.cli.terminal.printing import show as print_
from controller.cli.terminal.styles import ROLLOUT_STYLES
from controller.cli.terminal.tree import render_run
from controller.config.settings_file import load_secrets
from controller.machine.runs.data_exceptions import exceptions_of
from controller.store.protocol import StoreReader
from specs.figures import duration
from validators.render import as_html, junit, markdown, terminal
from validators.report import Report

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_PAGES: Mapping[str, Callable[[ShownEvidence], str]] = {
    "html": lambda found: as_html.render(found.reports, found.title),
    "junit": lambda found: junit.render(found.reports, found.title),
    "markdown": lambda found: markdown.render(found.reports, found.title),
}
"""The formats that show the gates' reports alone, each a complete document."""


_VALIDATION = "great-expectations"


@click.command(short_help="Show a run, a model version or a rollout.")
@click.argument("what")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", *_PAGES, _VALIDATION]),
    default="text",
    show_default=True,
    help="text and json show everything; html, junit and markdown only the gates' reports; "
    "great-expectations the validation results of the data gates.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.pass_context
def show(ctx: click.Context, what: str, form: str) -> None:
    """Show everything about WHAT: a run, a model version (PIPELINE/NUMBER), or a rollout.

    That is its trigger, steps and attempts, the reports of its gates, and its lineage. The formats
    html, junit and markdown have the reports alone, including those of gates that could not judge;
    great-expectations has what Data Docs can show, a line of JSON for each data gate. Known secrets
    are redacted.

    \b
    Example:
      headgate show flight-delay-12
      headgate show flight-delay/3
      headgate show flight-delay-production-4
      headgate show flight-delay-12 --format html > report.html
      headgate show flight-delay-12 --format great-expectations > validation.json
    """
    page = _PAGES.get(form)

    async def ask(store: StoreReader, here: CliContext) -> Shown | str:
        artifacts = open_artifacts(here.settings, here.home)
        secrets = load_secrets(here.settings, here.base, os.environ)
        if form == _VALIDATION:
            return secrets.redact(await validation_results(store, artifacts, what))
        if page is None:
            return secrets.redacted(await find(store, artifacts, what))
        found = await evidence_of(store, artifacts, what, drawn=form == "html")
        hidden = tuple(secrets.redacted(report) for report in found.reports)
        return secrets.redact(page(ShownEvidence(secrets.redact(found.title), hidden)))

    shown = with_state(ctx, ask)
    if isinstance(shown, str):
        click.echo(shown, nl=False)
    elif form == "json":
        click.echo(json.dumps(shown.plain(), indent=2, ensure_ascii=False))
    else:
        print_(*_text(shown))


def _text(shown: Shown) -> Sequence["RenderableType"]:
    match shown:
        case ShownRun():
            return _run(shown)
        case ShownVersion():
            return _version(shown)
        case ShownRollout():
            return _rollout(shown)


def _run(shown: ShownRun) -> Sequence["RenderableType"]:
    run = shown.run
    facts = {
        "why": run.why,
        "requested by": shown.by,
        "commit": f"{run.commit} on {run.branch}",
        "baseline": f"v{run.baseline}" if run.baseline else "none",
        **{f"dataset {name}": digest for name, digest in run.datasets.items()},
        **{f"note on {name}": text for name, text in shown.exceptions.items()},
        "started": moment(run.created),
        "ended": moment(run.finished) if run.finished else "not yet",
    }
    parts: list[RenderableType] = [render_run(run, time.time()), "", _facts(facts)]
    if shown.attempts:
        parts += ["", _attempts(shown.attempts)]
    return [*parts, *_reports(shown.reports, shown.lost_reports, run.id)]


def _attempts(attempts: Sequence[Attempted]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("attempt", "state", "exit", "took", "memory"):
        table.add_column(name, justify="right" if name in ("exit", "took", "memory") else "left")
    for one in attempts:
        status = one.status
        seconds = (
            status.ended - status.started if status and status.ended and status.started else None
        )
        table.add_row(
            Text(one.id),
            status.state.value if status else "running",
            "" if status is None or status.exit_code is None else str(status.exit_code),
            "" if seconds is None else duration(seconds),
            f"{status.peak_memory / 2**20:,.0f} MiB" if status and status.peak_memory else "",
        )
    return table


def _version(shown: ShownVersion) -> Sequence["RenderableType"]:
    from rich.text import Text

    one = shown.version
    notes = exceptions_of(one.accepted_versions, one.fallbacks)
    facts = {
        "digest": one.digest,
        "model": one.model,
        "run": one.run,
        "commit": f"{one.source.commit} on {one.branch}",
        **{f"dataset {name}": digest for name, digest in one.datasets.items()},
        **{f"note on {name}": text for name, text in notes.items()},
        **{f"gate {gate}": verdict.value for gate, verdict in one.verdicts.items()},
        "created": moment(one.created),
    }
    head = Text.assemble((f"{one.pipeline} v{one.number}", "bold"))
    return [head, _facts(facts), *_reports(shown.reports, shown.lost_reports, f"v{one.number}")]


def _rollout(shown: ShownRollout) -> Sequence["RenderableType"]:
    from rich.text import Text

    one, ended = shown.rollout, shown.ended
    facts = {
        "version": str(one.version),
        "into": f"{shown.pipeline}/{shown.environment}",
        "why": one.why,
        "commit": shown.commit,
        f"differs from {shown.beside}": "\n".join(shown.differs),
        "requested by": one.by,
        "requested": moment(one.asked),
        "approved": moment(one.approved) if one.approved else "",
        "deployed": moment(one.deployed) if one.deployed else "",
        "ready": moment(one.ready) if one.ready else "",
        "canary started": moment(one.judge.began) if one.judge else "",
        "first failed": moment(one.first_failed) if one.first_failed else "",
        "decided": moment(one.decided) if one.decided else "",
        "forecast": one.forecast or "",
        "waiting": one.held or "",
        "ended": f"{moment(ended.at)}: {ended.reason}" if ended else "not yet",
    }
    outcome = ended.outcome.replace("_", " ") if ended else "in progress"
    style = ROLLOUT_STYLES[ended.outcome] if ended else "cyan"
    head = Text.assemble((one.id, "bold"), "  ", (outcome, style))
    return [head, _facts(facts), *_reports(shown.reports, (), one.id)]


def _facts(facts: Mapping[str, str]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, fact in facts.items():
        if fact:
            table.add_row(name, Text(clean(fact)))
    return table


def _reports(
    reports: Sequence[Report], lost: Sequence[str], title: str
) -> Sequence["RenderableType"]:
    from rich.text import Text

    parts: list[RenderableType] = []
    if reports:
        parts += ["", terminal.renderable(reports, title)]
    return [*parts, *(Text(why, "yellow") for why in lost)]
