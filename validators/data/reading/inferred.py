"""Notes about the types of columns that the files do not give and the spec does not declare."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from validators.data.reading.agreement import Disagreement, agreed
from validators.data.reading.formats.contents import ColumnValues
from validators.data.reading.texts import together, without_null_words

_MOST_NAMED: Final = 12


def is_inferred(columns: Mapping[str, ColumnValues]) -> bool:
    """Whether a column's type comes from its texts in all objects."""
    return all(column.source != "typed" for column in columns.values())


def note_of_types(kinds: Mapping[str, Any]) -> list[str]:
    """A note that lists columns with the type that was inferred for each."""
    if not kinds:
        return []
    shown = [f"`{name}` {_named(kind)}" for name, kind in list(kinds.items())[:_MOST_NAMED]]
    more = f" and {len(kinds) - len(shown):,} more" if len(kinds) > len(shown) else ""
    return [f"Types inferred from the texts: {', '.join(shown)}{more}."]


def _named(kind: Any) -> str:
    """The type as the spec calls it."""
    from pyarrow import types

    if types.is_date(kind):
        return "date"
    if types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else f"timestamp in {kind.tz}"
    if types.is_decimal(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    return "all null" if types.is_null(kind) else str(kind)


class NullWords(NamedTuple):
    """Words in a column of texts that may mean null."""

    words: tuple[str, ...]
    times: int
    """How often they occur."""


def null_words(values: Any) -> tuple[Any, NullWords]:
    """The strings without such words, and those."""
    rest, words = without_null_words(values)
    return rest, NullWords(tuple(words), len(values) - len(rest))


def note_of_nulls(
    name: str, columns: Mapping[str, ColumnValues], nulls: Sequence[str]
) -> list[str]:
    """A note if a column is text only because of words that may mean null."""
    untyped = [column for column in columns.values() if column.source == "text"]
    if len(untyped) < len(columns):
        return []
    rest, found = null_words(together([column.values for column in untyped]))
    return note_of_words(name, found, replace(untyped[0], values=rest), nulls)


def note_of_words(
    name: str, found: NullWords, rest: ColumnValues, nulls: Sequence[str]
) -> list[str]:
    """What to do about such words, if the column is text only because of them."""
    if not found.words:
        return []
    others = agreed({"": rest}, None)
    if isinstance(others, Disagreement) or not _is_more_than_text(others[""].type):
        return []
    values = f"{found.times:,} value{'s' * (found.times != 1)} ({', '.join(found.words)})"
    all_nulls = ", ".join(f"'{word}'" for word in (*nulls, *found.words))
    why = f"`{name}` is text only because of {values}"
    return [f"{why}; if that means null, set `nulls: [{all_nulls}]` in the dataset."]


def _is_more_than_text(kind: Any) -> bool:
    from pyarrow import types

    return not (types.is_string(kind) or types.is_null(kind))
