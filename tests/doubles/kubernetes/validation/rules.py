"""What holds between the fields of an object, when it is made and when it is changed."""

import base64
import binascii
from collections.abc import Callable, Iterator

from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import Obj, copied, dig
from tests.doubles.kubernetes.base.quantities import amount
from tests.doubles.kubernetes.base.refusals import (
    FieldError,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    unsupported,
)
from tests.doubles.kubernetes.validation.names import label_errors, labels_errors, metadata_errors
from tests.doubles.kubernetes.validation.pods import pod_errors
from tests.doubles.kubernetes.validation.schemas import Schemas

PAYLOAD = 1024 * 1024
"""Bytes that a ConfigMap or Secret may hold."""


def creation_errors(kind: Kind, obj: Obj, schemas: Schemas) -> list[FieldError]:
    """All that is wrong with a new object."""
    return [*metadata_errors(kind, obj["metadata"]), *_content(kind, obj, schemas)]


def update_errors(kind: Kind, new: Obj, old: Obj, schemas: Schemas) -> list[FieldError]:
    """All that is wrong with a change of an object."""
    errors = [*metadata_errors(kind, new["metadata"]), *_content(kind, new, schemas)]
    change = None if kind.custom else _CHANGES.get(kind.name)
    if change:
        errors.extend(change(new, old))
    return errors


def _content(kind: Kind, obj: Obj, schemas: Schemas) -> Iterator[FieldError]:
    rules = None if kind.custom else _RULES.get(kind.name)
    found = list(rules(obj)) if rules else []
    yield from found
    told = {error.field for error in found}
    for error in schemas.validator(kind).iter_errors(obj):
        problem = _schema_error(error)
        if problem.field not in told:
            told.add(problem.field)
            yield problem


def _schema_error(error: object) -> FieldError:
    """A failed rule of the schema, as the server tells of it."""
    path = ""
    for step in getattr(error, "instance_path"):  # noqa: B009 - the library has no types for it
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    message = str(getattr(error, "message"))  # noqa: B009
    if "is a required property" in message:
        name = message.partition('"')[2].partition('"')[0]
        return required(f"{path}.{name}" if path else name)
    return FieldError("FieldValueInvalid", path or "<nil>", f"Invalid value: {message}")


def _job(job: Obj) -> Iterator[FieldError]:
    spec = job["spec"]
    yield from pod_errors(spec["template"]["spec"], "spec.template.spec")
    labels = dig(spec, "template", "metadata", "labels", default={})
    yield from labels_errors("spec.template.metadata.labels", labels)
    policy = spec["template"]["spec"]["restartPolicy"]
    if policy not in ("OnFailure", "Never"):
        yield _never(policy)
    for name in ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds",
                 "ttlSecondsAfterFinished"):  # fmt: skip
        if spec.get(name, 0) < 0:
            yield invalid_value(f"spec.{name}", spec[name], "must be greater than or equal to 0")
    if len(job["metadata"].get("name", "")) > 63:
        why = "must be no more than 63 characters"
        yield invalid_value("spec.template.labels", job["metadata"]["name"], why)
    if spec["completionMode"] == "Indexed" and spec.get("completions") is None:
        yield required("spec.completions", "when completion mode is Indexed")


def _never(policy: str) -> FieldError:
    error = unsupported("spec.template.spec.restartPolicy", policy, ("OnFailure", "Never"))
    if policy == "Always":  # the message of an API server when nothing was said
        return error._replace(reason="FieldValueNotSupported")
    return error


def _job_change(new: Obj, old: Obj) -> Iterator[FieldError]:
    before, after = copied(old["spec"]), copied(new["spec"])
    for name in ("completions", "selector", "completionMode"):
        if before.get(name) != after.get(name) and not (
            name == "completions" and before["completionMode"] == "Indexed"
        ):
            yield invalid_value(f"spec.{name}", after.get(name), "field is immutable")
    if old["spec"]["suspend"] and not dig(old, "status", "startTime"):
        for spec in (before, after):  # a queue chooses the nodes before it lets the Job run
            for name in ("nodeSelector", "tolerations", "schedulingGates"):
                spec["template"]["spec"].pop(name, None)
            for name in ("labels", "annotations"):
                spec["template"].get("metadata", {}).pop(name, None)
    if before["template"] != after["template"]:
        yield invalid_value("spec.template", after["template"], "field is immutable")


