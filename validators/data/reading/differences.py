"""How the objects of a dataset version differ in their columns, told object by object.

Everything is bounded: by the number of objects that a message names, and of messages where columns
that the suite does not name differ, of which there may be thousands.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from specs.model import ColumnType
from validators.data.reading.agreement import Disagreement
from validators.report import Check
from validators.verdict import Verdict

MOST_NAMED: Final = 3
"""Objects or columns that a message names."""
MOST_GROUPS: Final = 10
"""Checks about columns that the suite does not name."""


def listed(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """The names, or the first of them and how many there are."""
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")


class Among:
    """Names some of the objects of a dataset version, as short as it can be."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._places = {key: place for place, key in enumerate(keys)}

    def named(self, some: Sequence[str], *, counted: bool = False) -> str:
        """Those objects, of which the first and last will do if they follow each other; with
        `counted`, how many there are in that case."""
        places = sorted(self._places[key] for key in some)
        if len(places) > MOST_NAMED and places[-1] - places[0] == len(places) - 1:
            first, last = self._keys[places[0]], self._keys[places[-1]]
            return f"`{first}` to `{last}`" + f" ({len(places):,} objects)" * counted
        return listed([self._keys[place] for place in places])

    def others(self, some: Collection[str]) -> str:
        """All objects but those."""
        without = set(some)
        return self.named([key for key in self._keys if key not in without])


# -- types -----------------------------------------------------------------------------------------


def clash(name: str, why: Disagreement, wished: ColumnType | None, among: Among) -> Check:
    """The check of a column whose values have no common type, or not that of the spec."""
    if why.unfit:
        where = among.named(why.unfit, counted=True)
        return Check(
            name=f"type as said: {name}",
            verdict=Verdict.FAIL,
            message=f"column `{name}` cannot be read as {wished} in {where}",
            subject=name,
            next_step=f"Fix the values, or `types: {{{name}: ...}}` of the dataset.",
        )
    by_type: dict[str, list[str]] = defaultdict(list)
    for key, kind in why.types.items():
        by_type[kind].append(key)
    rarest_last = sorted(by_type.items(), key=lambda one: -len(one[1]))
    said = "; ".join(
        f"{kind} in {among.named(keys, counted=True)}" for kind, keys in rarest_last[:MOST_GROUPS]
    )
    if len(rarest_last) > MOST_GROUPS:
        said += f"; and {len(rarest_last) - MOST_GROUPS} more types"
    return Check(
        name=f"one type everywhere: {name}",
        verdict=Verdict.FAIL,
        message=f"column `{name}` is {said}, and no single type holds all these values",
        subject=name,
        next_step=(
            f"Write the column with one type everywhere, or set it: `types: {{{name}: string}}`."
        ),
    )


# -- columns ---------------------------------------------------------------------------------------


class _Lack(NamedTuple):
    """Why columns have one check together."""

    lacking: tuple[str, ...]
    """The objects that lack them."""
    is_null: bool
    """Whether the rows of these may leave out nulls."""
    blocks: bool


def missing_columns(
    headers: Mapping[str, Sequence[str]],
    wanted: frozenset[str] | None,
    leave_out: Collection[str] = (),
) -> list[Check]:
    """Checks of the columns that some objects have and others lack.

    A column that the suite names blocks, and has a check of its own. It only warns for other
    columns, and where rows may leave out nulls in every object that lacks it. Columns that the
    suite does not name have one check together if they are missing in the same objects.
    """
    own: list[tuple[_Lack, list[str]]] = []
    groups: dict[_Lack, list[str]] = {}
    for name, having in _having(headers).items():
        lacking = tuple(key for key in headers if key not in having)
        if not lacking:
            continue
        is_null = all(key in leave_out for key in lacking)
        is_named = wanted is not None and name in wanted
        lack = _Lack(lacking, is_null, blocks=not is_null and (wanted is None or is_named))
        if is_named:
            own.append((lack, [name]))
        else:
            groups.setdefault(lack, []).append(name)
    among = Among(list(headers))
    shown = [*own, *list(groups.items())[:MOST_GROUPS]]
    return [
        *(_missing(names, lack, len(headers), among) for lack, names in shown),
        *_others(list(groups.items())[MOST_GROUPS:]),
    ]


def _having(headers: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
    """The objects that have each column."""
    having: dict[str, set[str]] = {}
    for key, header in headers.items():
        for name in header:
            having.setdefault(name, set()).add(key)
    return having


def _missing(names: Sequence[str], lack: _Lack, objects: int, among: Among) -> Check:
    one = len(names) == 1
    having = objects - len(lack.lacking)
    where = (
        f"missing in {among.named(lack.lacking)}"
        if len(lack.lacking) <= having
        else f"only in {among.others(lack.lacking)}"
    )
    message = (
        f"{'column' if one else 'columns'} {listed(names)} {'is' if one else 'are'} {where} "
        f"({having} of {objects} objects have {'it' if one else 'them'})"
    )
    if lack.is_null:
        message += f"; where {'it is' if one else 'they are'} missing, "
        message += "it counts as null" if one else "they count as null"
    return _of_columns(names[0], message, blocks=lack.blocks)


def _others(groups: Sequence[tuple[_Lack, Sequence[str]]]) -> list[Check]:
    """One check for all that are not shown."""
    if not groups:
        return []
    names = [name for _, some in groups for name in some]
    message = f"columns {listed(names)} are missing in some objects as well"
    return [_of_columns("others", message, blocks=any(lack.blocks for lack, _ in groups))]


def _of_columns(subject: str, message: str, *, blocks: bool) -> Check:
    return Check(
        name=f"same columns everywhere: {subject}",
        verdict=Verdict.FAIL if blocks else Verdict.WARN,
        message=message,
        subject=subject,
        blocks=blocks,
        next_step="Fix these objects, or write the column in all of them.",
    )


def note_of_order(headers: Mapping[str, Sequence[str]]) -> list[str]:
    """A note if objects have the columns that they share in another order: columns are matched by
    their names, but not by every program."""
    first = next(iter(headers), None)
    if first is None:
        return []
    place = {name: at for at, name in enumerate(headers[first])}
    differ = [
        key
        for key, header in headers.items()
        if not _rises([place[name] for name in header if name in place])
    ]
    if not differ:
        return []
    where = Among(list(headers)).named(differ, counted=True)
    return [f"The order of columns in {where} is not that in `{first}`; they are matched by name."]


def _rises(places: Sequence[int]) -> bool:
    return all(one < other for one, other in pairwise(places))
