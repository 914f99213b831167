"""PURE. A plan as Markdown: the rules that change, then the steps to run and their data."""

from collections.abc import Iterator
from typing import Final

from controller.machine.pipelines.dataset_changes import describe_changes
from controller.machine.pipelines.plan import Plan, Planned, counts
from controller.machine.runs.run import NEW, Run
from controller.reports.forge import name_of
from controller.reports.links import NOWHERE, Links
from controller.reports.rules import LONGEST_CELL, Side, Where, count, may_accept, rules
from controller.reports.steps import ICONS, MOST, brief, in_full
from controller.reports.table import table
from specs.digests import short
from specs.figures import clip, duration
from validators.render.markdown import code, escape, prose

MOST_ROWS = 50
"""Datasets, and gates, that are shown."""


def render_plan(plan: Plan, run: Run | None = None) -> str:
    """The rules that change and the plan, with the progress of each step in `run`, if given."""
    return "\n\n".join([*policy(plan, run), steps_of(plan, run)])


def steps_of(plan: Plan, run: Run | None = None) -> str:
    """The steps to run and their data."""
    return "\n\n".join(["### Plan", *_head(plan), *_steps(plan, run), *_rest(plan)])


def policy(
    plan: Plan, run: Run | None = None, check: str = "", links: Links = NOWHERE
) -> Iterator[str]:
    """The rules that differ from the base branch's, loosened ones first and in bold; nothing if
    none differs. `check` is the name of the policy check, which is derived for a pull request's
    run."""
    if not plan.policy or plan.policy_base is None:
        return
    if run is not None and run.pull is not None:
        check = name_of(run.pipeline, "policy", run.scope)
    loosened = count(plan.policy)
    # A pull request's report has already named and linked that commit.
    base = "" if check else f" ({code(plan.policy_base[:12])})"
    stay = f"The gates of the base branch{base} stay in force until this is merged."
    if run is not None and run.accepted:
        who = escape(f"@{run.accepted.removeprefix('@')}")
        stay = f"They are in force for this commit, as {who} has accepted them."
    if loosened:
        what = "a rule" if loosened == 1 else f"{loosened} rules"
        yield f"### ⚠️ This loosens {what}\n\n> **{stay}**"
        if check:
            yield f"**{_accept(plan, run, check)}**"
    else:
        yield f"### Rules that change\n\nNone is loosened. {stay}"
    where = None
    if run is not None:
        base_side = Side(plan.policy_base, plan.policy_spec.rpartition("/")[0])
        where = Where(links, base_side, Side(run.commit, run.folder))
    yield from rules(plan.policy, where=where)


def _accept(plan: Plan, run: Run | None, check: str) -> str:
    """Whether the policy check passes, or what makes it pass."""
    if run is not None and run.accepted:
        return f"{code(check)} therefore passes."
    who, accept = escape(may_accept(plan.approvers)), f"/headgate accept {plan.commit[:12]}"
    return f"{code(check)} fails until {who} comments {code(accept)}."


def _head(plan: Plan) -> Iterator[str]:
    if plan.nothing_to_do:
        stands = code(plan.stands or "")
        yield f"**Nothing to run**: nothing it reads has changed since {stands}."
        return
    parts = [f"**{counts(plan)}**", _time(plan)]
    if any(gate.judges == "the model" for gate in plan.gates):
        parts.append(_against(plan))
    yield ", ".join(parts) + "."


def _time(plan: Plan) -> str:
    if plan.seconds is not None:
        return f"about {duration(round(plan.seconds, 1))}" if plan.seconds >= 0.1 else "at once"
    unknown = [code(node.name) for node in plan.nodes if node.seconds is None]
    ran = "has not run" if len(unknown) == 1 else "have not run"
    which = ", ".join(unknown) if len(unknown) <= 3 else f"{len(unknown)} of them"
    return f"duration unknown ({which} {ran} recently)"


def _against(plan: Plan) -> str:
    if plan.baseline is None:
        return "compared with no baseline, as there is no model in production"
    digest = f" ({code(short(plan.baseline_model))})" if plan.baseline_model else ""
    return f"compared with v{plan.baseline}{digest}, which is in production"


def _steps(plan: Plan, run: Run | None) -> Iterator[str]:
    rows = [_step(node, run) for node in plan.nodes[:MOST]]
    yield table(["", "Step", "About", "Why"], rows, right=(2,))
    yield from _more(len(plan.nodes), "steps", MOST)
    yield from in_full([(node.name, node.reasons) for node in plan.nodes[:MOST]])


_SHOWN_AS: Final = {"cached": ICONS["cached"], "unneeded": ICONS["skipped"]}


def _step(node: Planned, run: Run | None) -> list[str]:
    phase = run.nodes.get(node.name, NEW).phase if run else "running"
    icon = ICONS[phase] if node.what == "run" else _SHOWN_AS[node.what]
    about = duration(round(node.seconds, 1)) if node.seconds else ""
    words = {"cached": "cached, ", "run": "runs: ", "unneeded": "runs only if forced: "}
    what = f"{words[node.what]}{brief(node.reasons)}"
    return [icon, code(node.name), about, escape(what)]


def _rest(plan: Plan) -> Iterator[str]:
    """Datasets, gates and notes."""
    if plan.datasets:
        before = f"In {code(plan.compared_with)}" if plan.compared_with else "Before"
        rows = [
            [
                code(data.name),
                code(short(data.version)) if data.version else "unknown",
                "unchanged" if data.was == data.version else code(short(data.was or "")) or "none",
            ]
            for data in plan.datasets[:MOST_ROWS]
        ]
        yield table(["Dataset", "Version", before], rows)
        yield from _more(len(plan.datasets), "datasets")
        lines = [
            f"- {code(data.name)}: {line}"
            for data in plan.datasets[:MOST_ROWS]
            for line in (describe_changes(data.moved, code) if data.moved else ())
        ]
        yield from ["\n".join(lines)] if lines else []
        unknown = [data for data in plan.datasets[:MOST_ROWS] if data.problem and not data.version]
        if unknown:
            yield "\n".join(f"- {code(one.name)}: {prose(one.problem or '')}" for one in unknown)
    if plan.gates:
        lines = []
        for gate in plan.gates[:MOST_ROWS]:
            of_base = ", as on the base branch" if gate.of_base else ""
            rules = "; ".join(escape(clip(rule, LONGEST_CELL)) for rule in gate.rules)
            lines.append(f"- {code(gate.name)} judges {escape(gate.judges)}: {rules}{of_base}")
        yield "**Gates that apply**\n\n" + "\n".join(lines)
        yield from _more(len(plan.gates), "gates")
    yield from (f"- {prose(note)}" for note in plan.notes)


def _more(number: int, what: str, most: int = MOST_ROWS) -> Iterator[str]:
    if number > most:
        yield f"_{number - most} more {what}: `headgate plan --json` lists them all._"
