"""PURE. How the gates on data and candidates changed between two specs."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import get_args

from controller.machine.pipelines.policy_checks import check_changes
from controller.machine.pipelines.policy_suites import suite_changes, suite_of
from controller.machine.pipelines.rule_change import RuleChange, format_setting, is_limit_raised
from controller.machine.runs import exam
from controller.machine.runs.data_gate_nodes import is_same_place, suites_for
from controller.machine.runs.graph import Rules
from specs.caching import Cache, CacheFor, seconds_reusable
from specs.csv_files import CsvFiles
from specs.gates import AbsoluteCheck, ModelGate, PairedCheck, SmallSlices
from specs.metrics import is_own
from specs.model import Dataset, Pipeline, place_of
from specs.references import DatasetReference
from specs.values import format_percent

Check = AbsoluteCheck | PairedCheck
Pair = tuple[str, str]


def rules_of(gate: ModelGate) -> tuple[str, ...]:
    """The checks and slices of a gate, as text."""
    rules = [
        f"{check.metric} {_describe_check(check)}"
        + (f" for each {check.slice}" if check.slice else "")
        for check in gate.checks
    ]
    if gate.slices:
        rules.append(f"slices of {' and '.join(gate.slices)} that got worse (warns only)")
    return tuple(rules)


def suites_to_compare(before: Pipeline, after: Pipeline) -> dict[Pair, tuple[str | None, ...]]:
    """The paths of the suites, before and after, by the datasets that they belong to, which may
    have been renamed or moved. A suite in the spec has no path, and an empty text."""
    found: dict[Pair, tuple[str | None, ...]] = {}
    for name, dataset in after.datasets.items():
        for base in suites_for(name, after, before):
            was = before.datasets[base]
            if was.expectations and dataset.expectations:
                found[base, name] = was.suite_file, dataset.suite_file
    return found


def gate_changes(before: Rules, after: Rules, suites: Mapping[Pair, Pair]) -> Iterator[RuleChange]:
    """All changes of gates and of the data and code that they judge by. `suites` has the texts of
    suites that differ, by the keys of `suites_to_compare`."""
    yield from _suites(before.spec, after.spec, suites)
    yield from check_changes(before.spec, after.spec)
    yield from _modules(before, after)
    yield from _parsing(before.spec, after.spec)
    yield from _on_failure(before.spec, after.spec)
    addresses = tuple(_addresses(before.spec, after.spec))
    yield from addresses
    yield from _ages(before.spec, after.spec)
    yield from _training(before.spec, after.spec)
    yield from _model_gate(before.spec.gates.model, after.spec.gates.model)
    told = {change.rule for change in addresses}
    for what, was, now in exam.changed(after.spec, after.source, before):
        if what in told:
            continue
        # A changed evaluation may be an easier one, so somebody has to look at it.
        yield RuleChange(rule=f"exam: {what}", exam_part=what, was=was, now=now, loosens=True)


def _suites(before: Pipeline, after: Pipeline, texts: Mapping[Pair, Pair]) -> Iterator[RuleChange]:
    kept: set[str] = set()
    for name, dataset in after.datasets.items():
        rule, now = f"datasets.{name}.expectations", _where(dataset)
        bases = suites_for(name, after, before)
        kept |= set(bases)
        for base in bases:
            theirs = before.datasets[base]
            was = _where(theirs)
            if (base, name) in texts and dataset.expectations:
                old, new = texts[base, name]
                yield from suite_changes(suite_of(before, base, old), suite_of(after, name, new))
            elif was != now:
                # No suite, a renamed one, or one whose text cannot be compared.
                loosens = theirs.expectations is not None
                yield RuleChange(rule=rule, was=was, now=now, loosens=loosens)
        known = before.datasets.get(name)
        was = _where(known) if known else "no such dataset"
        if not bases and was != now and (known or not dataset.expectations):
            yield RuleChange(rule=rule, was=was, now=now, loosens=False)
    for name, dataset in before.datasets.items():
        if dataset.expectations and name not in kept:
            rule, was = f"datasets.{name}.expectations", _where(dataset)
            yield RuleChange(rule=rule, was=was, now="no such dataset", loosens=True)


def _where(dataset: Dataset) -> str:
    """Where its suite is."""
    if isinstance(dataset.expectations, str):
        return dataset.expectations
    return "in the spec" if dataset.expectations else "no suite"


def _modules(before: Rules, after: Rules) -> Iterator[RuleChange]:
    """The code of custom expectations: another one may be easier to meet."""
    for name, dataset in after.spec.datasets.items():
        now = dataset.custom_expectations
        for base in suites_for(name, after.spec, before.spec):
            was = before.spec.datasets[base].custom_expectations
            texts = before.source.content(was), after.source.content(now)
            if (was, texts[0]) == (now, texts[1]):
                continue
            changed = was == now
            yield RuleChange(
                rule=f"datasets.{name}.custom_expectations",
                was=was or "none",
                now=f"{now}, changed" if changed else (now or "none"),
                loosens=was is not None,
            )


def _parsing(before: Pipeline, after: Pipeline) -> Iterator[RuleChange]:
    """How values are parsed before a suite checks them: nulls and types affect what passes."""
    for name, now in after.datasets.items():
        bases = suites_for(name, after, before) or ((name,) if name in before.datasets else ())
        for was in (before.datasets[base] for base in bases):
            judged = was.is_judged
            if was.types != now.types:
                rule, old, new = (
                    f"datasets.{name}.types",
                    format_setting(was.types),
                    format_setting(now.types),
                )
                yield RuleChange(rule=rule, was=old, now=new, loosens=judged)
            if was.nulls != now.nulls:
                rule, old, new = f"datasets.{name}.nulls", _quoted(was.nulls), _quoted(now.nulls)
                yield RuleChange(rule=rule, was=old, now=new, loosens=judged)
            if was.csv != now.csv:
                rule, old, new = f"datasets.{name}.csv", _written(was.csv), _written(now.csv)
                yield RuleChange(rule=rule, was=old, now=new, loosens=judged)


def _written(csv: CsvFiles | None) -> str:
    return json.dumps(csv.model_dump(mode="json", exclude_defaults=True)) if csv else "none"


def _on_failure(before: Pipeline, after: Pipeline) -> Iterator[RuleChange]:
    """What a failed gate stops: with `use_last_good`, runs go on without the data it stopped."""
    for name, dataset in after.datasets.items():
        bases = suites_for(name, after, before) or ((name,) if name in before.datasets else ())
        for base in bases:
            was, now = before.datasets[base].on_failure, dataset.on_failure
            if was != now:
                rule, loosens = f"datasets.{name}.on_failure", now == "use_last_good"
                yield RuleChange(rule=rule, was=was, now=now, loosens=loosens)


def _quoted(texts: Iterable[str]) -> str:
    return ", ".join(map(json.dumps, texts)) or "none"


def _addresses(before: Pipeline, after: Pipeline) -> Iterator[RuleChange]:
    """Where data comes from: another source may be easier to pass with."""
    for name in (each for each in before.datasets if each in after.datasets):
        for what, was, now in exam.address_changes(name, before, after):
            yield RuleChange(rule=what, was=was, now=now, loosens=True)


def _ages(before: Pipeline, after: Pipeline) -> Iterator[RuleChange]:
    """How long fetched data and evaluations are reused: longer reuse means less checking."""
    examines = _exam_of(before) & _exam_of(after)
    for name in (each for each in before.commands if each in after.commands):
        if name in before.steps and name not in examines:
            continue
        was, now = before.commands[name].cache, after.commands[name].cache
        if was != now:
            rule = ".".join((*place_of(name), "cache"))
            yield RuleChange(
                rule=rule,
                was=_age(was),
                now=_age(now),
                loosens=_seconds_reusable(now) > _seconds_reusable(was),
            )


def _exam_of(spec: Pipeline) -> set[str]:
    """The steps that the gate's evidence comes from, without those that make the model."""
    gate = spec.gates.model
    return set(exam.steps_of(spec, *gate.evidence.values())) if gate else set()


