"""PURE. How the rules of a release changed between two specs, and which changes loosen them."""

from collections.abc import Iterator, Mapping
from typing import Any

from controller.machine.pipelines.change import Change
from controller.machine.pipelines.suites import between
from specs.gates import AbsoluteCheck, ModelGate, PairedCheck
from specs.model import Pipeline
from specs.release import Canary, Release
from specs.values import format_duration, format_percent

Check = AbsoluteCheck | PairedCheck


def changes(
    before: Pipeline, after: Pipeline, suites: Mapping[str, tuple[str, str]] | None = None
) -> tuple[Change, ...]:
    """What changed in gates, canary, approval and the secrets of pull requests; what loosens
    them first.

    `suites` has, by dataset, the texts of suites that differ; see `suites_to_compare`.
    """
    found = [
        *_data_gates(before, after, suites or {}),
        *_model_gate(before.gates.model, after.gates.model),
        *_release(before.release, after.release),
        *_secrets(before, after),
    ]
    return tuple(sorted(found, key=lambda change: not change.loosens))


def suites_to_compare(before: Pipeline, after: Pipeline) -> dict[str, tuple[str, str]]:
    """By dataset, the suites' paths below the spec's folder in both, where there are both."""
    return {
        name: (was.expectations, now.expectations)
        for name, was in before.datasets.items()
        if (now := after.datasets.get(name)) and was.expectations and now.expectations
    }


def rules_of(gate: ModelGate) -> tuple[str, ...]:
    """The checks of a gate in words, and what else it looks at."""
    rules = [
        f"{check.metric} {_said(check)}" + (f" for each {check.slice}" if check.slice else "")
        for check in gate.checks
    ]
    if gate.slices:
        rules.append(f"slices of {' and '.join(gate.slices)} that got worse (warns only)")
    return tuple(rules)


def _data_gates(
    before: Pipeline, after: Pipeline, suites: Mapping[str, tuple[str, str]]
) -> Iterator[Change]:
    was = {name: d.expectations for name, d in before.datasets.items()}
    now = {name: d.expectations for name, d in after.datasets.items()}
    for name in was.keys() & now.keys():
        if name in suites:
            yield from between(was[name] or "", now[name] or "", *suites[name])
        elif was[name] != now[name]:
            yield Change(
                rule=f"datasets.{name}.expectations",
                was=was[name] or "no suite",
                now=now[name] or "no suite",
                # Another suite may ask for less; that it asks for as much has to be looked at.
                loosens=was[name] is not None,
            )
    for name in now.keys() - was.keys():
        if now[name] is None:
            rule = f"datasets.{name}.expectations"
            yield Change(rule=rule, was="no such dataset", now="no suite", loosens=False)


def _model_gate(before: ModelGate | None, after: ModelGate | None) -> Iterator[Change]:
    was = _checks(before)
    now = _checks(after)
    for name, check in was.items():
        other = now.get(name)
        if other is None:
            yield Change(rule=f"gates.model: {name}", was=_said(check), now="removed", loosens=True)
        elif other != check:
            yield Change(
                rule=f"gates.model: {name}",
                was=_said(check),
                now=_said(other),
                loosens=_is_looser(check, other),
            )
    for name, check in now.items():
        if name not in was:
            yield Change(rule=f"gates.model: {name}", was="none", now=_said(check), loosens=False)
    if before is not None and after is not None:
        yield from _judged(before, after)


def _judged(before: ModelGate, after: ModelGate) -> Iterator[Change]:
    """What a gate looks at, beside its checks."""
    for name in ("predictions", "columns", "threshold", "slices", "minimum_slice_rows"):
        was, now = getattr(before, name), getattr(after, name)
        if was == now:
            continue
        # Other predictions or columns are another exam, which may be an easier one.
        looser = {
            "slices": not set(before.slices) <= set(after.slices),
            "minimum_slice_rows": after.minimum_slice_rows > before.minimum_slice_rows,
        }.get(name, name != "threshold")
        yield Change(rule=f"gates.model.{name}", was=_plain(was), now=_plain(now), loosens=looser)


def _checks(gate: ModelGate | None) -> dict[str, Check]:
    """Checks by what they are about; a second one of the same kind gets a number."""
    found: dict[str, Check] = {}
    for check in gate.checks if gate else ():
        kind = "against the baseline" if isinstance(check, PairedCheck) else "by itself"
        name = f"{check.metric} {kind}" + (f" per {check.slice}" if check.slice else "")
        number = sum(other == name or other.startswith(f"{name} #") for other in found)
        found[f"{name} #{number + 1}" if number else name] = check
    return found


