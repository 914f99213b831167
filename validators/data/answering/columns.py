"""The columns that an expectation names, and needs. Pure."""

from collections.abc import Sequence

from validators.data.metrics.conditions import columns_of, condition_of
from validators.data.suites.suite import Expectation
from validators.data.values.literals import Unfit

# Evaluated from the names of the columns alone.
BY_NAME = ("expect_table_column", "expect_column_to_exist")


def columns_named(expectation: Expectation) -> tuple[str, ...]:
    """The columns that it names."""
    kwargs = expectation.kwargs
    named = [kwargs.get(key) for key in ("column", "column_A", "column_B")]
    if not expectation.type.startswith("expect_table_"):
        listed = kwargs.get("column_list")
        named += listed if isinstance(listed, list | tuple) else []
    return tuple(name for name in named if isinstance(name, str))


def _of_condition(expectation: Expectation) -> tuple[str, ...]:
    """The columns in its row condition; none if the condition cannot be read."""
    try:
        return columns_of(condition_of(expectation.kwargs))
    except Unfit:
        return ()


def columns_needed(expectation: Expectation) -> tuple[str, ...]:
    """The columns that it needs to be evaluated."""
    return tuple(dict.fromkeys((*columns_named(expectation), *_of_condition(expectation))))


def columns_to_read(expectations: Sequence[Expectation]) -> frozenset[str] | None:
    """The columns that the suite needs; None: all of them."""
    needed: set[str] = set()
    for one in expectations:
        if one.type.startswith(BY_NAME):
            continue
        if not columns_named(one) and not one.type.startswith("expect_table_row_count"):
            return None  # an unknown type
        needed.update(columns_needed(one))
    return frozenset(needed)


def columns_everywhere(expectations: Sequence[Expectation]) -> frozenset[str] | None:
    """The columns that every object must have even if they are not read; None: all of them."""
    needed: set[str] = set()
    for one in expectations:
        if one.type == "expect_column_to_exist":
            needed.update(columns_named(one))
        elif one.type.startswith(BY_NAME):
            listed = one.kwargs.get("column_set")
            if one.kwargs.get("exact_match", True) or not isinstance(listed, list):
                return None
            needed.update(str(name) for name in listed)
    return frozenset(needed)
