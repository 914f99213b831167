"""What is filled into new objects, and what is refused for the state of the cluster."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from tests.doubles.kubernetes.api.calls import ApiCall
from tests.doubles.kubernetes.base.kinds import Kind, Kinds
from tests.doubles.kubernetes.base.objects import Obj, dig, short_hash
from tests.doubles.kubernetes.base.quantities import amount, as_quantity
from tests.doubles.kubernetes.base.refusals import StatusError, forbidden, not_found
from tests.doubles.kubernetes.base.subnets import service_address
from tests.doubles.kubernetes.storage.store import EtcdStore

Amounts = Mapping[str, Decimal]

TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"
_TAINTS = ("not-ready", "unreachable")
_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_OWN = ("cpu", "memory", "ephemeral-storage")


class Admission:
    """The admission plugins that every cluster has."""

    def __init__(self, store: EtcdStore, kinds: Kinds) -> None:
        self._store = store
        self._kinds = kinds
        self._addresses = 0
        self.webhooks: list[Callable[[Kind, Obj], None]] = []
        """Called with each new object, and each changed one of a custom kind; they may change a
        new one, or refuse it."""

    def create(self, call: ApiCall, obj: Obj) -> None:
        """Fill in, before the object is validated."""
        if call.namespace:
            self._namespace(call)
        for webhook in self.webhooks:
            webhook(call.kind, obj)
        if call.kind.custom:
            return
        if call.kind.name == "Pod":
            self._pod(call, obj)
        elif call.kind.name == "Service":
            self._service(obj)

    def _namespace(self, call: ApiCall) -> None:
        kind = self._kinds.of("Namespace")
        found = self._store.get(kind, "", call.namespace)
        if found is None:
            raise not_found(kind, call.namespace)
        if found["metadata"].get("deletionTimestamp"):
            name = dig(call.body, "metadata", "name", default="")
            why = (
                f"unable to create new content in namespace {call.namespace} because it is being "
                "terminated"
            )
            error = forbidden(call.kind, str(name), why)
            error.details["causes"] = [
                {
                    "reason": "NamespaceTerminating",
                    "message": f"namespace {call.namespace} is being terminated",
                    "field": "metadata.namespace",
                }
            ]
            raise error

    def _pod(self, call: ApiCall, pod: Obj) -> None:
        spec = pod["spec"]
        account = spec.setdefault("serviceAccountName", "default")
        spec.setdefault("serviceAccount", account)
        accounts = self._kinds.of("ServiceAccount")
        found = self._store.get(accounts, call.namespace, account)
        name = pod["metadata"].get("name", "")
        if found is None:
            where = f"{call.namespace}/{account}"
            why = f'error looking up service account {where}: serviceaccount "{account}" not found'
            raise forbidden(call.kind, name, why)
        wanted = spec.get(
            "automountServiceAccountToken", found.get("automountServiceAccountToken", True)
        )
        if wanted:
            _mount_token(pod)
        if "imagePullSecrets" not in spec and found.get("imagePullSecrets"):
            spec["imagePullSecrets"] = found["imagePullSecrets"]
        tolerations = spec.setdefault("tolerations", [])
        for taint in _TAINTS:
            key = f"node.kubernetes.io/{taint}"
            if not any(each.get("key", key) == key for each in tolerations):
                tolerations.append(
                    {"key": key, "operator": "Exists", "effect": "NoExecute",
                     "tolerationSeconds": 300}
                )  # fmt: skip
        self._priority(call, pod)

    def _priority(self, call: ApiCall, pod: Obj) -> None:
        spec = pod["spec"]
        name = spec.get("priorityClassName")
        classes = self._kinds.of("PriorityClass")
        if name:
            found = self._store.get(classes, "", name)
            if found is None and name not in _PRIORITIES:
                why = f"no PriorityClass with name {name} was found"
                raise forbidden(call.kind, pod["metadata"].get("name", ""), why)
            spec["priority"] = found["value"] if found else _PRIORITIES[name]
            policy = (found or {}).get("preemptionPolicy", "PreemptLowerPriority")
        else:
            default = next((c for c in self._store.all(classes) if c.get("globalDefault")), None)
            spec["priority"] = default["value"] if default else 0
            policy = (default or {}).get("preemptionPolicy", "PreemptLowerPriority")
        spec.setdefault("preemptionPolicy", policy)

    def _service(self, service: Obj) -> None:
        spec = service["spec"]
        if spec["type"] == "ExternalName":
            return
        if not spec.get("clusterIP"):
            self._addresses += 1
            spec["clusterIP"] = service_address(self._addresses)
        spec["clusterIPs"] = [spec["clusterIP"]]
        service["status"] = {"loadBalancer": {}}

    def quota(self, call: ApiCall, obj: Obj) -> None:
        """Refuse what a ResourceQuota of the namespace does not allow, after all else held."""
        kind = self._kinds.of("ResourceQuota")
        for quota in self._store.all(kind, call.namespace) if call.namespace else ():
            hard = dig(quota, "spec", "hard", default={})
            asked = {
                k: v for k, v in usage(call.kind.name, call.kind.resource, obj).items() if k in hard
            }
            name = obj["metadata"]["name"]
            if call.kind.name == "Pod":
                self._complete(call, quota, obj)
            if not asked:
                continue
            used = self.used(call.namespace, hard)
            over = [key for key, more in asked.items() if used[key] + more > amount(hard[key])]
            if over:
                why = _exceeded(quota["metadata"]["name"], over, asked, used, hard)
                raise forbidden(call.kind, name, why)

    @staticmethod
    def _complete(call: ApiCall, quota: Obj, pod: Obj) -> None:
        """A pod must say what the quota counts."""
        for key in dig(quota, "spec", "hard", default={}):
            part, _, resource = (
                key.rpartition(".")
                if key.startswith(("requests.", "limits."))
                else ("requests", "", key)
            )
            if resource not in _OWN:
                continue
            missing = [
                container["name"]
                for container in pod["spec"]["containers"]
                if resource not in container["resources"].get(part, {})
            ]
            if missing:
                name = quota["metadata"]["name"]
                why = f"failed quota: {name}: must specify {key} for: {','.join(missing)}"
                raise forbidden(call.kind, pod["metadata"]["name"], why)

    def used(self, namespace: str, keys: Iterable[str]) -> dict[str, Decimal]:
        """How much of each counted resource the namespace uses."""
        total = dict.fromkeys(keys, Decimal(0))
        for kind, obj in self._store.everything():
            if obj["metadata"].get("namespace") == namespace:
                for key, value in usage(kind.name, kind.resource, obj).items():
                    if key in total:
                        total[key] += value
        return total


def usage(kind: str, resource: str, obj: Obj) -> dict[str, Decimal]:
    """What an object counts for in a quota."""
    one = Decimal(1)
    found = {f"count/{resource}": one}
    if kind == "Pod":
        if dig(obj, "status", "phase") in ("Succeeded", "Failed"):
            return found
        found["pods"] = one
        for container in obj["spec"]["containers"]:
            for part in ("requests", "limits"):
                for name, text in container["resources"].get(part, {}).items():
                    key = f"{part}.{name}"
                    found[key] = found.get(key, Decimal(0)) + amount(text)
        found |= {name: found[f"requests.{name}"] for name in _OWN if f"requests.{name}" in found}
    elif kind == "PersistentVolumeClaim":
        found["persistentvolumeclaims"] = one
        found["requests.storage"] = amount(obj["spec"]["resources"]["requests"]["storage"])
    elif kind in ("ConfigMap", "Secret", "Service", "ResourceQuota"):
        found[resource] = one
    return found


def _exceeded(
    quota: str, keys: list[str], asked: Amounts, used: Amounts, hard: Mapping[str, str]
) -> str:
    """How a refusal tells of what is too much."""
    requested = ",".join(f"{key}={as_quantity(asked[key])}" for key in keys)
    taken = ",".join(f"{key}={as_quantity(used[key])}" for key in keys)
    limited = ",".join(f"{key}={hard[key]}" for key in keys)
    return f"exceeded quota: {quota}, requested: {requested}, used: {taken}, limited: {limited}"


def _mount_token(pod: Obj) -> None:
    """The volume that every pod gets unless it, or its service account, declines."""
    spec = pod["spec"]
    name = f"kube-api-access-{short_hash(pod['metadata'], 5)}"
    sources: list[Obj] = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {
            "apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]  # fmt: skip
    used = False
    for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        mounts = container.setdefault("volumeMounts", [])
        if not any(each.get("mountPath") == TOKENS for each in mounts):
            mounts.append({"name": name, "readOnly": True, "mountPath": TOKENS})
            used = True
    if used:
        volume = {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}
        spec.setdefault("volumes", []).append(volume)


def too_many(seconds: int) -> StatusError:
    """What a server says that is too busy; its body is plain text, not a Status."""
    message = "Too many requests, please try again later."
    return StatusError(429, "TooManyRequests", message, headers={"Retry-After": str(seconds)})
