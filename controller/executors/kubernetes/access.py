"""PURE. What a cluster must allow a controller; the Helm chart's roles are held to it."""

from collections.abc import Iterable
from typing import Final, NamedTuple


class AccessNeed(NamedTuple):
    """Verbs on a resource, in the namespace of steps or in that of servers."""

    group: str
    """Of the API; empty for Kubernetes' core."""
    resource: str
    """With its subresource, as in rules: `pods/log`."""
    verbs: tuple[str, ...]

    @property
    def shown(self) -> str:
        """As kubectl names it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    def rule(self, verbs: Iterable[str]) -> str:
        """The rule of a Role that allows some of it."""
        group = self.group or '""'
        return (
            f"{{apiGroups: [{group}], resources: [{self.resource}], verbs: [{', '.join(verbs)}]}}"
        )


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
DOCTOR: Final = (AccessNeed("", "resourcequotas", ("list",)),)
"""For `headgate doctor`; without it, quotas are not looked at."""
DOCTOR_OF_QUEUES: Final = (AccessNeed("kueue.x-k8s.io", "localqueues", ("list",)),)
"""For `headgate doctor` where there are queues."""
KSERVE: Final = (
    AccessNeed("serving.kserve.io", "inferenceservices", ("create", "get", "patch", "delete")),
    AccessNeed("serving.kserve.io", "servingruntimes", ("create", "patch")),
    AccessNeed("gateway.networking.k8s.io", "httproutes", ("get",)),
    AccessNeed("serving.knative.dev", "revisions", ("list",)),
    AccessNeed("apps", "deployments", ("list",)),
    AccessNeed("", "services", ("list",)),
    AccessNeed("", "pods", ("list",)),
    AccessNeed("", "configmaps", ("create", "get", "patch", "delete")),
    AccessNeed("", "secrets", ("create", "patch", "list", "delete")),
)
"""For servers with `deployer: kserve`, in their namespace."""
