"""Open objects of which each says alone what types its columns have, so that the others need not be
read for it: text and JSON that looks alike in all objects, ORC, Arrow, and mixtures."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from validators.data.metrics.kept import KeptMetrics, object_id
from validators.data.reading import looks
from validators.data.reading.dataset import OpenedDataset
from validators.data.reading.differences import missing_columns, note_of_order
from validators.data.reading.files import read
from validators.data.reading.formats.contents import Unreadable
from validators.data.reading.inferred import note_of_types, words_together
from validators.data.reading.looks import ObjectLooks, alike
from validators.data.reading.object_part import HeldContents, ObjectPart
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.tables import (
    columns_twice,
    object_check,
    said_twice,
    unknown_types,
)
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

    def dataset(self) -> OpenedDataset | None:
        """The dataset; None if the objects have to be read together."""
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
        for name in names:
            if self.wanted is None or name in self.wanted:
                types[name] = alike(found.values(), name)
        if any(kind is None for kind in types.values()):
            return None
        return OpenedDataset(
            parts=tuple(self._part(one, found[one.key], types) for one in self.objects),
            rows=sum(look.rows for look in found.values()),
            columns=names,
            types=types,
            checks=tuple(self._checks(found, headers, names)),
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
        part = read(one, self.wanted, self.reading.nulls, written=self.reading.csv)
        self.held.put(one.key, part)
        found = looks.looks_of(part, one, self.reading)
        if mine is not None:
            self.kept.put_looks(mine, name, looks.dumped(found))
        return found

    def _part(self, one: ObjectFile, look: ObjectLooks, types: Mapping[str, Any]) -> ObjectPart:
        return ObjectPart(one, look.rows, types, self.reading, self.held)

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
            if all(one.is_inferred for one in columns):
                inferred[name] = kind
                valued = [one.words for one in columns if one.kind == kind]
                words += words_together(name, valued, self.reading.nulls)
        ordered = {key: names for key, names in headers.items() if not found[key].leaves_out}
        return [*note_of_order(ordered), *note_of_types(inferred), *words]
