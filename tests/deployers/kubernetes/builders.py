"""Servers for a cluster, and their objects as a cluster tells of them."""

from collections.abc import Mapping
from typing import Any

from deployers.kubernetes.profile import ClusterProfile
from deployers.kubernetes.servers import ServingPlace, deployment, service
from deployers.kubernetes.status import ServedObjects
from deployers.protocol import Bounds, Server, Shipment
from specs.resources import Resources

Obj = Mapping[str, Any]

LARGE = ClusterProfile.model_validate(
    {
        "cpu": 2,
        "disk": "10Gi",
        "node_selector": {"pool": "gpu"},
        "tolerations": [{"key": "gpu", "effect": "NoSchedule"}],
        "priority_class": "serving",
        "image_pull_secrets": ["registry"],
        "service_account": "server",
        "store_secret": "store",
        "volumes": {"lake": {"path": "/lake", "claim": "lake"}},
        "annotations": {"team": "flights"},
    }
)
AT = ServingPlace(
    owner="0123456789abcdef",
    place="flight-delay/production",
    namespace="headgate-serving",
    image="registry.example/headgate@sha256:1",
    profiles={"gpu": LARGE, "default": ClusterProfile()},
)
SHIPMENT = Shipment(
    command=("python", "-m", "fetch"),
    plan="sha256:2",
    store='{"uri": "s3://b/a", "owner": "0"}',
    model="inputs/model/model.joblib",
    root="code",
    folder="code/team",
    artifact="sha256:3",
)
SERVER = Server(
    name="flight-delay-production-v3-0f5a8c21d9e4",
    run="python {root}/serve.py --model {model} --at {host}:{port} --depth {params.depth} $HOME",
    params={"depth": "6"},
    image="registry.example/serve@sha256:4",
    environment={"TOKEN": "hush", "MODE": "costs $5"},
    secrets=("TOKEN",),
    templates={"AT": "http://{host}:{port}"},
    ready="/healthz",
    predict="/predict",
    bounds=Bounds(answer_within=12.5),
    startup=90.0,
    shipment=SHIPMENT,
    resources=Resources.model_validate({"memory": "4Gi", "gpu": 1}),
    profile="gpu",
    replicas=2,
)


def waits(reason: str, message: str = "") -> Obj:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def runs(restarts: int = 0) -> Obj:
    return {"state": {"running": {"startedAt": "2027-01-15T08:00:00Z"}}, "restartCount": restarts}


def ended(code: int = 0, reason: str = "Error", message: str = "") -> Obj:
    return {"state": {"terminated": {"exitCode": code, "reason": reason, "message": message}}}


def crashes(code: int, reason: str = "Error", message: str = "", times: int = 3) -> Obj:
    """As a container that the kubelet restarts after a pause."""
    last = {"exitCode": code, "reason": reason, "message": message}
    held = waits("CrashLoopBackOff", "back-off 40s restarting failed container=server")
    return {**held, "lastState": {"terminated": last}, "restartCount": times}


FETCHED = ended(0, "Completed")


def condition(kind: str, status: str = "True", reason: str = "", message: str = "") -> Obj:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def pod(server: Obj, fetch: Obj = FETCHED, *conditions: Obj, name: str = "p1") -> Obj:
    """A pod of the server."""
    template = deployment(SERVER, AT)["spec"]["template"]
    return {
        "metadata": {"name": name, **template["metadata"]},
        "spec": template["spec"],
        "status": {
            "conditions": list(conditions),
            "initContainerStatuses": [{"name": "fetch", **fetch}],
            "containerStatuses": [{"name": "server", **server}],
        },
    }


def seen(
    *pods: Obj,
    available: int = 0,
    replicas: int = 1,
    observed: int = 1,
    conditions: tuple[Obj, ...] = (),
    probes: Mapping[str, str] | None = None,
) -> ServedObjects:
    """The objects of the server."""
    made = deployment(SERVER.model_copy(update={"replicas": replicas}), AT)
    made["metadata"]["generation"] = 1
    made["status"] = {
        "observedGeneration": observed,
        "availableReplicas": available,
        "conditions": list(conditions),
    }
    reached = service(SERVER, AT)
    reached["spec"]["clusterIP"] = "10.96.0.7"
    return ServedObjects(made, pods, reached, probes or {})
