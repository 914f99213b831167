"""How the CSV, TSV and text files of a dataset are written, where it is not the usual way."""

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from specs.base import Many, Spec, Text

_DIRECTIVE: Final = re.compile(r"%(.?)", re.DOTALL)
_YEARS: Final = frozenset("Yy")
_MONTHS: Final = frozenset("mbB")
_HOURS: Final = frozenset("HI")
DIRECTIVES: Final = "%Y %y %m %b %B %d %H %I %p %M %S %f %z %%"
"""What a format of dates may contain."""


def parts_of_date(form: str) -> list[tuple[bool, str]]:
    """The parts of a format of dates: the letter of a directive (True), or other text (False)."""
    pieces = _DIRECTIVE.split(form)
    return [
        (at % 2 == 1 and piece != "%", piece) for at, piece in enumerate(pieces) if piece or at % 2
    ]


def _is_date_format(form: str) -> str:
    found = [part for is_directive, part in parts_of_date(form) if is_directive]
    known = {each[1] for each in DIRECTIVES.split()}
    for letter in found:
        if letter not in known:
            raise ValueError(f"expected {DIRECTIVES}, and not %{letter}")
        if found.count(letter) > 1:
            raise ValueError(f"expected %{letter} once")
    for letters in (_YEARS, _MONTHS, frozenset("d")):
        if len(letters & {*found}) != 1:
            every = " or ".join(f"%{letter}" for letter in sorted(letters))
            raise ValueError(f"expected a day with {every}, such as %d.%m.%Y")
    if len(_HOURS & {*found}) > 1 or ("I" in found) != ("p" in found):
        raise ValueError("expected an hour as %H, or as %I with %p")
    needs = {"M": _HOURS, "S": frozenset("M"), "f": frozenset("S"), "z": _HOURS}
    for letter, other in needs.items():
        if letter in found and not other & {*found}:
            raise ValueError(f"expected %{min(other)} beside %{letter}")
    return form


def _is_encoding(name: str) -> str:
    try:
        "a".encode(name)
    except (LookupError, UnicodeError):
        raise ValueError("expected an encoding of Python, such as latin-1 or cp1252") from None
    return name


def _is_mark(text: str) -> str:
    if len(text) != 1 or not text.isascii() or text.isalnum() or text in "\r\n\0":
        raise ValueError("expected one ASCII character that is no letter, digit or line break")
    return text


def _is_separator(text: str) -> str:
    if len(text) != 1 or text.isalnum() or text in "+-\r\n\0":
        raise ValueError("expected one character that is no letter, digit, sign or line break")
    return text


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Mark = Annotated[str, AfterValidator(_is_mark)]
"""A character with a meaning between the values."""
Separator = Annotated[str, AfterValidator(_is_separator)]
"""A character within a number."""
DateFormat = Annotated[Text, AfterValidator(_is_date_format)]


class Booleans(Spec):
    """The words for true and false."""

    true: Many[Text] = Field(min_length=1, description="The words for true.")
    false: Many[Text] = Field(min_length=1, description="The words for false.")

    @model_validator(mode="after")
    def _differ(self) -> Self:
        both = {*self.true} & {*self.false}
        if both:
            raise ValueError(
                f"expected {min(both)} among the words for true or for false, not both"
            )
        return self


class CsvFiles(Spec):
    """How the CSV, TSV and .txt files of a dataset are written."""

    delimiter: Mark | None = Field(
        default=None,
        description="The character between values; a comma by default, and a tab in .tsv. Without "
        "it, .txt files cannot be read.",
    )
    header: bool = Field(default=True, description="Whether the first line names the columns.")
    columns: Many[Text] = Field(
        default=(),
        description="The names of the columns if there is no header; c1, c2 and so on by default.",
    )
    decimal: Separator = Field(default=".", description="The decimal point of numbers.")
    thousands: Separator | None = Field(
        default=None, description="The character between groups of three digits."
    )
    dates: Annotated[Many[DateFormat], BeforeValidator(_as_list)] = Field(
        default=(),
        description="How days and times are written, such as %d.%m.%Y; or a list, of which the "
        "first that fits counts. By default 2024-05-01 and 2024-05-01 12:30:00.",
    )
    booleans: Booleans | None = Field(
        default=None, description="The words for true and false; by default true and false."
    )
    quote: Mark | None = Field(
        default='"', description="The character around values; null if there is none."
    )
    escape: Mark | None = Field(
        default=None, description="The character that makes the next one part of the value."
    )
    comment: Mark | None = Field(
        default=None, description="The character that begins lines to leave out."
    )
    skip_rows: Annotated[int, Field(ge=0)] = Field(
        default=0, description="How many lines to leave out before the header."
    )
    encoding: Annotated[Text, AfterValidator(_is_encoding)] = Field(
        default="utf-8", description="How characters are encoded."
    )

    @model_validator(mode="after")
    def _is_unambiguous(self) -> Self:
        between = self.delimiter or ","
        if self.decimal == between:
            raise ValueError(
                "expected `delimiter` as well: a comma cannot be both it and the decimal point"
                if self.delimiter is None
                else "expected `decimal` and `delimiter` to be different characters"
            )
        if self.decimal == self.thousands:
            raise ValueError("expected `decimal` and `thousands` to be different characters")
        if self.thousands == between and self.quote is None:
            raise ValueError(
                "expected `thousands` and `delimiter` to differ where there is no `quote`"
            )
        marks = {"quote": self.quote, "escape": self.escape, "comment": self.comment}
        used = {between: "delimiter"}
        for key, mark in marks.items():
            if mark is not None and mark in used:
                raise ValueError(f"expected `{key}` and `{used[mark]}` to be different characters")
            used |= {mark: key} if mark is not None else {}
        if self.columns and self.header:
            raise ValueError("expected `header: false` beside `columns`, which replaces a header")
        twice = {name for name in self.columns if self.columns.count(name) > 1}
        if twice:
            raise ValueError(f"expected {min(twice)} once in `columns`")
        return self

    @property
    def has_notation(self) -> bool:
        """Whether values are written in a way of their own."""
        return bool(
            self.decimal != "." or self.thousands is not None or self.dates or self.booleans
        )


USUAL: Final = CsvFiles()
"""Files written the usual way."""
