"""PURE. What a run of a commit would do."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Literal

from controller.machine.core import Value
from controller.machine.pipelines.dataset_changes import ObjectChanges
from controller.machine.pipelines.policy_gates import rules_of
from controller.machine.pipelines.rule_change import RuleChange
from controller.machine.runs.graph import Graph, Node, NodeKind, key_of, resolve
from controller.machine.runs.node_names import in_force
from controller.machine.runs.reasons import EarlierRun, RunReason, reasons
from controller.machine.runs.run import CachedResult, Run
from specs.dataset_checks import DatasetCheck
from specs.gates import ModelGate
from specs.model import SPEC_FILE, Pipeline
from specs.values import format_duration


class Planned(Value):
    """The forecast of a node."""

    name: str
    kind: NodeKind
    what: Literal["run", "cached", "unneeded"]
    """`unneeded`: only a forced run would run it."""
    why: tuple[RunReason, ...]
    """What changed since the earlier run, or whose result is reused."""
    sure: bool = True
    """Whether it certainly runs; False while an input has not been made, as that may turn out equal
    to the one before."""
    seconds: float | None = None
    """About how long it takes; None if unknown, 0 if cached."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """The texts of `why`."""
        return tuple(map(str, self.why))


class PlannedData(Value):
    """A dataset as a run would pin it."""

    name: str
    uri: str
    """Or a description of the query or command that it comes from."""
    version: str | None
    was: str | None = None
    """The version that the earlier run read."""
    moved: ObjectChanges | None = None
    """Which objects were added, removed or changed since then, if both versions are known."""
    problem: str | None = None
    """Why the version is unknown."""
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
    """Whether it is the base branch's, whatever the commit says."""


class Plan(Value):
    """What a run of a commit would do."""

    pipeline: str
    commit: str
    """The commit, or `the work tree`."""
    compared_with: str | None
    """The earlier run; None if there is none, or no store to look in."""
    nothing_to_do: bool
    """Whether there would be no run, as nothing that it reads has changed since an earlier one."""
    stands: str | None = None
    """That earlier run, with its outcome unless it passed: `toy-2 (stopped)`."""
    nodes: tuple[Planned, ...]
    datasets: tuple[PlannedData, ...] = ()
    gates: tuple[PlannedGate, ...] = ()
    baseline: int | None = None
    """The number of the version that the candidate is compared with."""
    baseline_model: str | None = None
    """The digest of its model."""
    policy: tuple[RuleChange, ...] = ()
    policy_base: str | None = None
    """The commit with whose rules those of the plan are compared."""
    policy_spec: str = SPEC_FILE
    """The path of the spec there."""
    approvers: tuple[str, ...] = ()
    """Who may accept loosened rules; empty: the administrators of the repository."""
    seconds: float | None = None
    """About how long the run takes, along its longest path; None if unknown."""
    notes: tuple[str, ...] = ()


def forecast(
    graph: Graph,
    datasets: Mapping[str, str],
    cache: Mapping[str, CachedResult | None],
    earlier: EarlierRun | None = None,
    at: float = 0.0,
) -> tuple[tuple[Planned, ...], frozenset[str]]:
    """What a run that begins at the time `at` would do with each node; and the cache keys that have
    to be looked up before this is right.

    A dataset whose version is unknown counts as changed. A node after one that runs is said to run;
    it is cached after all if that one makes the same result as before.
    """
    outputs: dict[str, Mapping[str, str]] = {}
    planned: list[Planned] = []
    wanted: set[str] = set()
    for node in graph.nodes:
        key = _key(node, outputs, datasets)
        if key is not None and key not in cache:
            wanted.add(key)
        hit = cache.get(key) if key is not None else None
        if hit is not None and hit.is_reusable(node.stands, at):
            outputs[node.name] = hit.outputs
            why = [RunReason(text=f"as in {hit.run}")]
            planned.append(_planned(node, "cached", why, 0.0))
            continue
        # An unknown input comes from a node that runs.
        made_by = {origin.node for origin in node.inputs.values()}
        running = [p.name for p in planned if p.what == "run" and p.name in made_by]
        # A proposed suite has not run yet; the one in force takes about as long.
        like = in_force(node.name)
        seconds = earlier.seconds.get(node.name, earlier.seconds.get(like)) if earlier else None
        old = _too_old(node, hit)
        remade = earlier.remade(node, outputs) if earlier else ()
        why = [RunReason(text=old)] if old else [*reasons(node, datasets, earlier, running, remade)]
        planned.append(_planned(node, "run", why, seconds, sure=key is not None))
    return tuple(planned), frozenset(wanted)