def _seconds_reusable(cache: Cache) -> float:
    seconds = seconds_reusable(cache)
    return math.inf if seconds is None else seconds


def _age(cache: Cache) -> str:
    return f"for {format_setting(cache.for_)}" if isinstance(cache, CacheFor) else cache


def _training(before: Pipeline, after: Pipeline) -> Iterator[RuleChange]:
    """Which data trains the model: it should be checked by a suite, and not be evaluation data."""
    was, now = _trains_on(before), _trains_on(after)
    suited = {name for name in was if before.datasets[name].expectations}
    for name in sorted(now - was):
        bare = not after.datasets[name].expectations and not suites_for(name, after, before)
        if suited and bare and not _was_trained_on(name, after, before):
            rule = f"datasets.{name}: trains the model"
            yield RuleChange(rule=rule, was="no", now="yes, without a suite", loosens=True)
    followed = {base for name in now for base in suites_for(name, after, before)}
    for name in sorted(suited - now - followed):
        rule = f"datasets.{name}: trains the model"
        yield RuleChange(rule=rule, was="yes, behind its suite", now="no", loosens=True)
    if before.gates.model is not None:
        leaked = (now & _examines(after)) - (was & _examines(before))
        for name in sorted(leaked):
            rule = f"datasets.{name}: trains the model"
            now_ = "yes, and the model is examined on it"
            yield RuleChange(rule=rule, was="no", now=now_, loosens=True)


