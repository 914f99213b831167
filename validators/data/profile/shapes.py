"""PURE. What codes look like, as a regular expression: `^[A-Z]{2}[0-9]{1,4}$`.

Only punctuation is ever taken over from the texts, never a letter or a digit.
"""

import re
from collections.abc import Iterator, Sequence
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
    """Characters of one class in a row: its pattern, and how many."""

    pattern: str
    length: int


def patterns_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Patterns that all these texts match, the most telling first; none if they are no codes."""
    if not texts or any(not 0 < len(text) <= _LONGEST for text in texts):
        return ()
    found = dict.fromkeys(pattern for classes in _CLASSES for pattern in _patterns(texts, classes))
    return tuple(pattern for pattern in found if _is_of_codes(pattern))


def _patterns(texts: Sequence[str], classes: Sequence[str]) -> Iterator[str]:
    """A pattern with the lengths that occur, and one with any."""
    several = [_runs(text, classes) for text in texts]
    first = several[0]
    if not first or len(first) > _MOST_RUNS:
        return
    if any([run.pattern for run in runs] != [run.pattern for run in first] for runs in several):
        return
    lengths = [{runs[at].length for runs in several} for at in range(len(first))]
    yield f"^{''.join(map(_counted, first, lengths))}$"
    open_ended = "".join(_some(run, of) for run, of in zip(first, lengths, strict=True))
    yield f"^{open_ended}$"


def _runs(text: str, classes: Sequence[str]) -> list[_Run]:
    """The runs of a text; empty if it has a character that codes do not have."""
    found: list[_Run] = []
    for letter in text:
        pattern = _class_of(letter, classes)
        if pattern is None:
            return []
        if found and found[-1].pattern == pattern:
            found[-1] = _Run(pattern, found[-1].length + 1)
        else:
            found.append(_Run(pattern, 1))
    return found


def _class_of(letter: str, classes: Sequence[str]) -> str | None:
    if letter in _MARKS:
        return re.escape(letter) if letter in ".+" else letter
    return next((one for one in classes if re.fullmatch(one, letter)), None)


def _counted(run: _Run, lengths: set[int]) -> str:
    low, high = min(lengths), max(lengths)
    if low != high:
        return f"{run.pattern}{{{low},{high}}}"
    return run.pattern if low == 1 else f"{run.pattern}{{{low}}}"


def _some(run: _Run, lengths: set[int]) -> str:
    return _counted(run, lengths) if len(lengths) == 1 else f"{run.pattern}+"


def _is_of_codes(pattern: str) -> bool:
    """Whether words do not look so, too: it has digits, capitals only, or one length."""
    if "[0-9]" in pattern or "0-9]" in pattern:
        return True
    return "a-z" not in pattern
