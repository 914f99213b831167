"""Read a Great Expectations suite, JSON or YAML, with the position of everything in it.

Only its structure is checked here, without importing Great Expectations: `headgate validate` must
answer at once, and the gate checks the rest.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast, get_args

from specs.loading.explain import locate, nearest, shown
from specs.loading.problems import Problem, in_order
from specs.loading.tree import MOST_BYTES, Tree, YamlPath, parse
from specs.suite_parameters import KEY, fault_of, filled, is_parameter, names_in, words_in

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
LABELS: Final = ("id", "meta", "notes", "description")
_BEFORE_1_0: Final = {
    "data_asset_type": None,
    "evaluation_parameters": "suite_parameters",
    "expectation_suite_name": "name",
    "expectation_type": "type",
    "ge_cloud_id": "id",
}
"""Keys of then, and what they are called now."""


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
    values: Mapping[str, Any] = field(default_factory=dict)
    """The parameters in the expressions among its arguments, which are yet to be filled."""
    labels: Mapping[str, Any] = field(default_factory=dict)
    """What its author says about it: the keys of `LABELS` that it has. Nothing depends on them."""


@dataclass(frozen=True)
class Suite:
    """A suite that was read: its problems, and the expectations that could be read despite them."""

    expectations: tuple[Expectation, ...] = ()
    problems: tuple[Problem, ...] = ()
    unchecked: tuple[Problem, ...] = ()
    """What a data contract asks and nothing checks, as warnings."""
    texts: frozenset[str] = frozenset()
    """The columns that a data contract says are text, whatever they look like in files without
    types."""
    name: str = ""
    """Empty for an inline suite without one."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The suite parameters that were at hand."""


def read_inline(text: str, file: str, at: YamlPath, params: Mapping[str, Any] = {}) -> Suite:
    """The suite that a spec, the `text` of `file`, has at a path; never raises."""
    tree = parse(text)
    node = tree.root
    for key in at:
        node = node.children.get(key) if node is not None else None
    if node is None:
        message = "the spec has no suite there"
        return Suite((), (Problem("error", "unreadable", message, file, path=shown(at)),))
    return _Reader(tree, file, at, params).suite(node.plain)


def plain_expectations(
    suite: Mapping[str, Any], params: Mapping[str, Any]
) -> tuple[Expectation, ...]:
    """The expectations of an inline suite as plain JSON, without positions."""
    return _Reader(Tree("", None, ()), "", ("inline",), params).suite(suite).expectations


def read_suite(text: str, file: str, params: Mapping[str, Any] = {}) -> Suite:
    """All expectations and all problems of the text; never raises, whatever the text.

    `params` are those of the spec; they go before the suite's own `suite_parameters`.
    """
    tree, content, problems = read_content(text, file)
    if problems:
        return Suite((), problems)
    return _Reader(tree, file, (), params).suite(content)


def read_content(text: str, file: str) -> tuple[Tree, object, tuple[Problem, ...]]:
    """The text of a suite as plain values, with positions if it is YAML as well, or its problems;
    never raises."""
    tree = parse(text)
    content: object = tree.root.plain if tree.root is not None else None
    faults = tree.faults
    if file.endswith(".json") and len(text) <= MOST_BYTES:
        try:
            content = json.loads(text, parse_constant=_refuse)
        except _NotFiniteError as error:
            message = f"{error} is not a number: write a limit, or leave it out"
            return tree, None, (Problem("error", "not-finite", message, file),)
        except (ValueError, RecursionError) as error:
            where = (error.lineno, error.colno) if isinstance(error, json.JSONDecodeError) else ()
            said = error.msg if isinstance(error, json.JSONDecodeError) else "cannot be read"
            return tree, None, (Problem("error", "syntax", f"not JSON: {said}", file, *where),)
        if tree.root is None:
            faults = ()  # valid JSON but not YAML, e.g. indented by tabs: fine, without positions
    broken = (
        Problem("error", fault.code, fault.message, file, *tree.position(fault.start), "",
                None, fault.expected)
        for fault in faults
    )  # fmt: skip
    return tree, content, in_order(tuple(broken))


