"""PURE. The gates of a run's datasets as nodes: which suites judge which data.

A pull request is judged by the suites of its base, and by those of its own that differ.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from controller.machine.runs import exam
from controller.machine.runs.attempt import Attempt, Input
from controller.machine.runs.baseline_nodes import DataGates
from controller.machine.runs.graph import (
    GATES_VERSION,
    PORTRAIT,
    VALIDATION,
    From,
    JudgedSpec,
    Node,
    SourceTree,
    key_of,
)
from controller.machine.runs.node_names import (
    custom_data_gate,
    data_gate,
    further_data_gate,
    history_gate,
    of_base,
    proposed_data_gate,
)
from specs.base import Scalar
from specs.contracts import choice_of
from specs.digests import digest
from specs.model import Dataset, Pipeline
from specs.references import DatasetReference
from specs.suite_parameters import words_in


def data_gates(of: JudgedSpec) -> list[Node]:
    """The gates of each dataset, by the base's suites for it and by the spec's own if that differs;
    and the gates of datasets that only the base's exam reads."""
    found = [gate for name in of.spec.datasets for gate in _gates_of_dataset(of, name)]
    rules = of.rules
    for name in exam.lacks(of.spec, of.source, rules) if rules else ():
        assert rules is not None
        dataset = rules.spec.datasets[name]
        if dataset.is_judged and name not in rules.lacking:
            called = of_base(name)
            judged = JudgedData(data_gate(called), called, dataset.uri or "", _addresses(of.spec))
            found += _gates_by(SuiteOf(name, rules.spec, rules.source), judged)
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
    if found or spec.datasets[name].is_judged:
        return found
    replaced = _replaced(name, spec, base)
    if replaced:
        return replaced
    others = (_related(each, spec, base) for each in spec.datasets)
    kept = {one for related in others for one in related}
    return tuple(b for b, d in base.datasets.items() if d.is_judged and b not in kept)


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
        if dataset.is_judged
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
    return tuple(b for b, d in base.datasets.items() if d.is_judged and b in found)


def question_of(gates: Iterable[Node]) -> str:
    """What data gates ask, whatever they are asked of: equal if they would judge the same objects
    alike."""
    return digest([key_of(gate.model_copy(update={"inputs": {}}), {}) for gate in gates])


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
    own = SuiteOf(name, of.spec, of.source)
    bases = suites_for(name, of.spec, of.rules.spec) if of.rules else ()
    judged: list[SuiteOf] = []
    data = JudgedData(data_gate(name), name, own.dataset.uri or "", _addresses(of.spec))
    if of.rules:
        for at, base in enumerate(bases):
            theirs = SuiteOf(base, of.rules.spec, of.rules.source)
            called = data.gate if at == 0 else further_data_gate(name, base)
            yield from _gates_by(theirs, data._replace(gate=called))
            judged.append(theirs)
    if own.dataset.is_judged and not any(own.judges_like(theirs) for theirs in judged):
        called = proposed_data_gate(name) if bases else data.gate
        yield from _gates_by(own, data._replace(gate=called))


def _addresses(spec: Pipeline) -> dict[str, str]:
    return {name: dataset.uri or "" for name, dataset in spec.datasets.items()}


class JudgedData(NamedTuple):
    """What a gate judges."""

    gate: str
    """The name of the node."""
    name: str
    """The dataset's name in the run."""
    uri: str
    others: Mapping[str, str]
    """The address of each dataset of the run's spec, by name: checks may read them as well."""


class SuiteOf(NamedTuple):
    """What a gate judges by: the suite of a dataset of a spec, and how that reads its data."""

    name: str
    spec: Pipeline
    source: SourceTree

    @property
    def dataset(self) -> Dataset:
        """The dataset that has it."""
        return self.spec.datasets[self.name]

    def judges_like(self, other: "SuiteOf") -> bool:
        """Whether a gate would give the same verdict on the same objects."""
        same = (self._content, self.params) == (other._content, other.params)
        how = (self.reading, self.checks, self.engine)
        return same and how == (other.reading, other.checks, other.engine)

    @property
    def _content(self) -> object:
        """The digest of the suite's file, or the suite itself; what chooses a part of it; and the
        digest of its module."""
        own = self.source.content(self.dataset.suite_file) or self.dataset.inline_suite
        return own, self.choice, self.source.content(self.module), self.module is None

    @property
    def choice(self) -> str | None:
        """What chooses the object of a data contract; None where nothing has to."""
        named = self.dataset.expectations
        return choice_of(named, self.name) if isinstance(named, str) else None

    @property
    def module(self) -> str | None:
        """The path of the module with its custom expectations."""
        return self.dataset.custom_expectations

    @property
    def definition(self) -> dict[str, Any]:
        """What the verdict rests on besides the suite's file and the data."""
        inline, params = self.dataset.inline_suite, self.params
        suite = {"suite": inline} if inline else {}
        choice = {"object": self.choice} if self.choice else {}
        given = {"params": params} if params else {}
        return {**self.reading, **suite, **choice, **given, **self.shown}

    @property
    def engine(self) -> dict[str, Any]:
        """Who judges all but custom expectations, if that is not Headgate."""
        engine = self.dataset.engine
        return {} if engine == "headgate" else {"engine": engine}

    @property
    def checks(self) -> list[dict[str, Any]]:
        """The checks beside the suite."""
        return [dict(each.as_asked) for each in self.dataset.checks]

    @property
    def params(self) -> dict[str, Scalar]:
        """Those of the spec's `params` that it names."""
        inline, file = self.dataset.inline_suite, self.dataset.suite_file
        words = words_in(inline) if inline else self.source.suite_words.get(file or "", ())
        return {name: value for name, value in self.spec.params.items() if name in words}

    @property
    def reading(self) -> dict[str, Any]:
        """How the data is read. Part of the cache key: what is not said is left out."""
        said: dict[str, Any] = {
            "types": dict(self.dataset.types),
            "nulls": list(self.dataset.nulls),
        }
        if self.dataset.csv is not None:
            said["csv"] = self.dataset.csv.model_dump(mode="json", exclude_defaults=True)
        return said

    @property
    def shown(self) -> dict[str, Any]:
        """The columns of which the report may show values."""
        return {"examples": list(self.dataset.examples)} if self.dataset.examples else {}

    def reads(self, *files: str | None) -> dict[str, str]:
        """The digests of files that it consists of."""
        return {file: self.source.content(file) or "missing" for file in files if file is not None}

    @property
    def place(self) -> dict[str, Any]:
        """Where the suite is, a file, and for an inline suite its place there, or the object of a
        contract; and what fills its parameters."""
        params = {"params": self.params} if self.params else {}
        if self.dataset.suite_file is not None:
            meant = {"object": self.dataset.contract_object, "like": self.name}
            chosen = meant if self.choice else {}
            return {"suite": self.dataset.suite_file, **chosen, **params}
        at = ["datasets", self.name, "expectations"]
        return {"suite": self.source.file, "at": at, **params}


