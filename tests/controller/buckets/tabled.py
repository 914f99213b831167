"""Tables of real writers, in a folder or in S3, and what a reader of their versions finds."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable

from controller.buckets.catalog import Catalog
from controller.buckets.protocol import Listing
from validators.data.reading.objects import ObjectFile
from validators.data.reading.tables import load


class Lake(Protocol):
    """Somewhere that tables are written to as a team does, and a catalog that lists it."""

    catalog: Catalog

    @property
    def uri(self) -> str:
        """Of the folder that all lies in."""
        ...

    @property
    def options(self) -> Mapping[str, str]:
        """What writers of tables need to reach it."""
        ...

    def put(self, key: str, content: bytes) -> None:
        """Write an object below the folder."""
        ...

    def delete(self, key: str) -> None:
        """Delete it."""
        ...


def rows(folder: Path, column: str = "a") -> list[Any]:
    """What plain pandas reads of a pinned folder, sorted."""
    return sorted(pd.read_parquet(folder)[column].tolist())


def rows_of_table(folder: Path, column: str = "a") -> list[Any]:
    """What delta-rs reads of it, sorted."""
    return sorted(DeltaTable(str(folder)).to_pyarrow_table()[column].to_pylist())


def keys(listing: Listing) -> set[str]:
    """Of the objects that belong to the version."""
    return {entry.key for entry in listing.manifest}


def rows_of_gate(folder: Path) -> list[dict[str, Any]]:
    """What the data gate reads of it, sorted by the column `a`."""
    objects = [ObjectFile(key=key, path=str(folder / key)) for key in sorted(files_below(folder))]
    loaded = load(objects, None)
    assert loaded.checks == ()
    found: list[dict[str, Any]] = loaded.table.to_pylist()
    return sorted(found, key=lambda row: row["a"])


def numbers(*values: int, **columns: list[Any]) -> pa.Table:
    """A table with a column `a`."""
    return pa.table({"a": pa.array(values, pa.int64()), **columns})


def files_below(folder: Path) -> set[str]:
    """The keys of the files in a folder."""
    return {
        os.path.relpath(os.path.join(at, name), folder)  # noqa: PTH118 - a walk
        for at, _, names in os.walk(folder)
        for name in names
    }
