"""PURE. What a run of a commit would do, and why; and why a run that happened did what it did."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Literal

from controller.machine.core import Value
from controller.machine.pipelines.dataset_changes import ObjectChanges
from controller.machine.pipelines.policy_gates import rules_of
from controller.machine.pipelines.rule_change import RuleChange
from controller.machine.runs.graph import Graph, Node, NodeKind, key_of, resolve
from controller.machine.runs.judging import PROPOSED
from controller.machine.runs.run import CachedResult, Run
from specs.digests import short
from specs.gates import ModelGate
from specs.model import SPEC_FILE, Pipeline
from specs.references import as_argument
from specs.values import format_duration

MOST_FILES = 5
"""Files that one reason names; the rest is counted."""


class Earlier(Value):
    """The newest run of the default branch that passed: what a plan is compared with."""

    run: str
    graph: Graph
    datasets: Mapping[str, str]
    seconds: Mapping[str, float] = {}
    """How long each node took when it last ran."""
    outputs: Mapping[str, Mapping[str, str]] = {}
    """What each node made, by digest."""

    @classmethod
    def of(cls, run: Run, graph: Graph, seconds: Mapping[str, float] | None = None) -> "Earlier":
        """A run as what others are compared with."""
        outputs = {name: node.outputs for name, node in run.nodes.items() if node.outputs}
        return cls(
            run=run.id,
            graph=graph,
            datasets=run.datasets,
            seconds=seconds or {},
            outputs=outputs,
        )

    def remade(self, node: Node, outputs: Mapping[str, Mapping[str, str]]) -> list[str]:
        """The nodes that a node has its inputs from and that made something else here."""
        made_by = {origin.node for origin in node.inputs.values() if origin.node}
        return [
            name
            for name in sorted(made_by & outputs.keys() & self.outputs.keys())
            if outputs[name] != self.outputs[name]
        ]


class Planned(Value):
    """What would become of one node."""

    name: str
    kind: NodeKind
    what: Literal["run", "cached", "unneeded"]
    """`unneeded`: only a run that is forced would run it."""
    why: tuple[str, ...]
    """What changed since the earlier run; or whose result is reused."""
    sure: bool = True
    """Whether it runs in any case; False while an input is not made yet: it may come out as it was,
    so that all is as it was."""
    seconds: float | None = None
    """About how long it takes to run; None where nobody knows, 0 for a cached one."""


class PlannedData(Value):
    """A dataset as a run would pin it."""

    name: str
    uri: str
    """Or what else it comes from, in words."""
    version: str | None
    was: str | None = None
    """The version that the earlier run read."""
    moved: ObjectChanges | None = None
    """Which objects came, went or changed since then, where both versions are known."""
    problem: str | None = None
    """Why the version is not known."""
    gate: str | None = None
    """The suite that judges it."""


class PlannedGate(Value):
    """A gate that applies."""

    name: str
    judges: str
    """The dataset, or `the model`."""
    rules: tuple[str, ...]
    """Its suite, or its checks in words."""
    of_base: bool = False
    """Whether it is as the base branch has it, whatever the commit says."""


class Plan(Value):
    """What a run of a commit would do."""

    pipeline: str
    commit: str
    """The commit, or `the work tree`."""
    compared_with: str | None
    """The earlier run; None: there is none, or no store to look in."""
    nothing_to_do: bool
    """Whether all that a run reads is as in a run that stands for it, so that there would be none.
    """
    stands: str | None = None
    """That run, with how it ended unless it passed: `toy-2 (stopped)`."""
    nodes: tuple[Planned, ...]
    datasets: tuple[PlannedData, ...] = ()
    gates: tuple[PlannedGate, ...] = ()
    baseline: int | None = None
    """The number of the version that the candidate is held against."""
    baseline_model: str | None = None
    """The digest of its model."""
    policy: tuple[RuleChange, ...] = ()
    policy_base: str | None = None
    """The commit whose rules the plan's are compared with."""
    policy_spec: str = SPEC_FILE
    """The path of their spec there."""
    approvers: tuple[str, ...] = ()
    """Who may accept what loosens them; none: who administers the repository."""
    seconds: float | None = None
    """About how long the run takes, along its longest path; None where nobody knows."""
    notes: tuple[str, ...] = ()


