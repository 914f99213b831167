"""PURE. The quality rules of a contract, as expectations.

Rules of the library count rows or values; `unit: percent` counts them out of all rows for nulls
and out of those that are not null for invalid and duplicate values.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from specs.loading.explain import locate
from specs.loading.tree import YamlPath, parse
from validators.data.contracts.draft import ContractDraft, is_number
from validators.data.suites.suite import Severity, read_suite

_SAID: Final = (
    "id", "name", "description", "type", "metric", "rule", "arguments", "unit", "severity", "query",
    "engine", "implementation", "dimension", "method", "businessImpact", "schedule", "scheduler",
    "tags", "customProperties", "authoritativeDefinitions", "mustBe", "mustNotBe",
    "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan", "mustBeLessOrEqualTo",
    "mustBeBetween", "mustNotBeBetween", "validValues", "pattern",
)  # fmt: skip
_OLD_NAMES: Final = {"duplicateCount": "duplicateValues", "validValues": "invalidValues"}
"""What versions before 3.1 call a metric, as a `rule`."""
_SEVERITIES: Final[Mapping[str, Severity]] = {
    "info": "info", "low": "info", "warning": "warning", "medium": "warning",
}  # fmt: skip
_ENGINES: Final = ("greatexpectations", "greatexpectation", "gx")
_ONLY_SHARES: Final = "such a number is only checked as a share, or against 0"
_OPERATORS: Final = (
    "mustBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan",
    "mustBeLessOrEqualTo", "mustBeBetween",
)  # fmt: skip
"""Those that make a range; the others are not checked."""


class _Range(NamedTuple):
    """What a number must be: between two limits (None: no limit), which may be left out."""

    low: float | None
    high: float | None
    strict_low: bool = False
    strict_high: bool = False

    @property
    def is_zero(self) -> bool:
        """Whether only 0 is allowed, for what is never below it."""
        return self.high == 0 and not self.strict_high and self.low in (None, 0)

    @property
    def has_low(self) -> bool:
        """Whether it forbids something from 0 on."""
        return self.low is not None and (self.low > 0 or self.strict_low)

    def of_counts(self) -> dict[str, int]:
        """As the limits of a whole number."""
        found: dict[str, int] = {}
        if self.low is not None:
            found["min_value"] = (
                math.floor(self.low) + 1 if self.strict_low else math.ceil(self.low)
            )
        if self.high is not None:
            found["max_value"] = (
                math.ceil(self.high) - 1 if self.strict_high else math.floor(self.high)
            )
        return found


@dataclass(frozen=True)
class _Rule:
    """A rule of the library, of a column or of the table."""

    draft: ContractDraft
    said: Mapping[str, Any]
    path: YamlPath
    column: str | None
    wanted: _Range
    severity: Severity

    @property
    def metric(self) -> str:
        return _metric(self.said)

    @property
    def is_percent(self) -> bool:
        return str(self.said.get("unit", "rows")).lower() in ("percent", "%")

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What belongs into `arguments`, also where it stands beside them as in older versions."""
        found = self.said.get("arguments")
        beside = {key: self.said[key] for key in ("validValues", "pattern") if key in self.said}
        return {**beside, **(found if isinstance(found, dict) else {})}

    def expect(self, kind: str, **kwargs: Any) -> None:
        about = {} if self.column is None else {"column": self.column}
        self.draft.expect(kind, {**about, **kwargs}, self.path, self.severity)

    def expect_rows(self, condition: str) -> None:
        """How many rows meet a condition."""
        kwargs = {
            **self.wanted.of_counts(),
            "row_condition": condition,
            "condition_parser": "pandas",
        }
        self.draft.expect("table_row_count_to_be_between", kwargs, self.path, self.severity)

    def skip(self, why: str) -> None:
        about = f" of `{self.column}`" if self.column else ""
        self.draft.skip(f"the rule {self.metric}{about}: {why}", self.path)

    def mostly(self) -> dict[str, float] | None:
        """What share must be met so that at most so many per cent fail; None for another rule."""
        if self.wanted.is_zero:
            return {}
        if not self.is_percent or self.wanted.has_low or self.wanted.high is None:
            return None
        least = 1 - self.wanted.high / 100
        return {"mostly": math.nextafter(least, 2) if self.wanted.strict_high else least}