def _was_trained_on(name: str, after: Pipeline, before: Pipeline) -> bool:
    """Whether the base already trains on data from the same location."""
    own = after.datasets[name]
    return any(is_same_place(before.datasets[each], own) for each in _trains_on(before))


def _trains_on(spec: Pipeline) -> set[str]:
    """The datasets that the model is trained on."""
    return _datasets_of(spec, exam.steps_of(spec, spec.model)) if spec.model else set()


def _examines(spec: Pipeline) -> set[str]:
    """The datasets that the predictions come from, without those that only train the model."""
    return _datasets_of(spec, _exam_of(spec))


def _datasets_of(spec: Pipeline, steps: Iterable[str]) -> set[str]:
    origins = (origin for step in steps for origin in spec.steps[step].inputs.values())
    return {origin.dataset for origin in origins if isinstance(origin, DatasetReference)}


def _model_gate(before: ModelGate | None, after: ModelGate | None) -> Iterator[RuleChange]:
    was = _checks(before)
    now = _checks(after)
    for name, check in was.items():
        other = now.get(name)
        if other is None:
            yield RuleChange(
                rule=f"gates.model: {name}", was=_describe_check(check), now="removed", loosens=True
            )
        elif other != check:
            yield RuleChange(
                rule=f"gates.model: {name}",
                was=_describe_check(check),
                now=_describe_check(other),
                loosens=_is_looser(check, other),
            )
    for name, check in now.items():
        if name not in was:
            yield RuleChange(
                rule=f"gates.model: {name}", was="none", now=_describe_check(check), loosens=False
            )
    if before is not None and after is not None:
        yield from _gate_settings(before, after)


def _gate_settings(before: ModelGate, after: ModelGate) -> Iterator[RuleChange]:
    """Settings of a gate other than its checks."""
    strict = get_args(SmallSlices)
    for name in (
        "predictions",
        "columns",
        "metrics",
        "task",
        "positive",
        "threshold",
        "slices",
        "minimum_slice_rows",
        "small_slices",
    ):
        was, now = getattr(before, name), getattr(after, name)
        if was == now:
            continue
        # Other predictions, columns or classes are a different, perhaps easier, evaluation.
        looser = {
            "slices": not set(before.slices) <= set(after.slices),
            "minimum_slice_rows": after.minimum_slice_rows > before.minimum_slice_rows,
            "small_slices": strict.index(after.small_slices) < strict.index(before.small_slices),
        }.get(name, was is not None or name not in ("predictions", "columns", "metrics"))
        if name == "positive":  # a label: 1.0 must not be printed as a percentage, nor true as "on"
            was, now = (None if each is None else str(each) for each in (was, now))
        yield RuleChange(
            rule=f"gates.model.{name}",
            was=format_setting(was),
            now=format_setting(now),
            loosens=looser,
        )


def _checks(gate: ModelGate | None) -> dict[str, Check]:
    """Checks by a description; a second one of the same kind gets a number."""
    found: dict[str, Check] = {}
    for check in gate.checks if gate else ():
        paired = isinstance(check, PairedCheck)
        about = f"{check.metric} against the baseline" if paired else f"limit of {check.metric}"
        name = about + (f" per {check.slice}" if check.slice else "")
        number = sum(other == name or other.startswith(f"{name} #") for other in found)
        found[f"{name} #{number + 1}" if number else name] = check
    return found


def _describe_check(check: Check) -> str:
    if isinstance(check, PairedCheck):
        margin, sure = check.not_worse_than_baseline_by, format_percent(check.confidence)
        how = f"{check.better} is better" if is_own(check.metric) else f"confidence {sure}"
        text = f"not worse than the baseline by more than {margin:g} ({how})"
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
        return margin or now.confidence < was.confidence or now.better != was.better
    if isinstance(was, AbsoluteCheck) and isinstance(now, AbsoluteCheck):
        return _fell(was.at_least, now.at_least) or is_limit_raised(was.at_most, now.at_most)
    return True


def _fell(was: float | None, now: float | None) -> bool:
    return was is not None and (now is None or now < was)
