"""PURE. What to expect of a column, from what is known about it.

Some proposals are guesses: whoever asks must drop those that the data does not meet.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from math import isfinite
from typing import Any, Final, Literal

from specs.figures import number, percent
from validators.data.answering.of_columns import shown
from validators.data.profile.facts import ColumnFacts
from validators.data.profile.ranges import down_to_two, is_far, widened, with_slack
from validators.data.profile.shapes import patterns_of
from validators.data.profile.type_words import type_list_of

_FEW: Final = 50
"""Distinct values of a set, at most."""
_REPEATS: Final = 20
"""How often the values of a set occur on average, at least."""
_SHOWN_FROM: Final = 5
"""A text that occurs less often is not written into a suite."""
_LONGEST: Final = 40
"""Characters of a text in a set, at most."""
_PERSONAL: Final = re.compile(
    r"(^|[_\W])(first|last|sur|full|user|middle|family|given)?_?(name|mail|email|e_mail|phone|tel|"
    r"mobile|fax|address|street|zip|postcode|postal_code|iban|ssn|passport|birthday|birthdate|dob|"
    r"ip|login|user|person|patient|contact|author)s?([_\W]|$)"
)
_OF_KEYS: Final = re.compile(r"(^|[_\W])(id|key|uuid|guid|pk|number|no|nr)$")
_OF_YEARS: Final = re.compile(r"(^|[_\W])year$")
_CALENDAR: Final = {"month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59)}
"""What whole numbers of such a name can be, whichever of them occur."""
_LEAST_TOLD_APART: Final = 20
"""Rows whose being different, or of one length, says something."""
_OUTSIDE: Final = 0.01
"""The share of outliers, at most."""


@dataclass(frozen=True)
class Proposal:
    """An expectation, and what in the data speaks for it."""

    type: str
    kwargs: Mapping[str, Any]
    evidence: str
    column: str | None = None
    severity: Literal["critical", "warning", "info"] = "critical"
    tolerates: float = 0.0
    """The share of values that may fail it in this data; it then gets a `mostly`."""
    instead: str | None = None
    """Only the first that is met of those with the same word here, for the same column, counts."""


@dataclass(frozen=True)
class ColumnProposals:
    """What is proposed for a column, and what a reader should know about it."""

    column: str
    proposals: tuple[Proposal, ...] = ()
    said: tuple[str, ...] = ()


def of_table(rows: int, columns: Sequence[str]) -> tuple[Proposal, ...]:
    """What to expect of the table."""
    least = max(1, down_to_two(rows // 2))
    counted = f"{rows:,} row{'s' * (rows != 1)}; half as many are too few"
    volume = Proposal("expect_table_row_count_to_be_between", {"min_value": least}, counted)
    columns = [name for name in columns if name]
    if not columns:
        return (volume,)
    kwargs = {"column_set": list(columns), "exact_match": False}
    every = f"{len(columns):,} column{'s' * (len(columns) != 1)} in every object; more may come"
    return volume, Proposal("expect_table_columns_to_match_set", kwargs, every)


def of_column(facts: ColumnFacts, *, is_typed: bool, is_queried: bool = False) -> ColumnProposals:
    """What to expect of a column; `is_typed`: files say its type; `is_queried`: see the request."""
    if not facts.name:
        said = "this column has no name, so no expectation can be about it"
        return ColumnProposals(facts.name, said=(said,))
    if facts.values == 0:
        all_null = f"all {facts.rows:,} values are null, so nothing is proposed"
        return ColumnProposals(facts.name, said=(all_null,))
    make = _Proposer(facts)
    proposals = [*make.type(is_typed, is_queried), *make.nulls(), *make.values()]
    return ColumnProposals(facts.name, tuple(proposals), tuple(make.said))


def looks_personal(name: str, texts: Sequence[str] = ()) -> bool:
    """Whether a column may be about people, so that no text of it is to be shown."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return bool(_PERSONAL.search(spaced)) or any("@" in text for text in texts)


def is_named_as_key(name: str) -> bool:
    """Whether its name says that it tells rows apart."""
    return bool(_OF_KEYS.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()))


