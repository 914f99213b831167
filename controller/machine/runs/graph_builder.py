"""PURE. Builds the graph of a run from a spec at a commit."""

from typing import Final

from controller.machine.runs import exam
from controller.machine.runs.data_gate_nodes import by_dataset, data_gates
from controller.machine.runs.dataset_nodes import dataset_nodes, reading_from
from controller.machine.runs.graph import (
    Baseline,
    From,
    Graph,
    JudgedSpec,
    Node,
    Rules,
    SourceTree,
)
from controller.machine.runs.model_gate_nodes import BaselineChoice, model_gates
from controller.machine.runs.node_names import of_base
from controller.machine.runs.step_nodes import in_dependency_order, package_facts, step_node
from specs.model import Pipeline

NO_BASELINE: Final = BaselineChoice(None, "there is no model in production yet")


def build(
    spec: Pipeline,
    source: SourceTree,
    baseline: Baseline | None = None,
    rules: Rules | None = None,
    choice: BaselineChoice = NO_BASELINE,
) -> Graph:
    """The graph of a run of `spec` at `source`, compared with `baseline`; without one, `choice`
    says why there is none.

    With `rules`, their gates judge, together with what the spec adds to them: a pull request cannot
    loosen the gates that stop it, and has to pass those that it tightens. If it changes the exam,
    the candidate is examined by that of `rules` as well.
    """
    of = JudgedSpec(spec, source, rules)
    fetched = _fetched_datasets(of)
    gates = data_gates(of)
    gates_of = by_dataset(gates)
    steps = [step_node(spec, source, name, gates_of) for name in in_dependency_order(spec)]
    choice = choice._replace(baseline=baseline) if baseline else choice
    judges = model_gates(of, choice, gates_of)
    model = From(node=spec.model.step, output=spec.model.output) if spec.model else None
    readers = tuple(reading_from(node, fetched) for node in (*gates, *steps, *judges))
    used = {origin.node for node in readers for origin in node.inputs.values()}
    makers = (node for node in fetched.values() if node.name in used)
    return Graph(nodes=(*makers, *readers), model=model, serve=package_facts(spec, source))


def _fetched_datasets(of: JudgedSpec) -> dict[str, Node]:
    """The nodes that fetch datasets, by the datasets' names in the run: the spec's own, and those
    that only the exam of its base reads."""
    found = dataset_nodes(of.spec, of.source, {name: name for name in of.spec.datasets})
    if of.rules is not None:
        needed = exam.lacks(of.spec, of.source, of.rules)
        names = {name: of_base(name) for name in needed if name not in of.rules.lacking}
        found |= dataset_nodes(of.rules.spec, of.rules.source, names)
    return found


def build_model_only(spec: Pipeline, source: SourceTree) -> Graph:
    """The nodes that make the model of `spec` at `source`, without gates and a server."""
    assert spec.model is not None, "the caller has looked"
    fetched = dataset_nodes(spec, source, {name: name for name in spec.datasets})
    order = in_dependency_order(spec)
    steps = (reading_from(step_node(spec, source, name, {}), fetched) for name in order)
    nodes = {node.name: node for node in (*fetched.values(), *steps)}
    needed = {spec.model.step}
    for name in reversed(nodes):
        if name in needed:
            needed |= {origin.node for origin in nodes[name].inputs.values() if origin.node}
    model = From(node=spec.model.step, output=spec.model.output)
    return Graph(nodes=tuple(node for node in nodes.values() if node.name in needed), model=model)
