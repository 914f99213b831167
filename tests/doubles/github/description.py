"""Validates requests and responses against GitHub's own description of its API."""

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any
from urllib.parse import unquote

from jsonschema_rs import Draft202012Validator

from tests.doubles.github.fetch_schema import DESCRIPTION, EXAMPLES

Schema = dict[str, Any]
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
# What GitHub keeps of the formats it names: an address that is not set is "" in its answers.
_FORMATS: dict[str, Callable[[str], bool]] = {
    "date-time": lambda text: _DATE_TIME.fullmatch(text) is not None,
    "uri": lambda text: not text or _URI.fullmatch(text) is not None,
    "email": lambda _: True,  # noreply addresses of bots fit no grammar
}
# A path parameter that may hold slashes; the description does not mark all of them.
_MANY_SEGMENTS = {"path", "ref", "branch", "basehead"}


@dataclass(frozen=True)
class Operation:
    """One method of one path template, for example ``GET /repos/{owner}/{repo}``."""

    method: str
    template: str
    pattern: re.Pattern[str]

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"

    @property
    def spec(self) -> Schema:
        spec: Schema = _whole()["paths"][self.template][self.method.lower()]
        return spec


def find(method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
    """The operation a request means, with its path parameters; None if the cut does not hold it."""
    for operation in _operations():
        if operation.method == method and (match := operation.pattern.fullmatch(path)):
            return operation, {k: unquote(v) for k, v in match.groupdict().items()}
    return None


def query_of(operation: Operation, given: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Query parameters with their types and defaults, and what is wrong with those given."""
    values: dict[str, Any] = {}
    known = {p["name"]: p["schema"] for p in _parameters(operation, "query")}
    wrong = [
        f"query parameter {name} is not known to {operation.name}"
        for name in given.keys() - known.keys()
    ]
    for name, schema in known.items():
        if name not in given:
            values[name] = schema.get("default")
            continue
        try:
            values[name] = _typed(given[name], schema)
        except ValueError:
            wrong.append(f"query parameter {name}: {given[name]!r} is no {schema.get('type')}")
            continue
        wrong += [
            f"query parameter {name}: {fault}" for fault in _faults(_plain(schema), values[name])
        ]
    return values, wrong


def path_parameters(operation: Operation, given: dict[str, str]) -> dict[str, Any]:
    """Path parameters with their types; raises ValueError for a number that is none."""
    known = {p["name"]: p["schema"] for p in _parameters(operation, "path")}
    return {name: _typed(value, known[name]) for name, value in given.items()}


def request_faults(operation: Operation, body: Any) -> list[str]:
    """What GitHub would reject in a request's body, including unknown keys."""
    spec = operation.spec.get("requestBody")
    if spec is None:
        return [] if body is None else [f"{operation.name} takes no body"]
    if body is None:
        return ["a body is required"] if spec.get("required") else []
    return _faults(_request_schema(operation.name), body)


def response_faults(operation: Operation, status: int, body: Any) -> list[str]:
    """How a response differs from what the description says for this status."""
    spec = operation.spec["responses"].get(str(status))
    if spec is None and status < 400:
        return [f"{operation.name} is not said to answer {status}"]
    schema = _response_schema(operation.name, status)
    if schema is None:
        return [] if body is None else [f"{operation.name} answers {status} without a body"]
    if schema.get("type") == "array" and isinstance(body, list) and body:
        # The items say it all, and a long list would otherwise repeat their place in every message.
        return [fault for item in body for fault in _faults(schema["items"], item)]
    return _faults(schema, body)


def webhook_faults(event: str, payload: dict[str, Any]) -> list[str]:
    """How a payload differs from what GitHub says it sends; an unknown event is a fault."""
    action = payload.get("action")
    name = event.replace("_", "-") + (f"-{action.replace('_', '-')}" if action else "")
    if name not in _whole()["x-webhooks"]:
        return [f"no webhook {name} is described"]
    return _faults(_webhook_schema(name), payload)


@cache
def webhook_examples() -> tuple[tuple[str, dict[str, Any]], ...]:
    """All example payloads that GitHub publishes, as (event, payload)."""
    events = json.loads(gzip.decompress(EXAMPLES.read_bytes()))
    return tuple((event["name"], example) for event in events for example in event["examples"])


@cache
def _whole() -> Schema:
    whole: Schema = json.loads(DESCRIPTION.read_text())
    return whole


@cache
def _operations() -> tuple[Operation, ...]:
    found = [
        Operation(method.upper(), template, _pattern(template))
        for template, methods in _whole()["paths"].items()
        for method in methods
    ]
    # Literal paths before templates, long before short: a branch's name must not swallow a suffix.
    return tuple(sorted(found, key=lambda o: (o.template.count("{"), -len(o.template))))


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile(
        "".join(
            (
                f"(?P<{part}>{'.*' if part in _MANY_SEGMENTS else '[^/]+'})"
                if odd
                else re.escape(part)
            )
            for part, odd in zip(parts, [False, True] * len(parts), strict=False)
        )
    )


def _parameters(operation: Operation, place: str) -> list[Schema]:
    found = [_resolved(p) for p in operation.spec.get("parameters", [])]
    return [p for p in found if p["in"] == place]


def _typed(text: str, schema: Schema) -> Any:
    if schema.get("type") == "integer":
        return int(text)
    if schema.get("type") == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    return text


@cache
def _request_schema(name: str) -> Schema:
    method, template = name.split(" ")
    body = _resolved(_whole()["paths"][template][method.lower()]["requestBody"])
    closed: Schema = _closed(_plain(body["content"]["application/json"]["schema"]))
    return closed


@cache
def _response_schema(name: str, status: int) -> Schema | None:
    method, template = name.split(" ")
    spec = _whole()["paths"][template][method.lower()]["responses"].get(str(status))
    content = _resolved(spec).get("content", {}) if spec is not None else {}
    # An error that the operation does not list, such as 401, or says nothing more of, such as that
    # somebody is in no team: the common form.
    if spec is None or (status >= 400 and not content):
        return _plain_schema({"$ref": "#/components/schemas/basic-error"})
    return (
        _plain_schema(content["application/json"]["schema"])
        if "application/json" in content
        else None
    )


@cache
def _webhook_schema(name: str) -> Schema:
    body = _whole()["x-webhooks"][name]["post"]["requestBody"]
    return _plain_schema(body["content"]["application/json"]["schema"])


def _resolved(node: Schema) -> Schema:
    return _component(node["$ref"]) if "$ref" in node else node


def _component(reference: str) -> Schema:
    _, _, kind, name = reference.split("/")
    component: Schema = _whole()["components"][kind][name]
    return component


@cache
def _plain_component(reference: str) -> Schema:
    return _plain_schema(_component(reference))


def _plain_schema(schema: Schema) -> Schema:
    plain: Schema = _plain(schema)
    return plain


def _plain(node: Any, names: bool = False) -> Any:
    """OpenAPI 3.0's dialect as JSON Schema: references inlined, `nullable` said with a type."""
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if not isinstance(node, dict):
        return node
    if not names and isinstance(node.get("$ref"), str):
        return _plain_component(node["$ref"])
    plain = {
        key: _plain(value, key == "properties" and not names) if key != "enum" else value
        for key, value in node.items()
        if names or key not in {"nullable", "discriminator", "default"}
    }
    if names or not node.get("nullable"):
        return plain
    if isinstance(plain.get("type"), str):
        plain["type"] = [plain["type"], "null"]
        if "enum" in plain:
            plain["enum"] = [*plain["enum"], None]
        return plain
    return {"anyOf": [plain, {"type": "null"}]}


def _closed(node: Any, names: bool = False) -> Any:
    """The schema, refusing keys that it does not name wherever it does not say otherwise."""
    if isinstance(node, list):
        return [_closed(value) for value in node]
    if not isinstance(node, dict):
        return node
    closed = {k: _closed(v, k == "properties" and not names) for k, v in node.items()}
    if not names and node.get("properties"):
        closed.setdefault("additionalProperties", False)
    return closed


_validators: dict[int, tuple[Draft202012Validator, Schema]] = {}


def _faults(schema: Schema, value: Any) -> list[str]:
    found = _validators.get(id(schema))
    if found is None:
        validator = Draft202012Validator(schema, validate_formats=True, formats=_FORMATS)
        # The schema is kept beside its validator, so that its id stays its own.
        found = _validators[id(schema)] = (validator, schema)
    return [
        f"{'.'.join(str(part) for part in error.instance_path) or 'body'}: {error.message[-200:]}"
        for error in islice(found[0].iter_errors(value), 20)
    ]
