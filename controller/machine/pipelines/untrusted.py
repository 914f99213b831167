"""PURE. What of a pull request is not its own to say: its gates, and the secrets it gets."""

from collections.abc import Collection

from controller.machine.core import Value
from controller.machine.pipelines.code import Code
from controller.machine.runs.building import build
from controller.machine.runs.exam import in_repository
from controller.machine.runs.graph import Baseline, Graph, Rules, Source, fingerprint
from specs.model import Pipeline


class Terms(Value):
    """On which terms a pull request's run is made."""

    rules: Rules | None = None
    """Those of its base; None where that never had such a pipeline."""
    fork: bool = False
    accepted: bool = False
    """Whether somebody with the right lets the commit be judged by its own rules."""


def rules_of(base: Code | None, branch: str = "") -> Rules | None:
    """The gates of the base branch, which is called so; None where it has no such pipeline, or a
    broken one."""
    if base is None or base.spec is None:
        return None
    return Rules(spec=base.spec, source=base.source, branch=branch)


def without_secrets(spec: Pipeline, terms: Terms) -> Pipeline:
    """The spec as a pull request may run it: with the secrets that the base branch marks for pull
    requests, and none for a fork."""
    marked: Collection[str] = ()
    if terms.rules is not None and not terms.fork:
        marked = terms.rules.spec.triggers.pull_requests.secrets
    steps = {
        name: step.model_copy(
            update={"secrets": tuple(secret for secret in step.secrets if secret in marked)}
        )
        for name, step in spec.steps.items()
    }
    return spec.model_copy(update={"steps": steps})


def graph_of(spec: Pipeline, source: Source, baseline: Baseline | None, terms: Terms) -> Graph:
    """The graph of a pull request's run: judged by the rules of its base, given few secrets.

    What evaluates is trusted, be it the base's or the baseline's, but not what it is given to read.
    """
    if baseline is not None:
        bare = without_secrets(baseline.spec, terms)
        baseline = baseline.model_copy(update={"spec": bare})
    return build(without_secrets(spec, terms), source, baseline, judges_of(terms))


def judges_of(terms: Terms) -> Rules | None:
    """The rules in force, without secrets; None where its own are."""
    if terms.rules is None or terms.accepted:
        return None
    return terms.rules.model_copy(update={"spec": without_secrets(terms.rules.spec, terms)})


def touches(before: Code | None, after: Code) -> bool:
    """Whether a pull request changes what a pipeline says or reads; `before` is where it began."""
    if before is None or before.spec is None or after.spec is None:
        return before is None or before.source.below != after.source.below
    if before.spec != after.spec:
        return True
    was, now = build(before.spec, before.source), build(after.spec, after.source)
    if fingerprint(was, {}) != fingerprint(now, {}):
        return True
    data = [
        {name: in_repository(code.source, each.uri) for name, each in after.spec.datasets.items()}
        for code in (before, after)
    ]
    return data[0] != data[1]
