"""PURE. Draws a `StatusSnapshot` as a tree that rich can print."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from controller.cli.terminal.formatting import ago, bar, one_line, short
from controller.cli.terminal.styles import (
    KINDS,
    NODE_MARKS,
    OUTCOME_MARKS,
    PHASES,
    VERDICT_STYLES,
)
from controller.cli.terminal.views import (
    EnvironmentView,
    FailingActionView,
    JobView,
    NodeView,
    PipelineView,
    RolloutView,
    RunView,
    ScheduleView,
    SetAsideView,
    SignalView,
    StallView,
    StatusSnapshot,
)
from controller.reconcile.resting import RESTS
from specs.figures import duration, percent
from validators.canary.comparison import figure
from validators.verdict import Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text
    from rich.tree import Tree

MOST_SET_ASIDE = 5
"""How many messages that were set aside are shown, the newest ones."""


def render(view: StatusSnapshot) -> "RenderableType":
    """The tree of all pipelines; then stalls, failing actions, and messages that were set aside."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    shown = [pipeline for pipeline in view.pipelines if not pipeline.is_over]
    for pipeline in shown:
        tree = _pipeline(pipeline, view.at)
        if pipeline.name in view.holders:
            holder = view.holders[pipeline.name] or "no controller yet: it is being taken over"
            tree.add(Text(f"held by {holder}", "dim"))
        if pipeline.repository in view.resting:
            said = f"it rests with its repository {pipeline.repository}: {RESTS}"
            tree.add(Text.assemble(("! ", "bold yellow"), (said, "yellow")))
        parts += [tree, Text("")]
    if not shown:
        none = "has a spec any more" if view.pipelines else "has been seen yet"
        parts += [Text(f"No pipeline {none}.", "dim"), Text("")]
    parts += [_stall(stall, view.at) for stall in view.stalls]
    parts += [_failing(action, view.at) for action in view.failing]
    parts += [_set_aside(message, view.at) for message in view.set_aside[-MOST_SET_ASIDE:]]
    if len(view.set_aside) > MOST_SET_ASIDE:
        more = len(view.set_aside) - MOST_SET_ASIDE
        parts.append(Text(f"and {more} more messages set aside: headgate status --json", "dim"))
    return Group(*parts)


def _failing(view: FailingActionView, now: float) -> "Text":
    from rich.text import Text

    times = "once" if view.attempts == 1 else f"{view.attempts} times"
    return Text.assemble(
        ("! ", "bold yellow"),
        (f"{view.owner} {view.action}", "bold"),
        (f" tried {times}, next attempt {_when(view.next_try, now)}", "dim"),
        f"\n  {one_line(view.error)}",
    )


def _set_aside(view: SetAsideView, now: float) -> "Text":
    from rich.text import Text

    return Text.assemble(
        ("! ", "bold yellow"),
        (view.to, "bold"),
        (
            f" set aside a message of type {one_line(view.type, 60)} {ago(view.since, now)}",
            "yellow",
        ),
        f"\n  {one_line(view.reason, 400)}",
        (f"\n  {view.fix}", "dim"),
    )


def _stall(view: StallView, now: float) -> "Text":
    from rich.text import Text

    since = " is stuck" if view.since is None else f" stuck for {duration(now - view.since)}"
    head = Text.assemble(("! ", "bold red"), (view.of, "bold"), (since, "red"))
    return head.append(f"\n  {one_line(view.reason, 400)}")


def render_run(view: RunView, now: float) -> "Tree":
    """A run with its steps."""
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(_run_line(view, now), guide_style="dim")
    if view.waits_for:
        tree.add(Text(f"waiting: {one_line(view.waits_for, 400)}", "yellow"))
    nodes = [*view.environments, *view.nodes]
    width = max((len(node.name) for node in nodes), default=0)
    for node in nodes:
        tree.add(node_line(node, now, width))
    return tree


def _when(then: float, now: float) -> str:
    return "now" if then <= now else f"in {duration(then - now)}"


