"""Read the objects of a dataset version as one table, and say which object does not fit.

Nothing that Arrow says about a broken file is passed on: its messages quote the data.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from validators.data.request import ObjectFile
from validators.report import Check
from validators.verdict import Verdict

_FORMATS: Final = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_NAMED: Final = {"parquet": "Parquet", "csv": "CSV", "jsonl": "JSON lines"}


@dataclass(frozen=True)
class Loaded:
    """What could be read. `table` is None when nothing can be judged; then a check says why."""

    table: Any = None
    """A `pyarrow.Table`."""
    columns: tuple[str, ...] = ()
    """Every column that any object has, also those that were not read."""
    clashing: frozenset[str] = frozenset()
    """Columns left out because the objects disagree about their type."""
    checks: tuple[Check, ...] = ()
    """What is wrong with the objects themselves."""


class _Unreadable(Exception):  # noqa: N818 - becomes a check, is never shown
    def __init__(self, why: str, verdict: Verdict = Verdict.FAIL) -> None:
        super().__init__(why)
        self.why = why
        self.verdict = verdict


def load(
    objects: Sequence[ObjectFile],
    wanted: frozenset[str] | None,
    *,
    everywhere: frozenset[str] | None = frozenset(),
) -> Loaded:
    """Read the wanted columns (None: all) of all objects.

    Every object has to have those and, without their being read, those of `everywhere`.
    """
    if not objects:
        return Loaded(checks=(_check("objects", "no object belongs to this dataset version"),))
    broken: list[Check] = []
    headers: dict[str, tuple[str, ...]] = {}
    tables: dict[str, Any] = {}
    for one in objects:
        try:
            headers[one.key], tables[one.key] = _read(one, wanted)
        except _Unreadable as error:
            broken.append(_check("readable", f"`{one.key}` {error.why}", one.key, error.verdict))
    if broken:
        return Loaded(checks=tuple(broken))
    required = None if wanted is None or everywhere is None else wanted | everywhere
    drift = missing_columns(headers, required)
    clashing, clashes = _clashes(tables)
    columns = tuple(dict.fromkeys(name for header in headers.values() for name in header))
    return Loaded(_joined(tables, clashing), columns, clashing, (*drift, *clashes))


def _check(
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


def _read(one: ObjectFile, wanted: frozenset[str] | None) -> tuple[tuple[str, ...], Any]:
    import pyarrow as pa

    suffixes = [suffix.lower() for suffix in Path(one.key).suffixes]
    packed = bool(suffixes) and suffixes[-1] == ".gz"
    ending = "".join(suffixes[-2:-1] if packed else suffixes[-1:])
    form = _FORMATS.get(ending)
    if form is None:
        raise _Unreadable(
            f"has no ending that says its format; expected one of {', '.join(_FORMATS)}",
            Verdict.ERROR,
        )
    path = Path(one.path)
    try:
        if path.stat().st_size == 0:
            raise _Unreadable("is an empty file")
        if form == "parquet":
            return _parquet(path, wanted)
        return _text(path, wanted, form, "gzip" if packed else None)
    except FileNotFoundError:
        raise _Unreadable("was not fetched to this machine", Verdict.ERROR) from None
    except PermissionError:
        raise _Unreadable("may not be read by this user", Verdict.ERROR) from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _Unreadable(f"is not readable as {_NAMED[form]}{_where(str(error))}") from None


def _where(message: str) -> str:
    """The parts of Arrow's message that are about the file and hold none of its data."""
    counts = re.search(r"Expected (\d+) columns, got (\d+)", message)
    row = re.search(r"[Rr]ow #?(\d+)", message)
    parts = [
        f"row {row[1]}" if row else "",
        f"{counts[2]} fields instead of {counts[1]}" if counts else "",
    ]
    found = ", ".join(part for part in parts if part)
    return f" ({found})" if found else ""


def _pick(header: Sequence[str], wanted: frozenset[str] | None) -> list[str]:
    """The columns to read; one at least, or the rows could not be counted."""
    if wanted is None:
        return list(header)
    return [name for name in header if name in wanted] or list(header[:1])


def _parquet(path: Path, wanted: frozenset[str] | None) -> tuple[tuple[str, ...], Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        header = tuple(file.schema_arrow.names)
        return header, file.read(columns=_pick(header, wanted))


def _text(
    path: Path, wanted: frozenset[str] | None, form: str, compression: str | None
) -> tuple[tuple[str, ...], Any]:
    import pyarrow as pa
    from pyarrow import csv, json

    if form == "jsonl":
        with pa.input_stream(str(path), compression=compression) as stream:
            table = json.read_json(stream)
        return tuple(table.column_names), table.select(_pick(table.column_names, wanted))
    with (
        pa.input_stream(str(path), compression=compression) as stream,
        csv.open_csv(stream) as reader,
    ):
        header = tuple(reader.schema.names)
    with pa.input_stream(str(path), compression=compression) as stream:
        options = csv.ConvertOptions(
            include_columns=_pick(header, wanted), strings_can_be_null=True
        )
        return header, csv.read_csv(stream, convert_options=options)


def missing_columns(
    headers: Mapping[str, Sequence[str]], wanted: frozenset[str] | None
) -> list[Check]:
    """One check per column that some objects have and others lack.

    A column that the suite names blocks; any other is a warning.
    """
    checks = []
    for name in dict.fromkeys(name for header in headers.values() for name in header):
        lacking = [key for key, header in headers.items() if name not in header]
        if not lacking:
            continue
        having = [key for key in headers if key not in lacking]
        message = (
            f"column `{name}` is missing in {_listed(lacking)}"
            if len(lacking) <= len(having)
            else f"column `{name}` is only in {_listed(having)}"
        )
        blocks = wanted is None or name in wanted
        checks.append(
            _check(
                "same columns everywhere",
                f"{message} ({len(having)} of {len(headers)} objects have it)",
                name,
                Verdict.FAIL if blocks else Verdict.WARN,
                blocks=blocks,
                next_step="Mend the objects named, or write the column in all of them.",
            )
        )
    return checks


def _listed(keys: Sequence[str]) -> str:
    shown = ", ".join(f"`{key}`" for key in keys[:3])
    return shown + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def _clashes(tables: Mapping[str, Any]) -> tuple[frozenset[str], list[Check]]:
    import pyarrow as pa

    by_type: dict[str, dict[Any, list[str]]] = {}
    for key, table in tables.items():
        for field in table.schema:
            by_type.setdefault(field.name, {}).setdefault(field.type, []).append(key)
    clashing, checks = set(), []
    for name, types in by_type.items():
        try:
            pa.unify_schemas(
                [pa.schema([(name, kind)]) for kind in types], promote_options="permissive"
            )
        except pa.ArrowException:
            clashing.add(name)
            said = "; ".join(f"{kind} in {_listed(keys)}" for kind, keys in types.items())
            checks.append(_check("one type everywhere", f"column `{name}` is {said}", name))
    return frozenset(clashing), checks


def _joined(tables: Mapping[str, Any], clashing: frozenset[str]) -> Any:
    import pyarrow as pa

    return pa.concat_tables(
        [
            table.drop_columns([n for n in table.column_names if n in clashing])
            for table in tables.values()
        ],
        promote_options="permissive",
    )
