"""Columns with few values, for slices, and where two tables differ in one."""

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
"""The name of a missing value."""

LONGEST_VALUE: Final = 60
"""Characters of a value that a report shows."""


@dataclass(frozen=True, slots=True)
class Categories:
    """A column of few values: the values in order, and the index of each row's value."""

    values: tuple[str, ...]
    codes: NDArray[np.intp]


def categories(texts: "pa.ChunkedArray") -> Categories:
    """A column of text and nulls as categories."""
    encoded = texts.fill_null(NONE).combine_chunks().dictionary_encode()
    found = np.array(encoded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(found)
    codes = np.argsort(order)[encoded.indices.to_numpy()]
    return Categories(tuple(found[order]), codes)


def differing(one: Categories, other: Categories) -> int:
    """On how many rows two columns differ; both have the same rows in the same order.

    Compared by value, as writers may spell a value differently: 1, 1.0 and "1" are equal, and so
    are null, NaN and empty text. `01` equals 1, too: being lenient costs nothing here, since slices
    are then taken from the baseline.
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
    """The value of the text, to compare."""
    lower = text.lower()
    if lower in ("", "nan", NONE):
        return None
    if lower in ("true", "false"):
        return Decimal(lower == "true")
    if NUMBER.fullmatch(text):
        return Decimal(text)
    return moment(text) or text


def names_of(values: Sequence[str]) -> list[str]:
    """Values as names: printable, bounded, and numbered where cutting made them equal."""
    names: list[str] = []
    for value in values:
        printable = "".join(
            "?" if unicodedata.category(letter).startswith("C") else letter for letter in value
        )
        name = printable[:LONGEST_VALUE] + ("…" if len(printable) > LONGEST_VALUE else "")
        names.append(f"{name} ({len(names) + 1})" if name in names else name)
    return names
