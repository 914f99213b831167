"""The Arrow type of a result's column: declared by the database, or inferred from the values."""

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final
from uuid import UUID

from specs.failures import NeedsHuman

EXACT: Final = 1 << 53
"""A double represents every integer up to here exactly."""
MAX_DIGITS: Final = 76
"""The most digits of a decimal in Arrow."""

DeclaredType = tuple[str, int | None, int | None]
"""The type that the database declares: a key of `_types`, `decimal`, or empty for none; and for a
decimal its precision and scale."""

_OIDS: Final[Mapping[int, str]] = {
    16: "bool", 17: "binary", 18: "string", 19: "string", 20: "int64", 21: "int16", 23: "int32",
    25: "string", 26: "int64", 114: "json", 700: "float", 701: "double", 1042: "string",
    1043: "string", 1082: "date", 1083: "time", 1114: "timestamp", 1184: "timestamptz",
    1186: "duration", 1700: "decimal", 2950: "string", 3802: "json",
    1000: "list bool", 1005: "list int16", 1007: "list int32", 1016: "list int64",
    1009: "list string", 1015: "list string", 1021: "list float", 1022: "list double",
}  # fmt: skip
"""PostgreSQL's types, by their ids in pg_type."""
_DECLARED: Final = (
    ("BOOL", "bool"), ("INT", "int64"), ("CHAR", "string"), ("CLOB", "string"), ("TEXT", "string"),
    ("BLOB", "binary"), ("REAL", "double"), ("FLOA", "double"), ("DOUB", "double"),
    ("DEC", "double"), ("NUM", "double"), ("DATETIME", "timestamp"), ("TIMESTAMP", "timestamp"),
    ("DATE", "date"),
)  # fmt: skip
"""What SQLite's declared types contain; the first match counts."""


@cache
def _types() -> Mapping[str, Any]:
    import pyarrow as pa

    plain = {
        "bool": pa.bool_(), "int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(),
        "float": pa.float32(), "double": pa.float64(), "string": pa.string(),
        "json": pa.string(), "binary": pa.binary(), "date": pa.date32(), "time": pa.time64("us"),
        "timestamp": pa.timestamp("us"), "timestamptz": pa.timestamp("us", tz="UTC"),
        "duration": pa.duration("us"),
    }  # fmt: skip
    return {**plain, **{f"list {name}": pa.list_(of) for name, of in plain.items()}}


def declared_by_postgresql(description: Any) -> DeclaredType:
    """The declared type from psycopg's description of a column."""
    kind = _OIDS.get(description.type_code, "")
    if kind != "decimal":
        return kind, None, None
    return kind, description.precision, description.scale


def declared_by_sqlite(declared: str) -> DeclaredType:
    """The declared type of a column in SQLite; `declared` is empty for an expression."""
    upper = declared.upper()
    return next((kind for word, kind in _DECLARED if word in upper), ""), None, None


