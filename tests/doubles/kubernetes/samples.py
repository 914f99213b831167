"""Objects that tests of the double begin with."""

from typing import Any

from tests.doubles.kubernetes.base.objects import Obj


def sample_job(
    name: str = "train", command: str = "true", image: str = "trainer", **spec: Any
) -> Obj:
    """A Job of one pod whose container runs a line of the shell."""
    container = {"name": "main", "image": image, "command": ["/bin/sh", "-c", command]}
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [container],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}, **spec},
    }


def sample_deployment(name: str = "server", image: str = "server", **spec: Any) -> Obj:
    container = {"name": "main", "image": image}
    pod = {"automountServiceAccountToken": False, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
            **spec,
        },
    }
