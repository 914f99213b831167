"""KServe in Knative mode: revisions are counted and not run; the route follows them.

After `ksvc_reconciler.go` and `PropagateStatus` of KServe: the percentage is that of the latest
*ready* revision, whichever that is, and the rest goes to the one last rolled out in full.
"""

from collections.abc import Callable
from typing import Any

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.base.objects import (
    Obj,
    copied,
    dig,
    owner_reference,
    short_hash,
)

_TAGS = "serving.kserve.io/enable-tag-routing"
_NOT_OF_THE_REVISION = ("canaryTrafficPercent", "labels", "annotations", "name")


class Revisions:
    """Makes Revisions and splits traffic between them."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._ready: dict[tuple[str, str], bool] = {}
        self._marks: dict[str, str] = {}
        """What the last revision was made of, by the uid of its InferenceService."""

    def set_ready(self, namespace: str, revision: str, ready: bool) -> None:
        """Whether one comes to serve."""
        self._ready[namespace, revision] = ready

    def sync(self, found: Obj, set_condition: Callable[[list[Obj], str, bool], None]) -> Obj:
        """Its status from now on."""
        namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
        status = copied(found.get("status", {}))
        part = status.setdefault("components", {}).setdefault("predictor", {})
        self._create(found, part)
        created = part["latestCreatedRevision"]
        ready = self._ready.get((namespace, created), True)
        if ready:
            part["latestReadyRevision"] = created
        self._report(namespace, created, ready)
        if "latestReadyRevision" in part:
            part["traffic"] = self._split(found, part)
            if self._rolled(part):  # the next look sees what this one noted
                part["traffic"] = self._split(found, part)
        conditions = status.setdefault("conditions", [])
        for type_ in ("PredictorReady", "IngressReady", "Ready"):
            set_condition(conditions, type_, ready)
        status["deploymentMode"] = "Knative"
        if "latestReadyRevision" in part:
            status["url"] = f"http://{name}.{namespace}.example.com"
            part["url"] = f"http://{name}-predictor.{namespace}.example.com"
        return dict(status)

    def _create(self, found: Obj, part: Obj) -> None:
        """A new Revision whenever what it is made of has changed, annotations included."""
        namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
        predictor = found["spec"]["predictor"]
        meta = found["metadata"]
        labels = {
            **meta.get("labels", {}),
            **predictor.get("labels", {}),
            "serving.kserve.io/inferenceservice": name,
            "component": "predictor",
            "serving.knative.dev/service": f"{name}-predictor",
        }
        annotations = {**meta.get("annotations", {}), **predictor.get("annotations", {})}
        spec = {k: v for k, v in predictor.items() if k not in _NOT_OF_THE_REVISION}
        mark = short_hash([labels, annotations, spec])
        if self._marks.get(meta["uid"]) == mark:
            return
        self._marks[meta["uid"]] = mark
        count = int(part.get("latestCreatedRevision", "-0").rpartition("-")[2]) + 1
        part["latestCreatedRevision"] = f"{name}-predictor-{count:05d}"
        made = {
            "metadata": {
                "name": part["latestCreatedRevision"],
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [owner_reference(found)],
            },
            "spec": {},
        }
        self._actor.create("Revision", namespace, made)

    def _report(self, namespace: str, revision: str, ready: bool) -> None:
        found = self._actor.get("Revision", namespace, revision)
        said: Obj = {"type": "Ready", "status": "True" if ready else "False"}
        if not ready:
            said |= {"reason": "ExitCode1", "message": "Container failed with: no model"}
        if found is not None:
            self._actor.change(found, lambda r: r.update(status={"conditions": [said]}))

    def _split(self, found: Obj, part: Obj) -> list[Obj]:
        latest, rolled = part["latestReadyRevision"], part.get("latestRolledoutRevision")
        percent: Any = found["spec"]["predictor"].get("canaryTrafficPercent")
        meta = found["metadata"]
        host = f"{meta['name']}-predictor.{meta['namespace']}.example.com"
        target: Obj = {"revisionName": latest, "percent": 100, "latestRevision": True}
        if dig(meta, "annotations", _TAGS) == "true":
            target |= {"tag": "latest", "url": f"http://latest-{host}"}
        if percent is None or percent == 100 or not rolled:
            return [target]
        prev = {"revisionName": rolled, "percent": 100 - percent, "latestRevision": False}
        return [
            {**target, "percent": percent},
            {**prev, "tag": "prev", "url": f"http://prev-{host}"},
        ]

    @staticmethod
    def _rolled(part: Obj) -> bool:
        """Note which revision has all traffic; whether another one does than before."""
        latest, rolled = part["latestReadyRevision"], part.get("latestRolledoutRevision")
        own = next(each["percent"] for each in part["traffic"] if each["latestRevision"])
        if rolled != latest:
            if own == 100:
                part["previousRolledoutRevision"] = rolled or ""
                part["latestRolledoutRevision"] = latest
                return True
        elif latest == part["latestCreatedRevision"] and own < 100:
            before = part.get("previousRolledoutRevision")
            if before:  # it was rolled out, and is rolled back
                part["latestRolledoutRevision"] = before
                return True
        return False
