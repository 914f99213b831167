"""The objects of a dataset version as one table, and those that do not fit into it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from specs.loading.explain import nearest
from specs.model import ColumnType
from specs.snapshot import TableSnapshot
from validators.data.reading.agreement import Disagreement, agreed
from validators.data.reading.differences import Among, clash, listed, missing_columns, note_of_order
from validators.data.reading.files import ObjectContents, Unreadable, read
from validators.data.reading.inferred import is_inferred, note_of_nulls, note_of_types
from validators.data.reading.object_part import HeldContents
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.partitions import contradicted, partitions_of, with_partitions
from validators.data.reading.snapshots import empty, fitted, names_of, snapshot_of
from validators.data.values.common_types import is_text
from validators.report import Check
from validators.verdict import Verdict


@dataclass(frozen=True)
class LoadedDataset:
    """What could be read. If `table` is None, nothing can be judged, and a check says why."""

    table: Any = None
    """A `pyarrow.Table`; clashing columns hold only nulls."""
    columns: tuple[str, ...] = ()
    """Every column of any object, read or not."""
    clashing: frozenset[str] = frozenset()
    """Columns without a common type over all objects."""
    checks: tuple[Check, ...] = ()
    """The problems of the objects themselves."""
    notes: tuple[str, ...] = ()
    """What a reader should know about how they were read."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """How many rows of the table are of each object, in their order."""

    @property
    def objects(self) -> int:
        """How many there are, without the log of a table."""
        return len(self.rows)


def load(
    objects: Sequence[ObjectFile],
    wanted: frozenset[str] | None,
    everywhere: frozenset[str] | None = frozenset(),
    reading: DatasetReading = DatasetReading(),  # noqa: B008 - a constant value
    held: HeldContents = HeldContents(),  # noqa: B008 - empty, and not added to
) -> LoadedDataset:
    """Read the wanted columns (None: all) of all objects, except those that are `held`.

    Every object must have those, and the columns in `everywhere`, which are not read.
    """
    if not objects:
        return LoadedDataset(
            checks=(object_check("objects", "this dataset version has no objects"),)
        )
    snapshot = snapshot_of(objects)
    if snapshot is not None:
        return _of_snapshot(objects, snapshot, wanted, reading)
    broken: list[Check] = []
    parts: dict[str, ObjectContents] = {}
    doubled: dict[str, list[str]] = defaultdict(list)
    apart: dict[str, list[str]] = defaultdict(list)
    for one in objects:
        try:
            part = held.whole(one.key, wanted)
            part = part or read(one, wanted, reading.nulls, written=reading.csv)
        except Unreadable as error:
            broken.append(
                object_check("readable", f"`{one.key}` {error.why}", one.key, error.verdict)
            )
            continue
        folders = partitions_of(one.key, reading.nulls)
        for name in part.doubled:
            doubled[name].append(one.key)
        for name in contradicted(part, folders):
            apart[name].append(one.key)
        parts[one.key] = with_partitions(part, folders, wanted)
    if broken:
        return LoadedDataset(checks=tuple(broken))
    headers = {key: part.header for key, part in parts.items() if part.header}
    leave_out = {key for key, part in parts.items() if part.leaves_out}
    names = tuple(dict.fromkeys(name for header in headers.values() for name in header))
    required = None if wanted is None or everywhere is None else wanted | everywhere
    checks = [
        *columns_twice(doubled),
        *said_twice(apart),
        *missing_columns(headers, required, leave_out),
        *unknown_types(reading.types, names),
    ]
    loaded = _joined(parts, names, reading, checks)
    ordered = {key: header for key, header in headers.items() if key not in leave_out}
    return replace(loaded, notes=(*note_of_order(ordered), *loaded.notes))


def _of_snapshot(
    objects: Sequence[ObjectFile],
    snapshot: TableSnapshot,
    wanted: frozenset[str] | None,
    reading: DatasetReading,
) -> LoadedDataset:
    """The rows of a table. Columns that its files lack are null, which is not a problem."""
    broken: list[Check] = []
    parts: dict[str, ObjectContents] = {}
    for one in objects:
        if one.key not in snapshot.files:
            continue  # the log itself
        try:
            part = read(one, wanted, reading.nulls, int96="us")  # tables store no finer unit
            parts[one.key] = fitted(part, one.key, snapshot, wanted)
        except Unreadable as error:
            broken.append(
                object_check("readable", f"`{one.key}` {error.why}", one.key, error.verdict)
            )
    if broken:
        return LoadedDataset(checks=tuple(broken))
    names = names_of(snapshot)
    return _joined(
        parts or {"": empty(snapshot, wanted)},
        names,
        reading,
        unknown_types(reading.types, names),
    )


def _joined(
    parts: Mapping[str, ObjectContents],
    names: Sequence[str],
    reading: DatasetReading,
    checks: Sequence[Check],
) -> LoadedDataset:
    import pyarrow as pa

    types = reading.types
    found: dict[str, Any] = {}
    clashes: dict[str, Check] = {}
    notes: list[str] = []
    inferred: dict[str, Any] = {}
    among = Among(list(parts))
    rows = sum(part.rows for part in parts.values())
    for name in names:
        columns = {key: part.columns[name] for key, part in parts.items() if name in part.columns}
        if not columns:
            continue
        values = agreed(columns, types.get(name))
        if isinstance(values, Disagreement):
            clashes[name] = clash(name, values, types.get(name), among)
            found[name] = pa.nulls(rows)
            continue
        kind = next(iter(values.values())).type
        found[name] = pa.chunked_array(
            [
                chunk
                for key, part in parts.items()
                for chunk in (values[key].chunks if key in values else [pa.nulls(part.rows, kind)])
            ],
            kind,
        )
        if name not in types and is_inferred(columns):
            inferred[name] = kind
        if name not in types and is_text(kind):
            notes += note_of_nulls(name, columns, reading.nulls)
    if not found and names:
        found[names[0]] = pa.nulls(rows)  # without a column there would be no rows
    every = (*checks, *clashes.values())
    told = (*note_of_types(inferred), *notes)
    sizes = {key: part.rows for key, part in parts.items() if key}
    return LoadedDataset(pa.table(found), tuple(names), frozenset(clashes), every, told, sizes)


# -- what is wrong with the objects ----------------------------------------------------------------


def object_check(
    name: str,
    message: str,
    subject: str | None = None,
    verdict: Verdict = Verdict.FAIL,
    *,
    blocks: bool = True,
    next_step: str | None = None,
) -> Check:
    label = f"{name}: {subject}" if subject else name
    return Check(
        name=label,
        verdict=verdict,
        message=message,
        subject=subject,
        blocks=blocks,
        next_step=next_step,
    )


def columns_twice(doubled: Mapping[str, Sequence[str]]) -> list[Check]:
    """Repeated columns that the suite does not name; those that it names cannot be read at all."""
    return [
        object_check(
            "columns once",
            f"there is more than one column `{name}` in {listed(keys)}",
            name,
            Verdict.WARN,
            blocks=False,
            next_step="Write each column once, under a name of its own.",
        )
        for name, keys in doubled.items()
    ]


def said_twice(apart: Mapping[str, Sequence[str]]) -> list[Check]:
    """Columns with other values in the file than in its folder's name: programs differ in which of
    the two they read."""
    return [
        object_check(
            "folders and columns",
            f"column `{name}` and the folder name differ in {listed(keys)}; Headgate reads the "
            "column, Spark and DuckDB the folder name",
            name,
            Verdict.WARN,
            blocks=False,
            next_step=f"Leave `{name}` out of the files, or rename the folder.",
        )
        for name, keys in apart.items()
    ]


def unknown_types(types: Mapping[str, ColumnType], names: Sequence[str]) -> list[Check]:
    checks = []
    for name in types:
        if name not in names:
            meant = nearest(name, names)
            message = f"`types` of the dataset names the column `{name}`, which does not exist"
            message += f"; did you mean `{meant}`?" if meant else ""
            step = "Fix `types` in the spec."
            check = object_check("types", message, name, Verdict.WARN, blocks=False, next_step=step)
            checks.append(check)
    return checks
