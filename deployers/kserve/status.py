"""PURE. Whether a server that KServe runs serves, or why it does not."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from deployers.kserve.manifests import CONTAINER
from deployers.kserve.seen import Seen, server_in
from deployers.kubernetes.cluster import Manifest
from deployers.kubernetes.names import SERVER
from deployers.kubernetes.servers import RUN
from deployers.kubernetes.status import ServedObjects, server_status
from deployers.protocol import ServerStatus

_NOTHING_YET = "KServe has not made anything of it yet"
_STATUSES = ("containerStatuses", "initContainerStatuses")


def predictor_status(
    seen: Seen, workload: str, server: str, redact: Callable[[str], str], *, routed: bool = False
) -> ServerStatus:
    """The status of a predictor's server in Standard mode."""
    found = next((d for d in seen.deployments if d["metadata"]["name"] == workload), None)
    if found is None or server_in(found) != server:
        why = seen.said() or _NOTHING_YET
        return ServerStatus(name=server, alive=False, ready=False, detail=redact(why))
    app = f"isvc.{workload}"
    pods = [p for p in seen.pods if (p["metadata"].get("labels") or {}).get("app") == app]
    annotations = {**(found["metadata"].get("annotations") or {}), SERVER: server}
    status = server_status(
        ServedObjects(
            deployment={**found, "metadata": {**found["metadata"], "annotations": annotations}},
            pods=[_as_ours(pod) for pod in pods if not pod["metadata"].get("deletionTimestamp")],
            probes=seen.probes or {},
        ),
        redact,
        routed=routed,
    )
    address = _address(seen, workload) if status.alive else None
    told = "" if status.ready else seen.said()
    detail = f"{status.detail}; {told}" if told and status.detail else status.detail or told
    return status.model_copy(update={"address": address, "detail": redact(detail)})


def _address(seen: Seen, workload: str) -> str | None:
    """`http://host:port` of a predictor's Service. One without an address of its own leads to its
    pods, whose port it is then."""
    found = next((s for s in seen.services if s["metadata"]["name"] == workload), None)
    if found is None or not found["spec"].get("ports"):
        return None
    spec = found["spec"]
    first = spec["ports"][0]
    headless = spec.get("clusterIP") == "None"
    port = first.get("targetPort", first["port"]) if headless else first["port"]
    namespace = found["metadata"]["namespace"]
    return f"http://{workload}.{namespace}.svc:{port}"


def _as_ours(pod: Manifest) -> Manifest:
    """The pod with the container's name as in pods that Headgate makes itself."""

    def named(every: list[Manifest]) -> list[Manifest]:
        return [{**c, "name": RUN} if c.get("name") == CONTAINER else c for c in every]

    containers = [_probed(each) for each in named(pod["spec"]["containers"])]
    spec = {**pod["spec"], "containers": containers}
    status = dict(pod.get("status") or {})
    for key in _STATUSES:
        if key in status:
            status[key] = named(status[key])
    return {**pod, "spec": spec, "status": status}


def _probed(container: Manifest) -> Manifest:
    """The container with a path of its readiness probe; a runtime's may have none."""
    probe = container.get("readinessProbe") or {}
    if (probe.get("httpGet") or {}).get("path"):
        return container
    return {**container, "readinessProbe": {"httpGet": {"path": "its readiness probe"}}}


def revision_status(seen: Seen, server: str, redact: Callable[[str], str]) -> ServerStatus:
    """The status of a server in Knative mode, by its latest revision."""
    own = [r for r in seen.revisions if server_in(r) == server]
    latest = max(own, key=lambda r: str(r["metadata"]["name"]), default=None)
    serving = [r for r in own if _condition(r).get("status") == "True"]
    if latest is None:
        return ServerStatus(
            name=server, alive=False, ready=False, detail=redact(seen.said() or _NOTHING_YET)
        )
    told = _condition(latest)
    ready = bool(serving)
    detail = ""
    if told.get("status") != "True":
        words = ": ".join(filter(None, (told.get("reason"), told.get("message"))))
        detail = f"its revision {latest['metadata']['name']} is not ready"
        detail += f" ({words})" if words else ""
        detail += f"; {seen.said()}" if seen.said() else ""
    names = {r["metadata"]["name"] for r in own}
    return ServerStatus(
        name=server,
        alive=True,
        ready=ready,
        address=_tagged(seen, names) if ready else None,
        detail=redact(detail),
    )


def _tagged(seen: Seen, revisions: AbstractSet[str]) -> str | None:
    """The address by which one of these revisions is reached past the split."""
    found = seen.part.get("traffic") or ()
    own = [each for each in found if each.get("revisionName") in revisions and each.get("url")]
    return str(own[0]["url"]) if own else None


def _condition(revision: Mapping[str, Any]) -> Mapping[str, Any]:
    found = (revision.get("status") or {}).get("conditions") or ()
    return next((each for each in found if each["type"] == "Ready"), {})
