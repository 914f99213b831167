"""The kinds of objects that the server keeps, and where."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of object: where it is served, and what rules hold for all of its kind."""

    group: str
    version: str
    name: str
    plural: str
    namespaced: bool = True
    status: bool = True
    """Whether it has the subresource `status`."""
    generations: bool = True
    """Whether `metadata.generation` counts the changes of its spec."""
    custom: bool = False
    """Whether a CustomResourceDefinition defines it."""
    unconditional: bool = True
    """Whether an update without resourceVersion is taken."""
    create_on_update: bool = False
    subdomain: bool = True
    """Whether names are DNS subdomains; else they are DNS labels, unless `path` is set."""
    path: bool = False
    """Whether any name that can be part of a path will do, as for roles."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The resource as messages name it, `jobs.batch`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _plain(group: str, version: str, name: str, plural: str, **more: bool) -> Kind:
    """A kind without status and generation."""
    return Kind(group, version, name, plural, status=False, generations=False, **more)


_RBAC = "rbac.authorization.k8s.io"
_POLICY: dict[str, bool] = {"unconditional": False}

BUILT_IN = (
    Kind("", "v1", "Pod", "pods"),
    Kind("", "v1", "Service", "services", generations=False, subdomain=False),
    Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", generations=False),
    Kind("", "v1", "PersistentVolume", "persistentvolumes", False, generations=False),
    Kind("", "v1", "Namespace", "namespaces", False, generations=False, subdomain=False),
    Kind("", "v1", "Node", "nodes", False, generations=False),
    Kind("", "v1", "ResourceQuota", "resourcequotas", generations=False),
    _plain("", "v1", "ConfigMap", "configmaps"),
    _plain("", "v1", "Secret", "secrets"),
    _plain("", "v1", "ServiceAccount", "serviceaccounts"),
    _plain("", "v1", "Event", "events", create_on_update=True),
    _plain("", "v1", "Endpoints", "endpoints", create_on_update=True),
    _plain("", "v1", "LimitRange", "limitranges"),
    Kind("apps", "v1", "Deployment", "deployments"),
    Kind("apps", "v1", "ReplicaSet", "replicasets"),
    Kind("apps", "v1", "StatefulSet", "statefulsets"),
    Kind("apps", "v1", "DaemonSet", "daemonsets"),
    Kind("batch", "v1", "Job", "jobs"),
    Kind("batch", "v1", "CronJob", "cronjobs"),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", status=False),
    Kind("networking.k8s.io", "v1", "Ingress", "ingresses"),
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", **_POLICY),
    Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers",
         generations=False),
    Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", status=False,
         unconditional=False),
    _plain("coordination.k8s.io", "v1", "Lease", "leases", unconditional=False,
           create_on_update=True),
    _plain("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", namespaced=False),
    _plain("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False),
    _plain(_RBAC, "v1", "Role", "roles", path=True),
    _plain(_RBAC, "v1", "RoleBinding", "rolebindings", path=True),
    _plain(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False, path=True),
    _plain(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False, path=True),
    Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions",
         False, unconditional=False),
)  # fmt: skip


class Kinds:
    """All kinds that are served now."""

    def __init__(self) -> None:
        self._by_path: dict[tuple[str, str, str], Kind] = {}
        self._by_name: dict[tuple[str, str], Kind] = {}
        for kind in BUILT_IN:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        self._by_path[kind.group, kind.version, kind.plural] = kind
        self._by_name[kind.api_version, kind.name] = kind

    def remove(self, kind: Kind) -> None:
        self._by_path.pop((kind.group, kind.version, kind.plural), None)
        self._by_name.pop((kind.api_version, kind.name), None)

    def at(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_path.get((group, version, plural))

    def named(self, api_version: str, name: str) -> Kind | None:
        return self._by_name.get((api_version, name))

    def all(self) -> list[Kind]:
        return list(self._by_path.values())

    def of(self, name: str) -> Kind:
        """The kind of that name; the double's own code knows no two of one name."""
        return next(kind for kind in self._by_path.values() if kind.name == name)
