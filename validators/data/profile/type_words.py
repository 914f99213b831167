"""The names by which a proposed suite calls the type of a column."""

from typing import Any, Final

from validators.data.values.literals import Unfit
from validators.data.values.type_names import answers_to

_FIRST: Final = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
    "float32", "double", "string", "binary", "date", "timestamp with time zone",
    "timestamp without time zone", "time", "duration", "list", "struct",
)  # fmt: skip


def type_list_of(kind: Any, *, is_typed: bool, is_queried: bool = False) -> list[str]:
    """The names of an Arrow type, of which one must fit; none if it has no name.

    Numbers with a point that are read from text may all be whole in the next delivery, and those
    that a database returned may have more digits.
    """
    import pyarrow as pa

    if pa.types.is_decimal(kind):
        has_digits = is_typed and not is_queried
        return [f"decimal({kind.precision}, {kind.scale})"] if has_digits else ["decimal"]
    name = next((one for one in _FIRST if _fits(kind, one)), None)
    if name == "double" and not is_typed:
        return ["double", "int64"]
    return [] if name is None else [name]


def _fits(kind: Any, name: str) -> bool:
    try:
        return answers_to(kind, name)
    except Unfit:
        return False
