"""Columns of few values: what slices are made of, and where two tables differ about one."""

import unicodedata
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from validators.model.classes import NUMBER, moment

if TYPE_CHECKING:
    import pyarrow as pa

NONE: Final = "(none)"
"""The name of a value that is not there."""

LONGEST_VALUE: Final = 60
"""Characters of a value that a report shows."""


@dataclass(frozen=True, slots=True)
class Categories:
    """A column of few values: the values in their order, and which of them each row has."""

    values: tuple[str, ...]
    codes: NDArray[np.intp]


def categories(texts: "pa.ChunkedArray") -> Categories:
    """The column, whose values are texts or null, as categories."""
    encoded = texts.fill_null(NONE).combine_chunks().dictionary_encode()
    found = np.array(encoded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(found)
    codes = np.argsort(order)[encoded.indices.to_numpy()]
    return Categories(tuple(found[order]), codes)


def differing(one: Categories, other: Categories) -> int:
    """On how many rows the two columns differ; both have the same rows in the same order.

    By value, as two writers may spell a value in two ways: 1, 1.0 and "1" are one, and so are a
    null, NaN and an empty text. `01` counts as 1 as well: to be lenient here costs nothing, since
    slices are then taken as the baseline spells them.
    """
    if one.values == other.values:
        return int((one.codes != other.codes).sum())
    places: dict[Hashable, int] = {}
    mine, theirs = (
        np.array([places.setdefault(_value(text), len(places)) for text in side.values], np.intp)[
            side.codes
        ]
        for side in (one, other)
    )
    return int((mine != theirs).sum())


def _value(text: str) -> Hashable:
    """What the text stands for."""
    lower = text.lower()
    if lower in ("", "nan", NONE):
        return None
    if lower in ("true", "false"):
        return Decimal(lower == "true")
    if NUMBER.fullmatch(text):
        return Decimal(text)
    return moment(text) or text


def names_of(values: Sequence[str]) -> list[str]:
    """Values as names: printable, bounded, and told apart when the bound makes them equal."""
    names: list[str] = []
    for value in values:
        printable = "".join(
            "?" if unicodedata.category(letter).startswith("C") else letter for letter in value
        )
        name = printable[:LONGEST_VALUE] + ("…" if len(printable) > LONGEST_VALUE else "")
        names.append(f"{name} ({len(names) + 1})" if name in names else name)
    return names
