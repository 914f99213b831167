"""PURE. The traffic of a place as an HTTPRoute of the Gateway API, and what its status says."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from deployers.kubernetes.cluster import Manifest
from deployers.kubernetes.names import PLACE, ROLE, object_name, place_labels
from deployers.kubernetes.servers import ServingPlace, formed
from deployers.kubernetes.settings import PORT, GatewayParent, GatewaySettings

WHOLE: Final = 10_000
"""The sum of the weights, always: with sticky sessions, a change of one weight alone would move the
users of the other server."""
SPLIT: Final = "headgate.dev/split"
"""The annotation with the names of the servers that the backends stand for."""
WISH: Final = "headgate.dev/wish"
"""The annotation with the servers that shall run, and with what counts as an error."""
_GROUP: Final = "gateway.networking.k8s.io"


class Split(NamedTuple):
    """Which servers get traffic, by their names, and the canary's share."""

    stable: str | None = None
    canary: str | None = None
    weight: float = 0.0

    @property
    def servers(self) -> set[str]:
        """The servers that are named."""
        return {name for name in (self.stable, self.canary) if name is not None}


def route_name(at: ServingPlace) -> str:
    """The name of the place's HTTPRoute."""
    return object_name(at.owner, f"{at.place}-route")


def hostname_of(settings: GatewaySettings, place: str) -> str:
    """The host name that callers of the place use."""
    pipeline, _, environment = place.partition("/")
    words = {"pipeline": pipeline, "environment": environment}
    plain = {
        key: re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for key, word in words.items()
    }
    return settings.hostname.format(**plain)


class Wish(NamedTuple):
    """What is kept with a route, besides the split, for a controller that knows nothing else."""

    servers: tuple[str, ...] = ()
    """Those that shall run, with traffic or not yet."""
    errors: tuple[str, ...] = ()
    """What counts as an error."""


_NO_WISH: Final = Wish()


def http_route(
    at: ServingPlace, split: Split, settings: GatewaySettings, wish: Wish = _NO_WISH
) -> Manifest:
    """The HTTPRoute that splits the traffic so.

    A server without a share is no backend of it: some gateways keep a user's session there at a
    weight of 0. Without any it has a rule without a backend, which gateways answer with 500.
    """
    canary = round(split.weight * WHOLE)
    if split.weight > 0:
        canary = max(1, canary)
    shares = {split.stable: WHOLE - canary, split.canary: canary}
    backends = [
        {
            "group": "",
            "kind": "Service",
            "name": at.name(name),
            "port": PORT,
            "weight": share,
        }
        for name, share in shares.items()
        if name is not None and share
    ]
    said = {
        PLACE: at.place,
        SPLIT: json.dumps([split.stable, split.canary]),
        WISH: json.dumps(wish),
    }
    return formed(
        {
            "apiVersion": f"{_GROUP}/v1",
            "kind": "HTTPRoute",
            "metadata": {
                "name": route_name(at),
                "namespace": at.namespace,
                "labels": {**place_labels(at.owner, at.place), ROLE: "route"},
                "annotations": said,
            },
            "spec": {
                "parentRefs": [_reference(each) for each in settings.parents],
                "hostnames": [hostname_of(settings, at.place)],
                "rules": [
                    {
                        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                        "backendRefs": backends,
                    }
                ],
            },
        }
    )


def split_of(route: Manifest | None, at: ServingPlace) -> Split:
    """How a route splits the traffic, by the weights that it has now."""
    if route is None:
        return Split()
    text = (route["metadata"].get("annotations") or {}).get(SPLIT, "[null, null]")
    stable, canary = json.loads(text)
    rules = route["spec"].get("rules") or [{}]
    weights = {
        each["name"]: int(each.get("weight", 1))
        for rule in rules
        for each in rule.get("backendRefs") or ()
    }
    shares = {name: weights.get(at.name(name), 0) for name in (stable, canary) if name is not None}
    total = sum(weights.values())
    if not total:
        return Split()
    return Split(stable, canary, round(shares.get(canary, 0) / total, 6))


def wish_of(route: Manifest | None) -> Wish:
    """What is kept with a route."""
    annotations = route["metadata"].get("annotations") if route is not None else None
    servers, errors = json.loads((annotations or {}).get(WISH, "[[], []]"))
    return Wish(tuple(servers), tuple(errors))


def is_in_force(route: Manifest, settings: GatewaySettings) -> bool:
    """Whether every Gateway has accepted the route as it is now."""
    return all(
        _says(route, parent, "Accepted", "True")
        and _says(route, parent, "ResolvedRefs", "True")
        and not _says(route, parent, "PartiallyInvalid", "True")
        for parent in settings.parents
    )


def refusal_of(route: Manifest, settings: GatewaySettings) -> str:
    """What a Gateway has against the route as it is now; empty if nothing is known."""
    for parent in settings.parents:
        for kind, bad in (
            ("Accepted", "False"),
            ("ResolvedRefs", "False"),
            ("PartiallyInvalid", "True"),
        ):
            found = _says(route, parent, kind, bad)
            if found:
                name = route["metadata"]["name"]
                said = f"{found.get('reason', kind)}: {found.get('message', '')}".rstrip(": ")
                how = {
                    "Accepted": "is not accepted",
                    "ResolvedRefs": "has backends that do not resolve",
                }
                what = how.get(kind, "is valid in part only")
                return f"the HTTPRoute {name} {what} at the Gateway {parent.shown}: {said}"
    return ""


def _says(
    route: Manifest, parent: GatewayParent, kind: str, status: str
) -> Mapping[str, Any] | None:
    """The condition, if it is so for the route's present generation."""
    generation = route["metadata"].get("generation")
    parents: Sequence[Mapping[str, Any]] = route.get("status", {}).get("parents", ())
    for each in parents:
        if not _is_same(each.get("parentRef", {}), parent, route["metadata"]["namespace"]):
            continue
        for condition in each.get("conditions", ()):
            current = condition.get("observedGeneration") == generation
            if current and (condition["type"], condition["status"]) == (kind, status):
                return dict(condition)
    return None


def _is_same(reference: Mapping[str, Any], parent: GatewayParent, namespace: str) -> bool:
    return (
        reference.get("name") == parent.name
        and reference.get("namespace", namespace) == (parent.namespace or namespace)
        and reference.get("sectionName") == parent.section
    )


def _reference(parent: GatewayParent) -> Manifest:
    found = {"group": _GROUP, "kind": "Gateway", "name": parent.name}
    if parent.namespace is not None:
        found["namespace"] = parent.namespace
    if parent.section is not None:
        found["sectionName"] = parent.section
    return found
