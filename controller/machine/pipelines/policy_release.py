"""PURE. How the rules of releases changed between two specs."""

from collections.abc import Iterator, Mapping

from controller.machine.pipelines.rule_change import RuleChange, format_setting, is_limit_raised
from controller.machine.runs.graph import Rules
from specs.release import (
    BlueGreen,
    Canary,
    ErrorSignal,
    Production,
    Release,
    Signals,
    Smoke,
    limit_of,
)
from specs.target_scripts import UNWATCHING
from specs.values import format_percent

ROLLOUT = "release.production.canary"


def release_changes(before: Rules, after: Rules) -> Iterator[RuleChange]:
    """All changes of what happens between a passing candidate and production."""
    was, now = before.spec.release, after.spec.release
    if was is None and now is not None:
        how = f"releases, approval {now.production.approval}"
        looser = now.production.approval == "automatic"
        yield RuleChange(rule="release", was="releases nothing", now=how, loosens=looser)
    elif was is not None and now is None:
        # If it is added again later, there would be nothing to compare it with.
        how = f"releases, approval {was.production.approval}"
        yield RuleChange(rule="release", was=how, now="releases nothing", loosens=True)
    elif was is not None and now is not None:
        yield from _serving(was, now)
        yield from _smoke(was, now)
        yield from _bodies(before, after)
        yield from _deployer(was, now)
        yield from _approval(was, now)
        yield from _strategy(was.production, now.production)


def _serving(before: Release, after: Release) -> Iterator[RuleChange]:
    """Serving: by a server, or in batches."""
    if before.where != after.where:
        # A batch is not checked as a server is, and its command is another one in any case.
        yield RuleChange(rule="release", was=before.where, now=after.where, loosens=True)
        return
    old, new = before.serve or before.batch, after.serve or after.batch
    for name in type(old).model_fields if old is not None else ():
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            # Another command may serve another model than the one that was evaluated.
            looser = name in ("run", "env", "reads", "inputs")
            rule = f"release.{before.where}.{name}"
            yield RuleChange(
                rule=rule, was=format_setting(was), now=format_setting(now), loosens=looser
            )


def _smoke(before: Release, after: Release) -> Iterator[RuleChange]:
    was, now = (_dumped(release.staging.smoke) for release in (before, after))
    if was != now:
        yield RuleChange(
            rule="release.staging.smoke",
            was=f"{len(was)} requests",
            now=f"{len(now)} requests",
            # A changed request may check less, which cannot be known here.
            loosens=not set(was) <= set(now),
        )


def _bodies(before: Rules, after: Rules) -> Iterator[RuleChange]:
    """The bodies of smoke requests that are otherwise the same."""
    was, now = (_posted(rules) for rules in (before, after))
    for path in sorted(was.keys() & now.keys()):
        if was[path] != now[path]:
            yield RuleChange(
                rule=f"release.staging.smoke: {path}",
                was=format_setting(was[path]),
                now=format_setting(now[path]),
                loosens=True,
            )


def _posted(rules: Rules) -> dict[str, str | None]:
    requests: tuple[Smoke, ...] = rules.spec.release.staging.smoke if rules.spec.release else ()
    return {one.body: rules.source.content(one.body) for one in requests if one.body}


def _dumped(requests: tuple[Smoke, ...]) -> list[str]:
    return [request.model_dump_json() for request in requests]


def _deployer(before: Release, after: Release) -> Iterator[RuleChange]:
    """Who deploys to production and tells the judge of its traffic. Other scripts may tell it
    anything; Headgate's own router does not."""
    was, now = (_told_by(one) for one in (before, after))
    for name in sorted(was.keys() | now.keys()):
        old, new = was.get(name), now.get(name)
        if old != new:
            yield RuleChange(
                rule=f"release.{name}",
                was=format_setting(old),
                now=format_setting(new),
                loosens=after.production.deployer in UNWATCHING,
            )


def _told_by(release: Release) -> dict[str, str]:
    deployer = {"production.deployer": str(release.production.deployer)}
    scripts = release.scripts_for("production")
    if scripts is None:
        return deployer
    names = ("apply", "observe", "split", "reads")
    told = {f"command.{name}": str(getattr(scripts, name)) for name in names}
    if scripts.traffic is not None:
        told["command.traffic"] = scripts.traffic
    if scripts.prometheus is not None:
        counters = scripts.prometheus.names().model_dump(mode="json")
        told |= {f"command.prometheus.{name}": str(value) for name, value in counters.items()}
    return deployer | told


def _approval(before: Release, after: Release) -> Iterator[RuleChange]:
    was, now = before.production.approval, after.production.approval
    if was != now:
        rule = "release.production.approval"
        yield RuleChange(rule=rule, was=was, now=now, loosens=now == "automatic")


_CAUTION = ("direct", "blue-green", "canary")
"""The strategies, least careful first."""


