"""PURE. The gates of a run as nodes: who judges the data and the candidate, on what evidence.

A pull request is judged by the gates of its base and by what it asks for beyond them. Where it
changes what a candidate is examined by, the candidate is examined by the base's own steps, too, on
the base's data: `gate.model.base`.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from controller.machine.runs import exam
from controller.machine.runs.attempt import Attempt, Input
from controller.machine.runs.exam import IN_BASE
from controller.machine.runs.graph import Baseline, From, Node, Rules, Source
from controller.machine.runs.nodes import file_name, step_node
from specs.gates import ModelGate
from specs.model import Dataset, Pipeline
from specs.references import DatasetReference

GATES_VERSION = 4
"""Part of a gate's key: raise it when a gate would judge the same evidence differently."""
PROPOSED = ".proposed"
"""What the name of a data gate ends with whose suite only the pull request has."""

Guarded = Mapping[str | None, tuple[str, ...]]
"""The data gates that have to pass before a dataset is read."""


class Held(NamedTuple):
    """What a candidate is held against."""

    baseline: Baseline | None
    none: str
    """Why there is no baseline, if there is none."""
    lost: bool = False
    """Whether there should be one, so that what compares with it cannot be decided."""


class Judged(NamedTuple):
    """A spec at a commit, and whose rules judge it; None: its own."""

    spec: Pipeline
    source: Source
    rules: Rules | None


# -- data ------------------------------------------------------------------------------------------


def data_gates(of: Judged) -> list[Node]:
    """The suites of the base that go for each dataset, and the spec's own where it is another; and
    those of the data that only the base's exam reads."""
    found = [gate for name in of.spec.datasets for gate in _of_dataset(of, name)]
    rules = of.rules
    for name in exam.lacks(of.spec, of.source, rules) if rules else ():
        assert rules is not None
        dataset = rules.spec.datasets[name]
        if dataset.expectations and name not in rules.lacking:
            called = f"{IN_BASE}{name}"
            gate = f"gate.{IN_BASE}data.{name}"
            found.append(_data_gate(gate, called, dataset.uri, dataset, rules.source))
    return found


def guards(gates: list[Node]) -> Guarded:
    """The gates by the dataset that they judge."""
    found: dict[str | None, tuple[str, ...]] = {}
    for gate in gates:
        dataset = gate.inputs["dataset"].dataset
        found[dataset] = (*found.get(dataset, ()), gate.name)
    return found


def suites_for(name: str, spec: Pipeline, base: Pipeline) -> tuple[str, ...]:
    """The base's datasets whose suites go for a dataset of a pull request: that of the same name,
    those of the same address or one within it, and those that the same input of a step read.

    A dataset that has none itself is judged by those of what a step reads no more in its place; and
    by those that would go for none of the datasets: data does not become good by another name.
    """
    found = _related(name, spec, base)
    if found or spec.datasets[name].expectations:
        return found
    replaced = _replaced(name, spec, base)
    if replaced:
        return replaced
    others = (_related(each, spec, base) for each in spec.datasets)
    kept = {one for related in others for one in related}
    return tuple(b for b, d in base.datasets.items() if d.expectations and b not in kept)


def _related(name: str, spec: Pipeline, base: Pipeline) -> tuple[str, ...]:
    uri = spec.datasets[name].uri
    roles = {
        there.dataset
        for step, now in spec.steps.items()
        if (before := base.steps.get(step))
        for local, here in now.inputs.items()
        if here == DatasetReference(name)
        and isinstance(there := before.inputs.get(local), DatasetReference)
    }
    known = name in base.datasets
    return tuple(
        other
        for other, dataset in base.datasets.items()
        if dataset.expectations
        and (
            other == name
            or other in roles
            or dataset.uri == uri
            or (not known and _within(dataset.uri, uri))
        )
    )


def _replaced(name: str, spec: Pipeline, base: Pipeline) -> tuple[str, ...]:
    """The base's datasets with a suite that a step read and does not read any more, now that it
    reads this one."""
    found: set[str] = set()
    for step, now in spec.steps.items():
        before = base.steps.get(step)
        if before is None or DatasetReference(name) not in now.inputs.values():
            continue
        left = set(before.inputs.values()) - set(now.inputs.values())
        found |= {each.dataset for each in left if isinstance(each, DatasetReference)}
    return tuple(b for b, d in base.datasets.items() if d.expectations and b in found)


def _within(one: str, other: str) -> bool:
    """Whether of the places of two addresses one holds the other."""
    places = [_place(uri) for uri in (one, other)]
    shorter, longer = sorted(places, key=len)
    return longer[: len(shorter)] == shorter


def _place(uri: str) -> tuple[str, ...]:
    """Where an address begins: its scheme, its bucket, and its folders before the first glob."""
    parts = urlsplit(uri)
    path = [part for part in f"{parts.netloc}/{parts.path}".split("/") if part]
    fixed = next((at for at, part in enumerate(path) if set(part) & set("*?[")), len(path))
    return (parts.scheme if parts.scheme != "file" else "", *path[:fixed])


