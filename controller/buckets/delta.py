"""The current snapshot of a Delta table, from a folder with its log.

Only the log is read, by delta-rs; the bucket handles data files. A table that a plain reader of the
data files would misread is refused, with the reason: deletion vectors, renamed columns, files
outside the table's folder.
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


_UNSUPPORTED: Final = re.compile(r"Feature '([\w-]+)' is not supported")


class Version(NamedTuple):
    """A version of a table."""

    number: int
    snapshot: TableSnapshot


def needed(keys: Iterable[str]) -> list[str]:
    """The keys of the log files from which the current version can be read."""
    log = [key for key in keys if key.startswith(f"{LOG}/")]
    checkpoints = sorted({int(found[1]) for key in log if (found := _CHECKPOINT.fullmatch(key))})
    # From the last but one, to include some commits, which say whether they changed any data.
    since = checkpoints[-2] if len(checkpoints) > 1 else -1

    def is_needed(key: str) -> bool:
        if found := _COMMIT.fullmatch(key):
            return int(found[1]) > since
        if found := _CHECKPOINT.fullmatch(key):
            return int(found[1]) >= since
        return key == f"{LOG}/_last_checkpoint" or key.startswith(f"{LOG}/_sidecars/")

    return [key for key in log if is_needed(key)]


def versions(folder: Path, uri: str) -> list[Version]:
    """The versions with the same rows as the newest, oldest first: commits that only rewrite files
    (OPTIMIZE) do not change rows. The newest is the last.

    `folder` has the `needed` log files. Raises `NeedsHuman`. Blocking.
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
            with suppress(DeltaError):  # earlier commits may be deleted
                newest.load_as_version(number)
                found.insert(0, Version(number, _snapshot(newest, uri)))
    except (DeltaError, ValueError, KeyError, OSError) as error:
        if feature := _UNSUPPORTED.search(str(error)):
            raise NeedsHuman(
                f"the Delta table {uri} uses the feature {feature[1]}, which delta-rs does not "
                "support: drop it (`ALTER TABLE ... DROP FEATURE`), fetch the rows with `query:`, "
                "or export them"
            ) from None
        raise NeedsHuman(
            # Not the error's message: it may quote the log.
            f"the log of the Delta table {uri} cannot be read ({type(error).__name__}): the table "
            "may be incompletely copied, or use features newer than delta-rs supports"
        ) from None
    return found


def _data_of(folder: Path, newest: int) -> int:
    """The version that last changed rows or columns, as far back as there are commits."""
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
            f"the Delta table {uri} uses column mapping: in its files, the column `{renamed[0]}` "
            f"is called `{renamed[1]}`, so plain readers would misread it. Write the names into "
            "the files: `ALTER TABLE ... SET TBLPROPERTIES ('delta.columnMapping.mode' = 'none')`, "
            "or copy the table"
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
            f"the Delta table {uri} is managed by a catalog (catalogManaged), so its log alone is "
            "not enough to read it. Fetch the rows with `query:`, or export them"
        )
    if "deletionVectors" in features and _has_deletion_vectors(table):
        raise NeedsHuman(
            f"the Delta table {uri} has deletion vectors: its files still hold rows that were "
            "deleted. Rewrite the files: `REORG TABLE ... APPLY (PURGE)`, and set "
            "`'delta.enableDeletionVectors' = 'false'`"
        )


def _has_deletion_vectors(table: "DeltaTable") -> bool:
    from deltalake.exceptions import DeltaError

    try:
        return any(batch.num_rows for batch in table.deletion_vectors())
    except DeltaError:
        return True  # they are in files beside the data, which were not copied


def _renamed(fields: Iterable[Mapping[str, Any]], above: str = "") -> Iterator[tuple[str, str]]:
    """Columns, including nested ones, that have another name in the files; with that name."""
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
            continue  # written by an append of no rows
        key = unquote(one["path"])  # percent-encoded in the log
        if "://" in key or key.startswith("/") or ".." in key.split("/"):
            raise NeedsHuman(
                f"the Delta table {uri} has files outside its folder, like a shallow clone: make "
                "it a deep clone"
            )
        values = one.get("partition") or {}
        yield key, LiveFile(one["size_bytes"], {n: log_text(values.get(n)) for n in partitions})


def log_text(value: Any) -> str | None:
    """The value of a partition column as Delta logs write it."""
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
