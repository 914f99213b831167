"""PURE. Writes a proposed suite as YAML, with its evidence as comments."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from specs.figures import clip
from validators.data.profile.proposals import ColumnProposals, Proposal

_WIDE: Final = 100
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS: Final = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
"""What some version of YAML takes for another value than text, in any case."""
_ESCAPED: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def suite_text(
    name: str, head: Sequence[str], table: Sequence[Proposal], columns: Sequence[ColumnProposals]
) -> str:
    """The text of the suite; `head` is what its first lines say."""
    lines = [f"# {_comment(one)}" for one in head]
    lines += [f"name: {_scalar(name)}", "expectations:", *_entries(table)]
    for one in columns:
        lines += ["", f"  # -- {_comment(clip(one.column, 60))}"]
        lines += [f"  # {_comment(clip(said, 200))}" for said in one.said]
        lines += _entries(one.proposals)
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    """Text that a comment may have: names of columns may be anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _entries(proposals: Sequence[Proposal]) -> Iterator[str]:
    for one in proposals:
        yield f"  - type: {one.type}  # {one.evidence}"
        yield from _kwargs(one.kwargs)
        if one.severity != "critical":
            yield f"    severity: {one.severity}"


def _kwargs(kwargs: Mapping[str, Any]) -> Iterator[str]:
    """The kwargs on one line, or on several if there are long lists."""
    row = "    kwargs: {"
    words = [word for key, value in kwargs.items() for word in _words(key, value)]
    for place, word in enumerate(words):
        last = place == len(words) - 1
        piece = word + ("}" if last else "," if not word.endswith("[") else "")
        if len(row) + len(piece) > _WIDE and not row.endswith("{"):
            yield row.rstrip()
            row = " " * 6
        row += piece + ("" if last or word.endswith("[") else " ")
    yield row


def _words(key: str, value: Any) -> list[str]:
    """`key: value` in pieces between which a line may end."""
    if not isinstance(value, list):
        return [f"{key}: {_scalar(value)}"]
    first, *others = [_scalar(one) for one in value]
    pieces = [f"{key}: [{first}", *others]
    pieces[-1] += "]"
    return pieces


def _scalar(value: Any) -> str:
    """A value as YAML of any version reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if not isinstance(value, str):
        return str(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return '"' + "".join(map(_letter, value)) + '"'


def _float(value: float) -> str:
    """With a point: without one, 1e+30 is text in YAML 1.1."""
    assert math.isfinite(value)
    mantissa, exponent, power = repr(value).partition("e")
    if not exponent:
        return mantissa
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{power}"


def _letter(letter: str) -> str:
    if letter in _ESCAPED:
        return _ESCAPED[letter]
    return letter if letter.isprintable() else f"\\U{ord(letter):08X}"
