"""CustomResourceDefinitions of Gateway API 1.5, KServe 0.21, Kueue v1beta2 and Kubeflow Trainer.

They are written from the projects' documentation: what Headgate writes or reads is typed strictly;
what lies beyond is kept as it comes.
"""

from typing import Any

from tests.doubles.kubernetes.base.objects import Obj

_ANY: Obj = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_TEXT: Obj = {"type": "string"}
_INT: Obj = {"type": "integer", "format": "int32"}
_BOOL: Obj = {"type": "boolean"}


def _obj(required: tuple[str, ...] = (), **fields: Any) -> Obj:
    node: Obj = {"type": "object", "properties": fields}
    return {**node, "required": list(required)} if required else node


def _open(**fields: Any) -> Obj:
    """An object of which only some fields are described."""
    return {**_obj(**fields), "x-kubernetes-preserve-unknown-fields": True}


def _list(items: Obj, *keys: str, **more: Any) -> Obj:
    node: Obj = {"type": "array", "items": items, **more}
    if keys:
        node |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}
    return node


def _one_of(*names: str, **more: Any) -> Obj:
    return {"type": "string", "enum": list(names), **more}


def _whole(low: int, high: int, **more: Any) -> Obj:
    return {**_INT, "minimum": low, "maximum": high, **more}


_MAP: Obj = {"type": "object", "additionalProperties": _TEXT}
_CONDITION = _open(
    type=_TEXT, status=_one_of("True", "False", "Unknown"), reason=_TEXT, message=_TEXT,
    lastTransitionTime=_TEXT, observedGeneration={"type": "integer"},
)  # fmt: skip
_CONDITIONS = _list(_CONDITION, "type")


def _definition(
    group: str,
    version: str,
    kind: str,
    plural: str,
    spec: Obj,
    status: Obj,
    namespaced: bool = True,
) -> Obj:
    schema = _obj(spec=spec, status=status)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {
                "kind": kind,
                "plural": plural,
                "singular": kind.lower(),
                "listKind": f"{kind}List",
            },
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


_PORT = _whole(1, 65535)
_PARENT = _obj(
    ("name",),
    group={**_TEXT, "default": "gateway.networking.k8s.io"},
    kind={**_TEXT, "default": "Gateway"},
    namespace=_TEXT,
    name=_TEXT,
    sectionName=_TEXT,
    port=_PORT,
)
_REF: Obj = {
    "group": {**_TEXT, "default": ""},
    "kind": {**_TEXT, "default": "Service"},
    "name": {**_TEXT, "minLength": 1, "maxLength": 253},
    "namespace": _TEXT,
    "port": _PORT,
}
_MIRROR = _obj(
    ("backendRef",),
    backendRef=_obj(("name",), **_REF),
    percent=_whole(0, 100),
    fraction=_obj(
        ("numerator",), numerator={**_INT, "minimum": 0}, denominator={**_INT, "default": 100}
    ),
)
_FILTERS = _list(
    _open(
        type=_one_of(
            "RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "RequestRedirect",
            "URLRewrite", "ExtensionRef", "CORS",
        ),
        requestMirror=_MIRROR,
    ),
    maxItems=16,
)  # fmt: skip
_BACKEND = _obj(("name",), **_REF, weight=_whole(0, 1_000_000, default=1), filters=_FILTERS)
_MATCH = _open(
    path=_obj(
        type=_one_of("Exact", "PathPrefix", "RegularExpression", default="PathPrefix"),
        value={**_TEXT, "default": "/"},
    )
)
_RULE = _open(
    name=_TEXT,
    matches=_list(_MATCH, maxItems=64),
    filters=_FILTERS,
    backendRefs=_list(_BACKEND, maxItems=16),
)
_GATEWAY_API = "gateway.networking.k8s.io"
_ROUTE = _obj(
    parentRefs=_list(_PARENT, maxItems=32),
    hostnames=_list(_TEXT, maxItems=16),
    rules=_list(_RULE, maxItems=16),
)
_ROUTE_STATUS = _obj(
    parents=_list(
        _obj(parentRef=_PARENT, controllerName=_TEXT, conditions=_CONDITIONS), maxItems=32
    )
)
_LISTENER = _open(name=_TEXT, hostname=_TEXT, port=_PORT, protocol=_TEXT)

GATEWAY_API = (
    _definition(_GATEWAY_API, "v1", "HTTPRoute", "httproutes", _ROUTE, _ROUTE_STATUS),
    _definition(
        _GATEWAY_API, "v1", "Gateway", "gateways",
        {**_open(gatewayClassName=_TEXT,
                 listeners=_list(_LISTENER, "name", minItems=1, maxItems=64)),
         "required": ["gatewayClassName", "listeners"]},
        _open(conditions=_CONDITIONS),
    ),
    _definition(
        _GATEWAY_API, "v1", "GatewayClass", "gatewayclasses",
        {**_open(controllerName=_TEXT), "required": ["controllerName"]},
        _open(conditions=_CONDITIONS), namespaced=False,
    ),
    _definition(
        _GATEWAY_API, "v1", "ReferenceGrant", "referencegrants",
        _obj(("from", "to"), **{
            "from": _list(_obj(("group", "kind", "namespace"),
                               group=_TEXT, kind=_TEXT, namespace=_TEXT)),
            "to": _list(_obj(("group", "kind"), group=_TEXT, kind=_TEXT, name=_TEXT)),
        }), _ANY,
    ),
)  # fmt: skip

