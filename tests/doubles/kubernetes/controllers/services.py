"""Endpoints of Services: which pods are ready to serve."""

from collections.abc import Iterable
from typing import Any

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.base.objects import Obj, dig, is_true, owner_reference, short_hash
from tests.doubles.kubernetes.base.refusals import StatusError
from tests.doubles.kubernetes.controllers.manager import Key
from tests.doubles.kubernetes.storage.selectors import selector_match
from tests.doubles.kubernetes.storage.store import ObjectChange

SERVICE = "kubernetes.io/service-name"


class EndpointController:
    """Writes the Endpoints and the EndpointSlice of each Service that selects pods."""

    def __init__(self, verbs: Any) -> None:
        self._actor = Actor(verbs, "endpointslice-controller")

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name == "Service":
            yield change.address
        elif change.kind.name == "Pod":
            for service in self._actor.all("Service", change.address.namespace):
                selector = dig(service, "spec", "selector")
                fits = selector_match({"matchLabels": selector}) if selector else None
                if fits and (fits(change.last) or (change.before and fits(change.before))):
                    yield (change.address.namespace, service["metadata"]["name"])

    def sync(self, key: Key) -> float | None:
        service = self._actor.get("Service", *key)
        if service is None or not dig(service, "spec", "selector"):
            return None
        fits = selector_match({"matchLabels": service["spec"]["selector"]})
        pods = [
            pod
            for pod in self._actor.all("Pod", key[0])
            if fits(pod)
            and dig(pod, "status", "podIP")
            and dig(pod, "status", "phase") not in ("Succeeded", "Failed")
        ]
        ports = [
            {
                **({"name": port["name"]} if port.get("name") else {}),
                "port": _number(port, pods),
                "protocol": port["protocol"],
            }
            for port in service["spec"].get("ports", ())
        ]
        self._write_slice(service, pods, ports)
        self._write_endpoints(service, pods, ports)
        return None

    def _write_slice(self, service: Obj, pods: list[Obj], ports: list[Obj]) -> None:
        endpoints = []
        for pod in pods:
            leaving = bool(pod["metadata"].get("deletionTimestamp"))
            ready = is_true(pod, "Ready")
            endpoints.append(
                {
                    "addresses": [pod["status"]["podIP"]],
                    "conditions": {
                        "ready": ready and not leaving,
                        "serving": ready,
                        "terminating": leaving,
                    },
                    "nodeName": pod["spec"]["nodeName"],
                    "targetRef": _reference(pod),
                }
            )
        meta = service["metadata"]
        name = f"{meta['name']}-{short_hash(meta['uid'], 5)}"
        body = {
            "metadata": {
                "name": name,
                "labels": {
                    SERVICE: meta["name"],
                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                },
                "ownerReferences": [owner_reference(service)],
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": "", **port} for port in ports],
        }
        self._put("EndpointSlice", meta["namespace"], body, ("endpoints", "ports"))

    def _write_endpoints(self, service: Obj, pods: list[Obj], ports: list[Obj]) -> None:
        found: dict[str, list[Obj]] = {"addresses": [], "notReadyAddresses": []}
        for pod in pods:
            ready = is_true(pod, "Ready") and not pod["metadata"].get("deletionTimestamp")
            found["addresses" if ready else "notReadyAddresses"].append(
                {"ip": pod["status"]["podIP"], "targetRef": _reference(pod)}
            )
        parts = {key: value for key, value in found.items() if value}
        subsets = [{**parts, "ports": ports}] if parts else []
        meta = service["metadata"]
        body: Obj = {"metadata": {"name": meta["name"]}, "subsets": subsets}
        self._put("Endpoints", meta["namespace"], body, ("subsets",))

    def _put(self, kind: str, namespace: str, body: Obj, parts: tuple[str, ...]) -> None:
        old = self._actor.get(kind, namespace, body["metadata"]["name"])
        if old is not None:
            said = {part: body[part] for part in parts}
            self._actor.change(old, lambda obj: obj.update(said))
            return
        try:
            self._actor.create(kind, namespace, body)
        except StatusError as error:
            if error.code != 403:  # the namespace ends
                raise


def _reference(pod: Obj) -> Obj:
    meta = pod["metadata"]
    return {"kind": "Pod", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}


def _number(port: Obj, pods: list[Obj]) -> int:
    target = port["targetPort"]
    if isinstance(target, int):
        return target
    for pod in pods:
        for container in pod["spec"]["containers"]:
            for each in container.get("ports", ()):
                if each.get("name") == target:
                    return int(each["containerPort"])
    return int(port["port"])
