"""`headgate models`."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from controller.cli.context import (
    CliContext,
    json_option,
    parse_all,
    print_json,
    require,
    with_state,
)
from controller.cli.terminal.formatting import ago, one_line, short
from controller.cli.terminal.printing import show
from controller.machine.core import Key, Value
from controller.machine.environments.environment import EnvironmentState
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.pipelines.version import ModelVersion
from controller.machine.repositories.repository import ENVIRONMENTS
from controller.store.protocol import StoreReader
from validators.verdict import Verdict, worst

if TYPE_CHECKING:
    from rich.table import Table


class ModelView(Value):
    """The summary of a model version."""

    pipeline: str
    number: int
    digest: str
    run: str
    commit: str
    branch: str
    datasets: Mapping[str, str]
    verdict: Verdict | None
    """The worst verdict of its gates."""
    created: float
    serves: tuple[str, ...]
    """The environments that serve it."""
    quarantined: str | None
    """Why it may not be released again."""


@click.command(short_help="List the model versions of a pipeline.")
@click.argument("pipeline")
@json_option
@click.pass_context
def models(ctx: click.Context, pipeline: str, as_json: bool) -> None:
    """List the model versions of PIPELINE, the newest first, and where they are served.

    \b
    Example:
      headgate models flight-delay
    """

    async def ask(store: StoreReader, _: CliContext) -> list[ModelView]:
        await require(store, "pipeline", pipeline, PipelineState, "pipeline")
        versions = parse_all(await store.list("model", f"{pipeline}/"), ModelVersion)
        keys = [Key("environment", f"{pipeline}/{name}") for name in ENVIRONMENTS]
        found = [record for key in keys if (record := await store.get(key)) is not None]
        places = parse_all(found, EnvironmentState)
        versions.sort(key=lambda one: -one.number)
        return [_view(version, places) for version in versions]

    views = with_state(ctx, ask)
    if as_json:
        print_json(views)
    elif views:
        show(_table(views))
    else:
        click.echo(f"{pipeline} has no model version yet.", err=True)


def _view(version: ModelVersion, places: list[EnvironmentState]) -> ModelView:
    bad = next((q for env in places if (q := env.quarantined(version.digest))), None)
    return ModelView(
        pipeline=version.pipeline,
        number=version.number,
        digest=version.digest,
        run=version.run,
        commit=version.source.commit,
        branch=version.branch,
        datasets=version.datasets,
        verdict=worst(version.verdicts.values()) if version.verdicts else None,
        created=version.created,
        serves=tuple(e.name for e in places if e.stable and e.stable.digest == version.digest),
        quarantined=bad.reason if bad else None,
    )


def _table(views: list[ModelView]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    now = time.time()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("version", "digest", "run", "commit", "gates", "made", "where"):
        table.add_column(name, no_wrap=name != "where", overflow="fold")
    for view in views:
        where = Text(", ".join(view.serves), "bold green")
        if view.quarantined is not None:
            where = Text(f"quarantined: {one_line(view.quarantined, 90)}", "red")
        table.add_row(
            Text(f"v{view.number}", "bold"),
            short(view.digest),
            view.run,
            view.commit[:10],
            view.verdict.value if view.verdict else "none",
            ago(view.created, now),
            where,
        )
    return table