def _metric(said: Mapping[str, Any]) -> str:
    old = str(said.get("rule"))
    return str(said.get("metric") or _OLD_NAMES.get(old, old))


def quality_rules(draft: ContractDraft, rules: Any, path: YamlPath, column: str | None) -> None:
    """All rules of a column, or of the table for None."""
    if rules is None:
        return
    if not isinstance(rules, list):
        draft.wrong("`quality` is a list of rules", path, rules)
        return
    for at, rule in enumerate(rules):
        if isinstance(rule, dict):
            _rule(draft, rule, (*path, at), column)
        else:
            draft.wrong("a quality rule is a mapping", (*path, at), rule)


def _rule(
    draft: ContractDraft, rule: Mapping[str, Any], path: YamlPath, column: str | None
) -> None:
    draft.skip_unknown(rule, _SAID, path)
    kind = rule.get("type") or "library"
    called = rule.get("name") or rule.get("description") or rule.get("query") or kind
    if kind == "library":
        _library(draft, rule, path, column)
    elif kind == "custom" and _is_great_expectations(rule.get("engine")):
        _own(draft, rule, path)
    elif kind == "custom":
        draft.skip(f"a rule of the engine {rule.get('engine')}: {called}", path)
    else:
        draft.skip(f"a rule as {'text' if kind == 'text' else 'SQL'}: {called}", path)


def _is_great_expectations(engine: Any) -> bool:
    plain = str(engine).lower().replace("-", "").replace("_", "").replace(" ", "")
    return plain in _ENGINES


def _severity(rule: Mapping[str, Any]) -> Severity:
    return _SEVERITIES.get(str(rule.get("severity")).lower(), "critical")


def _own(draft: ContractDraft, rule: Mapping[str, Any], path: YamlPath) -> None:
    """Expectations that are written as in a suite: one, or a list, as YAML or as text."""
    given = rule.get("implementation")
    if isinstance(given, str):
        tree = parse(given)
        given = tree.root.plain if tree.root is not None and not tree.faults else None
    entries = given if isinstance(given, list) else [given]
    if isinstance(given, dict) and isinstance(given.get("expectations"), list):
        entries = given["expectations"]
    where = (*path, "implementation")
    found = read_suite(
        json.dumps({"name": "rule", "expectations": entries}, default=str), "x.json", draft.params
    )
    for problem in found.problems:
        draft.wrong(problem.message, where, problem.found, problem.expected)
    line, column = locate(draft.tree, where) if draft.tree.root else (1, 1)
    said = rule.get("severity") is not None
    for one in found.expectations:
        severity = _severity(rule) if said else one.severity
        draft.add(replace(one, line=line, column=column, severity=severity))


# -- the library -----------------------------------------------------------------------------------


def _library(
    draft: ContractDraft, said: Mapping[str, Any], path: YamlPath, column: str | None
) -> None:
    given = [key for key in said if key.startswith("must")]
    if not given and said.get("rule") == "validValues":
        given, said = ["mustBe"], {**said, "mustBe": 0}
    if not given:
        draft.wrong(f"the rule needs one of {', '.join(_OPERATORS)}", path)
    for key in given:
        wanted = _wanted(draft, said, key, path)
        if wanted is not None:
            _measured(_Rule(draft, said, path, column, wanted, _severity(said)))


def _measured(rule: _Rule) -> None:
    column = rule.column
    if rule.metric == "rowCount":
        _row_count(rule)
    elif rule.metric == "duplicateValues" and column is None:
        _duplicate_rows(rule)
    elif column is None or rule.metric not in _OF_COLUMNS:
        rule.skip("it is not a metric of " + ("the table" if column is None else "a column"))
    else:
        _OF_COLUMNS[rule.metric](rule)