_PREDICTOR = _open(
    name=_TEXT,
    labels=_MAP,
    annotations=_MAP,
    minReplicas=_INT,
    maxReplicas=_INT,
    canaryTrafficPercent=_whole(0, 100),
    serviceAccountName=_TEXT,
    model=_open(modelFormat=_open(name=_TEXT, version=_TEXT), storageUri=_TEXT, runtime=_TEXT),
    containers=_list(_open(name=_TEXT, image=_TEXT), "name"),
)
_TRAFFIC = _obj(
    revisionName=_TEXT, configurationName=_TEXT, percent={"type": "integer"}, tag=_TEXT, url=_TEXT,
    latestRevision=_BOOL,
)  # fmt: skip
_COMPONENT = _open(
    latestReadyRevision=_TEXT, latestCreatedRevision=_TEXT, latestRolledoutRevision=_TEXT,
    previousRolledoutRevision=_TEXT, traffic=_list(_TRAFFIC), url=_TEXT,
)  # fmt: skip
_MODEL_STATUS = _open(
    transitionStatus=_one_of("UpToDate", "InProgress", "BlockedByFailedLoad", "InvalidSpec"),
    states=_open(activeModelState=_TEXT, targetModelState=_TEXT),
)
_RUNTIME = {
    **_open(
        supportedModelFormats=_list(_open(name=_TEXT, version=_TEXT, autoSelect=_BOOL)),
        containers=_list(_open(name=_TEXT, image=_TEXT), "name", minItems=1),
    ),
    "required": ["containers"],
}
KSERVE = (
    _definition(
        "serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices",
        {**_open(
            predictor=_PREDICTOR,
            canary=_list({**_obj(trafficPercent=_whole(0, 100), predictor=_PREDICTOR),
                          "required": ["predictor", "trafficPercent"]}),
        ), "required": ["predictor"]},
        _open(
            conditions=_CONDITIONS,
            components={"type": "object", "additionalProperties": _COMPONENT},
            modelStatus=_MODEL_STATUS,
            canaryStatuses=_list(_obj(
                name=_TEXT, ready=_BOOL, trafficPercent=_INT, modelStatus=_MODEL_STATUS,
            )),
        ),
    ),
    _definition(
        "serving.kserve.io", "v1alpha1", "ServingRuntime", "servingruntimes", _RUNTIME, _ANY
    ),
    _definition(
        "serving.kserve.io", "v1alpha1", "ClusterServingRuntime", "clusterservingruntimes",
        _RUNTIME, _ANY, namespaced=False,
    ),
    _definition(
        "serving.knative.dev", "v1", "Revision", "revisions", _ANY, _open(conditions=_CONDITIONS)
    ),
)  # fmt: skip

_KUEUE = "kueue.x-k8s.io"
KUEUE = (
    _definition(
        _KUEUE, "v1beta2", "Workload", "workloads",
        _open(
            active={**_BOOL, "default": True}, queueName=_TEXT, priority=_INT,
            maximumExecutionTimeSeconds={**_INT, "minimum": 1},
            podSets=_list(_open(name=_TEXT, count={**_INT, "minimum": 0}, template=_ANY), "name"),
        ),
        _open(conditions=_CONDITIONS),
    ),
    _definition(
        _KUEUE, "v1beta2", "LocalQueue", "localqueues", _open(clusterQueue=_TEXT),
        _open(conditions=_CONDITIONS),
    ),
    _definition(
        _KUEUE, "v1beta2", "ClusterQueue", "clusterqueues", _ANY, _open(conditions=_CONDITIONS),
        namespaced=False,
    ),
)  # fmt: skip

_TRAINER = "trainer.kubeflow.org"
TRAINER = (
    _definition(
        _TRAINER, "v1alpha1", "TrainJob", "trainjobs",
        _obj(
            ("runtimeRef",),
            runtimeRef=_obj(
                ("name",), name=_TEXT, kind={**_TEXT, "default": "ClusterTrainingRuntime"},
                apiGroup={**_TEXT, "default": _TRAINER},
            ),
            trainer=_open(
                image=_TEXT, command=_list(_TEXT), args=_list(_TEXT), numNodes=_INT,
                env=_list(_open(name=_TEXT, value=_TEXT), "name"), resourcesPerNode=_ANY,
            ),
            suspend={**_BOOL, "default": False},
            activeDeadlineSeconds={"type": "integer", "minimum": 1},
            managedBy=_TEXT, labels=_MAP, annotations=_MAP, initializer=_ANY,
            podTemplateOverrides=_list(_ANY), runtimePatches=_list(_ANY),
        ),
        _open(
            conditions=_CONDITIONS,
            jobsStatus=_list(_obj(
                name=_TEXT, ready=_INT, succeeded=_INT, failed=_INT, active=_INT, suspended=_INT,
            ), "name"),
        ),
    ),
    _definition(
        _TRAINER, "v1alpha1", "ClusterTrainingRuntime", "clustertrainingruntimes", _ANY, _ANY,
        namespaced=False,
    ),
    _definition(_TRAINER, "v1alpha1", "TrainingRuntime", "trainingruntimes", _ANY, _ANY),
)  # fmt: skip
