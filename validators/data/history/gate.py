"""The gate of a dataset's `checks`: each against what is known of earlier versions, or against
another dataset; and what is kept of this version."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from specs.dataset_checks import (
    LAST,
    ApartFromRule,
    DriftRule,
    FreshnessRule,
    RefersToRule,
    Rule,
    SchemaRule,
    SeenBeforeRule,
    VolumeRule,
)
from validators.data.answering.measure import Work, measure
from validators.data.checks import numbered
from validators.data.history.classifier import classifier_check
from validators.data.history.distribution import Distribution, summarised
from validators.data.history.drift import drift_checks, drifting_columns
from validators.data.history.freshness import freshness_check, of_nothing
from validators.data.history.past import (
    MOST_OBJECTS,
    MOST_VERSIONS,
    KeySample,
    Past,
    PastColumn,
    PastVersion,
    read_past,
)
from validators.data.history.related import apart_from_check, refers_to_check
from validators.data.history.request import HistoryRequest, RelatedDataset
from validators.data.history.schema import schema_check
from validators.data.history.seen import name_of, seen_before
from validators.data.history.verdicts import impossible, undecided
from validators.data.history.volume import volume_checks
from validators.data.metrics.kept import object_id
from validators.data.metrics.measured import MetricNeed
from validators.data.metrics.metric import Extremes, RowCount, position_of
from validators.data.reading.dataset import OpenedDataset
from validators.data.reading.files import Unreadable
from validators.data.reading.opening import open_dataset
from validators.data.reading.tables import object_check
from validators.report import Check, Report


def judge_history(request: HistoryRequest) -> Report:
    """Judge the version. What is known afterwards is written in any case: the outputs of a gate
    are all there or none."""
    past = read_past(request.history.known)
    target = Path(request.history.found)
    past.write(target)
    judgement = _Judgement(request, past)
    try:
        checks = judgement.checks()
    except Unreadable as error:
        checks = [object_check("readable", error.why, None, error.verdict)]
    else:
        judgement.past_with_this().write(target)
    critical = any(one.rule.severity == "critical" for one in request.checks)
    notes = list(judgement.notes)
    if not critical:
        notes.append("No check is critical: none of them can fail this gate.")
    return Report(
        gate="data",
        subject=f"{request.dataset} against other data",
        checks=numbered(checks),
        enforces=critical,
        provenance={"dataset": request.version},
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Judgement:
    """One judgement. Datasets are opened when a check needs them, each once."""

    request: HistoryRequest
    past: Past
    _others: dict[str, OpenedDataset] = field(default_factory=dict)
    _distributions: dict[str, Distribution] = field(default_factory=dict)
    _samples: dict[str, KeySample] = field(default_factory=dict)

    def checks(self) -> list[Check]:
        """The checks, in the spec's order. Raises `Unreadable`."""
        if not self.dataset.is_readable:
            return list(self.dataset.checks)
        where = self.request.where or (None,) * len(self.request.checks)
        return [
            check.model_copy(update={"where": place})
            for each, place in zip(self.request.checks, where, strict=True)
            for check in self._of(each.rule)
        ]

    @property
    def notes(self) -> Iterator[str]:
        """What a reader should know beyond the checks."""
        if "dataset" not in self.__dict__:
            return
        rows = self.dataset.rows if self.dataset.is_readable else 0
        yield f"{rows:,} row{'s' * (rows != 1)} in {len(self.request.objects):,} objects."
        last = self.past.last
        if last is not None and last.version == self.request.version:
            yield "This version is the last accepted one: it is compared with itself."

    @cached_property
    def dataset(self) -> OpenedDataset:
        """The version, with every column that is read. Problems of single objects are for the
        suite to judge; here a column that some objects lack is null there."""
        return open_dataset(self.request.objects, self._columns, frozenset(), self.request.reading)

    @property
    def _columns(self) -> frozenset[str] | None:
        """The columns that the checks read; None: all."""
        named: set[str] = set()
        for each in self.request.checks:
            rule = each.rule
            if isinstance(rule, FreshnessRule):
                named.add(rule.column)
            elif isinstance(rule, DriftRule | RefersToRule | ApartFromRule) and rule.columns:
                named.update(rule.columns)
            elif isinstance(rule, SeenBeforeRule) and rule.key:
                named.update(rule.key)
            elif not isinstance(rule, VolumeRule):
                return None
        return frozenset(named)

    def _of(self, rule: Rule) -> Iterator[Check]:
        if isinstance(rule, SchemaRule):
            yield schema_check(rule, self.past, self._schema)
        elif isinstance(rule, FreshnessRule):
            yield self._freshness(rule)
        elif isinstance(rule, VolumeRule):
            earlier = [one for one in self.past.versions if one.version != self.request.version]
            yield from volume_checks(rule, earlier, self._size)
        elif isinstance(rule, DriftRule):
            yield from self._drift(rule)
        elif isinstance(rule, SeenBeforeRule):
            yield self._seen(rule)
        else:
            yield self._related(rule)

    @property
    def _schema(self) -> tuple[PastColumn, ...]:
        kinds = self.dataset.kinds
        return tuple(
            PastColumn(name=name, type=_type_name(kinds[name]) if name in kinds else "several")
            for name in self.dataset.columns
        )

    def _freshness(self, rule: FreshnessRule) -> Check:
        kind = self.dataset.kinds.get(rule.column)
        if kind is None:
            why = f"there is no column `{rule.column}` of one type in all objects"
            name = f"freshness of {rule.column}"
            return impossible(name, why, "Correct `column`.", rule.column)
        if not self.dataset.rows:
            return of_nothing(rule)
        need = MetricNeed(None, Extremes(rule.column))
        state = measure(self.dataset, [need], Work())[need]
        if isinstance(state, Exception):
            raise state
        newest = position_of(state[1]) if state else None
        return freshness_check(rule, kind, newest, self.request.at)

    def _seen(self, rule: SeenBeforeRule) -> Check:
        if len(self.request.objects) > MOST_OBJECTS:
            why = f"which of more than {MOST_OBJECTS:,} objects are new is not known"
            return undecided("rows seen before", why)
        found = seen_before(rule, self.dataset, self._new, self.past)
        if found.sample is not None:
            self._samples[name_of(rule.key)] = found.sample
        return found.check

    def _drift(self, rule: DriftRule) -> Iterator[Check]:
        if rule.reference == LAST:
            yield from self._drift_from_last(rule)
            return
        problem = self._problem_of(rule.reference, rule.columns)
        if problem is not None:
            yield problem
            return
        other = self._other(rule.reference, rule.columns)
        both = [one for one in drifting_columns(rule, self.dataset) if one in other.kinds]
        if rule.classifier:
            yield classifier_check(rule, self.dataset, other, rule.columns or both)
            return
        reference = summarised(other, [one for one in both if one in self.dataset.kinds])
        yield from drift_checks(rule, self.dataset, reference, f"`{rule.reference}`")

    def _drift_from_last(self, rule: DriftRule) -> Iterator[Check]:
        columns = [one for one in drifting_columns(rule, self.dataset) if one in self.dataset.kinds]
        self._distributions.update(summarised(self.dataset, columns))
        yield from drift_checks(
            rule, self.dataset, self.past.distributions, "the last accepted version"
        )

    def _related(self, rule: RefersToRule | ApartFromRule) -> Check:
        wanted: Sequence[str] = rule.columns
        if isinstance(rule, RefersToRule):
            wanted = rule.columns_there or rule.columns
        problem = self._problem_of(rule.dataset, wanted)
        if problem is not None:
            return problem
        other = self._other(rule.dataset, wanted)
        if isinstance(rule, RefersToRule):
            return refers_to_check(rule, self.request.dataset, self.dataset, other)
        return apart_from_check(rule, self.request.dataset, self.dataset, other)

    def _problem_of(self, name: str, wanted: Sequence[str]) -> Check | None:
        """Why another dataset cannot be compared with, if it cannot."""
        if name not in self.request.others:
            return impossible(
                f"{name} is in the spec",
                f"the spec has no dataset `{name}`, which this check reads",
                f"Keep `datasets.{name}`.",
            )
        other = self._other(name, wanted)
        if other.is_readable:
            return None
        why = other.checks[0].message if other.checks else "it cannot be read"
        return impossible(f"{name} is readable", f"`{name}`: {why}", f"Correct `{name}`.")

    def _other(self, name: str, wanted: Sequence[str]) -> OpenedDataset:
        key = f"{name} {sorted(wanted)}"
        if key not in self._others:
            given: RelatedDataset = self.request.others[name]
            columns = frozenset(wanted) or None
            self._others[key] = open_dataset(given.objects, columns, frozenset(), given.reading)
        return self._others[key]

    @property
    def _objects(self) -> Mapping[str, str] | None:
        """What identifies each object, by its key; None if they cannot be told apart from those of
        other versions."""
        every = self.request.objects
        if len(every) > MOST_OBJECTS or any(one.digest is None for one in every):
            return None
        return {one.key: object_id(one.key, one.digest or "")[:16] for one in every}

    @cached_property
    def _new(self) -> OpenedDataset:
        """The objects that were not in the last accepted version, or all if these are not known.
        A second object of the same content is new; one that was moved is not."""
        ids, known = self._objects, Counter(self.past.objects or ())
        if ids is None or not known or any(part.key not in ids for part in self.dataset.parts):
            return self.dataset
        kept = []
        for part in self.dataset.parts:
            if known[ids[part.key]]:
                known[ids[part.key]] -= 1
            else:
                kept.append(part)
        parts = tuple(kept)
        return replace(self.dataset, parts=parts, rows=_rows_of(replace(self.dataset, parts=parts)))

    @cached_property
    def _size(self) -> PastVersion:
        return PastVersion(
            version=self.request.version,
            at=self.request.at,
            rows=self.dataset.rows,
            new_objects=sum(part.groups > 0 for part in self._new.parts),
            new_rows=self._new.rows,
        )

    def past_with_this(self) -> Past:
        """What is known of the accepted versions, should this become one."""
        if not self.dataset.is_readable:
            return self.past
        ids = self._objects
        others = [one for one in self.past.versions if one.version != self.request.version]
        return Past(
            versions=(*others, self._size)[-MOST_VERSIONS:],
            columns=self._schema if self._columns is None else self.past.columns,
            objects=None if ids is None else tuple(sorted(ids.values())),
            distributions=self._distributions,
            samples={**self.past.samples, **self._samples},
        )


def _rows_of(dataset: OpenedDataset) -> int:
    if not any(part.groups for part in dataset.parts):
        return 0
    need = MetricNeed(None, RowCount())
    return int(measure(dataset, [need], Work())[need])


def _type_name(kind: Any) -> str:
    """The name of a settled type; whether texts are long makes no difference."""
    return str(kind).removeprefix("large_")