def forecast(
    graph: Graph,
    datasets: Mapping[str, str],
    cache: Mapping[str, CachedResult | None],
    earlier: Earlier | None = None,
    at: float = 0.0,
) -> tuple[tuple[Planned, ...], frozenset[str]]:
    """Each node's fate in a run that begins `at` that time, and the keys that have to be looked up
    before it can be relied on.

    A dataset whose version is not known counts as changed. A node behind one that runs is said
    to run; if that one makes the same result as before, it will be cached all the same.
    """
    outputs: dict[str, Mapping[str, str]] = {}
    planned: list[Planned] = []
    wanted: set[str] = set()
    for node in graph.nodes:
        key = _key(node, outputs, datasets)
        if key is not None and key not in cache:
            wanted.add(key)
        hit = cache.get(key) if key is not None else None
        if hit is not None and hit.counts(node.stands, at):
            outputs[node.name] = hit.outputs
            planned.append(_planned(node, "cached", [f"as in {hit.run}"], 0.0))
            continue
        # An input that is not known comes from a node that runs.
        made_by = {origin.node for origin in node.inputs.values()}
        running = [p.name for p in planned if p.what == "run" and p.name in made_by]
        # A proposed suite has not run yet; that in force takes as long on the same data.
        like = node.name.removesuffix(PROPOSED)
        seconds = earlier.seconds.get(node.name, earlier.seconds.get(like)) if earlier else None
        old = _stands_no_longer(node, hit)
        remade = earlier.remade(node, outputs) if earlier else ()
        why = [old] if old else reasons(node, datasets, earlier, running, remade)
        planned.append(_planned(node, "run", why, seconds, sure=key is not None))
    return tuple(planned), frozenset(wanted)


def _stands_no_longer(node: Node, hit: CachedResult | None) -> str:
    """Why a node runs whatever is in the cache; empty where that does not decide."""
    if node.stands == 0:
        return "it runs in every run"
    if hit is None or node.stands is None:
        return ""
    return f"its result in {hit.run} is older than {format_duration(timedelta(0, node.stands))}"


def _planned(
    node: Node,
    what: Literal["run", "cached"],
    why: Iterable[str],
    seconds: float | None,
    *,
    sure: bool = True,
) -> Planned:
    return Planned(
        name=node.name, kind=node.kind, what=what, why=tuple(why), seconds=seconds, sure=sure
    )


def unneeded(planned: Iterable[Planned]) -> tuple[Planned, ...]:
    """What would become of nodes where nothing runs."""
    return tuple(
        one.model_copy(update={"what": "unneeded", "seconds": 0.0}) if one.what == "run" else one
        for one in planned
    )


def counts(plan: Plan) -> str:
    """How many of its steps run and how many are cached: `up to 5 steps to run, 2 cached`."""
    run = [one for one in plan.nodes if one.what == "run"]
    cached = sum(one.what == "cached" for one in plan.nodes)
    up_to = "" if all(one.sure for one in run) else "up to "
    return f"{up_to}{len(run)} step{'s' * (len(run) != 1)} to run, {cached} cached"


def _key(
    node: Node, outputs: Mapping[str, Mapping[str, str]], datasets: Mapping[str, str]
) -> str | None:
    """The cache key, or None while an input is not known."""
    try:
        return key_of(node, resolve(node, lambda name, output: outputs[name][output], datasets))
    except KeyError:
        return None


def data_of(
    spec: Pipeline,
    graph: Graph,
    versions: Mapping[str, str],
    earlier: Earlier | None,
    problems: Mapping[str, str],
    changed: Mapping[str, ObjectChanges],
) -> tuple[PlannedData, ...]:
    """The datasets as a run of the graph would pin them; `changed` has their objects."""
    suites: dict[str, str] = {}
    for node in graph.nodes:
        if node.kind == "data_gate":
            suites.setdefault(node.attempt.request["dataset"], node.attempt.request["suite"])
    return tuple(
        PlannedData(
            name=name,
            uri=dataset.address,
            version=versions.get(name),
            was=earlier.datasets.get(name) if earlier else None,
            moved=changed.get(name),
            problem=problems.get(name),
            gate=suites.get(name),
        )
        for name, dataset in spec.datasets.items()
    )


