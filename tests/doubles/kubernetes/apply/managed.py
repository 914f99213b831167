"""Who manages which fields: server-side apply, and what plain writes do to it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.doubles.kubernetes.apply.fields import (
    Fields,
    Path,
    as_text,
    changed,
    children,
    fields_of,
    is_granular,
    item_step,
    read,
    written,
)
from tests.doubles.kubernetes.base.objects import Obj
from tests.doubles.kubernetes.base.refusals import StatusError
from tests.doubles.kubernetes.validation.schemas import ANY, SchemaNode

_BEFORE = "before-first-apply"
"""Who manages what was there when nobody kept account."""


class _Manager(NamedTuple):
    """Who wrote: by name, by apply or update, in which version and subresource."""

    name: str
    operation: str
    api_version: str
    subresource: str

    def said(self, time: str) -> str:
        if self.operation == "Apply":
            return f'"{self.name}"'
        part = f' with subresource "{self.subresource}"' if self.subresource else ""
        return f'"{self.name}"{part} using {self.api_version} at {time}'


class _Entry(NamedTuple):
    fields: Fields
    time: str


_Entries = dict[_Manager, _Entry]


@dataclass(frozen=True)
class FieldWriter:
    """A request's writer."""

    manager: str
    api_version: str
    now: str
    subresource: str = ""
    force: bool = False


def _entries(obj: Obj, shape: SchemaNode) -> _Entries:
    out: _Entries = {}
    for each in obj["metadata"].get("managedFields", ()):
        key = _Manager(
            each.get("manager", ""),
            each.get("operation", "Update"),
            each.get("apiVersion", ""),
            each.get("subresource", ""),
        )
        fields = _reconciled(read(each.get("fieldsV1", {})), obj, shape)
        out[key] = _Entry(frozenset(fields), each.get("time", ""))
    return out


def _reconciled(fields: set[Path], obj: Obj, shape: SchemaNode) -> set[Path]:
    """The set, where who manages a whole that has parts, and none of these, manages them all.

    The server takes such a set for one of the time when the schema had the whole as one value.
    """
    parents = {path[:-1] for path in fields}
    found = set(fields)
    for path in fields - parents:
        value, node = _at(obj, shape, path)
        if isinstance(value, (dict, list)) and value and is_granular(value, node):
            found |= fields_of(value, node, path)
    return found


def _at(value: Any, shape: SchemaNode, path: Path) -> tuple[Any, SchemaNode]:
    """The value at a path, and its schema; None where there is nothing."""
    for wanted in path:
        if not isinstance(value, (dict, list)) or not is_granular(value, shape):
            return None, ANY
        parts = {step: (each, inner) for step, each, inner, _ in children(value, shape)}
        value, shape = parts.get(wanted, (None, ANY))
    return value, shape


def _record(obj: Obj, entries: _Entries) -> None:
    found = []
    for key, entry in sorted(entries.items(), key=lambda each: (each[0].operation, each[1].time)):
        if not entry.fields:
            continue
        said = {
            "manager": key.name,
            "operation": key.operation,
            "apiVersion": key.api_version,
            "time": entry.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": written(entry.fields),
        }
        found.append({**said, "subresource": key.subresource} if key.subresource else said)
    obj["metadata"].pop("managedFields", None)
    if found:
        obj["metadata"]["managedFields"] = found


def note_update(old: Obj | None, new: Obj, shape: SchemaNode, writer: FieldWriter) -> None:
    """Write into the new object who manages what, after a create, an update or a patch.

    A client that sends an empty list resets it.
    """
    reset = new["metadata"].get("managedFields") == [] and old is not None
    entries = {} if reset or old is None else _entries(old, shape)
    if old is not None and not reset and not entries:
        _record(new, entries)  # of what nobody manages, only an apply begins to keep account
        return
    put, gone = changed(old or {"metadata": {}}, new, shape)
    if reset and not put:
        _record(new, entries)
        return
    key = _Manager(writer.manager, "Update", writer.api_version, writer.subresource)
    taken = {
        who: entry._replace(fields=entry.fields - put - gone)
        for who, entry in entries.items()
        if who != key
    }
    mine = entries.get(key, _Entry(frozenset(), ""))
    fields = (mine.fields - gone) | put
    taken[key] = _Entry(fields, writer.now if fields != mine.fields or put else mine.time)
    _record(new, taken)


