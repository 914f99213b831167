"""PURE. How the expectations of a dataset changed between two texts of its suite."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from controller.machine.pipelines.rule_change import RuleChange
from specs.model import Pipeline
from specs.suite_parameters import KEY, is_parameter
from validators.data.contracts.reading import read_expectations
from validators.data.suites.phrases import subject_of, words_for
from validators.data.suites.suite import Expectation, plain_expectations

_SEVERITIES = ("info", "warning", "critical")
_WIDER_IF_LOWER = ("min_value", "mostly")
_WIDER_IF_HIGHER = ("max_value",)
_LIMITS = (*_WIDER_IF_LOWER, *_WIDER_IF_HIGHER)


class NamedSuite(NamedTuple):
    """The expectations of a suite, and what reports call it."""

    name: str
    expectations: tuple[Expectation, ...]


def suite_of(spec: Pipeline, name: str, text: str) -> NamedSuite:
    """The suite or contract of a dataset, with its parameters filled; `text` is that of its file,
    which is read as its ending says."""
    dataset, params = spec.datasets[name], spec.params
    if (file := dataset.suite_file) is not None:
        part = dataset.contract_object
        found = read_expectations(text, file, params, like=name, part=part).expectations
        return NamedSuite(f"{file}#{part}" if part else file, found)
    found = plain_expectations(dataset.inline_suite or {}, params)
    return NamedSuite(f"datasets.{name}.expectations", found)


def suite_changes(before: NamedSuite, after: NamedSuite) -> Iterator[RuleChange]:
    """What changed from one suite to another.

    Expectations are matched by their type and column; of several such, equal ones are matched.
    """
    was, now = (_by_subject(suite.expectations) for suite in (before, after))
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
        rule = f"{after.name}: {key[1]}" if key[1] else after.name
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


def _compared_fields(one: Expectation) -> tuple[str, bool, Mapping[str, Any], Mapping[str, Any]]:
    """All of an expectation but its position and its notes."""
    return one.severity, one.may_be_empty, one.kwargs, one.values


def _describe_expectation(one: Expectation) -> str:
    weaker = "" if one.severity == "critical" else f" ({one.severity}: does not stop)"
    empty = ", or nothing to check" if one.may_be_empty else ""
    given = ", ".join(f"{name} {value}" for name, value in one.values.items())
    with_ = f", with {given}" if given else ""
    return words_for(_with_expressions_as_text(one)).limit + with_ + empty + weaker


def _with_expressions_as_text(one: Expectation) -> Expectation:
    """Only Great Expectations can compute them, and its import takes seconds."""
    plain = {name: v[KEY] if is_parameter(v) else v for name, v in one.kwargs.items()}
    return replace(one, kwargs=plain)


def _is_looser(was: Expectation, now: Expectation) -> bool:
    """Whether data that failed the old expectation could meet the new one; true if in doubt."""
    if _SEVERITIES.index(now.severity) < _SEVERITIES.index(was.severity):
        return True
    if now.may_be_empty and not was.may_be_empty:
        return True
    if was.values != now.values:
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
