"""PURE. The summary of a run: why it ran, how it ended, and its inputs."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from controller.machine.pipelines.dataset_changes import ObjectChanges, describe_changes
from controller.machine.pipelines.plan import baseline_of
from controller.machine.runs.graph import Graph
from controller.machine.runs.run import Run, why_ended
from controller.reports.links import Links
from specs.digests import short
from specs.figures import clip, duration
from validators.render.markdown import code, escape, prose

MOST_DATASETS = 50
MOST_CHANGED = 5
"""Datasets whose added and removed objects are listed."""


NO_RELEASE = "It releases nothing: the spec has no `release`."


class DataSince(NamedTuple):
    """How the data changed since an earlier run."""

    run: str
    """The last run before this one that passed."""
    changed: Mapping[str, ObjectChanges]
    """By dataset."""


def run_summary(
    run: Run, graph: Graph | None, *, here: bool, since: DataSince | None = None
) -> str:
    """Why the run started, how long it took, and what happens with its model. `here`: a local run,
    which releases nothing."""
    parts = []
    if run.finished is not None:  # while it runs, the title says why
        took = duration(run.finished - run.created)
        by = f" by {escape(why_ended(run))}" if run.outcome == "stopped" else ""
        parts = [f"{run.id} {run.outcome}{by} after {took}.", f"Why it ran: {_why(run)}."]
    if since is not None and run.finished is not None:
        parts.append(f"Since {code(since.run)}: {'; '.join(_changes(since))}.")
    parts += [f"{prose(str(one))}." for one in run.fallbacks]
    if run.trigger.by:
        parts.append(f"Who: {escape(run.trigger.by)}.")
    parts.append("It releases nothing." if here else _released(run, graph))
    return " ".join(parts)


def _released(run: Run, graph: Graph | None) -> str:
    """What is released, now or later."""
    hopeful = run.live or run.outcome == "passed"
    if hopeful and (run.releases or run.pull is not None) and graph and not graph.releases:
        reused = " After the merge, this model is reused, not trained again."
        return NO_RELEASE + (reused if run.pull is not None and graph.model else "")
    if run.pull is not None and hopeful:
        return "Nothing is released yet: after the merge, this model is reused, not trained again."
    if run.pull is not None:
        return "Pull request runs release nothing."
    if not run.releases:
        return f"Report only: {code(run.branch)} is not the release branch."
    if run.live:
        return "If it passes, its model goes to staging and then to production."
    if run.outcome == "passed":
        return "Its model, if it is a new one, goes to staging and then to production."
    return "Nothing is released."


def _changes(since: DataSince) -> Iterator[str]:
    for name, changed in list(since.changed.items())[:MOST_CHANGED]:
        objects = describe_changes(changed, lambda key: code(clip(key, 80)))
        yield f"{code(name)} {', '.join(objects)}"
    if len(since.changed) > MOST_CHANGED:
        yield f"{len(since.changed) - MOST_CHANGED} more datasets"


def _why(run: Run) -> str:
    return prose(run.trigger.why.strip().removesuffix("."))


def made_from(
    run: Run, graph: Graph | None, links: Links, *, compared: bool = False
) -> Iterator[str]:
    """The run's inputs (code, data, baseline) and the model it made. The diff of a pull request is
    linked unless the report links it elsewhere (`compared`)."""
    lines = [f"- commit {links.commit(run.commit)} {_of(run)}"]
    if run.base is not None and not compared:
        lines.append(f"- diff: {links.changes(run.base, run.commit)}")
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
    yield "### Inputs\n\n" + "\n".join(lines)


def _of(run: Run) -> str:
    return f"of {escape(run.branch)}" if run.pull is not None else f"on {code(run.branch)}"


def _environment(graph: Graph | None) -> Iterator[str]:
    """The environments of the steps, without repetition."""
    found = [node.definition.get("environment") or {} for node in graph.nodes] if graph else []
    for name in ("requirements", "python", "image"):
        values = dict.fromkeys(each[name] for each in found if each.get(name))
        if values:
            yield f"- {name} {', '.join(code(short(value)) for value in values)}"
    locks = {tuple(each["locked"]["files"].items()) for each in found if each.get("locked")}
    for path, blob in sorted({files[0] for files in locks if files}):
        yield f"- {escape(path)} {code(short(blob or ''))}"
