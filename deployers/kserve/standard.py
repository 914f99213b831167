"""PURE. Standard mode: what to write next, and what runs.

KServe makes a Deployment of each predictor, and of the whole an HTTPRoute with their weights. A
canary that is not ready gets no traffic, whatever its percentage. To promote it, the stable
predictor takes its name. A new stable one that is not there yet begins as a canary without
traffic, since KServe deletes the old one's pods at once when another name is in its place.
"""

from collections.abc import Callable, Mapping, Sequence

from deployers.kserve.manifests import REPLICAS, Arms, Predictor, server_of
from deployers.kserve.naming import workload_name
from deployers.kserve.seen import Seen, server_in
from deployers.kserve.status import predictor_status
from deployers.kubernetes.cluster import Manifest
from deployers.protocol import Deployed, ServerStatus
from specs.failures import NeedsHuman

_INIT = ("initContainers", "volumes")
NOT_SPLIT = (
    "KServe made no HTTPRoute that leads to it: traffic is split from KServe 0.21 on, if "
    "`enableGatewayApi` is true in its ConfigMap `inferenceservice-config`"
)


def plan(want: Arms, seen: Seen) -> Manifest:
    """The specification to write next. Raises NeedsHuman if KServe would refuse it."""
    live = server_of(seen.predictor) if seen.service is not None else None
    if live is None or live == want.stable.server:
        return _spec(want.stable, _beside(want))
    now = {server_of(each["predictor"]): each for each in seen.spec.get("canary") or ()}
    waiting = now.get(want.stable.server)
    if waiting is not None and is_ready(want.stable, seen):
        return _spec(want.stable, _beside(want))
    percent = int(waiting["trafficPercent"]) if waiting is not None else 0
    return _spec_beside(seen.predictor, (want.stable, percent))


def _beside(want: Arms) -> tuple[Predictor, int] | None:
    if want.canary is None:
        return None
    if want.canary.model == want.stable.model:
        raise NeedsHuman(
            f"{want.canary.server} and {want.stable.server} have the same model address, "
            f"{want.canary.model}: KServe refuses to promote the one over the other"
        )
    taken = inherited(want.stable.body, want.canary.body)
    if taken:
        raise NeedsHuman(
            f"KServe would run {want.canary.server} with {', '.join(taken)} of "
            f"{want.stable.server}, as a canary inherits what it does not set: to serve the model "
            "in another way, with an interruption, `headgate down` and `headgate up`"
        )
    return want.canary, want.percent


def inherited(stable: Manifest, canary: Manifest) -> list[str]:
    """What a canary would have of the stable predictor that changes how its model is served."""
    model, other = stable.get("model") or {}, canary.get("model") or {}
    lacking = [f"`model.{key}`" for key, value in model.items() if value and not other.get(key)]
    return lacking + [f"`{k}`" for k in _INIT if stable.get(k) and not canary.get(k)]


def _spec(stable: Predictor, canary: tuple[Predictor, int] | None) -> Manifest:
    pods = _stable_pods(stable.replicas, canary[0].replicas if canary else 0)
    predictor = stable.whole(name=stable.name, minReplicas=pods)
    return {"predictor": predictor, "canary": [_canary(*canary)] if canary else []}


def _spec_beside(live: Manifest, canary: tuple[Predictor, int]) -> Manifest:
    """The predictor that serves now, as it is, and one that is to take its place."""
    replicas = int((live.get("annotations") or {}).get(REPLICAS, 1))
    predictor = {**live, "minReplicas": _stable_pods(replicas, canary[0].replicas)}
    return {"predictor": predictor, "canary": [_canary(*canary)]}


def _canary(predictor: Predictor, percent: int) -> Manifest:
    """A canary. It says how many pods it has, as at 0% it would have none otherwise."""
    whole = predictor.whole(name=predictor.name, minReplicas=predictor.replicas)
    return {"trafficPercent": percent, "predictor": whole}


def _stable_pods(stable: int, canary: int) -> int:
    """What the stable predictor has to ask for to keep its pods: KServe takes those of canaries
    that are ready from it, down to one, so that a promotion would leave too few."""
    return stable + canary if stable > 1 else max(stable, canary)


