"""PURE. What the schema of a contract says of a property, as expectations of its column."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from specs.loading.tree import YamlPath
from validators.data.contracts.draft import ContractDraft, is_number
from validators.data.contracts.quality import quality_rules
from validators.data.values.type_names import is_type_name

_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "string": ("string",),
    "integer": ("integer",),
    "number": ("floating", "decimal", "integer"),
    "boolean": ("boolean",),
    "date": ("date",),
    "timestamp": ("timestamp",),
    "time": ("time",),
    "array": ("list",),
    "object": ("struct",),
    "map": ("map",),
}
"""The names of types that a column of a logical type may have."""
_SAID: Final = (
    "name", "id", "logicalType", "logicalTypeOptions", "physicalType", "physicalName", "required",
    "unique", "primaryKey", "primaryKeyPosition", "quality", "businessName", "description", "tags",
    "customProperties", "authoritativeDefinitions", "classification", "criticalDataElement",
    "encryptedName", "examples", "partitioned", "partitionKeyPosition", "transformDescription",
    "transformLogic", "transformSourceObjects", "relationships", "properties", "items", "map",
    "enum", "deprecated",
)  # fmt: skip
"""The keys of a property, of versions 3.0 to 3.2."""
_FLAGS: Final = ("required", "unique", "primaryKey")
_FORMATS: Final[Mapping[str, str]] = {
    "uuid": "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
    "ipv4": r"^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\.(?!$)|$)){4}$",
    "email": r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
}
"""Patterns of the formats of strings that can be told by one."""
_BITS: Final = (8, 16, 32, 64, 128)
_LENGTHS: Final = (("minLength", "min_value"), ("maxLength", "max_value"))
_LIMITS: Final = (
    ("minimum", "min_value", None),
    ("maximum", "max_value", None),
    ("exclusiveMinimum", "min_value", "strict_min"),
    ("exclusiveMaximum", "max_value", "strict_max"),
)


def column_of(one: Mapping[str, Any]) -> str:
    """The column of a property: its physical name if it has one."""
    return str(one.get("physicalName") or one.get("name"))


def of_property(draft: ContractDraft, one: Mapping[str, Any], path: YamlPath) -> None:
    """All that is asked of one column; keys of several columns are asked of the object."""
    column = column_of(one)
    draft.skip_unknown(one, _SAID, path)
    draft.expect("column_to_exist", {"column": column}, path)
    for flag in _FLAGS:
        if not isinstance(one.get(flag, False), bool):
            draft.wrong(f"`{flag}` is true or false", (*path, flag), one[flag], "true or false")
    _type(draft, one, column, path)
    if one.get("required") is True or one.get("primaryKey") is True:
        flag = "required" if one.get("required") is True else "primaryKey"
        draft.expect("column_values_to_not_be_null", {"column": column}, (*path, flag))
    if one.get("unique") is True:
        draft.expect("column_values_to_be_unique", {"column": column}, (*path, "unique"))
    options = one.get("logicalTypeOptions") or {}
    if isinstance(options, dict):
        _options(draft, options, str(one.get("logicalType")), column, (*path, "logicalTypeOptions"))
    else:
        draft.wrong("`logicalTypeOptions` is a mapping", (*path, "logicalTypeOptions"), options)
    _enum(draft, one.get("enum"), column, (*path, "enum"))
    for inner in ("properties", "items", "map"):
        if one.get(inner):
            draft.skip(f"`{inner}` inside of `{column}`", (*path, inner))
    if one.get("relationships"):
        draft.skip(f"the relationships of `{column}`", (*path, "relationships"))
    quality_rules(draft, one.get("quality"), (*path, "quality"), column)


def _type(draft: ContractDraft, one: Mapping[str, Any], column: str, path: YamlPath) -> None:
    logical, physical = one.get("logicalType"), one.get("physicalType")
    if logical is None:
        if physical is not None:
            _physical(draft, str(physical), column, (*path, "physicalType"))
        return
    names = _TYPES.get(logical) if isinstance(logical, str) else None
    if names is None:
        expected = ", ".join(_TYPES)
        draft.wrong("unknown `logicalType`", (*path, "logicalType"), logical, expected)
        return
    if logical == "string":
        draft.texts.add(column)
    options = one.get("logicalTypeOptions")
    if logical == "timestamp" and isinstance(options, dict) and options.get("timezone") is True:
        names = ("timestamp with time zone",)
    _typed(draft, column, names, (*path, "logicalType"))


def _physical(draft: ContractDraft, name: str, column: str, path: YamlPath) -> None:
    """The type in the system that the contract is about, if that has a meaning here, too."""
    if is_type_name(name):
        _typed(draft, column, (name,), path)
    else:
        draft.skip(f"the physical type {name} of `{column}`: give it a `logicalType`", path)


def _typed(draft: ContractDraft, column: str, names: Sequence[str], path: YamlPath) -> None:
    if len(names) == 1:
        kwargs: dict[str, Any] = {"column": column, "type_": names[0]}
        draft.expect("column_values_to_be_of_type", kwargs, path)
    else:
        kwargs = {"column": column, "type_list": list(names)}
        draft.expect("column_values_to_be_in_type_list", kwargs, path)


def _enum(draft: ContractDraft, listed: Any, column: str, path: YamlPath) -> None:
    """The values that a column may have, as version 3.2 lists them."""
    if listed is None:
        return
    if not isinstance(listed, list) or not all(
        isinstance(one, dict) and "value" in one for one in listed
    ):
        draft.wrong("`enum` is a list of mappings with a `value`", path, listed)
        return
    kwargs = {"column": column, "value_set": [one["value"] for one in listed]}
    draft.expect("column_values_to_be_in_set", kwargs, path)


# -- logicalTypeOptions ----------------------------------------------------------------------------


def _options(
    draft: ContractDraft, options: Mapping[str, Any], logical: str, column: str, path: YamlPath
) -> None:
    checked = _checked_options(logical)
    for key, value in options.items():
        if key not in checked and key not in _SILENT:
            draft.skip(f"`{key}: {value}` of `{column}`", (*path, key))
    if "minLength" in checked:
        _lengths(draft, options, column, path)
        if "pattern" in options:
            _matches(draft, column, str(options["pattern"]), (*path, "pattern"))
    for key, limit, strict in _LIMITS:
        if key in options and key in checked:
            _limit(draft, column, options[key], limit, strict, (*path, key))
    if "multipleOf" in checked and "multipleOf" in options:
        _multiples(draft, options["multipleOf"], column, (*path, "multipleOf"))
    if "format" in options:
        _format(draft, logical, str(options["format"]), column, (*path, "format"))


_SILENT: Final = ("timezone", "defaultTimezone")
"""Options that change how others are understood, and ask nothing themselves."""


def _checked_options(logical: str) -> tuple[str, ...]:
    """The options of a logical type that are checked; of a property without one, any of them."""
    limits = tuple(key for key, _, _ in _LIMITS)
    texts = ("minLength", "maxLength", "pattern", "format")
    return {
        "None": (*texts, *limits),
        "string": texts,
        "integer": (*limits, "format", "multipleOf"),
        "number": (*limits, "format"),
        "date": (*limits, "format"),
        "timestamp": (*limits, "format"),
        "time": (*limits, "format"),
    }.get(logical, ())


def _lengths(draft: ContractDraft, options: Mapping[str, Any], column: str, path: YamlPath) -> None:
    limits: dict[str, int] = {}
    for key, limit in _LENGTHS:
        value = options.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            draft.wrong(f"`{key}` is a number of characters", (*path, key), value)
            continue
        limits[limit] = value
    if limits:
        kwargs = {"column": column, **limits}
        draft.expect("column_value_lengths_to_be_between", kwargs, path)


def _matches(draft: ContractDraft, column: str, pattern: str, path: YamlPath) -> None:
    kwargs = {"column": column, "regex": pattern}
    draft.expect("column_values_to_match_regex", kwargs, path)


def _limit(
    draft: ContractDraft, column: str, value: Any, limit: str, strict: str | None, path: YamlPath
) -> None:
    if not (is_number(value) or isinstance(value, str)):
        draft.wrong("a limit is a number, or text for dates and times", path, value)
        return
    if isinstance(value, str) and not _is_moment(value):
        draft.skip(f"the limit {value} of `{column}`: write it as 2024-05-01 or 12:30", path)
        return
    flag = {} if strict is None else {strict: True}
    draft.expect("column_values_to_be_between", {"column": column, limit: value, **flag}, path)


def _is_moment(value: str) -> bool:
    """Whether the text is a day, a time or a time of day that limits can be read from."""
    for text in (value, f"2024-05-01T{value}"):
        try:
            datetime.fromisoformat(text)
        except ValueError:
            continue
        return True
    return False


def _multiples(draft: ContractDraft, of: Any, column: str, path: YamlPath) -> None:
    """Whole numbers only: whether a float is a multiple is a matter of its rounding."""
    if not is_number(of) or of <= 0:
        draft.wrong("`multipleOf` is a number above zero", path, of)
    elif of != int(of):
        draft.skip(f"`multipleOf: {of}` of `{column}`", path)
    else:
        others = f"`{column}`.notnull() and `{column}` % {int(of)} != 0"
        kwargs = {"max_value": 0, "row_condition": others, "condition_parser": "pandas"}
        draft.expect("table_row_count_to_be_between", kwargs, path)


def _format(draft: ContractDraft, logical: str, name: str, column: str, path: YamlPath) -> None:
    if logical == "string" and name in _FORMATS:
        _matches(draft, column, _FORMATS[name], path)
    elif logical == "integer" and (limits := _of_bits(name)):
        kwargs = {"column": column, "min_value": limits[0], "max_value": limits[1]}
        draft.expect("column_values_to_be_between", kwargs, path)
    else:
        draft.skip(f"the format {name} of `{column}`", path)


def _of_bits(name: str) -> tuple[int, int] | None:
    """The least and greatest number of a type of Rust's, such as `u16`."""
    kind, bits = name[:1], name[1:]
    if kind not in ("i", "u") or not bits.isdecimal() or int(bits) not in _BITS:
        return None
    if kind == "u":
        return 0, 2 ** int(bits) - 1
    return -(2 ** (int(bits) - 1)), 2 ** (int(bits) - 1) - 1
