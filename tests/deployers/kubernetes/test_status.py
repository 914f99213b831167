"""What the objects of a server on a cluster say to whoever is on call."""

import json

import pytest

from deployers.kubernetes.status import ServedObjects, server_status
from deployers.protocol import ServerStatus
from tests.deployers.kubernetes.builders import (
    SERVER,
    condition,
    crashes,
    ended,
    pod,
    runs,
    seen,
    waits,
)

READY = condition("Ready")
CREATING = waits("PodInitializing")


def status(objects: ServedObjects, *, routed: bool = False) -> ServerStatus:
    return server_status(objects, lambda text: text.replace("hush", "***"), routed=routed)


def test_a_server_is_ready_once_all_its_replicas_are() -> None:
    one, other = pod(runs(), READY), pod(runs(), name="p2")
    one["status"]["conditions"].append(READY)
    half = status(seen(one, other, available=1, replicas=2))
    assert (half.ready, half.alive, half.name) == (False, True, SERVER.name)
    assert half.detail == "1 of 2 replicas are ready; it runs; /healthz has not answered yet"
    assert status(seen(one, other, available=1, replicas=2), routed=True).ready
    whole = status(seen(one, one, available=2, replicas=2))
    assert (whole.ready, whole.detail, whole.address) == (True, "", "http://10.96.0.7:8080")


def test_what_the_cluster_has_not_looked_at_yet_is_not_ready() -> None:
    assert not status(seen(pod(runs()), available=1, observed=0)).ready


def test_a_restart_is_told_when_it_is_over() -> None:
    assert status(seen(pod(runs(restarts=1)), available=1)).detail == "restarted once"


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        (seen(), "its pods are about to be created"),
        (
            seen(
                conditions=(
                    condition(
                        "ReplicaFailure",
                        message='pods "p" is forbidden: exceeded quota: gpus, requested: 1',
                    ),
                )
            ),
            (
                'no pod can be created: pods "p" is forbidden: exceeded quota: gpus, requested: 1; '
                "lower `serve.resources` or `serve.replicas`, or have the quota raised"
            ),
        ),
        (
            seen(
                pod(
                    CREATING,
                    CREATING,
                    condition(
                        "PodScheduled",
                        "False",
                        "Unschedulable",
                        "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
                    ),
                )
            ),
            (
                "it waits for a node: 0/3 nodes are available: 3 Insufficient "
                "nvidia.com/gpu.; lower "
                "`serve.resources`, add nodes, or correct the node selector of its profile"
            ),
        ),
        (
            seen(pod(waits("ImagePullBackOff", "manifest unknown"))),
            (
                "the image registry.example/serve@sha256:4 cannot be pulled (ImagePullBackOff: "
                "manifest unknown); correct `image`, or name a secret for its registry in "
                "`image_pull_secrets` of the profile"
            ),
        ),
        (
            seen(pod(CREATING, waits("ErrImagePull", "denied"))),
            (
                "Headgate's own image registry.example/headgate@sha256:1 cannot be pulled "
                "(ErrImagePull: denied); correct `kubernetes.image` in the settings, or "
                "name a secret "
                "for its registry in `image_pull_secrets` of the profile"
            ),
        ),
        (
            seen(pod(waits("CreateContainerConfigError", 'secret "x" not found'))),
            (
                'its container cannot be created (CreateContainerConfigError: secret "x" '
                "not found); "
                "create what is missing in the namespace, or correct the profile"
            ),
        ),
        (seen(pod(CREATING, runs())), "its model and code are being fetched"),
        (
            seen(pod(CREATING, crashes(1, message=json.dumps({"failed": "no such artifact"})))),
            "its model and code cannot be fetched: no such artifact",
        ),
        (
            seen(pod(crashes(3, message="loading\nno such column: hush\n"))),
            (
                "it ended 3 times and is restarted after a growing pause; the last time: "
                "exit code 3; "
                "its log ends:\nloading\nno such column: ***"
            ),
        ),
        (
            seen(pod(ended(1))),
            (
                "it ended once and is restarted after a growing pause; the last time: "
                "exit code 1; it "
                "wrote no log"
            ),
        ),
        (
            seen(pod(crashes(137, "OOMKilled", times=1))),
            (
                "it ended once and is restarted after a growing pause; the last time: it "
                "ran out of "
                "memory; raise `serve.resources.memory`; it wrote no log"
            ),
        ),
        (seen(pod(runs())), "it runs; /healthz has not answered yet"),
        (
            seen(
                pod(runs()),
                probes={"p1": "Readiness probe failed: HTTP probe failed with statuscode: 503"},
            ),
            "/healthz does not answer as it should: HTTP probe failed with statuscode: 503",
        ),
    ],
)
def test_what_keeps_a_server_from_serving_is_told_at_once(
    objects: ServedObjects, said: str
) -> None:
    found = status(objects)
    assert not found.ready
    assert found.detail == said


def test_the_worst_of_several_pods_is_told() -> None:
    found = status(seen(pod(runs()), pod(crashes(2), name="p2"), pod(CREATING, runs(), name="p3")))
    assert "exit code 2" in found.detail


def test_a_server_whose_service_has_no_address_yet_has_none() -> None:
    objects = seen(pod(runs()), available=1)._replace(service=None)
    assert status(objects).address is None
