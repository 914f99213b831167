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
    kind: Any
    """The Arrow type of the other values, which is more than text."""


def null_words(column: ColumnValues) -> NullWords | None:
    """The words that alone make a column text; None if there are none."""
    rest, words = without_null_words(column.values)
    if not words:
        return None
    found = agreed({"": replace(column, values=rest)}, None)
    if isinstance(found, Disagreement) or not _is_more_than_text(found[""].type):
        return None
    return NullWords(tuple(words), len(column.values) - len(rest), found[""].type)


def note_of_nulls(
    name: str, columns: Mapping[str, ColumnValues], nulls: Sequence[str]
) -> list[str]:
    """A note if a column is text only because of words that may mean null."""
    untyped = [column for column in columns.values() if column.source == "text"]
    if len(untyped) < len(columns):
        return []
    every = together([column.values for column in untyped])
    found = null_words(replace(untyped[0], values=every))
    return [] if found is None else [note_of_words(name, found, nulls)]


def note_of_words(name: str, found: NullWords, nulls: Sequence[str]) -> str:
    """What to do about such words."""
    values = f"{found.times:,} value{'s' * (found.times != 1)} ({', '.join(found.words)})"
    all_nulls = ", ".join(f"'{word}'" for word in (*nulls, *found.words))
    why = f"`{name}` is text only because of {values}"
    return f"{why}; if that means null, set `nulls: [{all_nulls}]` in the dataset."


def words_together(name: str, every: Sequence[NullWords | None], nulls: Sequence[str]) -> list[str]:
    """The note for a column that is text in each of several objects that have values."""
    known = [one for one in every if one is not None]
    if len(known) < len(every) or len({one.kind for one in known}) != 1:
        return []
    words = tuple(dict.fromkeys(word for one in known for word in one.words))
    both = NullWords(words, sum(one.times for one in known), known[0].kind)
    return [note_of_words(name, both, nulls)]


def _is_more_than_text(kind: Any) -> bool:
    from pyarrow import types

    return not (types.is_string(kind) or types.is_null(kind))
