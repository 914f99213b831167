"""Notes about the types of columns that the files do not give and the spec does not declare."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from validators.data.agreement import Disagreement, agreed
from validators.data.contents import ColumnValues
from validators.data.texts import together, without_null_words

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


def note_of_nulls(
    name: str, columns: Mapping[str, ColumnValues], nulls: Sequence[str]
) -> list[str]:
    """A note if a column is text only because of words that may mean null."""
    untyped = [column for column in columns.values() if column.source == "text"]
    if len(untyped) < len(columns):
        return []
    every = together([column.values for column in untyped])
    rest, words = without_null_words(every)
    if not words:
        return []
    found = agreed({name: replace(untyped[0], values=rest)}, None)
    if isinstance(found, Disagreement) or not _is_more_than_text(found[name].type):
        return []
    count = len(every) - len(rest)
    values = f"{count:,} value{'s' * (count != 1)} ({', '.join(words)})"
    all_nulls = ", ".join(f"'{word}'" for word in (*nulls, *words))
    why = f"`{name}` is text only because of {values}"
    return [f"{why}; if that means null, set `nulls: [{all_nulls}]` in the dataset."]


def _is_more_than_text(kind: Any) -> bool:
    from pyarrow import types

    return not (types.is_string(kind) or types.is_null(kind))
