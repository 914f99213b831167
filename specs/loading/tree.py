"""YAML as a tree of values with their positions. The text may be hostile, so all is bounded."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)
from ruamel.yaml.reader import ReaderError

MOST_BYTES: Final = 256 * 1024
MOST_NODES: Final = 10_000
MOST_DEPTH: Final = 32
MOST_FAULTS: Final = 100

YamlKey = str | int
YamlPath = tuple[YamlKey, ...]


@dataclass(frozen=True, slots=True)
class YamlNode:
    """A value of the document, and where it starts.

    `plain` is its Python value; `children` are the nodes of a mapping or list; `keys` are the
    offsets of a mapping's keys; `raw` is the text of a scalar as written.
    """

    plain: Any
    start: int
    children: dict[YamlKey, "YamlNode"] = field(default_factory=dict)
    keys: dict[YamlKey, int] = field(default_factory=dict)
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """An error in the text itself, before its meaning is known."""

    code: str
    message: str
    start: int
    expected: str | None = None


@dataclass(frozen=True)
class Tree:
    """The document; `root` is None if it cannot be read at all."""

    text: str
    root: YamlNode | None
    faults: tuple[Fault, ...]

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", self.text))]

    def position(self, start: int) -> tuple[int, int]:
        """Line and column, from 1, of an offset into the text."""
        line = bisect_right(self._line_starts, start)
        return line, start - self._line_starts[line - 1] + 1


class _StopError(Exception):
    """The text cannot be read any further."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


_MARKS: Final = tuple(
    re.compile(rf"^{mark}{{7}}(?: [^\r\n]*)?\r?$", re.MULTILINE) for mark in ("<", "=", ">")
)
"""The lines that git puts before, between and after the sides of a conflict, in this order."""


def conflict(text: str) -> tuple[int, int] | None:
    """Start and end of the first merge conflict in a text; None if there is none."""
    places: list[tuple[int, int]] = []
    for mark in _MARKS:
        found = mark.search(text, places[-1][1] if places else 0)
        if found is None:
            return None
        places.append(found.span())
    return places[0][0], places[-1][1]


def conflict_message(text: str) -> str | None:
    """The error message for a text with a merge conflict; None if there is none."""
    span = conflict(text)
    if span is None:
        return None
    first, last = (text.count("\n", 0, at) + 1 for at in span)
    return (
        f"there is a merge conflict in lines {first} to {last}: keep what you need of both sides, "
        "delete git's three marker lines, and commit"
    )


def parse(content: str | bytes) -> Tree:
    """Read YAML 1.2 (core schema): no tags, one document, bounded in all respects. Never raises."""
    try:
        text = _decode(content)
    except _StopError as stop:
        return Tree("", None, (stop.fault,))
    if (message := conflict_message(text)) is not None:
        start, _ = conflict(text) or (0, 0)
        return Tree(text, None, (Fault("conflict", message, start),))
    faults: list[Fault] = []
    try:
        root = _Reader(text, faults).document()
    except _StopError as stop:
        return Tree(text, None, (*faults, stop.fault))
    return Tree(text, root, tuple(faults))


def _decode(content: str | bytes) -> str:
    if isinstance(content, str):
        size = len(content.encode("utf-8", "surrogatepass"))
    else:
        size = len(content)
    if size > MOST_BYTES:
        raise _StopError(
            Fault("too-large", f"the file has {size} bytes", 0, f"at most {MOST_BYTES}")
        )
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"the file is not UTF-8: byte {error.start + 1} cannot be read"
        raise _StopError(Fault("encoding", message, 0, "text in UTF-8")) from None
    return text.removeprefix("\ufeff")