def _of_dataset(of: Judged, name: str) -> Iterator[Node]:
    own = of.spec.datasets[name]
    bases = suites_for(name, of.spec, of.rules.spec) if of.rules else ()
    judged: list[tuple[str | None, Dataset]] = []
    gate = f"gate.data.{name}"
    if of.rules:
        for at, base in enumerate(bases):
            theirs = of.rules.spec.datasets[base]
            called = gate if at == 0 else f"{gate}.of.{base}"
            yield _data_gate(called, name, own.uri, theirs, of.rules.source)
            judged.append((of.rules.source.below.get(theirs.expectations or ""), theirs))
    suite = of.source.below.get(own.expectations or "")
    if own.expectations and not any(
        suite == theirs and is_read_alike(own, base) for theirs, base in judged
    ):
        yield _data_gate(f"{gate}{PROPOSED}" if bases else gate, name, own.uri, own, of.source)


def is_read_alike(one: Dataset, other: Dataset) -> bool:
    """Whether the gate reads the same values of the same objects."""
    return (one.types, one.nulls) == (other.types, other.nulls)


def _data_gate(node: str, name: str, uri: str, rules: Dataset, source: Source) -> Node:
    """The gate for the data at `uri`, read and judged as `rules` says, which is of `source`."""
    suite = rules.expectations
    assert suite is not None, "only a dataset with a suite has a gate"
    reading = {"types": dict(rules.types), "nulls": list(rules.nulls)}
    return Node(
        name=node,
        kind="data_gate",
        inputs={"dataset": From(dataset=name)},
        definition={"gate": GATES_VERSION, **reading},
        reads={suite: source.below.get(suite, "missing")},
        attempt=Attempt(
            id="",
            run="",
            node=node,
            program="data_gate",
            repository=source.repository,
            commit=source.commit,
            folder=source.folder,
            file=source.file,
            inputs={"dataset": Input(kind="dataset", digest="", name=name, uri=uri)},
            outputs={"report": "report.json"},
            timeout=3600,
            request={"dataset": name, "suite": suite, "reading": reading},
        ),
        retries=1,
    )


# -- the candidate ---------------------------------------------------------------------------------


def judged_by(spec: Pipeline, rules: Rules | None) -> ModelGate | None:
    """The model gate in force: that of `rules` with what the spec asks for beyond it; the spec's
    own without rules, or if they have none.

    It reads the base's columns of the predictions, wherever the spec makes them: whoever chooses
    which column is the score chooses the score.
    """
    theirs, own = rules.spec.gates.model if rules else None, spec.gates.model
    if rules is None or theirs is None:
        return own
    made = exam.predictions_of(spec, rules)
    asked = theirs.model_copy(update={"predictions": made}) if made else theirs
    if own is None:
        return asked
    more = {
        name: tuple(dict.fromkeys((*getattr(theirs, name), *getattr(own, name))))
        for name in ("checks", "slices")
    }
    return asked.model_copy(update=more)


def model_gates(of: Judged, held: Held, guarded: Guarded) -> Iterator[Node]:
    """The model gate with what it needs: the baseline's evaluation on the candidate's data; and,
    where a pull request changes the exam, the same by the exam of its base."""
    gate = judged_by(of.spec, of.rules)
    if gate is None:
        return
    if of.spec.model is None:
        none = "its spec names no `model`, which the gate of its base judges"
        yield _model_gate(of, _Question("gate.model", gate, None, none), held, None)
        return
    made = exam.predictions_of(of.spec, of.rules) if of.rules else gate.predictions
    if of.rules is None or of.rules.spec.gates.model is None:
        made = gate.predictions
    candidate = From(node=made.step, output=made.output) if made else None
    field = _Field(
        {name: (name, dataset.uri) for name, dataset in of.spec.datasets.items()},
        {name: (name, tuple(step.outputs)) for name, step in of.spec.steps.items()},
    )
    challenger = _challenger("baseline", held.baseline, field, guarded)
    if challenger:
        yield challenger
    none = "its spec does not say where the predictions are that the gate of its base judges"
    yield _model_gate(of, _Question("gate.model", gate, candidate, none), held, challenger)
    rules = of.rules
    if rules and exam.changed(of.spec, of.source, rules):
        yield from _by_the_base(of, rules, held, guarded)


def _by_the_base(of: Judged, rules: Rules, held: Held, guarded: Guarded) -> Iterator[Node]:
    """The candidate's examination by the base: its steps, at its commit, on its data."""
    gate = rules.spec.gates.model
    assert gate is not None
    data = exam.data_of(of.spec, of.source, rules)
    steps = exam.steps_of(rules.spec, gate.predictions)
    why = _why_not(rules, data)
    asked = _Question(
        "gate.model.base",
        gate,
        None if why else From(node=IN_BASE + gate.predictions.step, output=gate.predictions.output),
        why,
        f"the evaluation of {rules}, on its data",
    )
    challenger = None
    if not why:
        yield from (_base_step(of, rules, step, data, guarded) for step in steps)
        field = _Field(
            {name: (called, rules.spec.datasets[name].uri) for name, called in data.items()},
            {name: (IN_BASE + name, tuple(rules.spec.steps[name].outputs)) for name in steps},
        )
        challenger = _challenger(f"{IN_BASE}baseline", held.baseline, field, guarded)
        if challenger:
            yield challenger
    yield _model_gate(of, asked, held, challenger)