def is_ready(predictor: Predictor, seen: Seen) -> bool:
    """Whether all pods of a predictor are ready, and of what it is now."""
    name = workload_name(seen.name, predictor.name)
    found = next((d for d in seen.deployments if d["metadata"]["name"] == name), None)
    if found is None or server_in(found) != predictor.server:
        return False
    status = found.get("status") or {}
    wanted = max(predictor.replicas, 1)
    return bool(
        status.get("observedGeneration", 0) >= found["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) >= wanted
        and status.get("availableReplicas", 0) >= wanted
    )


def shares(route: Manifest | None) -> dict[str, float]:
    """The share of the traffic that a route gives each Service. Weights are relative."""
    rules = ((route or {}).get("spec") or {}).get("rules") or ()
    every: list[list[Manifest]] = [r["backendRefs"] for r in rules if r.get("backendRefs")]
    refs = every[0] if every else []
    weights = {str(ref["name"]): int(ref.get("weight", 1)) for ref in refs}
    whole = sum(weights.values())
    return {name: weight / whole for name, weight in weights.items()} if whole else {}


def deployed(seen: Seen, redact: Callable[[str], str]) -> Deployed:
    """What really runs, and which share of the traffic it gets."""
    owners = {str(d["metadata"]["name"]): server_in(d) for d in seen.deployments}
    own = {owners[name]: share for name, share in shares(seen.route).items() if owners.get(name)}
    routed = {server: share for server, share in own.items() if server is not None}
    canary, stable = _arms(seen, routed)
    predictors = _predictors(seen)
    listed = [
        predictor_status(seen, workload, server, redact, routed=bool(routed.get(server)))
        for workload, server in predictors.items()
    ]
    listed += [
        predictor_status(seen, workload, server, redact)
        for workload, server in owners.items()
        if server is not None and workload not in predictors
    ]
    return Deployed(
        servers=tuple(_with_why(each, canary, seen) for each in listed),
        address=seen.address,
        stable=stable,
        canary=canary,
        canary_weight=routed.get(canary, 0.0) if canary else 0.0,
        configured=seen.service is None or seen.is_kept,
    )


def counted(seen: Seen) -> dict[str, str]:
    """The names by which gateways and meshes count the requests of each server."""
    return {server: workload for workload, server in _predictors(seen).items()}


def _predictors(seen: Seen) -> dict[str, str]:
    """The servers that should run, by their workloads."""
    every = (seen.predictor, *(each["predictor"] for each in seen.spec.get("canary") or ()))
    named = ((each, server_of(each)) for each in every if each.get("name"))
    return {workload_name(seen.name, each["name"]): server for each, server in named if server}


def _arms(seen: Seen, routed: Mapping[str, float]) -> tuple[str | None, str | None]:
    """The canary, and what gets the stable traffic.

    While the route is not yet as the specification, what it leads to counts.
    """
    main = server_of(seen.predictor)
    beside = [server_of(each["predictor"]) for each in seen.spec.get("canary") or ()]
    canary = next((server for server in beside if server), None)
    others = [server for server in routed if server != canary]
    if canary is None and main in routed and len(others) > 1:
        return main, next(server for server in others if server != main)
    if others:
        return canary, others[0]
    if canary in routed:  # the canary has all
        return canary, main
    return canary, main if seen.route is None and seen.is_true("Ready") else None


def _with_why(status: ServerStatus, canary: str | None, seen: Seen) -> ServerStatus:
    """The status of a canary that is ready and gets no traffic although it should."""
    if status.name != canary or not is_unrouted(seen):
        return status
    return status.model_copy(update={"detail": NOT_SPLIT})


def is_unrouted(seen: Seen) -> bool:
    """Whether KServe takes a canary for ready and does not lead traffic to it."""
    canaries: Sequence[Manifest] = seen.spec.get("canary") or ()
    given = sum(int(each["trafficPercent"]) for each in canaries)
    said = seen.status.get("canaryStatuses") or ()
    if not given or not seen.is_current or not said or not all(each["ready"] for each in said):
        return False
    found = shares(seen.route)
    names = {workload_name(seen.name, each["predictor"]["name"]) for each in canaries}
    return seen.is_true("Ready") and not names & found.keys()
