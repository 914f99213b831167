"""The names by which a suite may call a column's type.

Suites use the names of pandas 1, 2 and 3, numpy, Arrow, Spark and SQL. One table covers all of
them; docs/data-gate.md shows it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from specs.figures import clip
from specs.loading.explain import nearest
from validators.data.values.literals import Unfit

TYPE_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "integer": ("int", "integer", "long", "int_", "integertype"),
    "int8": ("int8", "tinyint", "bytetype"),
    "int16": ("int16", "smallint", "short", "shorttype"),
    "int32": ("int32", "int4", "mediumint"),
    "int64": ("int64", "bigint", "longtype"),
    "uint8": ("uint8",),
    "uint16": ("uint16",),
    "uint32": ("uint32",),
    "uint64": ("uint64",),
    "floating": ("float", "floating", "float_"),
    "halffloat": ("float16", "half", "halffloat"),
    "float": ("float32", "real", "float4", "single", "floattype"),
    "double": ("float64", "double", "double precision", "float8", "doubletype"),
    "decimal": ("decimal", "numeric", "decimal128", "decimal256", "decimaltype"),
    "bool": ("bool", "boolean", "bool_", "booleantype"),
    "text": (
        "str", "string", "text", "str_", "unicode", "string_types", "varchar", "char", "nvarchar",
        "utf8", "large_string", "large_utf8", "string_view", "stringtype", "character varying",
    ),
    "binary": ("bytes", "binary", "large_binary", "varbinary", "blob", "bytea", "binarytype"),
    "date": ("date", "date32", "date64", "date32[day]", "date64[ms]", "datetype"),
    "moment": ("timestamp", "datetime", "datetime64", "timestamptype"),
    "moment without zone": ("timestamp without time zone", "timestampntztype", "timestamp_ntz"),
    "moment with zone": (
        "timestamptz", "timestamp with time zone", "datetimetz", "datetimetzdtype",
    ),
    "time": ("time", "time32", "time64"),
    "duration": ("timedelta", "timedelta64", "duration"),
    "list": ("list", "array", "arraytype"),
    "struct": ("struct", "dict", "map", "structtype", "maptype"),
    "null": ("null", "none", "nonetype", "nulltype"),
    "dictionary": ("category", "categorical", "categoricaldtype", "dictionary"),
    "object": ("object", "object_", "o"),
}  # fmt: skip
"""The names for each kind of column; case does not matter."""

_FAMILY: Final = {name: family for family, names in TYPE_NAMES.items() for name in names}
_MODULE: Final = re.compile(r"^(np|numpy|pd|pandas|pa|pyarrow|builtins|sa|sqlalchemy)\.")
_STORAGE: Final = re.compile(r"\[(pyarrow|python)\]$")
_UNIT: Final = re.compile(r"\[(s|ms|us|ns)(?:, ?(?:tz=)?([^\]]+))?\]$")
_SIZE: Final = re.compile(r"\((\d+)(?:, ?(\d+))?\)$")
_ZONED: Final = {True: "moment with zone", False: "moment without zone"}


def answers_to(kind: Any, name: object) -> bool:
    """Whether a column of the Arrow type has the name. Raises Unfit for an unknown name."""
    if not isinstance(name, str):
        raise Unfit(f"`{clip(str(name), 40)}` is not a type name: write it as text")
    plain = _STORAGE.sub("", _MODULE.sub("", name.strip().lower()))
    plain = _plain(plain)
    if size := _SIZE.search(plain):
        if not _is(kind, _family(plain[: size.start()], name)):
            return False
        if _FAMILY[plain[: size.start()]] != "decimal":
            return True
        return (kind.precision, kind.scale) == (int(size[1]), int(size[2] or 0))
    if unit := _UNIT.search(plain):
        family = _family(plain[: unit.start()], name)
        return _is(kind, _ZONED[bool(unit[2])] if family == "moment" else family)
    return _is(kind, _family(plain, name))


def is_type_name(name: str) -> bool:
    """Whether some type has the name."""
    plain = _plain(_STORAGE.sub("", _MODULE.sub("", name.strip().lower())))
    return _UNIT.sub("", _SIZE.sub("", plain)) in _FAMILY


def _plain(name: str) -> str:
    """`int64` for numpy's `int64dtype` and pandas' `Int64Dtype`."""
    short = name.removesuffix("()").removesuffix("dtype")
    return short if short in _FAMILY and name not in _FAMILY else name


def _family(plain: str, name: str) -> str:
    if plain in _FAMILY:
        return _FAMILY[plain]
    meant = nearest(plain, _FAMILY)
    asked = f", did you mean `{meant}`?" if meant else ""
    raise Unfit(f"`{clip(name, 40)}` is not a known type name{asked}")


def _is(kind: Any, family: str) -> bool:
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        return _is(kind.storage_type, family)
    if pa.types.is_dictionary(kind) and family != "dictionary":
        return _is(kind.value_type, family)
    return _TESTS[family](kind, pa.types) if family in _TESTS else str(kind) == family


_Test = Callable[[Any, Any], bool]
_TEXTS: Final = ("is_string", "is_large_string", "is_string_view")
_BYTES: Final = ("is_binary", "is_large_binary", "is_fixed_size_binary", "is_binary_view")
_LISTS: Final = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view")
_RECORDS: Final = ("is_struct", "is_map")


def _any(*tests: str) -> _Test:
    return lambda kind, types: any(getattr(types, test)(kind) for test in tests)


_TESTS: Final[Mapping[str, _Test]] = {
    "integer": _any("is_integer"),
    "floating": _any("is_floating"),
    "decimal": _any("is_decimal"),
    "text": _any(*_TEXTS),
    "binary": _any(*_BYTES),
    "date": _any("is_date"),
    "moment": _any("is_timestamp"),
    "moment with zone": lambda kind, types: types.is_timestamp(kind) and kind.tz is not None,
    "moment without zone": lambda kind, types: types.is_timestamp(kind) and kind.tz is None,
    "time": _any("is_time"),
    "duration": _any("is_duration"),
    "list": _any(*_LISTS),
    "struct": _any(*_RECORDS),
    # What pandas 1 and 2 store as Python objects.
    "object": _any(
        *_TEXTS, *_BYTES, *_LISTS, *_RECORDS, "is_decimal", "is_date", "is_time", "is_null"
    ),
    "dictionary": _any("is_dictionary"),
}
