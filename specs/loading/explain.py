"""Explains pydantic's errors in plain words, at their places in the file."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from pydantic_core import ErrorDetails

from specs.loading.problems import Problem
from specs.loading.tree import Tree, YamlKey, YamlNode, YamlPath
from specs.metrics import ALIASES
from specs.names import PART_PATTERN, PIPELINE_PATTERN, VARIABLE_PATTERN, slug
from specs.values import format_percent

_LONGEST_SHOWN: Final = 60
_MOST_NAMES: Final = 20

_KINDS: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
}

_OTHER_NAMES: Final = {
    **dict.fromkeys(("str", "text", "varchar", "char", "object", "category"), "string"),
    **dict.fromkeys(("int", "integer", "int32", "long", "bigint"), "int64"),
    **dict.fromkeys(("float", "float32", "float64", "number", "real"), "double"),
    **dict.fromkeys(("numeric", "money"), "decimal"),
    "boolean": "bool",
    **dict.fromkeys(("day", "date32"), "date"),
    **dict.fromkeys(("datetime", "datetime64", "time", "timestamptz"), "timestamp"),
    **ALIASES,
}
"""Names that types and metrics have elsewhere, and the names they have here."""

_OLD_KEYS: Final = {"expectation_type": "type", "expectation_suite_name": "name"}
"""Keys of Great Expectations before 1.0, and what they are called since."""

_LIMITS: Final = {"le": "at most", "lt": "less than", "ge": "at least", "gt": "more than"}

_PATTERNS: Final = {
    PIPELINE_PATTERN: "lower-case letters, digits and dashes, beginning with a letter",
    PART_PATTERN: "letters, digits, _ and -, not beginning with a digit",
    VARIABLE_PATTERN: "letters, digits and _, not beginning with a digit",
    r"^/[^\s#]*$": "a path that begins with /",
    r"^3\.\d+(\.\d+)?$": 'a Python version in quotes, such as "3.11"',
}


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant by `word`; only names of similar length are considered."""
    apart = max(3, len(word) // 3)
    similar = (name for name in names if abs(len(name) - len(word)) <= apart)
    # A hostile file can have thousands of names and as many errors.
    found = difflib.get_close_matches(word[:100], list(islice(similar, 500)), n=1, cutoff=0.6)
    return found[0] if found else None


def one_of(names: Sequence[str]) -> str | None:
    """`one of a, b, c`, truncated if there are many; None if there are none."""
    if not names:
        return None
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return "one of " + ", ".join(names[:_MOST_NAMES]) + more


def shown(path: Sequence[YamlKey]) -> str:
    """A path as people write it: `gates.model.checks[0].metric`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def settle(root: YamlNode, loc: Sequence[YamlKey]) -> YamlPath:
    """The part of an error's location that is in the document; pydantic adds keys of its own."""
    path: list[YamlKey] = []
    node = root
    for key in loc:
        if key in node.children:
            path.append(key)
            node = node.children[key]
    return tuple(path)


def locate(tree: Tree, path: Sequence[YamlKey], *, key: bool = False) -> tuple[int, int]:
    """Line and column of the value at `path` or of its key; if missing, of its nearest parent."""
    node = tree.root
    start = node.start if node is not None else 0
    for place, step in enumerate(path):
        if node is None or step not in node.children:
            break
        at_key = key or place < len(path) - 1 or not node.children[step].raw
        start = node.keys[step] if at_key and step in node.keys else node.children[step].start
        node = node.children[step]
    return tree.position(start)


def explain(
    errors: Sequence[ErrorDetails], tree: Tree, file: str, schema: dict[str, Any]
) -> Iterator[Problem]:
    """One problem for each error: a misspelt key is not also reported as a missing one.

    `schema` is the JSON Schema of the validated model, for names and descriptions.
    """
    if tree.root is None:
        return
    settled = [(error, settle(tree.root, error["loc"])) for error in errors]
    unknown = [
        _unknown_key(tree, path, file, schema)
        for error, path in settled
        if error["type"] == "extra_forbidden"
    ]
    yield from unknown
    meant = {(_parent(problem.path), problem.nearest) for problem in unknown}
    broken = {path[:end] for _, path in settled for end in range(len(path))}
    for error, path in settled:
        match error["type"]:
            case "missing" if (shown(path), error["loc"][-1]) not in meant:
                yield _missing_key(tree, (*path, error["loc"][-1]), file, schema)
            case "missing" | "extra_forbidden":
                pass
            case "too_short" if path in broken:
                pass  # It has items, but they are invalid, and pydantic does not count them.
            case _:
                yield _wrong(error, tree, path, file)


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _unknown_key(tree: Tree, path: YamlPath, file: str, schema: dict[str, Any]) -> Problem:
    names = list(
        dict.fromkeys(
            name for part in _parts(path[:-1], schema) for name in part.get("properties", ())
        )
    )
    line, column = locate(tree, path, key=True)
    where = f" in `{shown(path[:-1])}`" if path[:-1] else ""
    since = _OLD_KEYS.get(str(path[-1]))
    return Problem(
        "error",
        "unknown-key",
        f"unknown key `{_short(str(path[-1]))}`{where}",
        file,
        line,
        column,
        shown(path),
        expected=one_of(names),
        nearest=since if since in names else nearest(str(path[-1]), names),
    )


def _missing_key(tree: Tree, path: YamlPath, file: str, schema: dict[str, Any]) -> Problem:
    line, column = locate(tree, path[:-1], key=True)
    where = f"`{shown(path[:-1])}`" if path[:-1] else "the file"
    words = [part["description"] for part in _parts(path, schema) if "description" in part]
    return Problem(
        "error",
        "missing-key",
        f"{where} lacks `{path[-1]}`",
        file,
        line,
        column,
        shown(path),
        expected=words[0][0].lower() + words[0][1:].rstrip(".") if words else None,
    )


def _wrong(error: ErrorDetails, tree: Tree, path: YamlPath, file: str) -> Problem:
    node = tree.root
    for key in path:
        node = node.children[key] if node is not None else None
    is_name = error["loc"][-1:] == ("[key]",)
    kind = _KINDS.get(error["type"])
    line, column = locate(tree, path, key=is_name)
    expected = _expected(error, node)
    found = describe(node) if node is not None and not is_name else None
    if kind is None and node is not None and node.children:
        found = None  # It is right that it is a mapping.
    code, message = "wrong-value", f"wrong value for `{shown(path)}`"
    if is_name:
        code, message = "name", f"`{_short(str(path[-1]))}` cannot be a name"
    elif kind is not None:
        code, message = "wrong-type", f"wrong type for `{shown(path) or 'the file'}`"
    return Problem(
        "error", code, message, file, line, column, shown(path),
        found=found, expected=expected, nearest=_suggestion(error, node),
    )  # fmt: skip


def describe(node: YamlNode) -> str:
    """The value in the file, shortened."""
    if node.plain is None:
        return "nothing"
    if isinstance(node.plain, dict):
        return "a mapping"
    if isinstance(node.plain, list):
        return "a list" if node.plain else "an empty list"
    return _short(repr(node.raw) if isinstance(node.plain, str) else node.raw)


def _expected(error: ErrorDetails, node: YamlNode | None) -> str:
    context = error.get("ctx", {})
    kind = _KINDS.get(error["type"])
    if kind == "text" and node is not None and node.raw:
        return f'text: write "{_short(node.raw)}" in quotes'
    if kind is not None:
        return kind
    if error["type"] == "string_pattern_mismatch":
        return _PATTERNS.get(str(context.get("pattern")), f"text like {context.get('pattern')}")
    if error["type"] in ("too_short", "string_too_short"):
        return "at least one"
    if error["type"] == "too_long":
        return f"at most {context['max_length']}"
    if error["type"] == "literal_error":
        return one_of(_choices(error)) or error["msg"]
    for limit, words in _LIMITS.items():
        if limit in context:
            percent = node is not None and node.raw.endswith("%")
            return f"{words} {format_percent(context[limit]) if percent else context[limit]}"
    text = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return text.removeprefix("expected ")


def _suggestion(error: ErrorDetails, node: YamlNode | None) -> str | None:
    if node is None or not isinstance(node.plain, str):
        return None
    if error["type"] == "literal_error":
        choices = _choices(error)
        other = _OTHER_NAMES.get(node.plain.lower())
        return other if other in choices else nearest(node.plain, choices)
    if error.get("ctx", {}).get("pattern") == PIPELINE_PATTERN:
        return slug(node.plain)
    return None


def _choices(error: ErrorDetails) -> list[str]:
    return re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", "")))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def _parts(path: Sequence[YamlKey], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of the JSON Schema that describe the value at `path`."""
    parts = list(_expand(schema, schema))
    for key in path:
        inside = [child for part in parts for child in _children(part, key)]
        parts = [part for child in inside for part in _expand(child, schema)]
    return parts


def _children(part: dict[str, Any], key: YamlKey) -> Iterator[dict[str, Any]]:
    if isinstance(key, int):
        if "items" in part:
            yield part["items"]
    elif key in part.get("properties", {}):
        yield part["properties"][key]
    else:
        yield from part.get("patternProperties", {}).values()


def _expand(part: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield part
    if "$ref" in part:
        yield from _expand(schema["$defs"][part["$ref"].rpartition("/")[2]], schema)
    for choice in (*part.get("anyOf", ()), *part.get("oneOf", ())):
        yield from _expand(choice, schema)
