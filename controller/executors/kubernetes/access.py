"""PURE. What a cluster must allow a controller for steps; the Helm chart's roles are held to it."""

from typing import Final

from deployers.kubernetes.access import AccessNeed

STEPS: Final = (
    AccessNeed("batch", "jobs", ("create", "get", "list", "delete")),
    AccessNeed("", "pods", ("list", "watch", "delete")),
    AccessNeed("", "pods/log", ("get",)),
    # Applying needs both: `create` where there is none, `patch` in any case.
    AccessNeed("", "secrets", ("create", "patch", "list", "delete")),
    AccessNeed("", "events", ("list",)),
    AccessNeed("networking.k8s.io", "networkpolicies", ("create", "patch")),
)
"""For steps as Jobs."""
QUEUES: Final = (AccessNeed("kueue.x-k8s.io", "workloads", ("list",)),)
"""For steps in queues of Kueue, besides."""
TRAINING: Final = (
    AccessNeed("trainer.kubeflow.org", "trainjobs", ("create", "get", "list", "delete")),
    AccessNeed(
        "trainer.kubeflow.org", "trainingruntimes", ("get", "create", "patch", "list", "delete")
    ),
    AccessNeed("networking.k8s.io", "networkpolicies", ("list", "delete")),
)
"""For steps with `train`, besides."""
RUNTIMES: Final = (AccessNeed("trainer.kubeflow.org", "clustertrainingruntimes", ("get",)),)
"""For those whose runtime is not in the namespace: in the whole cluster, by a ClusterRole."""
DOCTOR: Final = (AccessNeed("", "resourcequotas", ("list",)),)
"""For `headgate doctor`; without it, quotas are not looked at."""
DOCTOR_OF_QUEUES: Final = (AccessNeed("kueue.x-k8s.io", "localqueues", ("list",)),)
"""For `headgate doctor` where there are queues."""
