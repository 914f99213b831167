"""The manifests of a model server on a cluster."""

import base64
from typing import Any

import kubernetes_validate
import pytest

from deployers.kubernetes.servers import deployment, formed, is_as, secret, service
from deployers.protocol import Server
from specs.failures import NeedsHuman
from specs.resources import Resources
from tests.deployers.kubernetes.builders import AT, SERVER

VERSIONS = ("1.29", "1.33", "1.37")


def validate(manifest: dict[str, Any]) -> None:
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


def containers(manifest: dict[str, Any]) -> dict[str, Any]:
    pod = manifest["spec"]["template"]["spec"]
    return {each["name"]: each for each in (*pod["initContainers"], *pod["containers"])}


def variables(manifest: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in containers(manifest)["server"]["env"]}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"profile": None, "replicas": 1, "resources": Resources()},
        {"secrets": (), "startup": 0.2},
    ],
)
def test_every_manifest_is_valid_in_strict_form(changes: dict[str, Any]) -> None:
    server = SERVER.model_copy(update=changes)
    made = deployment(server, AT)
    validate(made)
    validate(service(server, AT))
    made["metadata"]["uid"] = "u1"
    if (of_it := secret(server, AT, made)) is not None:
        validate(of_it)


def test_the_command_has_the_paths_and_the_address_of_the_pod_and_nothing_else_is_expanded() -> (
    None
):
    made = deployment(SERVER, AT)
    server = containers(made)["server"]
    assert server["command"] == [
        "python", "/headgate/server/code/serve.py",
        "--model", "/headgate/server/inputs/model/model.joblib",
        "--at", "$(HEADGATE_HOST):8080", "--depth", "6", "$$HOME",
    ]  # fmt: skip
    assert server["workingDir"] == "/headgate/server/code/team"
    said = variables(made)
    assert said["MODE"] == "costs $$5"
    assert said["AT"] == "http://$(HEADGATE_HOST):8080"
    assert server["env"][0]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}


def test_a_secret_is_in_the_secret_and_belongs_to_the_deployment() -> None:
    made = deployment(SERVER, AT)
    assert "hush" not in str(made)
    assert variables(made)["TOKEN"] is None
    made["metadata"]["uid"] = "u1"
    of_it = secret(SERVER, AT, made)
    assert of_it is not None
    assert base64.b64decode(of_it["data"]["TOKEN"]) == b"hush"
    (owner,) = of_it["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Deployment", "u1")
    assert secret(SERVER.model_copy(update={"secrets": ()}), AT, made) is None


def test_the_server_is_confined_and_only_fetch_has_the_credentials_of_the_store() -> None:
    made = deployment(SERVER, AT)
    pod, each = made["spec"]["template"]["spec"], containers(made)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    for one in each.values():
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert each["fetch"]["envFrom"] == [{"secretRef": {"name": "store"}}]
    assert "envFrom" not in each["server"]
    work = each["server"]["volumeMounts"][0]
    assert (work["mountPath"], work["readOnly"]) == ("/headgate/server", True)
    assert each["server"]["resources"]["limits"] == {
        "memory": str(4 << 30),
        "nvidia.com/gpu": "1",
    }


def test_a_rollout_keeps_what_serves_and_ends_at_the_specs_deadline() -> None:
    spec = deployment(SERVER, AT)["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert spec["progressDeadlineSeconds"] == 90
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 18
    assert containers(deployment(SERVER, AT))["server"]["readinessProbe"]["httpGet"] == {
        "path": "/healthz",
        "port": 8080,
        "scheme": "HTTP",
    }


def test_names_are_of_owner_place_and_server_and_fit_into_a_host_name() -> None:
    long = SERVER.model_copy(update={"name": f"{'x' * 200}-v3"})
    others = [
        deployment(SERVER, AT),
        deployment(SERVER, AT._replace(owner="another")),
        deployment(SERVER, AT._replace(place="flight-delay/staging")),
        deployment(long, AT),
        deployment(long.model_copy(update={"name": f"{'x' * 200}-v4"}), AT),
    ]
    names = [one["metadata"]["name"] for one in others]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 63 - len("-5f6c7d8b9c-abcde") + 5
    for one in others:
        validate(one)
    labels = deployment(SERVER, AT)["metadata"]["labels"]
    assert labels["headgate.dev/owner"] == AT.owner
    assert labels["headgate.dev/pipeline"] == "flight-delay"
    assert labels["headgate.dev/environment"] == "production"
    assert "v3" in labels["headgate.dev/server"]


def test_another_image_of_headgate_alone_restarts_no_server() -> None:
    made = deployment(SERVER, AT)
    newer = deployment(SERVER, AT._replace(image="registry.example/headgate@sha256:9"))
    assert is_as(newer, made)
    assert not is_as(deployment(SERVER.model_copy(update={"replicas": 3}), AT), made)
    user_image = SERVER.model_copy(update={"image": AT.image})
    assert not is_as(deployment(user_image, AT), made)
    assert is_as(formed({"metadata": {"name": "x"}}), formed({"metadata": {"name": "x"}}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"profile": "a100"}, "no profile a100 .*there is: default, gpu"),
        ({"image": None}, "has no image: add `environment.image`"),
        ({"shipment": None}, "set `artifacts` in headgate.yaml"),
        ({"run": "serve {unknown.thing}"}, "unknown"),
    ],
)
def test_what_cannot_run_there_is_told_with_its_fix(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(NeedsHuman, match=said):
        deployment(SERVER.model_copy(update=changes), AT)


def test_a_server_without_a_file_on_this_machine_is_a_server() -> None:
    assert Server(name="v1", run="serve", ready="/", predict="/").model == ""
