"""The TrainJob of an attempt, and its runtime: a copy of the named one with our containers."""

import copy
from typing import Any

from controller.executors.kubernetes.job import pod_template_of
from controller.executors.kubernetes.names import ATTEMPT, QUEUE, job_name
from controller.executors.kubernetes.training import (
    OUTPUT_SECONDS,
    peers_policy,
    runtime_of,
    train_job_of,
)
from specs.resources import Training
from tests.controller.executors.kubernetes.test_job import (
    OWNER,
    SETTINGS,
    STEP,
    TRANSFER,
    attempt,
    validate,
)

STEP_LABEL = "trainer.kubeflow.org/trainjob-ancestor-step"
THEIRS: dict[str, Any] = {
    "nodeSelector": {"zone": "a"},
    "tolerations": [{"key": "spot"}],
    "initContainers": [{"name": "drivers", "image": "drivers:1"}],
    "containers": [
        {
            "name": "node",
            "image": "pytorch:2",
            "command": ["torchrun"],
            "args": ["train.py"],
            "env": [{"name": "NCCL_DEBUG", "value": "WARN"}, {"name": "A", "value": "theirs"}],
            "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
        },
    ],
    "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
}


def job(name: str, step: str, pod: dict[str, Any]) -> dict[str, Any]:
    labels = {"metadata": {"labels": {STEP_LABEL: step}}}
    return {"name": name, "template": {**labels, "spec": {"template": {"spec": pod}}}}


FOUND: dict[str, Any] = {
    "metadata": {"name": "torch", "labels": {"trainer.kubeflow.org/framework": "torch"}},
    "spec": {
        "mlPolicy": {"numNodes": 1, "torch": {}},
        "podGroupPolicy": {"coscheduling": {}},
        "template": {
            "spec": {
                "network": {"publishNotReadyAddresses": True},
                "successPolicy": {"operator": "Any"},
                "replicatedJobs": [
                    job("dataset-initializer", "dataset-initializer", {"containers": []}),
                    {**job("node", "trainer", THEIRS), "dependsOn": [{"name": "x"}]},
                ],
            }
        },
    },
}
GPU = attempt(profile="gpu", gpu=8, train=Training(runtime="torch", nodes=4))
NAME = job_name(OWNER, GPU.id)


def runtime() -> dict[str, Any]:
    template = pod_template_of(GPU, STEP, TRANSFER, SETTINGS, OWNER)
    return runtime_of(copy.deepcopy(FOUND), template, GPU, SETTINGS, OWNER)


def test_a_runtime_keeps_its_policy_and_loses_what_we_do_ourselves() -> None:
    made = runtime()
    assert made["metadata"]["name"] == NAME
    assert made["metadata"]["labels"]["trainer.kubeflow.org/framework"] == "torch"
    spec = made["spec"]
    assert spec["mlPolicy"] == FOUND["spec"]["mlPolicy"]
    assert spec["podGroupPolicy"] == FOUND["spec"]["podGroupPolicy"]
    whole = spec["template"]["spec"]
    assert whole.keys() == {"network", "failurePolicy", "replicatedJobs"}
    assert whole["failurePolicy"] == {"maxRestarts": 0}
    (nodes,) = whole["replicatedJobs"]
    assert nodes.keys() == {"name", "replicas", "template"}
    assert nodes["template"]["metadata"]["labels"] == {STEP_LABEL: "trainer"}
    about = nodes["template"]["spec"]
    assert (about["backoffLimit"], about["podReplacementPolicy"]) == (0, "Failed")


def test_the_pods_of_a_runtime_have_our_containers_and_what_the_platform_gave_theirs() -> None:
    (nodes,) = runtime()["spec"]["template"]["spec"]["replicatedJobs"]
    template = nodes["template"]["spec"]["template"]
    assert template["metadata"]["labels"][ATTEMPT] == NAME
    pod = template["spec"]
    assert [each["name"] for each in pod["initContainers"]] == ["drivers", "fetch", "collect"]
    assert pod["initContainers"][2]["restartPolicy"] == "Always"
    assert pod["terminationGracePeriodSeconds"] == OUTPUT_SECONDS
    assert pod["nodeSelector"] == {"zone": "a", "pool": "gpu"}
    assert [each["key"] for each in pod["tolerations"]] == ["spot", "gpu"]
    assert {"shm", "work", "tmp", "own-lake"} <= {each["name"] for each in pod["volumes"]}
    (node,) = pod["containers"]
    assert (node["name"], node["image"]) == ("node", GPU.image)
    assert node["command"] == ["sh", "-c", "echo $$(HOME) $$$$"]
    assert "args" not in node
    env = {each["name"]: each["value"] for each in node["env"]}
    assert env == {"NCCL_DEBUG": "WARN", "A": "$$(B) costs $$5"}
    assert "/dev/shm" in {each["mountPath"] for each in node["volumeMounts"]}
    assert node["securityContext"]["readOnlyRootFilesystem"]
    validate(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "n"},
            "spec": nodes["template"]["spec"],
        }
    )


def test_a_train_job_names_its_runtime_and_waits_in_its_queue() -> None:
    made = train_job_of(GPU, SETTINGS, OWNER)
    assert made["metadata"]["name"] == NAME
    assert made["metadata"]["labels"][QUEUE] == "training"
    spec = made["spec"]
    assert spec["suspend"]
    assert spec["runtimeRef"] == {"kind": "TrainingRuntime", "name": NAME}
    assert spec["trainer"]["numNodes"] == 4
    assert spec["trainer"]["resourcesPerNode"]["limits"]["nvidia.com/gpu"] == "8"


def test_nodes_reach_each_other_and_nobody_elses() -> None:
    policy = peers_policy(GPU, SETTINGS, OWNER)
    validate(policy)
    own = {"podSelector": {"matchLabels": {ATTEMPT: NAME}}}
    assert policy["spec"]["podSelector"] == own["podSelector"]
    assert policy["spec"]["egress"] == [{"to": [own]}]
    assert policy["spec"]["ingress"] == [{"from": [own]}]
