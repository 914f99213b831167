"""`headgate plan`."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from controller.artifacts.opening import open_artifacts
from controller.buckets.stores import Stores
from controller.cli.context import CliContext, find_settings, load_context, open_state
from controller.cli.failures import Failed
from controller.cli.folders import spec_option
from controller.cli.revealing import revealer
from controller.cli.terminal.formatting import clean, one_line, short
from controller.cli.terminal.printing import show
from controller.machine.pipelines.dataset_changes import describe_changes
from controller.machine.pipelines.plan import Plan, Planned, counts
from controller.planning.checkout import WORK_TREE
from controller.planning.choosing import spec_argument
from controller.planning.gathering import Gathered, gather
from controller.planning.gathering import plan as make_plan
from controller.planning.plans import Cache
from controller.queries.polling import QueryVersions as Questions
from controller.reports.plan import render_plan
from specs.figures import duration
from specs.loading.problems import has_errors, render_text
from specs.model import Pipeline as Spec

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text


@click.command(short_help="Say what a commit would run, and why.")
@click.argument("path", default=".", type=click.Path(exists=True, path_type=Path))
@spec_option
@click.option("--commit", metavar="REV", help="Plan a commit instead of the work tree.")
@click.option(
    "--base",
    metavar="REV",
    help="Judge by the gates of this commit; by default the merge base with the remote's default "
    "branch.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="For people, for programs, or for a page such as a job summary.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.pass_context
def plan(
    ctx: click.Context,
    path: Path,
    spec_file: str | None,
    commit: str | None,
    base: str | None,
    form: str,
) -> None:
    """Say what a run of the spec in PATH would do: which steps run and which are cached, and why.

    It does not need a running controller. If the controller's state can be read (headgate.yaml is
    in this folder or above), the plan is compared with the last run of the default branch. As for
    a pull request, the gates of the base are those that judge. Gates that are loosened or removed
    are shown in bold.

    \b
    Example:
      headgate plan --base origin/main
    """
    gathered = gather(spec_argument(path, spec_file, "headgate plan"), commit, base)
    loaded = gathered.loaded
    if loaded.pipeline is None or has_errors(loaded.problems):
        click.echo(render_text(loaded.problems, {loaded.file: loaded.text}), err=True, nl=False)
        raise Failed("the spec is invalid, so there is nothing to plan; see above.")
    made = asyncio.run(_plan(ctx, gathered, loaded.pipeline))
    if form == "json":
        click.echo(json.dumps(_for_programs(made), indent=2, ensure_ascii=False))
    elif form == "markdown":
        click.echo(render_plan(made))
    else:
        show(render(made))


async def _plan(ctx: click.Context, gathered: Gathered, spec: Spec) -> Plan:
    """The plan, using the controller's state if there is one."""
    named = find_settings(ctx.find_root().obj) is not None
    plan_it = partial(
        make_plan,
        spec,
        gathered.source,
        gathered.checkout.top,
        policy=gathered.policy,
        rules=gathered.rules,
        stores=Stores(load_context(ctx).settings.stores) if named else None,
        queries=Questions(revealer(ctx)),
    )
    here = _state(ctx)
    if here is None:
        return await plan_it()
    async with open_state(here) as store:
        cache = Cache(store, open_artifacts(here.settings, here.home), here.home)
        return await plan_it(cache=cache, home=here.home)


def _state(ctx: click.Context) -> CliContext | None:
    """The settings of a controller that has a state, if there is one."""
    if find_settings(ctx.find_root().obj) is None:
        return None
    here = load_context(ctx)
    if here.settings.store is None and not (here.home / "state.db").exists():
        return None
    return here


def render(view: Plan) -> "RenderableType":
    """The plan for a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = [_head(view), Text("")]
    steps = Table.grid(padding=(0, 2))
    steps.add_column(no_wrap=True)
    steps.add_column(overflow="fold")
    for node in view.nodes:
        steps.add_row(*_node(node))
    parts.append(steps)
    if view.datasets:
        parts += [Text(""), _datasets(view)]
    if view.policy:
        parts += [Text(""), _policy(view)]
    parts += [Text(f"Note: {clean(note)}.", "dim") for note in view.notes]
    return Group(*parts)


def _head(view: Plan) -> "Text":
    from rich.text import Text

    what = view.commit if view.commit == WORK_TREE else f"commit {view.commit[:12]}"
    head = Text.assemble((view.pipeline, "bold"), f"  {what}  ")
    runs = any(node.what == "run" for node in view.nodes)
    if view.nothing_to_do:
        head.append(f"nothing to run: nothing it reads has changed since {view.stands}", "green")
        return head
    head.append(counts(view), "bold cyan" if runs else "green")
    if view.seconds is not None:
        head.append(f"  about {duration(view.seconds)}", "dim")
    against = f"  baseline v{view.baseline}" if view.baseline else "  no baseline"
    head.append(against, "dim")
    if view.compared_with:
        head.append(f"  compared with {view.compared_with}", "dim")
    return head


def _for_programs(made: Plan) -> dict[str, Any]:
    """The plan as JSON; a reason is its text."""
    plain = made.plain()
    for node in plain["nodes"]:
        node["why"] = [reason["text"] for reason in node["why"]]
    return plain


def _node(node: Planned) -> tuple["Text", "Text"]:
    from rich.text import Text

    if node.what == "cached":
        return Text.assemble(("↺ ", "green"), node.name), Text(
            f"cached {'; '.join(node.reasons)}", "dim"
        )
    if node.what == "unneeded":
        forced = "; ".join(one_line(reason) for reason in node.reasons)
        return Text.assemble(("· ", "dim"), node.name), Text(
            f"not needed; if forced: {forced}", "dim"
        )
    why = Text.assemble(("run  ", "cyan"), "; ".join(one_line(reason) for reason in node.reasons))
    if node.seconds is not None:
        why.append(f"  about {duration(node.seconds)}", "dim")
    return Text.assemble(("● ", "cyan"), (node.name, "bold")), why


def _datasets(view: Plan) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for data in view.datasets:
        version = short(data.version) if data.version else "unknown"
        if data.was and data.version and data.was != data.version:
            version = f"{short(data.was)} → {version}"
        gate = f"gate {data.gate}" if data.gate else "no gate"
        problem = Text(one_line(data.problem), "yellow") if data.problem else Text(gate, "dim")
        table.add_row(Text(f"datasets.{data.name}", "dim"), Text(version), problem)
        for line in describe_changes(data.moved) if data.moved else ():
            table.add_row("", Text(one_line(line), "dim"), "")
    return table


def _policy(view: Plan) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    base = (view.policy_base or "")[:12]
    lines = [Text(f"Rules that differ from {base}:", "dim")]
    for change in view.policy:
        style, mark = ("bold red", "! LOOSENED ") if change.loosens else ("", "  changed  ")
        words = f"{clean(change.rule)}: {one_line(change.was)} → {one_line(change.now)}"
        lines.append(Text(mark + words, style))
    return Group(*lines)
