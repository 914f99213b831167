"""PURE. From a spec at a commit to the graph of a run: what its steps and gates become."""

from controller.machine.runs.graph import Baseline, From, Graph, Rules, Source
from controller.machine.runs.judging import Held, Judged, data_gates, guards, model_gates
from controller.machine.runs.nodes import in_order, served, step_node
from specs.model import Pipeline


def build(
    spec: Pipeline,
    source: Source,
    baseline: Baseline | None = None,
    rules: Rules | None = None,
    no_baseline: str = "there is no model in production yet",
) -> Graph:
    """The graph of a run of `spec` at `source`, held against `baseline`.

    With `rules`, their gates judge, and what the spec asks for beyond them: a pull request cannot
    loosen what stops it, and is seen to pass what it tightens. If it changes what a candidate is
    examined by, the exam of `rules` is sat as well.
    """
    of = Judged(spec, source, rules)
    gates = data_gates(of)
    guarded = guards(gates)
    steps = [step_node(spec, source, name, guarded) for name in in_order(spec)]
    judges = model_gates(of, Held(baseline, no_baseline), guarded)
    model = From(node=spec.model.step, output=spec.model.output) if spec.model else None
    return Graph(nodes=(*gates, *steps, *judges), model=model, serve=served(spec, source))
