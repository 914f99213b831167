"""The Job of an attempt: valid for every API server of the last years, and as confined as told."""

from collections.abc import Mapping
from typing import Any

import kubernetes_validate
import pytest

from controller.config.kubernetes import KubernetesSettings
from controller.executors.kubernetes.job import (
    StepCommand,
    TransferCommand,
    job_of,
    network_policy,
    owned_by,
    secret_of,
)
from controller.executors.kubernetes.names import job_name
from controller.machine.runs.attempt import Attempt
from deployers.kubernetes.names import label_value

VERSIONS = ("1.29", "1.33", "1.37")
STEP = StepCommand(("sh", "-c", "echo $(HOME) $$"), "/headgate/step/code", {"A": "$(B) costs $5"})
TRANSFER = TransferCommand("sha256:1", '{"uri": "s3://b/a", "owner": "0"}')
LARGE: Mapping[str, Any] = {
    "cpu": 2,
    "memory": "4Gi",
    "devices": {"rdma/hca": 1},
    "disk": "10Gi",
    "node_selector": {"pool": "gpu"},
    "tolerations": [{"key": "gpu", "effect": "NoSchedule"}],
    "priority_class": "training",
    "runtime_class": "nvidia",
    "image_pull_secrets": ["registry"],
    "service_account": "trainer",
    "store_secret": "store",
    "volumes": {
        "lake": {"path": "/lake", "claim": "lake"},
        "told_here": {"path": "/told", "source": {"hostPath": {"path": "/told"}}, "writable": True},
    },
    "annotations": {"team": "flights"},
    "queue": "training",
}
SETTINGS = KubernetesSettings.model_validate(
    {"profiles": {"gpu": LARGE}, "store_networks": ["10.1.2.3/32:9000", "10.2.0.0/16", "fd00::1"]}
)
OWNER = "0123456789abcdef"


def attempt(**changes: Any) -> Attempt:
    return Attempt(
        id="flights-12.train.1",
        run="flights-12",
        node="train",
        pipeline="flights",
        repository="team",
        commit="0" * 40,
        folder="",
        executor="kubernetes",
        image="registry.example/trainer:1",
        timeout=600,
    ).model_copy(update=changes)


def job(**changes: Any) -> dict[str, Any]:
    return job_of(attempt(**changes), STEP, TRANSFER, SETTINGS, OWNER)


def containers(manifest: Mapping[str, Any]) -> dict[str, Any]:
    pod = manifest["spec"]["template"]["spec"]
    return {each["name"]: each for each in (*pod["initContainers"], *pod["containers"])}


def validate(manifest: Mapping[str, Any]) -> None:
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"profile": "gpu"},
        {"profile": "gpu", "gpu": 1, "cpu": 0.5, "memory": 2**30, "secrets": ("KEY", "OTHER")},
        {"devices": {"amd.com/gpu": 2}, "network": True, "queue": "other"},
    ],
)
def test_every_manifest_is_valid_in_strict_form(changes: dict[str, Any]) -> None:
    made = job(**changes)
    validate(made)
    validate(secret_of(attempt(**changes), {"KEY": "x"}, "headgate", OWNER))


def test_the_network_policy_lets_a_step_reach_names_and_the_store_alone() -> None:
    policy = network_policy(SETTINGS)
    validate(policy)
    names, *stores = policy["spec"]["egress"]
    assert [each["port"] for each in names["ports"]] == [53, 53]
    assert [each["to"][0]["ipBlock"]["cidr"] for each in stores] == [
        "10.1.2.3/32",
        "10.2.0.0/16",
        "fd00::1/128",
    ]
    assert [each.get("ports", [{}])[0].get("port") for each in stores] == [9000, None, None]
    assert policy["spec"]["podSelector"]["matchLabels"]["headgate.dev/network"] == "none"
    assert "ingress" not in policy["spec"]


@pytest.mark.parametrize(("network", "said"), [(False, "none"), (True, "open")])
def test_a_pod_says_whether_it_may_use_the_network(network: bool, said: str) -> None:
    template = job(network=network)["spec"]["template"]
    assert template["metadata"]["labels"]["headgate.dev/network"] == said


