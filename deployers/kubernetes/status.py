"""PURE. What the objects of a model server on a cluster say: whether it serves, or why it does not.

The words are for whoever is on call: what is wrong, and what to do, before any deadline.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from deployers.kubernetes.names import SERVER
from deployers.kubernetes.pods import FETCH
from deployers.kubernetes.routers import ROUTER
from deployers.kubernetes.servers import RUN
from deployers.kubernetes.settings import PORT
from deployers.protocol import ServerStatus

Obj = Mapping[str, Any]

_PULL: Final = (
    "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError",
    "InvalidImageName", "ErrImageNeverPull",
)  # fmt: skip
_CREATE: Final = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_LAST: Final = 2000
"""Characters from the end of a log that a message quotes."""
_PROBED: Final = re.compile(r"^Readiness probe failed: ")


class ServedObjects(NamedTuple):
    """A server's objects, as they were seen last."""

    deployment: Obj
    pods: Sequence[Obj] = ()
    """Those of it that are not being deleted."""
    service: Obj | None = None
    probes: Mapping[str, str] = {}
    """What probes of its pods last failed with, by pod."""


def server_status(
    seen: ServedObjects, redact: Callable[[str], str], *, routed: bool = False, hung: str = ""
) -> ServerStatus:
    """The status of a server. One that is `routed`, as it gets traffic, is ready with one replica;
    others only with all. `hung` is why it counts as hung, if it does."""
    name = str(seen.deployment["metadata"]["annotations"][SERVER])
    wanted = int(seen.deployment["spec"].get("replicas", 1))
    status = seen.deployment.get("status", {})
    current = status.get("observedGeneration", 0) >= seen.deployment["metadata"]["generation"]
    serving = int(status.get("availableReplicas", 0))
    ready = current and serving >= (1 if routed else max(wanted, 1))
    alive = any(is_running(pod, RUN) for pod in seen.pods)
    detail = _detail(seen, wanted, serving, ready=ready and alive)
    return ServerStatus(
        name=name,
        alive=alive,
        ready=ready and alive,
        address=address_of(seen.service) if alive else None,
        detail=redact("; ".join(filter(None, (detail, hung)))),
        hung=bool(hung),
    )


def router_problem(pods: Sequence[Obj]) -> str:
    """Why a router does not answer."""
    told = [said for pod in pods if (said := _of_pod(pod, {}, ROUTER))]
    what = max(told, key=lambda one: one[0])[1] if told else "its pod is about to be created"
    return f"its router does not answer yet: {what}"


def address_of(service: Obj | None, port: str = "http") -> str | None:
    """`http://host:port` of a Service; None while it has no address."""
    at = host_of(service)
    if service is None or at is None:
        return None
    number = next((p["port"] for p in service["spec"]["ports"] if p.get("name") == port), PORT)
    return f"http://{f'[{at}]' if ':' in at else at}:{number}"


def host_of(service: Obj | None) -> str | None:
    """The address of a Service in the cluster; None while it has none."""
    at = service["spec"].get("clusterIP") if service is not None else None
    return str(at) if at and at != "None" else None


def _detail(seen: ServedObjects, wanted: int, serving: int, *, ready: bool) -> str:
    problem = _problem(seen)
    restarts = sum(_status(pod, RUN).get("restartCount", 0) for pod in seen.pods)
    if ready and serving >= wanted:
        return f"restarted {_times(restarts)}" if restarts else ""
    if wanted > 1 and serving:
        return f"{serving} of {wanted} replicas are ready; {problem}"
    return problem


def _problem(seen: ServedObjects) -> str:
    """Why not all replicas are ready."""
    refused = _condition(seen.deployment, "ReplicaFailure")
    if refused is not None:
        return f"no pod can be created: {_short(refused.get('message', ''))}{_fix(refused)}"
    told = [said for pod in seen.pods if (said := _of_pod(pod, seen.probes))]
    if told:
        return max(told, key=lambda one: one[0])[1]
    if not seen.pods:
        return "its pods are about to be created"
    return "its pod is about to be counted as ready"


def _fix(refused: Obj) -> str:
    if "exceeded quota" in refused.get("message", ""):
        return "; lower `serve.resources` or `serve.replicas`, or have the quota raised"
    return ""