class _Reader:
    """Builds the tree from the parser's events; the parser itself builds nothing."""

    def __init__(self, text: str, faults: list[Fault]) -> None:
        self.text = text
        self.faults = faults
        self.anchors: dict[str, tuple[YamlNode, int]] = {}
        self.nodes = 0
        self.events = self._parse()

    def document(self) -> YamlNode | None:
        """The document; None if there is none."""
        root = None
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    fault = Fault(
                        "several-documents",
                        "a second document starts here",
                        event.start_mark.index,
                        "one document per file",
                    )
                    self._fault(fault)
                    return root
                root = self._node(next(self.events), 1)
        return root

    def _parse(self) -> Iterator[Event]:
        try:
            yield from YAML(typ="safe", pure=True).parse(self.text)
        except (MarkedYAMLError, ReaderError) as error:
            raise _StopError(_syntax(error, self.text)) from None
        except (YAMLError, ValueError, IndexError, AttributeError, AssertionError) as error:
            # The parser has bugs on unusual text; to the user, it is text that cannot be read.
            message = f"cannot be read as YAML: {error}"
            raise _StopError(Fault("syntax", message, 0)) from None

    def _node(self, event: Any, depth: int) -> YamlNode:
        # Any: the attributes of an event depend on its kind and are not typed.
        start = event.start_mark.index
        if isinstance(event, AliasEvent):
            return self._alias(event.anchor, start)
        before = self.nodes
        self._count(1, start)
        if depth > MOST_DEPTH:
            message = f"nested more than {MOST_DEPTH} deep"
            raise _StopError(Fault("too-deep", message, start))
        if event.ctag is not None:
            self._fault(
                Fault("tag", f"the tag {event.tag} is not allowed", start, "a value without a tag")
            )
        if isinstance(event, ScalarEvent):
            node = self._scalar(event, start)
        elif isinstance(event, MappingStartEvent):
            node = self._mapping(start, depth)
        else:
            node = self._sequence(start, depth)
        if event.anchor:
            self.anchors[event.anchor] = (node, self.nodes - before)
        return node

    def _fault(self, fault: Fault) -> None:
        if len(self.faults) == MOST_FAULTS:
            raise _StopError(fault)
        self.faults.append(fault)

    def _count(self, nodes: int, start: int) -> None:
        self.nodes += nodes
        if self.nodes > MOST_NODES:
            message = f"more than {MOST_NODES} values, with aliases expanded"
            raise _StopError(Fault("too-many-values", message, start))

    def _alias(self, name: str, start: int) -> YamlNode:
        node, size = self.anchors.get(name, (None, 0))
        if node is None:
            message = f"the alias *{name} has no anchor: there is no &{name} before it"
            raise _StopError(Fault("alias", message, start))
        self._count(size, start)
        # Problems inside are shown at the anchor, where the text is.
        return node

    def _as_text(self, value: str, start: int) -> str:
        """The value without characters that no program, file or variable can contain."""
        bad = _UNHELD.search(value)
        if bad is None:
            return value
        message = f"the character U+{ord(bad[0]):04X} is not allowed in text"
        self._fault(Fault("character", message, start))
        return _UNHELD.sub("", value)

    def _scalar(self, event: ScalarEvent, start: int) -> YamlNode:
        value = _resolve(event.value) if event.style is None else event.value
        if isinstance(value, float) and not abs(value) < float("inf"):
            self._fault(Fault("not-finite", f"{event.value} is not a number", start, "a number"))
            value = 0.0
        if isinstance(value, str):
            value = self._as_text(value, start)
        return YamlNode(value, start, raw=value if isinstance(value, str) else event.value)

    def _sequence(self, start: int, depth: int) -> YamlNode:
        children: dict[YamlKey, YamlNode] = {}
        while not isinstance(event := next(self.events), SequenceEndEvent):
            children[len(children)] = self._node(event, depth + 1)
        return YamlNode([child.plain for child in children.values()], start, children)

    def _mapping(self, start: int, depth: int) -> YamlNode:
        children: dict[YamlKey, YamlNode] = {}
        keys: dict[YamlKey, int] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            at = event.start_mark.index
            if not isinstance(event, ScalarEvent):
                self._node(event, depth + 1)
                self._node(next(self.events), depth + 1)
                self._fault(Fault("key", "a key has to be plain text", at))
                continue
            self._count(1, at)
            key = self._as_text(event.value, at)
            child = self._node(next(self.events), depth + 1)
            if key in children:
                line = self.text.count("\n", 0, keys[key]) + 1
                message = f"the key `{key}` appears twice; first in line {line}"
                self._fault(Fault("duplicate-key", message, at))
                continue
            children[key] = child
            keys[key] = at
        return YamlNode(
            {key: child.plain for key, child in children.items()}, start, children, keys
        )


_UNHELD: Final = re.compile(r"[\0\ud800-\udfff]")
"""Characters that escapes can express but UTF-8 or a command line cannot."""

# YAML 1.2.2, section 10.3.2, the core schema: `no`, `on` and 1:30 are text.
_NULL: Final = {"", "~", "null", "Null", "NULL"}
_BOOL: Final = {
    word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}
_INT: Final = re.compile(r"[-+]?[0-9]+")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_NUMBER: Final = 64


def _resolve(text: str) -> object:
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text


def _syntax(error: MarkedYAMLError | ReaderError, text: str) -> Fault:
    if isinstance(error, ReaderError):
        message = f"the character U+{ord(text[error.position]):04X} is not allowed in YAML"
        return Fault("character", message, error.position)
    mark = error.problem_mark or error.context_mark
    start = mark.index if mark is not None else 0
    if text[start : start + 1] == "\t":
        return Fault("tab", "a tab where YAML needs spaces", start, "spaces")
    reasons = [reason for reason in (error.problem, error.context) if reason]
    return Fault("syntax", "not YAML: " + ", ".join(reasons), start)
