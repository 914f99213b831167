"""What holds between the fields of a pod's spec."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from tests.doubles.kubernetes.base.objects import Obj, dig
from tests.doubles.kubernetes.base.quantities import amount
from tests.doubles.kubernetes.base.refusals import (
    FieldError,
    absent,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    shown,
    unsupported,
)
from tests.doubles.kubernetes.validation.names import key_errors, label_errors, labels_errors

_PULL = ("Always", "IfNotPresent", "Never")
_OWN = ("cpu", "memory", "ephemeral-storage")


def pod_errors(spec: Obj, at: str = "spec") -> Iterator[FieldError]:
    """What is wrong with a pod's spec."""
    volumes = spec.get("volumes", ())
    yield from _named(volumes, f"{at}.volumes")
    names = {volume.get("name") for volume in volumes}
    if not spec.get("containers"):
        yield required(f"{at}.containers")
    seen: set[str] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group, ())):
            where = f"{at}.{group}[{index}]"
            if container.get("name") in seen:
                yield duplicate(f"{where}.name", container["name"])
            seen.add(container.get("name", ""))
            yield from _container(container, where, names, init=group == "initContainers")
    if spec["restartPolicy"] not in ("Always", "OnFailure", "Never"):
        policies = ("Always", "OnFailure", "Never")
        yield unsupported(f"{at}.restartPolicy", spec["restartPolicy"], policies)
    if spec["dnsPolicy"] not in ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"):
        allowed = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
        yield unsupported(f"{at}.dnsPolicy", spec["dnsPolicy"], allowed)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline < 2**31:
        why = "must be between 1 and 2147483647, inclusive"
        yield invalid_value(f"{at}.activeDeadlineSeconds", deadline, why)
    yield from labels_errors(f"{at}.nodeSelector", spec.get("nodeSelector", {}))
    yield from _tolerations(spec.get("tolerations", ()), f"{at}.tolerations")