def _wanted(
    draft: ContractDraft, said: Mapping[str, Any], key: str, path: YamlPath
) -> _Range | None:
    """The range that an operator of a rule asks for; None if that cannot be checked."""
    value = said[key]
    limits = value if isinstance(value, list) else [value]
    if not all(is_number(one) for one in limits):
        draft.wrong(f"`{key}` is a number", (*path, key), value)
        return None
    match key, limits:
        case "mustBe", [one]:
            return _Range(one, one)
        case "mustBeGreaterThan", [one]:
            return _Range(one, None, strict_low=True)
        case "mustBeGreaterOrEqualTo", [one]:
            return _Range(one, None)
        case "mustBeLessThan", [one]:
            return _Range(None, one, strict_high=True)
        case "mustBeLessOrEqualTo", [one]:
            return _Range(None, one)
        case "mustBeBetween", [low, high]:
            return _Range(low, high)
    draft.skip(f"`{key}: {value}` of the rule {_metric(said)}", path)
    return None


def _row_count(rule: _Rule) -> None:
    if rule.is_percent:
        rule.skip("a number of rows is no share")
    else:
        kwargs = rule.wanted.of_counts()
        rule.draft.expect("table_row_count_to_be_between", kwargs, rule.path, rule.severity)


def _null_values(rule: _Rule) -> None:
    column = rule.column
    wanted = rule.wanted
    if wanted.is_zero:
        rule.expect("column_values_to_not_be_null")
    elif rule.is_percent:
        share: dict[str, Any] = {}
        if wanted.high is not None:
            share |= {"min_value": 1 - wanted.high / 100, "strict_min": wanted.strict_high}
        if wanted.low is not None:
            share |= {"max_value": 1 - wanted.low / 100, "strict_max": wanted.strict_low}
        rule.expect("column_proportion_of_non_null_values_to_be_between", **share)
    else:
        rule.expect_rows(f"`{column}`.isnull()")


def _missing_values(rule: _Rule) -> None:
    """Nulls, if they are listed, and texts that mean that there is no value."""
    listed = rule.arguments.get("missingValues")
    if not isinstance(listed, list):
        _null_values(rule)
        return
    texts = [one for one in listed if one is not None]
    if not texts:
        _null_values(rule)
    elif rule.wanted.is_zero:
        if None in listed:
            rule.expect("column_values_to_not_be_null")
        rule.expect("column_values_to_not_be_in_set", value_set=texts)
    elif not rule.is_percent:
        null = f"`{rule.column}`.isnull() or " if None in listed else ""
        rule.expect_rows(f"{null}`{rule.column}`.isin({texts!r})")
    else:
        rule.skip("a share of values that mean null is only checked against 0")


def _invalid_values(rule: _Rule) -> None:
    listed, pattern = rule.arguments.get("validValues"), rule.arguments.get("pattern")
    valid = [one for one in listed if one is not None] if isinstance(listed, list) else []
    mostly = rule.mostly()
    if not valid and pattern is None:
        rule.skip("it has neither `validValues` nor a `pattern`")
    elif mostly is None and pattern is None and not rule.is_percent:
        rule.expect_rows(f"`{rule.column}`.notnull() and not `{rule.column}`.isin({valid!r})")
    elif mostly is None:
        rule.skip(_ONLY_SHARES)
    elif valid and pattern is not None and mostly:
        rule.skip("a share of values that are not listed or do not match is not counted together")
    else:
        if valid:
            rule.expect("column_values_to_be_in_set", value_set=valid, **mostly)
        if pattern is not None:
            rule.expect("column_values_to_match_regex", regex=str(pattern), **mostly)


def _duplicate_values(rule: _Rule) -> None:
    mostly = rule.mostly()
    if mostly is None:
        rule.skip(_ONLY_SHARES)
    else:
        rule.expect("column_values_to_be_unique", **mostly)


def _duplicate_rows(rule: _Rule) -> None:
    named = rule.arguments.get("properties")
    mostly = rule.mostly()
    if not isinstance(named, list) or not named or not all(isinstance(one, str) for one in named):
        rule.skip("it has no `arguments: {properties: [...]}`")
        return
    columns = [rule.draft.columns.get(one, one) for one in named]
    if mostly is None:
        rule.skip(_ONLY_SHARES)
    elif len(columns) == 1:
        rule.expect("column_values_to_be_unique", column=columns[0], **mostly)
    else:
        rule.expect("compound_columns_to_be_unique", column_list=columns, **mostly)


_OF_COLUMNS: Final = {
    "nullValues": _null_values,
    "missingValues": _missing_values,
    "invalidValues": _invalid_values,
    "duplicateValues": _duplicate_values,
}
