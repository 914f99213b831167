"""PURE. Knative mode: what to write next, and what runs.

Each change of the predictor makes a revision. `canaryTrafficPercent` goes to the latest revision
that is *ready*, and the rest to the one last rolled out in full. So until a revision is ready its
percentage would go to the one before it, be it one that was rolled back: a new revision always
begins with none.
"""

from collections.abc import Callable

from deployers.kserve.manifests import Arms, Predictor, server_of
from deployers.kserve.seen import Seen, server_in
from deployers.kserve.status import revision_status
from deployers.kubernetes.cluster import Manifest
from deployers.protocol import Deployed

ALL = 100


def plan(want: Arms, seen: Seen) -> Manifest:
    """The specification to write next."""
    rolled = _server(seen, "latestRolledoutRevision")
    if seen.service is None or rolled is None:
        return _spec(want.stable, ALL)
    if rolled == want.stable.server and want.canary is not None:
        return _spec(want.canary, _percent(want.canary, want.percent, seen, rolled))
    return _spec(want.stable, _percent(want.stable, ALL, seen, rolled))


def _spec(predictor: Predictor, percent: int) -> Manifest:
    pods = predictor.replicas
    return {"predictor": predictor.whole(minReplicas=pods, canaryTrafficPercent=percent)}


def _percent(predictor: Predictor, wanted: int, seen: Seen, rolled: str) -> int:
    """What the latest revision may get, if that is to be this predictor's. While it does not serve
    it gets no more than before. What is rolled out keeps all: less would roll it back."""
    if server_of(seen.predictor) != predictor.server:
        return 0
    if _serves(predictor, seen):
        return wanted
    live = seen.predictor.get("canaryTrafficPercent")
    if live is None:
        live = ALL if rolled == predictor.server else 0
    return min(int(live), wanted)


def _serves(predictor: Predictor, seen: Seen) -> bool:
    """Whether the latest ready revision is that of a predictor, and the latest of all."""
    return (
        seen.is_current
        and server_of(seen.predictor) == predictor.server
        and _server(seen, "latestReadyRevision") == predictor.server
        and _server(seen, "latestCreatedRevision") == predictor.server
    )


def _server(seen: Seen, role: str) -> str | None:
    """The server of the revision that KServe names so."""
    name = seen.part.get(role)
    found = next((r for r in seen.revisions if r["metadata"]["name"] == name), None)
    return server_in(found) if found is not None else None


def shares(seen: Seen) -> dict[str, float]:
    """The share of the traffic that each server gets, by all its revisions."""
    owners = {r["metadata"]["name"]: server_in(r) for r in seen.revisions}
    found: dict[str, float] = {}
    for each in seen.part.get("traffic") or ():
        server = owners.get(each.get("revisionName"))
        if server is not None:
            found[server] = found.get(server, 0.0) + int(each.get("percent") or 0) / ALL
    return found


def counted(seen: Seen) -> dict[str, str]:
    """The names by which gateways and meshes count the requests of each server."""
    names: dict[str, str] = {}
    for role in ("latestReadyRevision", "latestRolledoutRevision"):
        server = _server(seen, role)
        if server is not None:
            names[server] = str(seen.part[role])
    return names


def deployed(seen: Seen, redact: Callable[[str], str]) -> Deployed:
    """What really runs, and which share of the traffic it gets. Revisions without traffic do not
    count, except the latest: Knative keeps them, and scales them to zero."""
    given = {server: share for server, share in shares(seen).items() if share}
    rolled, latest = _server(seen, "latestRolledoutRevision"), server_of(seen.predictor)
    canary = latest if latest is not None and rolled not in (None, latest) else None
    others = [server for server in given if server != canary]
    stable = rolled if rolled in others else next(iter(others), None)
    if stable is None and canary in given:
        stable = rolled  # the canary has all
    names = dict.fromkeys(n for n in (latest, stable, canary, *given) if n is not None)
    return Deployed(
        servers=tuple(revision_status(seen, name, redact) for name in names),
        address=seen.address,
        stable=stable,
        canary=canary,
        canary_weight=min(given.get(canary, 0.0), 1.0) if canary else 0.0,
        configured=seen.service is None or (seen.is_kept and not _is_half_way(seen, rolled)),
    )


def _is_half_way(seen: Seen, rolled: str | None) -> bool:
    """Whether the stable server's new revision is ready, and has yet to take the traffic over."""
    latest = server_of(seen.predictor)
    return (
        latest is not None
        and latest == rolled == _server(seen, "latestReadyRevision")
        and seen.part.get("latestReadyRevision") == seen.part.get("latestCreatedRevision")
        and seen.predictor.get("canaryTrafficPercent") != ALL
    )
