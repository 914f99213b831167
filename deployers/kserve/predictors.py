"""PURE. A model server as a predictor: by a command in the team's image, or by a model format.

In Standard mode KServe takes canaries only beside a predictor with a `model`. So a command is one
too: of a runtime of Headgate's, with the address of what its pods fetch as that of the model.
"""

from collections.abc import Mapping
from typing import Any, Final

from deployers.kserve.manifests import CONTAINER, Predictor, inference_service
from deployers.kserve.naming import predictor_name
from deployers.kubernetes import pods
from deployers.kubernetes.cluster import Manifest
from deployers.kubernetes.names import MANAGED_BY, SERVER, label_value
from deployers.kubernetes.servers import ServingPlace, deployment, secret_of
from deployers.kubernetes.settings import KServeMode
from deployers.protocol import Server
from specs.failures import NeedsHuman
from specs.model_format import ModelFormat

OWNER: Final = "headgate.dev/kserve-owner"
"""The label with the identity of the controller's home. Another than that of what Headgate runs
itself, as KServe copies it to all that it makes."""
RUNTIME: Final = "headgate-command"
"""The ServingRuntime of predictors with a command."""
_FORMAT: Final = "headgate-command"
_WHERE: Final = (
    "nodeSelector", "tolerations", "priorityClassName", "runtimeClassName", "serviceAccountName",
    "imagePullSecrets",
)  # fmt: skip
"""What of a profile says where the pods of others' servers run."""
_NOT_IN_KNATIVE: Final = ("restartPolicy", "terminationGracePeriodSeconds")
"""What Knative sets itself and refuses in a pod."""


def service_labels(owner: str, place: str) -> dict[str, str]:
    """The labels of an InferenceService, and of all that KServe makes of it."""
    pipeline, _, environment = place.partition("/")
    return {
        MANAGED_BY: "headgate",
        OWNER: label_value(owner),
        "headgate.dev/pipeline": label_value(pipeline),
        "headgate.dev/environment": label_value(environment),
    }


def predictor(server: Server, at: ServingPlace, mode: KServeMode) -> Predictor:
    """The server as a predictor. Raises NeedsHuman if it cannot be one."""
    if server.format is not None:
        served = _format(server, server.format, at)
    else:
        pod: Manifest = dict(deployment(server, at)["spec"]["template"]["spec"])
        (container,) = pod.pop("containers")
        served = _run(server, pod, container, mode)
    body = {
        **served,
        "labels": {SERVER: label_value(server.name)},
        "annotations": pods.annotations(at.profile(server), CONTAINER),
    }
    return Predictor(
        server=server.name,
        name=predictor_name(server.name),
        replicas=server.replicas,
        body=body,
    )


def _format(server: Server, format_: ModelFormat, at: ServingPlace) -> Manifest:
    """The pod of a runtime that loads the model. How it is confined is the runtime's affair."""
    if server.shipment is None:
        raise NeedsHuman(
            f"server {server.name}: KServe reaches no artifact store: set `artifacts` in "
            "headgate.yaml to s3:// or gs:// with a prefix"
        )
    profile = at.profile(server)
    about = {"name": format_.name, "version": format_.version}
    used = pods.resources(
        profile,
        cpu=server.resources.cpu,
        memory=server.resources.memory,
        gpu=server.resources.gpu,
        devices=server.resources.devices,
    )
    plain = {k: v for k, v in server.environment.items() if k not in server.secrets}
    model: Manifest = {
        "modelFormat": {key: value for key, value in about.items() if value is not None},
        "storageUri": model_address(server.shipment.address),
        "env": [
            *pods.variables(plain),
            *pods.secret_variables(at.name(server.name), server.secrets),
        ],
        "resources": used,
    }
    if format_.runtime is not None:
        model["runtime"] = format_.runtime
    where = {key: value for key, value in pods.placed(profile).items() if key in _WHERE}
    return {**where, "model": model}


def _run(server: Server, pod: Manifest, container: Manifest, mode: KServeMode) -> Manifest:
    """The pod that runs the server's command."""
    if mode == "Knative":
        unnamed = [{k: v for k, v in port.items() if k != "name"} for port in container["ports"]]
        kept = {key: value for key, value in pod.items() if key not in _NOT_IN_KNATIVE}
        return {**kept, "containers": [{**container, "name": CONTAINER, "ports": unnamed}]}
    assert server.shipment is not None
    model = {
        "modelFormat": {"name": _FORMAT},
        "runtime": RUNTIME,
        "storageUri": model_address(server.shipment.address),
        **{key: value for key, value in container.items() if key != "name"},
    }
    return {**pod, "model": model}


def runtime(namespace: str, image: str, labels: Mapping[str, str]) -> Manifest:
    """The ServingRuntime of predictors with a command, which say all else themselves."""
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": RUNTIME, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "supportedModelFormats": [{"name": _FORMAT, "version": "1", "autoSelect": False}],
            "containers": [{"name": CONTAINER, "image": image}],
        },
    }


def secret(server: Server, at: ServingPlace) -> Manifest | None:
    """The Secret with the values of the server's secrets; None if it has none."""
    if not server.secrets:
        return None
    values = {name: server.environment[name] for name in server.secrets}
    labels = {**service_labels(at.owner, at.place), SERVER: label_value(server.name)}
    return secret_of(at.name(server.name), at.namespace, labels, values)


def as_it_runs(wanted: Predictor, live: Mapping[str, Any], own_image: str) -> Predictor:
    """The predictor with the image of Headgate's that its pods fetched with: another version of
    that alone restarts no server. `live` is the predictor that is of the same server now."""
    images = {c["name"]: c.get("image") for c in live.get("initContainers") or ()}
    before = images.get(pods.FETCH)
    inits = wanted.body.get("initContainers")
    if not before or not inits:
        return wanted
    kept = [{**c, "image": before} if c.get("image") == own_image else c for c in inits]
    return Predictor(
        server=wanted.server,
        name=wanted.name,
        replicas=wanted.replicas,
        body={**wanted.body, "initContainers": kept},
    )


def model_address(address: str) -> str:
    """The address, if KServe can fetch from there. Raises NeedsHuman."""
    if not address.startswith(("s3://", "gs://", "https://")):
        raise NeedsHuman(
            f"KServe fetches no models from {address or 'here'}: set `artifacts` in headgate.yaml "
            "to s3:// or gs:// with a prefix"
        )
    return address


def example(namespace: str, mode: KServeMode) -> Manifest:
    """An InferenceService as Headgate writes them, to have it tried."""

    def model(version: str) -> Manifest:
        uri = f"s3://headgate-example/{version}"
        return {"model": {"modelFormat": {"name": _FORMAT}, "storageUri": uri}}

    if mode == "Knative":
        spec: Manifest = {"predictor": {**model("v1"), "canaryTrafficPercent": 5}}
    else:
        spec = {
            "predictor": {**model("v1"), "name": "v1"},
            "canary": [{"trafficPercent": 5, "predictor": {**model("v2"), "name": "v2"}}],
        }
    return inference_service("headgate-example", namespace, mode, {}, spec)
