"""PURE. How the rules of a pipeline changed between two commits, and which changes loosen them.

A rule is loosened if a candidate that would have been stopped could pass, or if less is checked or
known: what is evaluated, by which code, on which data, who approves the release, who is notified.
"""

from collections.abc import Iterator, Mapping, Sequence

from controller.machine.pipelines.policy_gates import Pair, gate_changes
from controller.machine.pipelines.policy_release import release_changes
from controller.machine.pipelines.rule_change import RuleChange, format_setting
from controller.machine.runs.graph import Rules
from specs.model import Pipeline


def rule_changes(
    before: Rules, after: Rules, suites: Mapping[Pair, Pair] | None = None
) -> tuple[RuleChange, ...]:
    """What changed in gates, evaluation, release, triggers, approvers and notifications; loosened
    rules first.

    `suites` has the texts of suites that differ; see `policy_gates.suites_to_compare`.
    """
    found = (
        *gate_changes(before, after, suites or {}),
        *release_changes(before, after),
        *_triggers(before.spec, after.spec),
        *_secrets(before.spec, after.spec),
        *_people(before.spec, after.spec),
    )
    return tuple(sorted(dict.fromkeys(found), key=lambda change: not change.loosens))


def made_since(
    found: Sequence[RuleChange], since: Sequence[Sequence[RuleChange]]
) -> tuple[RuleChange, ...]:
    """The changes that a commit itself makes to its base's rules: `since` has those since each fork
    point. What only the base changed is left out, as a merge keeps it."""
    own = {change.rule for changes_ in since for change in changes_}
    return tuple(change for change in found if not since or change.rule in own)


def _triggers(before: Pipeline, after: Pipeline) -> Iterator[RuleChange]:
    was, now = before.triggers, after.triggers
    pairs = {
        "pull_requests.enabled": (was.pull_requests.enabled, now.pull_requests.enabled),
        "commits.enabled": (was.commits.enabled, now.commits.enabled),
        "commits.paths": (was.commits.paths, now.commits.paths),
        "commits.branches": (was.commits.branches, now.commits.branches),
        "data": (was.data, now.data),
        "schedule": (was.schedule, now.schedule),
    }
    for name, (old, new) in pairs.items():
        if old != new:
            # Without runs of pull requests nothing is checked before a merge, and the runs of
            # additional branches get the secrets that they ask for.
            looser = name == "pull_requests.enabled" and not new
            if name == "commits.branches":
                looser = not set(now.commits.branches) <= set(was.commits.branches)
            yield RuleChange(
                rule=f"triggers.{name}",
                was=format_setting(old),
                now=format_setting(new),
                loosens=looser,
            )


def _secrets(before: Pipeline, after: Pipeline) -> Iterator[RuleChange]:
    """Secrets that unreviewed code may be given."""
    was, now = (set(one.triggers.pull_requests.secrets) for one in (before, after))
    if was != now:
        yield RuleChange(
            rule="triggers.pull_requests.secrets",
            was=", ".join(sorted(was)) or "none",
            now=", ".join(sorted(now)) or "none",
            loosens=not now <= was,
        )


def _people(before: Pipeline, after: Pipeline) -> Iterator[RuleChange]:
    """Who approves, owns, and is notified."""
    was, now = before.policy.approvers, after.policy.approvers
    if was != now:
        yield RuleChange(
            rule="policy.approvers",
            was=format_setting(was) if was else "who administers the repository",
            now=format_setting(now) if now else "who administers the repository",
            loosens=not (was and now and set(now) <= set(was)),
        )
    owners = before.metadata.owners, after.metadata.owners
    if owners[0] != owners[1]:
        rule = "metadata.owners"
        yield RuleChange(
            rule=rule, was=format_setting(owners[0]), now=format_setting(owners[1]), loosens=False
        )
    told = [
        {(one.to, event) for one in spec.notify for event in one.on} for spec in (before, after)
    ]
    if told[0] != told[1]:
        yield RuleChange(
            rule="notify",
            was=_describe_notify(before),
            now=_describe_notify(after),
            loosens=not told[0] <= told[1],
        )


def _describe_notify(spec: Pipeline) -> str:
    """The `notify` entries without their addresses, which may contain keys."""
    lines = (f"{one.to.partition(':')[0]} of {', '.join(one.on)}" for one in spec.notify)
    return "; ".join(lines) or "nobody"
