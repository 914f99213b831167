"""PURE. A plan as Markdown: what changes in the rules first, then what would run, and on what."""

from collections.abc import Iterator

from controller.machine.runs.plan import Plan, Planned
from controller.machine.runs.run import NEW, Run
from controller.reports.rules import LONGEST_CELL, count, rules
from controller.reports.steps import ICONS, MOST
from controller.reports.table import table
from specs.digests import short
from validators.figures import clip
from validators.render.common import duration
from validators.render.markdown import code, escape

MOST_ROWS = 50
"""Datasets and gates that are shown of each."""


def render_plan(plan: Plan, run: Run | None = None) -> str:
    """The plan; beside each step stands how far it is in `run`, if there is one."""
    rules_ = policy(plan, run.accepted if run else "")
    return "\n\n".join([*rules_, "### Plan", *_head(plan), *_steps(plan, run), *_rest(plan)])


def policy(plan: Plan, accepted: str = "") -> Iterator[str]:
    """The rules that differ from the base branch's, what loosens them first and in bold; nothing
    where none does. `accepted` is who accepted them for this commit."""
    if not plan.policy or plan.policy_base is None:
        return
    base = code(plan.policy_base[:12])
    loosened = count(plan.policy)
    stay = f"The gates of the base branch ({base}) stay in force until this is merged."
    if accepted:
        who = escape(f"@{accepted.removeprefix('@')}")
        stay = f"They are in force for this commit, as {who} has accepted them."
    if loosened:
        what = "a rule" if loosened == 1 else f"{loosened} rules"
        yield f"### ⚠️ This loosens {what}\n\n> **{stay}**"
    else:
        yield f"### Rules that change\n\nNone is loosened. {stay}"
    yield from rules(plan.policy)


def _head(plan: Plan) -> Iterator[str]:
    if plan.nothing_to_do:
        yield f"**Nothing to run**: all that it reads is as in {code(plan.compared_with or '')}."
        return
    runs = sum(node.what == "run" for node in plan.nodes)
    parts = [f"**{runs} to run, {len(plan.nodes) - runs} cached**", _time(plan)]
    if any(gate.judges == "the model" for gate in plan.gates):
        parts.append(_against(plan))
    yield ", ".join(parts) + "."


def _time(plan: Plan) -> str:
    if plan.seconds is not None:
        return f"about {duration(round(plan.seconds, 1))}" if plan.seconds >= 0.1 else "at once"
    unknown = [code(node.name) for node in plan.nodes if node.seconds is None]
    ran = "has not run" if len(unknown) == 1 else "have not run"
    which = ", ".join(unknown) if len(unknown) <= 3 else f"{len(unknown)} of them"
    return f"for an unknown time ({which} {ran} lately)"


def _against(plan: Plan) -> str:
    if plan.baseline is None:
        return "held against no baseline, as there is no model in production"
    digest = f" ({code(short(plan.baseline_model))})" if plan.baseline_model else ""
    return f"held against v{plan.baseline}{digest}, which is in production"


def _steps(plan: Plan, run: Run | None) -> Iterator[str]:
    rows = [_step(node, run) for node in plan.nodes[:MOST]]
    yield table(["", "Step", "About", "Why"], rows, right=(2,))
    yield from _more(len(plan.nodes), "steps", MOST)


def _step(node: Planned, run: Run | None) -> list[str]:
    phase = run.nodes.get(node.name, NEW).phase if run else "running"
    icon = ICONS["cached" if node.what == "cached" else phase]
    about = duration(round(node.seconds, 1)) if node.seconds else ""
    why = "; ".join(node.why)
    what = f"cached, {why}" if node.what == "cached" else f"runs: {why}"
    return [icon, code(node.name), about, escape(clip(what, LONGEST_CELL))]


def _rest(plan: Plan) -> Iterator[str]:
    """Datasets, gates and notes."""
    if plan.datasets:
        before = f"In {code(plan.compared_with)}" if plan.compared_with else "Before"
        rows = [
            [
                code(data.name),
                code(short(data.version)) if data.version else escape(data.problem or "unknown"),
                "the same" if data.was == data.version else code(short(data.was or "")) or "none",
            ]
            for data in plan.datasets[:MOST_ROWS]
        ]
        yield table(["Dataset", "Version", before], rows)
        yield from _more(len(plan.datasets), "datasets")
    if plan.gates:
        lines = []
        for gate in plan.gates[:MOST_ROWS]:
            of_base = ", as on the base branch" if gate.of_base else ""
            rules = "; ".join(escape(clip(rule, LONGEST_CELL)) for rule in gate.rules)
            lines.append(f"- {code(gate.name)} judges {escape(gate.judges)}: {rules}{of_base}")
        yield "**Gates that apply**\n\n" + "\n".join(lines)
        yield from _more(len(plan.gates), "gates")
    yield from (f"- {escape(note)}" for note in plan.notes)


def _more(number: int, what: str, most: int = MOST_ROWS) -> Iterator[str]:
    if number > most:
        yield f"_{number - most} more {what}: `headgate plan --json` has them all._"
