"""PURE. What of a pull request is not its own to say: its gates, and the secrets it gets."""

from collections.abc import Collection

from controller.machine.pipelines.code import Code
from controller.machine.runs.building import build
from controller.machine.runs.graph import Baseline, Graph, Rules, Source, fingerprint
from specs.model import Pipeline


def rules_of(base: Code | None) -> Rules | None:
    """The gates of the base branch; None where it has no such pipeline, or a broken one."""
    if base is None or base.spec is None:
        return None
    return Rules(spec=base.spec, source=base.source)


def without_secrets(spec: Pipeline, rules: Rules | None, *, fork: bool) -> Pipeline:
    """The spec as a pull request may run it: with the secrets that the base branch marks for pull
    requests, and none for a fork."""
    marked: Collection[str] = ()
    if rules is not None and not fork:
        marked = rules.spec.triggers.pull_requests.secrets
    steps = {
        name: step.model_copy(
            update={"secrets": tuple(secret for secret in step.secrets if secret in marked)}
        )
        for name, step in spec.steps.items()
    }
    return spec.model_copy(update={"steps": steps})


def graph_of(
    spec: Pipeline, source: Source, baseline: Baseline | None, rules: Rules | None, *, fork: bool
) -> Graph:
    """The graph of a pull request's run: judged by the rules of its base, given few secrets."""
    if baseline is not None:  # its code is trusted, but not what it is given to read
        held_against = without_secrets(baseline.spec, rules, fork=fork)
        baseline = baseline.model_copy(update={"spec": held_against})
    return build(without_secrets(spec, rules, fork=fork), source, baseline, rules)


def touches(before: Code | None, after: Code) -> bool:
    """Whether a pull request changes what a pipeline says or reads; `before` is where it began."""
    if before is None or before.spec is None or after.spec is None:
        return before is None or before.source.below != after.source.below
    if before.spec != after.spec:
        return True
    was, now = build(before.spec, before.source), build(after.spec, after.source)
    return fingerprint(was, {}) != fingerprint(now, {})
