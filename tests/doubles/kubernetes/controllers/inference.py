"""KServe: InferenceServices in Standard mode with canaries, and in Knative mode by revisions.

After the controller's source at 0.21 (`predictor.go`, `httproute_reconciler.go`), where HTTPRoutes
began to split the traffic of Standard mode.
"""

from collections.abc import Callable, Iterable
from typing import Any

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.api.calls import ApiCall
from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import (
    Obj,
    copied,
    dig,
    owner_of,
    owner_reference,
    set_condition,
)
from tests.doubles.kubernetes.base.refusals import StatusError
from tests.doubles.kubernetes.controllers.inference_revisions import Revisions
from tests.doubles.kubernetes.controllers.inference_rules import (
    canary_replicas,
    mode_of,
    overlaid,
    refuse_service,
    stable_replicas,
    workload_of,
)
from tests.doubles.kubernetes.controllers.manager import Key
from tests.doubles.kubernetes.storage.store import ObjectChange

GATEWAY = "kserve-ingress-gateway"
SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"
_CONTAINER = "kserve-container"
_OF_THE_MODEL = ("modelFormat", "storageUri", "runtime", "protocolVersion", "runtimeVersion")
_OF_THE_POD = (
    "initContainers", "volumes", "serviceAccountName", "automountServiceAccountToken",
    "nodeSelector", "tolerations", "securityContext", "imagePullSecrets", "priorityClassName",
    "runtimeClassName", "enableServiceLinks", "terminationGracePeriodSeconds",
)  # fmt: skip


class NoRuntime(Exception):  # noqa: N818 - what is said of it is its use
    """A predictor names a runtime that is not there."""


