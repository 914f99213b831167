"""The values of one column in all objects of a dataset, brought to one type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from specs.model import ColumnType
from validators.data.reading import texts
from validators.data.reading.formats.contents import ColumnValues
from validators.data.reading.notation import plain, plainly
from validators.data.values.common_types import common_type, exactly, is_text


@dataclass(frozen=True)
class Disagreement:
    """Why the values have no common type."""

    types: Mapping[str, str]
    """The type of each object's values, stored or inferred, by key."""
    unfit: tuple[str, ...] = ()
    """The objects with values that are not of the type in the spec."""


def agreed(columns: Mapping[str, ColumnValues], wished: ColumnType | None) -> Any:
    """The values by key, as `pyarrow.ChunkedArray`s of one type, or a `Disagreement`."""
    found = _as_said(columns, wished) if wished else _as_they_look(columns)
    types = {key: str(values.type) for key, values in found.items() if values is not None}
    unfit = tuple(key for key, values in found.items() if values is None)
    kind = None if unfit else _kind_of(list(found.values()), wished)
    if kind is None:
        return Disagreement(types, unfit)
    as_kind = _nearest_double if wished == "double" else exactly
    cast = {key: as_kind(values, kind) for key, values in found.items()}
    unfit = tuple(key for key, values in cast.items() if values is None)
    return Disagreement(types, unfit) if unfit else cast


def as_known(column: ColumnValues, wished: ColumnType | None, kind: Any) -> Any:
    """Some values of a column whose type is known, as that type; None if one does not fit."""
    import pyarrow as pa

    values = column.values if wished is None else _plain_text(plain(column, wished))
    is_untyped = column.source != "typed" or wished is not None
    if values is not None and is_untyped and pa.types.is_string(values.type):
        values = texts.read_as(values, kind)
    if values is None:
        return None
    return (_nearest_double if wished == "double" else exactly)(values, kind)


def _as_they_look(columns: Mapping[str, ColumnValues]) -> dict[str, Any]:
    """Typed values as they are; untyped ones as the type inferred from all of them together."""
    import pyarrow as pa

    columns = plainly(columns)
    untyped = [column.values for column in columns.values() if column.source != "typed"]
    typed = [column.values.type for column in columns.values() if column.source == "typed"]
    if any(map(is_text, typed)):
        looks = pa.string()  # text in one file makes it text in all
    else:
        quoted = any(column.source == "quoted" for column in columns.values())
        looks = texts.type_of(texts.together(untyped), only_times=quoted)
    return {
        key: column.values if column.source == "typed" else texts.read_as(column.values, looks)
        for key, column in columns.items()
    }


def _as_said(columns: Mapping[str, ColumnValues], wished: ColumnType) -> dict[str, Any]:
    """The values, with text read as the type in the spec; None for an object where that fails."""
    import pyarrow as pa

    values = {key: _plain_text(plain(column, wished)) for key, column in columns.items()}
    written = {
        key: each
        for key, each in values.items()
        if each is not None and pa.types.is_string(each.type)
    }
    kind = _fixed(wished)
    if kind is None:
        every = texts.together(list(written.values()))
        kind = texts.decimal_of(every) if wished == "decimal" else texts.time_of(every)
    return values | {key: texts.read_as(each, kind) for key, each in written.items()}


def _plain_text(values: Any) -> Any:
    import pyarrow as pa

    return exactly(values, pa.string()) if values is not None and is_text(values.type) else values


def _kind_of(values: list[Any], wished: ColumnType | None) -> Any:
    """The common Arrow type of the values; None if there is none."""
    import pyarrow as pa

    fixed = _fixed(wished)
    if fixed is not None:
        return fixed
    kind = common_type(values)
    if kind is None or wished is None:
        return kind
    if wished == "decimal":
        return kind if pa.types.is_decimal(kind) else pa.decimal128(38, 0)
    return kind if pa.types.is_timestamp(kind) else pa.timestamp("us")


def _nearest_double(values: Any, kind: Any) -> Any:
    """Numbers as the nearest doubles: whoever asks for doubles accepts about 16 digits."""
    from pyarrow import types

    number = types.is_integer(values.type) or types.is_decimal(values.type)
    return values.cast(kind, safe=False) if number else exactly(values, kind)


def _fixed(wished: ColumnType | None) -> Any:
    """The Arrow type of a name in the spec; None if it depends on the values."""
    import pyarrow as pa

    return {
        "string": pa.string(),
        "int64": pa.int64(),
        "double": pa.float64(),
        "bool": pa.bool_(),
        "date": pa.date32(),
    }.get(wished or "")
