"""PURE. Python's regular expressions as Java's, which Spark matches by: they mean the same, or are
refused by name."""

import re
from typing import Final

from specs.figures import clip
from validators.data.values.literals import Unfit

_DIGIT: Final = r"\p{Nd}"
_WORD: Final = r"\p{L}\p{N}_"
_SPACE: Final = r"\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_CLASSES: Final = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS: Final = {"n": r"\n", "t": r"\t", "r": r"\r", "f": r"\f", "v": r"\x0b"}
_PLAIN: Final = {".": r"[^\n]", "^": r"\A", "$": r"(?=\n?\z)"}
"""In Java these stop at other ends of lines as well."""
_TIMES: Final = re.compile(r"(?:[*+?]|\{\d+(?:,\d*)?\})\??(?![*+?{])")


def in_java(pattern: str) -> str:
    """The pattern in Java's dialect. Raises `Unfit` for what is none, or has no counterpart."""
    try:
        re.compile(pattern)
    except re.error as error:
        what = f"`{clip(pattern)}` is not a regular expression: {clip(str(error))}"
        raise Unfit(what) from None
    found, at = [], 0
    while at < len(pattern):
        word, at = _next(pattern, at)
        found.append(word)
    return "".join(found)


def any_of(patterns: list[str]) -> list[str]:
    """The patterns so that joining them by `|` keeps their meaning."""
    return [f"(?:{in_java(one)})" for one in patterns]


def _next(pattern: str, at: int) -> tuple[str, int]:
    """What begins at a place, in Java's dialect, and the place after it."""
    sign = pattern[at]
    if sign == "\\":
        return _escaped(pattern, at, within=False)
    if sign == "[":
        return _class(pattern, at)
    if sign in "*+?{":
        times = _TIMES.match(pattern, at)
        if times is None:
            raise _unlike(pattern, pattern[at : at + 2])
        return times[0], times.end()
    if sign == "(" and pattern[at + 1 : at + 2] == "?":
        if pattern[at + 2 : at + 3] != ":":
            raise _unlike(pattern, pattern[at : at + 4])
        return "(?:", at + 3
    return _PLAIN.get(sign, sign), at + 1


def _escaped(pattern: str, at: int, *, within: bool) -> tuple[str, int]:
    """A backslash and what follows, `within` a class of characters or not."""
    sign = pattern[at + 1]
    if sign in _CLASSES:
        return (_CLASSES[sign] if within else f"[{_CLASSES[sign]}]"), at + 2
    if sign.lower() in _CLASSES and not within:
        return f"[^{_CLASSES[sign.lower()]}]", at + 2
    if sign in _CONTROLS:
        return _CONTROLS[sign], at + 2
    if sign.isascii() and not sign.isalnum():
        return f"\\{sign}", at + 2
    raise _unlike(pattern, f"\\{sign}")


def _class(pattern: str, at: int) -> tuple[str, int]:
    """A class of characters in brackets."""
    start = at + (2 if pattern.startswith("[^", at) else 1)
    found, at = [pattern[at:start]], start
    while pattern[at] != "]" or at == start:
        sign = pattern[at]
        if sign == "\\":
            word, at = _escaped(pattern, at, within=True)
        else:
            word, at = (f"\\{sign}" if sign in "[]&^" else sign), at + 1
        found.append(word)
    return "".join((*found, "]")), at + 1


def _unlike(pattern: str, part: str) -> Unfit:
    return Unfit(
        f"`{clip(pattern)}`: Spark's regular expressions are Java's, where `{part}` may mean "
        "something else; write it without"
    )
