"""PURE. Of a run: why there was one, how it ended, and what it was made from."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from controller.machine.pipelines.objects import ObjectChanges, in_words
from controller.machine.runs.graph import Graph
from controller.machine.runs.plan import baseline_of
from controller.machine.runs.run import Run, why_ended
from controller.reports.links import Links
from specs.digests import short
from validators.figures import clip
from validators.render.common import duration
from validators.render.markdown import code, escape, prose

MOST_DATASETS = 50
MOST_MOVED = 5
"""Datasets of which it is said which objects came and went."""


class Since(NamedTuple):
    """What became of the data of a run."""

    run: str
    """The last one before it that passed."""
    moved: Mapping[str, ObjectChanges]
    """By dataset."""


def about(run: Run, *, here: bool, since: Since | None = None) -> str:
    """Why there is a run, how long it took, and what its outcome is good for."""
    parts = []
    if run.finished is not None:  # while it runs, its title says why
        took = duration(run.finished - run.created)
        by = f" by {escape(why_ended(run))}" if run.outcome == "stopped" else ""
        parts = [f"{run.id} {run.outcome}{by} after {took}.", f"Why it ran: {_why(run)}."]
    if since is not None and run.finished is not None:
        parts.append(f"Since {code(since.run)}: {'; '.join(_moved(since))}.")
    if run.trigger.by:
        parts.append(f"Who: {escape(run.trigger.by)}.")
    if here:
        parts.append("It releases nothing.")
    elif run.pull is not None and (run.live or run.outcome == "passed"):
        parts.append(
            "It releases nothing; once this is merged, what it trained is not trained again."
        )
    elif run.pull is not None:
        parts.append("Runs of pull requests release nothing.")
    elif not run.releases:
        parts.append(f"It only reports: {code(run.branch)} does not release.")
    elif run.live:
        parts.append("If it passes, its model goes to staging and then to production.")
    elif run.outcome == "passed":
        parts.append("Its model, if it is a new one, goes to staging and then to production.")
    else:
        parts.append("Nothing is released.")
    return " ".join(parts)


def _moved(since: Since) -> Iterator[str]:
    for name, moved in list(since.moved.items())[:MOST_MOVED]:
        yield f"{code(name)} {', '.join(in_words(moved, lambda key: code(clip(key, 80))))}"
    if len(since.moved) > MOST_MOVED:
        yield f"{len(since.moved) - MOST_MOVED} more datasets"


def _why(run: Run) -> str:
    return prose(run.trigger.why.strip().removesuffix("."))


def inputs(run: Run, graph: Graph | None, links: Links, *, compared: bool = False) -> Iterator[str]:
    """What the run is of: code, data, baseline, and the model that came out. What a pull request
    changes is linked unless it is `compared` elsewhere."""
    lines = [f"- commit {links.commit(run.commit)} {_of(run)}"]
    if run.base is not None and not compared:
        lines.append(f"- what it changes: {links.changes(run.base, run.commit)}")
    datasets = sorted(run.datasets.items())
    lines += [f"- dataset {code(name)} {code(short(v))}" for name, v in datasets[:MOST_DATASETS]]
    if len(datasets) > MOST_DATASETS:
        lines.append(f"- {len(datasets) - MOST_DATASETS} more datasets")
    if graph is None or any(node.kind == "model_gate" for node in graph.nodes):
        model_of = baseline_of(graph)[1] if graph else None
        digest = f" {code(short(model_of))}" if model_of else ""
        none = "the base's model" if digest else "none: no model in production is known"
        lines.append(f"- baseline {f'v{run.baseline}' if run.baseline else none}{digest}")
    lines += _environment(graph)
    model = graph.model if graph else None
    maker = run.nodes.get(model.node or "") if model else None
    if model and maker and maker.outputs:
        lines.append(f"- model {code(short(maker.outputs.get(model.output or '', '')))}")
    yield "### Made from\n\n" + "\n".join(lines)


def _of(run: Run) -> str:
    return f"of {escape(run.branch)}" if run.pull is not None else f"on {code(run.branch)}"


def _environment(graph: Graph | None) -> Iterator[str]:
    """The environments of the steps, each once."""
    found = [node.definition.get("environment") or {} for node in graph.nodes] if graph else []
    for name in ("requirements", "python", "image"):
        values = dict.fromkeys(each[name] for each in found if each.get(name))
        if values:
            yield f"- {name} {', '.join(code(short(value)) for value in values)}"
    locks = {tuple(each["locked"]["files"].items()) for each in found if each.get("locked")}
    for path, blob in sorted({files[0] for files in locks if files}):
        yield f"- {escape(path)} {code(short(blob or ''))}"
