"""One state of a table that consists of files: the files that are live, and its columns.

It is written as the log of a Delta table with a single version, so readers of Delta tables read
exactly these rows. It has no statistics: readers would skip files by them, although statistics are
truncated and do not cover NaN and infinity.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

DELTA_KEY: Final = "_delta_log/00000000000000000000.json"
"""Its key among the files of a Delta table."""
ICEBERG_KEY: Final = "_iceberg/snapshot.json"
"""Its key among the files of an Iceberg table, where Iceberg readers do not look."""
SNAPSHOT_KEYS: Final = (DELTA_KEY, ICEBERG_KEY)

_BY_TYPE: Final = {"timestamp_ntz": "timestampNtz", "variant": "variantType"}
"""The reader features that a column type requires, by that type."""


@dataclass(frozen=True)
class LiveFile:
    """A file of the snapshot."""

    size: int
    """Bytes."""
    partition: Mapping[str, str | None]
    """The values of the partition columns, which are not in the file, as the log has them."""


@dataclass(frozen=True)
class TableSnapshot:
    """A table whose rows are the rows of its files."""

    id: str
    """The table's id."""
    fields: tuple[Mapping[str, Any], ...]
    """Its columns, as in the schema of a Delta table: `{"name": "a", "type": "long", ...}`."""
    partitions: tuple[str, ...]
    """The partition columns, which are not in the files."""
    files: Mapping[str, LiveFile]
    """By key, relative to the table's folder."""

    def written(self) -> bytes:
        """The log of a Delta table. Equal snapshots give equal bytes."""
        return "".join(json.dumps(line, sort_keys=True) + "\n" for line in self._lines()).encode()

    def _lines(self) -> Iterator[Mapping[str, Any]]:
        plain = [_plain(field) for field in self.fields]
        schema = json.dumps({"type": "struct", "fields": plain}, sort_keys=True)
        yield {"protocol": _protocol(schema)}
        yield {
            "metaData": {
                "id": self.id,
                "format": {"provider": "parquet", "options": {}},
                "schemaString": schema,
                "partitionColumns": list(self.partitions),
                "configuration": {},
                "createdTime": 0,
            }
        }
        for key, file in sorted(self.files.items()):
            yield {
                "add": {
                    "path": quote(key, safe="/="),
                    "partitionValues": dict(file.partition),
                    "size": file.size,
                    "modificationTime": 0,
                    "dataChange": True,
                }
            }


def read_snapshot(text: str) -> TableSnapshot:
    """Read what `TableSnapshot.written` wrote. Raises ValueError or KeyError for anything else."""
    lines = [json.loads(line) for line in text.splitlines()]
    about = next(line["metaData"] for line in lines if "metaData" in line)
    added = [line["add"] for line in lines if "add" in line]
    return TableSnapshot(
        id=about["id"],
        fields=tuple(json.loads(about["schemaString"])["fields"]),
        partitions=tuple(about["partitionColumns"]),
        files={unquote(a["path"]): LiveFile(a["size"], a["partitionValues"]) for a in added},
    )


def _plain(field: Mapping[str, Any]) -> dict[str, Any]:
    """A column without its comment and settings."""
    kind = field["type"]
    if isinstance(kind, Mapping):
        kind = _plain_type(kind)
    return {
        "name": field["name"],
        "type": kind,
        "nullable": field.get("nullable", True),
        "metadata": {},
    }


def _plain_type(kind: Any) -> Any:
    if not isinstance(kind, Mapping):
        return kind
    inner = {key: _plain_type(value) for key, value in kind.items() if key != "fields"}
    if "fields" in kind:
        inner["fields"] = [_plain(field) for field in kind["fields"]]
    return inner


def _protocol(schema: str) -> dict[str, Any]:
    features = [name for kind, name in _BY_TYPE.items() if f'"{kind}"' in schema]
    if not features:
        return {"minReaderVersion": 1, "minWriterVersion": 2}
    return {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": features,
        "writerFeatures": features,
    }
