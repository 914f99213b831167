"""Makes plans from facts in the store, for the command line and for pull requests."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from controller.artifacts import Artifacts
from controller.artifacts.cached_results import look_up
from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.machine.core import Key, parsed
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.data import complete_versions, origins, versioned
from controller.machine.pipelines.data_history import with_histories
from controller.machine.pipelines.dataset_changes import ObjectChanges
from controller.machine.pipelines.failing_data import Judging, fallbacks, print_of
from controller.machine.pipelines.launching import equivalent_run
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.pipelines.plan import (
    Plan,
    baseline_of,
    data_of,
    forecast,
    gates_of,
    longest_path,
    took,
    unneeded,
)
from controller.machine.pipelines.policy import made_since, rule_changes
from controller.machine.pipelines.policy_gates import Pair, suites_to_compare
from controller.machine.pipelines.rule_change import RuleChange
from controller.machine.pipelines.trust import RunTerms, graph_of, rules_in_force, rules_of
from controller.machine.pipelines.version import ModelVersion
from controller.machine.repositories.pull import Pull
from controller.machine.runs.graph import Graph, Rules, SourceTree
from controller.machine.runs.reasons import EarlierRun
from controller.machine.runs.run import CachedResult, Run
from controller.planning.canary_notes import canary_notes, cluster_notes
from controller.store.model_versions import Versions
from controller.store.protocol import StoreReader
from specs.model import SPEC_FILE
from specs.model import Pipeline as Spec

_NOTHING: Final[Mapping[str, ObjectChanges]] = {}
HISTORY = 20
"""How many runs are searched for how long a node takes."""


class History(NamedTuple):
    """What the store knows about a pipeline."""

    state: PipelineState | None = None
    earlier: EarlierRun | None = None
    """The newest run of the default branch that passed."""


class Cache(NamedTuple):
    """Where to find the results of earlier runs."""

    store: StoreReader
    artifacts: Artifacts
    home: Path | None = None
    """The controller's home folder, where the routers keep track of traffic; None if plans do not
    need it."""


class PolicyChange(NamedTuple):
    """How the rules of a spec differ from those it would replace."""

    base: str | None = None
    """The commit whose rules they are compared with."""
    changes: tuple[RuleChange, ...] = ()
    notes: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    """Who may accept the changes, by the base's spec; empty: repository administrators."""
    spec: str = SPEC_FILE
    """The path of the base's spec."""


async def history_of(store: StoreReader, pipeline: str, excluding: str | None = None) -> History:
    """What is known about a pipeline, not counting the durations of the run `excluding`."""
    record = await store.get(Key("pipeline", pipeline))
    if record is None:
        return History()
    state = parsed(PipelineState, record.body)
    records = reversed(await store.list("run", f"{pipeline}-", HISTORY))
    runs = [parsed(Run, one.body) for one in records]
    name = _passed(state, runs)
    earlier = await _earlier(store, name, [one for one in runs if one.id != excluding])
    return History(state=state, earlier=earlier)


def _passed(state: PipelineState, runs: Sequence[Run]) -> str | None:
    """The newest run of the default branch that passed. Older states do not store it, so it is then
    looked for among the last runs."""
    if known := state.passed.get(state.default_branch):
        return known.run
    good = [run for run in runs if run.releases and run.outcome == "passed"]
    return max(good, key=lambda run: run.number).id if good else None


async def _earlier(store: StoreReader, name: str | None, runs: Sequence[Run]) -> EarlierRun | None:
    if name is None:
        return None
    run, graph = await store.get(Key("run", name)), await store.get(Key("graph", name))
    if run is None or graph is None:
        return None
    seconds: dict[str, float] = {}
    for one in runs:
        seconds |= took(one)
    return EarlierRun.of(parsed(Run, run.body), parsed(Graph, graph.body), seconds)


