"""Whether five fields are a crontab line. When it fires is the schedule source's business."""

import re
from typing import Final

_MONTHS: Final = (
    "JAN",
    "FEB",
    "MAR",
    "APR",
    "MAY",
    "JUN",
    "JUL",
    "AUG",
    "SEP",
    "OCT",
    "NOV",
    "DEC",
)
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

_FIELDS: Final[tuple[tuple[str, int, int, tuple[str, ...]], ...]] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, ("", *_MONTHS)),
    ("weekday", 0, 7, _DAYS),
)
_ITEM: Final = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([0-9]{1,4}))?", re.ASCII)


def cron_fault(line: str) -> str | None:
    """What keeps `line` from being a crontab line (minute hour day month weekday); None if nothing.

    Names are JAN-DEC and SUN-SAT; Sunday is 0 and 7, as POSIX crontab has it.
    """
    fields = line.split()
    if len(fields) != len(_FIELDS):
        return f"it has {len(fields)} fields; expected minute, hour, day, month and weekday"
    for text, (name, least, most, names) in zip(fields, _FIELDS, strict=True):
        for item in text.split(","):
            if not _fits(item, least, most, names):
                return f"`{item}` is no {name}; expected {least} to {most}, *, a-b or */n"
    return None


def _fits(item: str, least: int, most: int, names: tuple[str, ...]) -> bool:
    found = _ITEM.fullmatch(item)
    if found is None or (found[3] is not None and int(found[3]) == 0):
        return False
    ends = [_number(word, names) for word in (found[1], found[2]) if word is not None]
    if names == _DAYS and len(ends) == 2 and ends[1] == 0:
        ends[1] = 7  # FRI-SUN: a range that ends with Sunday ends the week.
    known = [end for end in ends if end is not None and least <= end <= most]
    return len(known) == len(ends) and known == sorted(known)


def _number(word: str, names: tuple[str, ...]) -> int | None:
    if word.upper() in names:
        return names.index(word.upper())
    return int(word) if word.isdecimal() and len(word) <= 4 else None
