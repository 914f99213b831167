"""PURE. What a pull request may not decide for itself: its gates, and the secrets it gets."""

from collections.abc import Collection
from typing import TypeVar

from controller.machine.core import Value
from controller.machine.pipelines.code import Code
from controller.machine.runs.dataset_nodes import without_addresses
from controller.machine.runs.exam import in_repository
from controller.machine.runs.graph import Baseline, Graph, Rules, SourceTree, fingerprint
from controller.machine.runs.graph_builder import build
from specs.model import Fetch, Pipeline, Step

C = TypeVar("C", Step, Fetch)


class RunTerms(Value):
    """The terms of a pull request's run."""

    rules: Rules | None = None
    """The base's rules; None if the base never had this pipeline."""
    fork: bool = False
    accepted: bool = False
    """Whether an approver lets the commit be judged by its own rules."""
    marked: frozenset[str] | None = None
    """The secrets that the default branch allows pull requests; None if that is the base."""


def rules_of(base: Code | None, branch: str = "") -> Rules | None:
    """The rules of the base `branch`; None if its pipeline is missing or invalid."""
    if base is None or base.spec is None:
        return None
    return Rules(spec=base.spec, source=base.source, branch=branch)


def secrets_for_pulls(base: str, default_branch: str, head: Code | None) -> frozenset[str] | None:
    """`RunTerms.marked` of a pull request into the branch `base`; `head` is the default branch's.

    Whoever can push can create a base branch, so its spec alone must not grant secrets.
    """
    if base == default_branch:
        return None
    if head is None or head.spec is None:
        return frozenset()
    return frozenset(head.spec.triggers.pull_requests.secrets)


def without_secrets(spec: Pipeline, terms: RunTerms) -> Pipeline:
    """The spec as a pull request may run it: only with secrets that both its base and the default
    branch allow pull requests, and without any for a fork."""
    given = allowed_secrets(terms)
    steps = {name: _without(step, given) for name, step in spec.steps.items()}
    fetched = {name: of.fetch for name, of in spec.datasets.items() if of.fetch is not None}
    bare = {
        name: spec.datasets[name].model_copy(update={"fetch": _without(fetch, given)})
        for name, fetch in fetched.items()
    }
    datasets = {**spec.datasets, **bare}
    return spec.model_copy(update={"steps": steps, "datasets": datasets})


def _without(command: C, given: Collection[str]) -> C:
    kept = tuple(secret for secret in command.secrets if secret in given)
    return command.model_copy(update={"secrets": kept})


def allowed_secrets(terms: RunTerms) -> frozenset[str]:
    """The secrets that a pull request's run may have."""
    if terms.rules is None or terms.fork:
        return frozenset()
    named = frozenset(terms.rules.spec.triggers.pull_requests.secrets)
    return named if terms.marked is None else named & terms.marked


def denied_queries(spec: Pipeline, terms: RunTerms | None) -> frozenset[str]:
    """The datasets whose database must not be queried for a pull request's run."""
    if terms is None:
        return frozenset()
    return frozenset(
        name
        for name, dataset in spec.datasets.items()
        if dataset.query is not None and dataset.query.secret not in allowed_secrets(terms)
    )


def without_denied_addresses(graph: Graph, terms: RunTerms) -> Graph:
    """The graph without the database addresses that a pull request's run may not have."""
    known = allowed_secrets(terms)
    nodes = tuple(without_addresses(node, known) for node in graph.nodes)
    return graph.model_copy(update={"nodes": nodes})


def graph_of(
    spec: Pipeline, source: SourceTree, baseline: Baseline | None, terms: RunTerms
) -> Graph:
    """The graph of a pull request's run: judged by its base's rules, with only allowed secrets.

    The evaluation code of the base or the baseline is trusted, its inputs are not.
    """
    if baseline is not None:
        bare = without_secrets(baseline.spec, terms)
        baseline = baseline.model_copy(update={"spec": bare})
    graph = build(without_secrets(spec, terms), source, baseline, rules_in_force(terms))
    return without_denied_addresses(graph, terms)


def rules_in_force(terms: RunTerms) -> Rules | None:
    """The base's rules without denied secrets; None if the pull request's own rules apply."""
    if terms.rules is None or terms.accepted:
        return None
    return terms.rules.model_copy(update={"spec": without_secrets(terms.rules.spec, terms)})


def changes_pipeline(before: Code | None, after: Code) -> bool:
    """Whether a pull request changes a pipeline's spec or inputs; `before` is its fork point."""
    if before is None or before.spec is None or after.spec is None:
        return before is None or before.source.below != after.source.below
    if before.spec != after.spec:
        return True
    was, now = build(before.spec, before.source), build(after.spec, after.source)
    if fingerprint(was, {}) != fingerprint(now, {}):
        return True
    data = [
        {
            name: in_repository(code.source, each.uri)
            for name, each in after.spec.datasets.items()
            if each.uri is not None
        }
        for code in (before, after)
    ]
    return data[0] != data[1]