def _of_pod(pod: Obj, probes: Mapping[str, str], main: str = RUN) -> tuple[int, str] | None:
    """What keeps a pod from serving, with a number that is the larger the worse it is."""
    unplaced = _condition(pod, "PodScheduled", "False")
    if unplaced is not None:
        why = _short(unplaced.get("message") or unplaced.get("reason", ""))
        fix = "lower `serve.resources`, add nodes, or correct the node selector of its profile"
        return 4, f"it waits for a node: {why}; {fix}"
    for name in (FETCH, main):
        if (held := _held_up(pod, name)) is not None:
            return held
    if is_running(pod, FETCH):
        return 1, "its model and code are being fetched"
    if _condition(pod, "Ready") is None and is_running(pod, main):
        failed = probes.get(pod["metadata"]["name"], "")
        path = _probe_path(pod)
        if failed:
            return 3, f"{path} does not answer as it should: {_short(_PROBED.sub('', failed))}"
        return 2, f"it runs; {path} has not answered yet"
    if _condition(pod, "Ready") is None:
        return 1, "its containers are being created"
    return None


def _held_up(pod: Obj, name: str) -> tuple[int, str] | None:
    """Why a container cannot run, or how it ended."""
    status = _status(pod, name)
    state = status.get("state", {})
    waiting, ended = state.get("waiting", {}), state.get("terminated")
    reason, message = waiting.get("reason", ""), _short(waiting.get("message", ""))
    whose = "the image" if name == RUN else "Headgate's own image"
    if reason in _PULL:
        fix = "correct `image`" if name == RUN else "correct `kubernetes.image` in the settings"
        fix += ", or name a secret for its registry in `image_pull_secrets` of the profile"
        image = f"{whose} {_image(pod, name)}"
        return 6, f"{image} cannot be pulled ({reason}: {message}); {fix}"
    if reason in _CREATE:
        fix = "create what is missing in the namespace, or correct the profile"
        return 6, f"its container cannot be created ({reason}: {message}); {fix}"
    last = ended or (status.get("lastState", {}).get("terminated") if waiting else None)
    if last is None or (name == FETCH and last["exitCode"] == 0):
        return None
    count = status.get("restartCount", 0) + (ended is not None)
    if name == FETCH:
        return 5, f"its model and code cannot be fetched: {_told(last)}"
    again = f"it ended {_times(count)} and is restarted after a growing pause; the last time: "
    return 5, f"{again}{_ending(last)}"


def _ending(ended: Obj) -> str:
    """How the server ended."""
    if ended.get("reason") == "OOMKilled":
        how = "it ran out of memory; raise `serve.resources.memory`"
    elif ended.get("reason") in ("StartError", "ContainerCannotRun"):
        return f"it cannot be started: {_short(ended.get('message', ''))}; correct `serve.run`"
    else:
        how = f"exit code {ended['exitCode']}"
    log = ended.get("message", "").strip()[-_LAST:]
    return f"{how}; its log ends:\n{log}" if log else f"{how}; it wrote no log"


def _told(ended: Obj) -> str:
    """What our own container said at its end."""
    if ended.get("reason") == "OOMKilled":
        return "its container ran out of memory"
    try:
        said = json.loads(ended.get("message") or "{}")
    except ValueError:
        said = {}
    texts = [str(text) for text in said.values()] if isinstance(said, dict) else []
    return _short(texts[0]) if texts else f"exit code {ended['exitCode']}"


def _probe_path(pod: Obj) -> str:
    found: Iterable[Obj] = pod["spec"]["containers"]
    return next(str(each["readinessProbe"]["httpGet"]["path"]) for each in found)


def _status(pod: Obj, name: str) -> Obj:
    status = pod.get("status", {})
    every = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    return next((each for each in every if each["name"] == name), {})


def is_running(pod: Obj, name: str) -> bool:
    """Whether a container of a pod runs."""
    return "running" in _status(pod, name).get("state", {})


def _image(pod: Obj, name: str) -> str:
    every = (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
    return str(next((each.get("image") for each in every if each["name"] == name), ""))


def _condition(obj: Obj, kind: str, status: str = "True") -> Obj | None:
    found = obj.get("status", {}).get("conditions") or ()
    return next((c for c in found if c["type"] == kind and c["status"] == status), None)


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 500 else f"{one_line[:499]}…"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
