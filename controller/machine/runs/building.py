"""PURE. From a spec at a commit to the graph of a run: what its steps and gates become."""

from typing import Final

from controller.machine.runs.graph import Baseline, From, Graph, Rules, Source
from controller.machine.runs.judging import Held, Judged, data_gates, guards, model_gates
from controller.machine.runs.nodes import in_order, served, step_node
from specs.model import Pipeline

NOTHING_SERVES: Final = Held(None, "there is no model in production yet")


def build(
    spec: Pipeline,
    source: Source,
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
    of = Judged(spec, source, rules)
    gates = data_gates(of)
    guarded = guards(gates)
    steps = [step_node(spec, source, name, guarded) for name in in_order(spec)]
    judges = model_gates(of, held._replace(baseline=baseline) if baseline else held, guarded)
    model = From(node=spec.model.step, output=spec.model.output) if spec.model else None
    return Graph(nodes=(*gates, *steps, *judges), model=model, serve=served(spec, source))


def of_model(spec: Pipeline, source: Source) -> Graph:
    """What makes the model of `spec` at `source` and nothing more: no gate judges it, and nothing
    serves it."""
    assert spec.model is not None, "the caller has looked"
    steps = {name: step_node(spec, source, name, {}) for name in in_order(spec)}
    needed = {spec.model.step}
    for name in reversed(steps):
        if name in needed:
            needed |= {origin.node for origin in steps[name].inputs.values() if origin.node}
    model = From(node=spec.model.step, output=spec.model.output)
    return Graph(nodes=tuple(node for node in steps.values() if node.name in needed), model=model)
