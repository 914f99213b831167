"""The published schemas of Kubernetes 1.37, and those of CustomResourceDefinitions, as one tree.

The built-in kinds' are those that the package kubernetes-validate carries, in their strict form.
"""

import importlib.resources
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import Obj

VERSION = "1.37.0"
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_SCALARS = frozenset({"string", "integer", "number", "boolean"})


@cache
def definitions() -> dict[str, Obj]:
    """The published definitions by their full names."""
    folder = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema"
    text = (folder / f"v{VERSION}-local-strict" / "_definitions.json").read_text()
    found: dict[str, Obj] = json.loads(text)["$defs"]
    return found


@cache
def _names() -> dict[tuple[str, str, str], str]:
    """The definitions' names by group, version and kind."""
    return {
        (each["group"], each["version"], each["kind"]): name
        for name, node in definitions().items()
        for each in node.get("x-kubernetes-group-version-kind", ())
        if len(node["x-kubernetes-group-version-kind"]) == 1
    }


class SchemaNode:
    """The schema of one value: what it holds, and how changes to it are merged."""

    def __init__(self, node: Mapping[str, Any], beside: Mapping[str, Any] | None = None) -> None:
        """`beside` is what a reference to the schema says in its own place."""
        while isinstance(node.get("$ref"), str):
            beside = {**node, **(beside or {})}
            node = definitions()[node["$ref"].rpartition("/")[2]]
        self.node = node
        merged = {**node, **(beside or {})}
        types = node.get("type", ())
        self.types = {types} if isinstance(types, str) else set(types)
        self.types.discard("null")
        self.list_type: str = merged.get("x-kubernetes-list-type", "atomic")
        self.keys: list[str] = merged.get("x-kubernetes-list-map-keys", [])
        self.atomic: bool = merged.get("x-kubernetes-map-type") == "atomic"
        self.preserves: bool = bool(node.get("x-kubernetes-preserve-unknown-fields"))
        self.merge_key: str | None = merged.get("x-kubernetes-patch-merge-key")
        self.strategy: str = merged.get("x-kubernetes-patch-strategy", "")
        self.default: Any = merged.get("default")
        self.properties: Mapping[str, Any] = node.get("properties", {})
        self._fields: dict[str, SchemaNode | None] = {}

    @property
    def any(self) -> bool:
        """Whether nothing is said of what it holds."""
        return (self.preserves and not self.properties) or not (self.types or "oneOf" in self.node)

    @property
    def free(self) -> bool:
        """Whether it is an object of any keys, as labels are."""
        return "object" in self.types and not self.properties

    @property
    def scalar(self) -> bool:
        return "oneOf" in self.node or bool(self.types & _SCALARS)

    def declares(self, name: str) -> bool:
        return name in self.properties

    def field(self, name: str) -> "SchemaNode | None":
        """The schema of a field; None if it may not be there."""
        if name not in self._fields:
            self._fields[name] = self._find(name)
        return self._fields[name]

    def _find(self, name: str) -> "SchemaNode | None":
        if name in self.properties:
            return SchemaNode(self.properties[name])
        additional = self.node.get("additionalProperties")
        if isinstance(additional, dict) and additional:
            return SchemaNode(additional)
        if self.preserves or additional is True or additional == {} or self.free:
            return ANY
        return None

    @property
    def items(self) -> "SchemaNode":
        if "" not in self._fields:
            self._fields[""] = SchemaNode(self.node.get("items") or ANY.node)
        return self._fields[""] or ANY


ANY = SchemaNode({"x-kubernetes-preserve-unknown-fields": True})
"""Of a value that no schema describes."""


class Schemas:
    """The schemas of all kinds that are served."""

    def __init__(self) -> None:
        self._custom: dict[Kind, Obj] = {}
        self._shapes: dict[Kind, SchemaNode] = {}
        self._validators: dict[Kind, Any] = {}

    def define(self, kind: Kind, schema: Obj) -> None:
        """Add the schema that a CustomResourceDefinition gives."""
        fields = {
            **schema.get("properties", {}),
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"$ref": f"#/$defs/{META}"},
        }
        self._custom[kind] = {**schema, "type": "object", "properties": fields}
        self._shapes.pop(kind, None)
        self._validators.pop(kind, None)

    def shape(self, kind: Kind) -> SchemaNode:
        if kind not in self._shapes:
            self._shapes[kind] = SchemaNode(self._node(kind))
        return self._shapes[kind]

    def validator(self, kind: Kind) -> Any:
        """A validator of JSON Schema with everything that the kind's schema refers to."""
        if kind not in self._validators:
            import jsonschema_rs

            node = self._node(kind)
            needed: dict[str, Obj] = {}
            _collect(node, needed)
            self._validators[kind] = jsonschema_rs.validator_for(
                {**_plain(node), "$defs": {name: _plain(each) for name, each in needed.items()}}
            )
        return self._validators[kind]

    def _node(self, kind: Kind) -> Obj:
        if kind.custom:
            return self._custom[kind]
        return definitions()[_names()[kind.group, kind.version, kind.name]]


def _collect(node: Any, into: dict[str, Obj]) -> None:
    if isinstance(node, dict):
        reference = node.get("$ref")  # which is also the name of a property
        name = reference.rpartition("/")[2] if isinstance(reference, str) else ""
        if name and name not in into:
            into[name] = definitions()[name]
            _collect(into[name], into)
        for each in node.values():
            _collect(each, into)
    elif isinstance(node, list):
        for each in node:
            _collect(each, into)


def _plain(node: Any) -> Any:
    """The node in JSON Schema's own words: OpenAPI's `nullable` and either-or types said so."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    out = {
        key: _plain(value)
        for key, value in node.items()
        if key not in ("description", "default", "format") or isinstance(value, dict)
    }
    if node.get("x-kubernetes-int-or-string") and "oneOf" not in node:
        out.pop("type", None)
    if node.get("nullable") is True and isinstance(node.get("type"), str):
        out["type"] = [node["type"], "null"]
    return out