async def plan_of(
    cache: Cache | None,
    spec: Spec,
    graph: Graph,
    versions: Mapping[str, str],
    *,
    commit: str,
    history: History,
    policy: PolicyChange,
    problems: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    excluding: str | None = None,
    moved: Mapping[str, ObjectChanges] = _NOTHING,
    pushed: Graph | None = None,
    at: float,
) -> Plan:
    """The plan of a run that starts at the time `at`, from its graph and dataset versions.

    Without a `cache` every step runs. `problems` says why a dataset's version is unknown, and
    `moved` how its objects changed. Results of the run `excluding` do not count as cached. `pushed`
    is the graph of this commit on the default branch, where it may not need a run; None if there is
    a run in any case. Raises what `Artifacts.has` raises.
    """
    earlier = history.earlier
    if history.state:
        known_of = history.state.histories, origins(spec), versions
        graph = with_histories(graph, *known_of)
        pushed = with_histories(pushed, *known_of) if pushed else None
    hits: dict[str, CachedResult | None] = {}
    while True:
        nodes, wanted = forecast(graph, versions, hits, earlier, at)
        if not wanted:
            break
        hits |= {key: await _hit(cache, key, excluding) for key in wanted}
    known = {name: versions.get(name) for name in versioned(spec)}
    covered_by = _covering_run(history.state, pushed, known)
    number, model = baseline_of(graph)
    return Plan(
        pipeline=spec.metadata.name,
        commit=commit,
        compared_with=earlier.run if earlier else None,
        nothing_to_do=covered_by is not None,
        stands=covered_by,
        nodes=unneeded(nodes) if covered_by else nodes,
        datasets=data_of(spec, graph, versions, earlier, problems or {}, moved),
        gates=gates_of(graph, policy.base),
        baseline=number,
        baseline_model=model,
        policy=policy.changes,
        policy_base=policy.base,
        policy_spec=policy.spec,
        approvers=policy.approvers,
        seconds=longest_path(graph, nodes),
        notes=(*notes, *policy.notes, *(() if covered_by else await _of_release(cache, spec))),
    )


async def _of_release(cache: Cache | None, spec: Spec) -> tuple[str, ...]:
    """Where versions are served, and what the traffic there can tell of the canary to come."""
    notes = cluster_notes(spec)
    if cache is not None and cache.home is not None:
        notes += await canary_notes(spec, cache.store, cache.home)
    return tuple(note.rstrip(".") for note in notes)


def _covering_run(
    state: PipelineState | None, graph: Graph | None, datasets: Mapping[str, str | None]
) -> str | None:
    """The earlier run that covers a commit of the default branch, which then needs none."""
    known = {name: version for name, version in datasets.items() if version is not None}
    if state is None or graph is None or len(known) != len(datasets):
        return None
    run = equivalent_run(
        state, state.default_branch, print_of(graph, known, state.accepted_versions)
    )
    if run is None:
        return None
    return run.run if run.outcome == "passed" else f"{run.run} ({run.outcome})"


async def _hit(cache: Cache | None, key: str, excluding: str | None) -> CachedResult | None:
    hit = await look_up(cache.store, cache.artifacts, key) if cache else None
    return hit if hit is None or hit.run != excluding else None


async def plan_of_run(
    cache: Cache, repositories: Repositories, run: Run, graph: Graph
) -> Plan | None:
    """The plan of a pull request's run, as of its start; None if its spec is lost.

    Raises what `Repositories.code` and `plan_of` raise.
    """
    code = await repositories.code(run.repository, run.commit, run.spec)
    if code.spec is None:
        return None
    base = await repositories.rules(run.repository, run.base, run.pipeline) if run.base else None
    return await plan_of(
        cache,
        code.spec,
        graph,
        run.datasets,
        commit=run.commit,
        history=await history_of(cache.store, run.pipeline, run.id),
        policy=await compare(repositories, code, base, run.base or ""),
        excluding=run.id,
        at=run.created,
    )