def apply(live: Obj | None, config: Obj, shape: SchemaNode, writer: FieldWriter) -> Obj:
    """The object after a server-side apply; a conflict is refused unless it is forced."""
    if config["metadata"].get("managedFields"):
        raise StatusError(400, "BadRequest", "metadata.managedFields must be nil")
    base: Obj = live or {"metadata": {}}
    entries = _entries(base, shape)
    if live is not None and not entries:
        before = _Manager(_BEFORE, "Update", writer.api_version, "")
        entries[before] = _Entry(frozenset(changed({"metadata": {}}, live, shape)[0]), writer.now)
    key = _Manager(writer.manager, "Apply", writer.api_version, writer.subresource)
    last = entries.get(key, _Entry(frozenset(), ""))
    fields = frozenset(fields_of(config, shape))
    merged: Obj = _merged(base, config, shape)
    put, _ = changed(base, merged, shape)
    others = {who: entry for who, entry in entries.items() if who != key}
    conflicts = [
        (who, entry.time, path)
        for who, entry in others.items()
        for path in sorted(entry.fields & put & fields)
    ]
    if conflicts and not writer.force:
        raise _refusal(conflicts)
    others = {who: entry._replace(fields=entry.fields - put) for who, entry in others.items()}
    held = fields.union(*(entry.fields for entry in others.values()))
    merged = _pruned(merged, shape, last.fields - held, held)
    _, gone = changed(base, merged, shape)
    others = {who: entry._replace(fields=entry.fields - gone) for who, entry in others.items()}
    entries = {**others, key: _Entry(fields, writer.now if fields != last.fields else last.time)}
    if put:
        entries[key] = entries[key]._replace(time=writer.now)
    _record(merged, entries)
    return merged


def _refusal(conflicts: list[tuple[_Manager, str, Path]]) -> StatusError:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {who.said(time)}",
            "field": as_text(path),
        }
        for who, time, path in conflicts
    ]
    if len(conflicts) == 1:
        who, time, path = conflicts[0]
        said = f"Apply failed with 1 conflict: conflict with {who.said(time)}: {as_text(path)}"
    else:
        lines: list[str] = []
        for manager in dict.fromkeys((who, time) for who, time, _ in conflicts):
            lines.append(f"conflicts with {manager[0].said(manager[1])}:")
            lines += [f"- {as_text(p)}" for who, time, p in conflicts if (who, time) == manager]
        said = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)
    return StatusError(409, "Conflict", said, {"causes": causes})


def _merged(live: Any, config: Any, shape: SchemaNode) -> Any:
    if isinstance(config, dict) and isinstance(live, dict) and is_granular(config, shape):
        out = dict(live)
        for key, value in config.items():
            inner = shape.field(key) or ANY
            out[key] = _merged(live[key], value, inner) if key in live else value
        return out
    if isinstance(config, list) and isinstance(live, list) and is_granular(config, shape):
        mine = {item_step(each, shape): each for each in config}
        old = {item_step(each, shape): each for each in live}
        both = {
            step: _merged(old[step], each, shape.items) if step in old else each
            for step, each in mine.items()
        }
        kept = [both.pop(step, each) if step in both else each for step, each in old.items()]
        return [*kept, *both.values()]
    return config


def _pruned(value: Any, shape: SchemaNode, drop: Fields, held: Fields, at: Path = ()) -> Any:
    """The value without what only this manager's last configuration held."""
    if not is_granular(value, shape):
        return value
    kept: list[tuple[str, Any]] = []
    for step, each, inner, _ in children(value, shape):
        path = (*at, step)
        beneath = any(one[: len(path)] == path for one in held)
        item = not step.startswith("f:")  # whose parts do not hold it without its key
        if path in drop and (item or not beneath):
            continue
        rest = _pruned(each, inner, drop, held, path)
        emptied = rest != each and not rest and isinstance(rest, (dict, list))
        if emptied and (isinstance(each, list) or inner.free):
            continue  # as built-in kinds leave empty ones out
        if emptied and not beneath and any(one[: len(path)] == path for one in drop):
            continue
        kept.append((step, rest))
    if isinstance(value, dict):
        return {step[2:]: each for step, each in kept}
    return [each for _, each in kept]
