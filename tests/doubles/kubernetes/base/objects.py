"""Objects of the API as plain values."""

import hashlib
from typing import Any

from pydantic_core import from_json, to_json

Obj = dict[str, Any]


def copied(value: Any) -> Any:
    """A deep copy of a JSON value."""
    return from_json(to_json(value))


def dig(value: Any, *path: str | int, default: Any = None) -> Any:
    """What is found along a path of keys and indices; the default where nothing is."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return default
    return default if value is None else value


def owner_of(obj: Obj) -> Obj | None:
    """The reference to the controller that owns the object."""
    refs = dig(obj, "metadata", "ownerReferences", default=[])
    return next((ref for ref in refs if ref.get("controller")), None)


def owner_reference(owner: Obj) -> Obj:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition(obj: Obj, type_: str) -> Obj | None:
    found = dig(obj, "status", "conditions", default=[])
    return next((one for one in found if one["type"] == type_), None)


def is_true(obj: Obj, type_: str) -> bool:
    found = condition(obj, type_)
    return found is not None and found["status"] == "True"


def set_condition(conditions: list[Obj], now: str, new: Obj) -> bool:
    """Put a condition in place of that of its type; its time is kept while its status is.

    Whether anything changed.
    """
    for index, old in enumerate(conditions):
        if old["type"] == new["type"]:
            when = old["lastTransitionTime"] if old["status"] == new["status"] else now
            whole = {**old, **new, "lastTransitionTime": when}
            changed = whole != old
            conditions[index] = whole
            return changed
    conditions.append({"lastTransitionTime": now, **new})
    return True


def short_hash(value: Any, length: int = 10) -> str:
    """A name's suffix made of a value, in the letters that Kubernetes uses."""
    number = int.from_bytes(hashlib.sha256(to_json(value)).digest()[:12], "big")
    letters = "bcdfghjklmnpqrstvwxz2456789"
    out = ""
    while len(out) < length:
        number, rest = divmod(number, len(letters))
        out += letters[rest]
    return out