def _gates_by(suite: SuiteOf, data: JudgedData) -> Iterator[Node]:
    """The gate by a suite and, apart from it as its code is nobody's, the one by its module; and
    the one by the checks beside it."""
    if suite.dataset.checks:
        yield history_gate_node(suite, data)
    if suite.dataset.expectations is None:
        return
    file, module = suite.dataset.suite_file, suite.module
    definition = {"gate": GATES_VERSION, **suite.definition}
    if module is None:
        yield _data_gate(
            suite, data, {**definition, **suite.engine}, suite.reads(file), suite.engine
        )
        return
    leaves = {"leaves_custom": True, **suite.engine}
    yield _data_gate(suite, data, {**definition, **leaves}, suite.reads(file), leaves)
    custom = data._replace(gate=custom_data_gate(data.gate))
    judged = {"custom": module}
    yield _data_gate(suite, custom, {**definition, **judged}, suite.reads(file, module), judged)


def _data_gate(
    suite: SuiteOf,
    data: JudgedData,
    definition: Mapping[str, Any],
    reads: Mapping[str, str],
    asked: Mapping[str, Any] = {},
) -> Node:
    source = suite.source
    return Node(
        name=data.gate,
        kind="data_gate",
        inputs={"dataset": From(dataset=data.name)},
        definition=definition,
        reads=reads,
        attempt=Attempt(
            id="",
            run="",
            node=data.gate,
            program="data_gate",
            repository=source.repository,
            commit=source.commit,
            folder=source.folder,
            inputs={"dataset": Input(kind="dataset", digest="", name=data.name, uri=data.uri)},
            outputs={
                "report": "report.json",
                VALIDATION: "validation.json",
                PORTRAIT: "portrait.json",
            },
            timeout=_ON_SPARK if "engine" in asked else 3600,
            request={
                "dataset": data.name,
                **suite.place,
                "reading": suite.reading,
                **suite.shown,
                **asked,
            },
        ),
        retries=1,
    )


_ON_SPARK = 6 * 3600
"""Seconds for data that is too large for one machine."""
HISTORY = "history"
"""The input that is what is known of earlier versions, and the output that is it with this one."""
OTHER = "other."
"""The prefix of inputs that are other datasets."""


def history_gate_node(suite: SuiteOf, data: JudgedData) -> Node:
    """The gate by a dataset's `checks`. It reads those datasets of the run as well that the checks
    name; one that a pull request has removed is an ERROR of the check."""
    source, checks = suite.source, suite.checks
    named = dict.fromkeys(filter(None, (each.other for each in suite.dataset.checks)))
    others = {f"{OTHER}{name}": name for name in named if name in data.others}
    readings = {name: suite._replace(name=name).reading for name in named}
    definition = {"gate": GATES_VERSION, **suite.reading, "checks": checks}
    gate = history_gate(data.gate)
    return Node(
        name=gate,
        kind="data_gate",
        inputs={
            "dataset": From(dataset=data.name),
            **{local: From(dataset=name) for local, name in others.items()},
        },
        definition={**definition, "others": readings} if readings else definition,
        attempt=Attempt(
            id="",
            run="",
            node=gate,
            program="history_gate",
            repository=source.repository,
            commit=source.commit,
            folder=source.folder,
            inputs={
                "dataset": Input(kind="dataset", digest="", name=data.name, uri=data.uri),
                **{
                    local: Input(kind="dataset", digest="", name=name, uri=data.others[name])
                    for local, name in others.items()
                },
            },
            outputs={"report": "report.json", HISTORY: "history.json"},
            timeout=3600,
            request={
                "dataset": data.name,
                "reading": suite.reading,
                "others": readings,
                "checks": checks,
                "file": source.file,
                "of": suite.name,
            },
        ),
        retries=1,
        stands=0.0 if any(each.freshness for each in suite.dataset.checks) else None,
    )
