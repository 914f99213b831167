"""`headgate show`."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from controller.artifacts import Artifacts
from controller.artifacts.opening import open_artifacts
from controller.cli.printing import show as print_
from controller.cli.reach import Reach, json_option, no_such, print_json, values, with_store
from controller.cli.tree import render_run
from controller.cli.views import RunView, run_view
from controller.cli.words import clean, lasting, moment, one_line
from controller.machine.core import Key, Value
from controller.machine.environments.environment import Environment
from controller.machine.environments.rollout import Ended, Rollout
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.attempt import Status
from controller.machine.runs.graph import Graph
from controller.machine.runs.run import Run
from controller.outbox import parsed
from controller.store.protocol import Store
from specs.failures import Failure
from validators.canary import evidence
from validators.render import terminal
from validators.report import Report

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


class Attempted(Value):
    """One try at a node."""

    id: str
    node: str
    asked: float
    status: Status | None


class ShownRun(Value):
    """A run with everything that belongs to it."""

    run: RunView
    by: str
    attempts: tuple[Attempted, ...]
    reports: tuple[Report, ...]
    lost_reports: tuple[str, ...] = ()
    """Why a gate's report cannot be shown."""


class ShownVersion(Value):
    """A model version with its lineage."""

    version: ModelVersion
    reports: tuple[Report, ...]
    lost_reports: tuple[str, ...] = ()


class ShownRollout(Value):
    """A rollout, in progress (`ended` is None) or over."""

    rollout: Rollout
    pipeline: str
    environment: str
    ended: Ended | None
    reports: tuple[Report, ...]


Shown = ShownRun | ShownVersion | ShownRollout


@click.command(short_help="Show a run, a model version or a rollout.")
@click.argument("what")
@json_option
@click.pass_context
def show(ctx: click.Context, what: str, as_json: bool) -> None:
    """Show everything about WHAT: a run, a model version (PIPELINE/NUMBER), or a rollout.

    Its trigger, steps and attempts, the reports of its gates, and where it came from.

    \b
    Example:
      headgate show flight-delay-12
      headgate show flight-delay/3
      headgate show flight-delay-production-4
    """

    async def ask(store: Store, here: Reach) -> Shown:
        return await find(store, open_artifacts(here.settings, here.home), what)

    shown = with_store(ctx, ask)
    if as_json:
        print_json(shown)
        return
    match shown:
        case ShownRun():
            print_(*_run(shown))
        case ShownVersion():
            print_(*_version(shown))
        case ShownRollout():
            print_(*_rollout(shown))


async def find(store: Store, artifacts: Artifacts, what: str) -> Shown:
    """The run, version or rollout of that name. Raises `Failed` for none."""
    run = await store.get(Key("run", what))
    if run is not None:
        return await _find_run(store, artifacts, parsed(Run, run.body))
    version = await store.get(Key("model", what.replace("/v", "/")))
    if version is not None:
        found = parsed(ModelVersion, version.body)
        reports, lost = await read_reports(artifacts, found.reports)
        return ShownVersion(version=found, reports=reports, lost_reports=lost)
    rollout = await _find_rollout(store, what)
    if rollout is not None:
        return rollout
    kinds = ("run", "model", "rollout")
    names = [record.key.name for kind in kinds for record in await store.list(kind)]
    raise no_such("run, model version or rollout", what, names)


async def _find_rollout(store: Store, id_: str) -> ShownRollout | None:
    """One that is over, or in progress."""
    record = await store.get(Key("rollout", id_))
    if record is not None:
        ended = parsed(Ended, record.body)
        return _shown_rollout(ended.rollout, ended.pipeline, ended.environment, ended)
    for env in values(await store.list("environment"), Environment):
        if env.rollout is not None and env.rollout.id == id_:
            return _shown_rollout(env.rollout, env.pipeline, env.name, None)
    return None


