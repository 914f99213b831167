"""JSON patch, merge patch and strategic merge patch."""

from typing import Any

from tests.doubles.kubernetes.base.objects import Obj, copied
from tests.doubles.kubernetes.base.refusals import StatusError, bad_request
from tests.doubles.kubernetes.validation.schemas import ANY, SchemaNode

_REFUSED = "the server rejected our request due to an error in our request"


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge_patch(out.get(key), value)
    return out


def json_patch(target: Obj, patch: Any) -> Obj:
    """RFC 6902. A test that fails, or a path that is not there, is refused with 422."""
    if not isinstance(patch, list):
        raise bad_request("a JSON patch must be a list of operations")
    whole: Any = {"": copied(target)}
    for step in patch:
        try:
            _operate(whole, step)
        except (KeyError, IndexError, ValueError, TypeError):
            raise StatusError(422, "Invalid", _REFUSED) from None
    result: Obj = whole[""]
    return result


def _operate(whole: Any, step: Obj) -> None:
    operation, path = step["op"], step["path"]
    if operation in ("move", "copy"):
        value = copied(_get(whole, step["from"]))
        if operation == "move":
            _remove(whole, step["from"])
        _add(whole, path, value)
    elif operation == "add":
        _add(whole, path, step["value"])
    elif operation == "remove":
        _remove(whole, path)
    elif operation == "replace":
        _get(whole, path)
        parent, last = _parent(whole, path)
        parent[last] = step["value"]
    elif operation == "test":
        if _get(whole, path) != step.get("value"):
            raise ValueError(path)
    else:
        raise ValueError(operation)


def _parent(whole: Any, path: str) -> tuple[Any, Any]:
    """What holds the place that a pointer names, and its key there."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")]
    at = whole
    for step in steps[:-1]:
        at = at[int(step)] if isinstance(at, list) else at[step]
    last: Any = steps[-1]
    if isinstance(at, list) and last != "-":
        last = int(last)
    return at, last


def _get(whole: Any, path: str) -> Any:
    parent, last = _parent(whole, path)
    return parent[last]


def _add(whole: Any, path: str, value: Any) -> None:
    parent, last = _parent(whole, path)
    if isinstance(parent, list):
        index = len(parent) if last == "-" else last
        if not 0 <= index <= len(parent):
            raise IndexError(path)
        parent.insert(index, value)
    else:
        parent[last] = value


def _remove(whole: Any, path: str) -> None:
    parent, last = _parent(whole, path)
    del parent[last]


def strategic_patch(target: Obj, patch: Any, shape: SchemaNode) -> Obj:
    """The patch of kubectl: lists of a merge key are merged by it."""
    if not isinstance(patch, dict):
        raise bad_request("a strategic merge patch must be an object")
    return _strategic(target, patch, shape)


def _strategic(target: Obj, patch: Obj, shape: SchemaNode) -> Obj:
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    out = dict(target)
    keep = patch.get("$retainKeys")
    if keep is not None:
        out = {key: value for key, value in out.items() if key in keep}
    for key, value in patch.items():
        if key in ("$patch", "$retainKeys") or key.startswith("$setElementOrder/"):
            continue
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            out[name] = [each for each in out.get(name, []) if each not in value]
        elif value is None:
            out.pop(key, None)
        else:
            inner = shape.field(key) or ANY
            out[key] = _merged(out.get(key), value, inner)
    return out


def _merged(old: Any, new: Any, shape: SchemaNode) -> Any:
    if isinstance(new, dict):
        return _strategic(old if isinstance(old, dict) else {}, new, shape)
    if isinstance(new, list) and "merge" in shape.strategy:
        return _merged_list(old or [], new, shape)
    return new


def _merged_list(old: list[Any], new: list[Any], shape: SchemaNode) -> list[Any]:
    key = shape.merge_key
    if key is None:
        return [*old, *(each for each in new if each not in old)]
    if any(each.get("$patch") == "replace" for each in new):
        return [each for each in new if "$patch" not in each]
    out = list(old)
    for item in new:
        if key not in item:
            message = f"map: {item} does not contain declared merge key: {key}"
            raise StatusError(500, "InternalError", message)
        at = next((n for n, each in enumerate(out) if each.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            out = [each for each in out if each.get(key) != item[key]]
        elif at is None:
            out.append(_strategic({}, item, shape.items))
        else:
            out[at] = _strategic(out[at], item, shape.items)
    return out
