"""PURE. What codes look like, as a regular expression: `^[A-Z]{2}[0-9]{1,4}$`.

Only punctuation is ever taken over from the texts, never a letter or a digit.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

_LONGEST: Final = 64
"""Characters of a code, at most."""
_MOST_RUNS: Final = 12
_CLASSES: Final = (
    ("[A-Z]", "[a-z]", "[0-9]"),
    ("[A-Z0-9]", "[a-z]"),
    ("[a-z0-9]", "[A-Z]"),
    ("[A-Za-z0-9]",),
)
"""Ways to divide characters, the most telling first."""
_MARKS: Final = "-_./:#+"
"""The only punctuation of codes."""


class _Run(NamedTuple):
    """Characters of one class in a row."""

    pattern: str
    text: str


def patterns_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Patterns that all these texts match, the most telling first; none if they are no codes."""
    if any(not 0 < len(text) <= _LONGEST for text in texts) or not _are_codes(texts):
        return ()
    several = (pattern for classes in _CLASSES for pattern in _patterns(texts, classes))
    return tuple(dict.fromkeys(several))


def _patterns(texts: Sequence[str], classes: tuple[str, ...]) -> Iterator[str]:
    """A pattern with the lengths that occur, and one with any."""
    several = [_runs(text, classes) for text in texts]
    first = several[0] if several else []
    if not first or len(first) > _MOST_RUNS:
        return
    if any([run.pattern for run in runs] != [run.pattern for run in first] for runs in several):
        return
    places = [[runs[at].text for runs in several] for at in range(len(first))]
    narrow = [_narrowest(run.pattern, of) for run, of in zip(first, places, strict=True)]
    yield f"^{''.join(map(_counted, narrow, places))}$"
    yield f"^{''.join(map(_some, narrow, places))}$"


def _narrowest(pattern: str, texts: Sequence[str]) -> str:
    """The class that the texts in a place of their own belong to."""
    every = "".join(texts)
    closer = (one for one in _CLASSES[0] if one[1:-1] in pattern)
    return next((one for one in closer if re.fullmatch(f"{one}+", every)), pattern)


def _runs(text: str, classes: tuple[str, ...]) -> list[_Run]:
    """The runs of a text; empty if it has a character that codes do not have."""
    found: list[_Run] = []
    for letter in text:
        pattern = _class_of(letter, classes)
        if pattern is None:
            return []
        if found and found[-1].pattern == pattern:
            found[-1] = _Run(pattern, found[-1].text + letter)
        else:
            found.append(_Run(pattern, letter))
    return found


@cache
def _class_of(letter: str, classes: tuple[str, ...]) -> str | None:
    if letter in _MARKS:
        return re.escape(letter) if letter in ".+" else letter
    return next((one for one in classes if re.fullmatch(one, letter)), None)


def _counted(pattern: str, texts: Sequence[str]) -> str:
    low, high = min(map(len, texts)), max(map(len, texts))
    if low != high:
        return f"{pattern}{{{low},{high}}}"
    return pattern if low == 1 else f"{pattern}{{{low}}}"


def _some(pattern: str, texts: Sequence[str]) -> str:
    return _counted(pattern, texts) if len(set(map(len, texts))) == 1 else f"{pattern}+"


def _are_codes(texts: Sequence[str]) -> bool:
    """Whether they are no words: there are digits, or only capitals."""
    every = "".join(texts)
    return bool(re.search("[0-9]", every)) or not re.search("[a-z]", every)
