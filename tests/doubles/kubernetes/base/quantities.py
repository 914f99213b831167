"""Amounts of resources, as `500m`, `1Gi` or `2e3`."""

import re
from decimal import Decimal
from typing import Any

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([KMGTPE]i|[numkMGTPE]))?")
_UNITS = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    **{unit: Decimal(1000) ** (n + 1) for n, unit in enumerate("kMGTPE")},
    **{f"{unit}i": Decimal(1024) ** (n + 1) for n, unit in enumerate("KMGTPE")},
}  # fmt: skip


def amount(text: Any) -> Decimal:
    """The number that a quantity is; ValueError if it is none."""
    found = _FORM.fullmatch(str(text))
    if not found:
        raise ValueError(
            "quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    number, exponent, unit = found.groups()
    return Decimal(number + (exponent or "")) * _UNITS[unit or ""]


def as_quantity(number: Decimal) -> str:
    """The shortest plain form: whole numbers as they are, others in thousandths."""
    return str(int(number)) if number == int(number) else f"{int(number * 1000)}m"


def canonical(text: Any) -> str:
    """The quantity as the server writes it: `1000m` is `1`, `2048Mi` is `2Gi`; as it is if it is
    none."""
    try:
        number = amount(text)
    except ValueError:
        return str(text)
    binary = str(text).endswith("i")
    if binary and number == int(number) and abs(number) >= 1024:
        base, units = 1024, [f"{unit}i" for unit in "KMGTPE"]
    elif number == int(number):
        base, units = 1000, list("kMGTPE")
    else:
        return f"{int(number * 1000)}m"
    value, unit = int(number), ""
    for each in units:
        if not value or value % base:
            break
        value, unit = value // base, each
    return f"{value}{unit}"