async def compare(
    repositories: Repositories, code: Code, base: Code | None, tip: str
) -> PolicyChange:
    """How a pull request's commit changes the rules of its base, including the suites. `tip` is the
    head of the base branch. What only the base has changed since the fork is left out, as a merge
    keeps it."""
    if base is None or code.spec is None:
        return PolicyChange()
    if base.spec is None:
        commit = base.source.commit
        why = "has no valid spec here, so this commit is judged by its own rules"
        return PolicyChange(notes=(f"the base {commit[:12]} {why}",))
    mirror = repositories.mirror(code.source.repository)
    before = Rules(spec=base.spec, source=base.source)
    after = Rules(spec=code.spec, source=code.source)
    found = rule_changes(before, after, await _suites(mirror, before, after))
    found = made_since(found, await _since(repositories, tip, after))
    return PolicyChange(
        base.source.commit,
        found,
        approvers=base.spec.policy.approvers,
        spec=base.source.path,
    )


async def _since(
    repositories: Repositories, tip: str, after: Rules
) -> list[tuple[RuleChange, ...]]:
    """How a commit's rules differ from those at each of its fork points from the branch at `tip`;
    nothing if there were no rules or there is no common history."""
    source, name = after.source, after.spec.metadata.name
    mirror, found = repositories.mirror(source.repository), []
    for commit in await mirror.fork_points(tip, source.commit):
        earlier = await repositories.named(source.repository, commit, name)
        if earlier is None or earlier.spec is None:
            return []
        there = Rules(spec=earlier.spec, source=earlier.source)
        found.append(rule_changes(there, after, await _suites(mirror, there, after)))
    return found


async def loosened_since(mirror: Mirror, was: ModelVersion, now: ModelVersion) -> PolicyChange:
    """How the rules that judged `now` differ from those that judged `was`."""
    before, after = (Rules(spec=version.spec, source=version.source) for version in (was, now))
    return PolicyChange(
        was.source.commit, rule_changes(before, after, await _suites(mirror, before, after))
    )


async def _suites(mirror: Mirror, before: Rules, after: Rules) -> dict[Pair, Pair]:
    """The texts, before and after, of the suites that may differ."""
    suites: dict[Pair, Pair] = {}
    for datasets, (was, now) in suites_to_compare(before.spec, after.spec).items():
        old = await _text(mirror, before.source, was)
        new = await _text(mirror, after.source, now)
        if old is not None and new is not None:
            suites[datasets] = old, new
    return suites


async def _text(mirror: Mirror, source: SourceTree, path: str | None) -> str | None:
    if path is None:
        return ""
    content = await mirror.read(source.commit, source.within(path))
    # The check of the suite itself reports a file that is not text.
    return content.decode(errors="replace") if content is not None else None


async def plan_of_pull(
    cache: Cache,
    repositories: Repositories,
    repository: str,
    pipeline: str,
    commit: str,
    pull: Pull,
) -> Plan | None:
    """The plan of a pull request that may not run yet, with the rules that it loosens; None if its
    spec cannot be read.

    Datasets have the versions last seen. Raises what `Repositories.code` and `plan_of` raise.
    """
    code = await repositories.named(repository, commit, pipeline)
    if code is None or code.spec is None:
        return None
    base = await repositories.rules(repository, pull.base_commit, pipeline)
    history = await history_of(cache.store, pipeline)
    terms = RunTerms(rules=rules_of(base, pull.base), fork=pull.fork)
    baseline = await Versions(cache.store).baseline(pipeline)
    seen = history.state.data if history.state else {}
    known = complete_versions(seen, code.spec, commit)
    unknown = {name: "not listed yet" for name in versioned(code.spec) if name not in known}
    rules = rules_in_force(terms)
    judging = Judging(rules.spec, rules.source) if rules else Judging(code.spec, code.source)
    older = fallbacks(history.state, code.spec, judging, known) if history.state else ()
    known |= {one.dataset: one.version for one in older}
    return await plan_of(
        cache,
        code.spec,
        graph_of(code.spec, code.source, baseline, terms),
        known,
        commit=commit,
        history=history,
        policy=await compare(repositories, code, base, pull.base_commit),
        problems=unknown,
        notes=tuple(map(str, older)),
        at=time.time(),
    )
