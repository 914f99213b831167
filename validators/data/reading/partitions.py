"""Partition columns in an object's folder names, as Hive and Spark write them.

`dt=2024-05-01/country=DE/part-0.parquet` has the columns `dt` and `country`. Their values are text
whose type is inferred, as in a CSV.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from validators.data.reading.agreement import Disagreement, agreed
from validators.data.reading.formats.contents import ColumnValues, ObjectContents

_NULL = "__HIVE_DEFAULT_PARTITION__"


def partitions_of(key: str, nulls: Collection[str]) -> dict[str, str | None]:
    """The columns and their values; of two folders with one name, the inner one counts.

    `key` is relative to the dataset's folder: folders above it are the same for all objects.
    """
    pairs = (folder.partition("=") for folder in key.split("/")[:-1])
    return {unquote(name): _value(text, nulls) for name, found, text in pairs if found and name}


def _value(text: str, nulls: Collection[str]) -> str | None:
    value = unquote(text)
    return None if text == _NULL or value in nulls else value


def with_partitions(
    part: ObjectContents, of: dict[str, str | None], wanted: frozenset[str] | None
) -> ObjectContents:
    """The part with these columns added; columns that the file has itself are kept."""
    import pyarrow as pa

    def repeated(value: str | None) -> Any:
        if value is None:
            return pa.nulls(part.rows, pa.string())
        return pa.repeat(pa.scalar(value), part.rows)

    new = {name: value for name, value in of.items() if name not in part.header}
    columns = {
        name: ColumnValues(pa.chunked_array([repeated(value)]), "text")
        for name, value in new.items()
        if wanted is None or name in wanted
    }
    header = (*part.header, *new)
    return replace(part, header=header, columns={**part.columns, **columns})


def contradicted(part: ObjectContents, of: dict[str, str | None]) -> list[str]:
    """The columns whose values in the file differ from the folder's."""
    return [name for name in of if name in part.columns and not _is(part.columns[name], of[name])]


def _is(column: ColumnValues, told: str | None) -> bool:
    """Whether every value equals the folder's."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if told is None or column.values.null_count:
        return told is None and column.values.null_count == len(column.values)
    text = ColumnValues(pa.chunked_array([pa.array([told])]), "text")
    both = agreed({"file": column, "folder": text}, None)
    if isinstance(both, Disagreement):
        return False
    same = pc.equal(both["file"], both["folder"][0])
    return bool(pc.all(same, min_count=0).as_py())
