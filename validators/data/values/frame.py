"""Arrow tables in the form that is compared, and as the frames that Great Expectations gets.

Types are kept: integers with nulls and decimals do not become floats, nor dates times.
"""

from collections.abc import Mapping
from typing import Any


def settled(table: Any) -> Any:
    """The table with one representation per value, so that equal values compare equal.

    NaN becomes null, -0.0 becomes 0.0, zones become UTC, and encoded columns are decoded.
    """
    import pyarrow as pa

    columns = {name: settled_column(table.column(name)) for name in table.column_names}
    return pa.table(columns) if columns else table


def settled_column(column: Any) -> Any:
    """One column with one representation per value; see `settled`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column.type, pa.BaseExtensionType):
        column = column.cast(column.type.storage_type)
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if plain := _plain(column.type):
        column = column.cast(plain, safe=False)  # a date in milliseconds may have a time of day
    if pa.types.is_floating(column.type):
        column = pc.add(column, pa.scalar(0, column.type))
        absent = pc.is_nan(column)
        if pc.any(absent).as_py():
            column = pc.if_else(absent, pa.scalar(None, column.type), column)
    return column


def settled_kind(kind: Any) -> Any:
    """The type of a column of this type once it is settled."""
    import pyarrow as pa

    return settled_column(pa.chunked_array([], kind)).type


def _plain(kind: Any) -> Any:
    """A type that Arrow can compute with, for one that it can only store."""
    import pyarrow as pa

    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_date64(kind):
        return pa.date32()
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return pa.decimal128(kind.precision, kind.scale)
    if pa.types.is_timestamp(kind) and kind.tz not in (None, "UTC"):
        return pa.timestamp(kind.unit, "UTC")
    return None


def frame_of(table: Any, *, numbers: bool = False) -> Any:
    """A pandas frame without loss. With `numbers`, decimals become floats and dates timestamps, for
    arithmetic."""
    import pandas as pd
    import pyarrow as pa

    if numbers:
        fields = [
            pa.field(one.name, pa.float64() if pa.types.is_decimal(one.type) else one.type)
            for one in table.schema
        ]
        table = table.cast(pa.schema(fields))
    nullable: Mapping[Any, Any] = {
        pa.bool_(): pd.BooleanDtype(),
        **{
            getattr(pa, name.lower())(): getattr(pd, f"{name}Dtype")()
            for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
        },
    }
    with_nulls = {
        one.type
        for one, column in zip(table.schema, table.columns, strict=True)
        if column.null_count
    }
    return table.to_pandas(
        date_as_object=not numbers,
        types_mapper=lambda kind: nullable.get(kind) if kind in with_nulls else None,
    )
