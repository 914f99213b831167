"""How often each value of a column occurs: the values sorted, in pieces.

What is asked of it (distinct values, values that occur once, the most frequent ones, quantiles)
is exact. A piece of consecutive whole numbers, such as a key that counts up, is kept as a range;
other pieces as a sorted numpy array: eight bytes a distinct value of a batch, at most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

from validators.data.metrics.batch import RowBatch
from validators.data.metrics.metric import OfColumn

MOST_KEPT: Final = 4096
"""Distinct values of an object that are kept for its next judgement."""
_DENSE: Final = 4
"""Whole numbers whose range is at most this many times their number are counted, not sorted."""


class Piece(NamedTuple):
    """Sorted distinct keys, and how often each occurs."""

    keys: Any
    """A numpy array, or a `range` of whole numbers."""
    counts: Any = None
    """A numpy array of int64; None if each occurs once."""

    @property
    def first(self) -> Any:
        return self.keys[0]

    @property
    def last(self) -> Any:
        return self.keys[-1]

    @property
    def n(self) -> int:
        return len(self.keys) if self.counts is None else int(self.counts.sum())


@dataclass(frozen=True, eq=False)
class SortedCounts:
    """The values of all rows: disjoint pieces in ascending order."""

    pieces: tuple[Piece, ...]

    @cached_property
    def n(self) -> int:
        """How many values there are."""
        return sum(piece.n for piece in self.pieces)

    @cached_property
    def distinct(self) -> int:
        """How many distinct values there are."""
        return sum(len(piece.keys) for piece in self.pieces)

    @cached_property
    def once(self) -> int:
        """How many values occur once."""
        return sum(
            len(piece.keys) if piece.counts is None else int((piece.counts == 1).sum())
            for piece in self.pieces
        )

    @property
    def repeated(self) -> Any:
        """The keys that occur more than once, sorted."""
        import numpy as np

        several = [
            piece.keys[piece.counts > 1] for piece in self.pieces if piece.counts is not None
        ]
        return np.concatenate(several) if several else np.array([], np.uint64)

    def most_frequent(self) -> list[Any]:
        """The keys that occur as often as no other."""
        most = max(
            (1 if piece.counts is None else int(piece.counts.max()) for piece in self.pieces),
            default=0,
        )
        found: list[Any] = []
        for piece in self.pieces:
            if piece.counts is not None:
                found += piece.keys[piece.counts == most].tolist()
            elif most == 1:
                found += list(piece.keys)
        return found

    def at(self, place: int) -> Any:
        """The value at a place of the sorted values, from 0."""
        import numpy as np

        for piece in self.pieces:
            if place < piece.n:
                if piece.counts is None:
                    found = piece.keys[place]
                else:
                    found = piece.keys[np.searchsorted(piece.counts.cumsum(), place, side="right")]
                return found if isinstance(found, int) else found.item()
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
    return Piece(ordered[starts], np.diff(starts, append=len(ordered)))


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
    return Piece(found, None if counts.max() == 1 else counts)


def together(pieces: Sequence[Piece]) -> SortedCounts:
    """The tally of all pieces."""
    return SortedCounts(tuple(_joined(group) for group in _overlapping(pieces)))


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


def _joined(group: list[Piece]) -> Piece:
    import numpy as np

    if len(group) == 1:
        return group[0]
    every = np.concatenate([np.asarray(piece.keys) for piece in group])
    if all(piece.counts is None for piece in group):
        group.clear()
        every.sort(kind="stable")  # which finds that the pieces are sorted
        starts = np.flatnonzero(every[1:] != every[:-1]) + 1
        if len(starts) == len(every) - 1:
            return Piece(every)
        starts = np.concatenate([[0], starts])
        return Piece(every[starts], np.diff(starts, append=len(every)))
    counts = np.concatenate([
        np.ones(len(piece.keys), np.int64) if piece.counts is None else piece.counts
        for piece in group
    ])  # fmt: skip
    order = np.argsort(every, kind="stable")
    every, counts = every[order], counts[order]
    starts = np.concatenate([[0], np.flatnonzero(every[1:] != every[:-1]) + 1])
    return Piece(every[starts], np.add.reduceat(counts, starts))


@dataclass(frozen=True)
class Tallied(OfColumn):
    """The pieces of a column of numbers, days or times; `together` makes the tally of them.

    The keys are positions (see `literals.Position`).
    """

    def of(self, batch: RowBatch) -> list[Piece]:
        found = piece_of(keys_of(batch.values(self.column)))
        return [] if found is None else [found]

    def merged(self, states: Sequence[list[Piece]]) -> list[Piece]:
        return [piece for state in states for piece in state]

    def dump(self, state: list[Piece]) -> Any:
        pieces = together(state).pieces
        held = sum(0 if isinstance(piece.keys, range) else len(piece.keys) for piece in pieces)
        if held > MOST_KEPT:
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
