"""KServe: InferenceServices in Standard mode with canaries, and in Knative mode by revisions."""

from collections.abc import Callable, Iterable
from typing import Any

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import (
    Obj,
    copied,
    dig,
    is_true,
    owner_of,
    owner_reference,
    set_condition,
    short_hash,
)
from tests.doubles.kubernetes.base.refusals import StatusError, forbidden
from tests.doubles.kubernetes.controllers.manager import Key
from tests.doubles.kubernetes.storage.store import ObjectChange

MODE = "serving.kserve.io/deploymentMode"
GATEWAY = "kserve-ingress-gateway"
_NOT_IN_CANARIES = ("workerSpec", "maxReplicas", "scaleTarget", "scaleMetric", "autoScaling")


def refuse_service(kind: Kind, obj: Obj) -> None:
    """What KServe's webhook refuses."""
    if kind.name != "InferenceService" or not kind.custom:
        return
    spec = obj["spec"]
    canaries = spec.get("canary", [])
    names = [dig(each, "predictor", "name", default="") for each in canaries]
    why = ""
    if len(set(names)) != len(names) or "" in names:
        why = "canary predictor names must be set and unique"
    elif spec["predictor"].get("name", "") in names:
        why = "a canary's predictor name must differ from the stable predictor's"
    elif sum(each["trafficPercent"] for each in canaries) > 100:
        why = "the sum of the canaries' trafficPercent must not exceed 100"
    for each in canaries:
        found = [name for name in _NOT_IN_CANARIES if name in each["predictor"]]
        if found:
            why = f"{found[0]} is not allowed in a canary predictor"
        elif each["predictor"].get("minReplicas", 1) > spec["predictor"].get("minReplicas", 1):
            why = "a canary's minReplicas must not exceed the stable predictor's"
    if why:
        message = (
            'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the '
            f"request: {why}"
        )
        error = forbidden(kind, obj["metadata"].get("name", ""), why)
        error.message = message
        raise error


