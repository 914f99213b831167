"""PURE. The gates of a run's candidate as nodes: what judges it, and by which evidence.

A pull request is judged by the gate of its base, with what its own adds to it. If it changes the
exam (see `exam`), the base's own steps examine the candidate as well, on the base's data:
`gate.model.base`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from controller.machine.runs import exam
from controller.machine.runs.attempt import Attempt, Input
from controller.machine.runs.baseline_nodes import (
    NO_EVALUATION,
    BaselineEvaluation,
    DataGates,
    EvaluationInputs,
    as_evidence,
    evaluate_baseline,
    not_evaluated,
)
from controller.machine.runs.graph import GATES_VERSION, Baseline, From, JudgedSpec, Node, Rules
from controller.machine.runs.node_names import (
    BASE_MODEL_GATE,
    MODEL_GATE,
    is_of_base,
    name_in_spec,
    of_base,
)
from controller.machine.runs.step_nodes import file_name, step_node
from specs.gates import Evidence, ModelGate
from specs.model import Pipeline
from specs.references import StepReference


class BaselineChoice(NamedTuple):
    """What a candidate is compared with, or why it is compared with nothing."""

    baseline: Baseline | None
    none: str
    """Why there is no baseline, if there is none."""
    lost: bool = False
    """Whether there should be one, so that checks against it are inconclusive."""


def judged_by(spec: Pipeline, rules: Rules | None) -> ModelGate | None:
    """The model gate in force: that of `rules`, with the checks and slices that the spec adds; the
    spec's own if there are no rules, or they have no model gate.

    It reads the columns that the base names, whichever step makes the predictions: whoever chooses
    the column of the score chooses the score.
    """
    theirs, own = rules.spec.gates.model if rules else None, spec.gates.model
    if rules is None or theirs is None:
        return own
    made: dict[str, Any] = dict(exam.evidence_of(spec, rules).items())
    asked = theirs.model_copy(update=made)
    if own is None:
        return asked
    more: dict[str, Any] = {
        name: tuple(dict.fromkeys((*getattr(theirs, name), *getattr(own, name))))
        for name in ("checks", "slices")
    }
    more |= {kind: of for kind, of in own.evidence.items() if kind not in theirs.evidence}
    if "predictions" in more:
        more["columns"] = own.columns
    return asked.model_copy(update=more)


def model_gates(of: JudgedSpec, choice: BaselineChoice, data_gates: DataGates) -> Iterator[Node]:
    """The model gate and the nodes that evaluate the baseline for it; and, if a pull request
    changes the exam, the same by the exam of its base."""
    gate = judged_by(of.spec, of.rules)
    if gate is None:
        return
    if of.spec.model is None:
        none = "its spec names no `model`, which the gate of its base judges"
        yield _model_gate(of, _Question(MODEL_GATE, gate, {}, none), choice, NO_EVALUATION)
        return
    candidate = {kind: From(node=made.step, output=made.output) for kind, made in _made(of, gate)}
    given = EvaluationInputs(
        {name: (name, dataset) for name, dataset in of.spec.datasets.items()},
        {name: (name, tuple(step.outputs)) for name, step in of.spec.steps.items()},
    )
    evaluation = evaluate_baseline(gate, choice.baseline, given, data_gates)
    yield from evaluation.nodes.values()
    none = "its spec does not say where the {} are that the gate of its base judges"
    yield _model_gate(of, _Question(MODEL_GATE, gate, candidate, none), choice, evaluation)
    rules = of.rules
    if rules and exam.changed(of.spec, of.source, rules):
        yield from _by_the_base(of, rules, choice, data_gates)


def _made(of: JudgedSpec, gate: ModelGate) -> Iterator[tuple[Evidence, StepReference]]:
    """The outputs of the spec that are evidence of its candidate; some may be missing."""
    asked = of.rules.spec.gates.model if of.rules else None
    lacks = set[Evidence]()
    if of.rules and asked:
        lacks = set(asked.evidence) - set(exam.evidence_of(of.spec, of.rules))
    yield from ((kind, made) for kind, made in gate.evidence.items() if kind not in lacks)


def _by_the_base(
    of: JudgedSpec, rules: Rules, choice: BaselineChoice, data_gates: DataGates
) -> Iterator[Node]:
    """The candidate's evaluation by the base: its steps, at its commit, on its data."""
    gate = rules.spec.gates.model
    assert gate is not None
    data = exam.data_of(of.spec, of.source, rules)
    steps = exam.steps_of(rules.spec, *gate.evidence.values())
    why = _why_not(rules, data)
    made = {
        kind: From(node=of_base(output.step), output=output.output)
        for kind, output in gate.evidence.items()
    }
    asked = _Question(
        BASE_MODEL_GATE,
        gate,
        {} if why else made,
        why,
        f"the evaluation of {rules}, on its data",
    )
    evaluation = NO_EVALUATION
    if not why:
        yield from (_base_step(of, rules, step, data, data_gates) for step in steps)
        given = EvaluationInputs(
            {name: (called, rules.spec.datasets[name]) for name, called in data.items()},
            {name: (of_base(name), tuple(rules.spec.steps[name].outputs)) for name in steps},
            of_base_exam=True,
        )
        evaluation = evaluate_baseline(gate, choice.baseline, given, data_gates)
        yield from evaluation.nodes.values()
    yield _model_gate(of, asked, choice, evaluation)


