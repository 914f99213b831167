"""Read a Great Expectations suite, JSON or YAML, with the place of everything in it.

Only its structure is judged here, without importing Great Expectations: `headgate validate` has
to answer at once, and the gate says the rest. A suite is hostile input: bounded in size and
depth, without aliases, safe types only.
"""

import difflib
import json
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Literal, cast, get_args

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

LARGEST: Final = 1 << 20
"""Characters of a suite."""
DEEPEST: Final = 32

Severity = Literal["critical", "warning", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)

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
    """One line of the suite. Positions count from 1."""

    type: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    severity: Severity = "critical"
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True)
class Flaw:
    """Something in a suite that keeps it from being used, and where."""

    message: str
    line: int | None = None
    column: int | None = None
    found: str | None = None
    expected: str | None = None


@dataclass(frozen=True)
class Suite:
    """What a text says; with any flaw, the expectations are those that could be read."""

    expectations: tuple[Expectation, ...] = ()
    flaws: tuple[Flaw, ...] = ()


Position = tuple[int, int]
Path = tuple[str | int, ...]


def read_suite(text: str, *, is_json: bool) -> Suite:
    """All expectations and all flaws of the text; never raises for what the text says."""
    if len(text) > LARGEST:
        return Suite(flaws=(Flaw(f"the suite has {len(text):,} characters, {LARGEST:,} allowed"),))
    try:
        places = _places(text)
    except _Refused as refused:
        if not is_json or refused.final:
            return Suite(flaws=(refused.flaw,))
        places = {}  # JSON that is no YAML, e.g. indented by tabs: good, only without positions
    try:
        content = _json(text) if is_json else YAML(typ="safe", pure=True).load(text)
    except json.JSONDecodeError as error:
        return Suite(flaws=(Flaw(f"not valid JSON: {error.msg}", error.lineno, error.colno),))
    except (YAMLError, ValueError, RecursionError) as error:
        return Suite(flaws=(_flaw_of(error),))
    return _Reader(places).suite(content)


class _Refused(Exception):  # noqa: N818 - carries a flaw, is never shown
    def __init__(self, flaw: Flaw, *, final: bool) -> None:
        super().__init__(flaw.message)
        self.flaw = flaw
        self.final = final


def _flaw_of(error: Exception) -> Flaw:
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    what = (error.problem if isinstance(error, MarkedYAMLError) else None) or str(error)
    message = f"not valid YAML: {what.splitlines()[0] if what else 'unreadable'}"
    return Flaw(message, *((mark.line + 1, mark.column + 1) if mark else ()))


def _json(text: str) -> object:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON value")

    return json.loads(text, parse_constant=refuse)


def _places(text: str) -> dict[Path, Position]:
    """Where each node stands, down to the arguments of an expectation."""
    try:
        depth = 0
        for event in YAML(typ="safe", pure=True).parse(text):
            depth += isinstance(event, CollectionStartEvent)
            depth -= isinstance(event, CollectionEndEvent)
            problem = (
                "aliases are not allowed in a suite"
                if isinstance(event, AliasEvent)
                else f"nested deeper than {DEEPEST} levels"
                if depth > DEEPEST
                else None
            )
            if problem:
                mark = event.start_mark
                raise _Refused(Flaw(problem, mark.line + 1, mark.column + 1), final=True)
        root = YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise _Refused(_flaw_of(error), final=False) from error
    places: dict[Path, Position] = {}
    if root is not None:
        _walk(root, (), places)
    return places


def _walk(node: Node, path: Path, places: dict[Path, Position]) -> None:
    places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    if len(path) == 4:  # ("expectations", 3, "kwargs", "column")
        return
    if isinstance(node, MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            places[inner] = (key.start_mark.line + 1, key.start_mark.column + 1)
            _walk(value, inner, places)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, index), places)


def nearest(word: str, words: tuple[str, ...] | list[str]) -> str | None:
    """The valid name that was probably meant."""
    found = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return found[0] if found else None


