"""A suite in the form before Great Expectations 1.0, rewritten to the form since.

The keys, types and arguments of before are known here; which of them there are today, and whether
an expectation is accepted, the installed Great Expectations says.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from specs.suite_parameters import KEY, fault_of, is_parameter, names_in
from validators.data.answering.answers import READS_LIMITS
from validators.data.suites import engine
from validators.data.suites.phrases import subject_of
from validators.data.suites.suite import Expectation

_RENAMED: Final = {
    "expect_column_pair_values_A_to_be_greater_than_B": (
        "expect_column_pair_values_a_to_be_greater_than_b"
    ),
    "expect_multicolumn_values_to_be_unique": (
        "expect_select_column_values_to_be_unique_within_record"
    ),
}
_GONE: Final = {
    **dict.fromkeys(
        (
            "expect_column_chisquare_test_p_value_to_be_greater_than",
            "expect_column_bootstrapped_ks_test_p_value_to_be_greater_than",
            "expect_column_parameterized_distribution_ks_test_p_value_to_be_greater_than",
        ),
        "use expect_column_kl_divergence_to_be_less_than, or a custom expectation",
    ),
    "expect_column_pair_cramers_phi_value_to_be_less_than": "write it as a custom expectation",
}
_NO_MORE: Final = "Great Expectations has no such type since 1.0"

_ABOUT_RESULTS: Final = frozenset(
    ("result_format", "catch_exceptions", "include_config", "verbose", "output_strftime_format")
)
"""Arguments that only changed how a result is shown."""
_ABOUT_BATCHES: Final = frozenset(("batch_id", "table", "interactive_evaluation"))
"""Arguments that named the data; here the spec does."""
_LOOKED_AT: Final = {
    "auto": "its limits stay as the profiler left them",
    "profiler_config": "its limits stay as the profiler left them",
    "parse_strings_as_datetimes": "limits are read as times where the column holds times; for a "
    "column of text, declare `types: {COLUMN: timestamp}` of the dataset",
    "allow_cross_type_comparisons": "values are compared as the column's type",
}
"""Arguments that changed what was checked, and what is checked without them."""
_SUITE_KEYS: Final = {
    "expectation_suite_name": "name",
    "ge_cloud_id": "id",
    "evaluation_parameters": "suite_parameters",
}
_KEYS: Final = {"expectation_type": "type", "ge_cloud_id": "id"}
_KEPT: Final = ("name", "id", "suite_parameters", "meta", "notes")
_KEPT_OF_ENTRY: Final = ("severity", "meta", "notes", "id", "description")
_FORGOTTEN: Final = (
    "data_asset_type",
    "data_context_id",
    "execution_engine_type",
    "expectation_context",
    "expectation_suite_id",
    "rendered_content",
    "success_on_last_run",
)
"""Keys that Great Expectations wrote for itself."""
_VERSIONS: Final = ("great_expectations_version", "great_expectations.__version__")


_LIMITS: Final = ("min_value", "max_value", "value_set", "quantile_ranges", "regex", "type_list")
"""The arguments that a profiler found."""


class Remark(NamedTuple):
    """What became of one part of the suite."""

    about: str
    """`expectation 3 (expect_column_values_to_be_unique of id)`, or the suite's key."""
    what: str
    lost: bool
    """Whether something that was checked is checked no more."""


@dataclass(frozen=True)
class Upgrade:
    """The suite in today's form, and what is different about it."""

    suite: dict[str, Any]
    remarks: tuple[Remark, ...]

    @property
    def lost(self) -> tuple[Remark, ...]:
        """What could not be carried over."""
        return tuple(remark for remark in self.remarks if remark.lost)


def is_of_before(content: object) -> bool:
    """Whether a suite is in the form before 1.0."""
    if not isinstance(content, Mapping):
        return False
    items = content.get("expectations")
    entries = items if isinstance(items, list) else []
    old = any(isinstance(one, Mapping) and "expectation_type" in one for one in entries)
    return old or not _SUITE_KEYS.keys().isdisjoint(content)


def upgraded(content: Mapping[str, Any]) -> Upgrade:
    """Rewrite a suite that `is_of_before`; never raises, whatever is in it."""
    remarks: list[Remark] = []
    own = {_SUITE_KEYS.get(key, key): value for key, value in content.items()}
    suite: dict[str, Any] = {key: own[key] for key in _KEPT if key in own}
    remarks += (
        Remark(f"`{key}`", "this key is not known", lost=False)
        for key in own
        if key not in (*_KEPT, "expectations", *_FORGOTTEN)
    )
    suite["name"] = str(suite.get("name") or "suite")
    suite["meta"] = _meta(own.get("meta"))
    known, more = _parameters(suite.pop("suite_parameters", None))
    remarks += more
    if known:
        suite["suite_parameters"] = known
    items = own.get("expectations")
    suite["expectations"] = []
    for number, item in enumerate(items if isinstance(items, list) else [], 1):
        entry, more = _entry(item, number, known)
        remarks += more
        if entry is not None:
            suite["expectations"].append(entry)
    return Upgrade(suite, tuple(remarks))


