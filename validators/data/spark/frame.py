"""The rows of a dataset as a Spark frame: Parquet files as they are, all else as Headgate reads it.

Spark reads text, JSON and ORC by rules of its own, and tables by theirs. So these are read as for
every other judgement, and handed over as Parquet.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import count
from pathlib import Path
from typing import Any, Final

from validators.data.reading.dataset import OpenedDataset, Part
from validators.data.reading.files import Unreadable
from validators.data.reading.stream import ParquetPart
from validators.data.spark.columns import form_of, held, is_read_by_spark, plain
from validators.data.spark.conditions import HeldColumn
from validators.verdict import Verdict

_ORDINARY: Final = re.compile(r"[\w/.,@+=-]+/[^_./][\w.,@+=-]*")
"""Paths that Spark takes for what they are: no globs, no hidden files."""


@dataclass(frozen=True)
class SparkTable:
    """A dataset as Spark reads it."""

    session: Any
    dataset: OpenedDataset
    scratch: Path
    """A folder for what is written for Spark."""
    names: Mapping[str, str]
    """What the columns are called in Spark, which gives meaning to dots and backticks in names."""
    _count: Iterator[int] = field(default_factory=count)

    @classmethod
    def of(cls, session: Any, dataset: OpenedDataset, scratch: Path) -> "SparkTable":
        """The table of all columns that Spark can hold."""
        kinds = dataset.kinds
        able = [name for name in dataset.types if form_of(kinds[name]) is not None]
        return cls(session, dataset, scratch, {name: f"c{at}" for at, name in enumerate(able)})

    def columns(self) -> dict[str, HeldColumn]:
        """Each column of the frame."""
        import pyspark.sql.functions as F  # noqa: N812

        kinds = self.dataset.kinds
        return {name: HeldColumn(F.col(called), kinds[name]) for name, called in self.names.items()}

    def frame(self) -> Any:
        """All rows. Raises `Unreadable`."""
        together: dict[tuple[object, ...], list[ParquetPart]] = defaultdict(list)
        others: list[Part] = []
        for part in self.dataset.parts:
            if isinstance(part, ParquetPart) and self._is_plain(part):
                together[self._layout(part)].append(part)
            else:
                others.append(part)
        frames = [self._of_files(parts) for parts in together.values()]
        if written := list(self._written(others)):
            frames.append(self._selected(self.session.read.parquet(*written), {}, coded=True))
        return reduce(lambda one, other: one.unionByName(other), frames)

    def check(self, rows: int) -> None:
        """Raises `Unreadable` if Spark did not read these objects as they were opened."""
        for part in self.dataset.parts:
            if isinstance(part, ParquetPart):
                part.check_file()
        if rows != self.dataset.rows:
            why = f"Spark read {rows:,} rows where the objects have {self.dataset.rows:,}"
            raise Unreadable(f"{why}; nothing was judged", Verdict.ERROR)

    def _is_plain(self, part: ParquetPart) -> bool:
        stored = [part.stored[name] for name in self.names if name in part.stored]
        return part.snapshot is None and all(map(is_read_by_spark, stored))

    def _layout(self, part: ParquetPart) -> tuple[object, ...]:
        """What files have in common that Spark reads together."""
        schema = part.metadata.schema
        leaves = [schema.column(at) for at in range(len(schema))]
        stored = {leaf.path: f"{leaf.physical_type} {leaf.logical_type}" for leaf in leaves}
        inside = {name: plain(value) for name, value in part.constants.items()}
        return (
            *((name, stored.get(name), str(part.stored.get(name))) for name in self.names),
            *inside.items(),
        )

    def _of_files(self, parts: Sequence[ParquetPart]) -> Any:
        paths = [self._path(part.path) for part in parts]
        return self._selected(self.session.read.parquet(*paths), parts[0].constants, coded=False)

    def _path(self, path: Path) -> str:
        if _ORDINARY.fullmatch(str(path)):
            return str(path)
        link = self._new_file()
        link.symlink_to(path)
        return str(link)

    def _selected(self, read: Any, constants: Mapping[str, Any], *, coded: bool) -> Any:
        """The columns of files, in the form in which they are compared; `coded` if they have their
        names in Spark already."""
        import pyspark.sql.functions as F  # noqa: N812

        kinds = self.dataset.kinds
        types = {one.name: one.dataType.simpleString() for one in read.schema}
        chosen = []
        for name, called in self.names.items():
            stored = called if coded else name
            if name in constants:
                column = F.lit(plain(constants[name])).cast(form_of(kinds[name]))
            elif stored in types:
                escaped = stored.replace("`", "``")
                column = held(F.col(f"`{escaped}`"), types[stored], kinds[name])
            else:
                column = F.lit(None).cast(form_of(kinds[name]))
            chosen.append(column.alias(called))
        return read.select(*chosen) if chosen else read.select(F.lit(1).alias("c"))

    def _written(self, parts: Sequence[Part]) -> Iterator[str]:
        """The rows of parts, as Parquet files of settled columns."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = self.dataset.kinds
        fields = [(called, kinds[name]) for name, called in self.names.items()]
        schema = pa.schema(fields or [("c", pa.int8())])
        for part in parts:
            path = self._new_file()
            with pq.ParquetWriter(path, schema) as writer:
                for group in range(part.groups):
                    for batch in part.read(group, list(self.names)):
                        found = [batch.column(name).cast(kinds[name]) for name in self.names]
                        columns = found or [pa.nulls(batch.rows, pa.int8())]
                        writer.write_table(pa.table(columns, schema=schema))
            yield str(path)

    def _new_file(self) -> Path:
        folder = self.scratch / "parts"
        folder.mkdir(exist_ok=True)
        return folder / f"{next(self._count)}.parquet"
