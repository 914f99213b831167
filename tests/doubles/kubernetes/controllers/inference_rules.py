"""What KServe's webhooks refuse, and how a canary's predictor comes from the stable one's.

After `inference_service_validation.go` and `predictor.go` of KServe (its pull requests 5672 and
5984).
"""

import math
import re
from typing import Any

from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import Obj, copied, dig
from tests.doubles.kubernetes.base.refusals import StatusError, forbidden

MODE = "serving.kserve.io/deploymentMode"
STANDARD = ("Standard", "RawDeployment")
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_NOT_IN_CANARIES = ("workerSpec", "maxReplicas", "scaleTarget", "scaleMetric", "autoScaling")
_LONGEST = 63


def mode_of(service: Obj) -> str:
    """`Standard` or `Knative`, which is the default of this installation."""
    said = dig(service, "metadata", "annotations", MODE, default="Knative")
    return "Standard" if said in STANDARD else "Knative"


def workload_of(name: str, predictor: Obj) -> str:
    """The name of a predictor's Deployment and Service."""
    own = predictor.get("name")
    return f"{name}-{own}-predictor" if own else f"{name}-predictor"


def refuse_service(kind: Kind, obj: Obj, old: Obj | None) -> None:
    """Raise what the validating webhook answers. `old` is the object before it is changed."""
    why = _why_not(obj) or (_why_no_change(obj, old) if old is not None else "")
    if why:
        error: StatusError = forbidden(kind, obj["metadata"].get("name", ""), why)
        error.message = (
            'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the '
            f"request: {why}"
        )
        raise error


def _why_not(obj: Obj) -> str:
    name, spec = obj["metadata"].get("name", ""), obj["spec"]
    if not _NAME.fullmatch(name):
        return f'the InferenceService "{name}" is invalid: a InferenceService name must match'
    stable, canaries = spec["predictor"], spec.get("canary") or []
    if "model" in stable and stable.get("containers"):
        return "exactly one of [Custom, Model] must be specified in PredictorSpec"
    if not canaries:
        return ""
    if mode_of(obj) != "Standard":
        return "canary is only supported in Standard deployment mode"
    if "model" not in stable:
        return "canary requires a stable predictor with a model"
    seen: set[str] = set()
    for each in canaries:
        why = _why_no_canary(name, each, stable, seen)
        if why:
            return why
    whole = sum(each["trafficPercent"] for each in canaries)
    return "" if whole <= 100 else f"the sum of canary trafficPercent is {whole}, must be <= 100"


def _why_no_canary(name: str, canary: Obj, stable: Obj, seen: set[str]) -> str:
    predictor = canary["predictor"]
    own = predictor.get("name", "")
    if not own:
        return "canary predictor.name is required"
    if own in seen:
        return f'canary predictor.name "{own}" is duplicated'
    if own == stable.get("name", ""):
        return f'canary predictor.name "{own}" conflicts with stable predictor'
    if len(workload_of(name, predictor)) > _LONGEST:
        return f'the name of the canary deployment of "{own}" exceeds {_LONGEST} characters'
    seen.add(own)
    for field in _NOT_IN_CANARIES:
        if field in predictor:
            return f'canary "{own}" must not set {field}'
    if predictor.get("minReplicas", 0) > stable.get("minReplicas", 1):
        return f'canary "{own}" minReplicas must not exceed stable minReplicas'
    return ""


def _why_no_change(obj: Obj, old: Obj) -> str:
    before = dig(old, "status", "deploymentMode")
    if before and before != mode_of(obj):
        return f"update rejected: deploymentMode cannot be changed from '{before}'"
    new, was = obj["spec"]["predictor"], old["spec"]["predictor"]
    if new.get("name") == was.get("name"):
        return ""
    if dig(new, "model", "storageUri") == dig(was, "model", "storageUri"):
        return "predictor.name change requires a model change (e.g. storageUri)"
    return ""


def overlaid(stable: Any, canary: Any) -> Any:
    """The canary's predictor: what it sets, over what the stable one has (`mergo.WithOverride`)."""
    if isinstance(stable, dict) and isinstance(canary, dict):
        both = {**stable, **canary}
        return {key: overlaid(stable.get(key), canary.get(key)) for key in both}
    return copied(stable if canary in (None, "", [], 0, False) else canary)


def canary_replicas(stable: Obj, canary: Obj) -> int:
    """How many pods a canary gets: none at 0%, unless it says so itself."""
    own = canary["predictor"].get("minReplicas")
    if own is not None:
        return int(own)
    return math.ceil(int(stable.get("minReplicas", 1)) * int(canary["trafficPercent"]) / 100)


def stable_replicas(stable: Obj, of_ready_canaries: int) -> int:
    """How many pods the stable predictor keeps beside canaries that are ready."""
    own = stable.get("minReplicas")
    return 1 if own is None else max(int(own) - of_ready_canaries, 1)
