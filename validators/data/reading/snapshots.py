"""The columns of a table's file according to the table's log, not to the file or its folders.

A column that the file lacks is null, one that the table no longer has is left out, and partition
values come from the log.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from specs.snapshot import SNAPSHOT_KEYS, TableSnapshot, read_snapshot
from validators.data.reading import texts
from validators.data.reading.formats.contents import ColumnValues, ObjectContents, Unreadable
from validators.data.reading.objects import ObjectFile
from validators.data.values.common_types import exactly

_DECIMAL: Final = re.compile(r"decimal\((\d+), ?(\d+)\)")


def snapshot_of(objects: Sequence[ObjectFile]) -> TableSnapshot | None:
    """The snapshot, if the dataset version is one of a table."""
    log = next((one for one in objects if one.key in SNAPSHOT_KEYS), None)
    return read_snapshot(Path(log.path).read_text(encoding="utf-8")) if log else None


def names_of(snapshot: TableSnapshot) -> tuple[str, ...]:
    """Its columns, in their order."""
    return tuple(field["name"] for field in snapshot.fields)


def fitted(
    part: ObjectContents, key: str, snapshot: TableSnapshot, wanted: frozenset[str] | None
) -> ObjectContents:
    """The part with the columns of the table. Raises `Unreadable` for a value that is not of the
    table's type."""
    partition = snapshot.files[key].partition
    columns = {}
    for field in snapshot.fields:
        name = field["name"]
        if wanted is not None and name not in wanted:
            continue
        kind = type_of(field["type"])
        if name in partition:
            columns[name] = ColumnValues(_repeated(partition[name], kind, part.rows, name))
        elif name not in part.columns:
            columns[name] = ColumnValues(_nulls(kind, part.rows))
        else:
            columns[name] = ColumnValues(_as(part.columns[name].values, kind, name))
    return ObjectContents(names_of(snapshot), part.rows, columns)


def empty(snapshot: TableSnapshot, wanted: frozenset[str] | None) -> ObjectContents:
    """The contents of a table without files."""
    names = [name for name in names_of(snapshot) if wanted is None or name in wanted]
    kinds = {field["name"]: type_of(field["type"]) for field in snapshot.fields}
    return ObjectContents(
        names_of(snapshot), 0, {name: ColumnValues(_nulls(kinds[name], 0)) for name in names}
    )


def type_of(kind: Any) -> Any:
    """The Arrow type of a Delta type; None to take it from the files, as for nested types."""
    import pyarrow as pa

    if not isinstance(kind, str):
        return None
    if found := _DECIMAL.fullmatch(kind):
        return pa.decimal128(int(found[1]), int(found[2]))
    simple: Mapping[str, Any] = {
        "string": pa.string(),
        "long": pa.int64(),
        "integer": pa.int32(),
        "short": pa.int16(),
        "byte": pa.int8(),
        "float": pa.float32(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "binary": pa.binary(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", "UTC"),
        "timestamp_ntz": pa.timestamp("us"),
    }
    return simple.get(kind)


def _as(values: Any, kind: Any, name: str) -> Any:
    if kind is None:
        return values
    found = exactly(values, kind)
    if found is None:
        raise Unreadable(f"has `{name}` as {values.type}, and not every value fits {kind}")
    return found


def _nulls(kind: Any, rows: int) -> Any:
    import pyarrow as pa

    return pa.chunked_array([pa.nulls(rows, kind or pa.null())])


def _repeated(text: str | None, kind: Any, rows: int, name: str) -> Any:
    """The value of a partition, which the log holds as text."""
    import pyarrow as pa

    kind = kind or pa.string()
    if text is None:
        return _nulls(kind, rows)
    if pa.types.is_binary(kind):
        value = pa.scalar(text.encode(), kind)
    else:
        if pa.types.is_timestamp(kind) and kind.tz is None:
            text = text.removesuffix("Z")
        one = pa.chunked_array([pa.array([text])])
        read = one if pa.types.is_string(kind) else texts.read_as(one, kind)
        if read is None:
            raise Unreadable(
                f"has a value of the partition `{name}` in the log that is not a {kind}"
            )
        value = read[0]
    return pa.chunked_array([pa.repeat(value, rows)])
