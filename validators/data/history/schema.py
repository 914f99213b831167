"""How the schema of a version differs from that of the last accepted one. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from specs.dataset_checks import SchemaChange, SchemaRule
from validators.data.history.past import Past, PastColumn
from validators.data.history.verdicts import found, undecided
from validators.report import Check

_WORDS: Final[Mapping[SchemaChange, str]] = {
    "added": "added",
    "removed": "removed",
    "retyped": "retyped",
    "widened": "widened",
    "reordered": "in another order",
}
_INTEGER: Final = re.compile(r"(u?)int(\d+)")
_DECIMAL: Final = re.compile(r"decimal(?:32|64|128|256)\((\d+), (-?\d+)\)")
_TIMESTAMP: Final = re.compile(r"timestamp\[(s|ms|us|ns)(.*)\]")
_UNITS: Final = ("s", "ms", "us", "ns")
_WHOLE: Final = {"float": 24, "double": 53}
"""Bits of the whole numbers that a float has all of."""


class Change(NamedTuple):
    """One difference."""

    what: SchemaChange
    column: str
    detail: str = ""

    def __str__(self) -> str:
        return f"`{self.column}`{f' {self.detail}' if self.detail else ''}"


def schema_check(rule: SchemaRule, past: Past, now: Sequence[PastColumn]) -> Check:
    """Whether the schema changed only in ways that the rule allows."""
    name = "schema as in the last accepted version"
    if not past.columns:
        why = "no accepted version is known yet; this one is what the next is compared with"
        return undecided(name, why, n=len(now))
    changes = changes_between(past.columns, now)
    allowed = {*rule.allow, *(("widened",) if "retyped" in rule.allow else ())}
    wrong = [one for one in changes if one.what not in allowed]
    same = (
        "the column is as it was" if len(now) == 1 else f"all {len(now):,} columns are as they were"
    )
    told = _told(changes) or same
    return found(
        rule,
        name,
        f"{told}; not allowed: {_told(wrong)}" if wrong and len(wrong) < len(changes) else told,
        passes=not wrong,
        observed=_told(wrong) or _told(changes) or "unchanged",
        limit=f"changes allowed: {', '.join(rule.allow) or 'none'}",
        n=len(now),
        next_step="If the change is meant, let a person accept the version with `headgate accept`, "
        "or name it under `allow`.",
    )


def _told(changes: Sequence[Change]) -> str:
    groups: dict[SchemaChange, list[str]] = {}
    for one in changes:
        groups.setdefault(one.what, []).append(str(one))
    return "; ".join(f"{_WORDS[what]}: {_some(names)}" for what, names in groups.items())


def _some(names: Sequence[str], most: int = 10) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def changes_between(was: Sequence[PastColumn], now: Sequence[PastColumn]) -> list[Change]:
    """Every difference, in the order of the columns."""
    old, new = ({one.name: one.type for one in columns} for columns in (was, now))
    changes = [Change("added", name, f"({new[name]})") for name in new if name not in old]
    changes += [Change("removed", name, f"({old[name]})") for name in old if name not in new]
    for name, kind in new.items():
        if name in old and old[name] != kind:
            what: SchemaChange = "widened" if is_wider(old[name], kind) else "retyped"
            changes.append(Change(what, name, f"from {old[name]} to {kind}"))
    before, after = ([name for name in of if name in old and name in new] for of in (old, new))
    moved = [name for name, other in zip(after, before, strict=True) if name != other]
    return [*changes, *(Change("reordered", name) for name in moved)]


def is_wider(was: str, now: str) -> bool:
    """Whether one Arrow type holds every value of another, by their names."""
    if was == "null" or (was, now) in (("float", "double"), ("halffloat", "float")):
        return True
    if (was, now) == ("halffloat", "double"):
        return True
    old, new = _INTEGER.fullmatch(was), _INTEGER.fullmatch(now)
    if old is not None:
        bits = int(old[2])
        if new is not None:
            room = int(new[2]) - bits
            return (room > 0 and not (new[1] and not old[1])) or (room >= 0 and new[1] == old[1])
        return now in _WHOLE and bits <= _WHOLE[now]
    precise, more = _DECIMAL.fullmatch(was), _DECIMAL.fullmatch(now)
    if precise is not None and more is not None:
        scale, wider = int(precise[2]), int(more[2])
        return wider >= scale and int(more[1]) - wider >= int(precise[1]) - scale
    coarse, fine = _TIMESTAMP.fullmatch(was), _TIMESTAMP.fullmatch(now)
    if coarse is not None and fine is not None:
        return coarse[2] == fine[2] and _UNITS.index(fine[1]) >= _UNITS.index(coarse[1])
    return False