class InferenceController:
    """The controller of InferenceServices. Models load when their pods are ready."""

    def __init__(self, verbs: Any) -> None:
        self._actor = Actor(verbs, "kserve-controller-manager")
        self._ready: dict[tuple[str, str], bool] = {}
        self._marks: dict[str, str] = {}
        """What was last made of an object, by its uid."""
        self.look: Callable[[Key], None] = lambda _: None
        """Have an InferenceService looked at again."""
        self.runtime_image = "kserve/runtime"
        """The image of the server for a model that names only its format."""

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name == "InferenceService":
            yield change.address
        elif change.kind.name == "Deployment":
            owner = owner_of(change.last)
            if owner and owner["kind"] == "InferenceService":
                yield (change.address.namespace, owner["name"])

    def set_revision_ready(self, namespace: str, revision: str, ready: bool) -> None:
        """Knative mode plays its revisions: whether one comes to serve. They do, unless told."""
        self._ready[namespace, revision] = ready
        for found in self._actor.all("InferenceService", namespace):
            self.look((namespace, found["metadata"]["name"]))

    def sync(self, key: Key) -> float | None:
        found = self._actor.get("InferenceService", *key)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return None
        mode = dig(found, "metadata", "annotations", MODE, default="Knative")
        if mode in ("Standard", "RawDeployment"):
            self._standard(found)
        else:
            self._knative(found)
        return None

    # Standard mode

    def _standard(self, found: Obj) -> None:
        name, spec = found["metadata"]["name"], found["spec"]
        stable = spec["predictor"]
        parts = [(self._workload(name, stable), stable)]
        canaries = spec.get("canary", [])
        parts += [(self._workload(name, each["predictor"]), each["predictor"]) for each in canaries]
        for workload, predictor in parts:
            self._deploy(found, workload, predictor)
        wanted = {workload for workload, _ in parts}
        for kind in ("Deployment", "Service"):
            for old in self._actor.owned(found, kind):
                if old["metadata"]["name"] not in wanted:
                    self._actor.delete(old, propagationPolicy="Background")
        ready = {workload: self._serves(found, workload) for workload in wanted}
        weights = [
            (workload, each["trafficPercent"])
            for (workload, _), each in zip(parts[1:], canaries, strict=True)
            if ready[workload]
        ]
        rest = 100 - sum(weight for _, weight in weights)
        self._route(found, [(parts[0][0], rest), *weights])
        self._report(found, parts[0][0], canaries, ready)

    @staticmethod
    def _workload(name: str, predictor: Obj) -> str:
        own = predictor.get("name")
        return f"{name}-{own}-predictor" if own else f"{name}-predictor"

    def _pod(self, predictor: Obj) -> Obj:
        if predictor.get("containers"):
            return {"containers": copied(predictor["containers"])}
        model = predictor.get("model", {})
        container = {"name": "kserve-container", "image": self.runtime_image}
        if model.get("storageUri"):
            container["args"] = [f"--model_dir={model['storageUri']}"]  # type: ignore[assignment]
        return {"containers": [container]}

    def _deploy(self, found: Obj, workload: str, predictor: Obj) -> None:
        namespace = found["metadata"]["namespace"]
        labels = {"app": f"isvc.{workload}"}
        template = {"metadata": {"labels": labels}, "spec": self._pod(predictor)}
        old = self._actor.get("Deployment", namespace, workload)
        replicas = predictor.get("minReplicas", 1)
        if old is None:
            meta = {"name": workload, "ownerReferences": [owner_reference(found)]}
            spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
            service = {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}
            try:
                self._actor.create("Deployment", namespace, {"metadata": meta, "spec": spec})
                self._actor.create("Service", namespace, {"metadata": meta, "spec": service})
            except StatusError as error:
                self._actor.event(found, "InternalError", str(error), "Warning")
            return
        mark = short_hash([template, replicas])
        if self._marks.get(old["metadata"]["uid"]) == mark:
            return
        self._marks[old["metadata"]["uid"]] = mark

        def renew(obj: Obj) -> None:
            for container, new in zip(
                obj["spec"]["template"]["spec"]["containers"],
                template["spec"]["containers"],
                strict=False,
            ):
                container.update(copied(new))
            obj["spec"]["replicas"] = replicas

        self._actor.change(old, renew)

    def _serves(self, found: Obj, workload: str) -> bool:
        deployment = self._actor.get("Deployment", found["metadata"]["namespace"], workload)
        return deployment is not None and is_true(deployment, "Available")

    def _route(self, found: Obj, weights: list[tuple[str, int]]) -> None:
        if not any(kind.name == "HTTPRoute" for kind in self._actor.kinds.all()):
            return
        namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
        backends = [
            {"group": "", "kind": "Service", "name": workload, "port": 80, "weight": weight}
            for workload, weight in weights
        ]
        spec = {
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway",
                            "name": GATEWAY, "namespace": "kserve"}],
            "hostnames": [f"{name}-{namespace}.example.com"],
            "rules": [{"backendRefs": backends}],
        }  # fmt: skip
        old = self._actor.get("HTTPRoute", namespace, name)
        if old is None:
            meta = {"name": name, "ownerReferences": [owner_reference(found)]}
            self._actor.create("HTTPRoute", namespace, {"metadata": meta, "spec": spec})
        else:
            self._actor.change(old, lambda r: r.update(spec=spec))

    def _report(self, found: Obj, stable: str, canaries: list[Obj], ready: dict[str, bool]) -> None:
        now = self._actor.clock.stamp()
        status = copied(found.get("status", {}))
        conditions = status.setdefault("conditions", [])
        name = found["metadata"]["name"]
        self._set(conditions, "PredictorReady", ready[stable], now)
        self._set(conditions, "IngressReady", ready[stable], now)
        self._set(conditions, "Ready", ready[stable], now)
        conditions[:] = [
            each for each in conditions if canaries or each["type"] != "CanaryPredictorReady"
        ]
        status.pop("canaryStatuses", None)
        if canaries:
            status["canaryStatuses"] = [
                {
                    "name": each["predictor"]["name"],
                    "ready": ready[self._workload(name, each["predictor"])],
                    "trafficPercent": each["trafficPercent"],
                    "modelStatus": _model(ready[self._workload(name, each["predictor"])]),
                }
                for each in canaries
            ]
            whole = all(each["ready"] for each in status["canaryStatuses"])
            self._set(conditions, "CanaryPredictorReady", whole, now)
        status["modelStatus"] = _model(ready[stable])
        status["observedGeneration"] = found["metadata"]["generation"]
        self._actor.change(found, lambda i: i.update(status=status))

    @staticmethod
    def _set(conditions: list[Obj], type_: str, true: bool, now: str) -> None:
        new = {"type": type_, "status": "True" if true else "False"}
        if not true:
            new["reason"] = "MinimumReplicasUnavailable"
        for each in conditions:
            if each["type"] == type_ and true:
                each.pop("reason", None)
        set_condition(conditions, now, new)

    # Knative mode

    def _knative(self, found: Obj) -> None:
        """Revisions are counted, and are not run: `set_revision_ready` says how they fare."""
        now = self._actor.clock.stamp()
        namespace = found["metadata"]["namespace"]
        predictor = {
            k: v for k, v in found["spec"]["predictor"].items() if k != "canaryTrafficPercent"
        }
        percent = found["spec"]["predictor"].get("canaryTrafficPercent")
        status = copied(found.get("status", {}))
        part = status.setdefault("components", {}).setdefault("predictor", {})
        mark = short_hash(predictor)
        if self._marks.get(found["metadata"]["uid"]) != mark:
            count = int(part.get("latestCreatedRevision", "-0").rpartition("-")[2]) + 1
            part["latestCreatedRevision"] = f"{found['metadata']['name']}-predictor-{count:05d}"
            self._marks[found["metadata"]["uid"]] = mark
        created = part["latestCreatedRevision"]
        ready = self._ready.get((namespace, created), True)
        if ready:
            part["latestReadyRevision"] = created
        latest = part.get("latestReadyRevision")
        rolled = part.get("latestRolledoutRevision")
        if latest and (percent is None or percent == 100 or rolled is None):
            if rolled != latest:
                part["previousRolledoutRevision"] = rolled or latest
                part["latestRolledoutRevision"] = latest
            part["traffic"] = [{"revisionName": latest, "percent": 100, "latestRevision": True}]
        elif latest and latest != rolled:
            part["traffic"] = [
                {"revisionName": latest, "percent": percent, "latestRevision": True},
                {
                    "revisionName": rolled,
                    "percent": 100 - percent,
                    "latestRevision": False,
                    "tag": "prev",
                },
            ]
        elif latest:
            part["traffic"] = [{"revisionName": latest, "percent": 100, "latestRevision": True}]
        conditions = status.setdefault("conditions", [])
        for type_ in ("PredictorReady", "IngressReady", "Ready"):
            self._set(conditions, type_, ready, now)
        status["modelStatus"] = _model(ready)
        status["observedGeneration"] = found["metadata"]["generation"]
        self._actor.change(found, lambda i: i.update(status=status))


def _model(ready: bool) -> Obj:
    if ready:
        return {
            "transitionStatus": "UpToDate",
            "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
        }
    return {"transitionStatus": "InProgress", "states": {"targetModelState": "Pending"}}
