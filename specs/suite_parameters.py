"""PURE. Parameters of a suite: `{"$PARAMETER": ...}` as an argument of an expectation.

It names a parameter, or is an expression of some (`min_rows * 2`) in the language that Great
Expectations 1.x has for this. A name is filled here; an expression only Great Expectations knows.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple

from specs.loading.explain import nearest

KEY: Final = "$PARAMETER"
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_$]*")
# A number is no word: 1e5. A word before `(` is a function, and before `=` the name of an argument.
_TOKEN: Final = re.compile(r"\d[\d.]*(?:[eE][+-]?\d+)?|([A-Za-z][A-Za-z0-9_$]*)\s*([(=]?)")
_CONSTANTS: Final = ("e", "pi")
_LONGEST: Final = 200


class ParameterFault(NamedTuple):
    """Why a parameter cannot be filled, with the fix; and the name that was probably meant."""

    message: str
    nearest: str | None = None


def is_parameter(value: object) -> bool:
    """Whether an argument is to be filled."""
    return isinstance(value, dict) and KEY in value


def words_in(suite: object) -> frozenset[str]:
    """Every word of a suite, as plain JSON, that a parameter could be named."""
    items = suite.get("expectations") if isinstance(suite, Mapping) else suite
    return frozenset(
        word
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, Mapping) and isinstance(item.get("kwargs"), Mapping)
        for value in item["kwargs"].values()
        if is_parameter(value) and isinstance(value[KEY], str)
        for word in (value[KEY], *names_in(value[KEY]))
    )


def names_in(expression: str) -> Iterator[str]:
    """The names in an expression."""
    for found in _TOKEN.finditer(expression[:_LONGEST]):
        if found[1] and not found[2] and found[1].lower() not in _CONSTANTS:
            yield found[1]


def fault_of(value: object, known: Collection[str]) -> ParameterFault | None:
    """Why an argument cannot be filled from parameters of these names; None if it can be, or is
    nothing to fill."""
    if not is_parameter(value):
        return _fault_within(value)
    assert isinstance(value, dict)
    text = value[KEY]
    if not isinstance(text, str) or not text:
        return ParameterFault(f"`{KEY}` takes the name of a parameter, as text")
    if text in known or _beside(text) in value:
        return None
    if text.startswith("urn:"):
        message = "a gate knows no results of other validations: write the value as a parameter"
        return ParameterFault(message)
    if len(text) > _LONGEST:
        return ParameterFault(f"an expression has at most {_LONGEST} characters")
    if re.search(r"\bnow\s*\(", text):
        return ParameterFault(
            "`now()` would change from look to look, and the verdict on a version of the data "
            "stands: write the date itself, or a parameter"
        )
    lost = next((name for name in names_in(text) if name not in known), None)
    if lost is None and _WORD.fullmatch(text):
        lost = text  # a name like that of a constant
    if lost is None:
        return None
    message = (
        f"there is no parameter `{lost}`: neither `params` of the spec has it nor the suite's "
    )
    return ParameterFault(f"{message}own `suite_parameters`", nearest(lost, sorted(known)))


def _fault_within(value: object) -> ParameterFault | None:
    left = [value]
    for each in left:  # grows
        inside = each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        left += inside
        if each is not value and is_parameter(each):
            message = "a parameter stands for a whole argument, not for a part of one"
            return ParameterFault(message)
    return None


def filled(value: Any, values: Mapping[str, Any]) -> Any:
    """An argument without a fault, filled; as it is if it is an expression, or nothing to fill."""
    if not is_parameter(value):
        return value
    text = value[KEY]
    return value.get(_beside(text), values.get(text, value))


def _beside(name: str) -> str:
    """The key of a value that is written beside the name of its parameter."""
    return f"{KEY}.{name}"
