"""Gathers the inputs of a plan: the spec, its rules, datasets, and the last run."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from controller.buckets.stores import Stores
from controller.machine.pipelines.dataset_changes import ObjectChanges
from controller.machine.pipelines.failing_data import Judging, fallbacks
from controller.machine.pipelines.plan import Plan
from controller.machine.pipelines.policy import made_since, rule_changes
from controller.machine.pipelines.policy_gates import Pair, suites_to_compare
from controller.machine.pipelines.rule_change import RuleChange
from controller.machine.pipelines.trust import RunTerms, graph_of
from controller.machine.runs.exam import in_repository, lacks
from controller.machine.runs.graph import Rules, SourceTree
from controller.machine.runs.graph_builder import build
from controller.machine.runs.node_names import of_base
from controller.machine.runs.referenced_files import referenced_files
from controller.planning.checkout import (
    WORK_TREE,
    Checkout,
    check_at,
    checkout_of,
    commit_of,
    default_base,
    files_at,
    fork_points,
    is_spec,
    source_of,
    spec_at,
    spec_commits,
    specs_among,
    specs_of,
    text_of,
    with_project,
    work_tree,
)
from controller.planning.choosing import SpecArgument, choose, specs_in
from controller.planning.dataset_lookup import DatasetLookup
from controller.planning.plans import Cache, History, PolicyChange, history_of, plan_of
from controller.queries.polling import QueryVersions
from controller.store.model_versions import Versions
from specs.globs import as_seen
from specs.loading.load import LoadedSpec
from specs.loading.problems import has_errors
from specs.model import Pipeline as Spec
from specs.model import is_spec_file, spec_order


async def plan(
    spec: Spec,
    source: SourceTree,
    top: Path,
    *,
    policy: PolicyChange | None = None,
    rules: Rules | None = None,
    cache: Cache | None = None,
    stores: Stores | None = None,
    home: Path | None = None,
    queries: QueryVersions | None = None,
) -> Plan:
    """What a run of `spec` at `source` would do, as a pull request against `rules` if given.

    `top` is the root of the repository's files; `stores` gives access to object stores and
    `queries` to databases; `home` is the controller's home folder, which has the manifests of
    former versions. Without a cache every step runs, and there is nothing to compare with. Raises
    what `plan_of` raises.
    """
    store = cache.store if cache else None
    name = spec.metadata.name
    if rules:
        rules = rules.model_copy(update={"lacking": _lacking(spec, source, rules)})
    history = await history_of(store, name) if store else History()
    baseline = await Versions(store).baseline(name) if store else None
    versions: dict[str, str] = {}
    problems: dict[str, str] = {}
    moved: dict[str, ObjectChanges] = {}
    lookup = DatasetLookup(top, history, stores or Stores(), queries, home)
    for dataset in spec.datasets:
        found = await lookup.look(spec, dataset, source)
        versions |= {dataset: found.version} if found.version else {}
        problems |= {dataset: found.problem} if found.problem else {}
        moved |= {dataset: found.moved} if found.moved else {}
    judging = Judging(rules.spec, rules.source) if rules else Judging(spec, source)
    older = fallbacks(history.state, spec, judging, versions) if history.state else ()
    versions |= {one.dataset: one.version for one in older}
    for dataset in lacks(spec, source, rules) if rules else ():
        if rules and dataset not in rules.lacking:
            found = await lookup.look(rules.spec, dataset, rules.source)
            versions |= {of_base(dataset): found.version} if found.version else {}
    return await plan_of(
        cache,
        spec,
        graph_of(spec, source, baseline, RunTerms(rules=rules))
        if rules
        else build(spec, source, baseline),
        versions,
        commit=source.commit,
        history=history,
        policy=policy or PolicyChange(),
        problems=problems,
        notes=(*_notes(history if store else None, rules), *map(str, older)),
        moved=moved,
        pushed=build(spec, source, baseline),
        at=time.time(),
    )


def _lacking(spec: Spec, source: SourceTree, rules: Rules) -> dict[str, str]:
    """Why the base's data in the repository is unknown to a plan, which does not check it out."""
    why = f"it is in the repository at {rules.source.commit[:12]}, where only a run reads it"
    names = lacks(spec, source, rules)
    uris = {name: rules.spec.datasets[name].uri or "://" for name in names}
    return {n: why for n, uri in uris.items() if in_repository(rules.source, uri) is not None}


def _notes(history: History | None, rules: Rules | None) -> Iterator[str]:
    if rules is not None:
        base = rules.source.commit[:12]
        yield f"it is judged like a pull request, by the gates of its base {base}"
    if history is None:
        yield "no controller state was found, so nothing counts as cached"
    elif history.state is None:
        yield "the controller has not seen this pipeline yet"


