"""PURE. The delimiter that delimited text is written with, where another one was taken."""

import json
from collections.abc import Sequence
from typing import Final

_COMMON: Final = ";\t|,"


def meant_by_header(names: Sequence[str]) -> str | None:
    """What to set in the dataset, if the only name of a header looks like several."""
    if len(names) != 1:
        return None
    return next((_said(mark) for mark in _COMMON if all(_split(names[0], mark))), None)


def meant_by_name(wanted: str, names: Sequence[str]) -> str | None:
    """What to set in the dataset, if a wanted column is a part of one of these names."""
    for name in names:
        for mark in _COMMON:
            if wanted in _split(name, mark):
                return _said(mark)
    return None


def _split(name: str, mark: str) -> list[str]:
    """The parts of a name; a single empty one, if the delimiter is not in it."""
    return [part.strip(' "') for part in name.split(mark)] if mark in name else [""]


def _said(mark: str) -> str:
    return f"`csv: {{delimiter: {json.dumps(mark)}}}`"
