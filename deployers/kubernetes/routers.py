"""PURE. The traffic router of a place on a cluster, as manifests.

It is a Deployment of one pod, as the pod has the records of requests; a Service that callers use,
which stays as long as the place; one for orders; a Secret with the token for these; and a ConfigMap
with the routing that a new pod begins with, in which a canary has no weight.
"""

from typing import Final

from deployers.control import Routing
from deployers.kubernetes import pods
from deployers.kubernetes.cluster import Manifest
from deployers.kubernetes.names import OWNER, PLACE, ROLE, object_name, place_labels
from deployers.kubernetes.profile import ClusterProfile, profile_named
from deployers.kubernetes.servers import ServingPlace, formed, secret_of, service_of
from deployers.kubernetes.settings import PORT, RouterPod
from deployers.remote_control import LIVE, TOKEN
from specs.failures import NeedsHuman

ROUTER: Final = "router"
"""The container, and the role of the pod."""
CONTROL_PORT: Final = 9090
FOLDER, START, FIRST = "/headgate/router", "/headgate/start", "router.json"
"""The router's folder, that of the mounted routing, and its file."""
GRACE_SECONDS: Final = 35
"""A little more than the router gives its requests in flight."""
_HOST: Final = "HEADGATE_HOST"
_NODE_LOST_SECONDS: Final = 30
"""After which a router's pod is replaced whose node does not answer, instead of 5 minutes: there is
only one."""


def caller_name(place: str) -> str:
    """The name of the Service that callers use: PIPELINE-ENVIRONMENT, where that can be a name."""
    plain = place.replace("/", "-")
    is_name = len(plain) <= 63 and plain.replace("-", "").isalnum() and plain == plain.lower()
    if is_name and plain.isascii() and plain[0].isalpha() and plain[-1] != "-":
        return plain
    return object_name(place)


def router_name(at: ServingPlace) -> str:
    """The name of the router's other objects."""
    return object_name(at.owner, f"{at.place}-router")


def router_labels(at: ServingPlace) -> dict[str, str]:
    """The labels of all that is made for the router."""
    return {**place_labels(at.owner, at.place), ROLE: ROUTER}


def caller_service(at: ServingPlace, port: int | None) -> Manifest:
    """The Service that callers use."""
    made = service_of(
        caller_name(at.place),
        at.namespace,
        router_labels(at),
        _chosen(at),
        {"http": (port or PORT, PORT)},
    )
    made["metadata"]["annotations"] = {PLACE: at.place}
    return formed(made)


def order_service(at: ServingPlace) -> Manifest:
    """The Service by which the router gets its orders."""
    ports = {"control": (CONTROL_PORT, CONTROL_PORT)}
    return formed(service_of(router_name(at), at.namespace, router_labels(at), _chosen(at), ports))


def token_secret(at: ServingPlace, token: str) -> Manifest:
    """The Secret with the token."""
    return secret_of(router_name(at), at.namespace, router_labels(at), {TOKEN: token})


def first_routing(at: ServingPlace, routing: Routing) -> Manifest:
    """The ConfigMap with the routing that a new pod begins with: until a controller says so, a
    canary gets no traffic from it."""
    begun = routing.model_copy(update={"weight": 0.0, "port": PORT})
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": router_name(at),
            "namespace": at.namespace,
            "labels": router_labels(at),
        },
        "data": {FIRST: begun.model_dump_json(exclude_defaults=True)},
    }


def router_deployment(at: ServingPlace, settings: RouterPod) -> Manifest:
    """The router's Deployment. Raises NeedsHuman for a profile that the settings do not have."""
    profile = profile_named(at.profiles, settings.profile)
    if profile is None:
        raise NeedsHuman(
            f"`kubernetes.serving.router.profile` is {settings.profile}, which is not in "
            "`kubernetes.profiles`"
        )
    return formed(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": router_name(at),
                "namespace": at.namespace,
                "labels": router_labels(at),
                "annotations": {PLACE: at.place},
            },
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": _chosen(at)},
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
                },
                "revisionHistoryLimit": 1,
                "template": {
                    "metadata": {
                        "labels": router_labels(at),
                        "annotations": {**profile.annotations, PLACE: at.place},
                    },
                    "spec": _pod(at, settings, profile),
                },
            },
        }
    )


def _chosen(at: ServingPlace) -> dict[str, str]:
    labels = router_labels(at)
    return {key: labels[key] for key in (OWNER, PLACE, ROLE)}


def _pod(at: ServingPlace, settings: RouterPod, profile: ClusterProfile) -> Manifest:
    placed = pods.placed(profile)
    lost = [
        {
            "key": f"node.kubernetes.io/{what}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": _NODE_LOST_SECONDS,
        }
        for what in ("not-ready", "unreachable")
    ]
    return {
        **placed,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "tolerations": [*placed.get("tolerations", ()), *lost],
        "containers": [_container(at, settings)],
        "volumes": [
            {"name": "work", "emptyDir": {}},
            {"name": "start", "configMap": {"name": router_name(at)}},
        ],
    }


def _container(at: ServingPlace, settings: RouterPod) -> Manifest:
    probe = {
        "httpGet": {"path": LIVE, "port": CONTROL_PORT, "scheme": "HTTP"},
        "timeoutSeconds": 5,
        "successThreshold": 1,
    }
    memory = str(settings.memory)
    return {
        "name": ROUTER,
        "image": at.image,
        "command": [
            "python",
            "-P",
            "-m",
            "deployers.router",
            "--folder",
            FOLDER,
            "--host",
            f"$({_HOST})",
            "--control-port",
            str(CONTROL_PORT),
            "--start",
            f"{START}/{FIRST}",
        ],
        "env": [
            {"name": _HOST, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            *pods.secret_variables(router_name(at), (TOKEN,)),
            *pods.variables({"PYTHONDONTWRITEBYTECODE": "1"}),
        ],
        "ports": [
            {"name": "http", "containerPort": PORT, "protocol": "TCP"},
            {"name": "control", "containerPort": CONTROL_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": {**probe, "periodSeconds": 2, "failureThreshold": 3},
        "livenessProbe": {
            **probe,
            "initialDelaySeconds": 20,
            "periodSeconds": 10,
            "failureThreshold": 3,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {
            "requests": {"cpu": f"{round(settings.cpu * 1000)}m", "memory": memory},
            "limits": {"memory": memory},
        },
        "securityContext": pods.confined(),
        "volumeMounts": [
            {"name": "work", "mountPath": FOLDER},
            {"name": "start", "mountPath": START, "readOnly": True},
        ],
    }