def test_retries_are_ours_and_a_job_without_a_controller_ends_and_goes() -> None:
    spec = job()["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["activeDeadlineSeconds"] > 600 + 3600
    assert spec["ttlSecondsAfterFinished"] > 0
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_everything_is_confined() -> None:
    made = job()
    pod = made["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for each in containers(made).values():
        context = each["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_the_credentials_of_the_store_are_given_to_our_containers_alone() -> None:
    found = containers(job(profile="gpu"))
    assert found["fetch"]["envFrom"] == found["collect"]["envFrom"]
    assert "envFrom" not in found["step"]
    named = {each["name"] for each in found["step"]["env"]}
    assert not named & {"HEADGATE_PLAN", "HEADGATE_STORE"}
    annotations = job(profile="gpu")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["eks.amazonaws.com/skip-containers"] == "step"


def test_a_step_sees_its_own_folder_of_the_volume_and_cannot_write_to_its_inputs() -> None:
    found = containers(job())
    mounts = {each["mountPath"]: each for each in found["step"]["volumeMounts"]}
    assert mounts["/headgate/step"]["subPath"] == "step"
    assert mounts["/headgate/step/inputs"]["readOnly"] is True
    assert not any(path.startswith("/headgate/whole") for path in mounts)


def test_nothing_in_a_command_or_a_variable_is_replaced_by_the_kubelet() -> None:
    step = containers(job())["step"]
    assert step["command"] == ["sh", "-c", "echo $$(HOME) $$$$"]
    assert step["env"][0] == {"name": "A", "value": "$$(B) costs $$5"}


def test_a_secret_is_no_text_of_the_job_and_replaces_a_variable_of_its_name() -> None:
    made = job(secrets=("A",))
    (given,) = (each for each in containers(made)["step"]["env"] if each["name"] == "A")
    assert given["valueFrom"]["secretKeyRef"]["name"] == made["metadata"]["name"]


def test_a_secret_belongs_to_its_job() -> None:
    kind = {"apiVersion": "batch/v1", "kind": "Job"}
    change = owned_by({**kind, "metadata": {"name": "hg-a", "uid": "1"}})
    (owner,) = change["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "hg-a", "1")


@pytest.mark.parametrize(
    ("changes", "requests", "limits"),
    [
        ({}, None, None),
        ({"cpu": 0.5}, {"cpu": "500m"}, {"cpu": "500m"}),
        ({"memory": 1024}, {"memory": "1024"}, {"memory": "1024"}),
        ({"gpu": 1}, {"nvidia.com/gpu": "1"}, {"nvidia.com/gpu": "1"}),
        ({"devices": {"amd.com/gpu": 2}}, {"amd.com/gpu": "2"}, {"amd.com/gpu": "2"}),
        (
            {"profile": "gpu", "memory": 1024},
            {"cpu": "2000m", "memory": "1024", "rdma/hca": "1"},
            {"memory": "1024", "rdma/hca": "1"},
        ),
    ],
)
def test_resources_are_the_steps_own_else_its_profiles(
    changes: dict[str, Any], requests: object, limits: object
) -> None:
    found = containers(job(**changes))["step"]["resources"]
    assert (found.get("requests"), found.get("limits")) == (requests, limits)


def test_a_job_that_waits_in_a_queue_is_created_suspended_with_its_label() -> None:
    made = job(queue="nights")
    assert made["spec"]["suspend"] is True
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "nights"
    of_profile = job(profile="gpu")
    assert of_profile["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "training"
    assert "suspend" not in job()["spec"]


NAMES = [
    "a-1.b.1",
    "a-1-b.1",
    "A-1.b.1",
    "x" * 300,
    "x" * 301,
    "ümläut-1.train.1",
    "mean-1.data.flights@baseline.10",
]


def test_names_are_valid_for_hosts_and_differ_whenever_attempts_or_owners_do() -> None:
    made = {job_name(owner, name) for name in NAMES for owner in ("a", "b")}
    assert len(made) == 2 * len(NAMES)
    for name in made:
        assert len(name) <= 63 - len("-abcde")
        assert name == name.lower()
        assert name.replace("-", "").isascii()
        assert name.replace("-", "").isalnum()
        assert not name.endswith("-")


@pytest.mark.parametrize("text", [*NAMES, "-a", "a-", "a/b", "", ".", "a b", "ok_1.2-3"])
def test_any_text_is_made_a_valid_label(text: str) -> None:
    value = label_value(text)
    validate(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "a", "labels": {"of": value}},
        }
    )
    assert 0 < len(value) <= 63
    assert value[0].isalnum()
    assert value[-1].isalnum()
    assert value == label_value(text)


def test_a_label_that_is_valid_stays_as_it_is() -> None:
    assert label_value("ok_1.2-3") == "ok_1.2-3"