class Gathered(NamedTuple):
    """What is to be planned, and the rules that it is compared with."""

    checkout: Checkout
    source: SourceTree
    loaded: LoadedSpec
    policy: PolicyChange
    rules: Rules | None
    """The rules of the base; None without a base, or if nothing differs from it."""


def gather(meant: SpecArgument, revision: str | None, base: str | None) -> Gathered:
    """The spec in the work tree or at a revision, compared with that of `base`."""
    checkout = checkout_of(meant.folder)
    commit = commit_of(checkout, revision) if revision else None
    files = files_at(checkout, commit) if commit else work_tree(checkout)
    names = specs_among(checkout, files) if commit else specs_in(meant.folder)
    checkout = checkout._replace(file=choose(meant, names, specs_of(checkout, files)))
    source = source_of(checkout, checkout.top.name, commit or WORK_TREE, files)
    if commit:
        loaded = spec_at(checkout, commit, files)
    else:
        file = meant.folder / checkout.file
        loaded = check_at(file.read_bytes(), str(file), source, top=checkout.top)
    assert loaded is not None, "choose returns an existing spec"
    loaded, source = with_project(checkout, loaded, source)
    other = commit_of(checkout, base) if base else default_base(checkout)
    name = loaded.pipeline.metadata.name if loaded.pipeline else None
    rules = rules_at(checkout, other, name, base or "") if other and name else None
    if rules is not None and loaded.pipeline is not None:
        mine = _own_files(loaded.pipeline, source)
        if _own_files(rules.spec, rules.source) == mine:
            rules = None
    policy = PolicyChange()
    if rules is not None and loaded.pipeline is not None and other is not None:
        own = Rules(spec=loaded.pipeline, source=source)
        policy = policy_of(checkout, own, commit or commit_of(checkout, "HEAD"), rules, other)
    return Gathered(checkout, source, loaded, policy, rules)


def _own_files(spec: Spec, source: SourceTree) -> dict[str, str]:
    """The files that a spec may read; of other specs in its folder, those that a command names."""
    release = (spec.release.reads if spec.release else None) or ()
    reads = (*release, *(glob for step in spec.commands.values() for glob in step.reads or ()))
    counted = {source.file, *(as_seen(glob, source.folder) for glob in reads)}
    files = referenced_files(spec, source).items()
    return {path: of for path, of in files if path in counted or not is_spec_file(path)}


def policy_of(checkout: Checkout, mine: Rules, head: str, rules: Rules, base: str) -> PolicyChange:
    """How `mine`, at the commit `head` or in a work tree on it, changes the rules of the commit
    `base`; without what only the base has changed."""
    found = _changes(checkout, rules, mine)
    own = made_since(found, _since(checkout, base, head, mine))
    return PolicyChange(rules.source.commit, own, spec=rules.source.path)


def rules_at(
    checkout: Checkout, base: str, name: str, branch: str = "", repository: str = ""
) -> Rules | None:
    """The rules of the pipeline `name` on a branch with the head `base`: those of its valid spec
    there, at any path, or else of its last valid one; None if it never had any."""
    for commit in spec_commits(checkout, base):
        files = files_at(checkout, commit)
        for path in sorted(filter(is_spec, files), key=spec_order):
            folder, _, file = path.rpartition("/")
            there = checkout._replace(folder=folder, file=file)
            loaded = spec_at(there, commit, files)
            if loaded is None or loaded.pipeline is None:
                continue
            source = source_of(there, repository or checkout.top.name, commit, files)
            loaded, source = with_project(there, loaded, source)
            spec = loaded.pipeline if not has_errors(loaded.problems) else None
            if spec is not None and spec.metadata.name == name:
                return Rules(spec=spec, source=source, branch=branch)
    return None


def _since(checkout: Checkout, base: str, head: str, mine: Rules) -> list[tuple[RuleChange, ...]]:
    """How the rules differ from those at the fork points of `head` and `base`; nothing if they have
    no common history or there were no rules."""
    name, found = mine.spec.metadata.name, []
    for commit in fork_points(checkout, base, head):
        there = rules_at(checkout, commit, name)
        if there is None or there.source.commit != commit:
            return []
        found.append(_changes(checkout, there, mine))
    return found


def _changes(checkout: Checkout, before: Rules, after: Rules) -> tuple[RuleChange, ...]:
    suites: dict[Pair, Pair] = {}
    for datasets, (was, now) in suites_to_compare(before.spec, after.spec).items():
        old = text_of(checkout, before.source, was) if was is not None else ""
        new = text_of(checkout, after.source, now) if now is not None else ""
        if old is not None and new is not None:
            suites[datasets] = old, new
    return rule_changes(before, after, suites)
