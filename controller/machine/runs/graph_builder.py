"""PURE. From a spec at a commit to the graph of a run: what its steps and gates become."""

from typing import Final

from controller.machine.runs import exam
from controller.machine.runs.dataset_nodes import data_nodes, read_from
from controller.machine.runs.gate_nodes import Held, JudgedSpec, data_gates, guards, model_gates
from controller.machine.runs.graph import Baseline, From, Graph, Node, Rules, SourceTree
from controller.machine.runs.step_nodes import in_order, served, step_node
from specs.model import Pipeline

NOTHING_SERVES: Final = Held(None, "there is no model in production yet")


def build(
    spec: Pipeline,
    source: SourceTree,
    baseline: Baseline | None = None,
    rules: Rules | None = None,
    held: Held = NOTHING_SERVES,
) -> Graph:
    """The graph of a run of `spec` at `source`, compared with `baseline`; without one, `held` says
    why there is none.

    With `rules`, their gates judge, and what the spec asks for beyond them: a pull request cannot
    loosen what stops it, and is seen to pass what it tightens. If it changes what a candidate is
    examined by, the exam of `rules` is sat as well.
    """
    of = JudgedSpec(spec, source, rules)
    taken = taken_in(of)
    gates = data_gates(of)
    guarded = guards(gates)
    steps = [step_node(spec, source, name, guarded) for name in in_order(spec)]
    judges = model_gates(of, held._replace(baseline=baseline) if baseline else held, guarded)
    model = From(node=spec.model.step, output=spec.model.output) if spec.model else None
    readers = tuple(read_from(node, taken) for node in (*gates, *steps, *judges))
    used = {origin.node for node in readers for origin in node.inputs.values()}
    makers = (node for node in taken.values() if node.name in used)
    return Graph(nodes=(*makers, *readers), model=model, serve=served(spec, source))


def taken_in(of: JudgedSpec) -> dict[str, Node]:
    """What takes the datasets of a run that no bucket holds, by what they are called there: the
    spec's, and those that only the exam of its base reads."""
    found = data_nodes(of.spec, of.source, {name: name for name in of.spec.datasets})
    if of.rules is not None:
        lacked = exam.lacks(of.spec, of.source, of.rules)
        names = {name: f"{exam.IN_BASE}{name}" for name in lacked if name not in of.rules.lacking}
        found |= data_nodes(of.rules.spec, of.rules.source, names)
    return found


def of_model(spec: Pipeline, source: SourceTree) -> Graph:
    """What makes the model of `spec` at `source` and nothing more: no gate judges it, and nothing
    serves it."""
    assert spec.model is not None, "the caller has looked"
    taken = data_nodes(spec, source, {name: name for name in spec.datasets})
    steps = (read_from(step_node(spec, source, name, {}), taken) for name in in_order(spec))
    nodes = {node.name: node for node in (*taken.values(), *steps)}
    needed = {spec.model.step}
    for name in reversed(nodes):
        if name in needed:
            needed |= {origin.node for origin in nodes[name].inputs.values() if origin.node}
    model = From(node=spec.model.step, output=spec.model.output)
    return Graph(nodes=tuple(node for node in nodes.values() if node.name in needed), model=model)