def _workload(obj: Obj) -> Iterator[FieldError]:
    spec = obj["spec"]
    selector = spec.get("selector")
    labels = dig(spec, "template", "metadata", "labels", default={})
    wanted = dig(selector, "matchLabels", default={})
    if not selector:
        yield required("spec.selector")
    elif not (wanted or selector.get("matchExpressions")):
        yield invalid_value("spec.selector", selector, "empty selector is invalid for deployment")
    elif any(labels.get(key) != value for key, value in wanted.items()):
        why = "`selector` does not match template `labels`"
        yield invalid_value("spec.template.metadata.labels", labels, why)
    yield from labels_errors("spec.template.metadata.labels", labels)
    yield from pod_errors(spec["template"]["spec"], "spec.template.spec")
    policy = spec["template"]["spec"]["restartPolicy"]
    if policy != "Always":
        yield unsupported("spec.template.spec.restartPolicy", policy, ("Always",))
    if spec.get("replicas", 1) < 0:
        yield invalid_value("spec.replicas", spec["replicas"], "must be greater than or equal to 0")


def _workload_change(new: Obj, old: Obj) -> Iterator[FieldError]:
    if new["spec"].get("selector") != old["spec"].get("selector"):
        yield invalid_value("spec.selector", new["spec"].get("selector"), "field is immutable")


def _pod_change(new: Obj, old: Obj) -> Iterator[FieldError]:
    before, after = copied(old["spec"]), copied(new["spec"])
    for spec in (before, after):
        for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
            container.pop("image", None)
        for name in ("activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations",
                     "nodeName"):  # fmt: skip
            spec.pop(name, None)
    if before != after:
        yield forbidden_field(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
            "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to "
            "be set to 1 if it was previously negative)",
        )


def _service(service: Obj) -> Iterator[FieldError]:
    spec = service["spec"]
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    if spec["type"] not in kinds:
        yield unsupported("spec.type", spec["type"], kinds)
    ports = spec.get("ports", ())
    if not ports and spec.get("clusterIP") != "None" and spec["type"] != "ExternalName":
        yield required("spec.ports")
    seen: set[tuple[int, str]] = set()
    for index, port in enumerate(ports):
        at = f"spec.ports[{index}]"
        if len(ports) > 1 and not port.get("name"):
            yield required(f"{at}.name")
        if not 0 < port.get("port", 0) < 65536:
            why = "must be between 1 and 65535, inclusive"
            yield invalid_value(f"{at}.port", port.get("port", 0), why)
        key = (port.get("port", 0), port["protocol"])
        if key in seen:
            yield duplicate(at, {"port": key[0], "protocol": key[1]})
        seen.add(key)
    name = service["metadata"].get("name", "")
    if name[:1].isdigit():  # a service's name is a label of the older kind
        why = (
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start "
            "with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name', "
            " or "
            "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
        )
        yield invalid_value("metadata.name", name, why)


def _service_change(new: Obj, old: Obj) -> Iterator[FieldError]:
    before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
    if before and before != after:
        why = "may not change once set"
        yield invalid_value("spec.clusterIPs[0]", after, why)


def _data(obj: Obj) -> Iterator[FieldError]:
    size = 0
    for name, value in {**obj.get("data", {}), **obj.get("binaryData", {})}.items():
        if not name or not all(char.isalnum() or char in "-_." for char in name):
            why = (
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
                "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
                "'[-._a-zA-Z0-9]+')"
            )
            yield invalid_value(f"data[{name}]", name, why)
        size += len(value.encode())
    if size > PAYLOAD:
        yield FieldError(
            "FieldValueTooLong", "data", f"Too long: may not be more than {PAYLOAD} bytes"
        )


