"""Durations, percentages, sizes and processor counts: reading and writing them as text."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_DURATION: Final = re.compile(r"\s*(?:\d+(?:\.\d+)?(?:ms|[smhd])\s*)+", re.ASCII)
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.ASCII)
_UNITS: Final = {
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1000,
}
_LONGEST: Final = timedelta(days=3650)
_STATUS: Final = re.compile(r"no_answer|[345]xx|20[1-9]|2[1-9][0-9]|[345][0-9]{2}", re.ASCII)
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_MOST_CPUS: Final = 100_000
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?", re.ASCII)
_SIZES: Final = {
    "Ti": 1 << 40, "T": 10**12, "Gi": 1 << 30, "G": 10**9,
    "Mi": 1 << 20, "M": 10**6, "Ki": 1 << 10, "K": 10**3,
}  # fmt: skip


def parse_duration(value: object) -> timedelta:
    """Read `30s`, `1h30m`, `250ms` or `1d`.

    Raises ValueError, which says what was expected. A bare number is rejected: its unit would be
    a guess.
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or len(value) > 40 or not _DURATION.fullmatch(value):
        raise ValueError("expected a duration with its unit, such as 30s, 10m, 2h or 1d")
    micros = sum(Decimal(n) * _UNITS[unit] for n, unit in _DURATION_PART.findall(value))
    if micros > _LONGEST.total_seconds() * 1_000_000:
        raise ValueError("expected a duration of at most 3650d")
    return timedelta(microseconds=int(micros))


def format_duration(value: timedelta) -> str:
    """Write a duration as `parse_duration` reads it: `1h30m`, `30s`, `0s`."""
    rest = value // timedelta(microseconds=1)
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    if rest:
        parts.append(f"{Decimal(rest) / 1000:f}ms")
    return "".join(parts) or "0s"


def parse_percent(value: object) -> float:
    """Read `5%` or `0.05` as the fraction 0.05.

    Raises ValueError for anything else; `5` is rejected because it could mean 5% or 500%.
    """
    if isinstance(value, str) and value.endswith("%") and _NUMBER.fullmatch(value[:-1].strip()):
        return float(Decimal(value[:-1].strip()) / 100)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1:
        return float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 1 <= value <= 100:
        raise ValueError(f"expected a percentage with its sign, such as {value:g}%")
    raise ValueError("expected a percentage such as 5% or 0.05")


def format_percent(value: float) -> str:
    """Write a fraction as a percentage that `parse_percent` reads back exactly: 0.05 as `5%`."""
    text = f"{Decimal(repr(value)) * 100:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "%"


def parse_size(value: object) -> int:
    """Read `512Mi`, `2G` or `1048576` as a number of bytes. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) and len(value) <= 40 else None
    if found is None:
        raise ValueError("expected a size such as 512Mi, 4Gi or 2G")
    return int(Decimal(found[1]) * _SIZES.get(found[2], 1))


def format_size(value: int) -> str:
    """Write bytes with the largest unit that divides them: 536870912 as `512Mi`."""
    for unit, factor in _SIZES.items():
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


def parse_cpu(value: object) -> float:
    """Read `2`, `0.5` or `500m` as a number of processors. Raises ValueError."""
    count = 0.0
    if isinstance(value, str) and len(value) <= 40 and _NUMBER.fullmatch(value.removesuffix("m")):
        thousandths = value.endswith("m")
        count = float(Decimal(value.removesuffix("m")) / (1000 if thousandths else 1))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        count = float(value)
    if not 0 < count < _MOST_CPUS:
        raise ValueError("expected a number of processors such as 2, 0.5 or 500m")
    return count


def parse_status(value: object) -> str:
    """Read `5xx`, `422` or `no_answer`. Raises ValueError for a status that is not a failure."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and text in ("2xx", "200", "1xx"):
        raise ValueError(f"expected the status of a failed request, which {text} is not")
    if not isinstance(text, str) or not _STATUS.fullmatch(text):
        raise ValueError(
            "expected a class of statuses (3xx, 4xx, 5xx), one status such as 422, or no_answer"
        )
    return text


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\s*([0-9]+(\.[0-9]+)?(ms|s|m|h|d)\s*)+$",
            "examples": ["30s", "10m", "2h", "1d"],
        }
    ),
]
"""A timedelta, written `30s`, `10m`, `2h`, `1d` or combined, as in `1h30m`."""

Percent = Annotated[
    float,
    BeforeValidator(parse_percent),
    PlainSerializer(format_percent, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*%$"},
                {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
            ],
            "examples": ["5%", "0.5%", 0.05],
        }
    ),
]
"""A fraction (0.05), written `5%` or `0.05`."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*([KMGT]i?)?B?$"},
                {"type": "integer", "minimum": 0},
            ],
            "examples": ["512Mi", "4Gi"],
        }
    ),
]
"""Bytes, written `512Mi`, `4Gi` or `2G`."""

Cpu = Annotated[
    float,
    BeforeValidator(parse_cpu),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?m?$"},
                {"type": "number", "exclusiveMinimum": 0},
            ],
            "examples": [2, 0.5, "500m"],
        }
    ),
]
"""Processors, written `2`, `0.5` or `500m`."""

Status = Annotated[
    str,
    BeforeValidator(parse_status),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "string",
                    "pattern": r"^(no_answer|[345]xx|20[1-9]|2[1-9][0-9]|[345][0-9]{2})$",
                },
                {"type": "integer", "minimum": 201, "maximum": 599},
            ],
            "examples": ["5xx", "no_answer", 422],
        }
    ),
]
"""How a request ends: a class of statuses, one status, or `no_answer`."""
