"""A few of the texts of a column that stand for all of them.

What type texts have is decided by questions that each text answers for itself (is it a number, has
it an exponent, how many digits) and by whether all, or any, say yes. Texts that give every such
answer that the column gives decide with the texts of other pieces and objects as the column would.
"""

from collections.abc import Iterator
from typing import Any, Final

from validators.data.reading import texts

_ANY_TEXT: Final = "text"
"""It stands for every text that is nothing more, beside whatever else."""


def witnesses_of(values: Any, typed: Any) -> tuple[str, ...]:
    """Of strings, and the same as values of the type that they have alone."""
    if values.null_count == len(values):
        return ()
    return tuple(dict.fromkeys(values[at].as_py() for at in _places(values, typed) if at >= 0)) or (
        _ANY_TEXT,
    )


def _places(values: Any, typed: Any) -> Iterator[int]:
    from pyarrow import types

    kind = typed.type
    if types.is_integer(kind) or types.is_date(kind):
        yield from _ends(typed)
    elif types.is_boolean(kind):
        yield _first(values.is_valid())
    elif types.is_timestamp(kind):
        yield from _ends(typed)
        yield from _places_of_times(values)
    elif types.is_floating(kind) or types.is_decimal(kind) or texts.may_be_numbers(values):
        yield from _places_of_numbers(values)


def _ends(column: Any) -> tuple[int, int]:
    """Where the least and the greatest value are."""
    import pyarrow.compute as pc

    ends = pc.min_max(column)
    return pc.index(column, ends["min"]).as_py(), pc.index(column, ends["max"]).as_py()


def _first(mask: Any) -> int:
    """Where the first true value is; -1 if there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return int(pc.index(mask, pa.scalar(True)).as_py())


def _places_of_times(values: Any) -> Iterator[int]:
    import pyarrow.compute as pc

    for pattern in (texts.DAY, texts.ZONED):
        fits = pc.match_substring_regex(values, texts.whole(pattern))
        yield _first(fits)
        yield _first(pc.invert(fits))
    yield _first(pc.match_substring_regex(values, texts.FINE))


def _places_of_numbers(values: Any) -> Iterator[int]:
    import pyarrow as pa
    import pyarrow.compute as pc

    point = pc.match_substring(values, ".")
    exponent = pc.match_substring(values, "e", ignore_case=True)
    yield _first(point)
    at = _first(exponent)
    yield at
    if at >= 0:
        signed = pc.match_substring_regex(values, texts.whole(texts.NUMBER))
        yield _first(pc.and_(exponent, pc.invert(signed)))
    size = pc.abs(pc.utf8_trim(values, characters=" \t+").cast(pa.float64()))
    yield _ends(size)[1]
    yield _first(texts.are_long(values, size))
    bare = pc.utf8_ltrim(pc.utf8_trim(values, characters=" \t"), characters="+-")
    length = pc.binary_length(bare)
    before = pc.find_substring(bare, ".")
    before = pc.if_else(pc.less(before, 0), length, before)
    yield _ends(before)[1]
    yield _ends(pc.subtract(length, before))[1]
