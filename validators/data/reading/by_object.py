"""Open objects of which each says alone what types its columns have, so that the others need not be
read for it: text, JSON, ORC, Arrow, and mixtures. Each is read piece by piece."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from specs.model import ColumnType
from validators.data.metrics.kept import KeptMetrics, object_id
from validators.data.reading import looks
from validators.data.reading.agreement import Disagreement
from validators.data.reading.ahead import each_done
from validators.data.reading.dataset import OpenedDataset
from validators.data.reading.differences import Among, clash, missing_columns, note_of_order
from validators.data.reading.files import Stamp, pieces, read, stamp_of
from validators.data.reading.formats.contents import NotInParts, ObjectContents, Unreadable
from validators.data.reading.inferred import note_of_types, note_of_words
from validators.data.reading.looks import (
    ColumnLook,
    ObjectLooks,
    kind_together,
    look_of,
    looks_of,
    looks_together,
    words_together,
)
from validators.data.reading.object_part import HeldContents, ObjectPart, text_column
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.partitions import contradicted, partitions_of
from validators.data.reading.tables import (
    columns_twice,
    object_check,
    said_twice,
    unknown_types,
)
from validators.data.values.common_types import is_text
from validators.report import Check


@dataclass(frozen=True)
class ByObject:
    """Objects that are opened one by one."""

    objects: Sequence[ObjectFile]
    wanted: frozenset[str] | None
    everywhere: frozenset[str] | None
    reading: DatasetReading
    kept: KeptMetrics
    held: HeldContents = field(default_factory=HeldContents)
    stamps: dict[str, Stamp | None] = field(default_factory=dict)
    """Those of the files that were looked at."""

    def dataset(self) -> OpenedDataset | None:
        """The dataset; None if the objects have to be read together."""
        import pyarrow as pa

        found: dict[str, ObjectLooks] = {}
        broken: list[Check] = []
        for one in self.objects:
            try:
                found[one.key] = self._looks(one)
            except Unreadable as error:
                broken.append(
                    object_check("readable", f"`{one.key}` {error.why}", one.key, error.verdict)
                )
        if broken:
            return OpenedDataset(checks=tuple(broken), is_readable=False)
        headers = {key: look.header for key, look in found.items() if look.header}
        names = tuple(dict.fromkeys(name for header in headers.values() for name in header))
        types: dict[str, Any] = {}
        clashes: dict[str, Check] = {}
        among = Among(list(found))
        for name in names:
            if self.wanted is not None and name not in self.wanted:
                continue
            wished = self.reading.types.get(name)
            columns = {key: one.columns[name] for key, one in found.items() if name in one.columns}
            types[name] = kind_together(list(columns.values()), wished)
            if types[name] is None:
                if wished is None or wished in ("decimal", "timestamp"):
                    return None
                unfit = tuple(key for key, look in columns.items() if look.kind is None)
                clashes[name] = clash(name, Disagreement({}, unfit), wished, among)
                types[name] = pa.null()
        return OpenedDataset(
            parts=tuple(
                ObjectPart(
                    one, found[one.key], types, self.reading, self.held, self.stamps.get(one.key)
                )
                for one in self.objects
            ),
            rows=sum(look.rows for look in found.values()),
            columns=names,
            types=types,
            clashing=frozenset(clashes),
            checks=(*self._checks(found, headers, names), *clashes.values()),
            notes=tuple(self._notes(found, headers, types)),
            objects=len(self.objects),
        )

    def _looks(self, one: ObjectFile) -> ObjectLooks:
        """What the object looks like; it is only read if that is not known."""
        name = looks.name_of(self.reading)
        mine = object_id(one.key, one.digest) if one.digest else None
        if mine is not None and (kept := self.kept.looks(mine, name)) is not None:
            try:
                found = looks.loaded(kept)
            except (ValueError, TypeError, KeyError, OSError):
                found = None
            if found is not None and found.knows(self.wanted):
                return found
        self.stamps[one.key] = stamp_of(Path(one.path))
        found = self._looked_at(one)
        if mine is not None:
            self.kept.put_looks(mine, name, looks.dumped(found))
        return found

    def _looked_at(self, one: ObjectFile) -> ObjectLooks:
        folders = partitions_of(one.key, self.reading.nulls)
        try:
            found = self._piece_by_piece(one)
        except NotInParts:
            found = None
        apart: Sequence[str] = ()
        if found is None or not folders.keys().isdisjoint(found.columns):
            part = read(one, self.wanted, self.reading.nulls, written=self.reading.csv)
            for _ in self.held.noted(one.key, [part]):
                found = replace(looks_of(part, self.reading), stored=None)
            apart = contradicted(part, folders)
        assert found is not None, "the object was read"
        constant = {name: text for name, text in folders.items() if name not in found.header}
        of_folders = {
            name: _of_folder(text, found.rows, self.reading.types.get(name))
            for name, text in constant.items()
        }
        return replace(
            found,
            header=(*found.header, *constant),
            columns={**found.columns, **of_folders},
            apart=tuple(apart),
        )

    def _piece_by_piece(self, one: ObjectFile) -> ObjectLooks:
        """Raises `NotInParts` and `Unreadable`."""
        found, is_settled = self._of_pieces(one, None)
        if not is_settled:  # some piece alone has another type than the file
            found, _ = self._of_pieces(one, found.stored)
        return found

    def _of_pieces(
        self, one: ObjectFile, stored: Mapping[str, Any] | None
    ) -> tuple[ObjectLooks, bool]:
        """What the object looks like, and whether its pieces have the types that are stored."""
        import pyarrow as pa

        every: list[ObjectLooks] = []
        kinds: dict[str, set[Any]] = defaultdict(set)
        contents = pieces(one, self.wanted, self.reading.nulls, self.reading.csv, stored)

        def looked_at(piece: ObjectContents) -> tuple[ObjectLooks, dict[str, Any]]:
            types = {name: column.values.type for name, column in piece.columns.items()}
            return looks_of(piece, self.reading), types

        for look, types in each_done(looked_at, self.held.noted(one.key, contents)):
            every.append(look)
            for name in types.keys() & (look.stored or {}).keys():
                kinds[name].add(types[name])
        found = looks_together(every, self.reading.types)
        known = found.stored or {}
        return found, all(each <= {known[name], pa.null()} for name, each in kinds.items())

    def _checks(
        self,
        found: Mapping[str, ObjectLooks],
        headers: Mapping[str, Sequence[str]],
        names: Sequence[str],
    ) -> list[Check]:
        doubled: dict[str, list[str]] = defaultdict(list)
        apart: dict[str, list[str]] = defaultdict(list)
        for key, look in found.items():
            for name in look.doubled:
                doubled[name].append(key)
            for name in look.apart:
                apart[name].append(key)
        required = None
        if self.wanted is not None and self.everywhere is not None:
            required = self.wanted | self.everywhere
        leave_out = {key for key, look in found.items() if look.leaves_out}
        return [
            *columns_twice(doubled),
            *said_twice(apart),
            *missing_columns(headers, required, leave_out),
            *unknown_types(self.reading.types, names),
        ]

    def _notes(
        self,
        found: Mapping[str, ObjectLooks],
        headers: Mapping[str, Sequence[str]],
        types: Mapping[str, Any],
    ) -> list[str]:
        inferred: dict[str, Any] = {}
        words: list[str] = []
        for name, kind in types.items():
            columns = [look.columns[name] for look in found.values() if name in look.columns]
            if name in self.reading.types:
                continue
            if all(one.source != "typed" for one in columns):
                inferred[name] = kind
            if all(one.source == "text" for one in columns) and is_text(kind):
                words += self._note_of_words(name, columns)
        ordered = {key: names for key, names in headers.items() if not found[key].leaves_out}
        return [*note_of_order(ordered), *note_of_types(inferred), *words]

    def _note_of_words(self, name: str, columns: Sequence[ColumnLook]) -> list[str]:
        rest = text_column(*(text for one in columns for text in one.texts or ()))
        return note_of_words(name, words_together(columns), rest, self.reading.nulls)


def _of_folder(text: str | None, rows: int, wished: ColumnType | None) -> ColumnLook:
    """What the column looks like that the name of a folder is, in each of so many rows."""
    look = look_of(text_column(*([text] if rows else [])), wished)
    return look._replace(words=look.words._replace(times=look.words.times * rows))
