"""What the server fills in where a client is silent."""

from collections.abc import Callable

from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import Obj, dig
from tests.doubles.kubernetes.base.quantities import canonical

CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
OLD_CONTROLLER_UID = "controller-uid"
OLD_JOB_NAME = "job-name"


def _fill(into: Obj, **defaults: object) -> None:
    for name, value in defaults.items():
        into.setdefault(name, value)


def _probe(probe: Obj) -> None:
    _fill(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    if "httpGet" in probe:
        _fill(probe["httpGet"], path="/", scheme="HTTP")


def _container(container: Obj) -> None:
    image = container.get("image", "")
    tag = image.rpartition("/")[2].partition("@")
    latest = not tag[1] and tag[0].partition(":")[2] in ("", "latest")
    _fill(
        container,
        imagePullPolicy="Always" if latest else "IfNotPresent",
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        resources={},
    )
    for part in ("requests", "limits"):
        found = container["resources"].get(part, {})
        found.update({name: canonical(value) for name, value in found.items()})
    for port in container.get("ports", ()):
        _fill(port, protocol="TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _probe(container[name])
    for env in container.get("env", ()):
        reference = dig(env, "valueFrom", "fieldRef")
        if reference:
            _fill(reference, apiVersion="v1")


def _volume(volume: Obj) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "downwardAPI", "projected"):
        if name in volume:
            _fill(volume[name], defaultMode=0o644)
    for source in dig(volume, "projected", "sources", default=[]):
        if "serviceAccountToken" in source:
            _fill(source["serviceAccountToken"], expirationSeconds=3600)


def pod_spec(spec: Obj) -> None:
    _fill(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        securityContext={},
    )
    for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        _container(container)
    for volume in spec.get("volumes", ()):
        _volume(volume)
    if spec.get("serviceAccountName"):
        _fill(spec, serviceAccount=spec["serviceAccountName"])


def _pod(pod: Obj) -> None:
    spec = pod.setdefault("spec", {})
    pod_spec(spec)
    _fill(spec, enableServiceLinks=True)
    for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        requests = {**container["resources"].get("limits", {})}
        requests |= container["resources"].get("requests", {})
        if requests:  # what is limited and not asked for is asked for; in a template it is not yet
            container["resources"]["requests"] = requests


def _job(job: Obj) -> None:
    spec = job.setdefault("spec", {})
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    _fill(
        spec,
        parallelism=1,
        backoffLimit=6,
        completionMode="NonIndexed",
        suspend=False,
        manualSelector=False,
        podReplacementPolicy="Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed",
    )
    template = spec.setdefault("template", {})
    pod_spec(template.setdefault("spec", {}))


def own_job(job: Obj) -> None:
    """The selector and labels by which a new Job finds its pods."""
    uid, name = job["metadata"]["uid"], job["metadata"]["name"]
    if job["spec"]["manualSelector"]:
        return
    labels = job["spec"]["template"].setdefault("metadata", {}).setdefault("labels", {})
    labels.update(
        {CONTROLLER_UID: uid, JOB_NAME: name, OLD_CONTROLLER_UID: uid, OLD_JOB_NAME: name}
    )
    job["spec"]["selector"] = {"matchLabels": {CONTROLLER_UID: uid}}


def _deployment(deployment: Obj) -> None:
    spec = deployment.setdefault("spec", {})
    _fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={})
    _fill(spec["strategy"], type="RollingUpdate")
    if spec["strategy"]["type"] == "RollingUpdate":
        _fill(spec["strategy"], rollingUpdate={})
        _fill(spec["strategy"]["rollingUpdate"], maxSurge="25%", maxUnavailable="25%")
    pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))


def _replica_set(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    _fill(spec, replicas=1)
    pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))


def _service(service: Obj) -> None:
    spec = service.setdefault("spec", {})
    _fill(spec, type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster")
    for port in spec.get("ports", ()):
        _fill(port, protocol="TCP", targetPort=port.get("port"))
    if spec.get("clusterIP") != "None" and spec["type"] != "ExternalName":
        _fill(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")


def _secret(secret: Obj) -> None:
    import base64

    _fill(secret, type="Opaque")
    for name, value in secret.pop("stringData", {}).items():
        secret.setdefault("data", {})[name] = base64.b64encode(value.encode()).decode()


def _claim(claim: Obj) -> None:
    _fill(claim.setdefault("spec", {}), volumeMode="Filesystem")


def _policy(policy: Obj) -> None:
    spec = policy.setdefault("spec", {})
    kinds = ["Ingress", "Egress"] if "egress" in spec else ["Ingress"]
    _fill(spec, podSelector={}, policyTypes=kinds)
    for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
        for port in rule.get("ports", ()):
            _fill(port, protocol="TCP")


def _role_binding(binding: Obj) -> None:
    for subject in binding.get("subjects", ()):
        if subject.get("kind") in ("User", "Group"):
            _fill(subject, apiGroup="rbac.authorization.k8s.io")


def _namespace(namespace: Obj) -> None:
    _fill(namespace.setdefault("spec", {}), finalizers=["kubernetes"])
    labels = namespace["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = namespace["metadata"].get("name", "")
    namespace.setdefault("status", {"phase": "Active"})


_BY_KIND: dict[str, Callable[[Obj], None]] = {
    "Pod": _pod,
    "Job": _job,
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "StatefulSet": _replica_set,
    "Service": _service,
    "Secret": _secret,
    "PersistentVolumeClaim": _claim,
    "NetworkPolicy": _policy,
    "RoleBinding": _role_binding,
    "ClusterRoleBinding": _role_binding,
    "Namespace": _namespace,
}


def fill_in(kind: Kind, obj: Obj) -> None:
    """Fill the defaults of the kind into the object."""
    fill = None if kind.custom else _BY_KIND.get(kind.name)
    if fill:
        fill(obj)
