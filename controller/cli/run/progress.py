"""Prints the progress and the result of `headgate run`."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Final, NamedTuple

import click

from controller.cli.run.last_result import width
from controller.cli.terminal.formatting import clean, one_line
from controller.cli.terminal.printing import console
from controller.cli.terminal.tree import node_line, render_run
from controller.cli.terminal.views import NodeView, run_view
from controller.machine.pipelines.plan import Plan
from controller.machine.runs.graph import Graph
from controller.machine.runs.model_gate_nodes import BaselineChoice
from controller.machine.runs.run import Outcome, Run, why_ended
from controller.reports.forge import CommitReport
from controller.reports.github_job import annotation_commands, job_summary
from controller.reports.headline import arranged
from controller.wiring.local_run import EndedRun, Watcher
from specs.figures import duration
from validators.render import terminal
from validators.report import Report
from validators.verdict import Verdict, worst

CODES: Final[Mapping[Outcome, int]] = {"passed": 0, "stopped": 4, "failed": 5, "cancelled": 130}
"""The exit code for each outcome of a run that has ended."""
LOOSENED = 6
"""The exit code of a run that passed, if its commit loosens rules and nobody accepted that."""
LINES = 30
"""How many lines of a failed step's log are shown."""


class FinishedRun(NamedTuple):
    """A run that has ended, with everything that is shown about it."""

    played: EndedRun
    reports: Mapping[str, Report]
    """By gate."""
    lost: Sequence[str]
    """For each gate report that cannot be shown, why."""
    words: Mapping[str, str]
    """The end of each failed step's log."""

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the gates; ERROR if it did not complete, SKIPPED without gates."""
        run = self.played.run
        if run.outcome in ("failed", "cancelled"):
            return Verdict.ERROR
        return worst(run.verdicts.values()) if run.verdicts else Verdict.SKIPPED


class Guard:
    """Keeps GitHub Actions from obeying commands in the output, which steps can write."""

    def __init__(self, active: bool) -> None:
        self._token = token_hex(16) if active else None

    def __enter__(self) -> None:
        if self._token:
            click.echo(f"::stop-commands::{self._token}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._token:
            click.echo(f"::{self._token}::")


def begin_base(commit: str) -> None:
    """Print that the base's model is made first."""
    click.echo(f"First the model of the base {commit[:12]}, for comparison:")


def finish_base(found: BaselineChoice) -> None:
    """Print why there is no model of the base, if there is none; the run continues without."""
    if found.baseline is None:
        click.secho(one_line(found.none, 300), fg="yellow")
    click.echo()


@contextmanager
def watching() -> Iterator[Watcher]:
    """Show the progress of a run: as a live tree in a terminal, else as a line per change."""
    if not sys.stdout.isatty():
        yield _Lines().watch
        return
    from rich.live import Live

    with Live(console=console(), transient=True, refresh_per_second=8) as live:
        yield lambda run, graph: live.update(render_run(run_view(run, graph), time.time()))


class _Lines:
    """Prints a line when a node changes, and when the run starts to wait for something."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, int]] = {}
        self._waited: str | None = None

    def watch(self, run: Run, graph: Graph) -> None:
        """See `Watcher`."""
        now = time.time()
        view = run_view(run, graph)
        nodes = [*view.environments, *view.nodes]
        width = max((len(node.name) for node in nodes), default=0)
        for node in nodes:
            state = (node.phase, node.attempts)
            if self._seen.get(node.name) != state and node.phase != "waiting":
                self._seen[node.name] = state
                self._print(node, now, now - run.created, width)
        if view.waits_for and view.waits_for != self._waited:
            click.echo(
                f"{duration(now - run.created):>9}  waiting: {one_line(view.waits_for, 300)}"
            )
        self._waited = view.waits_for

    def _print(self, node: NodeView, now: float, passed: float, width: int) -> None:
        begun = f"● {node.detail or node.name}"  # for an environment: that it is being built
        line = node_line(node, now, width).plain if node.phase != "running" else begun
        click.echo(f"{duration(passed):>9}  {line}")


def finish(ended: FinishedRun) -> None:
    """Print the steps, the ends of the logs of failed steps, the gates' reports and the outcome."""
    from rich.text import Text

    out, run = console(), ended.played.run
    if sys.stdout.isatty():
        out.print(render_run(run_view(run, ended.played.graph), time.time()))
    for name, words in ended.words.items():
        lines = [clean(line) for line in words.splitlines()][-LINES:]
        out.print()
        out.print(Text(f"The end of the log of {name}:", "bold red"))
        for line in lines or ["(it wrote nothing)"]:
            out.print(Text(f"  {line}"), soft_wrap=True)
    if ended.reports:
        out.print()
        click.echo(gates_of(ended), nl=False, color=sys.stdout.isatty())
    for why in ended.lost:
        out.print(Text(why, "yellow"))
    out.print()
    out.print(_outcome(run, _counts(run)), soft_wrap=True)