class _Proposer:
    """Proposes for one column that has values."""

    def __init__(self, facts: ColumnFacts) -> None:
        self._facts = facts
        self._n = f"{facts.values:,} value{'s' * (facts.values != 1)}"
        self.said: list[str] = []

    def _one(self, kind: str, evidence: str, **more: Any) -> Proposal:
        kwargs = {"column": self._facts.name, **more.pop("kwargs", {})}
        return Proposal(f"expect_column_{kind}", kwargs, evidence, self._facts.name, **more)

    def type(self, is_typed: bool, is_queried: bool) -> Iterator[Proposal]:
        words = type_list_of(self._facts.stored, is_typed=is_typed, is_queried=is_queried)
        how = "as stored" if is_typed else "as read from the text"
        evidence = f"{self._n}, {how}"
        if len(words) == 1:
            yield self._one("values_to_be_of_type", evidence, kwargs={"type_": words[0]})
        elif words:
            yield self._one("values_to_be_in_type_list", evidence, kwargs={"type_list": words})

    def nulls(self) -> Iterator[Proposal]:
        facts = self._facts
        rows = f"{facts.rows:,} row{'s' * (facts.rows != 1)}"
        if facts.nulls == 0:
            yield self._one("values_to_not_be_null", f"{rows}, none null")
            return
        share = facts.values / facts.rows
        counted = f"{facts.nulls:,} of {rows} null ({percent(facts.nulls / facts.rows)})"
        mostly = with_slack(share, facts.rows)
        if mostly < 0.1:
            self.said.append(f"{counted}: no limit is proposed for nulls")
            return
        yield self._one("values_to_not_be_null", counted, kwargs={"mostly": mostly})

    def values(self) -> Iterator[Proposal]:
        import pyarrow as pa

        kind = self._facts.kind
        if self._facts.lengths is not None:
            yield from self._texts(*self._facts.lengths)
        elif pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            yield from self._moments()
        elif pa.types.is_integer(kind):
            yield from self._integers()
        elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            yield from self._range(whole=False)

    # -- numbers -----------------------------------------------------------------------------------

    def _integers(self) -> Iterator[Proposal]:
        facts = self._facts
        if facts.span is None:
            return
        low, high = (int(end) for end in facts.span)
        if is_named_as_key(facts.name) or high - low + 1 == facts.values:
            yield from self._key()
        few = facts.few if facts.few and len(facts.few) * _REPEATS <= facts.values else None
        dense = few is not None and len(few) == high - low + 1
        if low == high:
            self.said.append(f"{self._n}, all {low}: no range is proposed")
        elif _OF_YEARS.search(facts.name.lower()):
            said = f"{self._n}: {low} to {high}; no upper limit, as later ones will come"
            yield self._between(said, min_value=low)
        elif (part := self._part_of_a_date(low, high)) is not None:
            said = f"{self._n}: {low} to {high}, of a calendar"
            yield self._between(said, min_value=part[0], max_value=part[1])
        elif few is not None and dense and len(few) > 2:
            said = f"{self._n}: every whole number from {low:,} to {high:,}"
            yield self._between(said, min_value=low, max_value=high)
        elif few is not None and len(few) <= 10:
            yield self._set([one for one, _ in few], few)
        elif not is_named_as_key(facts.name):
            yield from self._range(whole=True)

    def _part_of_a_date(self, low: int, high: int) -> tuple[int, int] | None:
        least, most = _CALENDAR.get(self._facts.name.lower(), (0, -1))
        return (least, most) if least <= low and high <= most else None

    def _range(self, *, whole: bool) -> Iterator[Proposal]:
        facts = self._facts
        if facts.span is None or not all(_is_finite(end) for end in facts.span):
            if facts.span is not None:
                self.said.append(f"{self._n}, some infinite: no range is proposed")
            return
        low, high = (Fraction(end) for end in facts.span)
        if low == high:
            self.said.append(f"{self._n}, all equal: no range is proposed")
            return
        said = f"{self._n}: {_number(low)} to {_number(high)}"
        tolerates = 0.0
        if facts.core is not None and is_far(facts.span, facts.core):
            low, high = (Fraction(end) for end in facts.core)
            said += f", 99.8 % of them {_number(low)} to {_number(high)}"
            tolerates = _OUTSIDE
        limits = [_plain(end, whole=whole) for end in widened(low, high, whole=whole)]
        if None not in limits:
            said += "; widened by 10 %"
            yield self._between(said, tolerates, min_value=limits[0], max_value=limits[1])

    def _between(self, said: str, tolerates: float = 0.0, **limits: Any) -> Proposal:
        return self._one(
            "values_to_be_between",
            said,
            kwargs=limits,
            severity="warning",
            tolerates=tolerates,
            instead="which",
        )

    # -- times -------------------------------------------------------------------------------------

    def _moments(self) -> Iterator[Proposal]:
        facts = self._facts
        days = _days(facts)
        if days is None:
            return
        first, last = days
        start = first.replace(day=1).isoformat()
        said = f"{self._n}: {first} to {last}; no upper limit, as later ones will come"
        yield self._between(said, min_value=start)
        self.said.append(
            f"the newest is of {last}; to be told of data that is too old: "
            f'expect_column_max_to_be_between {{column: {facts.name}, min_value: "{last}"}}'
        )
        in_order = f"{self._n}, each at or after the one before it"
        if facts.values >= _LEAST_TOLD_APART:
            yield self._one("values_to_be_increasing", in_order, severity="info")

    # -- texts -------------------------------------------------------------------------------------

    def _texts(self, shortest: int, longest: int) -> Iterator[Proposal]:
        facts = self._facts
        few = facts.few or ()
        is_personal = looks_personal(facts.name, facts.looks)
        if is_personal:
            self.said.append("it looks personal: none of its texts is shown")
        if few and not is_personal and longest <= _LONGEST:
            frequent = [text for text, times in few if times >= _SHOWN_FROM]
            if len(few) <= _FEW and len(few) * _REPEATS <= facts.values and frequent:
                yield self._set(frequent, few)
                return
        patterns = patterns_of(facts.looks)
        if longest <= _LONGEST and (patterns or is_named_as_key(facts.name)):
            yield from self._key()
        for pattern in patterns:
            yield self._one(
                "values_to_match_regex",
                f"{self._n}, all match",
                kwargs={"regex": pattern},
                severity="warning",
                instead="looks",
            )
        yield self._lengths(shortest, longest)

    def _lengths(self, shortest: int, longest: int) -> Proposal:
        said = f"{self._n}: {shortest:,} to {longest:,} characters, the most doubled"
        if shortest == longest <= _LONGEST and self._facts.values >= _LEAST_TOLD_APART:
            said = f"{self._n}, all of {longest:,} character{'s' * (longest != 1)}"
            limits = longest, longest
        else:
            limits = min(shortest, 1), 2 * longest
        return self._one(
            "value_lengths_to_be_between",
            said,
            kwargs={"min_value": limits[0], "max_value": limits[1]},
            severity="warning",
            instead="looks",
        )

    # -- any ---------------------------------------------------------------------------------------

    def _set(self, members: list[Any], few: Sequence[tuple[Any, int]]) -> Proposal:
        least = min(times for _, times in few)
        said = f"{self._n}: {len(few):,} different, each {least:,} times or more"
        kwargs: dict[str, Any] = {"value_set": members}
        held = sum(times for value, times in few if value in set(members))
        if held < self._facts.values:
            rare = len(few) - len(members)
            said = f"{self._n}: {len(few):,} different, without {rare} that occur less than "
            said += f"{_SHOWN_FROM} times"
            kwargs["mostly"] = with_slack(held / self._facts.values, self._facts.values)
        return self._one("values_to_be_in_set", said, kwargs=kwargs, severity="warning")

    def _key(self) -> Iterator[Proposal]:
        facts = self._facts
        if facts.values >= _LEAST_TOLD_APART and facts.few_distinct in (None, facts.values):
            said = f"{self._n}, all different"
            yield self._one("values_to_be_unique", said, instead="which")


def _is_finite(end: Any) -> bool:
    return not isinstance(end, float) or isfinite(end)


def _number(at: Fraction) -> str:
    return number(int(at) if at.denominator == 1 else float(at))


def _plain(at: Fraction, *, whole: bool) -> int | float | None:
    """As it is written in YAML; None if a float cannot hold it."""
    if whole or (at.denominator == 1 and abs(at) < 10**15):
        return int(at)
    try:
        return float(at)
    except OverflowError:
        return None


def _days(facts: ColumnFacts) -> tuple[date, date] | None:
    """The first and the last day; None if a calendar does not have them."""
    if facts.span is None:
        return None
    try:
        first, last = (shown(Fraction(end), facts.kind) for end in facts.span)
    except (ValueError, OverflowError):
        return None
    return _day(first), _day(last)


def _day(moment: Any) -> date:
    found: date = moment.date() if hasattr(moment, "date") else moment
    return found