def words_in_suite(text: str, file: str) -> frozenset[str]:
    """Every word of the suite in `file` that a parameter could be named; never raises."""
    if KEY not in text:  # as in most
        return frozenset()
    return words_in(read_content(text, file)[1])


class _NotFiniteError(Exception):
    """A number that JSON does not have and that cannot be a limit."""


def _refuse(constant: str) -> None:
    raise _NotFiniteError(constant)


class _Reader:
    """Collects problems while it reads one suite, which is `at` a path of the tree."""

    def __init__(self, tree: Tree, file: str, at: YamlPath, params: Mapping[str, Any]) -> None:
        self._tree = tree
        self._file = file
        self._at = at
        self._params = params
        self._problems: list[Problem] = []

    def suite(self, content: object) -> Suite:
        within: YamlPath = ("expectations",)
        if self._at and isinstance(content, list):
            content, within = {"expectations": content}, ()
        if not isinstance(content, dict):
            self._add("type", "a suite is a mapping with `name` and `expectations`", (), content)
            return Suite((), tuple(self._problems))
        self._keys(content, _SUITE_KEYS, ())
        is_named = self._at or isinstance(content.get("name"), str)
        if not is_named and "expectation_suite_name" not in content:
            self._add("name", "the suite has no `name`", ("name",), content.get("name"), "a text")
        own = content.get("suite_parameters") or {}
        if isinstance(own, dict):
            self._params = {**own, **self._params}
        else:
            message = "`suite_parameters` must be a mapping"
            self._add("type", message, ("suite_parameters",), own, "a mapping")
        items = content.get("expectations")
        if not isinstance(items, list):
            self._add("type", "`expectations` must be a list", within, items, "a list")
            items = []
        elif not items:
            message = "the suite has no expectations: a gate that checks nothing cannot pass"
            self._add("no-expectations", message, within)
        read = [self._expectation(item, (*within, i)) for i, item in enumerate(items)]
        expectations = tuple(one for one in read if one is not None)
        name = content.get("name")
        name = name if isinstance(name, str) else ""
        return Suite(expectations, in_order(self._problems), name=name, parameters=self._params)

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
        else:
            self._parameters(kwargs, (*path, "kwargs"))
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
        where = (*self._at, *path)
        line, column = locate(self._tree, where) if self._tree.root else (None, None)
        kwargs = {key: filled(value, self._params) for key, value in kwargs.items()}
        return Expectation(
            kind,
            kwargs,
            cast("Severity", severity),
            line,
            column,
            bool(empty),
            self._asked(kwargs),
            {key: item[key] for key in LABELS if item.get(key)},
        )

    def _parameters(self, kwargs: Mapping[str, Any], path: YamlPath) -> None:
        for key, value in kwargs.items():
            if fault := fault_of(value, self._params):
                where = (*path, key)
                self._add("suite-parameter", fault.message, where, meant=fault.nearest)

    def _asked(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The values of what the expressions name that are left among its arguments."""
        texts = [value[KEY] for value in kwargs.values() if is_parameter(value)]
        names = dict.fromkeys(name for text in texts for name in names_in(text))
        return {name: self._params[name] for name in names if name in self._params}

    def _keys(self, mapping: dict[str, Any], known: tuple[str, ...], path: YamlPath) -> None:
        for key in mapping:
            if key in known:
                continue
            meant = _BEFORE_1_0.get(key)
            message = f"unknown key `{_short(key)}`"
            if key in _BEFORE_1_0:
                message += " of a suite before Great Expectations 1.0; "
                message += f"`headgate suite upgrade {self._file}` rewrites it"
            self._add(
                "unknown-key",
                message,
                (*path, key),
                expected=None if key in _BEFORE_1_0 else ", ".join(known),
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
        path = (*self._at, *path)
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


def _short(value: object) -> str:
    if isinstance(value, str | int | float):
        text = str(value)
        return text if len(text) <= 60 else text[:59] + "…"
    return {"dict": "a mapping", "list": "a list"}.get(type(value).__name__, "another value")