def _named(items: Sequence[Obj], at: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, item in enumerate(items):
        field = f"{at}[{index}].name"
        if not item.get("name"):
            yield required(field)
            continue
        yield from label_errors(field, item["name"])
        if item["name"] in seen:
            yield duplicate(field, item["name"])
        seen.add(item["name"])
        if len(item) > 2:
            yield forbidden_field(f"{at}[{index}]", "may not specify more than 1 volume type")


def _container(
    container: Obj, at: str, volumes: set[str | None], init: bool
) -> Iterator[FieldError]:
    if not container.get("name"):
        yield required(f"{at}.name")
    else:
        yield from label_errors(f"{at}.name", container["name"])
    if not container.get("image"):
        yield required(f"{at}.image")
    elif container["image"] != container["image"].strip():
        why = "must not have leading or trailing whitespace"
        yield invalid_value(f"{at}.image", container["image"], why)
    if container["imagePullPolicy"] not in _PULL:
        yield unsupported(f"{at}.imagePullPolicy", container["imagePullPolicy"], _PULL)
    mounted: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts", ())):
        where = f"{at}.volumeMounts[{index}]"
        if mount.get("name") not in volumes:
            yield absent(f"{where}.name", mount.get("name", ""))
        if not mount.get("mountPath"):
            yield required(f"{where}.mountPath")
        elif mount["mountPath"] in mounted:
            why = "must be unique"
            yield invalid_value(f"{where}.mountPath", mount["mountPath"], why)
        if ".." in mount.get("subPath", "").split("/"):
            yield invalid_value(f"{where}.subPath", mount["subPath"], "must not contain '..'")
        mounted.add(mount.get("mountPath", ""))
    for index, env in enumerate(container.get("env", ())):
        yield from _env(env, f"{at}.env[{index}]")
    for index, port in enumerate(container.get("ports", ())):
        if not 0 < port.get("containerPort", 0) < 65536:
            why = "must be between 1 and 65535, inclusive"
            where = f"{at}.ports[{index}].containerPort"
            yield invalid_value(where, port.get("containerPort", 0), why)
    yield from resource_errors(container["resources"], f"{at}.resources")
    if init and container.get("restartPolicy") != "Always":
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            if probe in container:
                why = "may not be set for init containers without restartPolicy=Always"
                yield forbidden_field(f"{at}.{probe}", why)
    yield from _security(container.get("securityContext", {}), f"{at}.securityContext")


def _security(context: Obj, at: str) -> Iterator[FieldError]:
    if context.get("privileged") and context.get("allowPrivilegeEscalation") is False:
        why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        yield invalid_value(at, context, why)
    profile = dig(context, "seccompProfile", "type")
    allowed = ("Localhost", "RuntimeDefault", "Unconfined")
    if profile is not None and profile not in allowed:
        yield unsupported(f"{at}.seccompProfile.type", profile, allowed)


def _env(env: Obj, at: str) -> Iterator[FieldError]:
    name = env.get("name", "")
    if not name:
        yield required(f"{at}.name")
    elif "=" in name or not re.fullmatch(r"[ -<>-~]+", name):
        why = (
            "a valid environment variable name must consist only of printable ASCII characters "
            "other than '='"
        )
        yield invalid_value(f"{at}.name", name, why)
    if "value" in env and env["value"] and "valueFrom" in env:
        yield invalid_value(f"{at}.valueFrom", "", "may not be specified when `value` is not empty")
    source = env.get("valueFrom", {})
    if "valueFrom" in env and len(source) != 1:
        yield invalid_value(f"{at}.valueFrom", "", "must specify exactly one source")
    for kind in ("secretKeyRef", "configMapKeyRef"):
        if kind in source and not source[kind].get("name"):
            yield required(f"{at}.valueFrom.{kind}.name")


def resource_errors(resources: Obj, at: str) -> Iterator[FieldError]:
    """What is wrong with requests and limits."""
    parsed: dict[str, dict[str, Decimal]] = {"requests": {}, "limits": {}}
    for part, found in parsed.items():
        for name, text in resources.get(part, {}).items():
            where = f"{at}.{part}[{name}]"
            try:
                found[name] = amount(text)
            except ValueError as error:
                yield invalid_value(where, text, str(error))
                continue
            if found[name] < 0:
                yield invalid_value(where, text, "must be greater than or equal to 0")
            if "/" not in name and name not in _OWN and not name.startswith("hugepages-"):
                why = "must be a standard resource type or fully qualified"
                yield invalid_value(where, name, why)
            elif "/" in name:
                yield from key_errors(where, name)
                if found[name] != int(found[name]):
                    yield invalid_value(where, text, "must be an integer")
    for name, wanted in parsed["requests"].items():
        most = parsed["limits"].get(name)
        where, said = f"{at}.requests", resources["requests"][name]
        if "/" in name and most != wanted:
            limit = "" if most is None else f" {name} limit of {resources['limits'][name]}"
            yield (
                required(f"{at}.limits", "Limit must be set for non overcommitable resources")
                if most is None
                else invalid_value(where, said, f"must be equal to{limit}")
            )
        elif most is not None and wanted > most:
            limit = resources["limits"][name]
            why = f"must be less than or equal to {name} limit of {limit}"
            yield invalid_value(where, said, why)


def _tolerations(tolerations: Sequence[Obj], at: str) -> Iterator[FieldError]:
    for index, one in enumerate(tolerations):
        where = f"{at}[{index}]"
        operator = one.get("operator", "Equal")
        if operator not in ("Equal", "Exists"):
            yield unsupported(f"{where}.operator", operator, ("Equal", "Exists"))
        if operator == "Exists" and one.get("value"):
            why = "value must be empty when `operator` is 'Exists'"
            yield invalid_value(f"{where}.operator", shown(one), why)
        if "tolerationSeconds" in one and one.get("effect") != "NoExecute":
            why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            yield invalid_value(f"{where}.effect", one.get("effect", ""), why)