class _Reader:
    """Collects flaws while it reads; made for one suite."""

    def __init__(self, places: dict[Path, Position]) -> None:
        self._places = places
        self._flaws: list[Flaw] = []

    def suite(self, content: object) -> Suite:
        if not isinstance(content, dict):
            self._add("a suite is a mapping with `name` and `expectations`", (), content)
            return Suite(flaws=tuple(self._flaws))
        self._keys(content, _SUITE_KEYS, ())
        if not isinstance(content.get("name"), str) and "expectation_suite_name" not in content:
            self._add("the suite has no `name`", ("name",), content.get("name"), "a text")
        if content.get("suite_parameters"):
            self._add(
                "suite parameters are not supported: write the values themselves",
                ("suite_parameters",),
            )
        items = content.get("expectations")
        if not isinstance(items, list):
            self._add("`expectations` must be a list", ("expectations",), items, "a list")
            items = []
        elif not items:
            self._add(
                "the suite has no expectations: a gate that checks nothing cannot pass",
                ("expectations",),
            )
        read = [self._expectation(item, ("expectations", i)) for i, item in enumerate(items)]
        return Suite(tuple(one for one in read if one is not None), tuple(self._flaws))

    def _expectation(self, item: object, path: Path) -> Expectation | None:
        if not isinstance(item, dict):
            self._add("an expectation is a mapping with `type` and `kwargs`", path, item)
            return None
        before = len(self._flaws)
        self._keys(item, _KEYS, path)
        kind, kwargs = item.get("type"), item.get("kwargs", {})
        severity = item.get("severity") or "critical"
        if "expectation_type" not in item and not isinstance(kind, str):
            self._add("the expectation has no `type`", (*path, "type"), kind, "expect_...")
        if not isinstance(kwargs, dict) or not all(isinstance(key, str) for key in kwargs):
            self._add("`kwargs` must be a mapping", (*path, "kwargs"), kwargs, "a mapping")
        elif parameter := next((k for k, v in kwargs.items() if _is_parameter(v)), None):
            self._add(
                "suite parameters are not supported: write the value itself",
                (*path, "kwargs", parameter),
            )
        if severity not in SEVERITIES:
            self._add("unknown severity", (*path, "severity"), severity, ", ".join(SEVERITIES))
        if len(self._flaws) > before or not isinstance(kind, str):
            return None
        line, column = self._at(path)
        return Expectation(kind, kwargs, cast("Severity", severity), line, column)

    def _keys(self, mapping: dict[Any, Any], known: tuple[str, ...], path: Path) -> None:
        for key in mapping:
            if key in known:
                continue
            if new := _BEFORE_1_0.get(str(key)):
                what = f"`{key}` is the form before Great Expectations 1.0: rename it to `{new}`"
            else:
                meant = nearest(str(key), known)
                what = f"unknown key `{_short(key)}`" + (f", did you mean `{meant}`?" * bool(meant))
            self._add(what, (*path, str(key)), expected=", ".join(known))

    def _add(
        self, message: str, path: Path, found: object = None, expected: str | None = None
    ) -> None:
        shown = None if found is None else _short(found)
        self._flaws.append(Flaw(message, *self._at(path), found=shown, expected=expected))

    def _at(self, path: Path) -> tuple[int | None, int | None]:
        """The place of the path, or of the nearest thing around it that has one."""
        while path and path not in self._places:
            path = path[:-1]
        return self._places.get(path, (None, None))


def _is_parameter(value: object) -> bool:
    return isinstance(value, dict) and any(str(key).startswith("$PARAMETER") for key in value)


def _short(value: object) -> str:
    if isinstance(value, str | int | float | date):
        text = str(value)
        return text if len(text) <= 60 else text[:59] + "…"
    return {"NoneType": "nothing", "dict": "a mapping", "list": "a list"}.get(
        type(value).__name__, type(value).__name__
    )
