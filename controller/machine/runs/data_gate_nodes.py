"""PURE. The gates of a run's datasets as nodes: which suites judge which data.

A pull request is judged by the suites of its base, and by those of its own that differ.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from controller.machine.runs import exam
from controller.machine.runs.attempt import Attempt, Input
from controller.machine.runs.baseline_nodes import DataGates
from controller.machine.runs.graph import GATES_VERSION, From, JudgedSpec, Node, SourceTree
from controller.machine.runs.node_names import (
    data_gate,
    further_data_gate,
    of_base,
    proposed_data_gate,
)
from specs.model import Dataset, Pipeline
from specs.references import DatasetReference


def data_gates(of: JudgedSpec) -> list[Node]:
    """The gates of each dataset, by the base's suites for it and by the spec's own if that differs;
    and the gates of datasets that only the base's exam reads."""
    found = [gate for name in of.spec.datasets for gate in _gates_of_dataset(of, name)]
    rules = of.rules
    for name in exam.lacks(of.spec, of.source, rules) if rules else ():
        assert rules is not None
        dataset = rules.spec.datasets[name]
        if dataset.expectations and name not in rules.lacking:
            called = of_base(name)
            gate = data_gate(called)
            found.append(_data_gate(gate, called, dataset.uri or "", dataset, rules.source))
    return found


def by_dataset(gates: list[Node]) -> DataGates:
    """The data gates by the dataset that they judge."""
    found: dict[str | None, tuple[str, ...]] = {}
    for gate in gates:
        dataset = gate.inputs["dataset"].dataset
        found[dataset] = (*found.get(dataset, ()), gate.name)
    return found


def suites_for(name: str, spec: Pipeline, base: Pipeline) -> tuple[str, ...]:
    """The base's datasets whose suites apply to a dataset of a pull request: the one of that name,
    those at the same address or one inside it, and those that the same input of a step read before.

    If there are none and the dataset has no suite, the suites of the datasets that it replaces as
    inputs of a step apply; failing those, all suites that would otherwise apply to no dataset.
    Renaming a dataset must not free it from its suite.
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
    own = spec.datasets[name]
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
            or is_same_place(dataset, own)
            or (not known and dataset.uri and own.uri and _within(dataset.uri, own.uri))
        )
    )


def _replaced(name: str, spec: Pipeline, base: Pipeline) -> tuple[str, ...]:
    """The base's datasets with a suite that a step no longer reads, now that it reads this one."""
    found: set[str] = set()
    for step, now in spec.steps.items():
        before = base.steps.get(step)
        if before is None or DatasetReference(name) not in now.inputs.values():
            continue
        left = set(before.inputs.values()) - set(now.inputs.values())
        found |= {each.dataset for each in left if isinstance(each, DatasetReference)}
    return tuple(b for b, d in base.datasets.items() if d.expectations and b in found)


def is_same_place(one: Dataset, other: Dataset) -> bool:
    """Whether two datasets have the same address, query or command."""
    return (one.uri, one.query, one.fetch) == (other.uri, other.query, other.fetch)


def _within(one: str, other: str) -> bool:
    """Whether one of two addresses is inside the other."""
    places = [_place(uri) for uri in (one, other)]
    shorter, longer = sorted(places, key=len)
    return longer[: len(shorter)] == shorter


def _place(uri: str) -> tuple[str, ...]:
    """The fixed start of an address: scheme, bucket, and the folders before the first glob."""
    parts = urlsplit(uri)
    path = [part for part in f"{parts.netloc}/{parts.path}".split("/") if part]
    fixed = next((at for at, part in enumerate(path) if set(part) & set("*?[")), len(path))
    return (parts.scheme if parts.scheme != "file" else "", *path[:fixed])


def _gates_of_dataset(of: JudgedSpec, name: str) -> Iterator[Node]:
    own = of.spec.datasets[name]
    bases = suites_for(name, of.spec, of.rules.spec) if of.rules else ()
    uri = own.uri or ""
    judged: list[tuple[str | None, Dataset]] = []
    gate = data_gate(name)
    if of.rules:
        for at, base in enumerate(bases):
            theirs = of.rules.spec.datasets[base]
            called = gate if at == 0 else further_data_gate(name, base)
            yield _data_gate(called, name, uri, theirs, of.rules.source)
            judged.append((of.rules.source.content(theirs.expectations), theirs))
    suite = of.source.content(own.expectations)
    if own.expectations and not any(
        suite == theirs and is_read_alike(own, base) for theirs, base in judged
    ):
        called = proposed_data_gate(name) if bases else gate
        yield _data_gate(called, name, uri, own, of.source)


def is_read_alike(one: Dataset, other: Dataset) -> bool:
    """Whether a gate would read the same values from the same objects."""
    return (one.types, one.nulls) == (other.types, other.nulls)


def _data_gate(node: str, name: str, uri: str, rules: Dataset, source: SourceTree) -> Node:
    """The gate for the data at `uri`, read and judged as `rules`, a dataset of `source`, says."""
    suite = rules.expectations
    assert suite is not None, "only a dataset with a suite has a gate"
    reading = {"types": dict(rules.types), "nulls": list(rules.nulls)}
    return Node(
        name=node,
        kind="data_gate",
        inputs={"dataset": From(dataset=name)},
        definition={"gate": GATES_VERSION, **reading},
        reads={suite: source.content(suite) or "missing"},
        attempt=Attempt(
            id="",
            run="",
            node=node,
            program="data_gate",
            repository=source.repository,
            commit=source.commit,
            folder=source.folder,
            inputs={"dataset": Input(kind="dataset", digest="", name=name, uri=uri)},
            outputs={"report": "report.json"},
            timeout=3600,
            request={"dataset": name, "suite": suite, "reading": reading},
        ),
        retries=1,
    )
