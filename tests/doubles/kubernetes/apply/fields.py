"""Sets of fields, as `managedFields` writes them: FieldsV1.

A field is a path of steps: `f:name` a field, `k:{…}` an item of a list by its keys, `v:…` a value
of a set.
"""

from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json, to_json

from tests.doubles.kubernetes.base.objects import Obj
from tests.doubles.kubernetes.validation.schemas import ANY, SchemaNode

Path = tuple[str, ...]
Fields = frozenset[Path]

KEY_DEFAULTS = {"protocol": "TCP"}
"""Of keys of lists, where an item is silent."""
_BARE = frozenset(
    {"name", "namespace", "creationTimestamp", "selfLink", "uid", "resourceVersion", "generation",
     "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName"}
)  # fmt: skip
"""Fields of the metadata that nobody manages."""


_POD = (("f:metadata",), ("f:spec",), ("f:spec", "f:containers"))
_ALWAYS = frozenset(
    {
        *_POD,
        ("f:status",),
        ("f:spec", "f:template"),
        ("f:spec", "f:strategy"),
        ("f:status", "f:loadBalancer"),
        *(("f:spec", "f:template", *path) for path in _POD),
    }
)
"""Parts that are there in the emptiest object of a built-in kind."""


def item_step(item: Any, shape: SchemaNode) -> str:
    """How an item of a list is named."""
    if shape.list_type == "map" and isinstance(item, dict):
        keys = {key: item.get(key, KEY_DEFAULTS.get(key)) for key in sorted(shape.keys)}
        named = {key: value for key, value in keys.items() if value is not None}
        return f"k:{to_json(named).decode()}"
    return f"v:{to_json(item).decode()}"


def is_granular(value: Any, shape: SchemaNode) -> bool:
    """Whether the parts of the value are managed on their own."""
    if isinstance(value, dict):
        return not shape.atomic
    return isinstance(value, list) and shape.list_type in ("map", "set")


def children(value: Any, shape: SchemaNode) -> list[tuple[str, Any, SchemaNode, bool]]:
    """The parts: their step, value and schema, and whether they are named in a set themselves."""
    if isinstance(value, dict):
        return [
            (f"f:{key}", each, shape.field(key) or ANY, not shape.declares(key))
            for key, each in value.items()
        ]
    return [(item_step(each, shape), each, shape.items, True) for each in value]


def fields_of(value: Any, shape: SchemaNode, at: Path = ()) -> set[Path]:
    """All fields that the value says something of."""
    found: set[Path] = set()
    if not is_granular(value, shape):
        return {at} if at else found
    parts = children(value, shape)
    if not parts and at:
        return {at}
    for step, each, inner, named in parts:
        if at == () and step in ("f:apiVersion", "f:kind"):
            continue
        if at == ("f:metadata",) and step[2:] in _BARE:
            continue
        if named:
            found.add((*at, step))
        found |= fields_of(each, inner, (*at, step))
    return found


def leaves(value: Any, shape: SchemaNode) -> dict[Path, Any]:
    """The values of all fields; whatever has parts of its own has the value None.

    What an object of a built-in kind always has is left out, as nobody ever adds it.
    """
    built_in = "x-kubernetes-group-version-kind" in shape.node
    always = _ALWAYS if built_in else frozenset({("f:metadata",)})
    return {
        path: each
        for path, each in _leaves(value, shape, ())
        if path not in always and not _is_bare(path)
    }


def _leaves(value: Any, shape: SchemaNode, at: Path) -> Iterator[tuple[Path, Any]]:
    if not is_granular(value, shape):
        yield at, value
        return
    if at:
        yield at, None
    for step, each, inner, _ in children(value, shape):
        yield from _leaves(each, inner, (*at, step))


def _is_bare(path: Path) -> bool:
    if path[:1] in (("f:apiVersion",), ("f:kind",)):
        return True
    return len(path) > 1 and path[0] == "f:metadata" and path[1][2:] in _BARE


def changed(old: Obj, new: Obj, shape: SchemaNode) -> tuple[set[Path], set[Path]]:
    """The fields that were added or changed, and those that were removed."""
    before, after = leaves(old, shape), leaves(new, shape)
    missing = object()
    put = {path for path, value in after.items() if before.get(path, missing) != value}
    return put, set(before) - set(after)


def written(fields: Fields | set[Path]) -> Obj:
    """The set as FieldsV1."""
    root: Obj = {}
    for path in sorted(fields):
        at = root
        for step in path:
            at = at.setdefault(step, {})
        at["."] = {}
    _trim(root)
    return root


def _trim(node: Obj) -> None:
    """A leaf is empty; what has parts and is itself in the set has a `.` beside them."""
    if set(node) == {"."}:
        node.clear()
    for key, each in node.items():
        if key != ".":
            _trim(each)


def read(node: Obj, at: Path = ()) -> set[Path]:
    """The set that FieldsV1 writes."""
    if not node:
        return {at} if at else set()
    found: set[Path] = set()
    for step, inner in node.items():
        found |= {at} if step == "." else read(inner, (*at, step))
    return found


def as_text(path: Path) -> str:
    """The path as messages show it: `.spec.containers[name="a"].image`."""
    out = ""
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "f":
            out += f".{rest}"
        elif kind == "k":
            keys = from_json(rest)
            out += f"[{','.join(f'{k}={to_json(v).decode()}' for k, v in keys.items())}]"
        else:
            out += f"[={rest}]"
    return out
