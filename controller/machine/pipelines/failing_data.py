"""PURE. Dataset versions that fail their gate: which are accepted, and what is read in their place.

Only runs of the default branch say which versions pass. Their last good version takes the place of
a failing one, also for pull requests, if the rules that are in force say so.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from controller.machine.messages import RevokeData
from controller.machine.pipelines.data import origin
from controller.machine.pipelines.data_history import without
from controller.machine.pipelines.pipeline import PipelineState, request_run
from controller.machine.runs.data_exceptions import (
    ACCEPTABLE,
    AcceptedVersion,
    FailedVersion,
    Fallback,
)
from controller.machine.runs.data_gate_nodes import data_gates, is_same_place, question_of
from controller.machine.runs.graph import (
    Graph,
    JudgedSpec,
    Node,
    SourceTree,
    fingerprint,
    key_of,
    resolve,
)
from controller.machine.runs.judged_data import judgements, verdict_on
from controller.machine.runs.run import Run, Trigger
from specs.digests import digest, short
from specs.model import Pipeline as Spec

MOST_ACCEPTED = 10
"""How many accepted versions are remembered, the newest ones. The data of each is kept."""
LONGEST_REASON = 500
"""Characters of a reason that are kept."""


class Judging(NamedTuple):
    """The rules by which a run's data is judged: a spec at a commit."""

    spec: Spec
    source: SourceTree


def accept(
    pipeline: PipelineState, versions: Iterable[AcceptedVersion], now: float
) -> PipelineState:
    """Accept a version, as each of its gates has judged it. A run then goes on where they stopped
    one: what ran before comes from the cache. Accepting it again changes nothing."""
    known = {one.key for one in pipeline.accepted_versions}
    new = [
        one.model_copy(update={"at": now, "reason": _kept(one.reason)})
        for one in versions
        if one.key not in known
    ]
    if not new:
        return pipeline
    accepted = (*pipeline.accepted_versions, *new)[-MOST_ACCEPTED:]
    pipeline = pipeline.model_copy(update={"accepted_versions": accepted})
    one = new[0]
    what = f"{one.dataset} {short(one.version)}, which its gate stopped in {one.run}"
    return _run_again(pipeline, f"{one.by} accepted {what}: {one.reason}", one.by, now)


def revoke(pipeline: PipelineState, asked: RevokeData, now: float) -> PipelineState:
    """Accept a version no longer. A run shows what follows from it."""
    left = tuple(
        one
        for one in pipeline.accepted_versions
        if (one.dataset, one.version) != (asked.dataset, asked.version)
    )
    if left == pipeline.accepted_versions:
        return pipeline
    histories = without(pipeline.histories, asked.dataset, asked.version)
    pipeline = pipeline.model_copy(update={"accepted_versions": left, "histories": histories})
    what = f"{asked.dataset} {short(asked.version)}"
    why = f"{asked.by} no longer accepts {what}: {_kept(asked.reason)}"
    return _run_again(pipeline, why, asked.by, now)


def _kept(reason: str) -> str:
    return " ".join(reason.split())[:LONGEST_REASON]


def _run_again(pipeline: PipelineState, why: str, by: str, now: float) -> PipelineState:
    trigger = Trigger(kind="manual", why=why, by=by)
    return request_run(pipeline, pipeline.default_branch, trigger, now)


def in_use(pipeline: PipelineState) -> tuple[AcceptedVersion, ...]:
    """The accepted versions that runs of the default branch may read now: those that are newest,
    and those of data that is fetched by each run."""
    newest = {one.current for one in pipeline.data.values()}
    listed = {where.partition(" at ")[0] for where in pipeline.data}
    return tuple(
        one
        for one in pipeline.accepted_versions
        if one.version in newest or one.dataset not in listed
    )


def print_of(
    graph: Graph, datasets: Mapping[str, str], accepted: Collection[AcceptedVersion]
) -> str:
    """The fingerprint of a run. A person's acceptance lets more of it run, so it counts, too."""
    own = fingerprint(graph, datasets)
    keys = sorted(one.key for one in that_apply(accepted, graph, datasets))
    return digest([own, keys]) if keys else own


def that_apply(
    accepted: Collection[AcceptedVersion], graph: Graph, datasets: Mapping[str, str]
) -> tuple[AcceptedVersion, ...]:
    """Those of the accepted versions that a run of this graph would read. Data that the run itself
    fetches may turn out to be any of them."""
    if not accepted:
        return ()
    keys: dict[str, str | None] = {}
    for node in graph.nodes:
        name = node.inputs["dataset"].dataset if node.kind == "data_gate" else None
        version = datasets.get(name) if name is not None else None
        if node.kind == "data_gate":
            keys[node.name] = _key(node, datasets) if version else None
    every = {key for key in keys.values() if key is not None}
    fetched = {gate for gate, key in keys.items() if key is None}
    return tuple(one for one in accepted if one.key in every or one.gate in fetched)


