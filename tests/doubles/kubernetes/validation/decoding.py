"""Decoding of what a client sends: unknown fields are dropped, wrong types are refused."""

from typing import Any

from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import Obj
from tests.doubles.kubernetes.base.refusals import bad_request
from tests.doubles.kubernetes.validation.schemas import SchemaNode


class _MismatchError(Exception):
    """A value of another type than the field's."""

    def __init__(self, path: str, found: str, wanted: str) -> None:
        super().__init__(path)
        self.path, self.found, self.wanted = path, found, wanted


_NAMES = {str: "string", bool: "bool", int: "number", float: "number", dict: "object",
          list: "array"}  # fmt: skip


def decode(kind: Kind, sent: Any, shape: SchemaNode) -> tuple[Obj, list[str]]:
    """The object with the fields that its schema knows, and the paths of those it does not.

    Nulls are dropped. Defaults that the schema itself gives are filled in for custom kinds, as
    the built-in kinds' own come from code.
    """
    if not isinstance(sent, dict):
        raise bad_request("the body of the request must be an object")
    unknown: list[str] = []
    try:
        return _object(sent, shape, "", unknown, kind.custom), unknown
    except _MismatchError as error:
        if kind.custom:
            from tests.doubles.kubernetes.base.refusals import FieldError, invalid

            said = (
                f'Invalid value: "{error.found}": must be of type {error.wanted}: "{error.found}"'
            )
            problem = FieldError("FieldValueTypeInvalid", error.path, said)
            raise invalid(
                kind, str((sent.get("metadata") or {}).get("name", "")), [problem]
            ) from None
        message = (
            f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: json: '
            f"cannot unmarshal {error.found} into Go struct field {error.path} of type "
            f"{error.wanted}"
        )
        raise bad_request(message) from None


def _value(value: Any, shape: SchemaNode, path: str, unknown: list[str], defaults: bool) -> Any:
    if shape.any:
        return value
    if isinstance(value, dict):
        if "object" not in shape.types:
            raise _MismatchError(path, "object", _wanted(shape))
        return _object(value, shape, path, unknown, defaults)
    if isinstance(value, list):
        if "array" not in shape.types:
            raise _MismatchError(path, "array", _wanted(shape))
        return [
            _value(each, shape.items, f"{path}[{index}]", unknown, defaults)
            for index, each in enumerate(value)
        ]
    _scalar(value, shape, path)
    return value


def _object(sent: Obj, shape: SchemaNode, path: str, unknown: list[str], defaults: bool) -> Obj:
    out: Obj = {}
    for name, value in sent.items():
        inner = shape.field(name)
        where = f"{path}.{name}" if path else name
        if inner is None:
            unknown.append(where)
        elif value is not None:
            decoded = _value(value, inner, where, unknown, defaults)
            if defaults or decoded or not _is_left_out(inner):
                out[name] = decoded
        elif isinstance(inner.node, dict) and inner.node.get("nullable"):
            out[name] = None
    if defaults:
        for name, node in shape.properties.items():
            if name not in out and isinstance(node, dict) and "default" in node:
                inner = shape.field(name)
                assert inner is not None
                out[name] = _value(node["default"], inner, name, unknown, defaults)
    return out


def _is_left_out(shape: SchemaNode) -> bool:
    """Whether built-in kinds leave it out when it is empty: lists, and objects of any keys."""
    return "array" in shape.types or shape.free


def _scalar(value: Any, shape: SchemaNode, path: str) -> None:
    found = _NAMES[type(value)]
    if "oneOf" in shape.node or shape.node.get("x-kubernetes-int-or-string"):
        wrong = isinstance(value, bool)
    elif isinstance(value, bool):
        wrong = "boolean" not in shape.types
    elif isinstance(value, str):
        wrong = "string" not in shape.types
    else:
        whole = isinstance(value, int)
        wrong = not ("number" in shape.types or (whole and "integer" in shape.types))
    if wrong:
        raise _MismatchError(path, found, _wanted(shape))


def _wanted(shape: SchemaNode) -> str:
    kinds = {"integer": "int32", "boolean": "bool", "object": "map", "array": "[]"}
    name = next(iter(sorted(shape.types)), "string")
    return kinds.get(name, name)
