"""How often each value of a column occurs: the values sorted, in pieces.

What is asked of it (distinct values, values that occur once, the most frequent ones, quantiles)
is exact. A piece of consecutive whole numbers, such as a key that counts up, is kept as a range;
other pieces as a sorted numpy array: eight bytes a distinct value of a batch, at most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Final, NamedTuple

from validators.data.metrics.batch import RowBatch
from validators.data.metrics.metric import OfColumn
from validators.data.values.literals import Position

MOST_KEPT: Final = 4096
"""Distinct values of an object that are kept for its next judgement."""
MOST_JOINED: Final = 1 << 20
"""Entries of an object's pieces that are worth joining to see whether few values remain."""
_DENSE: Final = 4
"""Whole numbers whose range is at most this many times their number are counted, not sorted."""
_MANY: Final = 1 << 20
_OFTEN: Final = 4
"""More than `_MANY` entries, whose values occur less often than this, are held one by one."""
_STRIDE: Final = 1 << 22


class Piece(NamedTuple):
    """Sorted distinct keys, and how often each occurs."""

    keys: Any
    """A numpy array, or a `range` of whole numbers."""
    counts: Any = None
    """A numpy array of whole numbers; None if each occurs once."""

    @property
    def first(self) -> Any:
        return self.keys[0]

    @property
    def last(self) -> Any:
        return self.keys[-1]

    @property
    def n(self) -> int:
        return len(self.keys) if self.counts is None else int(self.counts.sum(dtype="int64"))

    @property
    def distinct(self) -> int:
        return len(self.keys)

    @property
    def once(self) -> int:
        """How many values occur once."""
        return len(self.keys) if self.counts is None else int((self.counts == 1).sum())

    def at(self, place: int) -> Any:
        """The value at a place of the sorted values, from 0."""
        if self.counts is None:
            return _plain(self.keys[place])
        ends = self.counts.cumsum(dtype="int64")
        return _plain(self.keys[ends.searchsorted(place, side="right")])

    def repeats(self, least: int) -> Any:
        """The keys that occur at least so often, sorted; `least` is more than 1."""
        return self.keys[:0] if self.counts is None else self.keys[self.counts >= least]

    @property
    def most(self) -> int:
        """How often the most frequent value occurs."""
        return 1 if self.counts is None else int(self.counts.max())

    def how_often(self, key: Any) -> int:
        """How often a key occurs."""
        if isinstance(self.keys, range):
            return int(key in self.keys)
        place = self.keys.searchsorted(key)
        if place == len(self.keys) or self.keys[place] != key:
            return 0
        return 1 if self.counts is None else int(self.counts[place])


class SortedKeys(NamedTuple):
    """Sorted keys, each as often as it occurs: for many that are nearly all distinct."""

    keys: Any

    @property
    def n(self) -> int:
        return len(self.keys)

    @property
    def distinct(self) -> int:
        return sum(int(starts.sum()) for starts, _ in self._runs())

    @property
    def once(self) -> int:
        """How many values occur once."""
        return sum(int((starts & ends).sum()) for starts, ends in self._runs())

    def at(self, place: int) -> Any:
        """The value at a place, from 0."""
        return _plain(self.keys[place])

    def repeats(self, least: int) -> Any:
        """The keys that occur at least so often, sorted; `least` is more than 1."""
        import numpy as np

        found = [self.keys[:0]]
        for at in range(0, len(self.keys), _STRIDE):
            ahead = self.keys[at + least - 1 : at + least - 1 + _STRIDE]
            behind = self.keys[at : at + len(ahead)]
            found.append(np.unique(ahead[ahead == behind]))
        return np.unique(np.concatenate(found))

    @property
    def most(self) -> int:
        """How often the most frequent value occurs."""
        low, high = 1, len(self.keys)
        while low < high:  # by halves: that often, or not
            middle = (low + high + 1) // 2
            low, high = (middle, high) if len(self.repeats(middle)) else (low, middle - 1)
        return low

    def how_often(self, key: Any) -> int:
        """How often a key occurs."""
        left, right = (self.keys.searchsorted(key, side) for side in ("left", "right"))
        return int(right - left)

    def _runs(self) -> Iterator[tuple[Any, Any]]:
        """Piece by piece: masks of the places where a value begins, and where it ends."""
        import numpy as np

        for at in range(0, len(self.keys), _STRIDE):
            piece = self.keys[at : at + _STRIDE + 1]
            changes = piece[1:] != piece[:-1]
            begins = at == 0 or self.keys[at] != self.keys[at - 1]
            if at + _STRIDE >= len(self.keys):
                changes = np.append(changes, True)
            yield np.concatenate([[begins], changes[:-1]]), changes


def _plain(key: Any) -> Any:
    return key if isinstance(key, int) else key.item()


