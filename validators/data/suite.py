"""Read a Great Expectations suite, JSON or YAML, with the position of everything in it.

Only its structure is checked here, without importing Great Expectations: `headgate validate` must
answer at once, and the gate checks the rest.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast, get_args

from specs.loading.explain import locate, nearest, shown
from specs.loading.problems import Problem, in_order
from specs.loading.tree import MOST_BYTES, Tree, YamlPath, parse

Severity = Literal["critical", "warning", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)

# As Great Expectations 1.x writes them.
_SUITE_KEYS: Final = ("name", "expectations", "meta", "notes", "id", "suite_parameters")
_KEYS: Final = (
    "type",
    "kwargs",
    "severity",
    "meta",
    "notes",
    "id",
    "description",
    "rendered_content",
)
_BEFORE_1_0: Final = {"expectation_suite_name": "name", "expectation_type": "type"}


@dataclass(frozen=True)
class Expectation:
    """One entry of the suite. Positions count from 1."""

    type: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    severity: Severity = "critical"
    line: int | None = None
    column: int | None = None
    may_be_empty: bool = False
    """Whether it passes when there is nothing to check: `meta: {may_be_empty: true}`."""


@dataclass(frozen=True)
class Suite:
    """A suite that was read: its problems, and the expectations that could be read despite them."""

    expectations: tuple[Expectation, ...] = ()
    problems: tuple[Problem, ...] = ()
    unchecked: tuple[Problem, ...] = ()
    """What a data contract asks and nothing checks, as warnings."""


def read_suite(text: str, file: str) -> Suite:
    """All expectations and all problems of the text; never raises, whatever the text."""
    tree = parse(text)
    content: object = tree.root.plain if tree.root is not None else None
    faults = tree.faults
    if file.endswith(".json") and len(text) <= MOST_BYTES:
        try:
            content = json.loads(text, parse_constant=_refuse)
        except _NotFiniteError as error:
            message = f"{error} is not a number: write a limit, or leave it out"
            return Suite((), (Problem("error", "not-finite", message, file),))
        except (ValueError, RecursionError) as error:
            where = (error.lineno, error.colno) if isinstance(error, json.JSONDecodeError) else ()
            said = error.msg if isinstance(error, json.JSONDecodeError) else "cannot be read"
            return Suite((), (Problem("error", "syntax", f"not JSON: {said}", file, *where),))
        if tree.root is None:
            faults = ()  # valid JSON but not YAML, e.g. indented by tabs: fine, without positions
    if faults:
        broken = (
            Problem("error", fault.code, fault.message, file, *tree.position(fault.start), "",
                    None, fault.expected)
            for fault in faults
        )  # fmt: skip
        return Suite((), in_order(tuple(broken)))
    return _Reader(tree, file).suite(content)


class _NotFiniteError(Exception):
    """A number that JSON does not have and that cannot be a limit."""


def _refuse(constant: str) -> None:
    raise _NotFiniteError(constant)


class _Reader:
    """Collects problems while it reads one suite."""

    def __init__(self, tree: Tree, file: str) -> None:
        self._tree = tree
        self._file = file
        self._problems: list[Problem] = []

    def suite(self, content: object) -> Suite:
        if not isinstance(content, dict):
            self._add("type", "a suite is a mapping with `name` and `expectations`", (), content)
            return Suite((), tuple(self._problems))
        self._keys(content, _SUITE_KEYS, ())
        if not isinstance(content.get("name"), str) and "expectation_suite_name" not in content:
            self._add("name", "the suite has no `name`", ("name",), content.get("name"), "a text")
        if content.get("suite_parameters"):
            message = "suite parameters are not supported: write the values themselves"
            self._add("suite-parameter", message, ("suite_parameters",))
        items = content.get("expectations")
        if not isinstance(items, list):
            self._add("type", "`expectations` must be a list", ("expectations",), items, "a list")
            items = []
        elif not items:
            message = "the suite has no expectations: a gate that checks nothing cannot pass"
            self._add("no-expectations", message, ("expectations",))
        read = [self._expectation(item, ("expectations", i)) for i, item in enumerate(items)]
        return Suite(tuple(one for one in read if one is not None), in_order(self._problems))

    def _expectation(self, item: object, path: YamlPath) -> Expectation | None:
        if not isinstance(item, dict):
            self._add("type", "an expectation is a mapping with `type` and `kwargs`", path, item)
            return None
        before = len(self._problems)
        self._keys(item, _KEYS, path)
        kind, kwargs = item.get("type"), item.get("kwargs", {})
        severity = item.get("severity") or "critical"
        if "expectation_type" not in item and not isinstance(kind, str):
            self._add("type", "the expectation has no `type`", (*path, "type"), kind, "expect_...")
        if not isinstance(kwargs, dict):
            self._add("type", "`kwargs` must be a mapping", (*path, "kwargs"), kwargs, "a mapping")
        elif parameter := next((key for key, value in kwargs.items() if _is_parameter(value)), ""):
            message = "suite parameters are not supported: write the value itself"
            self._add("suite-parameter", message, (*path, "kwargs", parameter))
        if severity not in SEVERITIES:
            allowed = ", ".join(SEVERITIES)
            self._add("severity", "unknown severity", (*path, "severity"), severity, allowed)
        meta = item.get("meta")
        empty = meta.get("may_be_empty", False) if isinstance(meta, dict) else False
        if not isinstance(empty, bool):
            where = (*path, "meta", "may_be_empty")
            self._add("type", "`may_be_empty` is true or false", where, empty, "true or false")
        if len(self._problems) > before or not isinstance(kind, str):
            return None
        line, column = locate(self._tree, path) if self._tree.root else (None, None)
        return Expectation(kind, kwargs, cast("Severity", severity), line, column, bool(empty))

    def _keys(self, mapping: dict[str, Any], known: tuple[str, ...], path: YamlPath) -> None:
        for key in mapping:
            if key in known:
                continue
            meant = _BEFORE_1_0.get(key)
            message = f"unknown key `{_short(key)}`"
            if meant:
                message += " of a suite before Great Expectations 1.0"
            self._add(
                "unknown-key",
                message,
                (*path, key),
                expected=None if meant else ", ".join(known),
                meant=meant or nearest(key, known),
                at_key=True,
            )

    def _add(
        self,
        code: str,
        message: str,
        path: YamlPath,
        found: object = None,
        expected: str | None = None,
        meant: str | None = None,
        *,
        at_key: bool = False,
    ) -> None:
        line, column = locate(self._tree, path, key=at_key)
        self._problems.append(
            Problem(
                "error",
                code,
                message,
                self._file,
                line,
                column,
                shown(path),
                found=None if found is None else _short(found),
                expected=expected,
                nearest=meant,
            )
        )


def _is_parameter(value: object) -> bool:
    return isinstance(value, dict) and any(str(key).startswith("$PARAMETER") for key in value)


def _short(value: object) -> str:
    if isinstance(value, str | int | float):
        text = str(value)
        return text if len(text) <= 60 else text[:59] + "…"
    return {"dict": "a mapping", "list": "a list"}.get(type(value).__name__, "another value")
