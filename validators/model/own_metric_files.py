"""The team's own numbers: a JSON file written by a step, flat or nested, and how checks read it.

How they were measured is unknown, so they have no interval.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any, Final

from specs.figures import clip
from specs.metrics import OWN
from validators.model.measure import UndefinedMetric
from validators.model.rows import Unusable
from validators.verdict import Verdict

MOST_BYTES: Final = 8 << 20
MOST_NUMBERS: Final = 100_000
_LISTED: Final = 10

Numbers = Mapping[str, object]
"""The file's values by dotted name, such as `per_class.cat`: any JSON value but an object."""


def read_numbers(path: Path) -> Numbers:
    """Read the file. Raises Unusable if it is not an object of numbers."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        what = "is a folder" if path.is_dir() else f"cannot be read: {error.strerror or error}"
        raise Unusable(f"the file {what}") from error
    if len(content) > MOST_BYTES:
        raise Unusable(
            f"the file has more than {MOST_BYTES >> 20} MiB; it should hold only numbers"
        )
    if not content.strip():
        raise Unusable("the file is empty", Verdict.INCONCLUSIVE)
    try:
        found = json.loads(content, object_pairs_hook=_object)
        flat = dict(_leaves(found, ())) if isinstance(found, dict) else None
    except RecursionError:
        raise Unusable("the file is nested too deeply") from None
    except UnicodeDecodeError:
        raise Unusable("the file is not JSON: it is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Unusable(f"the file is not JSON: {error.msg} ({where})") from None
    except ValueError:  # a whole number with more digits than Python reads
        raise Unusable("the file holds a number with too many digits") from None
    if flat is None:
        raise Unusable(f"the file holds {_kind(found)}, expected an object of numbers by name")
    return flat


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise Unusable(f"the file holds `{clip(twice)}` twice in one object")
    return found


def _leaves(found: dict[str, Any], path: tuple[str, ...]) -> list[tuple[str, object]]:
    """Every value with its dotted name. Raises Unusable if two values have the same name."""
    leaves: list[tuple[str, object]] = []
    for name, value in found.items():
        inner = (*path, name)
        leaves += _leaves(value, inner) if isinstance(value, dict) else [(".".join(inner), value)]
    if len(leaves) > MOST_NUMBERS:
        raise Unusable(f"the file holds more than {MOST_NUMBERS:,} values")
    if not path and len(dict(leaves)) < len(leaves):
        counts = Counter(name for name, _ in leaves)
        twice = counts.most_common(1)[0][0]
        raise Unusable(f"two values in the file have the name `{clip(twice)}`")
    return leaves


def number_of(numbers: Numbers, metric: str) -> float:
    """The number that a check names. Raises UndefinedMetric.

    ERROR if there is no such number, INCONCLUSIVE if the step wrote no value for it.
    """
    name = metric.removeprefix(OWN)
    if name not in numbers:
        raise UndefinedMetric(_why_absent(numbers, name), Verdict.ERROR)
    value = numbers[name]
    if value is None:
        raise UndefinedMetric("the step wrote null for it", Verdict.INCONCLUSIVE)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UndefinedMetric(f"the file holds {_kind(value)} for it, expected a number", _ERROR)
    try:
        number = float(value)
    except OverflowError:
        raise UndefinedMetric("it is too large for a number", _ERROR) from None
    if not isfinite(number):
        raise UndefinedMetric(f"the step wrote {json.dumps(number)} for it", Verdict.INCONCLUSIVE)
    return number


_ERROR: Final = Verdict.ERROR


def _why_absent(numbers: Numbers, name: str) -> str:
    near = get_close_matches(name[:200], list(numbers)[:500], n=1)
    if near:
        return f"the file has no `{name}`; did you mean `{OWN}{clip(near[0])}`?"
    if any(each.startswith(f"{name}.") for each in numbers):
        inner = next(each for each in numbers if each.startswith(f"{name}."))
        return f"`{name}` is an object; name a value in it, such as `{OWN}{clip(inner)}`"
    there = [clip(each) for each in list(numbers)[:_LISTED]]
    more = f" and {len(numbers) - _LISTED:,} more" if len(numbers) > _LISTED else ""
    return f"the file has no `{name}`; it has {', '.join(there) or 'nothing'}{more}"


def gain_of(better: str, candidate: float, baseline: float) -> Decimal:
    """By how much the candidate's number is better, negative if worse. In exact decimals: 0.39 is
    0.01 less than 0.4, and with floats a little more."""
    gain = Decimal(repr(candidate)) - Decimal(repr(baseline))
    return gain if better == "higher" else -gain


def _kind(value: object) -> str:
    kinds = {bool: "true or false", str: "text", list: "a list", dict: "an object"}
    return kinds.get(type(value), "null" if value is None else "a number")