def _shown_rollout(
    rollout: Rollout, pipeline: str, environment: str, ended: Ended | None
) -> ShownRollout:
    reports = [rollout.smoke] if rollout.smoke else []
    if rollout.judgement is not None:
        reports.append(evidence.report(rollout.judgement, rollout.id))
    return ShownRollout(
        rollout=rollout,
        pipeline=pipeline,
        environment=environment,
        ended=ended,
        reports=tuple(reports),
    )


async def _find_run(store: Store, artifacts: Artifacts, run: Run) -> ShownRun:
    graph = await store.get(Key("graph", run.id))
    digests = {
        name: node.outputs["report"]
        for name, node in run.nodes.items()
        if node.verdict is not None and node.outputs and "report" in node.outputs
    }
    reports, lost = await read_reports(artifacts, digests)
    attempts = (
        Attempted(id=tried.id, node=name, asked=tried.asked, status=tried.status)
        for name, node in run.nodes.items()
        for tried in node.attempts
    )
    return ShownRun(
        run=run_view(run, parsed(Graph, graph.body) if graph else None),
        by=run.trigger.by,
        attempts=tuple(sorted(attempts, key=lambda tried: tried.asked)),
        reports=reports,
        lost_reports=lost,
    )


async def read_reports(
    artifacts: Artifacts, digests: Mapping[str, str]
) -> tuple[tuple[Report, ...], tuple[str, ...]]:
    """Gate reports by their digests, and why those that are lost cannot be shown."""
    reports, lost = [], []
    for gate, digest in digests.items():
        try:
            content = await artifacts.read_bytes(digest)
            reports.append(Report.model_validate_json(content))
        except (Failure, ValueError) as failure:
            lost.append(f"the report of {gate} cannot be read: {one_line(str(failure))}")
    return tuple(reports), tuple(lost)


def _run(shown: ShownRun) -> Sequence["RenderableType"]:
    run = shown.run
    facts = {
        "because of": run.why,
        "asked by": shown.by,
        "commit": f"{run.commit} on {run.branch}",
        "baseline": f"v{run.baseline}" if run.baseline else "none",
        **{f"dataset {name}": digest for name, digest in run.datasets.items()},
        "began": moment(run.created),
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
            "" if seconds is None else lasting(seconds),
            f"{status.peak_memory / 2**20:,.0f} MiB" if status and status.peak_memory else "",
        )
    return table


def _version(shown: ShownVersion) -> Sequence["RenderableType"]:
    from rich.text import Text

    one = shown.version
    facts = {
        "digest": one.digest,
        "model": one.model,
        "run": one.run,
        "commit": f"{one.source.commit} on {one.branch}",
        **{f"dataset {name}": digest for name, digest in one.datasets.items()},
        **{f"gate {gate}": verdict.value for gate, verdict in one.verdicts.items()},
        "made": moment(one.created),
    }
    head = Text.assemble((f"{one.pipeline} v{one.number}", "bold"))
    return [head, _facts(facts), *_reports(shown.reports, shown.lost_reports, f"v{one.number}")]


def _rollout(shown: ShownRollout) -> Sequence["RenderableType"]:
    from rich.text import Text

    one, ended = shown.rollout, shown.ended
    facts = {
        "version": str(one.version),
        "into": f"{shown.pipeline}/{shown.environment}",
        "because of": one.why,
        "asked by": one.by,
        "asked": moment(one.asked),
        "approved": moment(one.approved) if one.approved else "",
        "deployed": moment(one.deployed) if one.deployed else "",
        "ready": moment(one.ready) if one.ready else "",
        "decided": moment(one.decided) if one.decided else "",
        "waits": one.held or "",
        "ended": f"{moment(ended.at)}: {ended.reason}" if ended else "not yet",
    }
    outcome = ended.outcome.replace("_", " ") if ended else "in progress"
    style = {"promoted": "green", "in progress": "cyan"}.get(outcome, "red")
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