@dataclass(frozen=True, eq=False)
class SortedCounts:
    """The values of all rows: disjoint pieces in ascending order."""

    pieces: tuple[Piece | SortedKeys, ...]

    @cached_property
    def n(self) -> int:
        """How many values there are."""
        return sum(piece.n for piece in self.pieces)

    @cached_property
    def distinct(self) -> int:
        """How many distinct values there are."""
        return sum(piece.distinct for piece in self.pieces)

    @cached_property
    def once(self) -> int:
        """How many values occur once."""
        return sum(piece.once for piece in self.pieces)

    @property
    def repeated(self) -> Any:
        """The keys that occur more than once, sorted."""
        import numpy as np

        several = [piece.repeats(2) for piece in self.pieces if not isinstance(piece.keys, range)]
        return np.concatenate(several) if several else np.array([], np.uint64)

    def most_frequent(self, among: Sequence[Any]) -> tuple[int, int]:
        """How many values occur as often as no other, and how many of those are in `among`."""
        most = max((piece.most for piece in self.pieces), default=0)
        if most == 1:
            modes = self.distinct
        else:
            modes = sum(len(piece.repeats(most)) for piece in self.pieces if piece.most == most)
        held = sum(any(piece.how_often(key) == most for piece in self.pieces) for key in among)
        return modes, held

    def at(self, place: int) -> Any:
        """The value at a place of the sorted values, from 0."""
        for piece in self.pieces:
            if place < piece.n:
                return piece.at(place)
            place -= piece.n
        raise IndexError(place)


def piece_of(keys: Any) -> Piece | None:
    """The piece of some numbers in any order, without NaN; None if there are none."""
    import numpy as np

    if len(keys) == 0:
        return None
    if keys.dtype.kind in "iu":
        low, high = int(keys.min()), int(keys.max())
        room = high - low + 1
        if room <= _DENSE * len(keys) or room <= 1 << 16:
            return _counted(keys, low, room)
    ordered = np.sort(keys)
    starts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    if len(starts) == len(ordered) - 1:
        return Piece(ordered)
    starts = np.concatenate([[0], starts])
    return Piece(ordered[starts], _small(np.diff(starts, append=len(ordered))))


def _small(counts: Any) -> Any:
    """The counts in the least room."""
    import numpy as np

    return counts.astype(np.min_scalar_type(int(counts.max())))


def _counted(keys: Any, low: int, room: int) -> Piece:
    """The piece of whole numbers that lie close together."""
    import numpy as np

    base = keys.dtype.type(low)
    counts = np.bincount((keys - base).astype(np.int64, copy=False), minlength=room)
    if len(keys) == room and counts.max() == 1 and keys.dtype == np.int64:
        return Piece(range(low, low + room))
    there = np.flatnonzero(counts)
    counts = counts[there]
    found = there.astype(keys.dtype) + base
    return Piece(found, None if counts.max() == 1 else _small(counts))


def together(pieces: list[Piece]) -> SortedCounts:
    """The tally of all pieces, which are taken from the list, as there may be no room for both."""
    groups = list(_overlapping(pieces))
    pieces.clear()
    return SortedCounts(tuple(_joined(group) for group in groups))