def gates_of(graph: Graph, base: str | None) -> tuple[PlannedGate, ...]:
    """The gates of a graph; those that are defined at the commit `base` are of the base branch."""
    found = []
    for node in graph.nodes:
        request = node.attempt.request
        if node.kind == "data_gate":
            judges = request["dataset"]
            rules: tuple[str, ...] = (request["suite"],)
        elif node.kind == "model_gate":
            by = f" by {request['exam']}" if request.get("exam") else ""
            judges, rules = f"the model{by}", rules_of(ModelGate.model_validate(request["gate"]))
        else:
            continue
        of_base = base is not None and node.attempt.commit == base
        found.append(PlannedGate(name=node.name, judges=judges, rules=rules, of_base=of_base))
    return tuple(found)


def baseline_of(graph: Graph) -> tuple[int | None, str | None]:
    """The number and the model's digest of the version that the graph's gate compares with."""
    for node in graph.nodes:
        if node.kind == "model_gate":
            return node.attempt.request["baseline_version"], node.attempt.request["baseline_model"]
    return None, None


def longest_path(graph: Graph, planned: Sequence[Planned]) -> float | None:
    """Seconds along the path that takes longest; None if a node on the way is unknown."""
    ends: dict[str, float] = {}
    seconds = {one.name: one.seconds for one in planned}
    for node in graph.nodes:
        own = seconds[node.name]
        if own is None:
            return None
        ends[node.name] = own + max((ends[need] for need in node.needs), default=0.0)
    return max(ends.values(), default=0.0)


def took(run: Run) -> dict[str, float]:
    """How long the nodes of a run took, those that ran."""
    found = {}
    for name, progress in run.nodes.items():
        status = progress.attempts[-1].status if progress.attempts else None
        if status and status.started is not None and status.ended is not None:
            found[name] = max(0.0, status.ended - status.started)
    return found


def reasons(
    node: Node,
    datasets: Mapping[str, str],
    earlier: Earlier | None,
    running: Sequence[str] = (),
    remade: Sequence[str] = (),
) -> Iterator[str]:
    """Why a node is not what it was in the earlier run; at least one reason.

    `running` are the nodes that make its inputs and run before it, and `remade` those that made
    something else than they had there.
    """
    if earlier is None:
        yield "there is no earlier run to compare with"
        return
    before = earlier.graph.by_name.get(node.name)
    if before is None:
        suite = "the suite is proposed here"
        yield suite if node.name.endswith(PROPOSED) else f"{earlier.run} had no {node.name}"
        return
    found = [
        *_definition(before.definition, node.definition, earlier.run),
        *_files(before.reads, node.reads),
        *_inputs(before, node, earlier.datasets, datasets),
        *(
            [f"{', '.join(running)} run{'s' if len(running) == 1 else ''} before it"]
            * bool(running)
        ),
        *(f"{name} made another result" for name in remade),
    ]
    yield from found or [f"{earlier.run} left no result of it"]


def _definition(was: Mapping[str, Any], now: Mapping[str, Any], run: str) -> Iterator[str]:
    words: Mapping[str, Callable[[Any, Any], Iterator[str]]] = {
        "secrets": partial(_secrets, run=run),
        "params": _params,
        "environment": _environment,
        "baseline": _baseline,
    }
    names = {
        "run": "the command",
        "sql": "the query's `sql`",
        "version": "the query's `version`",
        "url": "the secret with the database's address",
        "checks": "the gate's checks",
        "gate": "Headgate's gate",
        "types": "the dataset's `types`",
        "nulls": "the dataset's `nulls`",
    }
    for name in dict.fromkeys([*was, *now]):
        if was.get(name) == now.get(name):
            continue
        if name in words:
            yield from words[name](was.get(name), now.get(name))
        else:
            yield f"{names.get(name, name)} changed"


