"""Checks of a dataset version beyond its own table: against the versions before it and against
other datasets of the spec. A data gate judges them, beside the suite."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from specs.base import Many, Name, Spec, Text
from specs.values import Duration, Percent

SchemaChange = Literal["added", "removed", "retyped", "widened", "reordered"]
COMPATIBLE: Final[tuple[SchemaChange, ...]] = ("added", "widened", "reordered")
"""Changes that a reader of the columns it knows does not notice."""
Season = Literal["hour", "weekday", "day", "month"]
DriftMeasure = Literal["psi", "jensen_shannon", "wasserstein"]
LAST: Final = "last"
"""The reference that is the last accepted version."""


CheckSeverity = Annotated[
    Literal["critical", "warning"],
    Field(description="Whether a failure stops the version or only warns."),
]


class SchemaRule(Spec):
    """The schema may change from the last accepted version only in these ways."""

    allow: Many[SchemaChange] = Field(
        default=COMPATIBLE,
        description="The changes that pass. `widened` is a type that holds every value of the one "
        "before, such as int64 after int32; `retyped` is any other.",
    )
    severity: CheckSeverity = "critical"


class FreshnessRule(Spec):
    """The newest value of a column of times must not be too old when the run began."""

    column: Text = Field(
        description="A column of dates or times. Times without a zone are UTC; a date is its "
        "first moment."
    )
    within: Duration = Field(description="The greatest age that passes, such as 26h.")
    severity: CheckSeverity = "critical"

    @model_validator(mode="after")
    def _is_an_age(self) -> Self:
        if self.within <= timedelta():
            raise ValueError("expected `within` to be more than 0s: every value has some age")
        return self


class VolumeRule(Spec):
    """The number of rows must be near the median of the last accepted versions."""

    within: Percent = Field(
        gt=0, description="How far from the median the number may be, such as 40%."
    )
    of: int = Field(default=8, ge=3, le=50, description="How many accepted versions count.")
    season: Season | None = Field(
        default=None,
        description="Compare only with versions of the same hour, weekday, day of the month or "
        "month, in UTC, as their runs began.",
    )
    severity: CheckSeverity = "critical"


class DriftRule(Spec):
    """Columns must be distributed as in a reference. Fails only if the lower end of the effect's
    interval is above the limit."""

    columns: Many[Text] = Field(
        default=(), description="The columns; by default all but dates and times."
    )
    reference: Name = Field(
        default=LAST,
        description="`last`, the last accepted version, or the name of another dataset of the "
        "spec.",
    )
    measure: DriftMeasure = Field(
        default="psi",
        description="`psi`, `jensen_shannon` (a distance of 0 to 1), or `wasserstein` (in units "
        "of the distance from the reference's first to its last decile).",
    )
    classifier: bool = Field(
        default=False,
        description="Instead of each column alone: whether a classifier can tell the rows from "
        "those of another dataset, by the area under its ROC curve, from 0.5 to 1.",
    )
    at_most: float = Field(
        gt=0, allow_inf_nan=False, description="The greatest effect that passes, such as 0.2."
    )
    severity: CheckSeverity = "critical"

    @model_validator(mode="after")
    def _has_rows(self) -> Self:
        if not self.classifier:
            return self
        if self.reference == LAST:
            raise ValueError(
                "expected `reference` to name another dataset for `classifier`: no rows of the "
                "last accepted version are kept"
            )
        if "measure" in self.model_fields_set:
            raise ValueError("expected `measure` or `classifier`, not both")
        if not 0.5 < self.at_most < 1:
            raise ValueError("expected `at_most` between 0.5 and 1 for `classifier`")
        return self


class SeenBeforeRule(Spec):
    """Rows of new objects must not have been in an earlier accepted version."""

    key: Many[Text] = Field(
        default=(), description="The columns that identify a row; by default all columns."
    )
    at_most: Percent = Field(default=0.0, description="The share of rows that passes, such as 1%.")
    severity: CheckSeverity = "critical"


class RefersToRule(Spec):
    """The values of columns must be in another dataset of the spec."""

    columns: Many[Text] = Field(min_length=1, description="The columns that refer to it.")
    dataset: Name = Field(description="The name under `datasets` of what they refer to.")
    columns_there: Many[Text] = Field(
        default=(), description="The columns there; by default those of the same names."
    )
    at_least: Percent = Field(
        default=1.0, description="The share of rows that passes, such as 99.9%."
    )
    severity: CheckSeverity = "critical"

    @model_validator(mode="after")
    def _is_paired(self) -> Self:
        if self.columns_there and len(self.columns_there) != len(self.columns):
            raise ValueError("expected as many `columns_there` as `columns`")
        return self


class ApartFromRule(Spec):
    """Rows must not be in another dataset of the spec, such as the one that evaluates the model."""

    dataset: Name = Field(description="The name under `datasets` of the other part.")
    columns: Many[Text] = Field(
        default=(), description="The columns that identify a row; by default all that both have."
    )
    at_most: Percent = Field(
        default=0.0, description="The share of rows in both that passes, such as 0.1%."
    )
    severity: CheckSeverity = "critical"


Rule = (
    SchemaRule
    | FreshnessRule
    | VolumeRule
    | DriftRule
    | SeenBeforeRule
    | RefersToRule
    | ApartFromRule
)
KEYS: Final = ("schema", "freshness", "volume", "drift", "seen_before", "refers_to", "apart_from")


class DatasetCheck(Spec):
    """One check: a mapping with one key, which says what is checked."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [key]} for key in KEYS]},
    )

    schema_: SchemaRule | None = Field(
        default=None,
        alias="schema",
        description="Which changes of the schema pass, against the last accepted version.",
    )
    freshness: FreshnessRule | None = Field(
        default=None, description="How old the newest value of a column may be."
    )
    volume: VolumeRule | None = Field(
        default=None, description="How far the number of rows may be from that of past versions."
    )
    drift: DriftRule | None = Field(
        default=None, description="How far the values of columns may be from a reference's."
    )
    seen_before: SeenBeforeRule | None = Field(
        default=None, description="How many rows of new objects may be in an earlier version."
    )
    refers_to: RefersToRule | None = Field(
        default=None, description="How many rows must have their counterpart in another dataset."
    )
    apart_from: ApartFromRule | None = Field(
        default=None, description="How many rows may be in another dataset as well."
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(rule is not None for _, rule in self._rules) != 1:
            raise ValueError(f"expected exactly one of {', '.join(KEYS)}")
        return self

    @property
    def _rules(self) -> tuple[tuple[str, Rule | None], ...]:
        return (
            ("schema", self.schema_),
            ("freshness", self.freshness),
            ("volume", self.volume),
            ("drift", self.drift),
            ("seen_before", self.seen_before),
            ("refers_to", self.refers_to),
            ("apart_from", self.apart_from),
        )

    @property
    def kind(self) -> str:
        """The key that says what is checked."""
        return next(key for key, rule in self._rules if rule is not None)

    @property
    def rule(self) -> Rule:
        """What is checked."""
        return next(rule for _, rule in self._rules if rule is not None)

    @property
    def other(self) -> str | None:
        """The other dataset that it reads, by its name in the spec."""
        rule = self.rule
        if isinstance(rule, DriftRule):
            return None if rule.reference == LAST else rule.reference
        return rule.dataset if isinstance(rule, RefersToRule | ApartFromRule) else None

    def __str__(self) -> str:
        """In one line, as it is written: `freshness: column placed_at, within 26h`."""
        said = ", ".join(f"{name} {_in_words(value)}" for name, value in self._said.items())
        return f"{self.kind}: {said}" if said else self.kind

    @property
    def _said(self) -> dict[str, Any]:
        return self.rule.model_dump(mode="json", exclude_defaults=True)

    @property
    def as_asked(self) -> Mapping[str, Any]:
        """As plain JSON, without what is the default: part of the gate's cache key, so that a new
        setting does not change the keys of checks that do not use it."""
        return {self.kind: self._said}


def _in_words(value: Any) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
