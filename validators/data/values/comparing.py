"""Compare two columns by value, whatever their types."""

import operator
from typing import Any, Final

from validators.data.values.literals import Unfit

_IN_PYTHON: Final = {
    "equal": operator.eq,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "less": operator.lt,
    "less_equal": operator.le,
}


def compare(left: Any, right: Any, name: str) -> Any:
    """Compare two columns by value across types; null never compares as true."""
    import pyarrow as pa
    import pyarrow.compute as pc

    left, right = _alike(left, right)
    try:
        return pc.fill_null(getattr(pc, name)(left, right), fill_value=False)
    except pa.ArrowInvalid:
        # A whole number that no float equals: Arrow refuses, Python compares exactly.
        both = zip(left.to_pylist(), right.to_pylist(), strict=True)
        return pa.array([None not in pair and _IN_PYTHON[name](*pair) for pair in both])


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """The columns in comparable types; a time without a zone is UTC. Raises Unfit."""
    import pyarrow as pa

    families = [family_of(column.type) for column in (left, right)]
    if families[0] != families[1]:
        raise Unfit(f"{left.type} and {right.type} cannot be compared")
    if families[0] == "a moment" and left.type != right.type:
        zoned = pa.timestamp("ns" if "ns" in (_unit(left), _unit(right)) else "us", "UTC")
        return _zoned(left, zoned), _zoned(right, zoned)
    if families[0] == "number":
        whole = pa.types.is_boolean
        return tuple(one.cast(pa.int8()) if whole(one.type) else one for one in (left, right))
    return left, right


def _unit(column: Any) -> str:
    return str(getattr(column.type, "unit", "us"))


def _zoned(column: Any, kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    return column.cast(pa.timestamp(column.type.unit, "UTC")).cast(kind)


def family_of(kind: Any) -> str:
    """What kind of values can be compared with each other; the type itself, if with no other."""
    import pyarrow as pa

    types = pa.types
    if types.is_floating(kind) or types.is_integer(kind):
        return "number"
    if types.is_decimal(kind) or types.is_boolean(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind):
        return "text"
    if types.is_date(kind) or types.is_timestamp(kind):
        return "a moment"
    return str(kind)