def _pipeline(view: PipelineView, now: float) -> "Tree":
    from rich.text import Text
    from rich.tree import Tree

    head = Text.assemble((view.name, "bold"))
    if view.commit:
        head.append(f"   {one_line(view.branch, 40)} {view.commit[:10]}", "dim")
    tree = Tree(head, guide_style="dim")
    if view.invalid:
        said = f"the spec is invalid: {one_line(view.invalid, 400)}"
        tree.add(Text.assemble(("✗ ", "bold red"), (said, "red")))
    if view.gone:
        tree.add(Text.assemble(("○ ", "dim"), (one_line(view.gone, 400), "yellow")))
    if view.held_back:
        tree.add(Text.assemble(("○ ", "dim"), (one_line(view.held_back, 400), "yellow")))
    for accepted in view.accepted:
        tree.add(Text.assemble(("! ", "bold yellow"), (one_line(accepted, 400), "yellow")))
    if view.schedule is not None and view.schedule.next is not None:
        tree.add(_schedule(view.schedule, view.schedule.next, now))
    for environment in view.environments:
        node = tree.add(_environment_line(environment, now))
        if environment.rollout is not None:
            _add_rollout(node, environment.rollout, now)
        for line in _environment_notes(environment, now):
            node.add(line)
    for run in view.runs:
        if run.outcome == "running":
            tree.add(render_run(run, now))
        else:
            tree.add(_run_line(run, now))
    for wanted in view.wanted:
        tree.add(
            Text.assemble(
                ("○ ", "dim"),
                "a run is requested ",
                (
                    f"on {one_line(wanted.branch, 40)}, waiting for {one_line(wanted.waits_for)}",
                    "dim",
                ),
            )
        )
    return tree


def _schedule(view: ScheduleView, due: float, now: float) -> "Text":
    from rich.text import Text

    here = datetime.fromtimestamp(due, ZoneInfo(view.timezone))
    when = f"{here:%a %d %b %H:%M} {view.timezone}"
    return Text.assemble(
        ("◷ ", "dim"), "next scheduled run ", when, (f", {_when(due, now)}", "dim")
    )


def _environment_line(view: EnvironmentView, now: float) -> "Text":
    from rich.text import Text

    name = f"{view.name:<10}  "
    if view.stable is None:
        return Text.assemble(("○ ", "dim"), (name, "bold"), ("serves nothing yet", "dim"))
    healthy = view.unready_since is None
    line = Text.assemble(
        ("● ", "green" if healthy else "red"),
        (name, "bold"),
        ("points to " if view.points else "", ""),
        (f"v{view.stable.version}", "bold green" if healthy else "bold red"),
        (f"  {short(view.stable.digest)}", "dim"),
    )
    if view.since is not None:
        line.append(f"  for {duration(now - view.since)}", "dim")
    if view.address:
        line.append(f"  {view.address}", "dim underline")
    return line


def _environment_notes(view: EnvironmentView, now: float) -> "Iterator[Text]":
    from rich.text import Text

    if view.unready_since is not None:
        yield Text(f"has not been ready for {duration(now - view.unready_since)}", "red")
    if view.unknown:
        yield Text(f"cannot release: {one_line(view.unknown, 300)}", "bold red")
    if view.lost:
        yield Text(one_line(view.lost, 400), "yellow")
    if view.silence is not None:
        yield Text(f"{view.silence.why()}; stable serves all traffic", "red")
    if view.job is not None:
        yield _job_line(view.job, now)
    if view.warm is not None:
        left = duration(max(0.0, view.warm.until - now))
        kept = f"v{view.warm.version.version} stays up for another {left}, for a fast rollback"
        yield Text(kept, "cyan")
        if view.warm.said:
            yield Text(one_line(view.warm.said, 200), "dim")
    if view.paused:
        yield Text(f"paused by {one_line(view.paused, 60)}", "yellow")
    if view.pinned:
        yield Text(f"pinned by commit {view.pinned[:10]}", "yellow")
    if view.unwritten and view.rollout is None:
        yield Text("not yet recorded on the environments branch", "dim")
    for bad in view.quarantine[-3:]:
        yield Text.assemble(
            ("quarantined ", "dim"),
            (f"v{bad.version}", "red"),
            (f"  {short(bad.digest)}  {ago(bad.since, now)}: {one_line(bad.reason, 60)}", "dim"),
        )
    if len(view.quarantine) > 3:
        yield Text(f"and {len(view.quarantine) - 3} more in quarantine", "dim")
    for alert in view.alerts:
        yield Text.assemble(("alert  ", "yellow"), (one_line(alert), "dim"))


def _job_line(view: JobView, now: float) -> "Text":
    from rich.text import Text

    line = Text.assemble("batch  ", (f"v{view.version.version}  ", "bold"))
    if view.ended is None:
        line.append(f"running for {duration(now - view.asked)}", "cyan")
    elif view.failed is None:
        line.append(f"succeeded {ago(view.ended, now)}", "green")
    else:
        line.append(f"failed {ago(view.ended, now)}: {one_line(view.failed, 200)}", "red")
    return line.append(f"  {one_line(view.why, 100)}", "dim")