def _strategy(before: Production, after: Production) -> Iterator[RuleChange]:
    """The rollout strategy. Only the settings of the strategy in use count."""
    was, now = before.strategy, after.strategy
    if was != now:
        looser = _CAUTION.index(now) < _CAUTION.index(was)
        yield RuleChange(rule="release.production.strategy", was=was, now=now, loosens=looser)
        if now == "canary" and after.canary.on_inconclusive == "promote":
            # An undecided canary would be promoted, as `direct` always does.
            yield RuleChange(
                rule=f"{ROLLOUT}.on_inconclusive",
                was="no canary",
                now="promote",
                loosens=was != "direct",
            )
    elif now == "canary":
        yield from _canary(before.canary, after.canary)
    elif now == "blue-green":
        yield from _blue_green(before.blue_green, after.blue_green)


def _blue_green(before: BlueGreen, after: BlueGreen) -> Iterator[RuleChange]:
    values = {
        "keep_for": (before.keep_for, after.keep_for, after.keep_for < before.keep_for),
        "errors": (before.errors, after.errors, _lets_more_fail(before.errors, after.errors)),
        "false_rollback": (
            before.false_rollback,
            after.false_rollback,
            after.false_rollback < before.false_rollback,
        ),
    }
    for name, (was, now, looser) in values.items():
        if was != now:
            rule = f"release.production.blue_green.{name}"
            yield RuleChange(
                rule=rule, was=format_setting(was), now=format_setting(now), loosens=looser
            )


def _lets_more_fail(before: ErrorSignal | None, after: ErrorSignal | None) -> bool:
    if before is None or after is None:
        return before is not None
    return (
        is_limit_raised(before.not_worse_by, after.not_worse_by)
        or is_limit_raised(before.at_most, after.at_most)
        or not set(before.counts) <= set(after.counts)
    )


def _canary(before: Canary, after: Canary) -> Iterator[RuleChange]:
    was, now = _watched(before.signals), _watched(after.signals)
    both = _as_errors(before.signals) & _as_errors(after.signals)
    for name in sorted((was.keys() | now.keys()) - both):  # it is reported as a change of errors
        old, new = was.get(name, {}), now.get(name, {})
        if old == new:
            continue
        looser = any(is_limit_raised(limit, new.get(key)) for key, limit in old.items())
        yield RuleChange(
            rule=f"{ROLLOUT}.signals.{name}",
            was=_describe_limits(old),
            now=_describe_limits(new),
            loosens=looser,
        )
    yield from _counts(before.signals, after.signals)
    numbers = {
        "steps": (before.steps, after.steps, _is_steeper(before, after)),
        "false_rollback": (
            before.false_rollback,
            after.false_rollback,
            after.false_rollback < before.false_rollback,
        ),
        "false_promotion": (
            before.false_promotion,
            after.false_promotion,
            after.false_promotion > before.false_promotion,
        ),
        "minimum_bake": (
            before.minimum_bake,
            after.minimum_bake,
            after.minimum_bake < before.minimum_bake,
        ),
        "deadline": (before.deadline, after.deadline, _is_hastier(before, after)),
        "on_inconclusive": (
            before.on_inconclusive,
            after.on_inconclusive,
            _PATIENCE.index(after.on_inconclusive) > _PATIENCE.index(before.on_inconclusive),
        ),
    }
    for name, (old_value, new_value, is_looser) in numbers.items():
        if old_value != new_value:
            yield RuleChange(
                rule=f"{ROLLOUT}.{name}",
                was=format_setting(old_value),
                now=format_setting(new_value),
                loosens=is_looser,
            )


_PATIENCE = ("rollback", "hold", "promote")
"""What happens to an undecided canary, most careful first."""


def _is_steeper(before: Canary, after: Canary) -> bool:
    """Whether the candidate gets more of the traffic sooner."""
    pairs = zip(before.steps, after.steps, strict=False)
    return len(after.steps) < len(before.steps) or any(now > was for was, now in pairs)


def _is_hastier(before: Canary, after: Canary) -> bool:
    """Whether an undecided canary is promoted sooner."""
    return after.on_inconclusive == "promote" and after.deadline < before.deadline


def _counts(before: Signals, after: Signals) -> Iterator[RuleChange]:
    """What counts as an error, if errors are watched before and after."""
    if before.errors is None or after.errors is None:
        return
    was, now = before.errors.counts, after.errors.counts
    if set(was) != set(now):
        looser = not set(was) <= set(now)
        rule = f"{ROLLOUT}.signals.errors.counts"
        yield RuleChange(
            rule=rule, was=format_setting(was), now=format_setting(now), loosens=looser
        )


def _watched(signals: Signals) -> dict[str, dict[str, float]]:
    """The limits of each watched signal, by name."""
    named = {
        signal: {
            limit: value
            for limit in ("not_worse_by", "at_most")
            if (value := getattr(one, limit, None)) is not None
        }
        for signal, one in signals.named().items()
    }
    return named | {name: {limit_of(name): limit} for name, limit in signals.unasked().items()}


def _as_errors(signals: Signals) -> set[str]:
    """The signals that use the limit of errors, as they have none of their own."""
    limits = {name: getattr(signals, name) for name in signals.unasked()}
    return {name for name, one in limits.items() if getattr(one, limit_of(name)) is None}


def _describe_limits(limits: Mapping[str, float]) -> str:
    words = (f"{name.replace('_', ' ')} {format_percent(value)}" for name, value in limits.items())
    return ", ".join(words) or "not watched"
