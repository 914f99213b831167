"""PURE. Whom a candidate is held against: the baseline, examined by the steps of its own commit."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from controller.machine.runs import exam
from controller.machine.runs.graph import Baseline, From, Node
from controller.machine.runs.step_nodes import file_name, step_node
from specs.gates import Evidence, ModelGate
from specs.model import Dataset, Pipeline
from specs.references import StepReference

Guarded = Mapping[str | None, tuple[str, ...]]
"""The data gates that have to pass before a dataset is read."""


def as_evidence(node: Node, name: str, inputs: Mapping[str, From], guarded: Guarded) -> Node:
    """The node under another name, given other inputs, for a gate to judge by."""
    after = (gate for origin in inputs.values() for gate in guarded.get(origin.dataset, ()))
    return node.model_copy(
        update={
            "name": name,
            "inputs": dict(inputs),
            "after": tuple(dict.fromkeys(after)) if guarded else (),
            "attempt": node.attempt.model_copy(update={"node": name}),
            "optional": True,
        }
    )


class Field(NamedTuple):
    """On what a baseline is evaluated: the data and the steps' outputs that its step may be given,
    by the names that it knows them by."""

    data: Mapping[str, tuple[str, Dataset]]
    """What each dataset is called in the run, and where it comes from there."""
    steps: Mapping[str, tuple[str, tuple[str, ...]]]
    """The node of each step, and its outputs."""


class Challenger(NamedTuple):
    """The baseline's own evaluation."""

    nodes: Mapping[str, Node]
    """By the steps of its spec that make the evidence."""
    made: Mapping[Evidence, From]
    files: Mapping[Evidence, str]
    """What each was called where it was written."""
    why_not: Mapping[Evidence, str]
    """Why there is none of a kind."""


NOBODY: Final = Challenger({}, {}, {}, {})


def challenger_of(
    label: str, gate: ModelGate, baseline: Baseline | None, field: Field, guarded: Guarded
) -> Challenger:
    """The baseline's own evaluation, at its own commit, on that field, as far as one could run
    there."""
    if baseline is None:
        return NOBODY
    nodes: dict[str, Node] = {}
    made: dict[Evidence, From] = {}
    files: dict[Evidence, str] = {}
    why_not: dict[Evidence, str] = {}
    for kind, asked in gate.evidence.items():
        why_not[kind] = f"{baseline.called} has no evaluation that could run on this data"
        theirs = _theirs(kind, asked, baseline.spec)
        if theirs is None:
            if kind == "metrics":
                why_not[kind] = f"the spec of {baseline.called} has no `gates.model.metrics`"
            continue
        node = nodes.get(theirs.step) or _rerun(label, theirs.step, baseline, field, guarded)
        if node is None:
            continue
        nodes[theirs.step] = node
        made[kind] = From(node=node.name, output=theirs.output)
        files[kind] = file_name(baseline.spec, From(node=theirs.step, output=theirs.output))
    return Challenger(nodes, made, files, why_not)


def _theirs(kind: Evidence, asked: StepReference, spec: Pipeline) -> StepReference | None:
    """Where the baseline's spec makes it. Numbers that its step wrote before its gate named them
    are numbers of its own, too."""
    gate = spec.gates.model
    if gate and kind in gate.evidence:
        return gate.evidence[kind]
    step = spec.steps.get(asked.step)
    return asked if kind == "metrics" and step and asked.output in step.outputs else None


def _rerun(
    label: str, name: str, baseline: Baseline, field: Field, guarded: Guarded
) -> Node | None:
    """A step of the baseline's spec, given its model, on that field; None if it cannot run."""
    model = baseline.spec.model
    if model is None or name not in baseline.spec.steps or name == model.step:
        return None
    ours = {
        dataset: field.data[dataset][1]
        for dataset in baseline.spec.datasets
        if dataset in field.data
    }
    moved = baseline.spec.model_copy(update={"datasets": {**baseline.spec.datasets, **ours}})
    node = step_node(moved, baseline.source, name, {})
    inputs: dict[str, From] = {}
    for local, origin in node.inputs.items():
        if exam.is_model(baseline.spec, origin):
            inputs[local] = From(artifact=baseline.model)
        elif origin.dataset is not None:
            if origin.dataset not in field.data:
                return None
            inputs[local] = From(dataset=field.data[origin.dataset][0])
        else:
            made, outputs = field.steps.get(origin.node or "", ("", ()))
            if origin.output not in outputs:
                return None
            inputs[local] = From(node=made, output=origin.output)
    found = as_evidence(node, f"{label}.{name}", inputs, guarded)
    return found.model_copy(update={"kind": "baseline"})
