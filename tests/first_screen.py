"""What a story that waits in vain says: on one screen, why what it waits for does not come.

It shows what `headgate status` shows, the last transitions of runs and rollouts, and the last
warnings and errors of the controller's log, and names the log for whoever needs more.
"""

import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from controller.cli.context import parse_all
from controller.cli.terminal.formatting import ago, one_line
from controller.cli.terminal.snapshot import snapshot
from controller.cli.terminal.tree import render
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.rollout import EndedRollout, Rollout
from controller.machine.error_text import without_traceback
from controller.machine.runs.run import Progress, Run, why_ended
from controller.store.addresses import Address
from controller.store.opening import open_reader
from specs.failures import Failure

WIDTH, HEIGHT = 110, 24
"""Of what is shown of `status`, in characters and lines."""
TRANSITIONS, ERRORS = 10, 5
"""How many of each are shown, the last ones."""
LONGEST = 280
"""Characters of a transition's reason, or of a line of the log."""

_LOGGED = re.compile(r"^(\S+ \[(?:warning|error|critical)\s*\]) (.*)")
_VALUES = re.compile(r"""\b(key|reason|text)=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)""")
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Failure|Exit)\b|^(TryAgain|NeedsHuman)\b")


class Transition(NamedTuple):
    """Something that happened to an object."""

    at: float
    """In seconds since the epoch."""
    said: str


async def first_screen(state: Address, log: Path) -> str:
    """Why it does not go on with the controller of that state, which writes that log."""
    try:
        parts = [*await _of_state(state), _of_log(log)]
    except Failure as failure:
        parts = [f"the state cannot be read: {failure}", _of_log(log)]
    return "\n\n".join(parts)


async def _of_state(state: Address) -> list[str]:
    store = open_reader(state)
    try:
        view = await snapshot(store)
        runs = parse_all(await store.list("run"), Run)
        environments = parse_all(await store.list("environment"), EnvironmentState)
        ended = parse_all(await store.list("rollout"), EndedRollout)
    finally:
        await store.close()
    found = [transition for run in runs for transition in of_run(run)]
    for env in environments:
        found += of_rollout(env.place, env.rollout) if env.rollout else ()
    for rollout in ended:
        found += of_ended(rollout)
    last = sorted(found, key=lambda one: one.at)[-TRANSITIONS:]
    said = [f"{ago(one.at, view.at):>12}  {one.said}" for one in last] or ["none yet"]
    text = StringIO()
    Console(file=text, width=WIDTH, highlight=False, no_color=True).print(render(view))
    status = [line.rstrip() for line in text.getvalue().splitlines() if line.strip()]
    if len(status) > HEIGHT:
        status = [*status[:HEIGHT], f"and {len(status) - HEIGHT} more lines: headgate status"]
    return [_section("status", status), _section("the last transitions", said)]


def of_run(run: Run) -> Iterator[Transition]:
    """What happened to a run and its nodes."""
    yield Transition(run.created, f"{run.id} running: {one_line(run.trigger.why)}")
    for name, node in run.nodes.items():
        yield from _of_node(f"{run.id} {name}", node)
    if run.finished is not None:
        ended_by = f": {_brief(why_ended(run))}" if why_ended(run) else ""
        yield Transition(run.finished, f"{run.id} {run.outcome}{ended_by}")


def _of_node(name: str, node: Progress) -> Iterator[Transition]:
    for number, attempt in enumerate(node.attempts, 1):
        yield Transition(attempt.asked, f"{name} running, attempt {number}")
        status, retried = attempt.status, number < len(node.attempts) or not node.done
        if status and status.ended is not None and retried:
            why = _brief(without_traceback(status.message))
            yield Transition(status.ended, f"{name} attempt {number} {status.state.value}: {why}")
    if node.ended is not None:
        verdict = f" ({node.verdict.value})" if node.verdict else ""
        why = _brief(without_traceback(node.failed or node.skipped or ""))
        yield Transition(node.ended, f"{name} {node.phase}{verdict}{why and ': '}{why}")


def of_rollout(place: str, rollout: Rollout) -> Iterator[Transition]:
    """What happened to a rollout that has not ended."""
    name = f"{place} v{rollout.version.version}"
    yield Transition(rollout.asked, f"{name} requested: {one_line(rollout.why)}")
    steps = {
        "approved": rollout.approved,
        "deployed": rollout.deployed,
        "ready": rollout.ready,
        "smoke requests sent": rollout.smoke_asked,
        f"canary at step {rollout.step}": rollout.step_since if rollout.step >= 0 else None,
        "promotion decided": rollout.decided,
    }
    for said, at in steps.items():
        if at is not None:
            yield Transition(at, f"{name} {said}")


def of_ended(ended: EndedRollout) -> Iterator[Transition]:
    """How a rollout ended."""
    name = f"{ended.pipeline}/{ended.environment} v{ended.rollout.version.version}"
    outcome = ended.outcome.replace("_", " ")
    yield Transition(ended.at, f"{name} {outcome}: {_brief(ended.reason)}")


def _of_log(path: Path) -> str:
    """The last lines of a log from warnings up, each with the error that its traceback ends in."""
    if not path.exists():
        return f"no log has been written: {path}"
    found: list[str] = []
    text = path.read_text(encoding="utf-8", errors="replace").replace(str(path.parent), ".")
    for line in text.splitlines():
        if logged := _LOGGED.match(line):
            found.append(_event(logged[1], logged[2]))
        elif found and _RAISED.match(line):
            found[-1] = f"{found[-1]}\n  {_brief(line)}"
    title = f"the last warnings and errors of {path}"
    return _section(title, found[-ERRORS:] or ["none"])


def _event(head: str, text: str) -> str:
    """What was logged, of which object, and the reason, without the other values."""
    values = {name: value.strip("'\"").split("\\n")[0] for name, value in _VALUES.findall(text)}
    event = re.split(r"\s+\w+=", text)[0]
    why = [values[name] for name in ("key", "reason", "text") if name in values]
    return one_line(": ".join([f"{head} {event}", *why]), LONGEST)


def _brief(text: str) -> str:
    """Its first line, and the last one, where an error at the end of a log says what went wrong."""
    lines = [line for line in text.splitlines() if line.strip()] or [""]
    if len(lines) == 1:
        return one_line(lines[0], LONGEST)
    return f"{one_line(lines[0], LONGEST // 2)} … {one_line(lines[-1], LONGEST // 2)}"


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([f"{title}:", *("  " + line for line in lines)])
