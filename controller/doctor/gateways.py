"""Checks the Gateways that split traffic for `deployer: gateway`."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from controller.doctor.findings import Finding, bad, ok, warn
from deployers.kubernetes.access import DOCTOR_OF_GATEWAYS
from deployers.kubernetes.cluster import ApiRefusal, Cluster
from deployers.kubernetes.settings import GatewayParent, GatewaySettings

GROUP: Final = "gateway.networking.k8s.io"
VERSION: Final = "v1"
"""The version of the Gateway API that the deployer writes."""
_DOCS: Final = "see docs/deployers.md#gateway"


async def examine_gateways(
    cluster: Cluster, settings: GatewaySettings | None
) -> AsyncIterator[Finding]:
    """A finding for each Gateway of the settings; `cluster` is in the namespace of servers."""
    if settings is None:
        why = "a spec says `deployer: gateway`, but the settings name none"
        fix = f"set `kubernetes.serving.gateway`; {_DOCS}"
        yield bad("gateway", why, fix)
        return
    versions = await _versions(cluster)
    if VERSION not in versions:
        has = f"serves only {', '.join(versions)} of it" if versions else "has none of its kinds"
        fix = f"install the Gateway API with {GROUP}/{VERSION} and an implementation"
        yield bad("gateway", f"the cluster {has}", fix)
        return
    for parent in settings.parents:
        yield await _gateway(cluster, parent)


async def _versions(cluster: Cluster) -> list[str]:
    """The versions of the Gateway API that the cluster serves; none if it is not installed."""
    try:
        found = await cluster.ask("GET", f"apis/{GROUP}")
    except ApiRefusal as refusal:
        if refusal.code == 404:
            return []
        raise
    return [each["version"] for each in found.get("versions", ())]


async def _gateway(cluster: Cluster, parent: GatewayParent) -> Finding:
    what = f"gateway {parent.shown}"
    namespace = parent.namespace or cluster.namespace
    path = f"apis/{GROUP}/{VERSION}/namespaces/{namespace}/gateways/{parent.name}"
    try:
        found = await cluster.ask("GET", path)
    except ApiRefusal as refusal:
        if refusal.code == 404:
            why = f"there is no Gateway {parent.name} in {namespace}"
            return bad(what, why, "create it, or correct `kubernetes.serving.gateway.parents`")
        if refusal.code != 403:
            raise
        rule = DOCTOR_OF_GATEWAYS[0].rule(DOCTOR_OF_GATEWAYS[0].verbs)
        fix = f"to have it looked at, add to a Role in {namespace}: {rule}"
        return warn(what, f"not looked at: {refusal.message}", fix)
    problem = _problem(found, parent.section)
    if problem:
        return bad(what, problem, f"kubectl -n {namespace} describe gateway {parent.name}")
    addresses = [str(one.get("value")) for one in found.get("status", {}).get("addresses", ())]
    return ok(what, f"it is programmed, at {', '.join(addresses) or 'no address'}")


def _problem(gateway: Mapping[str, Any], section: str | None) -> str:
    """What is wrong with it; empty if nothing is."""
    generation = gateway["metadata"].get("generation")
    said = gateway.get("status", {}).get("conditions", ())
    for kind in ("Accepted", "Programmed"):
        found = next((one for one in said if one["type"] == kind), None)
        if found is None or found.get("observedGeneration", generation) != generation:
            return f"no controller has said whether it is {kind.lower()}"
        if found["status"] != "True":
            return f"it is not {kind.lower()}: {found.get('reason')}: {found.get('message', '')}"
    listeners = [one["name"] for one in gateway["spec"].get("listeners", ())]
    if section is not None and section not in listeners:
        return f"it has no listener {section} (there is: {', '.join(listeners) or 'none'})"
    return ""