def _too_old(node: Node, hit: CachedResult | None) -> str:
    """Why a cached result may not be reused, by the node's `cache` setting; empty if it may."""
    if node.stands == 0:
        return "it runs in every run"
    if hit is None or node.stands is None:
        return ""
    return f"its result in {hit.run} is older than {format_duration(timedelta(0, node.stands))}"


def _planned(
    node: Node,
    what: Literal["run", "cached"],
    why: Iterable[RunReason],
    seconds: float | None,
    *,
    sure: bool = True,
) -> Planned:
    return Planned(
        name=node.name, kind=node.kind, what=what, why=tuple(why), seconds=seconds, sure=sure
    )


def unneeded(planned: Iterable[Planned]) -> tuple[Planned, ...]:
    """The forecast for a commit that does not need a run."""
    return tuple(
        one.model_copy(update={"what": "unneeded", "seconds": 0.0}) if one.what == "run" else one
        for one in planned
    )


def counts(plan: Plan) -> str:
    """How many steps run and how many are cached: `up to 5 steps to run, 2 cached`."""
    run = [one for one in plan.nodes if one.what == "run"]
    cached = sum(one.what == "cached" for one in plan.nodes)
    up_to = "" if all(one.sure for one in run) else "up to "
    return f"{up_to}{len(run)} step{'s' * (len(run) != 1)} to run, {cached} cached"


def _key(
    node: Node, outputs: Mapping[str, Mapping[str, str]], datasets: Mapping[str, str]
) -> str | None:
    """The cache key, or None while an input is unknown."""
    try:
        return key_of(node, resolve(node, lambda name, output: outputs[name][output], datasets))
    except KeyError:
        return None


def data_of(
    spec: Pipeline,
    graph: Graph,
    versions: Mapping[str, str],
    earlier: EarlierRun | None,
    problems: Mapping[str, str],
    changed: Mapping[str, ObjectChanges],
) -> tuple[PlannedData, ...]:
    """The datasets as a run of the graph would pin them; `changed` says how their objects did."""
    suites: dict[str, str] = {}
    for node in graph.nodes:
        if node.attempt.program == "data_gate":
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
    """The gates of a graph; those defined at the commit `base` are the base branch's."""
    found = []
    rules: tuple[str, ...]
    for node in graph.nodes:
        request = node.attempt.request
        if node.attempt.program == "history_gate":
            checks = (DatasetCheck.model_validate_json(json.dumps(x)) for x in request["checks"])
            judges, rules = request["dataset"], tuple(map(str, checks))
        elif node.kind == "data_gate":
            judges = request["dataset"]
            rules = (request["suite"],)
        elif node.kind == "model_gate":
            by = f" by {request['exam']}" if request.get("exam") else ""
            judges, rules = f"the model{by}", rules_of(ModelGate.model_validate(request["gate"]))
        else:
            continue
        of_base = base is not None and node.attempt.commit == base
        found.append(PlannedGate(name=node.name, judges=judges, rules=rules, of_base=of_base))
    return tuple(found)


def baseline_of(graph: Graph) -> tuple[int | None, str | None]:
    """The number and the model's digest of the version that the model gate compares with."""
    for node in graph.nodes:
        if node.kind == "model_gate":
            return node.attempt.request["baseline_version"], node.attempt.request["baseline_model"]
    return None, None


def longest_path(graph: Graph, planned: Sequence[Planned]) -> float | None:
    """Seconds along the longest path; None if one of the nodes is unknown."""
    ends: dict[str, float] = {}
    seconds = {one.name: one.seconds for one in planned}
    for node in graph.nodes:
        own = seconds[node.name]
        if own is None:
            return None
        ends[node.name] = own + max((ends[need] for need in node.needs), default=0.0)
    return max(ends.values(), default=0.0)


def took(run: Run) -> dict[str, float]:
    """Seconds that each node of a run took, of those that ran."""
    found = {}
    for name, progress in run.nodes.items():
        status = progress.attempts[-1].status if progress.attempts else None
        if status and status.started is not None and status.ended is not None:
            found[name] = max(0.0, status.ended - status.started)
    return found
