"""Numbers, dates and booleans written as the spec says, rewritten in the notation of `texts`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from specs.csv_files import CsvFiles, parts_of_date
from specs.model import ColumnType
from validators.data.reading import texts
from validators.data.reading.formats.contents import ColumnValues

_MONTHS: Final = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
_MONTH_NAMES: Final = (
    "January|February|March|April|May|June|July|August|September|October|November|December"
)
_FIELDS: Final[Mapping[str, str]] = {
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "m": "[0-9]{1,2}",
    "b": "(?i:" + "|".join(_MONTHS) + ")",
    "B": f"(?i:{_MONTH_NAMES})",
    "d": "[0-9]{1,2}",
    "H": "[0-9]{1,2}",
    "I": "0?[1-9]|1[0-2]",
    "p": "(?i:am|pm)",
    "M": "[0-9]{2}",
    "S": "[0-9]{2}",
    "f": "[0-9]{1,9}",
    "z": "Z|[+-][0-9]{2}:?[0-9]{2}",
}
"""The pattern of what each directive stands for."""
_NUMERIC: Final = ("int64", "double", "decimal")
_CENTURY: Final = "69"
"""The first year of two digits that is one of the 20th century, as in POSIX."""


def plain(column: ColumnValues, wished: ColumnType) -> Any:
    """The values of a column of this type in the usual notation; None if one is not in the
    notation of the spec."""
    written = column.written
    if written is None:
        return column.values
    if wished in _NUMERIC and _has_numbers(written):
        return _numbers(column.values, written)
    if wished == "bool" and written.booleans:
        return _truths(column.values, written)
    if wished in ("date", "timestamp") and written.dates:
        return _days(column.values, written)
    return column.values


def plainly(columns: Mapping[str, ColumnValues]) -> dict[str, ColumnValues]:
    """The columns of unknown type in the usual notation, if all are in one of the spec; else as
    they are, but as text if they would be numbers by the usual notation."""
    noted = {key: column for key, column in columns.items() if column.written is not None}
    if not noted:
        return dict(columns)
    written = next(iter(noted.values())).written
    assert written is not None, "these have one"
    every = texts.together([column.values for column in noted.values()])
    for rewrite in _rewriters(written, every):
        rewritten = rewrite(every, written)
        if rewritten is not None and _is_more_than_text(rewritten):
            new = {key: rewrite(column.values, written) for key, column in noted.items()}
            return {
                key: replace(columns[key], values=new.get(key, columns[key].values))
                for key in columns
            }
    if _has_numbers(written) and _is_number(every):
        return {**columns, **{key: replace(one, source="typed") for key, one in noted.items()}}
    return dict(columns)


_Rewrite = Callable[[Any, CsvFiles], Any]


def _rewriters(written: CsvFiles, values: Any) -> list[_Rewrite]:
    """What may apply to a column of unknown type. Numbers are numbers, even if they are among the
    words for true and false."""
    words = written.booleans is not None and not texts.all_match(values, texts.NUMBER)
    return [
        *([_numbers] if _has_numbers(written) else []),
        *([_truths] if words else []),
        *([_days] if written.dates else []),
    ]


def _has_numbers(written: CsvFiles) -> bool:
    return written.decimal != "." or written.thousands is not None


def _is_more_than_text(values: Any) -> bool:
    import pyarrow as pa

    return not pa.types.is_string(texts.type_of(values, only_times=False))


def _is_number(values: Any) -> bool:
    from pyarrow import types

    kind = texts.type_of(values, only_times=False)
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


# -- each of them: the values rewritten, or None if one of them is something else ------------------


def _numbers(values: Any, written: CsvFiles) -> Any:
    import pyarrow.compute as pc

    point, group = re.escape(written.decimal), re.escape(written.thousands or "")
    grouped = rf"[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+|" if group else ""
    number = rf"[+-]?(?:{grouped}[0-9]+)?(?:{point}[0-9]*)?(?:[eE][+-]?[0-9]+)?"
    if not texts.all_match(values, number):
        return None
    if written.thousands is not None:
        values = pc.replace_substring(values, written.thousands, "")
    return pc.replace_substring(values, written.decimal, ".")


def _truths(values: Any, written: CsvFiles) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    assert written.booleans is not None, "asked only if there are words"
    bare = pc.utf8_trim(values, characters=" \t")
    is_true = pc.is_in(bare, value_set=pa.array(written.booleans.true))
    is_false = pc.is_in(bare, value_set=pa.array(written.booleans.false))
    known = pc.or_(pc.or_(is_true, is_false), pc.is_null(values))
    if not pc.all(known, min_count=0).as_py():
        return None
    words = pc.if_else(is_true, "true", "false")
    return pc.if_else(pc.is_null(values), pa.scalar(None, pa.string()), words)


def _days(values: Any, written: CsvFiles) -> Any:
    """Arrow's own strptime makes 1 March of 30 February, and the year 24 of 24."""
    import pyarrow.compute as pc

    found = [_by_format(values, each) for each in written.dates]
    days = pc.coalesce(*found)
    return days if days.null_count == values.null_count else None


def _by_format(values: Any, form: str) -> Any:
    """The values as ISO 8601, null where they are not of the format."""
    import pyarrow as pa
    import pyarrow.compute as pc

    pattern = "".join(
        f"(?P<{part}>{_FIELDS[part]})" if is_field else re.escape(part)
        for is_field, part in parts_of_date(form)
    )
    fields = pc.extract_regex(values, rf"^[ \t]*{pattern}[ \t]*$")
    names = [field.name for field in fields.type]
    of = {name: pc.struct_field(fields, [at]) for at, name in enumerate(names)}
    parts = [_year(of), "-", _month(of), "-", pc.utf8_lpad(of["d"], 2, "0")]
    if "H" in of or "I" in of:
        parts += [" ", _hour(of), ":", of.get("M", "00"), ":", of.get("S", "00")]
        parts += [".", of["f"]] if "f" in of else []
        parts += [of["z"]] if "z" in of else []
    return pc.binary_join_element_wise(*parts, pa.scalar(""))


def _year(of: Mapping[str, Any]) -> Any:
    import pyarrow.compute as pc

    if "Y" in of:
        return of["Y"]
    century = pc.if_else(pc.greater_equal(of["y"], _CENTURY), "19", "20")
    return pc.binary_join_element_wise(century, of["y"], "")


def _month(of: Mapping[str, Any]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if "m" in of:
        return pc.utf8_lpad(of["m"], 2, "0")
    name = of["b"] if "b" in of else of["B"]
    start = pc.utf8_lower(pc.utf8_slice_codeunits(name, 0, 3))
    number = pc.add(pc.index_in(start, value_set=pa.array(_MONTHS)), 1)
    return pc.utf8_lpad(number.cast(pa.string()), 2, "0")


def _hour(of: Mapping[str, Any]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if "H" in of:
        return pc.utf8_lpad(of["H"], 2, "0")
    hour = of["I"].cast(pa.int32())
    of_twelve = pc.if_else(pc.equal(hour, 12), 0, hour)
    is_late = pc.equal(pc.utf8_lower(of["p"]), "pm")
    return pc.utf8_lpad(pc.add(of_twelve, pc.if_else(is_late, 12, 0)).cast(pa.string()), 2, "0")
