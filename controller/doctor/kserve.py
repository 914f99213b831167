"""Checks KServe on the cluster: whether it can serve as the settings say, and split traffic."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from controller.config.settings import Settings
from controller.doctor.cluster import FIX, PATIENCE, access, served
from controller.doctor.findings import Finding, bad, ok, warn
from deployers.kserve.predictors import example
from deployers.kubernetes.access import KSERVE
from deployers.kubernetes.cluster import ApiRefusal, Cluster
from deployers.kubernetes.settings import KServeSettings
from specs.failures import Failure
from specs.figures import duration
from specs.model import Pipeline

_KSERVE: Final = "serving.kserve.io"
_GATEWAY: Final = "gateway.networking.k8s.io"
_KNATIVE: Final = "serving.knative.dev"
_SYSTEM: Final = "kserve"
"""The namespace that KServe is installed in, unless somebody chose another."""
_CONFIG: Final = f"api/v1/namespaces/{_SYSTEM}/configmaps/inferenceservice-config"


async def examine_kserve(
    settings: Settings, base: Path, specs: Sequence[Pipeline]
) -> AsyncIterator[Finding]:
    """Findings about KServe, if a spec is deployed by it. `base` is the folder of the settings'
    file."""
    if not any(spec.release is not None and spec.release.is_by("kserve") for spec in specs):
        return
    kubernetes = settings.kubernetes
    cluster = Cluster(kubernetes.access(base, kubernetes.serving.namespace))
    try:
        async with asyncio.timeout(PATIENCE):
            async for finding in _examined(cluster, kubernetes.serving.kserve):
                yield finding
    except TimeoutError:
        yield bad("kserve", f"the cluster did not answer within {duration(PATIENCE)}", FIX)
    except Failure as failure:
        yield bad("kserve", str(failure), FIX)
    except ApiRefusal as refusal:
        yield bad("kserve", f"the API server refuses: {refusal.message}", FIX)
    finally:
        await cluster.close()


async def _examined(cluster: Cluster, settings: KServeSettings) -> AsyncIterator[Finding]:
    versions = await served(cluster, _KSERVE)
    if "v1beta1" not in versions:
        has = f"serves only {', '.join(versions)} of it" if versions else "has none of its kinds"
        fix = "install KServe 0.21 or later, or name another deployer in the specs"
        yield bad("kserve", f"specs say `deployer: kserve`, but the cluster {has}", fix)
        return
    needed, name = (
        (_GATEWAY, "Gateway API") if settings.mode == "Standard" else (_KNATIVE, "Knative")
    )
    if "v1" not in await served(cluster, needed):
        fix = f"install {name}, or correct `kubernetes.serving.kserve.mode`"
        yield bad("kserve mode", f"{settings.mode} mode needs {name}, which is not there", fix)
        return
    rights = await access(cluster, _needs(settings), "servers by KServe")
    yield rights
    if rights.state == "ok":
        yield await _tried(cluster, settings)
    yield await _installed(cluster, settings)
    if settings.counters is None:
        fix = "name the gateway's counters in `kubernetes.serving.kserve.counters`"
        yield warn("kserve evidence", "nothing tells of a canary's traffic: none is judged", fix)


def _needs(settings: KServeSettings) -> Iterable[Any]:
    other = _KNATIVE if settings.mode == "Standard" else _GATEWAY
    return [need for need in KSERVE if need.group != other]


async def _tried(cluster: Cluster, settings: KServeSettings) -> Finding:
    """Whether KServe takes what would be written: only a dry run tells, as unknown fields are
    dropped in silence."""
    what = f"kserve {cluster.namespace}"
    path = f"apis/{_KSERVE}/v1beta1/namespaces/{cluster.namespace}/inferenceservices"
    try:
        made = example(cluster.namespace, settings.mode)
        await cluster.ask("POST", path, made, dryRun="All", fieldValidation="Strict")
    except ApiRefusal as refusal:
        if refusal.code == 404:
            fix = f"create the namespace {cluster.namespace}"
            return bad(what, f"it cannot be written to: {refusal.message}", fix)
        if "canary" in refusal.message:
            fix = "install KServe 0.21 or later, or use `kubernetes.serving.kserve.mode: Knative`"
            return bad(what, f"it takes no canary: {refusal.message}", fix)
        return bad(what, f"it refuses a service: {refusal.message}", FIX)
    return ok(what, f"it takes InferenceServices in {settings.mode} mode")


async def _installed(cluster: Cluster, settings: KServeSettings) -> Finding:
    """How it is installed, if that can be read."""
    what = "kserve configuration"
    try:
        found = await cluster.ask("GET", _CONFIG)
    except ApiRefusal as refusal:
        if refusal.code not in (403, 404):
            raise
        fix = f"to have it looked at, allow `get` of configmaps in the namespace {_SYSTEM}"
        return warn(what, f"not looked at: {refusal.message}", fix)
    data = found.get("data") or {}
    default = str(_part(data, "deploy").get("defaultDeploymentMode") or "Knative")
    if settings.mode == "Standard" and not _part(data, "ingress").get("enableGatewayApi"):
        fix = "set `enableGatewayApi` to true in `ingress` of inferenceservice-config"
        return bad(what, "it makes no HTTPRoutes, so a canary would get no traffic", fix)
    return ok(
        what, f"its default is {default} mode; Headgate names {settings.mode} on each service"
    )


def _part(data: Mapping[str, str], key: str) -> Mapping[str, Any]:
    try:
        return dict(json.loads(data.get(key) or "{}"))
    except (ValueError, TypeError):
        return {}