class InferenceController:
    """The controller of InferenceServices. Models load when their pods are ready."""

    def __init__(self, verbs: Any) -> None:
        self._actor = Actor(verbs, "kserve-controller-manager")
        self._revisions = Revisions(self._actor)
        self.look: Callable[[Key], None] = lambda _: None
        """Have an InferenceService looked at again."""
        self.runtime_image = "kserve/runtime"
        """The image of the server for a model that names only its format."""
        self.splits = True
        """Whether routes split traffic: KServe 0.20 has canaries, and 0.21 first routes to them."""

    def refuse(self, kind: Kind, obj: Obj) -> None:
        """The validating webhook."""
        if kind.name == "InferenceService" and kind.custom:
            meta = obj["metadata"]
            old = self._actor.get(kind.name, meta.get("namespace", ""), meta.get("name", ""))
            refuse_service(kind, obj, old)

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name == "InferenceService":
            yield change.address
        elif change.kind.name == "Deployment":
            owner = owner_of(change.last)
            if owner and owner["kind"] == "InferenceService":
                yield (change.address.namespace, owner["name"])

    def set_revision_ready(self, namespace: str, revision: str, ready: bool) -> None:
        """Knative mode plays its revisions: whether one comes to serve. They do, unless told."""
        self._revisions.set_ready(namespace, revision, ready)
        for found in self._actor.all("InferenceService", namespace):
            self.look((namespace, found["metadata"]["name"]))

    def sync(self, key: Key) -> float | None:
        found = self._actor.get("InferenceService", *key)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return None
        if mode_of(found) == "Standard":
            self._standard(found)
        else:
            status = self._revisions.sync(found, self._set)
            status["observedGeneration"] = found["metadata"]["generation"]
            self._actor.change(found, lambda i: i.update(status=status))
        return None

    def _standard(self, found: Obj) -> None:
        name, spec = found["metadata"]["name"], found["spec"]
        stable, canaries = spec["predictor"], spec.get("canary") or []
        wanted = {workload_of(name, each) for each in (stable, *(c["predictor"] for c in canaries))}
        try:
            for each in canaries:
                whole = overlaid(stable, each["predictor"])
                self._deploy(found, whole, canary_replicas(stable, each))
            ready = {workload: self._available(found, workload) > 0 for workload in wanted}
            of_canaries = sum(
                canary_replicas(stable, each)
                for each in canaries
                if ready[workload_of(name, each["predictor"])]
            )
            self._deploy(found, stable, stable_replicas(stable, of_canaries))
        except (NoRuntime, StatusError) as error:
            self._fail(found, error)
            return
        for kind in ("Deployment", "Service"):
            for old in self._actor.owned(found, kind):
                if old["metadata"]["name"] not in wanted:
                    self._actor.delete(old, propagationPolicy="Background")
        self._report(found, workload_of(name, stable), canaries, ready)

    def _fail(self, found: Obj, error: Exception) -> None:
        self._actor.event(found, "InternalError", str(error), "Warning")
        status = copied(found.get("status", {}))
        if isinstance(error, NoRuntime):
            info = {"reason": "RuntimeNotRecognized", "message": str(error)}
            status["modelStatus"] = {"transitionStatus": "InvalidSpec", "lastFailureInfo": info}
        status["deploymentMode"] = "Standard"
        self._actor.change(found, lambda i: i.update(status=status))

    def _pod(self, found: Obj, predictor: Obj) -> Obj:
        pod = {key: copied(predictor[key]) for key in _OF_THE_POD if key in predictor}
        if predictor.get("containers"):
            return {**pod, "containers": copied(predictor["containers"])}
        model = predictor.get("model", {})
        container = self._runtime(found, model.get("runtime"))
        own = {k: v for k, v in copied(model).items() if k not in _OF_THE_MODEL and k != "name"}
        arguments = [*container.get("args", ()), *own.pop("args", ())]
        container |= own
        if arguments:
            container["args"] = arguments
        return {**pod, "containers": [container]}

    def _runtime(self, found: Obj, name: str | None) -> Obj:
        """The container of a model's runtime."""
        if name is None:
            return {"name": _CONTAINER, "image": self.runtime_image}
        space = found["metadata"]["namespace"]
        runtime = self._actor.get("ServingRuntime", space, name) or self._actor.get(
            "ClusterServingRuntime", "", name
        )
        if runtime is None:
            raise NoRuntime("Waiting for runtime to become available")
        return dict(copied(runtime["spec"]["containers"][0]))

    def _deploy(self, found: Obj, predictor: Obj, replicas: int) -> None:
        meta = found["metadata"]
        namespace, workload = meta["namespace"], workload_of(meta["name"], predictor)
        labels = {
            **meta.get("labels", {}),
            **predictor.get("labels", {}),
            "app": f"isvc.{workload}",
            "serving.kserve.io/inferenceservice": meta["name"],
            "component": "predictor",
        }
        annotations = {**meta.get("annotations", {}), **predictor.get("annotations", {})}
        source = dig(predictor, "model", "storageUri")
        if source:
            annotations[SOURCE] = source
        template = {
            "metadata": {"labels": labels, "annotations": annotations},
            "spec": self._pod(found, predictor),
        }
        selector = {"app": labels["app"]}
        old = self._actor.get("Deployment", namespace, workload)
        if old is None:
            own = {"name": workload, "labels": labels, "annotations": annotations,
                   "ownerReferences": [owner_reference(found)]}  # fmt: skip
            spec = {"replicas": replicas, "selector": {"matchLabels": selector}}
            service = {"selector": selector, "ports": [{"port": 80, "targetPort": 8080}]}
            self._actor.create(
                "Deployment", namespace, {"metadata": own, "spec": {**spec, "template": template}}
            )
            self._actor.create("Service", namespace, {"metadata": own, "spec": service})
            return
        new = copied(old)
        new["metadata"]["annotations"] = {**old["metadata"]["annotations"], **annotations}
        new["spec"] |= {"replicas": replicas, "template": template}
        kind = self._actor.kinds.of("Deployment")
        call = ApiCall("update", kind, namespace, workload, body=new, agent=self._actor.name)
        self._actor.verbs.update(call)

    def _available(self, found: Obj, workload: str) -> int:
        deployment = self._actor.get("Deployment", found["metadata"]["namespace"], workload)
        return int(dig(deployment, "status", "availableReplicas", default=0))

    def _route(self, found: Obj, weights: list[tuple[str, int | None]]) -> None:
        """The routes of the service and of its predictor, which say the same."""
        if not any(kind.name == "HTTPRoute" for kind in self._actor.kinds.all()):
            return
        namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
        refs: list[Obj] = []
        for workload, weight in weights:
            ref = {"kind": "Service", "name": workload, "namespace": namespace, "port": 80}
            refs.append(ref if weight is None else {**ref, "weight": weight})
        gateway = {"group": "gateway.networking.k8s.io", "kind": "Gateway",
                   "name": GATEWAY, "namespace": "kserve"}  # fmt: skip
        kind = self._actor.kinds.of("HTTPRoute")
        for own in (f"{name}-predictor", name):
            spec = {
                "parentRefs": [gateway],
                "hostnames": [f"{own}-{namespace}.example.com"],
                "rules": [{"backendRefs": refs}],
            }
            old = self._actor.get("HTTPRoute", namespace, own)
            if old is None:
                meta = {"name": own, "ownerReferences": [owner_reference(found)]}
                self._actor.create("HTTPRoute", namespace, {"metadata": meta, "spec": spec})
            else:
                body = {**copied(old), "spec": spec}
                agent = self._actor.name
                call = ApiCall("update", kind, namespace, own, body=body, agent=agent)
                self._actor.verbs.update(call)

    def _report(self, found: Obj, stable: str, canaries: list[Obj], ready: dict[str, bool]) -> None:
        status = copied(found.get("status", {}))
        conditions = status.setdefault("conditions", [])
        namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
        named = [(workload_of(name, each["predictor"]), each) for each in canaries]
        for type_ in ("PredictorReady", "IngressReady", "Ready"):
            self._set(conditions, type_, ready[stable])
        conditions[:] = [
            each for each in conditions if canaries or each["type"] != "CanaryPredictorReady"
        ]
        status.pop("canaryStatuses", None)
        if canaries:
            status["canaryStatuses"] = [
                {"name": each["predictor"]["name"], "ready": ready[workload],
                 "trafficPercent": each["trafficPercent"], "modelStatus": _model(ready[workload])}
                for workload, each in named
            ]  # fmt: skip
            whole = all(ready[workload] for workload, _ in named)
            self._set(conditions, "CanaryPredictorReady", whole)
            said = next(each for each in conditions if each["type"] == "CanaryPredictorReady")
            said["reason"] = "AllCanariesReady" if whole else "CanariesNotReady"
        status["modelStatus"] = _model(ready[stable])
        status["deploymentMode"] = "Standard"
        status["observedGeneration"] = found["metadata"]["generation"]
        if ready[stable]:  # KServe leaves the routes as they are until then
            given = [(w, int(each["trafficPercent"])) for w, each in named if ready[w]]
            rest = 100 - sum(percent for _, percent in given)
            split = self.splits and bool(canaries)
            self._route(found, [(stable, rest), *given] if split else [(stable, None)])
            status["url"] = f"http://{name}-{namespace}.example.com"
            status["components"] = {"predictor": {"url": f"http://{stable}.{namespace}.svc"}}
        self._actor.change(found, lambda i: i.update(status=status))

    def _set(self, conditions: list[Obj], type_: str, true: bool) -> None:
        new = {"type": type_, "status": "True" if true else "False"}
        if not true:
            new["reason"] = "MinimumReplicasUnavailable"
        for each in conditions:
            if each["type"] == type_ and true:
                each.pop("reason", None)
        set_condition(conditions, self._actor.clock.stamp(), new)


def _model(ready: bool) -> Obj:
    if ready:
        return {
            "transitionStatus": "UpToDate",
            "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
        }
    return {"transitionStatus": "InProgress", "states": {"targetModelState": "Pending"}}