@dataclass
class QueryColumn:
    """A column, and what is known about its values so far."""

    name: str
    said: DeclaredType = ("", None, None)
    loose: bool = False
    """Whether values may have other types than declared, as in SQLite."""
    kinds: set[type] = field(default_factory=set)
    """The Python types of the values."""
    whole: int = 0
    """The most digits before the decimal point."""
    behind: int = 0
    """The most digits after it."""
    odd: bool = False
    """Whether a decimal is NaN or infinite."""
    doubles: bool = True
    """Whether a double represents every number exactly."""
    wide: bool = False
    """Whether an integer needs more than 64 bits."""
    flags: bool = True
    """Whether every integer is 0 or 1."""
    zones: set[bool] = field(default_factory=set)
    """Whether times have a zone: both if some have."""
    texts: dict[str, bool] = field(default_factory=dict)
    """For `date` and `timestamp`: whether every text can be parsed as one."""

    def observe(self, values: list[Any]) -> None:
        """Take more values into account."""
        kinds = set(map(type, values)) - {type(None)}
        self.kinds |= kinds
        if Decimal in kinds:
            for value in values:
                if isinstance(value, Decimal):
                    self._digits(value)
        if int in kinds:
            numbers = [value for value in values if type(value) is int]
            least, most = min(numbers), max(numbers)
            self.wide |= least < -(1 << 63) or most >= 1 << 63
            self.doubles &= max(-least, most) <= EXACT
            self.flags &= least >= 0 and most <= 1
            self.whole = max(self.whole, len(str(max(-least, most))))
        if datetime in kinds:
            moments = (value for value in values if isinstance(value, datetime))
            self.zones |= {moment.tzinfo is not None for moment in moments}
        if str in kinds and self.loose and self.said[0] in _READERS:
            self._texts(self.said[0], values)

    def _digits(self, value: Decimal) -> None:
        if not value.is_finite():
            self.odd = True
            return
        _, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int), "it is finite"
        self.behind = max(self.behind, -exponent)
        self.whole = max(self.whole, len(digits) + exponent)
        self.doubles &= Decimal(repr(float(value))) == value

    def _texts(self, kind: str, values: list[Any]) -> None:
        if self.texts.get(kind, True):
            fits = False
            with suppress(ValueError):
                for value in values:
                    if isinstance(value, str):
                        _READERS[kind](value)
                fits = True
            self.texts[kind] = fits

    def type(self) -> Any:
        """The Arrow type, once all values were observed. Raises `NeedsHuman`."""
        kind, digits, behind = self.said
        if kind == "decimal" or Decimal in self.kinds:
            return self._decimal(digits, behind)
        if kind and (not self.loose or self._fits(kind)):
            return _types()[kind]
        return _types()[self._by_values()]

    def _fits(self, kind: str) -> bool:
        """Whether all values have the declared type."""
        allowed = _LOOSE.get(kind, frozenset())
        if kind in _READERS and self.kinds == {str}:
            return self.texts.get(kind, False)
        if kind == "double" and int in self.kinds and not self.doubles:
            return False
        if kind == "bool" and not self.flags:
            return False
        return self.kinds <= allowed and not self.wide

    def _decimal(self, digits: int | None, behind: int | None) -> Any:
        import pyarrow as pa

        if self.odd or float in self.kinds:
            if self.doubles:
                return _types()["double"]
            raise NeedsHuman(
                f"column {self.name} has NaN or infinity and also numbers that a double cannot "
                "represent; cast it in the statement, or leave those rows out"
            )
        if digits is None or behind is None or behind < self.behind:
            behind = self.behind
            digits = max(self.whole + behind, behind, 1)
        if digits > MAX_DIGITS:
            raise NeedsHuman(
                f"column {self.name} has numbers with {digits} digits, but a decimal has at most "
                f"{MAX_DIGITS}; cast it in the statement"
            )
        return pa.decimal128(digits, behind) if digits <= 38 else pa.decimal256(digits, behind)

    def _by_values(self) -> str:
        names = {kind.__name__ for kind in self.kinds}
        if self.wide:
            raise NeedsHuman(
                f"column {self.name} has integers of more than 64 bits; cast it in the statement"
            )
        if names == {"int", "float"} and not self.doubles:
            raise NeedsHuman(
                f"column {self.name} has floats and also integers that a double cannot represent; "
                "cast it in the statement"
            )
        if names == {"datetime"} and len(self.zones) == 1:
            return "timestamptz" if True in self.zones else "timestamp"
        for kind, fitting in _VALUES.items():
            if names <= fitting:
                return kind
        raise NeedsHuman(
            f"column {self.name} has values of the types {', '.join(sorted(names))}, but a column "
            "of a Parquet file has one type; cast it in the statement"
        )

    def array(self, values: list[Any], type_: Any) -> Any:
        """Some of its values as an array of that type. Raises `NeedsHuman` if one does not fit."""
        import pyarrow as pa

        try:
            return pa.array(self._plain(values, type_), type_)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            raise NeedsHuman(
                f"column {self.name} has values that are not of type {type_}; cast it in the "
                "statement"
            ) from None

    def _plain(self, values: list[Any], type_: Any) -> list[Any]:
        from pyarrow import types

        if types.is_string(type_):
            return [None if value is None else _text(value) for value in values]
        if types.is_binary(type_):
            return [None if value is None else bytes(value) for value in values]
        if types.is_floating(type_):
            return [None if value is None else float(value) for value in values]
        if types.is_boolean(type_):
            return [None if value is None else bool(value) for value in values]
        reader = _READERS.get(self.said[0]) if self.loose and str in self.kinds else None
        if reader is not None and not types.is_string(type_):
            return [None if value is None else reader(value) for value in values]
        return values


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, UUID):
        return str(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=_json)


def _json(value: object) -> object:
    if isinstance(value, Decimal) and math.isfinite(value):
        return float(value)
    return str(value)


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is not None:
        raise ValueError("texts with a time zone stay texts")
    return found


_READERS: Final[Mapping[str, Callable[[str], date]]] = {
    "date": date.fromisoformat,
    "timestamp": _moment,
}
_LOOSE: Final[Mapping[str, frozenset[type]]] = {
    "bool": frozenset({int}),
    "int64": frozenset({int}),
    "double": frozenset({int, float}),
    "string": frozenset({str}),
    "binary": frozenset({bytes}),
    "date": frozenset(),
    "timestamp": frozenset(),
}
"""The Python types of SQLite's values that conform to a declared type."""
_VALUES: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"str"}),
    "bool": frozenset({"bool"}),
    "int64": frozenset({"int"}),
    "double": frozenset({"float", "int"}),
    "binary": frozenset({"bytes", "memoryview", "bytearray"}),
    "date": frozenset({"date"}),
    "time": frozenset({"time"}),
    "duration": frozenset({"timedelta"}),
    "json": frozenset({"dict", "list", "UUID"}),
}
"""The type for values of these Python types: the first that has all. Without values, string."""
