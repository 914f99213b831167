"""A common type for a column with several types, if one holds every value."""

from collections.abc import Collection, Sequence
from typing import Any

_UNITS = ("ns", "us", "ms", "s")


def common_type(columns: Sequence[Any]) -> Any:
    """The Arrow type that all columns can be cast to without loss; None if there is none."""
    import pyarrow as pa

    kinds = list(dict.fromkeys(column.type for column in columns))
    if len(kinds) == 1:
        return kinds[0]
    plain = list(dict.fromkeys(_plain(kind) for kind in kinds if not pa.types.is_null(kind)))
    for kind in _candidates(plain):
        if all(exactly(column, kind) is not None for column in columns):
            return kind
    return None


def known_type(kinds: Sequence[Any]) -> Any:
    """The type that columns of these types have together, whatever their values; None if that
    depends on the values, or there is none."""
    import pyarrow as pa

    distinct = list(dict.fromkeys(kinds))
    if len(distinct) == 1:
        return distinct[0]
    plain = list(dict.fromkeys(_plain(kind) for kind in distinct if not pa.types.is_null(kind)))
    if len(plain) == 1:
        return plain[0]
    if all(pa.types.is_signed_integer(kind) for kind in plain) or all(
        pa.types.is_unsigned_integer(kind) for kind in plain
    ):
        return max(plain, key=lambda kind: kind.bit_width)
    return pa.large_string() if {_family(kind) for kind in plain} == {"text"} else None


def exactly(column: Any, kind: Any) -> Any:
    """The column as another type; None if a value would change."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import types

    if column.type == kind:
        return column
    if types.is_null(column.type):
        return pa.chunked_array([pa.nulls(len(column), kind)])
    try:
        plain = column.cast(_plain(column.type))
        if types.is_floating(plain.type) and not types.is_floating(kind):
            # In columns of whole numbers, some writers use NaN for null.
            plain = pc.if_else(pc.is_nan(plain), pa.scalar(None, plain.type), plain)
        cast = plain.cast(kind)
        if types.is_floating(plain.type) and types.is_floating(kind):
            return cast if kind.bit_width >= plain.type.bit_width else None
        # Some casts lose something silently: the time of a date, the number of a boolean.
        return cast if cast.cast(plain.type).equals(plain) else None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return None


def is_text(kind: Any) -> bool:
    """Whether it is a type of text, however it is stored."""
    return _family(_plain(kind)) == "text"


def is_nested(kind: Any) -> bool:
    """Whether it is a type of lists, structs or maps."""
    return _family(_plain(kind)) == "nested"


def _plain(kind: Any) -> Any:
    """The type of the values, however they are stored."""
    from pyarrow import types

    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return _plain(kind.value_type)
    return kind.storage_type if hasattr(kind, "storage_type") else kind


def _candidates(kinds: Sequence[Any]) -> list[Any]:
    """Types that may hold the values of all these, best first."""
    import pyarrow as pa

    if len(kinds) < 2:
        return list(kinds) or [pa.null()]
    families = {_family(kind) for kind in kinds}
    if families <= {"text", "bytes"}:
        return [pa.large_string() if "text" in families else pa.large_binary()]
    if families <= {"whole", "float", "decimal"}:
        return _numbers(kinds, families)
    if families <= {"day", "time"}:
        return _times(kinds)
    if families in ({"clock"}, {"span"}):
        return _finest(kinds)
    return _unified(kinds) if families == {"nested"} else []


def _family(kind: Any) -> str:
    from pyarrow import types

    families = {
        "text": (types.is_string, types.is_large_string, types.is_string_view),
        "bytes": (
            types.is_binary,
            types.is_large_binary,
            types.is_fixed_size_binary,
            types.is_binary_view,
        ),
        "whole": (types.is_integer,),
        "float": (types.is_floating,),
        "decimal": (types.is_decimal,),
        "day": (types.is_date,),
        "time": (types.is_timestamp,),
        "clock": (types.is_time,),
        "span": (types.is_duration,),
        "nested": (types.is_nested,),
    }
    found = (name for name, tests in families.items() if any(test(kind) for test in tests))
    return next(found, str(kind))


def _numbers(kinds: Sequence[Any], families: Collection[str]) -> list[Any]:
    import pyarrow as pa
    from pyarrow import types

    if "float" in families:
        wholes = [] if "decimal" in families else [pa.int64(), pa.uint64()]
        return [pa.float64(), *(wholes if "whole" in families else [])]
    if "decimal" in families:
        decimals = [kind for kind in kinds if types.is_decimal(kind)]
        scale = max(kind.scale for kind in decimals)
        before = max(
            20 if types.is_integer(kind) else kind.precision - kind.scale for kind in kinds
        )
        digits = max(before, 0) + scale
        wide = [pa.decimal128(digits, scale)] if digits <= 38 else []
        return wide or ([pa.decimal256(digits, scale)] if digits <= 76 else [])
    widest = max(kinds, key=lambda kind: kind.bit_width)
    if all(types.is_signed_integer(kind) for kind in kinds) or all(
        types.is_unsigned_integer(kind) for kind in kinds
    ):
        return [widest]
    return [pa.int64(), pa.uint64(), pa.decimal128(20, 0)]


def _times(kinds: Sequence[Any]) -> list[Any]:
    import pyarrow as pa
    from pyarrow import types

    times = [kind for kind in kinds if types.is_timestamp(kind)]
    if not times:
        return [pa.date32(), pa.timestamp("ms")]
    zoned = {kind.tz is not None for kind in times}
    if zoned == {True, False} or (zoned == {True} and len(times) < len(kinds)):
        return []  # a time without a zone is not a point in time
    zones = {kind.tz for kind in times}
    zone = zones.pop() if len(zones) == 1 else "UTC"
    return [pa.timestamp(unit, zone) for unit in _from_finest(kind.unit for kind in times)]


def _finest(kinds: Sequence[Any]) -> list[Any]:
    import pyarrow as pa
    from pyarrow import types

    units = _from_finest(kind.unit for kind in kinds)
    if types.is_duration(kinds[0]):
        return [pa.duration(unit) for unit in units]
    return [pa.time64(unit) if unit in ("ns", "us") else pa.time32(unit) for unit in units]


def _from_finest(units: Any) -> tuple[str, ...]:
    """The finest of the units, then the coarser ones, which cover more years."""
    return _UNITS[min(map(_UNITS.index, units)) :]


def _unified(kinds: Sequence[Any]) -> list[Any]:
    import pyarrow as pa

    try:
        schemas = [pa.schema([("", kind)]) for kind in kinds]
        return [pa.unify_schemas(schemas, promote_options="permissive").field(0).type]
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return []
