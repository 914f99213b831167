"""What the texts of a column without types are: numbers, days, times, or just texts.

All values of the dataset decide together, never those of one file. A text becomes something else
only where it says nothing that is lost by it: 02134 and +1 stay what they are.
"""

from collections.abc import Sequence
from typing import Any, Final

_BLANK: Final = r"[ \t]*"
_WHOLE: Final = r"-?(0|[1-9][0-9]*)"
_POINT: Final = rf"({_WHOLE}\.[0-9]*|-?\.[0-9]+)"
_NUMBER: Final = rf"({_POINT}([eE][+-]?[0-9]+)?|{_WHOLE}([eE][+-][0-9]+)?)"
_BARE_EXPONENT: Final = rf"{_WHOLE}[eE][0-9]+"
_PLAIN: Final = rf"({_POINT}|{_WHOLE})"
_DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME: Final = rf"{_DAY}[ T][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,9}})?)?"
_ZONED: Final = rf"{_TIME}(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)"
_WORDS_OF_NULL: Final = (
    "NA", "N/A", "n/a", "na", "#N/A", "NaN", "nan", "NULL", "Null", "null", "None", "none",
    "nil", "-", "?", "\\N",
)  # fmt: skip
_LOOK_FIRST: Final = 1000
"""Values that are looked at before all are: most columns of texts show themselves at once."""


def type_of(columns: Sequence[Any], *, only_times: bool) -> Any:
    """The Arrow type that every text of all the string columns is a value of; null where there are
    none. With `only_times`, days and times are looked for alone: what writes JSON has had numbers.
    """
    import pyarrow as pa

    if not any(len(one) - one.null_count for one in columns):
        return pa.null()
    for guess in (_times,) if only_times else (_numbers, _truths, _times):
        kind = guess(columns)
        if kind is not None and all(read_as(one, kind) is not None for one in columns):
            return kind
    return pa.string()


def read_as(column: Any, kind: Any) -> Any:
    """The column of strings read as an Arrow type, which is null where there are none; None where
    a value is no such thing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column))])
    if pa.types.is_string(kind):
        return column
    bare = pc.utf8_trim(column, characters=" \t")
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        # For Arrow 0x1F is a whole number, and +1 is none.
        if not all_match([bare], rf"[+-]?{_digits(kind)}"):
            return None
        bare = pc.replace_substring_regex(bare, r"^\+", "")
    try:
        return bare.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _digits(kind: Any) -> str:
    """The form of what has room in a whole number or a decimal: of a text with more digits than its
    precision, Arrow (26.0) may make another number without a word."""
    from pyarrow import types

    if types.is_integer(kind):
        return "[0-9]+"
    before = f"[0-9]{{0,{kind.precision - kind.scale}}}"
    return rf"{before}(?:\.[0-9]{{0,{kind.scale}}})?"


def decimal_of(columns: Sequence[Any]) -> Any:
    """The decimal that holds every digit after the point of the columns of strings."""
    import pyarrow as pa

    return pa.decimal128(38, min(max(map(_most_after_point, columns), default=0), 38))


def time_of(columns: Sequence[Any]) -> Any:
    """The timestamp that the columns of strings are read as, with a zone if all have one."""
    import pyarrow as pa

    unit = "ns" if _any_match(columns, r"\.[0-9]{7}") else "us"
    return pa.timestamp(unit, "UTC") if all_match(columns, _ZONED) else pa.timestamp(unit)


def word_of_null(columns: Sequence[Any]) -> tuple[str, int] | None:
    """The one word for "nothing" but for which the texts would be no texts, and how many of them
    it is; None if there is no such word."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for word in _WORDS_OF_NULL:
        equal = [pc.equal(column, word) for column in columns]
        count = sum(pc.sum(one).as_py() or 0 for one in equal)
        if count:
            others = [
                column.filter(pc.invert(same)) for column, same in zip(columns, equal, strict=True)
            ]
            kind = type_of(others, only_times=False)
            if not (pa.types.is_string(kind) or pa.types.is_null(kind)):
                return word, count
    return None


def all_match(columns: Sequence[Any], pattern: str) -> bool:
    """Whether all values that are there are of this form, blanks around them aside."""
    import pyarrow.compute as pc

    whole = f"^{_BLANK}(?:{pattern}){_BLANK}$"
    first = [column.slice(0, _LOOK_FIRST) for column in columns]
    return all(
        pc.all(pc.match_substring_regex(column, whole), min_count=0).as_py()
        for part in (first, columns)
        for column in part
    )


def _any_match(columns: Sequence[Any], pattern: str) -> bool:
    import pyarrow.compute as pc

    return any(
        pc.any(pc.match_substring_regex(one, pattern), min_count=0).as_py() for one in columns
    )


def _truths(columns: Sequence[Any]) -> Any:
    import pyarrow as pa

    words = "true|false|True|False|TRUE|FALSE"
    return pa.bool_() if all_match(columns, words) else None


def _numbers(columns: Sequence[Any]) -> Any:
    import pyarrow as pa

    if all_match(columns, _WHOLE):
        short = all(read_as(column, pa.int64()) is not None for column in columns)
        return pa.int64() if short else pa.decimal128(38, 0)
    if not all_match(columns, f"{_NUMBER}|{_BARE_EXPONENT}"):
        return None
    # 12e4 alone may be a code; among numbers with a point it is one of them.
    if _any_match(columns, rf"^{_BLANK}{_BARE_EXPONENT}") and not _any_match(columns, r"\."):
        return None
    if not _any_match(columns, rf"^{_BLANK}-?[0-9]{{16}}"):
        return pa.float64()
    # A double has not room for them.
    return decimal_of(columns) if all_match(columns, _PLAIN) else None


def _times(columns: Sequence[Any]) -> Any:
    import pyarrow as pa

    if all_match(columns, _DAY):
        return pa.date32()
    if all_match(columns, f"{_DAY}|{_TIME}") or all_match(columns, _ZONED):
        return time_of(columns)
    return None


def _most_after_point(column: Any) -> int:
    import pyarrow.compute as pc

    after = pc.replace_substring_regex(pc.utf8_trim(column, characters=" \t"), r"^[^.]*\.?", "")
    return pc.max(pc.utf8_length(after)).as_py() or 0
