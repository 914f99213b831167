"""One state of a table of files: which files count, and what their columns are.

It is written as the log of a Delta table with one version, so that readers of Delta tables read
the very rows. There are no statistics in it: readers skip files for them, and they are cut and
know neither NaN nor infinity.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

DELTA_KEY: Final = "_delta_log/00000000000000000000.json"
"""Where it lies among the files of a Delta table."""
ICEBERG_KEY: Final = "_iceberg/snapshot.json"
"""Where it lies among those of an Iceberg table: its readers look for another format."""
SNAPSHOT_KEYS: Final = (DELTA_KEY, ICEBERG_KEY)

_BY_TYPE: Final = {"timestamp_ntz": "timestampNtz", "variant": "variantType"}
"""The features that a reader needs to know, by the type of a column that calls for them."""


@dataclass(frozen=True)
class LiveFile:
    """A file of the snapshot."""

    size: int
    """Bytes."""
    partition: Mapping[str, str | None]
    """The values of the columns that are not in the file itself, as the log writes them."""


@dataclass(frozen=True)
class TableSnapshot:
    """The rows of a table are those of its files."""

    id: str
    """The table's own."""
    fields: tuple[Mapping[str, Any], ...]
    """Its columns, as in the schema of a Delta table: `{"name": "a", "type": "long", ...}`."""
    partitions: tuple[str, ...]
    """The columns that are not in the files."""
    files: Mapping[str, LiveFile]
    """By key below the table's folder."""

    def written(self) -> bytes:
        """As the log of a Delta table. Equal snapshots are equal bytes."""
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
    """What `TableSnapshot.written` wrote. Raises ValueError and KeyError for anything else."""
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
    """A column without comments and settings."""
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