def _secrets(was: Any, now: Any, run: str) -> Iterator[str]:
    """Which it is given. The spec may say what it said: pull requests are given few."""
    lost, gained = set(was or ()) - set(now or ()), set(now or ()) - set(was or ())
    if lost:
        yield f"it runs without {_named(lost)}, which {run} was given"
    if gained:
        yield f"it is given {_named(gained)}, which {run} was not"
    if not lost and not gained:
        yield "its secrets stand in another order"


def _named(secrets: Iterable[str]) -> str:
    names = sorted(secrets)
    return f"the secret{'s' * (len(names) != 1)} {', '.join(names)}"


def _params(was: Any, now: Any) -> Iterator[str]:
    for name in dict.fromkeys([*(was or {}), *(now or {})]):
        old, new = (was or {}).get(name), (now or {}).get(name)
        if old != new:
            shown = [as_argument(v) if v is not None else "nothing" for v in (old, new)]
            yield f"params.{name} went from {shown[0]} to {shown[1]}"


def _environment(was: Any, now: Any) -> Iterator[str]:
    for name in dict.fromkeys([*(was or {}), *(now or {})]):
        old, new = (was or {}).get(name), (now or {}).get(name)
        if old == new:
            continue
        if name == "requirements":
            yield "the requirements changed"
        elif name == "locked":
            yield from (f"environment: {said}" for said in _locked(old, new))
        elif name == "packages":
            files = [_package_files(each or {}) for each in (old, new)]
            yield from (f"environment: {said}" for said in _files(*files))
        else:
            yield f"environment.{name} went from {old or 'none'} to {new or 'none'}"


def _locked(was: Any, now: Any) -> Iterator[str]:
    if was is None or now is None:
        yield "it is a project's now" if was is None else "it is no project's any more"
        return
    yield from _files(was["files"], now["files"])
    for name in ("groups", "extras"):
        if was[name] != now[name]:
            old, new = (", ".join(each) or "none" for each in (was[name], now[name]))
            yield f"{name} went from {old} to {new}"


def _package_files(packages: Mapping[str, Any]) -> dict[str, str]:
    """The files of all packages; of their pyproject.toml, what it says of a build."""
    found = {}
    for folder, package in packages.items():
        found[f"{folder}/pyproject.toml" if folder else "pyproject.toml"] = package["about"]
        found |= package["files"]
    return found


def _baseline(was: Any, now: Any) -> Iterator[str]:
    if now is None:
        yield "there is no baseline any more"
    elif was is None:
        yield "there is a baseline now"
    else:
        yield f"the baseline is another model ({short(was)} before, {short(now)} now)"


def _files(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    verbs = [
        *(f"{path} changed" for path in now if path in was and was[path] != now[path]),
        *(f"{path} is new" for path in now if path not in was),
        *(f"{path} is gone" for path in was if path not in now),
    ]
    yield from verbs[:MOST_FILES]
    if len(verbs) > MOST_FILES:
        yield f"and {len(verbs) - MOST_FILES} more files that it reads changed"


def _inputs(
    before: Node, node: Node, was: Mapping[str, str], now: Mapping[str, str]
) -> Iterator[str]:
    for name, origin in node.inputs.items():
        old = before.inputs.get(name)
        if old is None:
            yield f"the input {name} is new"
        elif (old.dataset, old.node, old.output) != (origin.dataset, origin.node, origin.output):
            yield f"the input {name} is {origin} and was {old}"
        elif origin.dataset is not None and was.get(origin.dataset) != now.get(origin.dataset):
            version = now.get(origin.dataset)
            to = short(version) if version else "a version that is not known here"
            yield f"{origin.dataset} went from {short(was.get(origin.dataset, 'none'))} to {to}"
        elif origin.artifact != old.artifact:
            yield f"the input {name} is another model"
    for name in before.inputs.keys() - node.inputs.keys():
        yield f"the input {name} is gone"
