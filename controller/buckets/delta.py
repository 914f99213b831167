"""The current snapshot of a Delta table, from a folder with its log.

Only the log is read, by delta-rs; data files are for the bucket. What a plain reader of the files
would read wrongly is refused by name: deletion vectors, renamed columns, files elsewhere.
"""

import datetime as dt
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

from specs.failures import NeedsHuman
from specs.snapshot import LiveFile, TableSnapshot

if TYPE_CHECKING:
    from deltalake import DeltaTable

LOG: Final = "_delta_log"
_COMMIT: Final = re.compile(r"_delta_log/(\d{20})\.json")
_CHECKPOINT: Final = re.compile(r"_delta_log/(\d{20})\.checkpoint\..*(parquet|json)")


class Version(NamedTuple):
    """A version of a table."""

    number: int
    snapshot: TableSnapshot


def needed(keys: Iterable[str]) -> list[str]:
    """Of the keys of a table, those of the log that tell what it is now."""
    log = [key for key in keys if key.startswith(f"{LOG}/")]
    checkpoints = sorted({int(found[1]) for key in log if (found := _CHECKPOINT.fullmatch(key))})
    # From the last but one: so some commits are seen, which say whether they changed anything.
    since = checkpoints[-2] if len(checkpoints) > 1 else -1

    def is_needed(key: str) -> bool:
        if found := _COMMIT.fullmatch(key):
            return int(found[1]) > since
        if found := _CHECKPOINT.fullmatch(key):
            return int(found[1]) >= since
        return key == f"{LOG}/_last_checkpoint" or key.startswith(f"{LOG}/_sidecars/")

    return [key for key in log if is_needed(key)]


def versions(folder: Path, uri: str) -> list[Version]:
    """Versions that have the rows of the newest, the oldest first: commits that only arrange files
    anew (OPTIMIZE) make none that has others. The newest is the last.

    `folder` has the log that is `needed`. Raises NeedsHuman. Blocking.
    """
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError:
        raise NeedsHuman(
            f"{uri} is a Delta table: install Headgate with its extra, `headgate[tables]`"
        ) from None
    try:
        newest = DeltaTable(str(folder))
        found = [Version(newest.version(), _snapshot(newest, uri))]
        number = _data_of(folder, newest.version())
        if number != newest.version():
            with suppress(DeltaError):  # the commits before it may be gone
                newest.load_as_version(number)
                found.insert(0, Version(number, _snapshot(newest, uri)))
    except (DeltaError, ValueError, KeyError, OSError) as error:
        raise NeedsHuman(
            f"the log of the Delta table {uri} cannot be read ({_named(error)}): it may be "
            "one that is being copied, or of a newer kind than delta-rs reads"
        ) from None
    return found


def _named(error: Exception) -> str:
    """What kind of error it is: the words may quote the log."""
    return type(error).__name__


def _data_of(folder: Path, newest: int) -> int:
    """The version that last changed rows or columns, as far as commits are there that say so."""
    for number in range(newest, -1, -1):
        path = folder / LOG / f"{number:020}.json"
        try:
            actions = [json.loads(line) for line in path.read_text().splitlines() if line]
        except FileNotFoundError:
            return newest
        if any(map(_changes, actions)):
            return number
    return newest


def _changes(action: Mapping[str, Any]) -> bool:
    files = (action.get("add"), action.get("remove"))
    return "metaData" in action or any(one and one.get("dataChange", True) for one in files)


def _snapshot(table: "DeltaTable", uri: str) -> TableSnapshot:
    _refuse_features(table, uri)
    fields = json.loads(table.schema().to_json())["fields"]
    renamed = next(_renamed(fields), None)
    if renamed is not None:
        raise NeedsHuman(
            f"the Delta table {uri} uses column mapping: its files call `{renamed[0]}` "
            f"`{renamed[1]}`, so other readers of them would find another column. Write the names "
            "into the files: `ALTER TABLE ... SET TBLPROPERTIES ('delta.columnMapping.mode' = "
            "'none')`, or copy the table"
        )
    about = table.metadata()
    return TableSnapshot(
        id=str(about.id),
        fields=tuple(fields),
        partitions=tuple(about.partition_columns),
        files=dict(_files(table, about.partition_columns, uri)),
    )


def _refuse_features(table: "DeltaTable", uri: str) -> None:
    features = table.protocol().reader_features or []
    if "catalogManaged" in features or "catalogOwned-preview" in features:
        raise NeedsHuman(
            f"the Delta table {uri} is managed by a catalog (catalogManaged): its log alone does "
            "not say what is in it. Take the rows by `query:`, or export them"
        )
    if "deletionVectors" in features and _has_deletion_vectors(table):
        raise NeedsHuman(
            f"the Delta table {uri} has deletion vectors: its files still hold rows that were "
            "deleted. Write the files without them: `REORG TABLE ... APPLY (PURGE)`, and "
            "`'delta.enableDeletionVectors' = 'false'` keeps it so"
        )


def _has_deletion_vectors(table: "DeltaTable") -> bool:
    from deltalake.exceptions import DeltaError

    try:
        return any(batch.num_rows for batch in table.deletion_vectors())
    except DeltaError:
        return True  # they are in files that lie with the data, which are not here


def _renamed(fields: Iterable[Mapping[str, Any]], above: str = "") -> Iterator[tuple[str, str]]:
    """Columns, also within others, that have another name in the files."""
    for field in fields:
        physical = (field.get("metadata") or {}).get("delta.columnMapping.physicalName")
        if physical not in (None, field["name"]):
            yield f"{above}{field['name']}", str(physical)
        yield from _renamed(_inner(field["type"]), f"{above}{field['name']}.")


def _inner(kind: Any) -> Iterator[Mapping[str, Any]]:
    """The fields of structs at any depth of a type."""
    if isinstance(kind, Mapping):
        yield from kind.get("fields", ())
        for place in ("elementType", "keyType", "valueType"):
            yield from _inner(kind.get(place))


def _files(
    table: "DeltaTable", partitions: Iterable[str], uri: str
) -> Iterator[tuple[str, LiveFile]]:
    import pyarrow as pa

    for one in pa.table(table.get_add_actions(flatten=False)).to_pylist():
        if one["num_records"] == 0:
            continue  # what an append of nothing writes
        key = unquote(one["path"])  # a log escapes it as in a URI
        if "://" in key or key.startswith("/") or ".." in key.split("/"):
            raise NeedsHuman(
                f"the Delta table {uri} has files outside of its folder, as a shallow clone has: "
                "make it a deep clone"
            )
        values = one.get("partition") or {}
        yield key, LiveFile(one["size_bytes"], {n: _written(values.get(n)) for n in partitions})


def _written(value: Any) -> str | None:
    """The value of a partition as logs write it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            return f"{value.astimezone(dt.UTC).replace(tzinfo=None).isoformat()}Z"
        return value.isoformat(" ")
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return str(value)