def _why_not(rules: Rules, data: Mapping[str, str]) -> str:
    """Why the base cannot examine a candidate; empty if it can. Part of the gate's cache key."""
    if not exam.is_apart(rules.spec):
        model, gate = rules.spec.model, rules.spec.gates.model
        step = model.step if model else "none"
        evidence = gate.evidence.items() if gate else ()
        what = " and the ".join(kind for kind, made in evidence if made.step == step)
        return (
            f"steps.{step} both trains and makes the {what}, so there is no other evaluation "
            "that could examine its model; let a step of its own evaluate it"
        )
    missing = [name for name, called in data.items() if is_of_base(called)]
    gone = [f"{name}: {rules.lacking[name]}" for name in missing if name in rules.lacking]
    return f"the data of the base cannot be had ({'; '.join(gone)})" if gone else ""


def _base_step(
    of: JudgedSpec, rules: Rules, name: str, data: Mapping[str, str], data_gates: DataGates
) -> Node:
    """A step of the base's exam, given the candidate in place of the base's model."""
    node = step_node(rules.spec, rules.source, name, {})
    inputs: dict[str, From] = {}
    for local, origin in node.inputs.items():
        if origin.dataset is not None:
            inputs[local] = From(dataset=data[origin.dataset])
        elif exam.is_model(rules.spec, origin):
            assert of.spec.model is not None
            inputs[local] = From(node=of.spec.model.step, output=of.spec.model.output)
        else:
            inputs[local] = From(node=of_base(origin.node or ""), output=origin.output)
    return as_evidence(node, of_base(name), inputs, data_gates)


class _Question(NamedTuple):
    """What one model gate is asked."""

    node: str
    gate: ModelGate
    candidate: Mapping[Evidence, From]
    no_candidate: str
    """Why evidence of the candidate is missing; `{}` stands for its kind. Part of the cache key."""
    exam: str = ""
    """Whose evaluation made the evidence, if not the candidate's own."""

    def lacks(self, kind: Evidence) -> str:
        """Why evidence of a kind that the gate asks for is missing; empty if it is not."""
        missing = kind in self.gate.evidence and kind not in self.candidate
        return self.no_candidate.format(kind) if missing else ""


_INPUTS: Final[Mapping[Evidence, tuple[str, str]]] = {
    "predictions": ("candidate", "baseline"),
    "metrics": ("numbers", "baseline_numbers"),
}
"""The model gate's inputs by kind of evidence: the candidate's, and the baseline's."""


def _inputs(
    of: JudgedSpec, asked: _Question, evaluation: BaselineEvaluation
) -> tuple[dict[str, From], dict[str, str]]:
    """The gate's inputs by name, and the file names of those that are files."""
    inputs: dict[str, From] = {}
    files: dict[str, str] = {}
    if of.spec.model is not None:
        inputs["model"] = From(node=of.spec.model.step, output=of.spec.model.output)
    maker = of.rules.spec if asked.exam and of.rules else of.spec
    for kind in asked.gate.evidence:
        ours, theirs = _INPUTS[kind]
        if kind in asked.candidate:
            origin = asked.candidate[kind]
            step = name_in_spec(origin.node or "")
            inputs[ours] = origin
            files[ours] = file_name(maker, From(node=step, output=origin.output))
        if kind in evaluation.made:
            inputs[theirs] = evaluation.made[kind]
            files[theirs] = evaluation.files[kind]
    return inputs, files


def _model_gate(
    of: JudgedSpec, asked: _Question, choice: BaselineChoice, evaluation: BaselineEvaluation
) -> Node:
    baseline, none, lost = choice
    inputs, files = _inputs(of, asked, evaluation)
    if baseline and "predictions" not in evaluation.made:
        none, lost = evaluation.missing.get("predictions", not_evaluated(baseline)), True
    own = of.spec.gates.model.checks if of.spec.gates.model and not asked.exam else ()
    checks = asked.gate.checks
    request = {
        "gate": asked.gate.model_dump(mode="json"),
        # None: a check of the base branch, which has no place in this spec.
        "places": [own.index(check) if check in own else None for check in checks],
        "baseline_version": baseline.version if baseline else None,
        "baseline_model": baseline.model if baseline else None,
        "baseline_called": baseline.called if baseline else None,
        "baseline_lost": lost,
        "no_baseline": none,
        "no_candidate": asked.lacks("predictions"),
        "exam": asked.exam,
        **_metrics_request(asked, choice, evaluation),
    }
    definition = {
        "gate": GATES_VERSION,
        "checks": request["gate"],
        "baseline": request["baseline_model"],
        **({"exam": asked.exam} if asked.exam else {}),
        **({"lost": none} if lost and baseline is None else {}),
        **({"no_candidate": why} if (why := asked.lacks("predictions")) else {}),
        **({"no_numbers": why} if (why := asked.lacks("metrics")) else {}),
    }
    return Node(
        name=asked.node,
        kind="model_gate",
        inputs=inputs,
        definition=definition,
        attempt=Attempt(
            id="",
            run="",
            node=asked.node,
            program="model_gate",
            repository=of.source.repository,
            commit=of.source.commit,
            folder=of.source.folder,
            file=of.source.file,
            inputs={n: Input(kind="artifact", digest="", name=f) for n, f in files.items()},
            outputs={"report": "report.json"},
            timeout=3600,
            request=request,
        ),
        retries=1,
    )


def _metrics_request(
    asked: _Question, choice: BaselineChoice, evaluation: BaselineEvaluation
) -> dict[str, Any]:
    """The part of the request that is about metrics of the team's own; empty without any."""
    if "metrics" not in asked.gate.evidence:
        return {}
    none, lost = choice.none, choice.lost
    if choice.baseline and "metrics" not in evaluation.made:
        none, lost = evaluation.missing.get("metrics", not_evaluated(choice.baseline)), True
    return {
        "no_numbers": asked.lacks("metrics"),
        "no_baseline_numbers": none,
        "baseline_numbers_lost": lost,
    }
