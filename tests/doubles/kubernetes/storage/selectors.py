"""Label selectors and field selectors."""

import re
from collections.abc import Callable
from typing import Any

from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import Obj, dig
from tests.doubles.kubernetes.base.refusals import bad_request
from tests.doubles.kubernetes.validation.names import key_errors, value_errors

Match = Callable[[Obj], bool]

_SET = re.compile(r"(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)")
_EQUAL = re.compile(r"(?P<key>[^\s!=,()]+)\s*(?P<op>==|!=|=)\s*(?P<value>[^\s,()!=]*)")
_EXISTS = re.compile(r"(?P<not>!?)\s*(?P<key>[^\s!=,()]+)")

_FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    "Pod": {
        "spec.nodeName": ("spec", "nodeName"),
        "spec.restartPolicy": ("spec", "restartPolicy"),
        "spec.schedulerName": ("spec", "schedulerName"),
        "spec.serviceAccountName": ("spec", "serviceAccountName"),
        "status.phase": ("status", "phase"),
        "status.podIP": ("status", "podIP"),
        "status.nominatedNodeName": ("status", "nominatedNodeName"),
    },
    "Event": {
        **{
            f"involvedObject.{name}": ("involvedObject", name)
            for name in ("kind", "namespace", "name", "uid", "apiVersion", "fieldPath")
        },
        "reason": ("reason",),
        "reportingComponent": ("reportingComponent",),
        "source": ("source", "component"),
        "type": ("type",),
    },
    "Job": {"status.successful": ("status", "succeeded")},
    "Secret": {"type": ("type",)},
    "Namespace": {"status.phase": ("status", "phase")},
    "Node": {"spec.unschedulable": ("spec", "unschedulable")},
    "ReplicaSet": {"status.replicas": ("status", "replicas")},
}


def _unparsable(text: str) -> Exception:
    return bad_request(f'unable to parse requirement: invalid label selector: "{text}"')


def _terms(text: str) -> list[str]:
    """The parts of a selector between the commas outside parentheses."""
    return [each.strip() for each in re.split(r",(?![^()]*\))", text) if each.strip()]


def label_match(text: str) -> Match:
    """Whether an object's labels fit the selector; 400 if it is none."""
    wanted = [_term(each) for each in _terms(text)]

    def fits(obj: Obj) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(term(labels) for term in wanted)

    return fits


def _term(text: str) -> Callable[[Obj], bool]:
    found = _SET.fullmatch(text) or _EQUAL.fullmatch(text) or _EXISTS.fullmatch(text)
    if not found:
        raise _unparsable(text)
    parts = found.groupdict()
    key = parts["key"]
    values = [each.strip() for each in parts.get("values", parts.get("value") or "").split(",")]
    problem = next(key_errors("key", key), None)
    problem = problem or next((e for v in values for e in value_errors("values", v)), None)
    if problem:
        raise bad_request(f"unable to parse requirement: {problem.field}: {problem.message}")
    if "op" not in parts:
        return (
            (lambda labels: key not in labels) if parts["not"] else (lambda labels: key in labels)
        )
    if parts["op"] in ("in", "=", "=="):
        return lambda labels: key in labels and labels[key] in values
    return lambda labels: labels.get(key) not in values


def selector_match(selector: Obj | None) -> Match:
    """Whether an object's labels fit a selector as objects carry it; nothing fits None."""
    if selector is None:
        return lambda _: False
    equal = selector.get("matchLabels", {})
    rules = selector.get("matchExpressions", ())

    def fits(obj: Obj) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(labels.get(k) == v for k, v in equal.items()) and all(
            _rule(rule, labels) for rule in rules
        )

    return fits


def _rule(rule: Obj, labels: Obj) -> bool:
    key, values = rule["key"], rule.get("values", ())
    match rule["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def field_match(kind: Kind, text: str) -> Match:
    """Whether an object fits the field selector; 400 for a field that cannot be selected by."""
    wanted: list[tuple[tuple[str, ...], bool, str]] = []
    for term in _terms(text):
        found = re.fullmatch(r"([^!=]+?)(==|!=|=)(.*)", term)
        if not found:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        name, sign, value = found.groups()
        paths = {
            "metadata.name": ("metadata", "name"),
            "metadata.namespace": ("metadata", "namespace"),
            **({} if kind.custom else _FIELDS.get(kind.name, {})),
        }
        if name not in paths:
            raise bad_request(f"field label not supported: {name}")
        wanted.append((paths[name], sign != "!=", value))

    def fits(obj: Obj) -> bool:
        return all((_said(dig(obj, *path)) == value) == same for path, same, value in wanted)

    return fits


def _said(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