def _data_change(new: Obj, old: Obj) -> Iterator[FieldError]:
    if old.get("immutable"):
        if not new.get("immutable"):
            yield forbidden_field("immutable", "field is immutable when `immutable` is set")
        if new.get("data") != old.get("data"):
            yield forbidden_field("data", "field is immutable when `immutable` is set")
    if new.get("type") != old.get("type"):
        yield invalid_value("type", new.get("type"), "field is immutable")


def secret_data_error(obj: Obj) -> str | None:
    """What is wrong with the encoding of a Secret, which is found before any rule is asked."""
    for value in obj.get("data", {}).values():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return "illegal base64 data at input byte 0"
    return None


def _claim(claim: Obj) -> Iterator[FieldError]:
    spec = claim["spec"]
    if not spec.get("accessModes"):
        yield required("spec.accessModes", "at least 1 access mode is required")
    size = dig(spec, "resources", "requests", "storage")
    if size is None:
        yield required("spec.resources[storage]")
    else:
        try:
            amount(size)
        except ValueError as error:
            yield invalid_value("spec.resources[storage]", size, str(error))


def _lease(lease: Obj) -> Iterator[FieldError]:
    spec = lease.get("spec", {})
    if "leaseDurationSeconds" in spec and spec["leaseDurationSeconds"] <= 0:
        why = "must be greater than 0"
        yield invalid_value("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], why)
    if spec.get("leaseTransitions", 0) < 0:
        why = "must be greater than or equal to 0"
        yield invalid_value("spec.leaseTransitions", spec["leaseTransitions"], why)


def _role_change(new: Obj, old: Obj) -> Iterator[FieldError]:
    if new.get("roleRef") != old.get("roleRef"):
        yield invalid_value("roleRef", new.get("roleRef"), "cannot change roleRef")


def _policy(policy: Obj) -> Iterator[FieldError]:
    for index, kind in enumerate(policy["spec"]["policyTypes"]):
        if kind not in ("Ingress", "Egress"):
            yield unsupported(f"spec.policyTypes[{index}]", kind, ("Egress", "Ingress"))


def _definition(obj: Obj) -> Iterator[FieldError]:
    spec = obj.get("spec", {})
    wanted = f"{dig(spec, 'names', 'plural')}.{spec.get('group')}"
    if obj["metadata"].get("name") != wanted:
        why = 'must be spec.names.plural+"."+spec.group'
        yield invalid_value("metadata.name", obj["metadata"].get("name"), why)
    for index, version in enumerate(spec.get("versions", ())):
        if not dig(version, "schema", "openAPIV3Schema"):
            where = f"spec.versions[{index}].schema.openAPIV3Schema"
            yield required(where, "schemas are required")


def _pod(pod: Obj) -> Iterator[FieldError]:
    yield from pod_errors(pod["spec"])
    if dig(pod, "spec", "hostname"):
        yield from label_errors("spec.hostname", pod["spec"]["hostname"])


_Rules = Callable[[Obj], Iterator[FieldError]]
_Changes = Callable[[Obj, Obj], Iterator[FieldError]]

_RULES: dict[str, _Rules] = {
    "Pod": _pod,
    "Job": _job,
    "Deployment": _workload,
    "ReplicaSet": _workload,
    "StatefulSet": _workload,
    "Service": _service,
    "ConfigMap": _data,
    "Secret": _data,
    "PersistentVolumeClaim": _claim,
    "Lease": _lease,
    "NetworkPolicy": _policy,
    "CustomResourceDefinition": _definition,
}
_CHANGES: dict[str, _Changes] = {
    "Pod": _pod_change,
    "Job": _job_change,
    "Deployment": _workload_change,
    "ReplicaSet": _workload_change,
    "Service": _service_change,
    "ConfigMap": _data_change,
    "Secret": _data_change,
    "RoleBinding": _role_change,
    "ClusterRoleBinding": _role_change,
}