def _why_not(rules: Rules, data: Mapping[str, str]) -> str:
    """Why the base cannot examine a candidate; empty if it can."""
    if not exam.is_apart(rules.spec):
        model = rules.spec.model
        step = model.step if model else "none"
        return (
            f"steps.{step} both trains and makes the predictions, so there is no other evaluation "
            "that could examine its model; let a step of its own evaluate it"
        )
    missing = [name for name, called in data.items() if called.startswith(IN_BASE)]
    gone = [f"{name}: {rules.lacking[name]}" for name in missing if name in rules.lacking]
    return f"the data of the base cannot be had ({'; '.join(gone)})" if gone else ""


def _base_step(
    of: Judged, rules: Rules, name: str, data: Mapping[str, str], guarded: Guarded
) -> Node:
    """A step of the base's exam; where that is given the model, the candidate is."""
    node = step_node(rules.spec, rules.source, name, {})
    inputs: dict[str, From] = {}
    for local, origin in node.inputs.items():
        if origin.dataset is not None:
            inputs[local] = From(dataset=data[origin.dataset])
        elif exam.is_model(rules.spec, origin):
            assert of.spec.model is not None
            inputs[local] = From(node=of.spec.model.step, output=of.spec.model.output)
        else:
            inputs[local] = From(node=f"{IN_BASE}{origin.node}", output=origin.output)
    return _evidence(node, IN_BASE + name, inputs, guarded)


def _evidence(node: Node, name: str, inputs: Mapping[str, From], guarded: Guarded) -> Node:
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


class _Field(NamedTuple):
    """On what a baseline is evaluated: the data and the steps' outputs that its step may be given,
    by the names that it knows them by."""

    data: Mapping[str, tuple[str, str]]
    """What each dataset is called in the run, and its address."""
    steps: Mapping[str, tuple[str, tuple[str, ...]]]
    """The node of each step, and its outputs."""


def _challenger(
    label: str, baseline: Baseline | None, field: _Field, guarded: Guarded
) -> Node | None:
    """The baseline's own evaluation, at its own commit, on that field; None where it has none that
    could run there."""
    theirs = baseline.spec.gates.model if baseline else None
    if baseline is None or theirs is None or baseline.spec.model is None:
        return None
    name = theirs.predictions.step
    if name not in baseline.spec.steps or name == baseline.spec.model.step:
        return None
    ours = {
        dataset: known.model_copy(update={"uri": field.data[dataset][1]})
        for dataset, known in baseline.spec.datasets.items()
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
    found = _evidence(node, f"{label}.{name}", inputs, guarded)
    return found.model_copy(update={"kind": "baseline"})


class _Question(NamedTuple):
    """What one model gate is asked."""

    node: str
    gate: ModelGate
    candidate: From | None
    no_candidate: str
    """Why there are no predictions of the candidate, if there are none."""
    exam: str = ""
    """Whose evaluation made the predictions, where it is not the candidate's own."""


def _model_gate(of: Judged, asked: _Question, held: Held, challenger: Node | None) -> Node:
    baseline, none, lost = held
    inputs: dict[str, From] = {}
    files: dict[str, str] = {}
    if of.spec.model is not None:
        inputs["model"] = From(node=of.spec.model.step, output=of.spec.model.output)
    if asked.candidate is not None:
        inputs["candidate"] = asked.candidate
        maker = of.rules.spec if asked.exam and of.rules else of.spec
        step = (asked.candidate.node or "").removeprefix(IN_BASE if asked.exam else "")
        files["candidate"] = file_name(maker, From(node=step, output=asked.candidate.output))
    theirs = baseline.spec.gates.model if baseline else None
    if challenger and baseline and theirs:
        inputs["baseline"] = From(node=challenger.name, output=theirs.predictions.output)
        made = From(node=theirs.predictions.step, output=theirs.predictions.output)
        files["baseline"] = file_name(baseline.spec, made)
    elif baseline:
        none, lost = f"{baseline.called} has no evaluation that could run on this data", True
    own = of.spec.gates.model.checks if of.spec.gates.model and not asked.exam else ()
    checks = asked.gate.checks
    request = {
        "gate": asked.gate.model_dump(mode="json"),
        # None: a check of the base branch; `spec` is as its file has it.
        "places": [own.index(check) if check in own else None for check in checks],
        "baseline_version": baseline.version if baseline else None,
        "baseline_model": baseline.model if baseline else None,
        "baseline_called": baseline.called if baseline else None,
        "baseline_lost": lost,
        "no_baseline": none,
        "no_candidate": asked.no_candidate if asked.candidate is None else "",
        "exam": asked.exam,
    }
    definition = {
        "gate": GATES_VERSION,
        "checks": request["gate"],
        "baseline": request["baseline_model"],
        **({"exam": asked.exam} if asked.exam else {}),
        **({"lost": none} if lost and baseline is None else {}),
        **({"no_candidate": asked.no_candidate} if asked.candidate is None else {}),
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
