"""PURE. How the `checks` of datasets changed between two specs."""

from collections.abc import Iterator, Sequence

from controller.machine.pipelines.rule_change import RuleChange
from controller.machine.runs.data_gate_nodes import suites_for
from specs.dataset_checks import (
    ApartFromRule,
    DatasetCheck,
    DriftRule,
    FreshnessRule,
    RefersToRule,
    Rule,
    SchemaRule,
    SeenBeforeRule,
    VolumeRule,
)
from specs.model import Pipeline


def check_changes(before: Pipeline, after: Pipeline) -> Iterator[RuleChange]:
    """Checks that were removed, changed or added, of datasets that may have been renamed or
    moved."""
    kept: set[str] = set()
    for name, dataset in after.datasets.items():
        bases = suites_for(name, after, before)
        kept |= set(bases)
        for base in bases:
            yield from _changes(name, before.datasets[base].checks, dataset.checks)
        if not bases:
            yield from _changes(name, (), dataset.checks)
    for name, dataset in before.datasets.items():
        for each in dataset.checks if name not in kept else ():
            rule = f"datasets.{name}.checks"
            yield RuleChange(rule=rule, was=str(each), now="no such dataset", loosens=True)


def _changes(
    name: str, before: Sequence[DatasetCheck], after: Sequence[DatasetCheck]
) -> Iterator[RuleChange]:
    """Those that are about the same are compared with each other, in their order."""
    rule, left = f"datasets.{name}.checks", list(after)
    for was in before:
        same = [now for now in left if _subject(now) == _subject(was)]
        now = next((one for one in same if one == was), same[0] if same else None)
        if now is None:
            yield RuleChange(rule=rule, was=str(was), now="removed", loosens=True)
            continue
        left.remove(now)
        if now != was:
            looser = is_looser(was.rule, now.rule)
            yield RuleChange(rule=rule, was=str(was), now=str(now), loosens=looser)
    for added in left:
        yield RuleChange(rule=rule, was="none", now=str(added), loosens=False)


def _subject(check: DatasetCheck) -> tuple[object, ...]:
    """What a check is about: its kind, and the columns and the dataset that it names."""
    rule = check.rule
    named = (
        getattr(rule, name, None)
        for name in ("column", "columns", "key", "dataset", "reference", "classifier")
    )
    return check.kind, *named


def is_looser(was: Rule, now: Rule) -> bool:
    """Whether a version that one rule stops could pass the other, of the same kind and subject."""
    if was.severity == "critical" and now.severity == "warning":
        return True
    match was, now:
        case SchemaRule(), SchemaRule():
            return not set(now.allow) <= set(was.allow)
        case FreshnessRule(), FreshnessRule():
            return now.within > was.within
        case VolumeRule(), VolumeRule():
            # Another median may be nearer.
            return now.within > was.within or (now.of, now.season) != (was.of, was.season)
        case DriftRule(), DriftRule():
            return now.at_most > was.at_most or now.measure != was.measure
        case RefersToRule(), RefersToRule():
            return now.at_least < was.at_least or now.columns_there != was.columns_there
        case SeenBeforeRule(), SeenBeforeRule():
            return now.at_most > was.at_most
        case ApartFromRule(), ApartFromRule():
            return now.at_most > was.at_most
    return True
