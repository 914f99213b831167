"""`headgate runs`."""

import time
from typing import TYPE_CHECKING

import click

from controller.cli.context import (
    CliContext,
    json_option,
    limit_option,
    parse_all,
    print_json,
    require,
    with_state,
)
from controller.cli.terminal.formatting import ago, one_line
from controller.cli.terminal.printing import show
from controller.cli.terminal.styles import OUTCOME_MARKS
from controller.cli.terminal.views import RunView, run_view
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.runs.run import Run
from controller.store.protocol import StoreReader
from specs.figures import duration

if TYPE_CHECKING:
    from rich.table import Table

_MARGIN = 10
"""How many runs more than asked for are read at first: those that took longer than others."""


@click.command(short_help="List runs.")
@click.option("--pipeline", metavar="NAME", help="Only runs of this pipeline.")
@limit_option
@json_option
@click.pass_context
def runs(ctx: click.Context, pipeline: str | None, limit: int, as_json: bool) -> None:
    """List runs, the newest first.

    \b
    Example:
      headgate runs --pipeline flight-delay --limit 5
    """

    async def ask(store: StoreReader, _: CliContext) -> list[RunView]:
        if pipeline is not None:
            await require(store, "pipeline", pipeline, PipelineState, "pipeline")
        newest = await _newest(store, f"{pipeline}-" if pipeline else "", limit)
        return [run_view(run) for run in newest]

    views = with_state(ctx, ask)
    if as_json:
        print_json(views)
    elif views:
        show(_table(views))
    else:
        click.echo("There are no runs yet.", err=True)


async def _newest(store: StoreReader, series: str, limit: int) -> list[Run]:
    """The runs that began last, the newest first.

    The store has those first that changed last. None of the others can have begun later than the
    last of these changed, so as many are read as it takes to be sure.
    """
    most = limit + _MARGIN
    while True:
        records = await store.list("run", series, most)
        runs = sorted(parse_all(records, Run), key=lambda run: -run.created)[:limit]
        if len(records) < most or runs[-1].created >= records[-1].updated:
            return runs
        most *= 2


def _table(views: list[RunView]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    now = time.time()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("run", "outcome", "branch", "commit", "trigger", "began", "took"):
        table.add_column(name, no_wrap=name != "trigger", overflow="fold")
    for view in views:
        table.add_row(
            Text(view.id, "bold"),
            Text(view.outcome, OUTCOME_MARKS[view.outcome][1]),
            one_line(view.branch, 30),
            view.commit[:10],
            Text(one_line(view.why, 80)),
            ago(view.created, now),
            duration(view.finished - view.created) if view.finished is not None else "",
        )
    return table