def _said(check: Check) -> str:
    if isinstance(check, PairedCheck):
        margin, sure = check.not_worse_than_baseline_by, format_percent(check.confidence)
        text = f"not worse than the baseline by more than {margin:g} (confidence {sure})"
    else:
        limits = [
            f"{word} {limit:g}"
            for word, limit in (("at least", check.at_least), ("at most", check.at_most))
            if limit is not None
        ]
        text = ", ".join(limits)
    return text if check.severity == "block" else f"{text} (warns only)"


def _is_looser(was: Check, now: Check) -> bool:
    if was.severity == "block" and now.severity == "warn":
        return True
    if isinstance(was, PairedCheck) and isinstance(now, PairedCheck):
        margin = now.not_worse_than_baseline_by > was.not_worse_than_baseline_by
        return margin or now.confidence < was.confidence
    if isinstance(was, AbsoluteCheck) and isinstance(now, AbsoluteCheck):
        return _fell(was.at_least, now.at_least) or _rose(was.at_most, now.at_most)
    return True


def _fell(was: float | None, now: float | None) -> bool:
    return was is not None and (now is None or now < was)


def _rose(was: float | None, now: float | None) -> bool:
    return was is not None and (now is None or now > was)


def _release(before: Release | None, after: Release | None) -> Iterator[Change]:
    if before is None or after is None:
        if before != after:
            words = {True: "releases", False: "releases nothing"}
            was, now = words[before is not None], words[after is not None]
            yield Change(rule="release", was=was, now=now, loosens=False)
        return
    if before.staging.smoke != after.staging.smoke:
        yield Change(
            rule="release.staging.smoke",
            was=f"{len(before.staging.smoke)} requests",
            now=f"{len(after.staging.smoke)} requests",
            # Whether another request asks for less cannot be told from here.
            loosens=not set(_dumped(before.staging.smoke)) <= set(_dumped(after.staging.smoke)),
        )
    approvals = before.production.approval, after.production.approval
    if approvals[0] != approvals[1]:
        yield Change(
            rule="release.production.approval",
            was=approvals[0],
            now=approvals[1],
            loosens=approvals[1] == "automatic",
        )
    yield from _canary(before.production.canary, after.production.canary)


def _secrets(before: Pipeline, after: Pipeline) -> Iterator[Change]:
    """Code that nobody has read yet may be given these."""
    was, now = (set(one.triggers.pull_requests.secrets) for one in (before, after))
    if was != now:
        yield Change(
            rule="triggers.pull_requests.secrets",
            was=", ".join(sorted(was)) or "none",
            now=", ".join(sorted(now)) or "none",
            loosens=not now <= was,
        )


def _dumped(values: Any) -> list[str]:
    return [value.model_dump_json() for value in values]


def _canary(before: Canary, after: Canary) -> Iterator[Change]:
    rule = "release.production.canary"
    was, now = before.signals.watched(), after.signals.watched()
    for name in was.keys() | now.keys():
        if was.get(name) == now.get(name):
            continue
        old, new = _limits(was.get(name)), _limits(now.get(name))
        looser = any(_rose(limit, new.get(key)) for key, limit in old.items())
        yield Change(
            rule=f"{rule}.signals.{name}", was=_words(old), now=_words(new), loosens=looser
        )
    numbers = {
        "steps": (before.steps, after.steps, after.steps[0] > before.steps[0]),
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
        "deadline": (before.deadline, after.deadline, False),
        "on_inconclusive": (
            before.on_inconclusive,
            after.on_inconclusive,
            after.on_inconclusive == "hold",
        ),
    }
    for name, (old_value, new_value, is_looser) in numbers.items():
        if old_value != new_value:
            yield Change(
                rule=f"{rule}.{name}",
                was=_plain(old_value),
                now=_plain(new_value),
                loosens=is_looser,
            )


def _limits(signal: Any) -> dict[str, float]:
    """The limits of a signal, by name; none for one that is not watched."""
    if signal is None:
        return {}
    return {
        name: value
        for name in ("not_worse_by", "at_most")
        if (value := getattr(signal, name, None)) is not None
    }


def _words(limits: Mapping[str, float]) -> str:
    words = (f"{name.replace('_', ' ')} {format_percent(value)}" for name, value in limits.items())
    return ", ".join(words) or "not watched"


def _plain(value: Any) -> str:
    if hasattr(value, "total_seconds"):
        return format_duration(value)
    if isinstance(value, float):
        return format_percent(value)
    if isinstance(value, tuple):
        return ", ".join(_plain(each) for each in value) or "none"
    if hasattr(value, "model_dump"):
        named = value.model_dump(exclude_none=True)
        return ", ".join(f"{key} {each}" for key, each in named.items())
    return str(value)
