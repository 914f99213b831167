"""PURE. An InferenceService as a manifest, in either of KServe's modes.

KServe copies the labels and annotations of the InferenceService to its pods. So these never change:
each change would restart the pods, or make another revision.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from deployers.kubernetes.cluster import Manifest
from deployers.kubernetes.names import SERVER
from deployers.kubernetes.settings import KServeMode
from specs.failures import NeedsHuman

MODE: Final = "serving.kserve.io/deploymentMode"
_SCALER: Final = "serving.kserve.io/autoscalerClass"
_TAGS: Final = "serving.kserve.io/enable-tag-routing"
"""Gives each revision an address of its own, for smoke requests."""
REPLICAS: Final = "headgate.dev/replicas"
"""The annotation with how many pods a server should have."""
SERVICE: Final = "serving.kserve.io/inferenceservice"
"""KServe's label of all that it makes of an InferenceService."""
CONTAINER: Final = "kserve-container"
"""The container that KServe takes for the server."""
_APPLIED: Final = "spec.json"
_NAMED: Final = ("name", "mountPath", "containerPort")
"""Keys that tell the elements of a list of the API apart. Others may have elements in it, too."""


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A server, as a predictor."""

    server: str
    """The name of the server."""
    name: str
    replicas: int
    body: Manifest
    """What is in it besides its name, its share and its number of pods."""

    @property
    def model(self) -> str | None:
        """The address of its model; None for a container of its own."""
        found = self.body.get("model", {}).get("storageUri")
        return str(found) if found else None

    def whole(self, **more: Any) -> Manifest:
        """As it is written to the cluster."""
        said = {SERVER: self.server, REPLICAS: str(self.replicas)}
        annotations = {**self.body.get("annotations", {}), **said}
        return {**self.body, **more, "annotations": annotations}


@dataclass(frozen=True, kw_only=True)
class Arms:
    """What an InferenceService should serve."""

    stable: Predictor
    canary: Predictor | None = None
    percent: int = 0
    """The canary's share of the traffic."""


def percent_of(weight: float) -> int:
    """The weight as KServe takes it. Raises NeedsHuman for one that it cannot have."""
    whole = round(weight * 100)
    if abs(weight * 100 - whole) > 1e-6:
        raise NeedsHuman(
            f"KServe splits traffic by whole percents, and {weight * 100:g}% is none: correct "
            "`release.production.canary.steps`"
        )
    return whole


def inference_service(
    name: str, namespace: str, mode: KServeMode, labels: Mapping[str, str], spec: Manifest
) -> Manifest:
    """The InferenceService."""
    annotations: dict[str, str] = {MODE: mode}
    if mode == "Standard":
        annotations[_SCALER] = "none"
    else:
        annotations[_TAGS] = "true"
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict(labels),
            "annotations": annotations,
        },
        "spec": spec,
    }


def record(name: str, namespace: str, labels: Mapping[str, str], spec: Manifest) -> Manifest:
    """The ConfigMap that keeps what was applied, to notice what others change."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "data": {_APPLIED: json.dumps(spec, sort_keys=True)},
    }


def recorded(found: Manifest | None) -> Manifest | None:
    """What a record keeps; None if there is none that can be read."""
    try:
        return dict(json.loads((found or {})["data"][_APPLIED]))
    except (KeyError, TypeError, ValueError):
        return None


def is_kept(applied: Any, live: Any) -> bool:
    """Whether the live value is still as it was applied. Defaults that were filled in, and named
    elements that others added, do not count."""
    if isinstance(applied, Mapping):
        return isinstance(live, Mapping) and all(
            is_kept(value, live.get(key)) for key, value in applied.items()
        )
    if isinstance(applied, list):
        if not isinstance(live, list):
            return not applied and live is None
        key = _key_of(applied)
        if key is None:
            return len(applied) == len(live) and all(map(is_kept, applied, live))
        found = {each.get(key): each for each in live if isinstance(each, Mapping)}
        return all(is_kept(each, found.get(each[key])) for each in applied)
    return bool(applied == live)


def _key_of(elements: list[Any]) -> str | None:
    """The key that tells these elements apart; None if they are a list as a whole."""
    for key in _NAMED:
        if elements and all(isinstance(each, Mapping) and key in each for each in elements):
            return key
    return None


def server_of(predictor: Mapping[str, Any]) -> str | None:
    """The server that a predictor, or what KServe made of it, is of."""
    said = (predictor.get("annotations") or {}).get(SERVER)
    return str(said) if said else None