def _meta(meta: object) -> dict[str, Any]:
    kept = {k: v for k, v in meta.items() if k not in _VERSIONS} if isinstance(meta, dict) else {}
    return {**kept, "great_expectations_version": engine.VERSION}


def _parameters(values: object) -> tuple[dict[str, Any], list[Remark]]:
    given = values if isinstance(values, dict) else {}
    kept = {name: value for name, value in given.items() if not name.startswith("urn:")}
    lost = [
        Remark(f"the parameter `{name}`", "it is the result of another validation", lost=True)
        for name in given
        if name not in kept
    ]
    return kept, lost


def _entry(
    item: object, number: int, known: Collection[str]
) -> tuple[dict[str, Any] | None, list[Remark]]:
    """The expectation in today's form, None if there is none for it; and what is said of it."""
    if not isinstance(item, Mapping):
        return None, [Remark(f"expectation {number}", "it is not a mapping", lost=True)]
    own = {_KEYS.get(key, key): value for key, value in item.items()}
    if not isinstance(own.get("type"), str):
        return None, [Remark(f"expectation {number}", "it has no `expectation_type`", lost=True)]
    was = str(own["type"])
    kind = _RENAMED.get(was, was)
    given = own.get("kwargs")
    given = dict(given) if isinstance(given, Mapping) else {}
    about = _about(number, was, given)
    arguments = engine.arguments_of(kind)
    if arguments is None:
        hint = _GONE.get(was, "if it is one of your own, give its module as `custom_expectations`")
        return None, [Remark(about, f"{_NO_MORE}: {hint}", lost=True)]
    given = {key: value for key, value in given.items() if not _is_default(kind, key, value)}
    kwargs, said = _kwargs(kind, given, arguments)
    remarks = [Remark(about, what, lost=lost) for what, lost in said]
    if kind != was:
        remarks.append(Remark(about, f"it is called {kind} since 1.0", lost=False))
    if why := _refused(kind, kwargs, auto=bool(given.get("auto"))):
        return None, [*remarks, Remark(about, why, lost=True)]
    entry = {"type": kind, "kwargs": kwargs}
    remarks += (Remark(about, what, lost=False) for what in _unfilled(kwargs, known))
    entry |= {key: own[key] for key in _KEPT_OF_ENTRY if own.get(key) is not None}
    remarks += (
        Remark(about, f"the key `{key}` is not known", lost=False)
        for key in own
        if key not in (*_KEPT_OF_ENTRY, "type", "kwargs", *_FORGOTTEN)
    )
    return entry, remarks


def _about(number: int, kind: str, kwargs: dict[str, Any]) -> str:
    subject = subject_of(Expectation(kind, kwargs))
    of = f" of {subject}" if subject else ""
    return f"expectation {number} ({kind}{of})"


def _kwargs(
    kind: str, given: Mapping[str, Any], arguments: frozenset[str]
) -> tuple[dict[str, Any], list[tuple[str, bool]]]:
    """The arguments in today's form, and what is said of them; with True for what is lost."""
    kept: dict[str, Any] = {}
    said: list[tuple[str, bool]] = []
    for key, value in given.items():
        if key in _ABOUT_RESULTS or key in _ABOUT_BATCHES:
            continue
        if key in arguments:
            kept[key] = _value(kind, key, value)
        elif key in _LOOKED_AT:
            if value:
                said.append((f"without `{key}`: {_LOOKED_AT[key]}", False))
        elif value is not None:
            said.append((f"it takes no `{key}` any more", True))
    if isinstance(given.get("row_condition"), str) and kept.get("condition_parser") == "spark":
        said.append(("its condition is Spark's SQL: write it in pandas' syntax", True))
    return kept, said


def _is_default(kind: str, key: str, value: Any) -> bool:
    """Whether it is a null that stood for the default, where none is taken any more."""
    return value is None and engine.takes_no_null(kind, key)


def _value(kind: str, key: str, value: Any) -> Any:
    if key == "condition_parser" and value == "great_expectations__experimental__":
        return "great_expectations"
    if key == "ignore_row_if" and value == "never" and kind.startswith("expect_column_pair"):
        return "neither"
    return value


def _refused(kind: str, kwargs: dict[str, Any], *, auto: bool) -> str | None:
    """Why the gate would not take it, or it would check nothing."""
    if auto and not any(value is not None for key, value in kwargs.items() if key in _LIMITS):
        return "its limits came from a profiler at each run: write them"
    if (kwargs.get("row_condition") is not None) and kwargs.get("condition_parser") == "spark":
        return "without its condition it would check other rows"
    for value in kwargs.values():
        if fault := fault_of(value, _named(value)):
            return fault.message
    misfit = engine.misfit(Expectation(kind, kwargs), reads_limits=kind in READS_LIMITS)
    return f"it would be refused: {misfit.why}" if misfit else None


def _unfilled(kwargs: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """What is said of parameters that the suite has no value for."""
    names = {name for value in kwargs.values() for name in _named(value)} - set(known)
    return [f"set the parameter `{name}` in `params` of the spec" for name in sorted(names)]


def _named(value: object) -> frozenset[str]:
    """The names in an argument, if it is a parameter."""
    if not is_parameter(value):
        return frozenset()
    assert isinstance(value, dict)
    return frozenset(names_in(str(value[KEY])))
