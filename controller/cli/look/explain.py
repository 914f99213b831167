"""`headgate explain`."""

from typing import TYPE_CHECKING

import click

from controller.buckets.catalog import DATASETS, Catalog, changes
from controller.buckets.stores import Stores
from controller.cli.context import (
    CliContext,
    json_option,
    parse_all,
    print_json,
    require,
    with_state,
)
from controller.cli.terminal.formatting import one_line, short
from controller.cli.terminal.printing import show
from controller.machine.core import Key, Value, parsed
from controller.machine.error_text import without_traceback
from controller.machine.pipelines.dataset_changes import ObjectChanges, describe_changes
from controller.machine.runs.data_exceptions import exceptions_of
from controller.machine.runs.graph import Graph, Node
from controller.machine.runs.reasons import EarlierRun, reasons
from controller.machine.runs.run import NodePhase, Progress, Run, passed_before
from controller.store.protocol import StoreReader
from validators.verdict import Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_NEIGHBOURS = 200
"""How many runs are searched for the previous one."""


class ExplainedNode(Value):
    """What happened to a node, and why."""

    name: str
    phase: NodePhase
    verdict: Verdict | None = None
    """Only for a gate: one that succeeded as a step may still have failed the candidate."""
    why: tuple[str, ...]


class Explained(Value):
    """Why a run happened and why each of its nodes ran."""

    run: str
    trigger: str
    why: str
    by: str
    branch: str
    commit: str
    before: str | None
    """The run that it is compared with: the last one before it that passed, on its branch or else
    on the default branch."""
    datasets: tuple[str, ...]
    nodes: tuple[ExplainedNode, ...]


@click.command(short_help="Explain why a run happened and why each step ran.")
@click.argument("run")
@json_option
@click.pass_context
def explain(ctx: click.Context, run: str, as_json: bool) -> None:
    """Explain what triggered RUN, and why each step ran, was cached or was skipped.

    RUN is compared with the last run before it that passed, on the same branch or else on the
    default branch. For datasets, it shows which objects were added, removed or changed since.

    \b
    Example:
      headgate explain flight-delay-12
    """

    async def ask(store: StoreReader, here: CliContext) -> Explained:
        this = await require(store, "run", run, Run, "run")
        return await explained(
            store, this, Catalog(here.home / DATASETS, Stores(here.settings.stores))
        )

    found = with_state(ctx, ask)
    if as_json:
        print_json(found)
    else:
        show(_render(found))


async def explained(store: StoreReader, run: Run, catalog: Catalog) -> Explained:
    """Compare a run with the last one before it that passed."""
    records = await store.list("run", f"{run.pipeline}-", _NEIGHBOURS)
    before = passed_before(run, parse_all(records, Run))
    earlier = await _earlier(store, before) if before else None
    graph = await require(store, "graph", run.id, Graph, "graph of the run")
    was = before.datasets if before else {}
    moved = await changes(catalog, graph, was, run.datasets)
    return Explained(
        run=run.id,
        trigger=run.trigger.kind,
        why=run.trigger.why,
        by=run.trigger.by,
        branch=run.branch,
        commit=run.commit,
        before=before.id if before else None,
        datasets=(
            *(
                _data(name, was.get(name), now, moved.get(name))
                for name, now in run.datasets.items()
            ),
            *exceptions_of(run.accepted_versions, run.fallbacks).values(),
        ),
        nodes=tuple(_node(node, run, earlier) for node in graph.nodes),
    )


async def _earlier(store: StoreReader, before: Run) -> EarlierRun | None:
    record = await store.get(Key("graph", before.id))
    if record is None:
        return None
    return EarlierRun.of(before, parsed(Graph, record.body))


def _data(name: str, was: str | None, now: str, moved: ObjectChanges | None) -> str:
    if was is None or was == now:
        return f"{name} is {short(now)}" + (", as before" if was else "")
    said = f"{name} went from {short(was)} to {short(now)}"
    return "; ".join([said, *describe_changes(moved)]) if moved else said


def _node(node: Node, run: Run, earlier: EarlierRun | None) -> ExplainedNode:
    progress = run.nodes.get(node.name, Progress())
    if progress.phase == "cached":
        why = [f"everything it depends on is the same as in {progress.cached_from}"]
    elif progress.skipped is not None:
        why = [progress.skipped]
    elif progress.phase == "waiting" and not progress.attempts:
        waits = [need for need in node.needs if not run.nodes.get(need, Progress()).done]
        why = [f"it is waiting for {', '.join(waits) or 'the controller'}"]
    else:
        why = _why_it_ran(node, run, earlier)
    if progress.failed is not None:
        why.append(f"it failed: {without_traceback(progress.failed)}")
    if len(progress.attempts) > 1:
        why.append(f"it took {len(progress.attempts)} attempts")
    return ExplainedNode(
        name=node.name, phase=progress.phase, verdict=progress.verdict, why=tuple(why)
    )


def _why_it_ran(node: Node, run: Run, earlier: EarlierRun | None) -> list[str]:
    outputs = {name: done.outputs for name, done in run.nodes.items() if done.outputs}
    remade = earlier.remade(node, outputs) if earlier else ()
    return [*map(str, reasons(node, run.datasets, earlier, remade=remade))]


def _render(view: Explained) -> "RenderableType":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    by = f" by {one_line(view.by, 60)}" if view.by else ""
    compared = f"compared with {view.before}" if view.before else "no earlier run has passed"
    head = Text.assemble((view.run, "bold"), f"  {view.trigger}{by}: {one_line(view.why, 200)}")
    about = Text(f"{view.commit[:12]} on {one_line(view.branch, 60)}; {compared}", "dim")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for node in view.nodes:
        why = "; ".join(one_line(reason, 300) for reason in node.why)
        table.add_row(Text(node.name, "bold"), *_result(node), Text(why))
    datasets = [Text(f"dataset {one_line(line, 400)}", "dim") for line in view.datasets]
    return Group(head, about, *datasets, Text(""), table)


def _result(node: ExplainedNode) -> list["Text"]:
    """The phase of a step, or the verdict of a gate."""
    from rich.text import Text

    if node.verdict is None:
        return [Text(node.phase, "dim")]
    style = "dim" if node.verdict.passes else "bold red"
    cached = ", cached" if node.phase == "cached" else ""
    return [Text(f"{node.verdict.value}{cached}", style)]