def _add_rollout(tree: "Tree", view: RolloutView, now: float) -> None:
    from rich.text import Text

    line = Text.assemble(
        ("◐ ", "cyan"), (f"v{view.version.version}", "bold cyan"), f"  {KINDS[view.kind]}"
    )
    if view.phase == "canary":
        full, rest = bar(view.weight, 20)
        steps = " → ".join(percent(weight) for weight in view.weights)
        line.append("canary  ")
        line.append(full, "cyan")
        line.append(rest, "bright_black")
        line.append(f"  {percent(view.weight)}", "bold cyan")
        line.append(f"  of {steps}", "dim")
    elif view.paused and view.phase == "promoting":
        line.append("ready to be promoted, but paused", "yellow")
    else:
        line.append(PHASES[view.phase], "cyan")
    line.append(f"  {duration(now - view.asked)}", "dim")
    node = tree.add(line)
    width = max((len(signal.signal) for signal in view.signals), default=0)
    for signal in sorted(view.signals, key=lambda one: one.signal):  # a stable order
        node.add(_signal_line(signal, width))
    if view.forecast and not view.held:
        node.add(Text(one_line(view.forecast, 400), "yellow"))
    if view.held or view.headline:
        waits = Text(one_line(view.held or view.headline, 200), "yellow" if view.held else "dim")
        node.add(waits)


def _signal_line(view: SignalView, width: int) -> "Text":
    from rich.text import Text

    style = VERDICT_STYLES[view.verdict] if view.verdict is not Verdict.INCONCLUSIVE else "dim"
    mark = {Verdict.PASS: "✓", Verdict.FAIL: "✗"}.get(view.verdict, "·")
    # The limit comes last because a narrow terminal may cut it off.
    line = Text(no_wrap=True, overflow="ellipsis").append(f"{mark} ", style)
    line.append(f"{view.signal:<{width}}  ")
    line.append(f"canary {_figure(view.signal, view.canary):<8}")
    line.append(f"  stable {_figure(view.signal, view.stable):<8}", "dim")
    if view.n is not None:
        line.append(f"  n {view.n:<7,}", "dim")
    if view.limit:
        line.append(f"  {view.limit}", "dim")
    return line


def _figure(signal: str, value: float | str | None) -> str:
    return figure(signal, value) or "-"


def _run_line(view: RunView, now: float) -> "Text":
    from rich.text import Text

    mark, style = OUTCOME_MARKS[view.outcome]
    line = Text.assemble((f"{mark} ", style), (view.id, "bold"), f"  {one_line(view.why, 90)}")
    if view.finished is None:
        line.append(f"  {duration(now - view.created)}", "dim")
        return line
    line.append(f"  {view.outcome}", style)
    if view.ended_by:
        line.append(
            f" by {one_line(view.ended_by, 80)}" if view.outcome == "stopped" else "", style
        )
    line.append(
        f"  {ago(view.finished, now)}, took {duration(view.finished - view.created)}", "dim"
    )
    return line


def node_line(view: NodeView, now: float, width: int) -> "Text":
    """One step or gate of a run; `width` is the length of the longest name."""
    from rich.text import Text

    mark, style = NODE_MARKS[view.phase]
    if view.verdict is not None:
        style = VERDICT_STYLES[view.verdict]
        mark = mark if view.verdict.passes else "✗"
    line = Text.assemble((f"{mark} ", style), (f"{view.name:<{width}}", ""))
    if view.verdict is not None:
        line.append(f"  {view.verdict.value}", style)
    if view.phase == "running" and view.since is not None:
        again = f"  attempt {view.attempts}" if view.attempts > 1 else ""
        line.append(f"  {duration(now - view.since)}{again}", "cyan")
    elif view.phase == "cached":
        line.append(f"  from {view.cached_from}", "dim")
    elif view.phase == "waiting" and view.waits_for:
        line.append(f"  waiting for {', '.join(view.waits_for)}", "dim")
    elif view.seconds is not None:
        line.append(f"  {duration(view.seconds)}", "dim")
    if view.detail:
        line.append(f"  {one_line(view.detail, 120)}", "red" if view.phase == "failed" else "dim")
    return line
