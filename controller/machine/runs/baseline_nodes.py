"""PURE. The baseline's own evaluation: the steps of its own commit, run on the candidate's data."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from controller.machine.runs import exam
from controller.machine.runs.graph import Baseline, From, Node
from controller.machine.runs.node_names import baseline_step
from controller.machine.runs.step_nodes import file_name, step_node
from specs.gates import Evidence, ModelGate
from specs.model import Dataset, Pipeline
from specs.references import StepReference

DataGates = Mapping[str | None, tuple[str, ...]]
"""By dataset, the gates that have to pass before it is read."""


def as_evidence(node: Node, name: str, inputs: Mapping[str, From], data_gates: DataGates) -> Node:
    """The node under another name and with other inputs, as evidence for a gate."""
    after = (gate for origin in inputs.values() for gate in data_gates.get(origin.dataset, ()))
    return node.model_copy(
        update={
            "name": name,
            "inputs": dict(inputs),
            "after": tuple(dict.fromkeys(after)) if data_gates else (),
            "attempt": node.attempt.model_copy(update={"node": name}),
        }
    )


class EvaluationInputs(NamedTuple):
    """What the baseline's evaluation may read, by the names that its spec uses."""

    datasets: Mapping[str, tuple[str, Dataset]]
    """By dataset: its name in the run, and where it comes from there."""
    steps: Mapping[str, tuple[str, tuple[str, ...]]]
    """By step: its node in the run, and its outputs."""
    of_base_exam: bool = False
    """Whether they are those of the base branch's exam."""


class BaselineEvaluation(NamedTuple):
    """The nodes that evaluate the baseline, and the evidence that they make."""

    nodes: Mapping[str, Node]
    """By the step of the baseline's spec."""
    made: Mapping[Evidence, From]
    files: Mapping[Evidence, str]
    """The file names under which the evidence was written."""
    missing: Mapping[Evidence, str]
    """Why evidence of a kind is missing."""


NO_EVALUATION: Final = BaselineEvaluation({}, {}, {}, {})


def evaluate_baseline(
    gate: ModelGate, baseline: Baseline | None, given: EvaluationInputs, data_gates: DataGates
) -> BaselineEvaluation:
    """The baseline's own evaluation at its own commit, as far as it can run on these inputs."""
    if baseline is None:
        return NO_EVALUATION
    nodes: dict[str, Node] = {}
    made: dict[Evidence, From] = {}
    files: dict[Evidence, str] = {}
    missing: dict[Evidence, str] = {}
    for kind, asked in gate.evidence.items():
        missing[kind] = not_evaluated(baseline)
        output = _output_of_baseline(kind, asked, baseline.spec)
        if output is None:
            if kind == "metrics":
                missing[kind] = f"the spec of {baseline.called} has no `gates.model.metrics`"
            continue
        node = nodes.get(output.step) or _step_on(output.step, baseline, given, data_gates)
        if node is None:
            continue
        nodes[output.step] = node
        made[kind] = From(node=node.name, output=output.output)
        files[kind] = file_name(baseline.spec, From(node=output.step, output=output.output))
    return BaselineEvaluation(nodes, made, files, missing)


def not_evaluated(baseline: Baseline) -> str:
    """Why there is no evidence of a baseline that none of its own steps can evaluate."""
    return f"{baseline.called} has no evaluation that could run on this data"


def _output_of_baseline(
    kind: Evidence, asked: StepReference, spec: Pipeline
) -> StepReference | None:
    """The output of the baseline's spec that is evidence of a kind. Metrics count even if its step
    wrote them before its gate named them."""
    gate = spec.gates.model
    if gate and kind in gate.evidence:
        return gate.evidence[kind]
    step = spec.steps.get(asked.step)
    return asked if kind == "metrics" and step and asked.output in step.outputs else None


def _step_on(
    name: str, baseline: Baseline, given: EvaluationInputs, data_gates: DataGates
) -> Node | None:
    """A step of the baseline's spec, given its model and these inputs; None if it cannot run."""
    model = baseline.spec.model
    if model is None or name not in baseline.spec.steps or name == model.step:
        return None
    ours = {
        dataset: given.datasets[dataset][1]
        for dataset in baseline.spec.datasets
        if dataset in given.datasets
    }
    spec = baseline.spec.model_copy(update={"datasets": {**baseline.spec.datasets, **ours}})
    node = step_node(spec, baseline.source, name, {})
    inputs: dict[str, From] = {}
    for local, origin in node.inputs.items():
        if exam.is_model(baseline.spec, origin):
            inputs[local] = From(artifact=baseline.model)
        elif origin.dataset is not None:
            if origin.dataset not in given.datasets:
                return None
            inputs[local] = From(dataset=given.datasets[origin.dataset][0])
        else:
            made_by, outputs = given.steps.get(origin.node or "", ("", ()))
            if origin.output not in outputs:
                return None
            inputs[local] = From(node=made_by, output=origin.output)
    called = baseline_step(name, of_base_exam=given.of_base_exam)
    found = as_evidence(node, called, inputs, data_gates)
    return found.model_copy(update={"kind": "baseline"})
