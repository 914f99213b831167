"""PURE. How the expectations of a dataset changed between two texts of its suite."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from controller.machine.pipelines.rule_change import RuleChange
from specs.suites import contract_object, suite_file
from validators.data.contracts.reading import read_expectations
from validators.data.phrases import subject_of, words_for
from validators.data.suite import Expectation

_SEVERITIES = ("info", "warning", "critical")
_WIDER_IF_LOWER = ("min_value", "mostly")
_WIDER_IF_HIGHER = ("max_value",)
_LIMITS = (*_WIDER_IF_LOWER, *_WIDER_IF_HIGHER)


class SuiteText(NamedTuple):
    """The text of a suite or data contract, and how a spec names it."""

    named: str
    """The `expectations` of the dataset: a path, maybe with an object of the contract."""
    dataset: str
    text: str

    @property
    def expectations(self) -> Sequence[Expectation]:
        """Read as the path's ending says."""
        file, part = suite_file(self.named), contract_object(self.named)
        return read_expectations(self.text, file, self.dataset, part).expectations


def suite_changes(before: SuiteText, after: SuiteText) -> Iterator[RuleChange]:
    """What changed from one suite, or data contract, to another.

    Expectations are matched by their type and column; of several such, equal ones are matched.
    """
    was, now = (_by_subject(each.expectations) for each in (before, after))
    path = after.named
    for key in dict.fromkeys([*was, *now]):
        old = [
            one
            for one in was.get(key, [])
            if _compared_fields(one) not in map(_compared_fields, now.get(key, []))
        ]
        new = [
            one
            for one in now.get(key, [])
            if _compared_fields(one) not in map(_compared_fields, was.get(key, []))
        ]
        rule = f"{path}: {key[1]}" if key[1] else path
        for one, other in zip(old, new, strict=False):
            loosens = _is_looser(one, other)
            yield RuleChange(
                rule=rule,
                was=_describe_expectation(one),
                now=_describe_expectation(other),
                loosens=loosens,
            )
        for one in old[len(new) :]:
            yield RuleChange(rule=rule, was=_describe_expectation(one), now="removed", loosens=True)
        for other in new[len(old) :]:
            yield RuleChange(rule=rule, was="none", now=_describe_expectation(other), loosens=False)


def _by_subject(
    expectations: Sequence[Expectation],
) -> dict[tuple[str, str | None], list[Expectation]]:
    found: dict[tuple[str, str | None], list[Expectation]] = {}
    for one in expectations:
        found.setdefault((one.type, subject_of(one)), []).append(one)
    return found


def _compared_fields(one: Expectation) -> tuple[str, bool, Mapping[str, Any]]:
    """All of an expectation but its position and its notes."""
    return one.severity, one.may_be_empty, one.kwargs


def _describe_expectation(one: Expectation) -> str:
    weaker = "" if one.severity == "critical" else f" ({one.severity}: does not stop)"
    empty = ", or nothing to check" if one.may_be_empty else ""
    return words_for(one).limit + empty + weaker


def _is_looser(was: Expectation, now: Expectation) -> bool:
    """Whether data that failed the old expectation could meet the new one; true if in doubt."""
    if _SEVERITIES.index(now.severity) < _SEVERITIES.index(was.severity):
        return True
    if now.may_be_empty and not was.may_be_empty:
        return True
    names = was.kwargs.keys() | now.kwargs.keys()
    if any(was.kwargs.get(name) != now.kwargs.get(name) for name in names.difference(_LIMITS)):
        return True
    return any(_is_wider(name, was.kwargs, now.kwargs) for name in names.intersection(_LIMITS))


def _is_wider(name: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    default = 1 if name == "mostly" else None
    old, new = was.get(name, default), now.get(name, default)
    if old == new or old is None:
        return False
    if not isinstance(old, int | float) or not isinstance(new, int | float):
        return True  # the limit was removed, or is not a number, such as a date
    return new < old if name in _WIDER_IF_LOWER else new > old
