"""`headgate releases`."""

import time
from typing import TYPE_CHECKING

import click

from controller.cli.context import (
    CliContext,
    json_option,
    limit_option,
    parse_all,
    print_json,
    with_state,
)
from controller.cli.environment_argument import find_environment
from controller.cli.terminal.formatting import ago, one_line
from controller.cli.terminal.printing import show
from controller.cli.terminal.styles import ROLLOUT_STYLES
from controller.machine.core import Value
from controller.machine.environments.rollout import EndedRollout, Kind, RolloutOutcome
from controller.store.protocol import StoreReader
from validators.canary import evidence

if TYPE_CHECKING:
    from rich.table import Table


class ReleaseView(Value):
    """How one rollout ended."""

    rollout: str
    environment: str
    version: int
    digest: str
    kind: Kind
    outcome: RolloutOutcome
    reason: str
    by: str
    at: float
    evidence: str
    """The judge's last statement; empty without a canary."""


@click.command(short_help="Show past releases and their evidence.")
@click.argument("place", metavar="PIPELINE[/ENVIRONMENT]")
@limit_option
@json_option
@click.pass_context
def releases(ctx: click.Context, place: str, limit: int, as_json: bool) -> None:
    """Show the releases of an environment, the newest first: what, by whom, why, on what evidence.

    The environment is production unless another is named. `git log` of the environments branch has
    the same history as commits.

    \b
    Example:
      headgate releases flight-delay
    """

    async def ask(store: StoreReader, _: CliContext) -> list[ReleaseView]:
        env = await find_environment(store, place)
        # A rollout is saved once, as it ends, so the latest are those that ended last.
        records = await store.list("rollout", f"{env.pipeline}-{env.name}-", limit)
        ended = sorted(parse_all(records, EndedRollout), key=lambda one: -one.at)
        return [_view(one) for one in ended]

    views = with_state(ctx, ask)
    if as_json:
        print_json(views)
    elif views:
        show(_table(views))
    else:
        said = f"No rollout to {place} has ended yet, according to this state."
        lost = "If the state was lost, see `git log` of the branch headgate/environments."
        click.echo(f"{said} {lost}", err=True)


def _view(ended: EndedRollout) -> ReleaseView:
    rollout = ended.rollout
    judgement = rollout.judgement
    return ReleaseView(
        rollout=rollout.id,
        environment=ended.environment,
        version=rollout.version.version,
        digest=rollout.version.digest,
        kind=rollout.kind,
        outcome=ended.outcome,
        reason=ended.reason,
        by=rollout.by,
        at=ended.at,
        evidence=evidence.headline(judgement, rollout.judge) if judgement else "",
    )


def _outcome(view: ReleaseView) -> str:
    if view.kind == "revert" and view.outcome == "promoted":
        return "rollback"
    return view.outcome.replace("_", " ")


def _table(views: list[ReleaseView]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    now = time.time()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("rollout", "version", "outcome", "when", "by", "why"):
        table.add_column(name, no_wrap=name != "why", overflow="fold")
    for view in views:
        why = Text(one_line(view.reason, 200))
        if view.evidence and view.evidence != view.reason:
            why.append(f"\n{one_line(view.evidence, 300)}", "dim")
        table.add_row(
            view.rollout,
            Text(f"v{view.version}", "bold"),
            Text(_outcome(view), ROLLOUT_STYLES[view.outcome]),
            ago(view.at, now),
            one_line(view.by, 30),
            why,
        )
    return table