def _overlapping(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """The pieces in groups whose ranges have no value in common."""
    group: list[Piece] = []
    last: Any = None
    for piece in sorted(pieces, key=lambda one: one.first):
        if group and piece.first > last:
            yield group
            group = []
        last = piece.last if not group else max(last, piece.last)
        group.append(piece)
    if group:
        yield group


def _joined(group: list[Piece]) -> Piece | SortedKeys:
    """One piece of all of them, which are taken from the list."""
    if len(group) == 1:
        return group.pop()
    n, entries = sum(piece.n for piece in group), sum(len(piece.keys) for piece in group)
    if entries > _MANY and _OFTEN * entries > n:
        return SortedKeys(_all_keys(group, n))
    return _counts_added(group)


def _all_keys(group: list[Piece], n: int) -> Any:
    """All keys, as often as they occur, in one array."""
    import numpy as np

    every = np.empty(n, np.asarray(group[0].keys[:1]).dtype)
    at = 0
    while group:
        keys, counts = group.pop()
        part = np.asarray(keys) if counts is None else np.repeat(keys, counts)
        every[at : at + len(part)] = part
        at += len(part)
    every.sort()
    return every


def _counts_added(group: list[Piece]) -> Piece:
    import numpy as np

    every = np.concatenate([np.asarray(piece.keys) for piece in group])
    counts = np.concatenate([
        np.ones(len(piece.keys), np.int64) if piece.counts is None else piece.counts
        for piece in group
    ])  # fmt: skip
    group.clear()
    order = np.argsort(every, kind="stable")
    every, counts = every[order], counts[order]
    starts = np.concatenate([[0], np.flatnonzero(every[1:] != every[:-1]) + 1])
    totals = np.add.reduceat(counts, starts, dtype=np.int64)
    return Piece(every[starts], None if totals.max() == 1 else totals)


@dataclass(frozen=True)
class Tallied(OfColumn):
    """The pieces of a column of numbers, days or times. The keys are positions (see
    `literals.Position`)."""

    @property
    def is_large(self) -> bool:
        return True

    def of(self, batch: RowBatch) -> list[Piece]:
        found = piece_of(keys_of(batch.values(self.column)))
        return [] if found is None else [found]

    def merged(self, states: Sequence[list[Piece]]) -> list[Piece]:
        return [piece for state in states for piece in state]

    def dump(self, state: list[Piece]) -> Any:
        held = sum(0 if isinstance(piece.keys, range) else len(piece.keys) for piece in state)
        if held > MOST_JOINED:
            return None
        pieces = [one for one in together(list(state)).pieces if isinstance(one, Piece)]
        if sum(0 if isinstance(one.keys, range) else len(one.keys) for one in pieces) > MOST_KEPT:
            return None
        return [
            [piece.keys.start, piece.keys.stop]
            if isinstance(piece.keys, range)
            else {
                "type": piece.keys.dtype.str,
                "keys": piece.keys.tolist(),
                "counts": None if piece.counts is None else piece.counts.tolist(),
            }
            for piece in pieces
        ]

    def load(self, dumped: Any) -> list[Piece]:
        import numpy as np

        return [
            Piece(range(*one))
            if isinstance(one, list)
            else Piece(
                np.array(one["keys"], one["type"]),
                None if one["counts"] is None else np.array(one["counts"], np.int64),
            )
            for one in dumped
        ]


@dataclass(frozen=True)
class _View(OfColumn):
    """What is said of a tally, by the `pieces` of a column."""

    @property
    def source(self) -> Tallied:
        return Tallied(self.column)

    def of(self, batch: RowBatch) -> list[Piece]:
        return self.source.of(batch)

    def merged(self, states: Sequence[list[Piece]]) -> list[Piece]:
        return self.source.merged(states)


class Repetition(NamedTuple):
    """How many values or rows there are, how many distinct ones, and how many occur once."""

    n: int
    distinct: int
    once: int


@dataclass(frozen=True)
class Repeats(_View):
    """How many values are distinct, and how many occur once."""

    def seen(self, state: SortedCounts) -> Repetition:
        return Repetition(state.n, state.distinct, state.once)


@dataclass(frozen=True)
class MostFrequent(_View):
    """How many values occur as often as no other, and how many of those are among some keys."""

    among: tuple[Any, ...]

    def seen(self, state: SortedCounts) -> tuple[int, int]:
        return state.most_frequent(self.among)


@dataclass(frozen=True)
class Neighbours(_View):
    """For some shares (0 to 1) of the way through the n sorted values: the place there, and the
    values at the places of whole numbers before and after it. Without values there are none."""

    shares: tuple[Fraction, ...]

    def seen(self, state: SortedCounts) -> list[tuple[Fraction, Any, Any]]:
        places = [share * (state.n - 1) for share in self.shares] if state.n else []
        return [
            (place, state.at(int(place)), state.at(min(int(place) + 1, state.n - 1)))
            for place in places
        ]


def has_keys(kind: Any) -> bool:
    """Whether each value of a (settled) type is a number of 64 bits."""
    import pyarrow as pa

    types = pa.types
    if types.is_decimal(kind):
        return bool(kind.precision <= 18)
    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or (types.is_temporal(kind) and not types.is_interval(kind))
    )


def key_at(position: Position) -> Any:
    """The key at a position; None if there is none, between two steps of a column's type."""
    if isinstance(position, Fraction):
        return position.numerator if position.denominator == 1 else None
    return position


def keys_of(values: Any) -> Any:
    """The values as a numpy array of their positions: int64, uint64 for that type, or floats."""
    import numpy as np
    import pyarrow as pa

    kind = values.type
    if pa.types.is_decimal(kind):
        return np.concatenate([np.array([], np.int64), *map(_low_half, values.chunks)])
    if pa.types.is_boolean(kind):
        values = values.cast(pa.uint8())
    elif pa.types.is_temporal(kind):
        values = values.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
    found = values.to_numpy()
    is_small = found.dtype.kind in "iu" and found.dtype != np.uint64
    return found.astype(np.int64, copy=False) if is_small else found


def _low_half(chunk: Any) -> Any:
    """The lower 64 bits of decimals of 128 bits, which hold all of up to 18 digits."""
    import numpy as np

    halves = np.frombuffer(chunk.buffers()[1], np.int64)
    return halves[2 * chunk.offset :: 2][: len(chunk)]
