"""PURE. What a cluster must allow a controller for servers; the chart's roles are held to it."""

from collections.abc import Iterable
from typing import Final, NamedTuple


class AccessNeed(NamedTuple):
    """Verbs on a resource, in a namespace."""

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


# Applying needs both: `create` where there is none, `patch` in any case.
SERVING: Final = (
    AccessNeed("apps", "deployments", ("create", "patch", "list", "delete")),
    AccessNeed("", "services", ("create", "patch", "get", "list", "delete")),
    AccessNeed("", "secrets", ("create", "patch", "get", "delete")),
    AccessNeed("", "configmaps", ("create", "patch", "get", "delete")),
    AccessNeed("", "pods", ("list", "delete")),
    AccessNeed("", "events", ("list",)),
)
"""For `deployer: kubernetes`."""
KSERVE: Final = (
    AccessNeed("serving.kserve.io", "inferenceservices", ("create", "patch", "get", "delete")),
    AccessNeed("serving.kserve.io", "servingruntimes", ("create", "patch")),
    AccessNeed("gateway.networking.k8s.io", "httproutes", ("get",)),
    AccessNeed("serving.knative.dev", "revisions", ("list",)),
    AccessNeed("apps", "deployments", ("list",)),
    AccessNeed("", "services", ("list",)),
    AccessNeed("", "pods", ("list",)),
    AccessNeed("", "configmaps", ("create", "patch", "get", "delete")),
    AccessNeed("", "secrets", ("create", "patch", "list", "delete")),
)
"""For `deployer: kserve`."""
GATEWAYS: Final = (
    AccessNeed("gateway.networking.k8s.io", "httproutes", ("create", "patch", "get", "delete")),
)
"""For `deployer: gateway`, besides."""
DOCTOR_OF_GATEWAYS: Final = (AccessNeed("gateway.networking.k8s.io", "gateways", ("get",)),)
"""For `headgate doctor` where there are gateways, in their namespaces."""