def _key(node: Node, datasets: Mapping[str, str]) -> str | None:
    """The key of a gate; None if it reads data that the run itself fetches."""
    try:
        return key_of(node, resolve(node, _not_yet_made, datasets))
    except KeyError:
        return None


def _not_yet_made(node: str, output: str) -> str:
    raise KeyError(f"{node}.{output}")


def fallbacks(
    pipeline: PipelineState, spec: Spec, judging: Judging, versions: Mapping[str, str]
) -> tuple[Fallback, ...]:
    """The datasets of a spec that are read at their last good version, as the newest failed the
    same gate before and nobody has accepted it. `versions` are the newest complete ones."""
    if not pipeline.failing:
        return ()
    asked = [
        name
        for name in versions
        if name in judging.spec.datasets
        and judging.spec.datasets[name].on_failure == "use_last_good"
        and is_same_place(judging.spec.datasets[name], spec.datasets[name])
    ]
    questions = _questions(judging) if asked else {}
    accepted = {one.key for one in pipeline.accepted_versions}
    found = []
    for name in asked:
        where = origin(spec, name)
        failed, good = pipeline.failing.get(where), pipeline.good.get(where)
        if failed is None or good is None or accepted.issuperset(failed.keys):
            continue
        if (failed.version, failed.question) == (versions[name], questions.get(name)):
            found.append(
                Fallback(dataset=name, version=good, failed=failed.version, run=failed.run)
            )
    return tuple(found)


def note_judged(
    pipeline: PipelineState, run: Run, judging: Judging, stale: Collection[str]
) -> PipelineState:
    """Note which versions passed or failed their gates in an ended run of the default branch. A
    last good version that fails, as by a new suite, or whose objects are gone (`stale`), is none.
    """
    good, failing = dict(pipeline.good), dict(pipeline.failing)
    questions = _questions(judging)
    replaced = {one.dataset for one in run.fallbacks}
    for name, version in run.datasets.items():
        if name not in questions:
            continue
        where, verdict = origin(judging.spec, name), verdict_on(run, name)
        if name in replaced:
            if name in stale or verdict in ACCEPTABLE:
                good.pop(where, None)
        elif verdict is not None and verdict.passes:
            good[where] = version
            failing.pop(where, None)
        elif verdict in ACCEPTABLE:
            gates = judgements(run, name).values()
            keys = tuple(x.key or "" for x in gates if x.verdict and not x.verdict.passes)
            failing[where] = FailedVersion(
                version=version, question=questions[name], keys=keys, run=run.id
            )
    return pipeline.model_copy(update={"good": good, "failing": failing})


def last_good(pipeline: PipelineState, run: Run, judging: Judging) -> tuple[Fallback, ...]:
    """What is read in place of the data that has stopped a run, if the spec asks for that."""
    older = {one.dataset for one in run.fallbacks}
    failed = {
        name: version
        for name, version in run.datasets.items()
        if name not in older and any(map(run.stops, judgements(run, name).values()))
    }
    return fallbacks(pipeline, judging.spec, judging, failed)


def go_on(
    pipeline: PipelineState, branch: str, replaced: Sequence[Fallback], now: float
) -> PipelineState:
    """Request a run on the last good data."""
    if not replaced or branch in pipeline.wanted:
        return pipeline  # a requested run falls back by itself
    trigger = Trigger(kind="data", why="; ".join(map(str, replaced)))
    return request_run(pipeline, branch, trigger, now)


def only_of(pipeline: PipelineState, spec: Spec) -> PipelineState:
    """Without what is known of datasets that the default branch's spec no longer has."""
    known = {origin(spec, name) for name in spec.datasets}
    return pipeline.model_copy(
        update={
            "good": {where: one for where, one in pipeline.good.items() if where in known},
            "failing": {where: one for where, one in pipeline.failing.items() if where in known},
        }
    )


def describe(found: Iterable[Fallback]) -> str | None:
    """What is read in place of what, in a line for `status`; None: nothing."""
    return "; ".join(map(str, found)) or None


def _questions(judging: Judging) -> dict[str, str]:
    """What the gates of each dataset ask."""
    gates: dict[str, list[Node]] = {}
    for node in data_gates(JudgedSpec(judging.spec, judging.source, None)):
        gates.setdefault(node.inputs["dataset"].dataset or "", []).append(node)
    return {dataset: question_of(asked) for dataset, asked in gates.items()}
