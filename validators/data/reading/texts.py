"""The type of a text column without types: numbers, dates, times, or just text.

All values of the dataset decide together, never those of one file. Text becomes another type only
where nothing is lost: 02134 and +1 stay text.
"""

from collections.abc import Sequence
from typing import Any, Final

_BLANK: Final = r"[ \t]*"
_WHOLE: Final = r"-?(0|[1-9][0-9]*)"
_POINT: Final = rf"({_WHOLE}\.[0-9]*|-?\.[0-9]+)"
NUMBER: Final = rf"({_POINT}([eE][+-]?[0-9]+)?|{_WHOLE}([eE][+-][0-9]+)?)"
"""A number with a point or an exponent, or a whole one."""
_BARE_EXPONENT: Final = rf"{_WHOLE}[eE][0-9]+"
_PLAIN: Final = rf"({_POINT}|{_WHOLE})"
DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME: Final = rf"{DAY}[ T][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,9}})?)?"
ZONED: Final = rf"{_TIME}(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)"
FINE: Final = r"\.[0-9]{7}"
"""A fraction of a second that takes nanoseconds."""
_WORDS_OF_NULL: Final = (
    "NA", "N/A", "n/a", "na", "#N/A", "NaN", "nan", "NULL", "Null", "null", "None", "none",
    "nil", "-", "?", "\\N",
)  # fmt: skip
_ROOM: Final = 1e15
"""Below this, a double holds all digits before the point."""
_LOOK_FIRST: Final = 1000
"""Values that are tried before all others: most text columns are recognised by these."""


def type_of(values: Any, *, only_times: bool) -> Any:
    """The Arrow type that fits all these strings; null if there are none. With `only_times`, only
    dates and times are tried: JSON has its own numbers."""
    import pyarrow as pa

    if values.null_count == len(values):
        return pa.null()
    for guess in (_times,) if only_times else (_numbers, _truths, _times):
        kind = guess(values)
        if kind is not None and read_as(values, kind) is not None:
            return kind
    return pa.string()


def read_as(values: Any, kind: Any) -> Any:
    """The strings read as an Arrow type, or as null if there are none; None if one does not fit."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.null_count == len(values):
        return pa.chunked_array([pa.nulls(len(values))])
    if pa.types.is_string(kind):
        return values
    bare = pc.utf8_trim(values, characters=" \t")
    if pa.types.is_decimal(kind) and not all_match(bare, _digits(kind)):
        return None
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        # Arrow takes 0x1F for an integer, and +1 not.
        if pc.any(pc.match_substring(bare, "x", ignore_case=True)).as_py():
            return None
        if pc.any(pc.starts_with(bare, "+")).as_py():
            bare = pc.replace_substring_regex(bare, r"^\+", "")
    try:
        return bare.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _digits(kind: Any) -> str:
    """The pattern of text that fits a decimal: given more digits, Arrow's cast (26.0) may silently
    make another number."""
    before = f"[0-9]{{0,{kind.precision - kind.scale}}}"
    return rf"[+-]?{before}(?:\.[0-9]{{0,{kind.scale}}})?"


def decimal_of(values: Any) -> Any:
    """The decimal that holds every digit after the point of the strings."""
    import pyarrow as pa
    import pyarrow.compute as pc

    after = pc.replace_substring_regex(pc.utf8_trim(values, characters=" \t"), r"^[^.]*\.?", "")
    return pa.decimal128(38, min(pc.max(pc.utf8_length(after)).as_py() or 0, 38))


def time_of(values: Any) -> Any:
    """The timestamp type for the strings, with a zone if all have one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    fine = pc.any(pc.match_substring_regex(values, FINE)).as_py()
    unit = "ns" if fine else "us"
    return pa.timestamp(unit, "UTC") if all_match(values, ZONED) else pa.timestamp(unit)


def without_null_words(values: Any) -> tuple[Any, list[str]]:
    """The strings without words that often mean null, and those words."""
    import pyarrow as pa
    import pyarrow.compute as pc

    words = pc.is_in(values, value_set=pa.array(_WORDS_OF_NULL))
    return values.filter(pc.invert(words)), pc.unique(values.filter(words)).to_pylist()


def together(columns: Sequence[Any]) -> Any:
    """All values of several string columns."""
    import pyarrow as pa

    return pa.chunked_array([part for column in columns for part in column.chunks], pa.string())


def all_match(values: Any, pattern: str) -> bool:
    """Whether all strings match the pattern; nulls and surrounding blanks do not matter."""
    import pyarrow.compute as pc

    return all(
        pc.all(pc.match_substring_regex(part, whole(pattern)), min_count=0).as_py()
        for part in (values.slice(0, _LOOK_FIRST), values)
    )


def whole(pattern: str) -> str:
    """The pattern of texts that match it as a whole, but for surrounding blanks."""
    return f"^{_BLANK}(?:{pattern}){_BLANK}$"


def may_be_numbers(values: Any) -> bool:
    """Whether all strings are numbers, if there is one with a point among them."""
    return all_match(values, f"{NUMBER}|{_BARE_EXPONENT}")


def are_long(values: Any, sizes: Any) -> Any:
    """Which numbers have digits before the point that doubles may lose; given their sizes."""
    import pyarrow.compute as pc

    digits = pc.match_substring_regex(values, rf"^{_BLANK}-?[0-9]{{16}}")
    return pc.and_(pc.greater_equal(sizes, _ROOM), digits)


def _truths(values: Any) -> Any:
    import pyarrow as pa

    words = "true|false|True|False|TRUE|FALSE"
    return pa.bool_() if all_match(values, words) else None


def _numbers(values: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if all_match(values, _WHOLE):
        short = read_as(values, pa.int64()) is not None
        return pa.int64() if short else pa.decimal128(38, 0)
    if not all_match(values, NUMBER):
        # 12e4 alone may be a code; among numbers with a point it is a number.
        with_point = pc.any(pc.match_substring(values, ".")).as_py()
        if not with_point or not may_be_numbers(values):
            return None
    doubles = read_as(values, pa.float64())
    if doubles is None or pc.max(pc.abs(doubles)).as_py() < _ROOM:
        return pa.float64()
    if not pc.any(are_long(values, pc.abs(doubles))).as_py():
        return pa.float64()
    return decimal_of(values) if all_match(values, _PLAIN) else None


def _times(values: Any) -> Any:
    import pyarrow as pa

    if all_match(values, DAY):
        return pa.date32()
    if all_match(values, f"{DAY}|{_TIME}") or all_match(values, ZONED):
        return time_of(values)
    return None