def gates_of(ended: FinishedRun) -> str:
    """The gates' reports; empty without gates."""
    if not ended.reports:
        return ""
    every = list(arranged(ended.reports).values())
    name, colour = ended.played.run.pipeline, sys.stdout.isatty()
    return terminal.render(every, name, width=width(), colour=colour)


def judge_rules(run: Run, plan: Plan | None, accepted: bool) -> int:
    """Print which rules of its base a passed run loosens. Returns the exit code of the command."""
    loosened = [change for change in plan.policy if change.loosens] if plan else []
    if plan is None or run.outcome != "passed" or not loosened:
        return CODES[run.outcome]
    out = console()
    rules = "a rule" if len(loosened) == 1 else f"{len(loosened)} rules"
    base = (plan.policy_base or "")[:12]
    end = ", which --accept-rules accepts:" if accepted else ":"
    out.print(f"But it loosens {rules} of the base {base}{end}", soft_wrap=True)
    for change in loosened:
        was, now = one_line(change.was, 100), one_line(change.now, 100)
        line = f"  {one_line(change.rule, 200)}: {was} → {now}"
        out.print(line, soft_wrap=True, markup=False, highlight=False)
    if accepted:
        return CODES["passed"]
    out.print(
        "Undo that change, or have it accepted by somebody with the authority: --accept-rules "
        "does that (in the action, the input accept-rules).",
        soft_wrap=True,
    )
    return LOOSENED


def repeated(run: Run) -> str:
    """The outcome of another run that takes every result of this one from the cache."""
    done = sum(node.outputs is not None for node in run.nodes.values())
    return _outcome(run, f"0 ran, {done} cached")


def _counts(run: Run) -> str:
    took = duration((run.finished or run.created) - run.created)
    phases = [node.phase for node in run.nodes.values()]
    return f"{phases.count('succeeded')} ran, {phases.count('cached')} cached, {took}"


def _outcome(run: Run, counts: str) -> str:
    assert run.outcome != "running", "the run has ended"
    match run.outcome:
        case "passed" if run.verdicts:
            return f"Passed: {counts}. Nothing was released."
        case "passed":
            return f"All steps ran: {counts}. The spec has no gate, so nothing was judged."
        case "stopped":
            return f"Stopped by {why_ended(run)}: {counts}."
        case "failed":
            return f"Failed: {one_line(why_ended(run))}"
        case "cancelled":
            return f"Cancelled: {counts}. All processes have been stopped."


def tell_github(
    report: CommitReport, verdict: Verdict, file: Path | None, environ: Mapping[str, str]
) -> None:
    """Write annotations, the job's summary, and the outputs of this GitHub Actions step."""
    click.echo(annotation_commands(report.annotations), nl=False)
    if where := environ.get("GITHUB_STEP_SUMMARY"):
        _append(where, job_summary(report.text))
    if where := environ.get("GITHUB_OUTPUT"):
        _append(where, f"verdict={verdict}\n" + (f"report={file}\n" if file else ""))


def _append(file: str, text: str) -> None:
    with Path(file).open("a", encoding="utf-8") as out:
        out.write(text)
